"""Which models matter to visitors, and what a change of them makes wrong."""
import logging
import os
from collections import namedtuple
from datetime import datetime, time, timedelta

from odoo import SUPERUSER_ID, api, models
from odoo.exceptions import MissingError
from odoo.modules.registry import Registry

from .. import const, sender, state, tools

_logger = logging.getLogger(__name__)

Config = namedtuple('Config', 'urls host faults secret tenant timeout always_post')

# Fields whose change no page shows.
INVISIBLE_FIELDS = frozenset([
    'id', 'create_uid', 'create_date', 'write_uid', 'write_date', '__last_update',
    'message_ids', 'message_follower_ids', 'message_partner_ids', 'message_main_attachment_id',
    'activity_ids', 'activity_state', 'activity_user_id', 'activity_type_id',
    'activity_date_deadline', 'activity_summary', 'activity_calendar_event_id',
    'access_token', 'visits',
])


class Spec:
    """How a model's records are tagged and purged.

    :param kind: ``record``: pages bear a tag for each record they show, and
        listings the model's tag. ``model``: pages that show any record bear
        the model's tag alone; for small, rarely changed models. ``site``: not
        seen on single pages (views, menus): all pages of the record's website.
        ``parent``: the record is part of the ones that ``parents`` names.
        ``custom``: the method ``resolve`` says what to purge; never on pages.
    :param parents: fields that lead to the records that this one is a part of
    :param listing: fields that decide in which listings a record is
    :param ignore: further fields that no page shows
    :param fields: if given, the only fields that matter
    :param listed: whether searching the model makes a page a listing of it
    :param shown: whether a record that is read for a page is taken to be on it
    :param dates: dates (with a time, in UTC) at which what pages show of a
        record changes by itself
    :param daily: whether listings change at midnight (UTC)
    """
    __slots__ = ('kind', 'parents', 'listing', 'ignore', 'fields', 'resolve', 'listed', 'shown', 'dates', 'daily')

    def __init__(self, kind, parents=(), listing=(), ignore=(), fields=None, resolve=None, listed=True,
                 shown=True, dates=(), daily=False):
        self.kind = kind
        self.parents = tuple(parents)
        self.listing = frozenset(listing)
        self.ignore = INVISIBLE_FIELDS | frozenset(ignore)
        self.fields = fields and frozenset(fields)
        self.resolve = resolve
        self.listed = kind == 'record' and listed
        self.shown = shown and kind in ('record', 'model', 'parent')
        self.dates = tuple(dates)
        self.daily = daily

    def matters(self, names):
        """Reports whether a change of these fields can be seen."""
        if self.fields is not None:
            return not self.fields.isdisjoint(names)
        return any(name not in self.ignore for name in names)


# Further fields of views that no page shows. Their text is in arch_db.
VIEW_FIELDS = frozenset(['name', 'arch_prev', 'arch_fs', 'arch_updated'])


def names_of_relations(records, names):
    """The fields among these that are stored in tables of their own, but for
    the groups of views."""
    for name in names:
        field = records._fields.get(name)
        if field is not None and field.type == 'many2many' and name not in ('group_ids', 'groups_id'):
            yield name


PUBLISHING = ('is_published', 'website_published', 'active', 'website_id')


class Changes:
    """What has been changed in a transaction since it was last looked at."""

    def __init__(self):
        self.ids = {}       # model -> ids of changed records
        self.listing = set()  # models whose listings have changed
        self.sites = set()  # models of which a record has moved between websites
        self.tags = set()   # tags that are known already
        self.views = {}     # id -> what a view was before, None for a new one
        self.gone = {}      # id of a view that is removed -> tags
        self.pages = set()  # ids of new pages


