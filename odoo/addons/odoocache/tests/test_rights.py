from unittest.mock import patch

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import TransactionCase, new_test_user, tagged

from odoo.addons.odoocache.tests.common import configure, forget, noted


@tagged('post_install', '-at_install')
class TestRights(TransactionCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.designer = new_test_user(cls.env, 'oc_designer', 'base.group_user,website.group_website_designer')
        cls.editor = new_test_user(cls.env, 'oc_editor', 'base.group_user,website.group_website_restricted_editor')
        cls.portal = new_test_user(cls.env, 'oc_portal', 'base.group_portal')
        cls.website = cls.env['website'].search([], limit=1)
        configure(cls.env)

    def setUp(self):
        super().setUp()
        forget(self.env)

    def test_designer(self):
        purges = self.env['odoocache.purge'].with_user(self.designer)
        self.assertEqual(purges.purge('all')['state'], 'impossible')
        self.assertFalse(noted(self.env))
        configure(self.env, edge_url='http://edge.example')
        sent = []
        with patch.object(type(purges), '_send', lambda purge, config, url, tags: (sent.append(tags), (None, ''))[1]):
            for call, tag in (
                (lambda: purges.purge('website', website_id=self.website.id), f'website-{self.website.id}'),
                (lambda: purges.purge('page', path='/shop/desk-9?x=1'), '/shop/desk-9'),
                (lambda: purges.purge('all'), '*'),
            ):
                self.assertEqual(call()['state'], 'done')
                self.assertIn(tag, sent[-1])
        self.assertIn('pending', purges.status())
        self.env['odoocache.rule'].with_user(self.designer).create({'name': 'r', 'pattern': '/r'})
        status = self.env['odoocache.status'].with_user(self.designer).action_open()
        self.assertTrue(self.env[status['res_model']].with_user(self.designer).browse(status['res_id']).message)

    def test_others(self):
        for user in (self.editor, self.portal):
            purges = self.env['odoocache.purge'].with_user(user)
            for call in (
                lambda p=purges: p.purge('all'),
                lambda p=purges: p.purge('website', website_id=self.website.id),
                lambda p=purges: p.purge('page', path='/'),
                lambda p=purges: p.status(),
                lambda p=purges: p.action_send_now(),
                lambda p=purges: p.web_search_read([], {'tags': {}}),
                lambda p=purges: p.env['odoocache.status'].action_open(),
                lambda p=purges: p.env['odoocache.lookup'].create({}),
                lambda p=purges: p.search([]),
                lambda p=purges: p.env['odoocache.rule'].create({'name': 'r', 'pattern': '/r'}),
                lambda u=user: self.env['website.page'].search([], limit=1).with_user(u).action_odoocache_purge(),
            ):
                with self.assertRaises(AccessError):
                    call()
        self.assertFalse(noted(self.env))

    def test_purge_what(self):
        purges = self.env['odoocache.purge']
        for path in ('/a b', '/a*', '/a,b', '/a\nb', '/a\r\nb', '/a\x00b', '/a\xa0b', '/a\u2028b'):
            with self.assertRaises(UserError, msg=ascii(path)):
                purges.purge('page', path=path)
        self.assertFalse(noted(self.env))
        with self.assertRaises(UserError):
            purges.purge('nothing')

    def test_rules_are_checked(self):
        for values in ({'pattern': 'shop'}, {'kind': 'regex', 'pattern': '('}, {'pattern': '/', 'ttl': -1}):
            with self.assertRaises(ValidationError), self.env.cr.savepoint():
                self.env['odoocache.rule'].create({'name': 'r', **values})
