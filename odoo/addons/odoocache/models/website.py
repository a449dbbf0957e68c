import logging
import re

from odoo import api, fields, models
from odoo.http import request

from .. import const, tools
from .odoocache_rule import hours

_logger = logging.getLogger(__name__)

# What a session may hold without changing what its visitor sees. Anything
# that is not listed makes the visitor's pages their own: a module that keeps
# something in the session may well show it. Other modules add their names in
# _odoocache_harmless_keys().
HARMLESS_KEYS = frozenset([
    # odoo/http.py, get_default_session()
    'context', 'create_time', 'db', 'login', 'uid', 'debug', 'session_token', '_trace', '_trace_disable', 'geoip',
    'sid', 'rotation', 'should_rotate', '_geoip', 'next_sid', 'deletion_time', 'gc_previous_sessions',
    'posts_viewed',  # website_blog: counts visits
    'website_sale_pricelist_time', 'affiliate_id', 'sale_last_order_id', 'sale_transaction_id',
    '__website_sale_last_tx_id',
    # website: the record that a form has made. Pages that read it are the
    # visitor's own, see ir.http, _odoocache_own_records().
    'form_builder_model_model', 'form_builder_model', 'form_builder_id',
    # The newsletter block asks for these by script.
    'mass_mailing_email', 'mass_mailing_mobile', 'mass_mailing_phone',
])


# How a visitor wants lists to look: website/controllers/main.py, and
# website_sale until 18.
LAYOUT_KEY = re.compile(r'website_(?:\d{1,9}|sale_shop)_layout_mode')
LAYOUTS = ('grid', 'list')


