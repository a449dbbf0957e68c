import json
import re
from datetime import timedelta
from unittest.mock import patch

from odoo.fields import Command, Datetime
from odoo.http import root
from odoo.tests import tagged

from odoo.addons.odoocache import const
from odoo.addons.odoocache.tests.common import EDGE, EdgeCase, configure, forget, noted, pending, postcommit_runs


@tagged('post_install', '-at_install')
class TestSale(EdgeCase):

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

    # --------------------------------------------------------------- clock

    def end(self, url):
        said = re.search(r'end=(\d+)', self.fill(url).headers.get(const.HEADER_CACHE) or '')
        return int(said[1]) if said else None

    def test_a_price_that_ends(self):
        self.env['product.pricelist.item'].search([]).write({'date_start': False, 'date_end': False})
        self.env['res.currency.rate'].search([('name', '>', '2020-01-01')]).unlink()
        if 'publish_date' in self.products._fields:
            self.env['product.template'].search([]).publish_date = '2020-01-01 00:00:00'
        now = Datetime.now()
        urls = {self.thing.website_url, self.listing_url()}
        for url in (*urls, self.other.website_url, '/contactus'):
            self.assertIsNone(self.end(url), url)
        pricelist, _other = self.pricelists()
        item = pricelist.item_ids
        for values, seconds, everywhere in (
            ({'date_end': now + timedelta(seconds=400)}, 400, False),
            ({'date_start': now + timedelta(seconds=200)}, 200, False),
            ({'date_start': now - timedelta(seconds=200)}, 400, False),
            ({'applied_on': '3_global', 'product_tmpl_id': False}, 400, True),
        ):
            item.write(values)
            for url in (*urls, self.other.website_url, '/contactus'):
                end = self.end(url)
                if url in urls or (everywhere and url == self.other.website_url):
                    self.assertTrue(seconds - 60 < end <= seconds, (url, values, end))
                else:
                    self.assertIsNone(end, url)
        pricelist.active = False
        self.assertIsNone(self.end(self.thing.website_url))
        self.env['res.currency.rate'].create({
            'currency_id': self.env.ref('base.EUR').id, 'rate': 2, 'name': now.date() + timedelta(days=2)})
        self.assertTrue(86400 < self.end(self.thing.website_url) <= 2 * 86400)

    def test_what_is_new_by_days(self):
        if 'new_period' not in self.env['product.ribbon']._fields:
            self.skipTest("Odoo 19 has ribbons that go after some days")
        self.env['product.pricelist.item'].search([]).write({'date_start': False, 'date_end': False})
        self.env['res.currency.rate'].search([('name', '>', '2020-01-01')]).unlink()
        self.env['product.template'].search([]).publish_date = '2020-01-01 00:00:00'
        self.env['product.ribbon'].create({'name': "New", 'assign': 'new', 'new_period': 3})
        self.assertIsNone(self.end(self.thing.website_url))
        self.thing.publish_date = Datetime.now()
        self.assertTrue(0 <= self.end(self.thing.website_url) <= 86400)

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
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0')
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

    def context_with(self, url='/contactus', **values):
        """The context of visitors whose session holds these values."""
        found = []
        for _visitor in range(2):
            self.visit_with(**values)
            response = self.get(url)
            self.assertContext(response, response.cookies[const.COOKIE_CONTEXT])
            found.append(response.cookies[const.COOKIE_CONTEXT])
        return self.assertOneContext(found)

    def price(self, response):
        return float(re.search(r'"price": ([0-9.]+)', response.text)[1])

    def pricelists(self, **values):
        """A pricelist by which the thing costs 3, and another by which it costs 4."""
        self.env['res.config.settings'].create({'group_product_pricelist': True}).execute()
        return self.env['product.pricelist'].create([{
            'name': f"Odoocache {price}", 'selectable': True, 'website_id': self.website.id, 'sequence': 1000, **values,
            'item_ids': [Command.create({'applied_on': '1_product', 'product_tmpl_id': self.thing.id,
                                         'compute_price': 'fixed', 'fixed_price': price})],
        } for price in (3, 4)])

    def test_context_of_prices(self):
        first, second = self.pricelists()
        self.assertContext(self.fill('/shop'), '0')
        value = self.context_with(website_sale_current_pl=first.id)
        other = self.context_with(website_sale_current_pl=second.id)
        self.assertNotEqual(value, other)
        url = self.thing.website_url
        for context, price in ((value, 3), (other, 4)):
            response = self.fill(url, context)
            self.assertContext(response, context)
            self.assertEqual(self.price(response), price)
            self.assertFillCookies(response)
            self.assertContext(self.fill('/shop', context), context)
            self.assertContext(self.fill('/contactus', context), context)
        self.assertNotIn(self.price(self.fill(url)), (3, 4))
        self.assertIn('product.pricelist', self.fill(url, value).headers[const.HEADER_TAGS].split())
        default, _fiscal_position = self.website._odoocache_default_prices()
        self.visit_with(website_sale_current_pl=default)
        self.assertContext(self.get('/shop'), '0')

    def test_context_of_a_pricelist_that_is_gone(self):
        another = self.env['website'].create({'name': "Another"})
        for change in (
            lambda p: p.write({'active': False}), lambda p: p.write({'active': False, 'website_id': False}), lambda p: p.unlink(), lambda p: p.write({'website_id': another.id}),
            lambda p: p.write({'website_id': False, 'company_id': self.env['res.company'].create({'name': "Another"}).id}),
            lambda p: self.env['res.config.settings'].create({'group_product_pricelist': False}).execute(),
        ):
            pricelist, _other = self.pricelists()
            value = self.context_with(website_sale_current_pl=pricelist.id)
            self.assertEqual(self.price(self.fill(self.thing.website_url, value)), 3)
            change(pricelist)
            response = self.fill(self.thing.website_url, value)
            self.assertContext(response, '0')
            self.assertEqual(self.price(response), self.price(self.fill(self.thing.website_url)))
            # Whoever has it in their session is not given another's value.
            self.visit_with(website_sale_current_pl=pricelist.id)
            self.assertIn(self.get('/contactus').headers[const.HEADER_CONTEXT], ('0', 'private'))

    def test_context_of_a_fiscal_position(self):
        company = self.website.company_id
        tax, none = self.env['account.tax'].create([
            {'name': f"Odoocache {amount}", 'amount': amount, 'company_id': company.id, 'type_tax_use': 'sale', 'price_include_override': 'tax_excluded'}
            for amount in (50, 0)])
        position = self.env['account.fiscal.position'].create({'name': "Odoocache", 'company_id': company.id})
        none.write({'fiscal_position_ids': [Command.link(position.id)], 'original_tax_ids': [Command.link(tax.id)]})
        self.thing.taxes_id = tax
        self.website.show_line_subtotals_tax_selection = 'tax_included'
        value = self.context_with(fiscal_position_id=position.id)
        response = self.fill(self.thing.website_url, value)
        self.assertContext(response, value)
        self.assertNotEqual(self.price(response), self.price(self.fill(self.thing.website_url)))
        position.active = False
        self.assertContext(self.fill(self.thing.website_url, value), '0')

    def test_context_of_a_filter(self):
        attribute = self.env['product.attribute'].create({'name': "A", 'value_ids': [
            Command.create({'name': "x"}), Command.create({'name': "y"})]})
        x, y = attribute.value_ids
        url = f'/shop?attribute_values={attribute.id}-{x.id}'
        self.authenticate(None, None)
        response = self.get(url)
        value = response.cookies[const.COOKIE_CONTEXT]
        self.assertOneContext([value])
        self.assertContext(response, value)
        self.assertContext(self.get(self.thing.website_url), value)
        response = self.get('/shop')
        self.assertContext(response, '0')
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0')
        for context in (None, value):  # the list depends on its address alone
            response = self.fill(url, context)
            self.assertContext(response, context or '0')
            self.assertNotIn(const.COOKIE_CONTEXT, response.cookies)
            self.assertContext(self.fill('/shop', context), context or '0')
            self.assertContext(self.fill(f'/shop?attribute_values={attribute.id}-{y.id}', context), context or '0')
            response = self.fill(self.thing.website_url, context)
            self.assertContext(response, context or '0')
            self.assertEqual(f'attribute_values={attribute.id}-{x.id}' in response.text, bool(context))
        x.unlink()
        self.assertContext(self.fill(self.thing.website_url, value), '0')
        for filters in (['<b>'], ['1'], ['1-2-3'], [f'{attribute.id}-{y.id}'] * 40):
            self.visit_with(attribute_values=filters)
            self.assertContext(self.get('/contactus'), 'private')

    def test_context_of_a_layout(self):
        """Odoo 17 and 18 keep the default in each session that saw the shop."""
        default = self.website._odoocache_default_layout()
        self.visit_with(website_sale_shop_layout_mode=default)
        self.assertContext(self.get('/shop'), '0')
        other = 'list' if default == 'grid' else 'grid'
        value = self.context_with(website_sale_shop_layout_mode=other)
        self.assertContext(self.fill('/shop', value), value)

    # ----------------------------------------------------------- countries

    def test_countries(self):
        countries = self.countries()
        france, italy = self.env.ref('base.fr'), self.env.ref('base.it')
        group = self.env['res.country.group'].create({'name': "Odoocache", 'country_ids': [Command.set(france.ids)]})
        french, _other = self.pricelists(country_group_ids=[Command.set(group.ids)], sequence=-1)
        _other.unlink()
        contexts = {}
        for code in ('FR', 'IT', None):
            countries.code = code
            self.visitor()
            response = self.get(self.thing.website_url)
            self.assertContext(response, 'private')
            self.assertEqual(self.price(response) == 3, code == 'FR', code)
            contexts[code] = response.cookies[const.COOKIE_CONTEXT]
            again = self.get(self.thing.website_url)
            self.assertContext(again, contexts[code])
            self.assertNotIn(const.COOKIE_CONTEXT, again.cookies, "what Odoo has put into the session is the default there")
        self.assertEqual(len(set(contexts.values())), 3)
        for seen in ('FR', 'IT', None):
            countries.code = seen
            for code, value in contexts.items():
                response = self.fill(self.thing.website_url, value)
                self.assertContext(response, value)
                self.assertEqual(self.price(response) == 3, code == 'FR', (seen, code))
            for url in ('/shop', '/contactus', self.thing.website_url):
                self.assertContext(self.fill(url), 'private')
        # A pricelist that is not for the visitor's country has no context.
        countries.code = 'IT'
        session = self.authenticate(None, None)
        session['website_sale_current_pl'] = french.id
        root.session_store.save(session)
        self.assertContext(self.get('/contactus'), 'private')
        self.assertTrue(italy)

    # ------------------------------------------- whose page, by what was read

    def test_whose_pages(self):
        """A page for which the cart was read is its visitor's, whatever its
        address; other pages are everybody's."""
        custom = [
            ('total', '<i t-out="request.env[\'sale.order\'].sudo().browse(request.session.get(\'sale_order_id\')).amount_total"/>'),
            ('cart', '<i t-out="request.cart.amount_total"/>'),
            ('lines', '<i t-out="len(request.env[\'sale.order.line\'].sudo().search([(\'order_id\', \'=\', request.session.get(\'sale_order_id\') or 0)]))"/>'),
        ]
        for name, content in custom:
            self.page_with(content, f'/odoocache-{name}')
        self.add_to_cart(self.thing)
        self.env.invalidate_all()
        order = self.env['sale.order'].search([('website_id', '=', self.website.id)], order='id desc', limit=1)
        order.partner_id = self.env['res.partner'].create({
            'name': "Guest of a shop", 'email': 'guest@example.com', 'street': "Somewhere 1", 'city': "Paris",
            'zip': '75001', 'phone': '1', 'country_id': self.env.ref('base.fr').id})
        partner = order.partner_id
        self.page_with(f'<i t-out="request.env[\'res.partner\'].sudo().browse({partner.id}).street"/>', '/odoocache-partner')
        forget(self.env)
        read = [
            '/shop/cart', '/shop/cart?v=1', '//shop/cart?v=1', '/%2fshop/cart?v=1', '/%2Fshop/cart?v=2', '///shop//cart', '/shop/%63art',
            '/shop/checkout', '/shop/address', '/shop/payment', '/shop/%61ddress?v=1', '//shop/payment',
            *(f'/odoocache-{name}' for name, _content in custom), '/odoocache-partner',
        ]
        for url in read:
            response = self.get(url)
            self.assertContext(response, 'private')
            self.assertNotIn(const.COOKIE_CONTEXT, response.cookies, "as for the visitor, nothing has changed")
            self.assertNotEqual(self.fill(url).headers.get(const.HEADER_CONTEXT), None, url)
            self.assertNotIn("Somewhere", self.fill(url).text if url != '/odoocache-partner' else '', url)
        cart = self.get('/shop/cart')
        self.assertIn(self.thing.name, cart.text)
        for url in ('/', '/shop', self.thing.website_url, '/contactus', '/nosuch'):
            self.assertContext(self.get(url), '0', 404 if url == '/nosuch' else 200)
        # The order that was placed.
        session = self.authenticate(None, None, session_extra={'sale_last_order_id': order.id})
        self.assertTrue(session.sid)
        self.assertContext(self.get('/contactus'), '0')
        self.assertContext(self.get('/shop/confirmation'), 'private')
        self.assertContext(self.get('/odoocache-partner?v=1'), 'private')
        self.assertContext(self.fill('/shop/confirmation'), '0')
        # A token in the address leads to it without any session.
        url = order.get_portal_url()
        self.assertContext(self.fill(url), 'private')
        self.assertContext(self.get('/my'), 'private' if '/my' in self.get('/my').url.split('?')[0] else '0')

    def test_context_of_a_coupon(self):
        self.visit_with(pending_coupon_code='X')
        self.add_to_cart(self.thing)
        response = self.get('/nosuch')
        self.assertEqual(response.headers[const.HEADER_CONTEXT], 'private')
        self.assertIn('data-order-id', response.text, "rendered for this visitor alone")
