"""What the addon knows about the HTTP request that this thread serves."""
from odoo.http import request


class State:
    """Hangs on Odoo's request object, so it lives and ends with it."""

    def __init__(self, edge, collect):
        self.edge = edge          # the edge announced itself
        self.collect = collect    # records that are read are noted
        self.records = {}         # model name -> ids that were read
        self.listed = set()       # models that were searched
        self.neutral = None       # rendered as for everybody, once that is known
        self.failed = False       # the tags are not known for certain
        self.response = None      # the response, once there is one

    def note_read(self, model, ids):
        self.records.setdefault(model, set()).update(ids)


def current():
    """The state of the request, or None."""
    return getattr(request, 'odoocache', None) if request else None


def collecting():
    """The state of the request if the records that it reads matter, or None."""
    state = getattr(request, 'odoocache', None) if request else None
    return state if state is not None and state.collect else None