class Odoocache(models.AbstractModel):
    _name = 'odoocache'
    _description = "Cache edge"

    # ------------------------------------------------------------ settings

    @api.model
    def _config(self, uncached=False):
        """Where the edge is. The environment goes before the database, so that
        a copy of a database does not purge the original's edge.

        :param bool uncached: read the database. A thread beside the one that
            serves requests must not fill Odoo's cache of parameters: it may
            see what the other one has just changed as it was.
        """
        get = self.env['ir.config_parameter'].sudo().get_param
        if uncached:
            self.env['ir.config_parameter'].flush_model()
            self.env.cr.execute("SELECT key, value FROM ir_config_parameter WHERE key LIKE 'odoocache.%%'")
            get = dict(self.env.cr.fetchall()).get

        def setting(name, default=''):
            value = os.environ.get(f'ODOOCACHE_{name.upper()}')
            return (get(f'odoocache.{name}') or default) if value is None else value

        urls, faults = [], []
        for url in setting('edge_url').replace(',', ' ').split():
            fault = tools.url_fault(url)
            if fault is None:
                urls.append(url)
            else:
                faults.append(f'{tools.without_credentials(url)}: {fault}')
        host = setting('edge_host').strip()
        fault = tools.host_fault(host)
        if fault:  # a purge that is sent to another host purges nothing
            urls = []
            faults.append(f'{host}: {fault}')
        try:
            timeout = float(get('odoocache.timeout') or 5)
        except ValueError:
            timeout = 5.0
        return Config(
            urls=urls,
            host=host,
            faults=faults,
            secret=setting('secret').strip(),
            tenant=setting('tenant').strip() or const.TENANT_DEFAULT,
            timeout=timeout,
            always_post=(get('odoocache.always_post') or '').lower() in ('1', 'true'),
        )

    # --------------------------------------------------------------- models

    @api.model
    def _specs(self):
        """The models that matter: name -> Spec. Names of models that are not
        installed do no harm. Other modules add theirs by overriding this."""
        site = Spec('site')
        return {
            'website': Spec('custom', resolve='_resolve_website'),
            # Each page reads the pages that its menu leads to.
            'website.page': Spec('record', resolve='_resolve_page', listed=False, shown=False,
                                 listing=PUBLISHING + ('url', 'date_publish')),
            # A page that is copied for a website takes its entries over: see _resolve_page().
            'website.menu': Spec('site', ignore=['page_id']),
            'website.rewrite': site,
            'website.controller.page': site,
            'website.snippet.filter': site,
            'ir.asset': site,
            'ir.ui.view': Spec('custom', resolve='_resolve_view'),
            'ir.attachment': Spec('custom', resolve='_resolve_attachment'),
            'ir.config_parameter': Spec('custom', resolve='_resolve_parameter'),
            'ir.rule': site,
            'ir.model.access': site,
            'res.lang': site,
            'res.company': Spec('site', fields=(
                'name', 'email', 'phone', 'mobile', 'street', 'street2', 'zip', 'city', 'state_id',
                'country_id', 'vat', 'website', 'logo', 'logo_web', 'currency_id', 'partner_id', 'favicon',
                'account_fiscal_country_id', 'social_twitter', 'social_facebook', 'social_github',
                'social_linkedin', 'social_youtube', 'social_instagram', 'social_tiktok', 'social_discord')),
            'res.partner': Spec('custom', resolve='_resolve_partner', fields=(
                'name', 'email', 'phone', 'mobile', 'street', 'street2', 'zip', 'city', 'state_id',
                'country_id', 'vat', 'website', 'image_1920', 'website_description',
                'website_short_description', 'is_published')),
            # Symbols are in the script of each page; rates where there are prices.
            'res.currency': Spec('site', fields=('name', 'symbol', 'position', 'rounding', 'active')),
            'res.currency.rate': Spec('custom', resolve='_resolve_rate'),
            'rating.rating': Spec('custom', resolve='_resolve_res'),
            # Blog, events, forum, courses, jobs.
            'blog.blog': Spec('record', listing=PUBLISHING),
            'blog.post': Spec('record', parents=['blog_id'], dates=['post_date'], listing=PUBLISHING + (
                'blog_id', 'tag_ids', 'post_date', 'published_date')),
            'blog.tag': Spec('model'),
            'blog.tag.category': Spec('model'),
            'event.event': Spec('record', dates=['date_begin', 'date_end'], daily=True, listing=PUBLISHING + (
                'date_begin', 'date_end', 'stage_id', 'tag_ids', 'event_type_id', 'address_id')),
            'event.event.ticket': Spec('parent', parents=['event_id'], dates=['start_sale_datetime', 'end_sale_datetime']),
            'event.slot': Spec('parent', parents=['event_id'], dates=['start_datetime', 'end_datetime']),
            'event.registration': Spec('parent', parents=['event_id'], fields=['state', 'active', 'event_id']),
            'event.track': Spec('record', parents=['event_id'], dates=['date', 'date_end'], listing=PUBLISHING + ('stage_id', 'date')),
            'event.sponsor': Spec('record', parents=['event_id'], listing=PUBLISHING),
            'event.type': Spec('model'),
            'event.tag': Spec('model'),
            'event.tag.category': Spec('model'),
            'website.event.menu': site,
            'forum.forum': Spec('record', listing=PUBLISHING),
            'forum.post': Spec('record', parents=['parent_id'], listing=PUBLISHING + ('state', 'forum_id', 'tag_ids'), ignore=['views']),
            'forum.tag': Spec('model'),
            'slide.channel': Spec('record', listing=PUBLISHING + ('tag_ids', 'visibility')),
            'slide.slide': Spec('record', parents=['channel_id'], listing=PUBLISHING, ignore=['public_views', 'total_views', 'slide_views']),
            'slide.channel.tag': Spec('model'),
            'slide.tag': Spec('model'),
            'hr.job': Spec('record', listing=PUBLISHING + ('department_id', 'address_id')),
            'hr.department': Spec('model'),
        }

    @api.model
    def _spec_table(self):
        table = self.pool.__dict__.get('_odoocache_specs')
        if table is None:
            table = self._specs()
            if self.pool.ready:
                self.pool._odoocache_specs = table
        return table

    @api.model
    def _personal_models(self):
        """Models whose records are somebody's own: a page for which one was
        found or read is that visitor's alone, whatever its address, and also if
        a token in the address led to it. Documents of the portal are, without
        being named. Names of models that are not installed do no harm. Other
        modules add theirs by overriding this."""
        names = {
            'account.move.line', 'calendar.event', 'crm.lead', 'discuss.channel', 'discuss.channel.member',
            'event.registration', 'event.track.visitor', 'hr.applicant', 'loyalty.card', 'mail.guest',
            'mailing.contact', 'mailing.subscription', 'payment.token', 'payment.transaction', 'sale.order.line',
            'survey.user_input', 'survey.user_input.line',
        }
        if 'portal.mixin' in self.pool:
            mixin = self.pool['portal.mixin']
            names.update(name for name, model in self.pool.items() if issubclass(model, mixin))
        # Journals are documents of the portal by name only.
        return frozenset(names - {'portal.mixin', 'account.journal'})

    @api.model
    def _personal_table(self):
        table = self.pool.__dict__.get('_odoocache_personal')
        if table is None:
            table = self._personal_models()
            if self.pool.ready:
                self.pool._odoocache_personal = table
        return table

    # ------------------------------------------------------- tags of a page

    @api.model
    def _tags_of_reads(self, current):
        """What the tags of the records that a request has read are: ids by
        model, and further tags."""
        specs = self._spec_table()
        records, others = {}, set()
        todo = [(model, set(ids)) for model, ids in current.records.items()]
        seen = set()
        while todo:
            model, ids = todo.pop()
            spec = specs.get(model)
            ids = {i for i in ids if (model, i) not in seen}
            if spec is None or not ids:
                continue
            seen.update((model, i) for i in ids)
            if spec.kind == 'record':
                records.setdefault(model, set()).update(ids)
            elif spec.kind == 'model':
                others.add(model)
            elif spec.kind == 'parent':
                found = self.env[model].sudo().with_context(active_test=False, prefetch_fields=False).browse(list(ids))
                for name in spec.parents:
                    if name in found._fields:
                        try:
                            parents = found.mapped(name)
                        except MissingError:  # an image's address may name any record
                            parents = found.exists().mapped(name)
                        todo.append((parents._name, set(parents.ids)))
        others.update(model for model in current.listed if model in specs)
        return records, others

    # --------------------------------------------- what changes by the clock

    @api.model
    def _end(self, current, records, website, path):
        """When what a page shows changes by itself.

        :param current: the state of the request
        :param dict records: model name -> ids of the records on the page
        :param str path: the page's, without its language
        :return: seconds from the beginning of the request on, or None if no
            date is known
        """
        began = current.began
        moments = [m for m in self._moments(current, records, website, path) if m is not None]
        return (min(moments) - began).total_seconds() if moments else None

    @api.model
    def _moments(self, current, records, website, path):
        """The next dates of what is on a page, in UTC; None among them says
        nothing. For other modules, too: those of models whose pages name the
        records stand in _specs()."""
        began = current.began
        here = [('website_id', 'in', (False, website.id))]
        found = [self._next_page(began, website, path)]
        for model, spec in self._spec_table().items():
            if not spec.dates or model not in self.env:
                continue
            listed = model in current.listed
            if listed:
                names = self.env[model]._fields
                published = 'is_published' in names and names['is_published'].store
                found.append(self._next(model, spec.dates, [
                    *(here if 'website_id' in names and names['website_id'].store else []),
                    *([('is_published', '=', True)] if published else [])], began))
                if spec.daily:
                    found.append(self._midnight(began))
            ids = records.get(model, set()) | current.records.get(model, set())
            if ids:
                found.append(self._next(model, spec.dates, [('id', 'in', list(ids))], began))
        return found

    @api.model
    def _next_page(self, after, website, path):
        """When a page is published that the menu leads to, or that has this
        address."""
        return self._next('website.page', ['date_publish'], [
            ('website_id', 'in', (False, website.id)), '|', ('menu_ids', '!=', False), ('url', '=', path)], after)

    @api.model
    def _next(self, model, names, domain, after):
        """The next instant that one of these dates makes, or None. A date makes
        two: Odoo compares some with < and some with <=, and by whole seconds."""
        second = timedelta(seconds=1)
        found = None
        records = self.env[model].sudo().with_context(prefetch_fields=False)
        for name in names:
            field = records._fields.get(name)
            if field is None or not field.store:
                continue
            date = records.search([*domain, (name, '>', after - second)], order=f'{name}, id', limit=1)[name]
            if date:
                moment = date if date > after else date + second
                found = moment if found is None else min(found, moment)
        return found

    @api.model
    def _midnight(self, after):
        return datetime.combine(after.date() + timedelta(days=1), time.min)

    # ------------------------------------------------------ what has changed

    @api.model
    def _note_change(self, records, operation, names=()):
        """Called by the ORM hooks for each create, write and unlink."""
        spec = self._spec_table().get(records._name)
        if spec is None or not records._ids:
            return
        if operation == 'write' and not spec.matters(names):
            return
        ids = [i for i in records._ids if isinstance(i, int)]
        if not ids:
            return
        changes = self._changes(records.env.cr)
        model = records._name
        if operation != 'write' or not spec.listing.isdisjoint(names):
            changes.listing.add(model)
        if operation == 'write' and 'website_id' in names:
            changes.sites.add(model)
        if model == 'ir.ui.view' and operation == 'create':
            for i in ids:
                changes.views.setdefault(i, None)
        if model == 'website.page' and operation == 'create':
            changes.pages.update(ids)
        if model == 'ir.ui.view' and operation == 'unlink':
            for i in ids:
                changes.gone[i] = self._resolve(model, [i])
        elif operation == 'unlink':
            changes.tags |= self._resolve(model, ids)  # there is nothing to read later
        elif operation == 'create':
            # No page shows the record yet; what it is a part of may be shown.
            if spec.kind != 'record' or spec.parents or spec.resolve:
                changes.ids.setdefault(model, set()).update(ids)
        else:
            changes.ids.setdefault(model, set()).update(ids)

    @api.model
    def _note_everything(self):
        self._changes(self.env.cr).tags.add(const.ALL)

    @api.model
    def _note_tags(self, *tags):
        self._changes(self.env.cr).tags.update(tags)

    @staticmethod
    def _changes(cr):
        """The changes that this transaction has noted. They are looked at before
        each flush of the cursor ends, so also before each savepoint."""
        changes = cr.precommit.data.get('odoocache')
        if changes is None:
            changes = cr.precommit.data['odoocache'] = Changes()
            cr.precommit.add(lambda: _before_commit(cr))
        return changes

    @api.model
    def _resolve_changes(self, changes):
        tags = set(changes.tags)
        if const.ALL in tags:
            return tags
        specs = self._spec_table()
        for model in changes.listing:
            if specs[model].kind in ('record', 'model'):
                tags.add(model)
        for model in changes.sites:
            if specs[model].kind == 'site':
                tags.add('website')
        changed = self._changed_views(changes)
        for i, found in changes.gone.items():
            if i in changed:
                tags |= found
        self = self.with_context(odoocache_new_pages=frozenset(changes.pages))
        for model, ids in changes.ids.items():
            tags |= self._resolve(model, ids & changed if model == 'ir.ui.view' else ids)
        return tags

    # The editor saves views that nobody has changed, and makes copies of views
    # for the website that say what the originals say.

    @api.model
    def _note_views(self, views, names=()):
        """Called before views are changed."""
        changes = self._changes(views.env.cr)
        new = [i for i in views._ids if isinstance(i, int) and i not in changes.views]
        rows = self._view_rows(new)
        for i in new:
            changes.views[i] = rows.get(i)
        if any(names_of_relations(views, names)):
            for i in views._ids:
                changes.views[i] = {}  # what is in other tables is not looked at

    @api.model
    def _view_rows(self, ids):
        """What is stored of views, as far as it matters: id -> values."""
        if not ids:
            return {}
        self.env.cr.execute("""
            SELECT v.id, to_jsonb(v), p.key, (
                SELECT array_agg(r.group_id ORDER BY r.group_id) FROM ir_ui_view_group_rel r WHERE r.view_id = v.id)
              FROM ir_ui_view v LEFT JOIN ir_ui_view p ON p.id = v.inherit_id
             WHERE v.id IN %s""", (tuple(ids),))
        rows = {}
        for i, row, parent, groups in self.env.cr.fetchall():
            arch = row.get('arch_db')
            if isinstance(arch, dict):
                main = arch.get('en_US')
                row['arch_db'] = {'en_US': main, **{lang: text for lang, text in arch.items() if text != main}}
            row.update(inherit_id=parent or row.get('inherit_id'), groups=groups)
            rows[i] = {name: value for name, value in row.items() if name not in INVISIBLE_FIELDS | VIEW_FIELDS}
        return rows

    @api.model
    def _changed_views(self, changes):
        """Ids of the views of which visitors see something else than before."""
        before = changes.views
        after = self._view_rows(before)
        changed = set()
        for i, old in before.items():
            new = after.get(i)
            if old is None or new is None:
                if old is not new and not self._stands_in(old or new, old is None, before, after):
                    changed.add(i)
            elif old != new:
                changed.add(i)
        return changed

    @api.model
    def _stands_in(self, row, is_new, before, after):
        """Reports whether a view that was made or removed says what another
        one says that had its place before, or has it now."""
        if not row.get('key'):
            return False
        others = self.env['ir.ui.view'].sudo().with_context(active_test=False).search([
            ('key', '=', row['key']), ('website_id', '=', False)])
        here, there = (before, after) if is_new else (after, before)
        rows = [other for i, other in here.items() if other and there.get(i) is None]  # another copy
        rows += [here.get(i) for i in others.ids if i in here]
        rows += self._view_rows([i for i in others.ids if i not in here]).values()
        return any(other and {**other, 'website_id': None} == {**row, 'website_id': None} and (
            other['website_id'] in (None, row['website_id'])) for other in rows)

    @api.model
    def _resolve(self, model, ids, depth=0):
        """The tags to purge when these records have changed."""
        spec = self._spec_table().get(model)
        if spec is None or not ids or model not in self.env or depth > 4:
            return set()
        records = self.env[model].sudo().with_context(active_test=False, prefetch_fields=False).browse(list(ids))
        tags = getattr(self, spec.resolve)(records) if spec.resolve else set()
        if spec.kind == 'custom':
            return tags
        if spec.kind == 'site':
            return tags | self._site_tags(records)
        if spec.kind == 'record':
            tags |= tools.purge_tags(model, ids)
        elif spec.kind == 'model':
            tags.add(model)
        if spec.parents:
            records = records.exists()
            for name in spec.parents:
                if name in records._fields:
                    parents = records.mapped(name)
                    tags |= self._resolve(parents._name, set(parents.ids), depth + 1)
        return tags

    @api.model
    def _site_tags(self, records):
        """All pages of the records' websites; of all websites for records that
        belong to none."""
        if 'website_id' not in records._fields:
            return {'website'}
        tags = set()
        for record in records.exists():
            tags.add(f'website-{record.website_id.id}' if record.website_id else 'website')
        return tags

    @api.model
    def _resolve_website(self, websites):
        return {f'website-{i}' for i in websites.ids}

    @api.model
    def _resolve_page(self, pages):
        """A page may take the place of another one at its address, and whether
        its entry in the menu is shown depends on it."""
        pages = pages.exists()
        tags = set()
        others = pages.search([('url', 'in', [u for u in pages.mapped('url') if u]), ('id', 'not in', pages.ids)])
        tags |= tools.purge_tags('website.page', others.ids)
        new = self.env.context.get('odoocache_new_pages', ())
        for page in pages.filtered('menu_ids'):
            # The editor copies a page for the website when it is first saved.
            if page.id not in new or self._entry(page) not in map(self._entry, others):
                tags |= self._site_tags(page)
        return tags

    @api.model
    def _entry(self, page):
        """What decides on whether an entry of the menu leads to a page."""
        names = ('url', 'is_published', 'date_publish', 'visibility', 'group_ids', 'groups_id')
        return [page[name] for name in names if name in page._fields]

    @api.model
    def _resolve_view(self, views):
        """A page's own view is on that page; any other template may be on any."""
        tags = set()
        views = views.exists().filtered(lambda v: v.type == 'qweb')
        if not views:
            return tags
        pages = self.env['website.page'].sudo().with_context(active_test=False).search([('view_id', 'in', views.ids)])
        parents = self.env['ir.ui.view'].sudo().with_context(active_test=False).search(
            [('inherit_id', 'in', views.ids)]).inherit_id
        for view in views:
            own = pages.filtered(lambda p: p.view_id == view)
            if own and not view.inherit_id and view not in parents:
                tags |= tools.purge_tags('website.page', own.ids)
            else:
                tags |= self._site_tags(view)
        return tags

    @api.model
    def _resolve_attachment(self, attachments):
        """An attachment, and the record that it is a field of."""
        tags = set()
        for attachment in attachments.exists():
            if (attachment.url or '').startswith(('/web/assets/', '/web/content/')) and not attachment.res_field:
                # Generated bundles: a changed bundle has another address.
                if not attachment.public or attachment.url.startswith('/web/assets/'):
                    continue
            if attachment.public or attachment.res_field:
                tags.add(tools.record_tag('ir.attachment', attachment.id))
            if attachment.res_field and attachment.res_id and (attachment.mimetype or '').startswith('image/'):
                tags.add(tools.record_tag(attachment.res_model, attachment.res_id))
        return tags | self._resolve_res(attachments)

    @api.model
    def _resolve_res(self, records):
        """The records that res_model and res_id name."""
        specs, ids = self._spec_table(), {}
        for record in records.exists():
            if record.res_model in specs and specs[record.res_model].kind in ('record', 'parent', 'site', 'model') and record.res_id:
                ids.setdefault(record.res_model, set()).add(record.res_id)
        tags = set()
        for model, found in ids.items():
            tags |= self._resolve(model, found, depth=1)
        return tags

    @api.model
    def _resolve_rate(self, rates):
        return {'res.currency'}

    @api.model
    def _resolve_parameter(self, parameters):
        keys = ('web.base.url', 'website.', 'google_maps', 'recaptcha_public_key', 'cf.turnstile_site_key')
        return {'website'} if any((p.key or '').startswith(keys) for p in parameters.exists()) else set()

    @api.model
    def _resolve_partner(self, partners):
        """The address of a company is in the footer. Other partners change all
        day and are hardly ever shown; those that are, are left to the lifetime."""
        companies = self.env['res.company'].sudo().search([('partner_id', 'in', partners.ids)], limit=1)
        return {'website'} if companies else set()


