from odoo import api, models


class Odoocache(models.AbstractModel):
    _inherit = 'odoocache'

    @api.model
    def _personal_models(self):
        return super()._personal_models() | {'product.wishlist'}
