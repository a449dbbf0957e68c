from odoo import api, models

from odoo.addons.odoocache import tools
from odoo.addons.odoocache.models.odoocache import Spec


class Odoocache(models.AbstractModel):
    _inherit = 'odoocache'

    @api.model
    def _specs(self):
        specs = super()._specs()
        specs['stock.quant'] = Spec(
            'custom', resolve='_resolve_quant', fields=['quantity', 'reserved_quantity', 'location_id', 'product_id'])
        return specs

    @api.model
    def _resolve_quant(self, quants):
        """Stock is shown, or stops the sale, for some products only."""
        templates = quants.exists().product_id.product_tmpl_id.filtered(
            lambda t: t.is_published and (not t.allow_out_of_stock_order or t.show_availability))
        return tools.purge_tags('product.template', templates.ids)
