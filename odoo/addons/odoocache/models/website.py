import logging

from odoo import api, fields, models
from odoo.http import request

from .. import const, tools

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
    # The newsletter block asks for these by script.
    'mass_mailing_email', 'mass_mailing_mobile', 'mass_mailing_phone',
])


class Website(models.Model):
    _inherit = 'website'

    odoocache_page_ttl = fields.Integer(
        "Pages are fresh for (s)", help="For pages made in the website editor. 0: as the rule of the edge says.")
    odoocache_grace = fields.Integer("Stale while refreshed (s)", default=3600)
    odoocache_sie = fields.Integer("Stale if Odoo fails (s)", default=86400)

    def _odoocache_context(self):
        """Which pages this visitor sees, and whether the session holds anything.

        :return: (context, page, special). The context is ``private`` for
            visitors whose pages are their own, ``0`` for those who see what
            everybody sees, else a hash that is the same for all who see the
            same. ``page`` is the context on which this very page depends.
        """
        found = self._odoocache_session_parts()
        if found is None:
            return const.CONTEXT_PRIVATE, const.CONTEXT_PRIVATE, True
        parts, special = found
        special = special or request.httprequest.method not in ('GET', 'HEAD')
        self._odoocache_parts(parts)
        value = self._odoocache_value(parts)
        if value == request.cookies.get(const.COOKIE_CONTEXT):
            return value, value, special
        return value, self._odoocache_value(self._odoocache_page_parts(parts)), special

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
        context = {k: v for k, v in (session.context or {}).items() if k not in ('lang', 'tz', 'uid') and v}
        if context:
            parts['context'] = context
        return parts, special

    def _odoocache_value(self, parts):
        if not parts:
            return const.CONTEXT_DEFAULT
        secret = self.env['ir.config_parameter'].sudo().get_param('database.secret') or ''
        return tools.context_value(secret, {**parts, 'website': self.id})

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
        if key.startswith('website_') and key.endswith('_layout_mode'):
            parts[key] = value
            return True
        return False

    def _odoocache_parts(self, parts):
        """For other modules: adds what changes pages but is not in the session."""

    def _odoocache_page_parts(self, parts):
        """For other modules: without the parts that this page does not depend
        on, although this visitor's next pages may."""
        return parts
