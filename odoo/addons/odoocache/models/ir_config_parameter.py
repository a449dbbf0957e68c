from odoo import _, api, models
from odoo.exceptions import ValidationError

from .. import sender, tools


class IrConfigParameter(models.Model):
    _inherit = 'ir.config_parameter'

    @api.constrains('key', 'value')
    def _odoocache_check(self):
        for parameter in self.filtered(lambda p: p.key == 'odoocache.edge_url'):
            for url in (parameter.value or '').replace(',', ' ').split():
                fault = tools.url_fault(url)
                if fault:
                    raise ValidationError(_(
                        "%(url)s cannot be the address of an edge: %(fault)s",
                        url=tools.without_credentials(url), fault=fault))

        for parameter in self.filtered(lambda p: p.key == 'odoocache.edge_host'):
            fault = tools.host_fault((parameter.value or '').strip())
            if fault:
                raise ValidationError(f'odoocache.edge_host: {fault}')

    def _odoocache_changed(self, keys):
        """With another address or secret, what waits is sent at once, not after
        the pause that the old ones have led to."""
        if any((key or '').startswith('odoocache.') for key in keys):
            dbname = self.env.cr.dbname
            self.env.cr.postcommit.add(lambda: sender.wake(dbname, at_once=True))

    @api.model_create_multi
    def create(self, vals_list):
        records = super().create(vals_list)
        self._odoocache_changed([vals.get('key') for vals in vals_list])
        return records

    def write(self, vals):
        self._odoocache_changed([*self.mapped('key'), vals.get('key')])
        return super().write(vals)
