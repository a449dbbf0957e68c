import http.server
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from unittest.mock import patch

from odoo.tests import TransactionCase, tagged
from odoo.tools import mute_logger

from odoo.addons.odoocache import const, post, state, tools
from odoo.addons.odoocache.tests.common import configure, forget, noted, pending

SECRET = 'a long secret'


class Edge(http.server.BaseHTTPRequestHandler):
    """An edge that keeps what it is told and answers as the test says."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.reply()

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers), b''))
        self.reply()

    def reply(self):
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args):
        pass


@tagged('post_install', '-at_install')
class TestSend(TransactionCase):

    def setUp(self):
        super().setUp()
        self.edge = http.server.HTTPServer(('127.0.0.1', 0), Edge)
        self.edge.requests, self.edge.answers, self.edge.body = [], [], b'{}'
        thread = threading.Thread(target=self.edge.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.edge.server_close)
        self.addCleanup(self.edge.shutdown)
        self.url = f'http://127.0.0.1:{self.edge.server_port}/in/front'
        configure(self.env, edge_url=self.url, secret=SECRET)
        forget(self.env)
        self.purges = self.env['odoocache.purge']

    def test_signed_request(self):
        self.purges._add({'a', 'b-1'})
        self.purges._add({'b-1', 'c'})
        self.assertIsNone(self.purges._send_pending())
        [(path, headers, body)] = self.edge.requests
        self.assertEqual(path, '/in/front/.odoocache/purge')
        self.assertEqual(json.loads(body), {'tags': ['a', 'b-1', 'c']})
        self.assertEqual(headers['Host'], f'127.0.0.1:{self.edge.server_port}')
        self.assertSigned(self.edge.requests[0], 'default')
        self.assertFalse(pending(self.env))

    def assertSigned(self, request, tenant):
        """Asserts that the edge would take this purge. Returns its nonce."""
        path, headers, body = request
        found = re.fullmatch(r't=(\d+),n=([A-Za-z0-9_-]{16,64}),v2=[0-9a-f]{64}', headers[const.HEADER_SIGNATURE])
        self.assertTrue(found, headers)
        self.assertLess(abs(int(found[1]) - time.time()), 60)
        self.assertEqual(found[0], tools.signature(
            SECRET, found[1], found[2], tenant, headers['Host'], 'POST', path, body,
            mode=headers.get('X-Odoocache-Purge-Mode', ''), purge_header=headers.get(const.HEADER_PURGE, '')))
        return found[2]

    def test_each_try_has_its_nonce(self):
        self.env['ir.config_parameter'].set_param('odoocache.tenant', 'shop')
        self.edge.answers = [(503, {}), (503, {})]
        self.purges._add({'a'})
        for _i in range(3):
            self.purges._send_pending()
        self.assertEqual(len({self.assertSigned(request, 'shop') for request in self.edge.requests}), 3)

    def test_what_is_no_address(self):
        """Whatever gets past the settings."""
        with open(__file__, encoding='utf-8') as file, \
                patch.dict(os.environ, {'ODOOCACHE_EDGE_URL': f'file://{file.name}'}), \
                self.assertLogs('odoo.addons.odoocache', 'ERROR') as logs:
            self.purges._add({'a'})
            self.assertIsNone(self.purges._send_pending())
        self.assertIn('file://', logs.output[0])
        self.assertEqual(pending(self.env), [{'a'}])
        for url in (f'file://{__file__}', 'ftp://127.0.0.1/x', 'data:text/plain,x'):
            with self.assertRaises(urllib.error.URLError):
                post.exchange(urllib.request.Request(url, data=b'', method='POST'), 1)

    def test_the_thread_fills_no_cache_of_parameters(self):
        """Else a setting that is just being changed would stay what it was."""
        parameters = self.env['ir.config_parameter']
        self.purges._add({'a'})
        self.env.flush_all()
        with patch.object(type(parameters), 'get_param', side_effect=AssertionError("by the cache")):
            self.assertIsNone(self.purges._send_pending())
        self.assertEqual(len(self.edge.requests), 1)

    def test_everything(self):
        self.purges._add({'a'})
        self.purges._add({'*'})
        self.purges._send_pending()
        self.assertEqual(self.edge.requests[0][2], b'{"all": true}')

    def test_try_again(self):
        self.edge.answers = [(503, {'Retry-After': '7'})]
        self.purges._add({'a'})
        self.assertEqual(self.purges._send_pending(), 7)
        self.assertEqual(pending(self.env), [{'a'}])
        self.assertIsNone(self.purges._send_pending())
        self.assertFalse(pending(self.env))

    @mute_logger('odoo.addons.odoocache.models.odoocache_purge')
    def test_refused_tags_purge_everything(self):
        self.edge.answers = [(413, {})]
        self.purges._add({'a'})
        self.assertIsNone(self.purges._send_pending())
        self.assertEqual([r[2] for r in self.edge.requests], [b'{"tags": ["a"]}', b'{"all": true}'])

    def test_wrong_secret(self):
        self.edge.answers = [(403, {})]
        self.purges._add({'a'})
        with self.assertLogs('odoo.addons.odoocache', 'ERROR') as logs:
            self.assertEqual(self.purges._send_pending(), 60)
        self.assertIn('403', logs.output[0])
        self.assertEqual(pending(self.env), [{'a'}])

    @mute_logger('odoo.addons.odoocache.models.odoocache_purge')
    def test_no_redirect(self):
        self.edge.answers = [(302, {'Location': self.url})]
        self.purges._add({'a'})
        self.assertIsNotNone(self.purges._send_pending())
        self.assertEqual(len(self.edge.requests), 1)

    @mute_logger('odoo.addons.odoocache.models.odoocache_purge')
    def test_edge_is_down(self):
        configure(self.env, edge_url=f'http://127.0.0.1:1 {self.url}', secret=SECRET)
        self.purges._add({'a'})
        self.assertEqual(self.purges._send_pending(), 0)
        self.assertEqual(len(self.edge.requests), 1)  # the other edge is told
        self.assertEqual(pending(self.env), [{'a'}])
        status = self.purges.status()
        self.assertEqual([e['ok'] for e in status['edges']], [False, True])
        self.assertEqual(status['pending'], 1)
        self.assertEqual(self.edge.requests[-1][1]['Authorization'], f'Bearer {SECRET}')

    # ------------------------------------------------------------ by hand

    def test_done(self):
        result = self.purges.purge('page', path='/a')
        self.assertEqual(result['state'], 'done')
        [(_path, _headers, body)] = self.edge.requests
        self.assertIn('/a', json.loads(body)['paths'])
        self.assertFalse(pending(self.env))
        self.assertEqual(noted(self.env), set())
        self.assertEqual(self.purges.status()['last_way'], 'request')

    @mute_logger('odoo.addons.odoocache.models.odoocache_purge')
    def test_queued(self):
        self.edge.answers = [(503, {}), (403, {})]
        for answer in ('503', '403'):
            result = self.purges.purge('website', website_id=1)
            self.assertEqual(result['state'], 'queued')
            self.assertIn(f'{self.url}: {answer}', result['message'])
        self.assertEqual(noted(self.env), {'website-1'})
        self.assertEqual(set().union(*pending(self.env)), {'website-1'})
        configure(self.env, edge_url=f'http://127.0.0.1:1 {self.url}', secret=SECRET)
        result = self.purges.purge('all')
        self.assertEqual(result['state'], 'queued')
        self.assertIn('http://127.0.0.1:1: ', result['message'])
        self.assertNotIn(self.url, result['message'], "this one has taken it")

    def test_impossible(self):
        configure(self.env)
        with patch.dict(os.environ, {'ODOOCACHE_EDGE_URL': 'ftp://x.example'}):
            result = self.purges.purge('all')
        self.assertEqual(result['state'], 'impossible')
        self.assertIn('ftp://', result['message'])
        self.assertFalse(pending(self.env) or noted(self.env))

    def test_through_the_edge(self):
        current = state.State(edge=True, collect=False)
        with patch.object(state, 'current', lambda: current):
            self.assertEqual(self.purges.purge('all')['state'], 'done')
            self.assertEqual(noted(self.env), {'*'})
        self.assertFalse(self.edge.requests)

    # ------------------------------------------------------------- the queue

    @mute_logger('odoo.addons.odoocache.models.odoocache_purge')
    def test_no_duplicates(self):
        for tags in ({'a', 'b'}, {'b', 'a'}, {'a'}, {'c'}, {'b', 'c'}):
            self.purges._add(tags)
        self.assertEqual([row['tags'] for row in self.purges.web_search_read([], {'tags': {}})['records']], ['a b', 'c'])
        self.purges._add({'a'})
        self.edge.answers = [(503, {}), (503, {})]
        self.assertIsNotNone(self.purges._send_pending())
        self.assertEqual(pending(self.env), [{'a', 'b'}, {'c'}])
        waiting = self.purges.search([])
        self.assertEqual(len(waiting.filtered('tried')), 2)
        self.assertIn('503', waiting[0].state)
        self.purges._add({'*'})
        self.purges._send_pending()
        self.assertEqual(pending(self.env), [{'*'}])
        action = self.purges.action_send_now()
        self.assertEqual(action['params']['type'], 'success')
        self.assertFalse(pending(self.env))
        self.assertEqual(self.purges.action_send_now()['params']['type'], 'info')

    def test_what_waits(self):
        website = self.env['website'].search([], limit=1)
        for tags, what in (
            ({'*'}, "Everything"), ({'/a', '/fr/a'}, '/a, /fr/a'), ({f'website-{website.id}'}, f"Website: {website.display_name}"),
            ({'website.page-many'}, 'website.page-many'), ({'website.page-99999999', 'website.page-many'}, 'website.page-99999999'),
            ({f'no.model-{i}' for i in range(9)}, ', '.join(f'no.model-{i}' for i in range(5)) + ', …'),
        ):
            row = self.purges.create({'tags': ' '.join(sorted(tags))})
            self.assertEqual(row.what, what)

    def test_status(self):
        self.edge.body = json.dumps({
            'storage': 'redis', 'breaker': 'closed', 'pendingPurges': 2,
            'counters': {'hit': 60, 'collapsed': 3, 'stored': 20, 'session': 1, 'rule': 500, 'purge': 7}}).encode()
        self.purges._add({'a'})
        Status = self.env['odoocache.status']
        status = Status.browse(Status.action_open()['res_id'])
        self.assertEqual(status.state, 'waiting')
        self.assertEqual((status.waiting, status.purge_ids.mapped('tags'), status.purge_ids.mapped('what')), (1, ['a'], ['a']))
        edge = status.edge_ids
        self.assertEqual((edge.name, edge.ok, edge.served, edge.asked, edge.waiting), (self.url, True, 63, 21, 2))
        self.assertAlmostEqual(edge.ratio, 0.75)
        self.assertGreater(edge.milliseconds, 0)
        status.action_send_now()
        self.assertEqual((status.state, status.waiting, status.last_way), ('good', 0, 'request'))
        self.assertTrue(status.last_purge)
        for code, word in ((403, "secret"), (404, "router"), (308, "https")):
            self.edge.answers = [(code, {})]
            status.action_refresh()
            self.assertEqual(status.state, 'bad')
            self.assertIn(word, status.edge_ids.answer)
        for body in (b'', b'[]', b'{"counters": 1}', b'{"counters": {"hit": "x"}}', b'<html>'):
            self.edge.body = body
            status.action_refresh()
            # A page of something else is no answer of a cache, even with 200.
            state = 'good' if body.startswith(b'{') else 'bad'
            self.assertEqual((status.state, status.edge_ids.ratio), (state, 0), body)

    @mute_logger('odoo.addons.odoocache.models.odoocache_purge')
    def test_too_many_wait(self):
        configure(self.env, edge_url='http://127.0.0.1:1')
        for i in range(const.MAX_PENDING + 1):
            self.purges._add({f't{i}'})
        self.purges._send_pending()
        self.assertEqual(pending(self.env), [{'*'}])

    @mute_logger('odoo.addons.odoocache.models.odoocache_purge')
    def test_no_edge(self):
        configure(self.env)
        self.purges._add({'a'})
        self.assertIsNone(self.purges._send_pending())
        self.assertEqual(pending(self.env), [{'a'}])
        self.purges._add({'b'})
        self.purges._send_pending()
        self.assertEqual(pending(self.env), [{'*'}])
