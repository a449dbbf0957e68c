import os
from unittest.mock import patch

from odoo.exceptions import AccessError, ValidationError
from odoo.tests import HttpCase, JsonRpcException, new_test_user, tagged
from odoo.tools import mute_logger

from odoo.addons.odoocache.tests.common import configure

SECRET = 'a-secret-that-nobody-reads'
URL = 'https://edge-that-nobody-knows.example'
NAMES = ('odoocache_secret', 'odoocache_edge_url', 'odoocache_tenant', 'odoocache_always_post', 'odoocache_has_secret')


@tagged('post_install', '-at_install')
class TestSettings(HttpCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        configure(cls.env, secret=SECRET, edge_url=URL)
        for name, groups in (
            ('portal', 'base.group_portal'), ('internal', 'base.group_user'),
            ('designer', 'base.group_user,website.group_website_designer'), ('system', 'base.group_system'),
        ):
            new_test_user(cls.env, f'oc_{name}', groups, password=f'oc_{name}')

    def rpc(self, model, method, *args, **kwargs):
        """What an RPC of this visitor answers, or its error, as text."""
        try:
            return repr(self.make_jsonrpc_request('/web/dataset/call_kw', {
                'model': model, 'method': method, 'args': args, 'kwargs': kwargs}))
        except JsonRpcException as error:
            return repr(error)

    def calls(self):
        spec = {name: {} for name in NAMES}
        settings = 'res.config.settings'
        yield settings, 'default_get', ([*NAMES],), {}
        yield settings, 'default_get', ([],), {}
        yield settings, 'onchange', ([], {}, [], spec), {}
        yield settings, 'onchange', ([], {'website_id': 1}, ['website_id'], spec), {}
        yield settings, 'create', ({},), {}
        yield settings, 'web_save', ([], {}, spec), {'specification': spec}
        yield settings, 'get_values', (), {}
        yield settings, 'search_read', ([], [*NAMES]), {}
        yield settings, 'web_search_read', ([], spec), {}
        yield settings, 'new', ({},), {}
        yield settings, 'copy_data', ([1],), {}
        yield settings, 'export_data', ([1], [*NAMES]), {}
        yield settings, 'fields_get', (), {}
        yield settings, 'get_views', ([[False, 'form']],), {}
        yield 'ir.config_parameter', 'get_param', ('odoocache.secret',), {}
        yield 'ir.config_parameter', 'search_read', ([['key', 'like', 'odoocache']], ['key', 'value']), {}
        yield 'ir.config_parameter', 'read_group', ([], ['value'], ['value']), {}
        yield 'ir.default', 'get', (settings, 'odoocache_secret'), {}
        yield 'odoocache', '_config', (), {}
        yield 'odoocache', 'config', (), {}
        yield 'odoocache', 'search_read', ([],), {}
        yield 'odoocache.purge', '_post', (), {}

    @mute_logger('odoo.http', 'odoo.sql_db')
    def test_nobody_reads_it(self):
        for login in (None, 'oc_portal', 'oc_internal', 'oc_designer'):
            self.authenticate(login, login)
            for model, method, args, kwargs in self.calls():
                answer = self.rpc(model, method, *args, **kwargs)
                self.assertNotIn(SECRET, answer, (login, model, method))
                self.assertNotIn('edge-that', answer, (login, model, method))

    @mute_logger('odoo.http', 'odoo.sql_db')
    def test_settings_do_not_show_it_to_administrators(self):
        self.authenticate('oc_system', 'oc_system')
        for model, method, args, kwargs in self.calls():
            if model != 'ir.config_parameter':
                self.assertNotIn(SECRET, self.rpc(model, method, *args, **kwargs), method)
        spec = {name: {} for name in NAMES}
        answer = self.rpc('res.config.settings', 'onchange', [], {}, [], spec)
        self.assertIn("'odoocache_has_secret': True", answer)
        self.assertIn(URL, answer)
        self.assertIn(SECRET, self.rpc('ir.config_parameter', 'get_param', 'odoocache.secret'), "Odoo's own view of parameters")

    def parameter(self):
        self.env.invalidate_all()
        return self.env['ir.config_parameter'].sudo().get_param('odoocache.secret')

    def test_set(self):
        self.authenticate('oc_system', 'oc_system')
        spec = {name: {} for name in NAMES}
        answer = self.rpc('res.config.settings', 'web_save', [], {'odoocache_secret': ' the new one '}, specification=spec)
        self.assertEqual(self.parameter(), 'the new one')
        self.assertNotIn('the new one', answer)
        settings = self.env['res.config.settings'].search([], order='id desc', limit=1)
        self.assertFalse(settings.odoocache_secret)
        self.assertTrue(settings.odoocache_has_secret)
        self.env.cr.execute("SELECT column_name FROM information_schema.columns WHERE table_name = 'res_config_settings'")
        self.assertNotIn('odoocache_secret', [name for [name] in self.env.cr.fetchall()])
        settings.execute()
        self.assertEqual(self.parameter(), 'the new one', "kept as it is")
        settings = self.env['res.config.settings'].create({'odoocache_secret': False})
        settings.execute()
        self.assertEqual(self.parameter(), 'the new one', "an empty field keeps it")
        settings.write({'odoocache_secret': 'another'})
        self.assertEqual(self.parameter(), 'another')
        settings.action_odoocache_forget_secret()
        self.assertFalse(self.parameter())
        self.assertFalse(self.env['res.config.settings'].create({}).odoocache_has_secret)

    def test_others_do_not_set_it(self):
        for login in ('oc_portal', 'oc_internal', 'oc_designer'):
            settings = self.env['res.config.settings'].with_user(self.env['res.users'].search([('login', '=', login)]))
            for call in (
                lambda s=settings: s.create({'odoocache_secret': 'x'}),
                lambda s=settings: s.create({'odoocache_edge_url': 'https://x.example'}),
                lambda s=settings: s.action_odoocache_forget_secret(),
            ):
                with self.assertRaises(AccessError):
                    call()
        self.assertEqual(self.parameter(), SECRET)

    def test_addresses(self):
        config = self.env['odoocache']._config
        for url, word in (
            ('file:///etc/passwd', "file://"), ('ftp://x.example', "ftp://"), ('gopher://x', "gopher://"),
            ('http://', "no host"), ('https:///x', "no host"), ('http://:80', "no host"),
            ('https://user:pass@x.example', "password"), ('user@x.example', "password"), ('http://x.example:port', ""),
            ('http://x.example/?a=b', "query"), ('http://x.example/#a', "fragment"), ('http://[::1', ""), ('http://\xe9.example', "ASCII"),
        ):
            with self.assertRaises(ValidationError, msg=url) as caught:
                self.env['ir.config_parameter'].set_param('odoocache.edge_url', f'https://good.example {url}')
            self.assertIn(word, str(caught.exception))
            self.assertNotIn('pass@', str(caught.exception))
            with patch.dict(os.environ, {'ODOOCACHE_EDGE_URL': f'https://good.example {url}'}):
                self.assertEqual(config().urls, ['https://good.example'], url)
                self.assertEqual(len(config().faults), 1)
                self.assertIn(word, config().faults[0])
            with patch.dict(os.environ, {'ODOOCACHE_EDGE_URL': url}):
                status = self.env['odoocache.status'].create(self.env['odoocache.status']._look())
                self.assertEqual(status.state, 'none')
                self.assertIn("This is no address of a cache", status.message)
                self.assertIn(word, status.message)
        for url in ('http://x', 'https://x.example:8443/in/front', 'x.example:81', 'http://[::1]:80', 'HTTPS://x.example'):
            self.env['ir.config_parameter'].set_param('odoocache.edge_url', url)
            self.assertEqual((config().urls, config().faults), ([url], []))

    def test_tenant(self):
        config = self.env['odoocache']._config
        self.assertEqual(config().tenant, 'default')
        self.env['res.config.settings'].create({'odoocache_tenant': ' shop '}).execute()
        self.assertEqual(config().tenant, 'shop')
        with patch.dict(os.environ, {'ODOOCACHE_TENANT': 'other'}):
            self.assertEqual(config().tenant, 'other')
