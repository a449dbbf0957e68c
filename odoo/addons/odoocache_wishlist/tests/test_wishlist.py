import json
import re

from odoo.tests import tagged

from odoo.addons.odoocache import const
from odoo.addons.odoocache.tests.common import EDGE, EdgeCase, configure


@tagged('post_install', '-at_install')
class TestWishlist(EdgeCase):

    def call(self, url, **params):
        response = self.url_open(
            url, headers={**EDGE, 'Content-Type': 'application/json'}, data=json.dumps({'params': params}))
        self.assertNotIn('error', response.json())
        return response

    def test_wishlist(self):
        configure(self.env)
        thing = self.env['product.template'].create({'name': "Odoocache thing", 'is_published': True, 'list_price': 5})
        variant = thing.product_variant_id
        before = self.url_open(thing.website_url, headers=EDGE)
        response = self.call('/shop/wishlist/add', product_id=variant.id)
        self.assertEqual(response.cookies['odoocache_wishlist'], str(variant.id))
        after = self.url_open(thing.website_url, headers=EDGE)
        self.assertEqual(after.headers[const.HEADER_CONTEXT], '0')
        self.assertEqual(self.wishes(before), self.wishes(after))
        self.assertNotEqual(self.wishes(before), self.wishes(self.url_open(thing.website_url)))
        for url in ('/shop/wishlist', '/shop/wishlist?v=1', '//shop/wishlist', '/%2fshop/wishlist?v=1', '/shop/%77ishlist'):
            response = self.get(url)
            self.assertContext(response, 'private')
            self.assertIn("Odoocache thing", response.text)
            self.assertNotIn("Odoocache thing", self.fill(url).text)
        self.page_with('<i t-out="request.env[\'product.wishlist\'].current().product_id.name"/>')
        response = self.get('/odoocache-page')
        self.assertContext(response, 'private')
        self.assertIn("Odoocache thing", response.text)
        self.assertContext(self.fill('/odoocache-page'), '0')
        for url in ('/', '/shop', '/contactus'):
            self.assertContext(self.get(url), '0')
        self.assertEqual(self.call('/shop/wishlist/get_product_ids').json()['result'], [variant.id])
        wish = self.env['product.wishlist'].search([('product_id', '=', variant.id)])
        response = self.call(f'/shop/wishlist/remove/{wish.id}')
        self.assertIn('odoocache_wishlist=;', response.headers['Set-Cookie'])

    def wishes(self, response):
        return re.findall(r'<sup[^>]*my_wish_quantity[^>]*>[^<]*</sup>', response.text.replace('\n', ' ')) + re.findall(
            r'<a[^>]*o_add_wishlist[^>]*>', response.text)
