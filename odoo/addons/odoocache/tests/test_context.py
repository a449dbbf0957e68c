import base64
import json
import os
from unittest.mock import patch

from odoo import http
from odoo.tests import tagged

from odoo.addons.odoocache import const, tools
from odoo.addons.odoocache.models.website import Website
from odoo.addons.odoocache.tests.common import EDGE, EdgeCase, configure

COUNTRY = '<i t-out="\'from %s.\' % request.geoip.country_code"/>'


@tagged('post_install', '-at_install')
class TestContext(EdgeCase):
    """For whom a page is rendered, and who is told so."""

    def setUp(self):
        super().setUp()
        configure(self.env)
        self.env['odoocache.rule'].with_context(active_test=False).search([]).unlink()
        self.website = self.env['website'].search([], limit=1)

    def sign(self, **parts):
        secret = self.env['ir.config_parameter'].sudo().get_param('database.secret')
        return tools.context_value(secret, {'website': self.website.id, **parts})

    def visit_with(self, **values):
        """A visitor whose session holds these values."""
        session = self.authenticate(None, None)
        session.update(values)
        http.root.session_store.save(session)
        return session

    def sessions(self):
        return sum(len(files) for _path, _folders, files in os.walk(http.root.session_store.path))

    # ------------------------------------------------- what fills the cache

    def test_nobody(self):
        response = self.fill('/contactus')
        self.assertContext(response, '0')
        self.assertNotIn(const.COOKIE_CONTEXT, response.cookies)

    def test_a_fill_keeps_the_language_of_its_page(self):
        french = self.env['res.lang']._activate_lang('fr_FR')
        self.website.language_ids += french
        self.page_with('hello')
        for asked in ('0', self.sign()):
            response = self.fill(f'/{french.url_code}/odoocache-page', asked)
            self.assertFillCookies(response, 'fr_FR')

    def test_a_context_without_its_session(self):
        page = '<i t-out="\'layout %s.\' % request.session.get(\'website_7_layout_mode\')"/>'
        self.page_with(page)
        values = []
        for _visitor in range(2):
            self.visit_with(website_7_layout_mode='list')
            response = self.get('/odoocache-page')
            self.assertIn('layout list.', response.text)
            self.assertEqual(response.headers[const.HEADER_CONTEXT], response.cookies[const.COOKIE_CONTEXT])
            values.append(response.cookies[const.COOKIE_CONTEXT])
        value = self.assertOneContext(values)
        self.assertEqual(value, self.sign(website_7_layout_mode='list'))
        before = self.sessions()
        for url in ('/odoocache-page', '/odoocache-page', '/odoocache-page?x=1'):
            response = self.fill(url, value)
            self.assertContext(response, value)
            self.assertIn('layout list.', response.text)
            self.assertFillCookies(response)
            response = self.fill(url)
            self.assertContext(response, '0')
            self.assertIn('layout None.', response.text)
        self.fill('/nosuch', value)
        self.fill('/contactus', value)
        self.assertEqual(self.sessions(), before, "nothing is kept of nobody")
        response = self.fill('/nosuch', value)
        self.assertEqual(response.status_code, 404)
        self.assertEqual(response.headers[const.HEADER_CONTEXT], value)
        self.assertEqual(self.fill(f'/web/image/website/{self.website.id}/logo', value).headers[const.HEADER_CONTEXT], value)

    def test_a_context_that_is_not_genuine(self):
        self.page_with('<i t-out="\'layout %s.\' % request.session.get(\'website_7_layout_mode\')"/>')
        value = self.sign(website_7_layout_mode='list')
        version, payload, _signature = value.split('.')
        parts = json.loads(base64.urlsafe_b64decode(payload + '=='))
        self.assertEqual(parts, {'website': self.website.id, 'website_7_layout_mode': 'list'})
        other = self.env['website'].create({'name': "Other"})
        secret = self.env['ir.config_parameter'].sudo().get_param('database.secret')
        for wrong in (
            value[:-1] + ('A' if value[-1] != 'A' else 'B'), f'{version}.{payload}.', f'{version}.{payload}', f'2.{payload}.x', '',
            'x' * 16, '.' * 16, '0' * 32, '0', 'private', value + value, 'a' * 600,
            tools.context_value('another secret', parts), tools.context_value(secret, {**parts, 'website': other.id}),
            tools.context_value(secret, {'website': self.website.id}), tools.context_value(secret, {**parts, 'x': 1}),
            self.sign(website_7_layout_mode='?'), self.sign(country='FR'), self.sign(website_7_layout_mode=None),
        ):
            response = self.fill('/odoocache-page', wrong)
            self.assertContext(response, '0')
            self.assertIn('layout None.', response.text, wrong)
            self.assertFillCookies(response)

    def test_who_may_ask_for_a_context(self):
        self.page_with('<i t-out="\'layout %s.\' % request.session.get(\'website_7_layout_mode\')"/>')
        value = self.sign(website_7_layout_mode='list')
        response = self.fill('/odoocache-page', value, headers={const.HEADER_EDGE: 'wrong'})
        self.assertIn('layout None.', response.text)
        self.assertNotIn(const.HEADER_CONTEXT, response.headers)
        self.visit_with()
        response = self.get('/odoocache-page', headers={const.HEADER_CONTEXT: value})
        self.assertIn('layout None.', response.text, "a session goes first")
        self.assertContext(response, '0')

    def test_a_context_that_cannot_be_kept(self):
        """What rendering changes in the settings makes a page nobody's."""
        value = self.sign(website_7_layout_mode='list')
        with patch.object(Website, '_odoocache_found_parts', return_value=({'website_7_layout_mode': 'grid'}, True)):
            self.assertContext(self.fill('/contactus?x=1', value), 'private')
            self.assertContext(self.fill('/contactus?x=1'), 'private')

    def test_a_context_that_fails(self):
        with patch.object(Website, '_odoocache_read_value', side_effect=ValueError), \
                self.assertLogs('odoo.addons.odoocache', 'ERROR'):
            self.assertContext(self.fill('/contactus', self.sign(website_7_layout_mode='list')), '0')

    def test_a_page_that_is_tried_again(self):
        """Odoo makes a new session when it tries a request again."""
        self.page_with('<i t-out="\'layout %s.\' % request.session.get(\'website_7_layout_mode\')"/>')
        value = self.sign(website_7_layout_mode='list')
        IrHttp = self.env.registry['ir.http']
        original = IrHttp._serve_fallback.__func__
        tries = []

        def serve(cls):
            if not tries:
                tries.append(1)
                http.request.session = http.request._get_session_and_dbname()[0]
            return original(cls)

        with patch.object(IrHttp, '_serve_fallback', classmethod(serve)):
            response = self.fill('/odoocache-page?x=1', value)
        self.assertTrue(tries)
        self.assertContext(response, value)
        self.assertIn('layout list.', response.text)
        self.assertFillCookies(response)

    def test_too_long_a_context(self):
        self.visit_with(**{f'website_{i}_layout_mode': 'list' for i in range(30)})
        self.assertContext(self.get('/contactus'), 'private')

    # ------------------------------------------------------ who is told what

    def test_a_session_that_holds_nothing(self):
        """An edge that does not know the session is told (and does not ask again)."""
        self.visit_with()
        response = self.get('/contactus')
        self.assertContext(response, '0')
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0')
        self.assertNotIn(const.COOKIE_CONTEXT, self.get('/contactus').cookies, "nothing has changed")
        self.opener.cookies.set(const.COOKIE_CONTEXT, 'private', domain='127.0.0.1')
        self.visit_with()
        self.opener.cookies.set(const.COOKIE_CONTEXT, 'private', domain='127.0.0.1')
        self.assertEqual(self.get('/contactus').cookies[const.COOKIE_CONTEXT], '0')

    def test_a_cookie_without_a_session(self):
        self.visitor()
        self.opener.cookies.set(const.COOKIE_CONTEXT, 'private', domain='127.0.0.1')
        response = self.get('/contactus')
        self.assertContext(response, '0')
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0')

    # --------------------------------------------------- by what was read

    def test_somebodys_own_records(self):
        guest = self.env['mail.guest'].create({'name': "Guest"})
        channel = self.env['discuss.channel'].create({'name': "Chat"})
        for n, (content, private) in enumerate([
            (f'<i t-out="request.env[\'mail.guest\'].sudo().browse({guest.id}).name"/>', True),
            (f'<i t-out="len(request.env[\'mail.guest\'].sudo().search([(\'id\', \'=\', {guest.id})]))"/>', True),
            (f'<i t-out="request.env[\'discuss.channel\'].sudo().search([(\'id\', \'=\', {channel.id})]).name"/>', True),
            ('<i t-out="request.env[\'mail.guest\'].sudo().search([(\'id\', \'=\', 0)]).name"/>', False),
            ('<i t-out="request.env.user.partner_id.name"/>', False),
            ('<i t-out="request.website.company_id.sudo().partner_id.street"/>', False),
        ]):
            url = f'/odoocache-own-{n}'
            self.page_with(content, url)
            for address in (url, url, f'{url}?x=1', f'/fr{url}'):
                response = self.fill(address)
                if address.startswith('/fr') and response.status_code != 200:
                    continue  # French is not there
                self.assertContext(response, 'private' if private else '0')
                self.assertNotIn(const.COOKIE_CONTEXT, response.cookies)
            self.visit_with()
            response = self.get(url)
            self.assertContext(response, 'private' if private else '0')
            self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0', "the page is, the visitor is not")

    def test_documents_of_the_portal_are_somebodys(self):
        models = self.env['odoocache']._personal_table()
        mixin = self.env.registry['portal.mixin']
        documents = {name for name in self.env.registry if issubclass(self.env.registry[name], mixin)}
        self.assertFalse(documents - models - {'portal.mixin', 'account.journal'})
        for model in ('mail.guest', 'discuss.channel'):
            self.assertIn(model, models)

    def test_a_form_that_was_sent(self):
        """The page that thanks is the visitor's own, the others are not."""
        partner = self.env['res.partner'].create({'name': "Somebody"})
        self.page_with(f'<i t-out="request.env[\'res.partner\'].sudo().browse({partner.id}).name"/>')
        values = {'form_builder_model_model': 'res.partner', 'form_builder_model': "Contact", 'form_builder_id': partner.id}
        self.visit_with(**values)
        self.assertContext(self.get('/contactus'), '0')
        self.assertContext(self.get('/odoocache-page'), 'private')
        self.assertContext(self.fill('/odoocache-page'), '0')

    def test_a_page_that_thanks(self):
        """It asks the session which form was sent, and may read no record."""
        self.page_with('<i t-if="request.session.get(\'form_builder_model_model\')"'
                       ' t-out="\'Number %s.\' % request.website._website_form_last_record().id"/>', '/odoocache-thanks')
        for _i in range(2):
            self.assertContext(self.fill('/odoocache-thanks'), 'private')
        for number in (7, 8):
            self.visit_with(form_builder_model_model='res.partner', form_builder_model="Contact", form_builder_id=number)
            response = self.get('/odoocache-thanks')
            self.assertContext(response, 'private')
            self.assertIn(f'Number {number}.', response.text)
            self.assertEqual(response.cookies[const.COOKIE_CONTEXT], '0')
            self.assertContext(self.get('/contactus'), '0')

    def test_what_the_session_holds(self):
        for values in ({'something_of_a_module': 'x'}, {'context': {'something': 1}}, {'debug': '1'}):
            self.visit_with(**values)
            response = self.get('/contactus')
            self.assertContext(response, 'private')
            self.assertEqual(response.cookies[const.COOKIE_CONTEXT], 'private')

    # ------------------------------------------------------------ countries

    def test_a_site_without_countries(self):
        self.assertContext(self.fill('/contactus'), '0')
        self.assertNotIn('"geoip_country_code": "', self.fill('/contactus').text)

    def test_countries(self):
        self.page_with(COUNTRY)
        countries = self.countries()
        contexts = {}
        for code in ('FR', 'DE', None):
            countries.code = code
            for _visitor in range(2):
                self.visitor()
                response = self.get('/odoocache-page')
                self.assertContext(response, 'private')
                self.assertIn(f'from {code}.', response.text, "asks for themselves")
                contexts.setdefault(code, []).append(response.cookies[const.COOKIE_CONTEXT])
                response = self.get('/contactus')
                if response.request.headers.get('Cookie', '').count('session_id'):
                    self.assertContext(response, contexts[code][0])
                self.assertNotIn(const.COOKIE_CONTEXT, response.cookies)
        contexts = {code: self.assertOneContext(values) for code, values in contexts.items()}
        self.assertEqual(len(set(contexts.values())), 3)
        self.assertEqual(contexts[None], self.sign(country=''))
        countries.code = 'IT'  # whatever the address of the edge's requests says
        for _i in range(2):
            for code, value in contexts.items():
                for url in ('/odoocache-page', '/odoocache-page?x=1'):
                    response = self.fill(url, value)
                    self.assertContext(response, value)
                    self.assertIn(f'from {code}.', response.text)
                    self.assertIn(f'"geoip_country_code": {json.dumps(code)}', response.text)
                    self.assertFillCookies(response)
        for asked in (None, '0' * 32, self.sign(website_7_layout_mode='list'), self.sign(country='france')):
            self.assertContext(self.fill('/odoocache-page', asked), 'private')
            self.assertContext(self.fill('/contactus', asked), 'private')
        self.visit_with()
        response = self.get('/contactus')
        self.assertEqual(response.cookies[const.COOKIE_CONTEXT], self.sign(country='IT'))
        self.assertContext(response, self.sign(country='IT'))
        logo = self.fill(f'/web/image/website/{self.website.id}/logo')
        self.assertNotEqual(logo.headers.get(const.HEADER_CACHE), 'no-store', "files know no countries")

    def test_partners_by_country(self):
        if 'res.partner.grade' not in self.env:
            self.skipTest("website_crm_partner_assign is not installed")
        countries = self.countries()
        grade = self.env['res.partner.grade'].create({'name': "Odoocache", 'website_published': True})
        self.env['res.partner'].create([{
            'name': f"Odoocache in {code}", 'is_company': True, 'website_published': True, 'grade_id': grade.id,
            'country_id': self.env.ref(f'base.{code.lower()}').id,
        } for code in ('FR', 'DE')])
        for seen in ('DE', 'FR', None):
            countries.code = seen
            for code, shown in (('FR', {'FR'}), ('DE', {'DE'}), ('', {'FR', 'DE'})):
                value = self.sign(country=code)
                response = self.fill('/partners?search=Odoocache', value)
                self.assertContext(response, value)
                self.assertEqual({c for c in ('FR', 'DE') if f"Odoocache in {c}" in response.text}, shown)
            self.assertContext(self.fill('/partners?search=Odoocache'), 'private')

    def test_countries_are_gone(self):
        value = self.sign(country='FR')
        self.assertContext(self.fill('/contactus', value), '0')

    # ------------------------------------------------- Odoo's own page cache

    def test_pages_that_odoo_keeps(self):
        self.page_with('<i t-out="request.httprequest.host"/>')
        for _i in range(2):
            for host in ('a.example', 'b.example'):
                self.assertIn(f'<i>{host}</i>', self.fill('/odoocache-page', headers={'Host': host}).text)
        with patch.object(type(self.env['website.page']), '_get_response_raw', side_effect=AssertionError("not kept")):
            response = self.fill('/odoocache-page', headers={'Host': 'a.example'})
        self.assertIn('<i>a.example</i>', response.text)
        self.assertNotIn('odoocache', self.url_open('/odoocache-page', headers={}).headers.get('Set-Cookie', ''))
        self.assertTrue(EDGE)
