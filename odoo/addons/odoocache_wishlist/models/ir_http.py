from odoo import models
from odoo.http import request

from odoo.addons.odoocache import state

# Ids of the products in the wishlist, for the script that marks them.
COOKIE_WISHLIST = 'odoocache_wishlist'


class IrHttp(models.AbstractModel):
    _inherit = 'ir.http'

    @classmethod
    def _odoocache_finish(cls, current, response, stored):
        super()._odoocache_finish(current, response, stored)
        if not request.session.can_save or not getattr(request, 'is_frontend', False):
            return
        old = state.cookies().get(COOKIE_WISHLIST)
        wishes = request.session.get('wishlist_ids')
        if request.session.uid or not wishes:
            if old is not None:
                cls._odoocache_cookie(response, COOKIE_WISHLIST, '', httponly=False)
            return
        products = request.env['product.wishlist'].current().sudo().product_id
        value = '.'.join(map(str, sorted(products.ids)))
        if value != (old or ''):
            cls._odoocache_cookie(response, COOKIE_WISHLIST, value, httponly=False)