class Website(models.Model):
    _inherit = 'website'

    odoocache_page_ttl = fields.Integer("Pages are fresh for (s)")
    odoocache_grace = fields.Integer("Stale while refreshed (s)", default=3600)
    odoocache_sie = fields.Integer("Stale if Odoo fails (s)", default=86400)
    odoocache_page_ttl_hours = hours(
        'odoocache_page_ttl', "Pages are fresh for", "For so many hours (h:mm) a page made in the website editor is shown without "
        "asking Odoo. A change of it ends that at once. 0:00: as long as the settings of the cache say.")
    odoocache_grace_hours = hours(
        'odoocache_grace', "Then shown while they are renewed", "For so many hours (h:mm) after that, a visitor still gets the kept "
        "page at once, while a new one is made for the next.")
    odoocache_sie_hours = hours(
        'odoocache_sie', "Shown if Odoo fails", "For so many hours (h:mm) the kept page stands in for an error of Odoo.")

    # A context is what pages are rendered for. It names settings by parts, such
    # as a pricelist; a visitor of whom nothing differs has none. There are two
    # ways between parts and a session, and each part goes both:
    # _odoocache_session_part() and _odoocache_parts() read a session,
    # _odoocache_setting() says what a session holds that has the part.

    def _odoocache_context(self, current):
        """Whose page this is, and which pages this visitor sees.

        :return: (page, visitor, special). ``page`` is the context of this very
            page: ``private`` if it is of this visitor alone. ``visitor`` is the
            context for their next pages: ``private`` for visitors whose pages
            are their own, ``0`` for those who see what everybody sees, else a
            value that is the same for all who see the same. ``special`` tells
            whether the session holds anything.
        """
        found = self._odoocache_found_parts()
        if found is None:
            return const.CONTEXT_PRIVATE, const.CONTEXT_PRIVATE, True
        parts, special = found
        visitor = self._odoocache_value(parts)
        reads = request.httprequest.method in ('GET', 'HEAD')
        if self._odoocache_is_own(current):
            page = const.CONTEXT_PRIVATE
        elif current.session or not reads:
            page = visitor
        else:
            page = self._odoocache_page_value(current, parts)
        return page, visitor, special or not reads

    def _odoocache_page_value(self, current, parts):
        """The context of a page that was asked for without a session, as what
        fills the cache is: the one it was asked for in, if it was rendered so.
        A site that knows countries renders nothing for everybody."""
        wanted = current.parts or {}
        if self._odoocache_lasting(parts) != self._odoocache_lasting(wanted):
            return const.CONTEXT_PRIVATE
        return const.CONTEXT_DEFAULT if current.parts is None else current.asked

    def _odoocache_is_own(self, current):
        """Reports whether records that are somebody's own were read for this
        page. For other modules, too."""
        if current.personal:
            _logger.debug("odoocache: this page is its visitor's own: %s was read", ', '.join(sorted(current.personal)))
        return bool(current.personal)

    def _odoocache_found_parts(self):
        """What changes the pages of this visitor, as the session stands now,
        and whether it holds anything; None if their pages are their own."""
        found = self._odoocache_session_parts()
        if found is None:
            return None
        parts, special = found
        country = self.env['ir.http']._odoocache_country()
        if country is not None:
            parts['country'] = country
        self._odoocache_parts(parts)
        return parts, special

    def _odoocache_session_parts(self):
        """What of the session changes this visitor's pages, and whether it
        holds anything; None if their pages are their own."""
        session = request.session
        user = request.env.user
        if session.uid or not user or not user._is_public() or session.debug:
            return None
        parts, special = {}, False
        harmless = self._odoocache_harmless_keys()
        for key in list(session):
            if key in harmless:
                continue
            special = True
            if not self._odoocache_session_part(key, session[key], parts):
                _logger.debug("odoocache: pages are the visitor's own: the session holds %s", key)
                return None
        if any(value for key, value in (session.context or {}).items() if key not in ('lang', 'tz', 'uid')):
            return None
        return parts, special

    def _odoocache_value(self, parts):
        if not parts:
            return const.CONTEXT_DEFAULT
        value = None
        if self._odoocache_settings(parts) is not None:
            value = tools.context_value(self._odoocache_secret(), {**parts, 'website': self.id})
        return const.CONTEXT_PRIVATE if value is None else value

    def _odoocache_read_value(self, value):
        """The parts that a context's value names, if it is genuine, of this
        website, and all that it names is still there; else None."""
        parts = tools.context_parts(self._odoocache_secret(), value)
        if parts is None or parts.pop('website', None) != self.id or not parts:
            return None
        return parts if self._odoocache_settings(parts) is not None else None

    @api.model
    def _odoocache_secret(self):
        return self.env['ir.config_parameter'].sudo().get_param('database.secret') or ''

    def _odoocache_settings(self, parts):
        """What a session holds in which a visitor sees the pages of this
        context, or None if a part of it means nothing, or nothing anymore."""
        if ('country' in parts) != (self.env['ir.http']._odoocache_country() is not None):
            return None
        settings = {}
        for name, value in parts.items():
            if not self._odoocache_setting(name, value, parts, settings):
                _logger.debug("odoocache: a context with %s %r means nothing", name, value)
                return None
        return settings

    def _odoocache_setting(self, name, value, parts, settings):
        """For one part of a context, what a session has to hold.

        :param dict parts: all parts
        :param dict settings: what a session has to hold is added here
        :return: False if the part means nothing, or no longer what it meant
        """
        if name == 'country':  # is in no session, see ir.http
            return isinstance(value, str) and re.fullmatch(r'(?:[A-Z0-9]{2})?', value) is not None
        if LAYOUT_KEY.fullmatch(name):
            settings[name] = value
            return value in LAYOUTS
        return False

    @api.model
    def _odoocache_harmless_keys(self):
        return HARMLESS_KEYS

    def _odoocache_session_part(self, key, value, parts):
        """Judges one thing that the session holds.

        :param dict parts: what changes the visitor's pages is added here
        :return: False if it makes the visitor's pages their own
        """
        if not value and not isinstance(value, (int, float)):
            return True  # emptied lists and the like
        if LAYOUT_KEY.fullmatch(key):
            parts[key] = value
            return True
        return False

    def _odoocache_parts(self, parts):
        """For other modules: adds what changes pages but is not in the session.
        The country is in there already, if this site knows any."""

    def _odoocache_lasting(self, parts):
        """For other modules: without the parts that a page sets anew by its
        address, whatever they were."""
        return parts
