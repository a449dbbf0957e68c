import logging
import time

from odoo import _, api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.http import request

from .. import const, post, state, tools

_logger = logging.getLogger(__name__)


# Ways to the edge, and their rows in odoocache_log: by a request of this module,
# or by a header of the answer to whoever made the change through the edge.
WAY_REQUEST, WAY_HEADER = 1, 2

# So many things are named on the screen of what waits.
MAX_NAMES = 5

_warned = False


class OdoocachePurge(models.Model):
    """Purges that no edge has confirmed yet.

    A row is written in the transaction that makes a page wrong. It is deleted
    once every edge has answered 200.
    """
    _name = 'odoocache.purge'
    _description = "Change that waits for the cache"
    _order = 'id'
    _rec_name = 'tags'

    what = fields.Char("What to drop", compute='_compute_what', help="The pages that are wrong.")
    tags = fields.Text(
        "As the cache is told", required=True, readonly=True,
        help="The pages that are wrong, by what is on them: product.template-9 are those that show the product with "
             "this number, website-1 are all of a website, an address is that page. * is everything.")
    state = fields.Text(
        "Last error", readonly=True, help="What the cache has answered last. Empty: it has not been asked yet.")
    create_date = fields.Datetime("Waits since", readonly=True)
    tried = fields.Datetime("Last try", readonly=True)

    @api.depends('tags')
    def _compute_what(self):
        for row in self:
            names = list(dict.fromkeys(filter(None, map(self._name_of, row.tags.split()))))
            row.what = ', '.join(names[:MAX_NAMES]) + (', …' if len(names) > MAX_NAMES else '') if names else row.tags

    @api.model
    def _name_of(self, tag):
        """What a tag means to a user, nothing for one that stands beside another."""
        if tag == const.ALL:
            return _("Everything")
        if tag.startswith('/'):
            return tag
        model, _dash, number = tag.rpartition('-')
        if number == 'many':
            return None
        if model not in self.env or not number.isdigit():
            return tag
        try:
            record = self.env[model].browse(int(number)).exists()
            return f'{self.env["ir.model"].sudo()._get(model).name}: {record.display_name}' if record else tag
        except AccessError:
            return tag

    @api.model
    def _add(self, tags):
        """Notes a purge, by SQL: nothing here may start a flush of the
        transaction that is being committed."""
        self.env.cr.execute(
            "INSERT INTO odoocache_purge (tags, create_uid, write_uid, create_date, write_date)"
            " VALUES (%s, %s, %s, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')",
            (' '.join(tools.purge_items(tags)), self.env.uid, self.env.uid))

    @api.model
    def _add_mark(self):
        """Notes that something has changed that no edge can be told of, since
        no address is set. Once one is, everything is purged."""
        global _warned
        if not _warned:
            _warned = True
            _logger.warning("odoocache: a change did not come through the edge, and no address of an edge is set"
                            " (odoocache.edge_url or ODOOCACHE_EDGE_URL): it is not purged")
        self.env.cr.execute("SELECT 1 FROM odoocache_purge LIMIT 1")
        if not self.env.cr.fetchone():
            self._add({const.ALL})

    @api.model
    def _cron_send(self):
        self._send_pending()

    @api.model
    def _send_pending(self):
        """Sends all pending purges, as one. Returns None if nothing is left to
        do, else the seconds after which to try again, at least."""
        cr = self.env.cr
        # Rows that another process is sending are its own business.
        cr.execute("SELECT id, tags FROM odoocache_purge ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
                   (const.MAX_PENDING + 1,))
        rows = cr.fetchall()
        if not rows:
            return None
        config = self.env['odoocache']._config(uncached=True)
        if not config.urls:
            if config.faults:
                _logger.error("odoocache: purges are not sent: %s", '; '.join(config.faults))
            self._shrink(rows, 1)
            return None
        tags = set()
        for _id, text in rows:
            tags.update(text.split())
        delay, answer = None, ''
        for url in config.urls:
            wait, text = self._send(config, url, tags)
            if wait is not None:
                delay = max(delay or 0, wait)
                answer = f'{url}: {text}'
        if delay is None:
            cr.execute("DELETE FROM odoocache_purge WHERE id IN %s", (tuple(r[0] for r in rows),))
            self._note_success()
            return None if len(rows) <= const.MAX_PENDING else 0
        cr.execute("UPDATE odoocache_purge SET state = %s, tried = now() AT TIME ZONE 'UTC' WHERE id IN %s",
                   (answer[:1000], tuple(r[0] for r in rows)))
        self._shrink(self._merge(rows), const.MAX_PENDING)
        return delay

    @api.model
    def _merge(self, rows):
        """Removes, of rows that this transaction has locked, those whose pages
        another one names. Returns the others. (Not when a row is written: the
        one that is there may be on its way already.)"""
        everything = any(const.ALL in text.split() for _id, text in rows)
        kept, named = [], set()
        for row in rows:
            tags = {const.ALL} if everything else set(row[1].split())
            if not tags <= named:
                kept.append((row[0], const.ALL if everything else row[1]))
                named |= tags
        ids = {row[0] for row in kept}
        gone = [row[0] for row in rows if row[0] not in ids]
        if gone:
            self.env.cr.execute("DELETE FROM odoocache_purge WHERE id IN %s", (tuple(gone),))
        if everything and kept:
            self.env.cr.execute("UPDATE odoocache_purge SET tags = %s WHERE id = %s", (const.ALL, kept[0][0]))
        return kept

    @api.model
    def _tidy(self):
        """Merges what waits, but for what is being sent just now."""
        self.env.cr.execute("SELECT id, tags FROM odoocache_purge ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
                            (const.MAX_PENDING,))
        self._merge(self.env.cr.fetchall())

    @api.model
    def web_search_read(self, *args, **kwargs):
        self.sudo()._tidy()
        return super().web_search_read(*args, **kwargs)

    web_search_read._readonly = False  # since 18, else it is asked of a database that takes no changes

    @api.model
    def _shrink(self, rows, limit):
        """Keeps the table small while no edge answers."""
        if len(rows) > limit:
            self.env.cr.execute("UPDATE odoocache_purge SET tags = %s WHERE id = %s", (const.ALL, rows[-1][0]))
            self.env.cr.execute("DELETE FROM odoocache_purge WHERE id IN %s", (tuple(r[0] for r in rows[:-1]),))

    @api.model
    def _send(self, config, url, tags):
        """Sends one purge to one edge. Returns (None, '') if it is done, else
        the seconds to wait at least and what is wrong."""
        def send(tags):
            return post.purge(url, config.host, config.secret, config.tenant, tools.purge_body(tags), config.timeout)

        try:
            status, headers, text = send(tags)
            if status in (400, 413) and post.of_edge(text) and const.ALL not in tags:
                # The edge does not take these tags. It must not keep the pages.
                _logger.error("odoocache: %s refuses a purge (%s): %s; everything is purged instead", url, status, text)
                status, headers, text = send({const.ALL})
        except Exception as error:  # noqa: BLE001 whatever it is, the purge is still to be sent
            what = post.failure(url, config.host, error, config.timeout)
            _logger.warning("odoocache: %s does not answer: %s", url, what)
            return 0, what
        if status == 200 and post.of_edge(text):
            return None, ''
        what = post.refusal(url, config.host, status, headers, text)
        if status in (429, 503):
            _logger.info("odoocache: %s asks to send the purge again: %s", url, what)
            return _seconds(headers.get('Retry-After')), what
        _logger.error("odoocache: %s refuses a purge: %s", url, what)
        return 60, what

    @api.model
    def _note_success(self, way=WAY_REQUEST):
        self.env.cr.execute(
            "INSERT INTO odoocache_log (id, sent) VALUES (%s, now() AT TIME ZONE 'UTC')"
            " ON CONFLICT (id) DO UPDATE SET sent = excluded.sent", (way,))

    def init(self):
        # Not ir.config_parameter: writing one empties caches in every process.
        self.env.cr.execute("CREATE TABLE IF NOT EXISTS odoocache_log (id int PRIMARY KEY, sent timestamp)")

    # ---------------------------------------------------------- for buttons

    @api.model
    def _check_may_purge(self):
        user = self.env.user
        if not (self.env.su or user.has_group('website.group_website_designer') or user.has_group('base.group_system')):
            raise AccessError(_("Only website designers and administrators may purge the page cache."))

    @api.model
    def purge(self, scope, website_id=None, path=None, record=None):
        """Purges by hand.

        :param str scope: ``page`` (with ``path``, ``record`` or both), ``website`` (with ``website_id``) or ``all``
        :param record: what the page shows, as {'model': name, 'id': number}; found by the path if it is not said
        :return: {'state': ``done``, ``queued`` or ``impossible``, 'message': text for the user}
        """
        self._check_may_purge()
        self = self.sudo()
        if scope == 'all':
            return self._purge_now({const.ALL}, _("All kept pages are dropped."))
        if scope == 'website' and website_id:
            return self._purge_now({f'website-{int(website_id)}'}, _("The kept pages of this website are dropped."))
        if scope == 'page' and (path or record):
            tags = self._page_items(path) if path else set()
            tags |= self._record_items(**record) if record else self._path_items(path)
            return self._purge_now(tags, _("This page is dropped, in all languages."))
        raise UserError(_("There is nothing to purge."))

    @api.model
    def _purge_now(self, tags, done):
        """Purges at once if that can be done, and says how far it came.

        :param set tags: what to purge
        :param str done: what to say when it is done
        """
        current = state.current()
        config = self.env['odoocache']._config()
        if current is not None and current.edge:  # by this answer, before its reader has it
            self.env['odoocache']._note_tags(*tags)
            return {'state': 'done', 'message': done}
        if not config.urls:
            return {'state': 'impossible', 'message': '\n'.join([
                _("Nothing was dropped: no address of the cache is set, and you work past it. Set one in"
                  " Settings › Website › Page cache."),
                *(_("This is no address of a cache: %s", fault) for fault in config.faults)])}
        failed = [f'{url}: {text}' for url, wait, text in (
            (url, *self._send(config, url, tags)) for url in config.urls) if wait is not None]
        if not failed:
            self._note_success()
            return {'state': 'done', 'message': done}
        self.env['odoocache']._note_tags(*tags)
        return {'state': 'queued', 'message': '\n'.join([
            _("Not dropped yet: the cache did not take it. It waits, and is sent again by itself."), *failed])}

    @api.model
    def _record_items(self, model, id):  # noqa: A002 as the website's editor names it
        """The pages that show a record."""
        spec = self.env['odoocache']._spec_table().get(model)
        if spec is None or not id:
            return set()
        if spec.kind == 'record':
            return tools.purge_tags(model, [int(id)])
        return self.env['odoocache']._resolve(model, {int(id)}) if spec.kind == 'parent' else set()

    @api.model
    def _path_items(self, path):
        """The pages that show what the page at an address is about: the last
        record that the address names."""
        bare = self._bare_path(path)
        page = self.env['website.page'].with_context(active_test=False).search([('url', '=', bare)])
        if page:
            return tools.purge_tags('website.page', page.ids)
        if not request:
            return set()
        try:
            _rule, args = self.env['ir.http'].routing_map().bind('localhost').match(bare, return_rule=True)
        except Exception:  # noqa: BLE001 no route, or a redirect: there is no record
            return set()
        records = [value for value in args.values() if isinstance(value, models.BaseModel) and len(value) == 1]
        return self._record_items(records[-1]._name, records[-1].id) if records else set()

    @api.model
    def _bare_path(self, path):
        """An address without its language."""
        first, _sep, rest = path[1:].partition('/')
        return f'/{rest}' if first in self._language_codes() else path

    @api.model
    def _language_codes(self):
        return {lang.url_code for lang in self.env['res.lang'].sudo().search([])}

    @api.model
    def _page_items(self, path):
        """The page itself, in each language."""
        path = '/' + str(path).split('?')[0].split('#')[0].strip('/')
        if not tools.is_item(path) or path.startswith('//'):
            raise UserError(_("This address cannot be purged: %s", ascii(path)[1:-1]))
        bare = self._bare_path(path)
        return {bare} | {f'/{url}{bare}'.rstrip('/') for url in self._language_codes()}

    @api.model
    def action_send_now(self):
        """Sends what waits, and says how far that came."""
        self._check_may_purge()
        self = self.sudo()
        if not self.search_count([], limit=1):
            return notification(_("Nothing waits."), 'info')
        if not self.env['odoocache']._config().urls:
            return notification(_("Nothing was sent: no address of the cache is set."), 'danger')
        delay = self._send_pending()
        left = self.search([], limit=1)
        if delay is None and not left:
            return notification(_("Sent. Nothing waits any more."), 'success')
        return notification(
            _("Not all was sent. It stays here, and is sent again by itself. %s", left.state or ''), 'warning')

    @api.model
    def status(self):
        """What the status line shows."""
        self._check_may_purge()
        config = self.env['odoocache'].sudo()._config()
        cr = self.env.cr
        cr.execute("SELECT count(*), min(create_date), max(state) FROM odoocache_purge")
        pending, oldest, answer = cr.fetchone()
        cr.execute("SELECT id, sent FROM odoocache_log WHERE sent IS NOT NULL ORDER BY sent DESC LIMIT 1")
        way, sent = cr.fetchone() or (None, None)
        edges = []
        for url in config.urls:
            timeout = min(config.timeout, 3)
            asked, _target = post.request(url, config.host, const.PATH_STATUS)
            if config.secret:
                asked.add_header('Authorization', f'Bearer {config.secret}')
            began = time.monotonic()
            try:
                code, headers, text = post.exchange(asked, timeout, 64000)
                ok = code == 200 and post.of_edge(text)
                if not ok:
                    text = post.refusal(url, config.host, code, headers, text)
            except Exception as error:  # noqa: BLE001 shown to the user
                code, ok, text = 0, False, post.failure(url, config.host, error, timeout)
            edges.append({
                'url': url, 'ok': ok, 'status': code, 'answer': text[:500],
                'milliseconds': round((time.monotonic() - began) * 1000, 1), **tools.edge_numbers(text if ok else '')})
        return {
            'edges': edges,
            'faults': config.faults,
            'pending': pending,
            'pending_since': fields.Datetime.to_string(oldest) if oldest else False,
            'last_answer': answer or False,
            'last_sent': fields.Datetime.to_string(sent) if sent else False,
            'last_way': {WAY_REQUEST: 'request', WAY_HEADER: 'header'}.get(way, False),
        }


def notification(message, kind, reload=True):
    """What a button shows: success, info, warning or danger."""
    return {
        'type': 'ir.actions.client',
        'tag': 'display_notification',
        'params': {
            'message': message, 'type': kind, 'sticky': kind in ('warning', 'danger'),
            **({'next': {'type': 'ir.actions.client', 'tag': 'soft_reload'}} if reload else {}),
        },
    }


def result_notification(result, reload=False):
    """What a button shows of what purge() returns."""
    kind = {'done': 'success', 'queued': 'warning', 'impossible': 'danger'}[result['state']]
    return notification(result['message'], kind, reload)


def _seconds(retry_after):
    try:
        return min(max(int(retry_after), 0), 300)
    except (TypeError, ValueError):
        return 5
