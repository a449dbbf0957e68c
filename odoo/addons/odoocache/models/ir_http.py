import logging
import re

from odoo import SUPERUSER_ID, http, models
from odoo.http import request

from .. import const, sender, state, tools

_logger = logging.getLogger(__name__)


class ContextGeoIP(http.GeoIP):
    """Tells the country that a context names, whatever the address is, and
    nothing of where in it."""

    def __init__(self, ip, country, name):
        super().__init__(ip)
        data = {'country': {'iso_code': country, 'names': {'en': name}}} if country else {}
        try:
            record = http.geoip2.models.City(data)
        except TypeError:  # since geoip2 5
            record = http.geoip2.models.City(('en',), **data)
        # What GeoIP would look up (odoo/http.py).
        self.__dict__.update(_city_record=record, _country_record=record)


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
            collect = edge and request.httprequest.method in ('GET', 'HEAD')
            current = state.State(edge, collect)
            current.session = bool(state.cookies().get('session_id')) or not getattr(request.session, 'is_new', True)
            if collect and not current.session:
                current.asked = request.httprequest.headers.get(const.HEADER_CONTEXT)
            if current.asked is not None:
                cls._odoocache_read_asked(current)
            current.own = cls._odoocache_own_records(request.session)
            request.odoocache = current
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
    def _odoocache_read_asked(cls, current):
        """Reads the context in which the edge asks for a page, so that it can
        be rendered without anybody's session."""
        try:
            env = request.env(user=SUPERUSER_ID, su=True)
            website = env['website'].get_current_website()
            current.parts = website._odoocache_read_value(current.asked)
            current.settings = website._odoocache_settings(current.parts) if current.parts is not None else {}
            if cls._odoocache_country() is not None:
                code = (current.parts or {}).get('country', '')
                country = env['res.country'].search([('code', '=', code)], limit=1) if code else env['res.country']
                request.geoip = ContextGeoIP(request.geoip.ip, code, country.name or code)
        except Exception:
            _logger.exception("odoocache: a context is not understood; the page is rendered for everybody")
            current.parts, current.settings = None, {}
        cls._odoocache_enter(current)

    @classmethod
    def _odoocache_enter(cls, current):
        """Puts the settings of the context into the session, which is thrown
        away. Odoo makes a new one when it tries a request again."""
        session = request.session
        if current is None or current.asked is None or current.entered is session:
            return
        session.can_save = False
        session.update(current.settings)
        current.entered = session

    @classmethod
    def _odoocache_own_records(cls, session):
        """Records that the session names, model name -> ids. A page that reads
        one is its visitor's own, as the page that thanks for a form is."""
        model, record_id = session.get('form_builder_model_model'), session.get('form_builder_id')
        return {model: {record_id}} if model and record_id else {}

    @classmethod
    def _odoocache_country(cls):
        """The code of the country for which this page is rendered, empty if that
        is not known; None if this site knows no countries at all."""
        code = request.geoip.country_code
        if code:
            return code
        for name in ('geoip_country_db', 'geoip_city_db'):
            try:
                if getattr(http.root, name):
                    return ''
            except Exception:  # noqa: BLE001 there is no database, or none that can be read
                _logger.debug("odoocache: %s is not there", name)
        return None

    @classmethod
    def _odoocache_try(cls):
        """Called when a page begins to be made, which may be for the second time."""
        current = state.current()
        if current is not None:
            current.response, current.done = None, False
            current.began = state.now()
            cls._odoocache_enter(current)

    @classmethod
    def _pre_dispatch(cls, rule, args):
        cls._odoocache_try()
        return super()._pre_dispatch(rule, args)

    @classmethod
    def _serve_fallback(cls):
        cls._odoocache_try()
        return super()._serve_fallback()

    @classmethod
    def _register_website_track(cls, response):
        current = state.current()
        if current is not None and current.asked is not None:
            return False  # nobody visits this page
        return super()._register_website_track(response)

    @classmethod
    def _odoocache_neutral(cls):
        """Reports whether this page is rendered as for a visitor without a
        cart, since it may be kept for others. Templates ask this."""
        current = state.collecting()
        if current is None or not getattr(request, 'is_frontend', False) or not hasattr(request, 'website'):
            return False
        if current.neutral is None:
            try:
                current.neutral = request.website._odoocache_session_parts() is not None
            except Exception:
                _logger.exception("odoocache: whose page this is is not known; it will not be stored")
                current.neutral, current.failed = False, True
        return current.neutral

    # --------------------------------------------------------- a request ends

    @classmethod
    def _post_dispatch(cls, response):
        current = state.current()
        if current is not None:
            current.done = True
        super()._post_dispatch(response)
        stored = response.headers.pop(const.HEADER_STORED_TAGS, None)
        if current is None or not current.edge:
            return
        current.response = response
        try:
            cls._odoocache_finish(current, response, stored)
        except Exception:
            _logger.exception("odoocache: nothing is known of this page; it will not be stored")
            response.headers[const.HEADER_CONTEXT] = const.CONTEXT_PRIVATE
            response.headers[const.HEADER_CACHE] = 'no-store'

    @classmethod
    def _odoocache_finish(cls, current, response, stored):
        signed_in = bool(request.session.uid)
        private = signed_in or bool(current.personal)
        frontend = getattr(request, 'is_frontend', False) and hasattr(request, 'website')
        if frontend:
            page, visitor, special = request.website._odoocache_context(current)
            if private or cls._odoocache_page(response)._odoocache_thanks():
                page = const.CONTEXT_PRIVATE
            if signed_in:
                visitor = const.CONTEXT_PRIVATE
            private = page == const.CONTEXT_PRIVATE
            response.headers[const.HEADER_CONTEXT] = page
            cls._odoocache_set_context(current, response, page, visitor, special)
        elif private:
            if current.personal or current.asked is not None:
                response.headers[const.HEADER_CONTEXT] = const.CONTEXT_PRIVATE
            if signed_in:
                cls._odoocache_set_context(current, response, const.CONTEXT_PRIVATE, const.CONTEXT_PRIVATE, True)
        elif current.asked is not None:  # a file is the same in each context
            response.headers[const.HEADER_CONTEXT] = (
                const.CONTEXT_DEFAULT if current.parts is None else current.asked)
        if current.asked is not None:
            # Nobody is there to keep a cookie. The page's language is a fact about the page:
            # the edge reads it here (http_routing/models/ir_http.py sets it).
            kept = [line for line in response.headers.getlist('Set-Cookie')
                    if line.startswith('frontend_lang=')]
            response.headers.setlist('Set-Cookie', kept)
        if not current.collect:
            return
        if private:
            if current.personal or not response.cache_control.public:
                response.headers[const.HEADER_CACHE] = 'no-store'
            return
        tags, records = cls._odoocache_tags(current, response, stored)
        if tags is None or current.failed or 'access_token' in request.httprequest.args:
            response.headers[const.HEADER_CACHE] = 'no-store'
            return
        if tags:
            response.headers[const.HEADER_TAGS] = ' '.join(tags)
        policy = cls._odoocache_policy(response)
        if frontend and policy != 'no-store':
            end = request.env(user=SUPERUSER_ID, su=True)['odoocache']._end(
                current, records, request.website, request.httprequest.path)
            if end is not None and end <= const.MAX_END:
                end = f'end={int(end)}' if end >= 10 else f'end={end:.3f}s'
                policy = f'{policy}, {end}' if policy else end
        if policy:
            response.headers[const.HEADER_CACHE] = policy

    @classmethod
    def _odoocache_set_context(cls, current, response, page, visitor, special):
        """Tells the edge by a cookie which pages this visitor sees.

        A request without a session may be nobody's, which fills the cache: its
        answer sets none. Whoever came with a session is told, also that it
        makes no difference, for the edge may not know the session.
        """
        if not request.session.can_save:
            return
        old = state.cookies().get(const.COOKIE_CONTEXT)
        if old == visitor:
            return
        if old is None and not current.session:
            if request.httprequest.method in ('GET', 'HEAD') and page != const.CONTEXT_PRIVATE:
                return
            if visitor == const.CONTEXT_DEFAULT and not special:
                return
        cls._odoocache_cookie(response, const.COOKIE_CONTEXT, visitor, httponly=True)

    @classmethod
    def _odoocache_cookie(cls, response, name, value, httponly):
        response.set_cookie(
            name, value, max_age=_session_lifetime(request.env) if value else 0, expires=None,
            path='/', httponly=httponly, samesite='Lax')

    @classmethod
    def _odoocache_tags(cls, current, response, stored):
        """The tags of the page, or None if they cannot be named; and the ids
        of the records on it by model."""
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
        return tools.page_tags(records, others), records

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
        return main if getattr(main, '_name', None) == 'website.page' else request.env['website.page']
