from odoo import api, models


class ProductWishlist(models.Model):
    _inherit = 'product.wishlist'

    @api.model
    def current(self):
        # For pages that the edge keeps, everybody's wishlist is empty.
        if not self.env.context.get('odoocache_own') and self.env['ir.http']._odoocache_neutral():
            return self.sudo().browse()
        return super().current()
