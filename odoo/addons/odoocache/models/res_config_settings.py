from odoo import fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = 'res.config.settings'

    odoocache_edge_url = fields.Char(
        "Address of the edge", config_parameter='odoocache.edge_url',
        help="Where purges are sent when a change does not come through the edge: "
             "https://shop.example, several separated by spaces. The environment variable "
             "ODOOCACHE_EDGE_URL goes before it.")
    odoocache_secret = fields.Char(
        "Purge secret", config_parameter='odoocache.secret',
        help="The purge secret of the edge. The environment variable ODOOCACHE_SECRET goes before it.")
    odoocache_tenant = fields.Char(
        "Tenant", config_parameter='odoocache.tenant',
        help="The edge's option tenant, which is part of what is signed. Empty: default. The environment "
             "variable ODOOCACHE_TENANT goes before it.")
    odoocache_always_post = fields.Boolean(
        "Always send purges", config_parameter='odoocache.always_post',
        help="Send each purge to the addresses above, also when the change came through an edge. "
             "For several edges that do not share their storage.")
    odoocache_page_ttl = fields.Integer(related='website_id.odoocache_page_ttl', readonly=False)
    odoocache_grace = fields.Integer(related='website_id.odoocache_grace', readonly=False)
    odoocache_sie = fields.Integer(related='website_id.odoocache_sie', readonly=False)

    def _odoocache_message(self, message, kind='success'):
        return {
            'type': 'ir.actions.client',
            'tag': 'display_notification',
            'params': {'message': message, 'type': kind, 'sticky': kind != 'success'},
        }

    def action_odoocache_purge_website(self):
        return self._odoocache_message(
            self.env['odoocache.purge'].purge('website', website_id=self.website_id.id))

    def action_odoocache_purge_all(self):
        return self._odoocache_message(self.env['odoocache.purge'].purge('all'))

    def action_odoocache_status(self):
        status = self.env['odoocache.purge'].status()
        good = all(e['ok'] for e in status['edges']) and status['edges'] and not status['pending']
        return self._odoocache_message(self.env['odoocache.purge'].status_line(), 'success' if good else 'warning')

    def execute(self):
        result = super().execute()
        # Settings write parameters, groups and views in many ways.
        self.env['odoocache']._note_tags('website')
        return result
