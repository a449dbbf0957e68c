import logging
import re

from lxml import etree

from odoo import _, api, fields, models, tools as odoo_tools

from .. import const, state, tools
from .odoocache_purge import result_notification
from .odoocache_rule import hours

_logger = logging.getLogger(__name__)

# What a template says that asks which form the visitor has sent
# (website/models/website_form.py, and the session's keys that it reads).
ASKS_FOR_FORM = re.compile(rb'form_builder_|_website_form_last_record')


class WebsitePage(models.Model):
    _inherit = 'website.page'

    odoocache_policy = fields.Selection(
        [('edge', "By rule"), ('cacheable', "Keep"), ('never', "Never keep")],
        string="Page cache", default='edge', required=True,
        help="By rule: as the page cache rules and the website's settings say. Keep: for the time below. "
             "Never keep: it is made anew for each visitor.")
    odoocache_ttl = fields.Integer("Fresh for (s)", default=600)
    odoocache_ttl_hours = hours(
        'odoocache_ttl', "Fresh for", "For so many hours (h:mm) this page is shown without asking Odoo. A change of it ends that at once.")

    def action_odoocache_purge(self):
        purges = self.env['odoocache.purge']
        purges._check_may_purge()
        items = tools.purge_tags('website.page', self.ids)
        for page in self:
            items |= purges._page_items(page.url)
        return result_notification(purges.sudo()._purge_now(items, _("These pages are dropped, in all languages.")))

    def _odoocache_thanks(self):
        """Reports whether this page shows what its visitor has sent by a form.
        To nobody, it may thank for nothing."""
        return any(self._odoocache_asks_for_form(page.view_id.id) for page in self.sudo())

    @api.model
    @odoo_tools.ormcache('view_id', cache='templates')
    def _odoocache_asks_for_form(self, view_id):
        arch = self.env['ir.ui.view'].sudo().browse(view_id)._get_combined_arch()
        return ASKS_FOR_FORM.search(etree.tostring(arch)) is not None

    # Odoo 19 keeps pages in memory for an hour (website.page._get_response).
    # Three things keep that from spoiling what the edge knows. Pages for the
    # edge are kept apart from others, for only they have been watched while
    # they were rendered, and apart by context and by host, for they hold the
    # visitor's country and the site's address; their tags are kept with them;
    # and pages that show records of other models are not kept at all, as a
    # purge by record would bring the old page back.

    @api.model
    def _get_cache_key(self, request):
        key = super()._get_cache_key(request)
        if state.collecting() is None:
            return key
        return (*key, 'odoocache', request.httprequest.host, self._odoocache_context(request), self._odoocache_era(request))

    @api.model
    def _odoocache_era(self, request):
        """The next date at which pages that show no records change: one that
        the menu leads to is published."""
        current = state.current()
        current.done = True
        try:
            return self.env['odoocache'].sudo()._next_page(current.began, request.website, request.httprequest.path)
        finally:
            current.done = False

    @api.model
    def _allow_to_use_cache(self, request):
        if state.collecting() is not None and (
                self._odoocache_thanks() or self._odoocache_context(request) == const.CONTEXT_PRIVATE):
            return False
        return super()._allow_to_use_cache(request)

    @api.model
    def _odoocache_context(self, request):
        """The context for which a page is about to be rendered."""
        current = state.current()
        current.done = True  # what is read to find it out is not on the page
        try:
            found = request.website._odoocache_found_parts()
            return const.CONTEXT_PRIVATE if found is None else request.website._odoocache_value(found[0])
        except Exception:
            _logger.exception("odoocache: the context of this page is not known; it will not be stored")
            current.failed = True
            return const.CONTEXT_PRIVATE
        finally:
            current.done = False

    @api.model
    def _allow_cache_insertion(self, layout):
        current = state.collecting()
        if current is not None:
            records, _others = self._odoocache_reads(current)
            if records or current.listed or current.failed or self._odoocache_is_own(current):
                return False
        return super()._allow_cache_insertion(layout)

    def _get_response_raw(self, request):
        response = super()._get_response_raw(request)
        current = state.collecting()
        if response is not None and current is not None:
            response.flatten()  # the records are read now
            tags = tools.page_tags(*self._odoocache_reads(current))
            if tags is None:
                current.failed = True
            else:
                response.headers[const.HEADER_STORED_TAGS] = ' '.join(tags)
        return response

    @api.model
    def _odoocache_is_own(self, current):
        current.done = True
        try:
            return self.env['website'].get_current_website()._odoocache_is_own(current)
        except Exception:
            _logger.exception("odoocache: whose page this is is not known; it will not be stored")
            current.failed = True
            return True
        finally:
            current.done = False

    @api.model
    def _odoocache_reads(self, current):
        try:
            return self.env['odoocache'].sudo()._tags_of_reads(current)
        except Exception:
            _logger.exception("odoocache: this page's tags are not known; it will not be stored")
            current.failed = True
            return {}, set()
