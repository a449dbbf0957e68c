import hashlib
import hmac

from odoo.tests import TransactionCase, tagged

from odoo.addons.odoocache import const, tools


@tagged('post_install', '-at_install')
class TestTools(TransactionCase):

    def test_token(self):
        self.assertTrue(tools.is_edge('odoocache', ''))
        self.assertFalse(tools.is_edge('odoocache', 'secret'))
        self.assertFalse(tools.is_edge(None, ''))
        token = hmac.new(b'secret', b'odoocache edge', hashlib.sha256).hexdigest()[:32]
        self.assertTrue(tools.is_edge(token, 'secret'))
        self.assertFalse(tools.is_edge(token, ''))
        self.assertFalse(tools.is_edge('café', 'secret'))

    def test_signature(self):
        message = b'odoocache-v2\n7\nn\nshop\na.example:81\nPOST\n/x/.odoocache/purge\n\n\n{"all": true}'
        self.assertEqual(
            tools.signature('key', 7, 'n', 'shop', 'A.example:81', 'POST', '/x/.odoocache/purge', b'{"all": true}'),
            't=7,n=n,v2=' + hmac.new(b'key', message, hashlib.sha256).hexdigest())
        message = b'odoocache-v2\n7\nn\nshop\na\nPURGE\n/x\nsoft\na, b\n'
        self.assertEqual(
            tools.signature('key', 7, 'n', 'shop', 'a', 'PURGE', '/x', b'', mode='soft', purge_header='a, b'),
            't=7,n=n,v2=' + hmac.new(b'key', message, hashlib.sha256).hexdigest())

    def test_endpoint(self):
        self.assertEqual(tools.endpoint('https://a.example/x/', '/p'), ('https://a.example/x/p', '/x/p', 'a.example'))
        self.assertEqual(tools.endpoint('a.example:81', '/p'), ('http://a.example:81/p', '/p', 'a.example:81'))

    def test_page_tags(self):
        self.assertEqual(
            tools.page_tags({'m.o': {2, 1}}, {'website'}), ['m.o-1', 'm.o-2', 'm.o-any', 'website'])
        tags = tools.page_tags({'m.o': set(range(5000)), 'n': {1, 2}}, {'website'})
        self.assertEqual(tags, ['m.o-any', 'm.o-many', 'n-1', 'n-2', 'n-any', 'website'])
        self.assertIsNone(tools.page_tags({}, {f't{i}' for i in range(const.MAX_TAGS + 1)}))
        self.assertEqual(tools.page_tags({}, {'t' * 257, 'u'}), ['u'])

    def test_purge_tags_meet_page_tags(self):
        """Whatever shortens a page's tags or a purge, they have one in common."""
        for on_page in ({7}, set(range(3000))):
            for changed in ({7}, set(range(1000))):
                page = set(tools.page_tags({'m': on_page}, set()))
                self.assertTrue(page & tools.purge_tags('m', changed), (len(on_page), len(changed)))
        self.assertFalse(set(tools.page_tags({'m': {8}}, set())) & tools.purge_tags('m', {7}))

    def test_purge_items(self):
        self.assertEqual(tools.purge_header({'b', 'a'}), 'a, b')
        self.assertEqual(tools.purge_header({'a', '*'}), '*')
        self.assertEqual(tools.purge_header({f't{i}' for i in range(1001)}), '*')
        self.assertEqual(tools.purge_body({'a', '/p'}), b'{"tags": ["a"], "paths": ["/p"]}')
        self.assertEqual(tools.purge_body({'/p'}), b'{"paths": ["/p"]}')
        self.assertEqual(tools.purge_body({'a', '*'}), b'{"all": true}')

    def test_context_value(self):
        value = tools.context_value('s', {'a': 1, 'b': 2})
        self.assertEqual(value, tools.context_value('s', {'b': 2, 'a': 1}))
        self.assertNotEqual(value, tools.context_value('t', {'a': 1, 'b': 2}))
        self.assertRegex(value, '^[0-9a-f]{32}$')