def _before_commit(cr):
    """Turns what has been noted into tags, and keeps them until the commit.

    Runs inside the business transaction, which must not fail because of it:
    hence the savepoint, and a purge of everything if anything goes wrong.
    """
    changes = cr.precommit.data.pop('odoocache', None)
    if changes is None:
        return
    current = state.current()
    by_header = current is not None and current.edge
    tags = {const.ALL}
    try:
        env = api.Environment(cr, SUPERUSER_ID, {})
        with cr.savepoint(flush=False):
            try:
                with cr.savepoint(flush=False):
                    tags = env['odoocache']._resolve_changes(changes)
            except Exception:
                _logger.exception("odoocache: what has changed is not clear; everything is purged")
                tags = {const.ALL}
            config = env['odoocache']._config()
            if tags and not config.urls:
                if not by_header:
                    env['odoocache.purge']._add_mark()
            elif tags and (not by_header or config.always_post):
                env['odoocache.purge']._add(tags)
                cr.postcommit.data['odoocache.saved'] = True
    except Exception:
        _logger.exception("odoocache: a purge could not be noted; it is tried again after the commit")
        cr.postcommit.data['odoocache.unsaved'] = True
    if not tags:
        return
    data = cr.postcommit.data
    if 'odoocache' not in data:
        data['odoocache'] = set()
        cr.postcommit.add(lambda: _after_commit(cr))
    data['odoocache'] |= tags


