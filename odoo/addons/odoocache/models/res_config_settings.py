from odoo import _, api, fields, models
from odoo.exceptions import AccessError

from .odoocache_purge import notification, result_notification

ADMINISTRATOR = 'base.group_system'

# Settings of all websites, which are system parameters. Odoo reads those for
# whoever asks for defaults.
PARAMETERS = ('odoocache_edge_url', 'odoocache_tenant', 'odoocache_always_post')


class ResConfigSettings(models.TransientModel):
    _inherit = 'res.config.settings'

    odoocache_edge_url = fields.Char(
        "Address of the cache", config_parameter='odoocache.edge_url', groups=ADMINISTRATOR,
        help="Where Odoo reaches the cache (the edge), to tell it of changes that are not made through it: "
             "https://shop.example, several separated by spaces. The environment variable "
             "ODOOCACHE_EDGE_URL goes before it.")
    odoocache_secret = fields.Char(
        "New secret", compute='_compute_odoocache_secret', readonly=False, store=False, groups=ADMINISTRATOR,
        help="The cache's option purge.secret. It can be set here, and is not shown again. The environment variable "
             "ODOOCACHE_SECRET goes before it.")
    odoocache_has_secret = fields.Boolean(
        "A secret is set", compute='_compute_odoocache_secret', store=False, groups=ADMINISTRATOR,
        help="Whether Odoo has a secret to show to the cache.")
    odoocache_tenant = fields.Char(
        "Tenant", config_parameter='odoocache.tenant', groups=ADMINISTRATOR,
        help="The cache's option tenant, if it has one. The environment variable ODOOCACHE_TENANT goes before it.")
    odoocache_always_post = fields.Boolean(
        "Always send", config_parameter='odoocache.always_post', groups=ADMINISTRATOR,
        help="Tell the addresses above of each change, also if it is made through a cache. "
             "For several caches that do not share their storage.")
    odoocache_page_ttl_hours = fields.Float(related='website_id.odoocache_page_ttl_hours', readonly=False)
    odoocache_grace_hours = fields.Float(related='website_id.odoocache_grace_hours', readonly=False)
    odoocache_sie_hours = fields.Float(related='website_id.odoocache_sie_hours', readonly=False)

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
        return notification(_("The secret is removed."), 'success', reload=False)

    def action_odoocache_purge_website(self):
        return result_notification(self.env['odoocache.purge'].purge('website', website_id=self.website_id.id))

    def action_odoocache_purge_all(self):
        return result_notification(self.env['odoocache.purge'].purge('all'))

    def action_odoocache_status(self):
        return self.env['odoocache.status'].action_open()

    def execute(self):
        result = super().execute()
        # Settings write parameters, groups and views in many ways.
        self.env['odoocache']._note_tags('website')
        return result
