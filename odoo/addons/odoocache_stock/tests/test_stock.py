from odoo.http import root
from odoo.tests import HttpCase, tagged

from odoo.addons.odoocache import const
from odoo.addons.odoocache.tests.common import EDGE, configure, forget, noted


@tagged('post_install', '-at_install')
class TestStock(HttpCase):

    def setUp(self):
        super().setUp()
        configure(self.env, edge_url='http://edge.example')
        self.thing = self.env['product.template'].create({
            'name': "Thing", 'is_published': True, 'type': 'consu', 'is_storable': True, 'allow_out_of_stock_order': False})
        self.location = self.env['stock.warehouse'].search([], limit=1).lot_stock_id
        forget(self.env)

    def add(self, quantity):
        self.env['stock.quant']._update_available_quantity(self.thing.product_variant_id, self.location, quantity)

    def test_stock_that_is_shown(self):
        tags = {f'product.template-{self.thing.id}', 'product.template-many'}
        self.add(5)
        self.assertEqual(noted(self.env), tags)
        forget(self.env)
        self.add(-2)
        self.assertEqual(noted(self.env), tags)

    def test_stock_that_is_not_shown(self):
        self.thing.allow_out_of_stock_order = True
        forget(self.env)
        self.add(5)
        self.assertFalse(noted(self.env))

    def test_stock_notification(self):
        session = self.authenticate(None, None)
        self.assertEqual(self.url_open('/shop', headers=EDGE).headers[const.HEADER_CONTEXT], '0')
        session['stock_notification_email'] = 'somebody@example.com'
        root.session_store.save(session)
        response = self.url_open(self.thing.website_url, headers=EDGE)
        self.assertEqual(response.headers[const.HEADER_CONTEXT], 'private')
        self.assertEqual(response.headers[const.HEADER_CACHE], 'no-store')
