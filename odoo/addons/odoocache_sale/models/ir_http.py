import re

from odoo import models
from odoo.http import request

from odoo.addons.odoocache import state

# The number in the cart, for the script that fills the badge in. Readable by
# scripts, and of no value to anybody else.
COOKIE_CART = 'odoocache_cart'

# Routes of website_sale whose pages do not show the cart: lists of products, and
# products with or without their category.
LIST = '/shop'
PRODUCT = re.compile(r'/shop/(?:<[^<>]+>/)?<model\("product\.template"\):product>')


class IrHttp(models.AbstractModel):
    _inherit = 'ir.http'

    @classmethod
    def _pre_dispatch(cls, rule, args):
        super()._pre_dispatch(rule, args)
        # Modules show what the cart has to do with a product (what is left in
        # stock, where it can be collected). Where the cart itself is read, the
        # page is its visitor's own. A pricelist in the address changes the cart.
        if (hasattr(request, 'cart') and cls._odoocache_shows_products(rule)
                and 'pricelist' not in request.httprequest.args and cls._odoocache_neutral()):
            request.cart = request.env['sale.order'].sudo()

    @classmethod
    def _odoocache_shows_products(cls, rule):
        """Reports whether a route is the shop's, however its address is written."""
        routes = rule.endpoint.routing.get('routes') or ()
        found = any(route == LIST or PRODUCT.fullmatch(route) for route in routes)
        current = state.current()
        if current is not None:
            current.shows_products = found
        return found

    @classmethod
    def _odoocache_more_tags(cls, records, others):
        tags = super()._odoocache_more_tags(records, others)
        if records.get('product.template'):
            # Prices come from rules, rates and taxes that Odoo reads by SQL or
            # keeps in memory.
            tags |= {'product.pricelist', 'res.currency'}
        return tags

    @classmethod
    def _post_dispatch(cls, response):
        current = state.current()
        if (current is not None and current.edge and request.httprequest.path == '/shop/cart/clear'
                and request.session.get('website_sale_cart_quantity')):
            # Odoo forgets to (website_sale, Cart.clear_cart).
            request.session['website_sale_cart_quantity'] = 0
        super()._post_dispatch(response)

    @classmethod
    def _odoocache_finish(cls, current, response, stored):
        super()._odoocache_finish(current, response, stored)
        if not request.session.can_save:
            return
        try:
            count = int(request.session.get('website_sale_cart_quantity') or 0)
        except (TypeError, ValueError):
            count = 0
        old = state.cookies().get(COOKIE_CART)
        if count and old != str(count):
            cls._odoocache_cookie(response, COOKIE_CART, str(count), httponly=False)
        elif not count and old is not None:
            cls._odoocache_cookie(response, COOKIE_CART, '', httponly=False)
