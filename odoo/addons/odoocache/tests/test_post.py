import os
import socket
import ssl
import urllib.error
from unittest.mock import patch

from odoo.exceptions import ValidationError
from odoo.tests import BaseCase, TransactionCase, tagged

from odoo.addons.odoocache import post, tools

FOUND = 'Host(`traefik`) && PathPrefix(`/.odoocache`)'


@tagged('post_install', '-at_install')
class TestPost(BaseCase):
    """What a sender is told, and what is sent under another name. The answers are those of
    a Traefik (test/traefik/inside_test.go of the edge's repository)."""

    def test_another_name(self):
        made, target = post.request('https://traefik/x', 'Shop.example:8443', '/p')
        self.assertEqual(made.full_url, 'https://traefik/x/p')
        self.assertEqual(target, '/x/p')
        self.assertEqual(made.get_header('Host'), 'shop.example:8443')
        self.assertEqual(made.server_name, 'shop.example')
        made, _target = post.request('https://Traefik:81', '', '/p')
        self.assertEqual(made.get_header('Host'), 'traefik:81')
        self.assertFalse(hasattr(made, 'server_name'))

    def test_hosts(self):
        for good in ('', 'shop.example', 'shop.example:8443', '127.0.0.1', '[::1]:80'):
            self.assertIsNone(tools.host_fault(good), good)
        for wrong in ('http://shop.example', 'shop.example/', 'a b', 'a\nb', 'caf\xe9', 'shop.example:', 'a:b@c', '::1'):
            self.assertTrue(tools.host_fault(wrong), ascii(wrong))

    def test_refusals(self):
        for status, headers, text, want in (
            (404, {}, '404 page not found\n', ('Traefik has no router for the host traefik', FOUND, 'ODOOCACHE_EDGE_HOST')),
            (404, {}, '<html>', ('what answers for traefik is not the edge', FOUND)),
            (200, {}, '<html>', ('what answers for traefik is not the edge', FOUND)),
            (308, {'Location': 'https://traefik/.odoocache/purge'}, '', ('https://', 'ODOOCACHE_EDGE_HOST')),
            (302, {'Location': '//a:b@www.example/x'}, '{}', ('http://www.example/x', FOUND)),
            (302, {}, '', ('does not follow', FOUND)),
            (418, {}, '', ('no odoocache middleware', FOUND)),
            (401, {}, '401 Unauthorized', ('asks for a password', FOUND)),
            (502, {}, 'Bad Gateway', ('does not reach the edge',)),
        ):
            told = post.refusal('http://traefik', '', status, headers, text)
            self.assertTrue(told.startswith(f'{status}: '), told)
            for word in want:
                self.assertIn(word, told)
            self.assertNotIn('a:b@', told)
        self.assertEqual(
            post.refusal('http://traefik', '', 403, {}, '{"error": "the secret is missing or wrong", "field": ""}\n'),
            '403 the secret is missing or wrong')
        self.assertEqual(post.refusal('http://traefik', '', 503, {}, '{}'), '503 {}')

    def test_failures(self):
        for reason, want in (
            (ConnectionRefusedError(111, 'Connection refused'), 'nobody listens there'),
            (socket.gaierror(-2, 'Name or service not known'), 'nobody knows traefik'),
            (ssl.SSLCertVerificationError(1, 'certificate verify failed'), 'no certificate for traefik'),
            (ssl.SSLError(1, 'wrong version number'), 'does not speak TLS'),
            (TimeoutError('timed out'), 'no answer within 5 s'),
        ):
            for error in (reason, urllib.error.URLError(reason)):
                told = post.failure('https://traefik', '', error, 5.0)
                self.assertIn(str(reason), told)
                self.assertIn(want, told)
        self.assertIn('no certificate for shop.example', post.failure(
            'https://traefik', 'shop.example:8443', ssl.SSLCertVerificationError(1, 'x'), 5))
        self.assertEqual(post.failure('http://traefik', '', ValueError('x'), 5), 'x')

    def test_proxy(self):
        answer = ('http://traefik', '', 503, {}, '<html>')
        proxy = {'http_proxy': 'http://a:b@proxy.example:3128', 'no_proxy': ''}
        with patch.dict(os.environ, proxy):
            told = post.refusal(*answer)
            self.assertIn('the proxy http://proxy.example:3128', told)
            self.assertIn('add it to NO_PROXY', told)
            self.assertIn('proxy.example', post.failure('http://traefik', '', TimeoutError('timed out'), 5))
            self.assertNotIn('proxy', post.failure('https://traefik', '', TimeoutError('timed out'), 5))
        with patch.dict(os.environ, {**proxy, 'no_proxy': 'traefik'}):
            self.assertNotIn('proxy', post.refusal(*answer))


@tagged('post_install', '-at_install')
class TestHost(TransactionCase):

    def test_settings(self):
        set_param = self.env['ir.config_parameter'].set_param
        set_param('odoocache.edge_url', 'http://traefik')
        set_param('odoocache.edge_host', 'shop.example:8443')
        self.assertEqual(self.env['odoocache']._config().host, 'shop.example:8443')
        with self.assertRaises(ValidationError):
            set_param('odoocache.edge_host', 'https://shop.example')
        with patch.dict(os.environ, {'ODOOCACHE_EDGE_HOST': 'https://shop.example'}):
            config = self.env['odoocache']._config()
        self.assertEqual(config.urls, [])
        self.assertIn('https://shop.example: expected a host', config.faults[0])
