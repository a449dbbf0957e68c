import re
from datetime import timedelta

from odoo import fields
from odoo.tests import tagged

from odoo.addons.odoocache import const
from odoo.addons.odoocache.tests.common import EdgeCase, configure


@tagged('post_install', '-at_install')
class TestClock(EdgeCase):
    """When a page changes by itself, the edge is told."""

    def setUp(self):
        super().setUp()
        configure(self.env)
        self.env['odoocache.rule'].with_context(active_test=False).search([]).unlink()
        self.website = self.env['website'].search([], limit=1)
        self.env['website.page'].search([('date_publish', '!=', False)]).date_publish = False
        self.page = self.page_with('hello')

    def in_seconds(self, seconds):
        return fields.Datetime.now() + timedelta(seconds=seconds)

    def assertEnds(self, url, seconds, status=200):
        """Asserts that a page is said to be right for so long, or for good (None)."""
        response = self.fill(url)
        self.assertEqual(response.status_code, status)
        said = response.headers.get(const.HEADER_CACHE)
        if seconds is None:
            self.assertNotIn('end=', said or '', url)
            return
        found = re.fullmatch(r'(?:public, ttl=\d+, grace=\d+, sie=\d+, )?end=(\d+)', said or '')
        self.assertTrue(found, (url, said))
        self.assertLessEqual(int(found[1]), seconds, url)
        self.assertGreater(int(found[1]), seconds - 30, url)

    def test_nothing_ends(self):
        self.assertEnds('/odoocache-page', None)
        self.assertEnds('/odoocache-page?x=1', None)

    def test_a_page_that_will_be_published(self):
        self.page.date_publish = self.in_seconds(900)
        self.assertEnds('/odoocache-page', 900, 404)
        self.assertEnds('/contactus?x=1', None)
        self.env['website.menu'].create({
            'name': "Soon", 'url': '/odoocache-page', 'page_id': self.page.id, 'website_id': self.website.id,
            'parent_id': self.website.menu_id.id})
        for url in ('/contactus', '/contactus', '/contactus?x=1'):
            self.assertEnds(url, 900)
        self.page.date_publish = self.in_seconds(-5)
        for url in ('/contactus', '/contactus', '/odoocache-page'):
            self.assertEnds(url, None)

    def test_with_times(self):
        self.page.write({'odoocache_policy': 'cacheable', 'odoocache_ttl': 77})
        other = self.page_with('soon', '/odoocache-other')
        other.date_publish = self.in_seconds(600)
        self.env['website.menu'].create({
            'name': "Soon", 'url': other.url, 'page_id': other.id, 'website_id': self.website.id,
            'parent_id': self.website.menu_id.id})
        self.assertEnds('/odoocache-page', 600)
        self.assertIn('ttl=77', self.fill('/odoocache-page').headers[const.HEADER_CACHE])
        self.page.odoocache_policy = 'never'
        self.assertEqual(self.fill('/odoocache-page').headers[const.HEADER_CACHE], 'no-store')

    def test_events(self):
        if 'event.event' not in self.env or 'website_published' not in self.env['event.event']._fields:
            self.skipTest("website_event is not installed")
        self.env['event.event'].search([]).write({'is_published': False})
        event = self.env['event.event'].create({
            'name': "Odoocache", 'date_begin': self.in_seconds(1800), 'date_end': self.in_seconds(5400), 'is_published': True})
        url = f'/event/{self.env["ir.http"]._slug(event)}/register'
        self.assertEnds(url, 1800)
        self.env['event.event.ticket'].create({
            'name': "Early", 'event_id': event.id, 'end_sale_datetime': self.in_seconds(700)})
        self.assertEnds(url, 700)
        event.date_begin = self.in_seconds(400)
        self.assertEnds(url, 400)
        self.assertEnds('/event', 400)
        event.is_published = False
        end = re.search(r'end=(\d+)', self.fill('/event').headers[const.HEADER_CACHE])
        self.assertLessEqual(int(end[1]), 86400, "lists go by days")

    def test_blog(self):
        if 'blog.post' not in self.env:
            self.skipTest("website_blog is not installed")
        blog = self.env['blog.blog'].create({'name': "Odoocache"})
        url = f'/blog/{self.env["ir.http"]._slug(blog)}'
        now, soon = self.env['blog.post'].create([{
            'name': name, 'blog_id': blog.id, 'is_published': True} for name in ("Now", "Soon")])
        self.env['blog.post'].search([('post_date', '>', fields.Datetime.now())]).post_date = self.in_seconds(-60)
        self.assertEnds(url, None)
        soon.post_date = self.in_seconds(500)
        self.assertNotIn("Soon", self.fill(url).text)
        self.assertEnds(url, 500)
        self.assertTrue(now)

    def test_the_second_of_a_date(self):
        """Odoo compares some dates with < and some with <=."""
        self.page.date_publish = date = fields.Datetime.now() + timedelta(days=2)
        following = self.env['odoocache']._next
        second = timedelta(seconds=1)
        half = second / 2
        for after, moment in (
            (date - half, date), (date, date + second), (date + half, date + second), (date + second, None), (date - 10 * second, date),
        ):
            self.assertEqual(following('website.page', ['date_publish'], [('id', '=', self.page.id)], after), moment)
