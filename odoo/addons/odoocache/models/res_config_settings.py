from odoo import _, api, fields, models
from odoo.exceptions import AccessError

ADMINISTRATOR = 'base.group_system'

# Settings of all websites, which are system parameters. Odoo reads those for
# whoever asks for defaults.
PARAMETERS = ('odoocache_edge_url', 'odoocache_tenant', 'odoocache_always_post')


class ResConfigSettings(models.TransientModel):
    _inherit = 'res.config.settings'

    odoocache_edge_url = fields.Char(
        "Address of the edge", config_parameter='odoocache.edge_url', groups=ADMINISTRATOR,
        help="Where purges are sent when a change does not come through the edge: "
             "https://shop.example, several separated by spaces. The environment variable "
             "ODOOCACHE_EDGE_URL goes before it.")
    odoocache_secret = fields.Char(
        "New purge secret", compute='_compute_odoocache_secret', readonly=False, store=False, groups=ADMINISTRATOR,
        help="The purge secret of the edge. It can be set here, and is not shown again. The environment variable "
             "ODOOCACHE_SECRET goes before it.")
    odoocache_has_secret = fields.Boolean(
        "Purge secret is set", compute='_compute_odoocache_secret', store=False, groups=ADMINISTRATOR)
    odoocache_tenant = fields.Char(
        "Tenant", config_parameter='odoocache.tenant', groups=ADMINISTRATOR,
        help="The tenant of the edge, if it has one. The environment variable ODOOCACHE_TENANT goes before it.")
    odoocache_always_post = fields.Boolean(
        "Always send purges", config_parameter='odoocache.always_post', groups=ADMINISTRATOR,
        help="Send each purge to the addresses above, also when the change came through an edge. "
             "For several edges that do not share their storage.")
    odoocache_page_ttl = fields.Integer(related='website_id.odoocache_page_ttl', readonly=False)
    odoocache_grace = fields.Integer(related='website_id.odoocache_grace', readonly=False)
    odoocache_sie = fields.Integer(related='website_id.odoocache_sie', readonly=False)

    @api.model
    def default_get(self, fields):
        values = super().default_get(fields)
        if not self.env.su and not self.env.user.has_group(ADMINISTRATOR):
            for name in PARAMETERS:
                values.pop(name, None)
        return values

    # The secret goes in and never comes out: no record of settings has it, not
    # even the one by which it is set.

    def init(self):
        super().init()
        # Earlier versions kept it there.
        self.env.cr.execute("ALTER TABLE res_config_settings DROP COLUMN IF EXISTS odoocache_secret")

    def _compute_odoocache_secret(self):
        has = bool(self.env['odoocache'].sudo()._config().secret)
        for settings in self:
            settings.odoocache_secret = False
            settings.odoocache_has_secret = has

    @api.model
    def _odoocache_take_secret(self, vals):
        """Stores the secret that a form sends. Returns the values without it."""
        if 'odoocache_secret' not in vals:
            return vals
        self._odoocache_check_administrator()
        secret = (vals['odoocache_secret'] or '').strip()
        if secret:
            self.env['ir.config_parameter'].sudo().set_param('odoocache.secret', secret)
        return {name: value for name, value in vals.items() if name != 'odoocache_secret'}

    def _odoocache_check_administrator(self):
        if not self.env.su and not self.env.user.has_group(ADMINISTRATOR):
            raise AccessError(_("Only administrators may set the purge secret."))

    @api.model_create_multi
    def create(self, vals_list):
        return super().create([self._odoocache_take_secret(vals) for vals in vals_list])

    def write(self, vals):
        return super().write(self._odoocache_take_secret(vals))

    def action_odoocache_forget_secret(self):
        self._odoocache_check_administrator()
        self.env['ir.config_parameter'].sudo().set_param('odoocache.secret', False)
        return self._odoocache_message(_("The purge secret is removed."))

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
        good = (status['edges'] and all(e['ok'] for e in status['edges'])
                and not status['faults'] and not status['pending'])
        return self._odoocache_message(self.env['odoocache.purge'].status_line(), 'success' if good else 'warning')

    def execute(self):
        result = super().execute()
        # Settings write parameters, groups and views in many ways.
        self.env['odoocache']._note_tags('website')
        return result
