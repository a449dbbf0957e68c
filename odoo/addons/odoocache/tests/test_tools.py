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
        former = tools.edge_token('former')
        for header in (f'{token}, {former}', f'{token},{former}', f'{former}, {token}'):
            self.assertTrue(tools.is_edge(header, 'secret'), header)
            self.assertTrue(tools.is_edge(header, 'former'), header)
            self.assertFalse(tools.is_edge(header, 'other'), header)
            self.assertFalse(tools.is_edge(header, ''), header)
        for header in (f'{former} {token}', f'x, {former}, {token}', f'{token}{former}', ',', ' , '):
            self.assertFalse(tools.is_edge(header, 'secret'), header)

    def test_signature(self):
        message = (b'odoocache-v2\n7\nabcdefghijklmnop\nshop\nx.example:81\nPOST\n/x/.odoocache/purge?a=b\n\n\n'
                   b'{"all": true}')
        args = ('key', 7, 'abcdefghijklmnop', 'shop', 'X.example:81', 'POST', '/x/.odoocache/purge?a=b', b'{"all": true}')
        self.assertEqual(
            tools.signature(*args), 't=7,n=abcdefghijklmnop,v2=' + hmac.new(b'key', message, hashlib.sha256).hexdigest())
        message = b'odoocache-v2\n7\nabcdefghijklmnop\nshop\nx.example:81\nPOST\n/x/.odoocache/purge?a=b\nsoft\na, b\n{"all": true}'
        self.assertEqual(
            tools.signature(*args, mode='soft', purge_header='a, b'),
            't=7,n=abcdefghijklmnop,v2=' + hmac.new(b'key', message, hashlib.sha256).hexdigest())

    def test_nonce(self):
        nonces = {tools.nonce() for _i in range(100)}
        self.assertEqual(len(nonces), 100)
        for nonce in nonces:
            self.assertRegex(nonce, r'^[A-Za-z0-9_-]{16,64}$')

    def test_endpoint(self):
        self.assertEqual(tools.endpoint('https://a.example/x/', '/p'), ('https://a.example/x/p', 'a.example', '/x/p'))
        self.assertEqual(tools.endpoint('A.example:81', '/p'), ('http://A.example:81/p', 'a.example:81', '/p'))

    def test_items(self):
        for good in ('/', '/shop/b\xfcro-7', 'product.template-1', '/a%20b'):
            self.assertTrue(tools.is_item(good), good)
        for wrong in ('', '/a b', '/a\nb', '/a\rb', '/a\tb', '/a\x00b', '/a\x7fb', '/a\xa0b', '/a\u2028b', '/a\x85b', '/a,b', '/a*'):
            self.assertFalse(tools.is_item(wrong), ascii(wrong))

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
        value = tools.context_value('s', {'a': 1, 'b': '\xe4'})
        self.assertEqual(value, tools.context_value('s', {'b': '\xe4', 'a': 1}))
        self.assertNotEqual(value, tools.context_value('t', {'a': 1, 'b': '\xe4'}))
        self.assertRegex(value, r'^[A-Za-z0-9._-]{16,512}$')
        self.assertEqual(tools.context_parts('s', value), {'a': 1, 'b': '\xe4'})
        for i in range(len(value)):
            wrong = value[:i] + ('x' if value[i] != 'x' else 'y') + value[i + 1:]
            self.assertIsNone(tools.context_parts('s', wrong), wrong)
        for wrong in ('', 'x', value[:-1], value + 'A', value + '=', '\xe9' * 20):
            self.assertIsNone(tools.context_parts('s', wrong), wrong)
        self.assertIsNone(tools.context_parts('t', value))
        self.assertIsNone(tools.context_value('', {'a': 1}))
        self.assertIsNone(tools.context_parts('', value))
        self.assertIsNone(tools.context_value('s', {'a': 'x' * 400}))
        self.assertLess(len(tools.context_value('s', {'a': 'x' * 300})), const.MAX_CONTEXT_BYTES)
