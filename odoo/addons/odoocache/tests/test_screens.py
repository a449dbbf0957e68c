from odoo.tests import Form, TransactionCase, tagged

from odoo.addons.odoocache.tests.common import configure, forget


@tagged('post_install', '-at_install')
class TestScreens(TransactionCase):

    def setUp(self):
        super().setUp()
        configure(self.env)
        self.website = self.env['website'].search([], limit=1)
        self.env['odoocache.rule'].with_context(active_test=False).search([]).unlink()

    def test_times_in_hours(self):
        with Form(self.env['odoocache.rule']) as form:
            form.name, form.pattern = "Shop", '/shop'
            self.assertAlmostEqual(form.ttl_hours, 600 / 3600, 3)
            form.ttl_hours, form.grace_hours = 0.5, 2
        rule = form.record if hasattr(form, 'record') else self.env['odoocache.rule'].search([])
        self.assertEqual((rule.ttl, rule.grace, rule.sie), (1800, 7200, 86400))
        rule.ttl = 77
        with Form(rule) as form:
            form.name = "What is not shown is kept"
        self.assertEqual(rule.ttl, 77)
        self.website.odoocache_page_ttl_hours = 1.25
        self.assertEqual(self.website.odoocache_page_ttl, 4500)
        page = self.env['website.page'].search([], limit=1)
        page.odoocache_ttl_hours = 24
        self.assertEqual(page.odoocache_ttl, 86400)

    def test_which_rule(self):
        other = self.env['website'].create({'name': "Another"})
        shop, rest, never, inactive, elsewhere = self.env['odoocache.rule'].create([
            {'name': 'shop', 'sequence': 3, 'pattern': '/shop', 'ttl': 5400},
            {'name': 'all', 'sequence': 4, 'kind': 'regex', 'pattern': '.*', 'ttl': 0},
            {'name': 'never', 'sequence': 2, 'pattern': '/shop/never', 'cacheable': False},
            {'name': 'inactive', 'sequence': 1, 'pattern': '/shop', 'active': False},
            {'name': 'elsewhere', 'sequence': 1, 'pattern': '/shop', 'website_id': other.id},
        ])
        french = self.env['res.lang']._activate_lang('fr_FR')
        for address, rule in (
            ('/shop/desk-9', shop), ('https://shop.example/shop/desk-9?x=1#a', shop), (f'/{french.url_code}/shop', shop),
            (' /shop ', shop), ('shop', shop), ('/shopping', rest), ('/shop/never/x', never), ('/', rest), ('http://[', rest),
        ):
            with Form(self.env['odoocache.lookup']) as form:
                form.website_id = self.website
                form.address = address
                self.assertEqual(form.rule_id, rule, address)
                self.assertTrue(form.answer)
        lookup = self.env['odoocache.lookup'].create({'address': '/shop', 'website_id': other.id})
        self.assertEqual(lookup.rule_id, elsewhere)
        self.assertIn('1:30', self.env['odoocache.lookup'].create({'address': '/shop', 'website_id': self.website.id}).answer)
        self.assertFalse(inactive.active)

    def test_a_page_goes_before_rules(self):
        page = self.env['website.page'].search([('url', '=', '/contactus')], limit=1)
        lookup = self.env['odoocache.lookup'].create({'address': '/contactus', 'website_id': self.website.id})
        self.assertIn("No rule", lookup.answer)
        for values, word in (
            ({'odoocache_policy': 'cacheable', 'odoocache_ttl': 77}, '0:01:17'), ({'odoocache_policy': 'never'}, "page itself"),
            ({'visibility': 'connected'}, "some users"),
        ):
            page.write(values)
            lookup.invalidate_recordset()
            self.assertIn(word, lookup.answer)
            self.assertFalse(lookup.rule_id)

    def test_items_of_a_page(self):
        """A page is known by what it shows, in whatever language its address is."""
        purges = self.env['odoocache.purge']
        page = self.env['website.page'].search([('url', '=', '/contactus')], limit=1)
        french = self.env['res.lang']._activate_lang('fr_FR')
        forget(self.env)
        for path in ('/contactus', f'/{french.url_code}/contactus'):
            self.assertIn(f'website.page-{page.id}', purges._path_items(path))
        self.assertEqual(purges._record_items('website.page', page.id), {f'website.page-{page.id}', 'website.page-many'})
        for model, record_id in (('res.users', 1), ('no.model', 1), ('website.page', 0)):
            self.assertEqual(purges._record_items(model, record_id), set())
