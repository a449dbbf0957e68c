import logging
import re

from odoo import api, models
from odoo import http
from odoo.http import request

from .. import const, sender, state, tools

_logger = logging.getLogger(__name__)


def _session_lifetime(env):
    get = getattr(http, 'get_session_max_inactivity', None)
    return get(env) if get else http.SESSION_LIFETIME


class IrHttp(models.AbstractModel):
    _inherit = 'ir.http'

    # ------------------------------------------------------- a request begins

    @classmethod
    def _match(cls, path_info):
        cls._odoocache_begin()
        return super()._match(path_info)

    @classmethod
    def _odoocache_begin(cls):
        # _match() also serves to look addresses up, in the middle of a request.
        if state.current() is not None:
            return
        try:
            header = request.httprequest.headers.get(const.HEADER_EDGE)
            edge = bool(header) and tools.is_edge(header, request.env['odoocache']._config().secret)
            request.odoocache = state.State(edge, edge and request.httprequest.method in ('GET', 'HEAD'))
            pool = request.env.registry
            if not getattr(pool, '_odoocache_looked', False):
                # What an earlier process has left unsent.
                pool._odoocache_looked = True
                if not cls._odoocache_in_test():
                    sender.wake(pool.db_name)
        except Exception:
            _logger.exception("odoocache: the edge is not heeded")

    @classmethod
    def _odoocache_in_test(cls):
        from odoo.tools import config
        return bool(config['test_enable'])

    @classmethod
    def _pre_dispatch(cls, rule, args):
        current = state.current()
        if current is not None:
            current.response = None  # of an earlier try of this request
        return super()._pre_dispatch(rule, args)

    @classmethod
    def _serve_fallback(cls):
        current = state.current()
        if current is not None:
            current.response = None
        return super()._serve_fallback()

    @classmethod
    def _odoocache_neutral(cls):
        """Reports whether this page is rendered as for a visitor without a
        cart, since it may be kept for others. Templates ask this."""
        current = state.collecting()
        if current is None or not getattr(request, 'is_frontend', False) or not hasattr(request, 'website'):
            return False
        if current.neutral is None:
            try:
                current.neutral = (
                    not request.httprequest.path.startswith(cls._odoocache_personal_paths())
                    and request.website._odoocache_session_parts() is not None)
            except Exception:
                _logger.exception("odoocache: whose page this is is not known; it will not be stored")
                current.neutral, current.failed = False, True
        return current.neutral

    @classmethod
    def _odoocache_personal_paths(cls):
        """Addresses whose pages are the visitor's own."""
        return ('/my', '/web/', '/odoo')

    @api.model
    def get_frontend_session_info(self):
        info = super().get_frontend_session_info()
        if self._odoocache_neutral():
            # The country of whoever asked first. Without it, forms do not
            # propose a telephone prefix.
            for name in ('geoip_country_code', 'geoip_phone_code'):
                if name in info:
                    info[name] = None
        return info

    # --------------------------------------------------------- a request ends

    @classmethod
    def _post_dispatch(cls, response):
        super()._post_dispatch(response)
        current = state.current()
        stored = response.headers.pop(const.HEADER_STORED_TAGS, None)
        if current is None or not current.edge:
            return
        current.response = response
        try:
            cls._odoocache_finish(current, response, stored)
        except Exception:
            _logger.exception("odoocache: nothing is known of this page; it will not be stored")
            response.headers[const.HEADER_CACHE] = 'no-store'

    @classmethod
    def _odoocache_finish(cls, current, response, stored):
        private = bool(request.session.uid)
        if getattr(request, 'is_frontend', False) and hasattr(request, 'website'):
            value, page_value, special = request.website._odoocache_context()
            private = private or value == const.CONTEXT_PRIVATE
            if private:
                value = page_value = const.CONTEXT_PRIVATE
            response.headers[const.HEADER_CONTEXT] = page_value
            cls._odoocache_set_context(response, value, special)
        elif private:
            cls._odoocache_set_context(response, const.CONTEXT_PRIVATE, True)
        if not current.collect:
            return
        if private:
            if not response.cache_control.public:
                response.headers[const.HEADER_CACHE] = 'no-store'
            return
        tags = cls._odoocache_tags(current, response, stored)
        if tags is None or current.failed or 'access_token' in request.httprequest.args:
            response.headers[const.HEADER_CACHE] = 'no-store'
            return
        if tags:
            response.headers[const.HEADER_TAGS] = ' '.join(tags)
        policy = cls._odoocache_policy(response)
        if policy:
            response.headers[const.HEADER_CACHE] = policy

    @classmethod
    def _odoocache_set_context(cls, response, value, special):
        """Tells the edge by a cookie which pages this visitor sees. A visitor
        who has nothing of their own is given none."""
        if not request.session.can_save:
            return
        old = request.cookies.get(const.COOKIE_CONTEXT)
        if old == value or old is None and value == const.CONTEXT_DEFAULT and not special:
            return
        cls._odoocache_cookie(response, const.COOKIE_CONTEXT, value, httponly=True)

    @classmethod
    def _odoocache_cookie(cls, response, name, value, httponly):
        response.set_cookie(
            name, value, max_age=_session_lifetime(request.env) if value else 0, expires=None,
            path='/', httponly=httponly, samesite='Lax')

    @classmethod
    def _odoocache_tags(cls, current, response, stored):
        """The tags of the page, or None if they cannot be named."""
        env = request.env(user=1, su=True)
        own = set() if getattr(request, 'is_frontend', False) else cls._odoocache_note_file(current)
        records, others = env['odoocache']._tags_of_reads(current)
        for tag in (stored or '').split():
            others.add(tag)
        website = getattr(request, 'website', None)
        if getattr(request, 'is_frontend', False) and website:
            # Templates, menus and settings are read from caches in Odoo's
            # memory, so that they are on a page is not seen.
            others.update(('website', f'website-{website.id}'))
            page = cls._odoocache_page(response)
            if page:
                records.setdefault('website.page', set()).update(page.ids)
            if response.status_code == 404:
                others.add('website.page')  # a new page may take this address
        others.update(own)
        others.update(cls._odoocache_more_tags(records, others))
        return tools.page_tags(records, others)

    @classmethod
    def _odoocache_note_file(cls, current):
        """Takes the record whose image or file this is from the address, and
        returns its own tag. (web/controllers/binary.py has the routes.)"""
        path = request.httprequest.path
        found = re.match(r'/web/(?:image|content)/(?:([a-z_][a-z0-9_.]*)/)?(\d+)(?:-[^/]*)?(?:/|$)', path)
        if not found:
            return set()
        model, record_id = found.group(1) or 'ir.attachment', int(found.group(2))
        current.note_read(model, [record_id])
        return {tools.record_tag(model, record_id)}

    @classmethod
    def _odoocache_more_tags(cls, records, others):
        """For other modules: tags that follow from the page's records."""
        return set()

    @classmethod
    def _odoocache_policy(cls, response):
        """The value of the header that turns caching on or off, or None."""
        if response.status_code != 200 or not getattr(request, 'is_frontend', False):
            return None
        website = request.website
        page = cls._odoocache_page(response)
        if page:
            page = page.sudo()
            if page.visibility:
                return 'no-store'
            if page.odoocache_policy == 'never':
                return 'no-store'
            if page.odoocache_policy == 'cacheable':
                return request.env['odoocache.rule']._header(
                    page.odoocache_ttl, website.odoocache_grace, website.odoocache_sie)
        header = request.env['odoocache.rule']._header_for(website.id, request.httprequest.path)
        if header:
            return header
        if page and website.odoocache_page_ttl:
            return request.env['odoocache.rule']._header(
                website.odoocache_page_ttl, website.odoocache_grace, website.odoocache_sie)
        return None

    @classmethod
    def _odoocache_page(cls, response):
        page = getattr(response, '_cached_page', None)
        if page:
            return page
        main = (getattr(response, 'qcontext', None) or {}).get('main_object')
        return main if getattr(main, '_name', None) == 'website.page' else None
