import json
import re
from unittest.mock import patch

from odoo.fields import Command
from odoo.http import root
from odoo.tests import HttpCase, tagged

from odoo.addons.odoocache import const
from odoo.addons.odoocache.tests.common import EDGE, configure, forget, noted, pending, postcommit_runs


@tagged('post_install', '-at_install')
class TestSale(HttpCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        configure(cls.env, edge_url='http://edge.example')
        cls.website = cls.env['website'].search([], limit=1)
        cls.category = cls.env['product.public.category'].create({'name': "Odoocache things"})
        cls.products = cls.env['product.template'].create([{
            'name': f"Odoocache thing {i}", 'list_price': 10 + i, 'is_published': True, 'sale_ok': True,
            'public_categ_ids': [Command.link(cls.category.id)], 'type': 'consu',
        } for i in range(3)])
        cls.thing, cls.other, cls.hidden = cls.products
        cls.hidden.is_published = False
        cls.pricelist = cls.env['product.pricelist'].create({
            'name': "Odoocache", 'selectable': True, 'website_id': cls.website.id})

    def setUp(self):
        super().setUp()
        forget(self.env)

    def get(self, url, **kwargs):
        return self.url_open(url, headers=dict(EDGE, **kwargs.pop('headers', {})), **kwargs)

    def tags(self, url):
        response = self.get(url)
        self.assertEqual(response.status_code, 200, url)
        self.assertEqual(response.headers[const.HEADER_CONTEXT], '0')
        return set(response.headers[const.HEADER_TAGS].split())

    def listing_url(self):
        return f'/shop/category/{self.env["ir.http"]._slug(self.category)}'

    def add_to_cart(self, product, quantity=2):
        variant = product.product_variant_id
        response = self.url_open('/shop/cart/add', headers={**EDGE, 'Content-Type': 'application/json'}, data=json.dumps({
            'params': {'product_template_id': product.id, 'product_id': variant.id, 'quantity': quantity}}))
        self.assertNotIn('error', response.json())
        return response

    # ---------------------------------------------------------------- tags

    def test_tags_of_a_product(self):
        tags = self.tags(self.thing.website_url)
        self.assertLessEqual({
            f'product.template-{self.thing.id}', 'product.template-any', 'product.pricelist',
            f'product.public.category-{self.category.id}', 'website'}, tags)
        self.assertFalse({f'product.template-{self.other.id}', 'product.template'} & tags)

    def test_tags_of_a_listing(self):
        tags = self.tags(self.listing_url())
        self.assertLessEqual({
            'product.template', f'product.template-{self.thing.id}', f'product.template-{self.other.id}'}, tags)
        self.assertNotIn(f'product.template-{self.hidden.id}', tags)

    def test_tags_of_a_listings_second_page(self):
        """Nothing but what is on the page: all products are searched, few shown."""
        self.website.shop_ppg = 1
        first, second = self.tags(self.listing_url()), self.tags(self.listing_url() + '/page/2')
        own = {f'product.template-{p.id}' for p in self.products}
        self.assertEqual(len(first & own), 1)
        self.assertEqual(len(second & own), 1)
        self.assertNotEqual(first & own, second & own)

    def test_tags_of_an_image(self):
        variant = self.thing.product_variant_id
        for url in (f'/web/image/product.template/{self.thing.id}/image_512',
                    f'/web/image/product.product/{variant.id}/image_512'):
            response = self.get(url)
            self.assertIn(f'product.template-{self.thing.id}', response.headers[const.HEADER_TAGS].split())

    # -------------------------------------------------------------- purges

    def purge_of(self, record, values):
        forget(self.env)
        record.write(values)
        return noted(self.env)

    def test_purge_of_a_price(self):
        thing = {f'product.template-{self.thing.id}', 'product.template-many'}
        self.assertEqual(self.purge_of(self.thing, {'list_price': 77}), thing)
        self.assertEqual(self.purge_of(self.thing.product_variant_id, {'lst_price': 78}), thing)
        self.assertFalse(thing & self.tags(self.other.website_url))
        self.assertTrue(thing & self.tags(self.thing.website_url))
        self.assertTrue(thing & self.tags(self.listing_url()))

    def test_purge_of_a_publication(self):
        self.assertEqual(self.purge_of(self.hidden, {'is_published': True}), {
            'product.template', f'product.template-{self.hidden.id}', 'product.template-many'})

    def test_purge_of_a_new_and_a_removed_product(self):
        forget(self.env)
        product = self.env['product.template'].create({'name': "New", 'is_published': True})
        self.assertIn('product.template', noted(self.env))
        forget(self.env)
        product.unlink()
        self.assertLessEqual({'product.template', f'product.template-{product.id}'}, noted(self.env))

    def test_purge_of_parts(self):
        thing = {f'product.template-{self.thing.id}', 'product.template-many'}
        attribute = self.env['product.attribute'].create({
            'name': "A", 'value_ids': [Command.create({'name': "x"}), Command.create({'name': "y"})]})
        forget(self.env)
        line = self.env['product.template.attribute.line'].create({
            'product_tmpl_id': self.thing.id, 'attribute_id': attribute.id, 'value_ids': [Command.set(attribute.value_ids.ids)]})
        self.assertLessEqual(thing, noted(self.env))
        self.assertLessEqual(thing, self.purge_of(line.product_template_value_ids[0], {'price_extra': 3}))
        self.assertEqual(self.purge_of(attribute.value_ids[0], {'name': "z"}), {'product.attribute'})
        forget(self.env)
        gif = b'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
        self.env['product.image'].create({'name': "i", 'product_tmpl_id': self.thing.id, 'image_1920': gif})
        self.assertLessEqual(thing, noted(self.env))
        self.assertLessEqual(thing, self.purge_of(self.thing, {'image_1920': gif}))

    def test_purge_of_pricelist_items(self):
        forget(self.env)
        item = self.env['product.pricelist.item'].create({
            'pricelist_id': self.pricelist.id, 'applied_on': '1_product', 'product_tmpl_id': self.thing.id,
            'compute_price': 'fixed', 'fixed_price': 3})
        thing = {f'product.template-{self.thing.id}', 'product.template-many'}
        self.assertEqual(noted(self.env), thing)
        self.assertEqual(self.purge_of(item, {'fixed_price': 4}), thing)
        forget(self.env)
        item.unlink()
        self.assertEqual(noted(self.env), thing)
        forget(self.env)
        self.env['product.pricelist.item'].create({
            'pricelist_id': self.pricelist.id, 'applied_on': '3_global', 'compute_price': 'percentage', 'percent_price': 5})
        self.assertEqual(noted(self.env), {'product.pricelist'})

    def test_purge_of_many_products(self):
        products = self.env['product.template'].create([{'name': f"p{i}"} for i in range(const.MAX_PURGE_RECORDS + 1)])
        self.assertEqual(self.purge_of(products, {'list_price': 5}), {'product.template-any'})
        self.assertIn('product.template-any', self.tags(self.thing.website_url))

    def test_purge_of_a_currency_rate(self):
        currency = self.env['res.currency'].with_context(active_test=False).search([('id', '!=', self.env.company.currency_id.id)], limit=1)
        forget(self.env)
        self.env['res.currency.rate'].create({'currency_id': currency.id, 'rate': 2, 'name': '2031-01-01'})
        self.assertEqual(noted(self.env), {'res.currency'})
        self.assertIn('res.currency', self.tags(self.thing.website_url))

    # ---------------------------------------------------------------- cart

    def test_cart(self):
        page = self.get(self.thing.website_url)
        with postcommit_runs() as wake:
            response = self.add_to_cart(self.thing)
            self.assertNotIn(const.HEADER_PURGE, response.headers)
            wake.assert_not_called()
        self.assertEqual(response.cookies['odoocache_cart'], '2')
        self.assertNotIn('HttpOnly', [c for c in response.headers['Set-Cookie'].split(', ') if 'odoocache_cart' in c][0])
        # The page is everybody's, and the edge is told that this visitor may
        # be given everybody's.
        again = self.get(self.thing.website_url)
        self.assertEqual(again.headers[const.HEADER_CONTEXT], '0')
        self.assertIn(const.COOKIE_CONTEXT, {**dict(response.cookies), **dict(again.cookies)})
        self.assertNotIn('data-order-id', again.text)
        self.assertEqual(self.badges(page), self.badges(again))
        for url in ('/', '/', '/contactus', '/shop', '/nosuch'):
            response = self.get(url)
            self.assertNotIn('data-order-id', response.text, url)
            if url in ('/', '/contactus'):
                self.assertNotIn('product.template-', response.headers[const.HEADER_TAGS], url)
            self.assertEqual(response.headers[const.HEADER_CONTEXT], '0', url)
        # Also pages that Odoo keeps in its memory, with the visitor's badge.
        self.get('/contactus')
        self.get('/contactus')
        with patch.object(type(self.env['website.page']), '_get_response_raw', side_effect=AssertionError("not kept")):
            response = self.get('/contactus')
        self.assertEqual(response.status_code, 200)
        self.assertNotIn('data-order-id', response.text)
        # Without the edge nothing is neutral.
        plain = self.url_open(self.thing.website_url)
        self.assertIn('data-order-id', plain.text)
        self.assertNotEqual(self.badges(page), self.badges(plain))
        self.assertIn('data-order-id', self.url_open('/').text)

    def badges(self, response):
        return re.findall(r'<sup[^>]*my_cart_quantity[^>]*>[^<]*</sup>', response.text)

    def test_cart_is_emptied(self):
        self.add_to_cart(self.thing)
        response = self.url_open('/shop/cart/clear', headers={**EDGE, 'Content-Type': 'application/json'}, data='{"params": {}}')
        self.assertIn('odoocache_cart=;', response.headers['Set-Cookie'])

    # ------------------------------------------------------------- context

    def visit_with(self, **values):
        session = self.authenticate(None, None)
        self.assertEqual(self.get('/').headers[const.HEADER_CONTEXT], '0')
        session.update(values)
        root.session_store.save(session)

    def test_context_of_prices(self):
        self.env['res.config.settings'].create({'group_product_pricelist': True}).execute()
        self.assertEqual(self.get('/shop').headers[const.HEADER_CONTEXT], '0')
        self.get('/shop')
        response = self.get('/shop')
        self.assertEqual(response.headers[const.HEADER_CONTEXT], '0')
        self.assertNotIn(const.COOKIE_CONTEXT, response.cookies)
        default, _fiscal_position = self.website._odoocache_default_prices()
        [pricelist, *_rest] = (self.pricelist | self.pricelist.copy()).filtered(lambda p: p.id != default)
        self.visit_with(website_sale_current_pl=pricelist.id)
        response = self.get('/shop')
        value = response.headers[const.HEADER_CONTEXT]
        self.assertRegex(value, '^[0-9a-f]{32}$')
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], value)
        self.visit_with(website_sale_current_pl=pricelist.id)  # another visitor
        self.assertEqual(self.get('/shop').headers[const.HEADER_CONTEXT], value)

    def test_context_of_a_filter(self):
        attribute = self.env['product.attribute'].create({'name': "A", 'value_ids': [Command.create({'name': "x"})]})
        url = f'/shop?attribute_values={attribute.id}-{attribute.value_ids.id}'
        self.authenticate(None, None)
        response = self.get(url)
        value = response.cookies[const.COOKIE_CONTEXT]
        self.assertRegex(value, '^[0-9a-f]{32}$')
        self.assertEqual(response.headers[const.HEADER_CONTEXT], '0', "the list depends on its address alone")
        self.assertEqual(self.get(self.thing.website_url).headers[const.HEADER_CONTEXT], value)
        response = self.get('/shop')
        self.assertEqual(response.headers[const.HEADER_CONTEXT], '0')
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0')

    def test_context_of_a_coupon(self):
        self.visit_with(pending_coupon_code='X')
        self.add_to_cart(self.thing)
        response = self.get('/nosuch')
        self.assertEqual(response.headers[const.HEADER_CONTEXT], 'private')
        self.assertIn('data-order-id', response.text, "rendered for this visitor alone")
