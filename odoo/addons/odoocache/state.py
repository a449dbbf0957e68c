"""What the addon knows about the HTTP request that this thread serves."""
from datetime import datetime, timezone

from odoo.http import request


class State:
    """Hangs on Odoo's request object, so it lives and ends with it."""

    def __init__(self, edge, collect):
        self.began = now()        # in UTC, without a time zone
        self.edge = edge          # the edge announced itself
        self.collect = collect    # records that are read are noted
        self.done = False         # the page is rendered: what is read now is not on it
        self.session = True       # came with a session
        self.asked = None         # the context that the edge asks for
        self.parts = None         # the settings that it names, if it is genuine
        self.settings = {}        # what a session has to hold for them
        self.entered = None       # the session that these settings were put into
        self.records = {}         # model name -> ids that were read
        self.listed = set()       # models that were searched
        self.own = {}             # model name -> ids of records that the session names
        self.personal = set()     # models of which somebody's own records were read
        self.partners = set()     # ids of partners that were read
        self.shows_products = False  # a list of the shop or a product
        self.neutral = None       # rendered as for everybody, once that is known
        self.failed = False       # the tags are not known for certain
        self.response = None      # the response, once there is one

    def note_read(self, model, ids):
        self.records.setdefault(model, set()).update(ids)


def now():
    """The time in UTC, in the form of Odoo's dates, with fractions of a second."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def current():
    """The state of the request, or None."""
    return getattr(request, 'odoocache', None) if request else None


def collecting():
    """The state of the request if the records that it reads matter, or None."""
    state = getattr(request, 'odoocache', None) if request else None
    return state if state is not None and state.collect and not state.done else None


def cookies():
    """The cookies of the request: Odoo 17 has no request.cookies."""
    return request.httprequest.cookies
