import json
from unittest.mock import patch

from odoo.tests import HttpCase, tagged

from odoo.addons.odoocache import const, tools
from odoo.addons.odoocache.models.odoocache import Odoocache, Spec
from odoo.addons.odoocache.tests.common import EDGE, configure, forget, noted, pending, postcommit_runs


@tagged('post_install', '-at_install')
class TestHttp(HttpCase):

    def setUp(self):
        super().setUp()
        configure(self.env)
        self.website = self.env['website'].search([], limit=1)
        self.view = self.env['ir.ui.view'].create({
            'name': "A page", 'type': 'qweb', 'key': 'odoocache.http_page',
            'arch': '<t t-name="odoocache.http_page"><t t-call="website.layout"><p>one</p></t></t>'})
        self.page = self.env['website.page'].create({
            'view_id': self.view.id, 'url': '/odoocache-http', 'is_published': True})
        self.env['odoocache.rule'].with_context(active_test=False).search([]).unlink()
        forget(self.env)

    def get(self, url='/odoocache-http', edge=True, **kwargs):
        headers = dict(EDGE if edge else {}, **kwargs.pop('headers', {}))
        return self.url_open(url, headers=headers, **kwargs)

    def tags(self, *args, **kwargs):
        return set(self.get(*args, **kwargs).headers.get(const.HEADER_TAGS, '').split())

    def rpc(self, model, method, args, headers=None):
        response = self.url_open(
            '/web/dataset/call_kw', data=json.dumps({'params': {
                'model': model, 'method': method, 'args': args, 'kwargs': {}}}),
            headers={'Content-Type': 'application/json', **(headers or {})})
        self.assertNotIn('error', response.json())
        return response

    # ------------------------------------------------------------- no edge

    def test_no_influence_without_an_edge(self):
        names = (const.HEADER_TAGS, const.HEADER_PURGE, const.HEADER_CACHE, const.HEADER_CONTEXT, const.HEADER_STORED_TAGS)
        plain = [self.get(edge=False), self.get(headers={const.HEADER_EDGE: 'wrong'}, edge=False)]
        self.get()
        plain.append(self.get(edge=False))  # Odoo's page cache
        for response in plain:
            self.assertEqual(response.status_code, 200)
            for name in names:
                self.assertNotIn(name, response.headers)
            self.assertNotIn('odoocache', response.headers.get('Set-Cookie', ''))
        self.authenticate('admin', 'admin')
        self.assertNotIn(const.COOKIE_CONTEXT, self.get(edge=False).cookies)

    def test_secret(self):
        configure(self.env, secret='s3cret')
        self.assertNotIn(const.HEADER_TAGS, self.get().headers)
        response = self.get(headers={const.HEADER_EDGE: tools.edge_token('s3cret')})
        self.assertIn(const.HEADER_TAGS, response.headers)

    # ---------------------------------------------------------------- tags

    def test_tags_of_a_page(self):
        expected = {'website', f'website-{self.website.id}', f'website.page-{self.page.id}', 'website.page-any'}
        self.assertEqual(self.tags(), expected)
        self.assertEqual(self.tags(), expected, "from Odoo's page cache")
        self.assertEqual(self.tags('/odoocache-http?x=1'), expected, "past Odoo's page cache")

    def test_tags_of_a_missing_page(self):
        self.assertEqual(self.tags('/odoocache-none'), {'website', f'website-{self.website.id}', 'website.page'})

    def test_records_on_a_page(self):
        """A page that Odoo would keep in its own memory, too, is new after the
        purge of a record on it; and no other record's change purges it."""
        specs = self.env['odoocache']._spec_table()
        self.patch(self.env.registry, '_odoocache_specs', {**specs, 'res.country': Spec('record', listing=['code'])})
        france, spain = self.env.ref('base.fr'), self.env.ref('base.es')
        self.view.arch = (
            '<t t-name="odoocache.http_page"><t t-call="website.layout"><p t-out="request.env[\'res.country\'].sudo()'
            f'.browse({france.id}).name"/></t></t>')
        for name in ("Gaul", "France again"):
            self.get(edge=False)  # Odoo keeps this one
            for _i in range(2):
                tags = self.tags()
                self.assertLessEqual({f'res.country-{france.id}', 'res.country-any'}, tags)
                self.assertFalse({f'res.country-{spain.id}', 'res.country'} & tags)
            forget(self.env)
            france.name = name
            self.assertEqual(noted(self.env), {f'res.country-{france.id}', 'res.country-many'})
            self.assertIn(name, self.get().text)
        self.view.arch = (
            '<t t-name="odoocache.http_page"><t t-call="website.layout"><p t-out="request.env[\'res.country\'].sudo()'
            '.search([], limit=1).name"/></t></t>')
        self.assertIn('res.country', self.tags())
        forget(self.env)
        spain.code = 'XS'
        self.assertIn('res.country', noted(self.env))

    def test_image(self):
        attachment = self.env['ir.attachment'].create({'name': 'a.txt', 'public': True, 'raw': b'x'})
        self.assertEqual(self.tags(f'/web/content/{attachment.id}'), {f'ir.attachment-{attachment.id}'})
        self.assertEqual(
            self.tags(f'/web/image/website/{self.website.id}/logo'), {f'website-{self.website.id}'})

    def test_unknown_tags_are_not_stored(self):
        with patch.object(Odoocache, '_tags_of_reads', side_effect=ValueError), \
                self.assertLogs('odoo.addons.odoocache', 'ERROR'):
            response = self.get('/website/info')
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.headers[const.HEADER_CACHE], 'no-store')

    def test_a_page_is_served_whatever_fails(self):
        for model, method in (
            ('odoocache', '_tags_of_reads'), ('website', '_odoocache_session_parts'), ('website', '_odoocache_is_own'),
            ('website', '_odoocache_page_value'), ('odoocache', '_personal_models'),
            ('odoocache.rule', '_header_for'), ('odoocache', '_spec_table'),
        ):
            self.env.registry.__dict__.pop('_odoocache_personal', None)
            with patch.object(type(self.env[model]), method, side_effect=ValueError), \
                    self.assertLogs('odoo.addons.odoocache', 'ERROR'):
                for url in ('/website/info', '/odoocache-http?x=1'):  # past Odoo's page cache
                    self.opener = type(self.opener)(self)  # without a session
                    response = self.get(url)
                    self.assertEqual(response.status_code, 200, method)
                    self.assertEqual(response.headers.get(const.HEADER_CACHE), 'no-store', (method, url))

    # ------------------------------------------------------------- context

    def test_context_of_a_new_visitor(self):
        response = self.get()
        self.assertEqual(response.headers[const.HEADER_CONTEXT], '0')
        self.assertNotIn(const.COOKIE_CONTEXT, response.cookies)

    def test_context_of_a_user(self):
        self.authenticate('admin', 'admin')
        response = self.get()
        self.assertEqual(response.headers[const.HEADER_CONTEXT], 'private')
        self.assertEqual(response.headers[const.HEADER_CACHE], 'no-store')
        self.assertNotIn(const.HEADER_TAGS, response.headers)
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], 'private')
        cookie = response.headers['Set-Cookie']
        for word in ('HttpOnly', 'SameSite=Lax', 'Path=/', 'Max-Age='):
            self.assertIn(word, cookie)
        self.assertNotIn(const.COOKIE_CONTEXT, self.get().cookies, "nothing has changed")
        # Signed out, the visitor sees what everybody sees, and the edge is told.
        self.get('/web/session/logout', allow_redirects=False)
        response = self.get()
        self.assertEqual(response.headers[const.HEADER_CONTEXT], '0')
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0')

    def test_context_of_debug(self):
        self.assertEqual(self.get('/odoocache-http?debug=1').headers[const.HEADER_CONTEXT], 'private')

    def test_context_of_what_is_not_known(self):
        session = self.authenticate(None, None)
        self.assertEqual(self.get('/').headers[const.HEADER_CONTEXT], '0')
        session['something_of_a_module'] = 'x'
        from odoo.http import root
        root.session_store.save(session)
        self.assertEqual(self.get().headers[const.HEADER_CONTEXT], 'private')

    def test_context_of_a_post(self):
        """The edge no longer takes this session for a fresh one; the cookie
        says that its pages are still everybody's."""
        response = self.get(data={'x': '1'})
        self.assertEqual(response.headers[const.HEADER_CONTEXT], '0')
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0')
        self.assertNotIn(const.HEADER_TAGS, response.headers)

    # --------------------------------------------------------------- flags

    def test_flag_of_a_page(self):
        self.assertNotIn(const.HEADER_CACHE, self.get().headers)
        self.page.odoocache_policy = 'never'
        self.assertEqual(self.get().headers[const.HEADER_CACHE], 'no-store')
        self.page.write({'odoocache_policy': 'cacheable', 'odoocache_ttl': 77})
        self.website.write({'odoocache_grace': 5, 'odoocache_sie': 6})
        for _i in range(2):
            self.assertEqual(self.get().headers[const.HEADER_CACHE], 'public, ttl=77, grace=5, sie=6')

    def test_flag_of_a_website(self):
        self.website.write({'odoocache_page_ttl': 33, 'odoocache_grace': 5, 'odoocache_sie': 6})
        self.assertEqual(self.get().headers[const.HEADER_CACHE], 'public, ttl=33, grace=5, sie=6')
        self.assertNotIn(const.HEADER_CACHE, self.get('/website/info').headers)

    def test_rules(self):
        rules = self.env['odoocache.rule'].create([
            {'name': 'a', 'sequence': 1, 'pattern': '/website/info', 'cacheable': False},
            {'name': 'b', 'sequence': 2, 'kind': 'regex', 'pattern': '/odoocache-h.*', 'ttl': 9, 'grace': 8, 'sie': 7},
        ])
        self.assertEqual(self.get('/website/info').headers[const.HEADER_CACHE], 'no-store')
        self.assertEqual(self.get().headers[const.HEADER_CACHE], 'public, ttl=9, grace=8, sie=7')
        rules[1].website_id = self.env['website'].create({'name': "Another"})
        self.assertNotIn(const.HEADER_CACHE, self.get().headers)
        header = self.env['odoocache.rule']._header_for
        self.assertEqual(header(self.website.id, '/website/info/x'), 'no-store')
        self.assertIsNone(header(self.website.id, '/website/information'))

    def test_visibility(self):
        self.page.visibility = 'password'
        response = self.get()
        self.assertEqual(response.status_code, 403)
        self.page.visibility_password_display = 'open'
        response = self.get('/odoocache-http?visibility_password=open')
        self.assertEqual(response.headers[const.HEADER_CACHE], 'no-store')

    # -------------------------------------------------------------- purges

    def test_purge_by_header(self):
        configure(self.env, edge_url='http://edge.example')
        forget(self.env)
        self.authenticate('admin', 'admin')
        with postcommit_runs() as wake:
            response = self.rpc('website.page', 'write', [[self.page.id], {'odoocache_ttl': 5}], EDGE)
            self.assertEqual(
                response.headers[const.HEADER_PURGE], f'website.page-{self.page.id}, website.page-many')
            wake.assert_not_called()
            self.assertFalse(pending(self.env))
            response = self.rpc('website.page', 'read', [[self.page.id], ['name']], EDGE)
            self.assertNotIn(const.HEADER_PURGE, response.headers)

    def test_purge_by_request(self):
        """The change does not come through the edge."""
        configure(self.env, edge_url='http://edge.example')
        forget(self.env)
        self.authenticate('admin', 'admin')
        with postcommit_runs() as wake:
            response = self.rpc('website.page', 'write', [[self.page.id], {'odoocache_ttl': 5}])
            self.assertNotIn(const.HEADER_PURGE, response.headers)
            wake.assert_called()
            self.assertEqual(pending(self.env), [{f'website.page-{self.page.id}', 'website.page-many'}])

    def test_purge_by_both(self):
        configure(self.env, edge_url='http://edge.example', always_post='1')
        forget(self.env)
        self.authenticate('admin', 'admin')
        with postcommit_runs() as wake:
            response = self.rpc('website.page', 'write', [[self.page.id], {'odoocache_ttl': 5}], EDGE)
            self.assertIn(const.HEADER_PURGE, response.headers)
            wake.assert_called()
            self.assertEqual(len(pending(self.env)), 1)

    def test_visits_purge_nothing(self):
        configure(self.env, edge_url='http://edge.example')
        forget(self.env)
        with postcommit_runs() as wake:
            for url in ('/', '/odoocache-http', '/contactus', '/odoocache-none'):
                self.assertNotIn(const.HEADER_PURGE, self.get(url).headers)
                self.get(url, edge=False)
            wake.assert_not_called()
        self.assertFalse(pending(self.env))
