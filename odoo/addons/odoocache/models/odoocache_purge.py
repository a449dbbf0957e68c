import logging

from odoo import _, api, fields, models
from odoo.exceptions import AccessError, UserError

from .. import const, post, tools

_logger = logging.getLogger(__name__)


_warned = False


class OdoocachePurge(models.Model):
    """Purges that no edge has confirmed yet.

    A row is written in the transaction that makes a page wrong. It is deleted
    once every edge has answered 200.
    """
    _name = 'odoocache.purge'
    _description = "Pending purge"
    _order = 'id'

    tags = fields.Text(required=True)
    state = fields.Text(string="Last answer", readonly=True)

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
        config = self.env['odoocache']._config()
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
        cr.execute("UPDATE odoocache_purge SET state = %s WHERE id IN %s",
                   (answer[:1000], tuple(r[0] for r in rows)))
        self._shrink(rows, const.MAX_PENDING)
        return delay

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
        if status == 503:
            _logger.info("odoocache: %s asks to send the purge again: %s", url, what)
            return _seconds(headers.get('Retry-After')), what
        _logger.error("odoocache: %s refuses a purge: %s", url, what)
        return 60, what

    @api.model
    def _note_success(self):
        self.env.cr.execute(
            "INSERT INTO odoocache_log (id, sent) VALUES (1, now() AT TIME ZONE 'UTC')"
            " ON CONFLICT (id) DO UPDATE SET sent = excluded.sent")

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
    def purge(self, scope, website_id=None, path=None):
        """Purges by hand.

        :param str scope: ``page`` (with ``path``), ``website`` (with ``website_id``) or ``all``
        :return: a message for the user
        """
        self._check_may_purge()
        self = self.sudo()
        if scope == 'all':
            self.env['odoocache']._note_everything()
            return _("Everything is being purged.")
        if scope == 'website' and website_id:
            self.env['odoocache']._note_tags(f'website-{int(website_id)}')
            return _("The pages of this website are being purged.")
        if scope == 'page' and path:
            self.env['odoocache']._note_tags(*self._page_items(path))
            return _("This page is being purged.")
        raise UserError(_("There is nothing to purge."))

    @api.model
    def _page_items(self, path):
        """The page itself, in each language."""
        path = '/' + str(path).split('?')[0].split('#')[0].strip('/')
        if not tools.is_item(path) or path.startswith('//'):
            raise UserError(_("This address cannot be purged: %s", ascii(path)[1:-1]))
        codes = [code for code, *_rest in self.env['res.lang'].sudo().get_installed()]
        urls = set(self.env['res.lang'].sudo().search([('code', 'in', codes)]).mapped('url_code'))
        first, _sep, rest = path[1:].partition('/')
        bare = f'/{rest}' if first in urls else path
        return {bare} | {f'/{url}{bare}'.rstrip('/') for url in urls}

    @api.model
    def status(self):
        """What the status line shows."""
        self._check_may_purge()
        config = self.env['odoocache'].sudo()._config()
        cr = self.env.cr
        cr.execute("SELECT count(*), min(create_date), max(state) FROM odoocache_purge")
        pending, oldest, answer = cr.fetchone()
        cr.execute("SELECT sent FROM odoocache_log WHERE id = 1")
        sent = cr.fetchone()
        edges = []
        for url in config.urls:
            timeout = min(config.timeout, 3)
            asked, _target = post.request(url, config.host, const.PATH_STATUS)
            if config.secret:
                asked.add_header('Authorization', f'Bearer {config.secret}')
            try:
                code, headers, text = post.exchange(asked, timeout)
                ok = code == 200 and post.of_edge(text)
                if not ok:
                    text = post.refusal(url, config.host, code, headers, text)
            except Exception as error:  # noqa: BLE001 shown to the user
                code, ok, text = 0, False, post.failure(url, config.host, error, timeout)
            edges.append({'url': url, 'ok': ok, 'status': code, 'answer': text[:500]})
        return {
            'edges': edges,
            'faults': config.faults,
            'pending': pending,
            'pending_since': fields.Datetime.to_string(oldest) if oldest else False,
            'last_answer': answer or False,
            'last_sent': fields.Datetime.to_string(sent[0]) if sent and sent[0] else False,
        }

    @api.model
    def status_line(self):
        status = self.status()
        if not status['edges'] and not status['faults']:
            line = [_("No edge is set: changes reach only the edge through which they are made.")]
        else:
            line = [
                _("%s answers", edge['url']) if edge['ok']
                else _("%(url)s does not answer: %(what)s", url=edge['url'], what=edge['answer'])
                for edge in status['edges']
            ]
        line += [_("not an address of an edge: %s", fault) for fault in status['faults']]
        line.append(_("last purge sent: %s UTC", status['last_sent']) if status['last_sent'] else _("no purge sent yet"))
        if status['pending']:
            line.append(_("%(count)s purges wait since %(since)s UTC", count=status['pending'], since=status['pending_since']))
        else:
            line.append(_("no purge waits"))
        return '; '.join(line)


def _seconds(retry_after):
    try:
        return min(max(int(retry_after), 0), 300)
    except (TypeError, ValueError):
        return 5
