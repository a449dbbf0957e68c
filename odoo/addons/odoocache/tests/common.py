from contextlib import contextmanager
from unittest.mock import patch

from odoo import http
from odoo.tests import HttpCase

try:
    from odoo.tests.test_cursor import TestCursor
except ImportError:  # until 18
    from odoo.sql_db import TestCursor

from odoo.addons.odoocache import const, sender

EDGE = {const.HEADER_EDGE: const.TOKEN_WITHOUT_SECRET}


def configure(env, **values):
    for name in ('edge_url', 'secret', 'tenant', 'always_post'):
        env['ir.config_parameter'].sudo().set_param(f'odoocache.{name}', values.get(name, False))


class EdgeCase(HttpCase):
    """Requests as the edge makes them."""

    def visitor(self):
        """From here on, another visitor, without any cookie."""
        self.opener = type(self.opener)(self)

    def fill(self, url, context=None, headers=None, **kwargs):
        """What fills the cache: no session, nothing of a visitor."""
        opener = self.opener
        self.visitor()
        try:
            given = {const.HEADER_CONTEXT: context} if context is not None else {}
            return self.url_open(url, headers={**EDGE, **given, **(headers or {})}, **kwargs)
        finally:
            self.opener = opener

    def get(self, url, **kwargs):
        """What a visitor asks for themselves, through the edge."""
        return self.url_open(url, headers={**EDGE, **kwargs.pop('headers', {})}, **kwargs)

    def page_with(self, content, url='/odoocache-page'):
        """A page of the website, with something in it."""
        key = f'odoocache.{url[1:].replace("-", "_")}'
        view = self.env['ir.ui.view'].create({
            'name': url, 'type': 'qweb', 'key': key,
            'arch': f'<t t-name="{key}"><t t-call="website.layout"><p>{content}</p></t></t>'})
        return self.env['website.page'].create({'view_id': view.id, 'url': url, 'is_published': True})

    def assertContext(self, response, value, status=200):
        """Asserts whose page this is; a page of one visitor must not be stored."""
        self.assertEqual(response.status_code, status, response.url)
        self.assertEqual(response.headers[const.HEADER_CONTEXT], value, response.url)
        own = value == const.CONTEXT_PRIVATE
        self.assertEqual(response.headers.get(const.HEADER_CACHE) == 'no-store', own, response.url)
        self.assertEqual(const.HEADER_TAGS not in response.headers, own, response.url)

    def assertFillCookies(self, response, language=None):
        """Asserts that the answer sets no cookie but the language of the page."""
        lines = response.raw.headers.getlist('Set-Cookie')
        values = [line.partition(';')[0] for line in lines]
        for value in values:
            self.assertRegex(value, '^frontend_lang=', response.url)
        if language:
            self.assertEqual(values, [f'frontend_lang={language}'], response.url)

    def assertOneContext(self, values):
        """Asserts that this is one signed value."""
        [value] = set(values)
        self.assertRegex(value, r'^[A-Za-z0-9._-]{16,512}$')
        return value

    def countries(self):
        """Gives the site a database of countries. What is returned says, by its
        field ``code``, from where requests come: a code, or None."""
        database = Countries()
        for name in ('geoip_country_db', 'geoip_city_db'):
            self.addCleanup(http.root.__dict__.pop, name, None)
            http.root.__dict__[name] = database
        return database


class Countries:
    code = None

    def country(self, ip):
        if self.code is None:
            raise http.geoip2.errors.AddressNotFoundError(ip)
        return http.geoip2.models.City({'country': {'iso_code': self.code, 'names': {'en': self.code}}})

    city = country


def noted(env):
    """The tags that the changes so far will purge."""
    cr = env.cr
    cr.flush()
    return set(cr.postcommit.data.get('odoocache', ()))


def forget(env):
    env.cr.flush()
    env.cr.postcommit.clear()
    env.cr.execute("DELETE FROM odoocache_purge")


def pending(env):
    env.cr.execute("SELECT tags FROM odoocache_purge ORDER BY id")
    return [set(tags.split()) for (tags,) in env.cr.fetchall()]


@contextmanager
def postcommit_runs():
    """A test's cursor forgets what is to run after a commit. Here it runs."""
    original = TestCursor.commit

    def commit(cr):
        cr.flush()
        functions, data = list(cr.postcommit._funcs), dict(cr.postcommit.data)
        original(cr)
        cr.postcommit.data.update(data)
        for function in functions:
            cr.postcommit.add(function)
        cr.postcommit.run()

    with patch.object(TestCursor, 'commit', commit), patch.object(sender, 'wake') as wake:
        yield wake
