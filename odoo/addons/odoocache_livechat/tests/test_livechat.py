import re
from unittest.mock import patch

from odoo.tests import tagged

from odoo.addons.odoocache.tests.common import EdgeCase, configure, forget, noted


@tagged('post_install', '-at_install')
class TestLivechat(EdgeCase):
    """Whether an operator is there is in no page that others get."""

    def setUp(self):
        super().setUp()
        configure(self.env)
        self.website = self.env['website'].search([], limit=1)
        self.channel = self.env['im_livechat.channel'].create({
            'name': "Odoocache", 'button_text': "Ask us", 'user_ids': [(6, 0, self.env.ref('base.user_admin').ids)]})
        self.website.channel_id = self.channel

    def loader(self, response):
        """What a page says of the chat. A token for the bus is not of it."""
        return re.search(r'livechatData: \{(.*?)\n\s*\}', response.text, re.S)[1]

    def with_operators(self, ids, page):
        def compute(channels):
            channels.available_operator_ids = channels.env['res.users'].browse(ids)

        with patch.object(type(self.channel), '_compute_available_operator_ids', compute):
            return page()

    def test_availability(self):
        own = self.env.ref('base.user_admin').ids
        for url in ('/', '/contactus', '/contactus?x=1'):
            shown = [self.loader(self.with_operators(ids, lambda url=url: self.fill(url))) for ids in ([], own, [])]
            self.assertEqual(len(set(shown)), 1, url)
            self.assertIn('can_load_livechat: true' if 'can_load_livechat' in shown[0] else 'isAvailable: true', shown[0])
            self.assertIn("Ask us", shown[0])
        self.assertContext(self.fill('/contactus?x=1'), '0')
        # Without an edge Odoo says what it always says.
        shown = [self.loader(self.with_operators(ids, lambda: self.url_open('/contactus?x=1'))) for ids in ([], own)]
        self.assertNotEqual(*shown)

    def test_a_changed_button(self):
        forget(self.env)
        self.channel.button_text = "Talk to us"
        self.assertIn('website', noted(self.env))
        forget(self.env)
        self.channel.user_ids = False
        self.assertFalse(noted(self.env))
