from odoo import _, api, fields, models

from .odoocache_purge import result_notification


class OdoocacheStatus(models.TransientModel):
    """What is known of the cache just now."""
    _name = 'odoocache.status'
    _description = "Page cache"

    name = fields.Char(default=lambda self: _("Page cache"), readonly=True)
    state = fields.Selection(
        [('good', "Good"), ('waiting', "Changes wait"), ('bad', "A cache does not answer"), ('none', "No address is set")],
        readonly=True)
    message = fields.Text(readonly=True)
    edge_ids = fields.One2many('odoocache.status.edge', 'status_id', "Caches", readonly=True)
    last_purge = fields.Datetime(
        "Last drop", readonly=True, help="When pages were last dropped from the cache, because something had changed or by hand.")
    last_way = fields.Selection(
        [('header', "With the answer to whoever made the change"), ('request', "Sent by Odoo")], "How", readonly=True,
        help="A change that is made through the cache drops its pages with the answer. All others are sent by Odoo.")
    waiting = fields.Integer("Waiting", readonly=True, help="Changes that no cache has confirmed yet.")
    waiting_since = fields.Datetime(readonly=True)
    last_error = fields.Text(readonly=True, help="What a cache has answered last to what waits.")
    purge_ids = fields.Many2many('odoocache.purge', string="What waits", compute='_compute_purge_ids')

    def _compute_purge_ids(self):
        waiting = self.env['odoocache.purge'].search([], limit=80)
        for status in self:
            status.purge_ids = waiting

    @api.model
    def _look(self):
        """What there is to know, as values of a record."""
        self.env['odoocache.purge'].sudo()._tidy()
        found = self.env['odoocache.purge'].status()
        answers = found['edges'] and all(edge['ok'] for edge in found['edges'])
        lines = [_("This is no address of a cache: %s", fault) for fault in found['faults']]
        if not found['edges']:
            state = 'none'
            lines.insert(0, _("No address of a cache is set (Settings › Website › Page cache): a change drops pages only if"
                              " it is made through the cache."))
        elif not answers:
            state = 'bad'
            lines.insert(0, _("A cache does not answer as it should. What changes now waits until it does; visitors may see old pages."))
        elif found['pending']:
            state = 'waiting'
            lines.insert(0, _("Changes wait to be sent. Visitors may see old pages."))
        else:
            state = 'good'
            lines.insert(0, _("All is well: each cache answers, and nothing waits."))
        return {
            'state': state,
            'message': '\n'.join(lines),
            'last_purge': found['last_sent'],
            'last_way': found['last_way'],
            'waiting': found['pending'],
            'waiting_since': found['pending_since'],
            'last_error': found['last_answer'],
            'edge_ids': [(5, 0, 0)] + [(0, 0, {
                'name': edge['url'],
                'ok': edge['ok'],
                'answer': '' if edge['ok'] else _refusal(edge),
                'milliseconds': edge['milliseconds'] if edge['status'] else 0,
                'served': edge.get('served', 0),
                'asked': edge.get('asked', 0),
                'waiting': edge.get('waiting', 0),
                'storage': _storage(edge),
            }) for edge in found['edges']],
        }

    @api.model
    def action_open(self):
        """Looks, and shows what was found."""
        self.env['odoocache.purge']._check_may_purge()
        return self.create(self._look())._show()

    def _show(self):
        return {
            'type': 'ir.actions.act_window',
            'name': _("Page cache"),
            'res_model': self._name,
            'res_id': self.id,
            'view_mode': 'form',
            'views': [(False, 'form')],
            'target': 'main',
        }

    def action_refresh(self):
        self.env['odoocache.purge']._check_may_purge()
        self.write(self._look())
        return True

    def action_send_now(self):
        action = self.env['odoocache.purge'].action_send_now()
        self.write(self._look())
        return action

    def action_purge_all(self):
        result = self.env['odoocache.purge'].purge('all')
        return result_notification(result)


class OdoocacheStatusEdge(models.TransientModel):
    _name = 'odoocache.status.edge'
    _description = "One cache"

    status_id = fields.Many2one('odoocache.status', required=True, ondelete='cascade')
    name = fields.Char("Address", readonly=True, help="Where Odoo reaches this cache.")
    ok = fields.Boolean("Answers", readonly=True)
    answer = fields.Char("What is wrong", readonly=True)
    milliseconds = fields.Float(
        "Time (ms)", digits=(12, 1), readonly=True, help="How long it took to ask and to be answered, in milliseconds.")
    served = fields.Integer("Pages from the cache", readonly=True, help="Since the cache was started.")
    asked = fields.Integer("Pages from Odoo", readonly=True, help="Of those that may be kept, since the cache was started.")
    ratio = fields.Float(
        "From the cache", compute='_compute_ratio', help="How many of the pages that may be kept came from the cache, since it was started.")
    waiting = fields.Integer("Waiting there", readonly=True, help="What this cache has taken and has still to do.")
    storage = fields.Char("Kept in", readonly=True)

    @api.depends('served', 'asked')
    def _compute_ratio(self):
        for edge in self:
            edge.ratio = edge.served / (edge.served + edge.asked) if edge.served else 0


def _refusal(edge):
    """What to do about an answer of an edge, and in English what it was."""
    return ' '.join(filter(None, [_advice(edge), edge['answer']]))


def _advice(edge):
    if edge['status'] in (401, 403):
        return _("It does not know this Odoo: compare the secret, the tenant and both clocks. (%s)", edge['status'])
    if edge['status'] == 404:
        return _("No cache at this address, or its router does not lead there. (404)")
    if edge['status'] in (301, 302, 303, 307, 308):
        return _("The address redirects, mostly to https: set the one that it leads to. (%s)", edge['status'])
    return ''


def _storage(edge):
    if edge.get('breaker') == 'open':
        return _("Redis, which does not answer")
    return {'redis': _("Redis"), 'memory': _("Memory")}.get(edge.get('storage'), '')