def _after_commit(cr):
    """Hands the purge to the response, or wakes the thread."""
    tags = {const.ALL}
    try:
        tags = cr.postcommit.data.pop('odoocache', None)
        saved = cr.postcommit.data.pop('odoocache.saved', False)
        unsaved = cr.postcommit.data.pop('odoocache.unsaved', False)
        if not tags:
            return
        current = state.current()
        by_header = current is not None and current.edge
        if by_header and not attach(current.response, tags):
            unsaved = True  # a commit before there is a response
        elif by_header:
            sender.note_header(cr.dbname)
        if unsaved:
            save_apart(cr.dbname, tags)
        elif saved:
            sender.wake(cr.dbname)
    except Exception:
        _logger.exception("odoocache: a purge after a commit is delayed")
        save_apart(cr.dbname, tags or {const.ALL})


def attach(response, tags):
    """Adds tags to the purge header of a response. Reports whether it could."""
    if response is None:
        return False
    try:
        old = response.headers.get(const.HEADER_PURGE) or ''
        tags = set(tags) | {t for t in old.replace(',', ' ').split() if t}
        response.headers[const.HEADER_PURGE] = tools.purge_header(tags)
        return True
    except Exception:
        _logger.exception("odoocache: the purge header cannot be set")
        return False


def save_apart(dbname, tags):
    """Writes a purge in a transaction of its own. Never raises."""
    try:
        with Registry(dbname).cursor() as cr:
            api.Environment(cr, SUPERUSER_ID, {})['odoocache.purge']._add(tags)
    except Exception:
        _logger.exception("odoocache: a purge cannot be written down; everything will be purged instead")
        sender.purge_everything(dbname)
    sender.wake(dbname)
