from unittest.mock import patch

from odoo.tests import TransactionCase, tagged

from odoo.addons.odoocache.models.odoocache import Odoocache
from odoo.addons.odoocache.tests.common import configure, forget, noted, pending, postcommit_runs


@tagged('post_install', '-at_install')
class TestPurge(TransactionCase):
    """Which tags a change purges, and when."""

    def setUp(self):
        super().setUp()
        configure(self.env, edge_url='http://edge.example')
        self.website = self.env['website'].search([], limit=1)
        self.view = self.env['ir.ui.view'].create({
            'name': "A page", 'type': 'qweb', 'key': 'odoocache.a_page', 'arch': '<t t-name="odoocache.a_page"><p>one</p></t>'})
        self.page = self.env['website.page'].create({
            'view_id': self.view.id, 'url': '/odoocache-a', 'is_published': True})
        forget(self.env)

    def test_page(self):
        self.page.write({'odoocache_policy': 'never'})
        self.assertEqual(noted(self.env), {f'website.page-{self.page.id}', 'website.page-many'})

    def test_page_published(self):
        self.page.is_published = False
        self.assertIn('website.page', noted(self.env))

    def test_page_takes_an_address(self):
        view = self.view.copy({'key': 'odoocache.b_page'})
        forget(self.env)
        self.env['website.page'].create({'view_id': view.id, 'url': '/odoocache-a', 'website_id': self.website.id})
        self.assertLessEqual({f'website.page-{self.page.id}', 'website.page'}, noted(self.env))

    def test_view_of_a_page(self):
        self.view.arch = '<t t-name="odoocache.a_page"><p>two</p></t>'
        self.assertEqual(noted(self.env), {f'website.page-{self.page.id}', 'website.page-many'})

    def test_view_of_all_pages(self):
        view = self.env['ir.ui.view'].create({
            'name': "Shared", 'type': 'qweb', 'key': 'odoocache.shared', 'arch': '<t t-name="odoocache.shared"/>'})
        forget(self.env)
        view.arch = '<t t-name="odoocache.shared"><p/></t>'
        self.assertEqual(noted(self.env), {'website'})
        forget(self.env)
        view.website_id = self.website
        forget(self.env)
        view.arch = '<t t-name="odoocache.shared"><b/></t>'
        self.assertEqual(noted(self.env), {f'website-{self.website.id}'})

    def test_a_view_saved_unchanged(self):
        """The editor saves what it has shown, changed or not."""
        self.view.write({'arch': self.view.arch, 'name': "Another name"})
        self.view.arch_db = self.view.arch_db
        self.view.write({'active': True, 'priority': self.view.priority})
        self.assertFalse(noted(self.env))
        self.view.write({'arch': '<t t-name="odoocache.a_page"><p>three</p></t>'})
        self.view.write({'arch': '<t t-name="odoocache.a_page"><p>one</p></t>'})
        self.assertFalse(noted(self.env), "and back")
        for values in (
            {'priority': 5}, {'active': False}, {'arch': '<t t-name="odoocache.a_page"><p>two</p></t>'},
            {'group_ids' if 'group_ids' in self.view._fields else 'groups_id': [(4, self.env.ref('base.group_user').id)]},
        ):
            forget(self.env)
            self.view.write(values)
            self.assertIn(f'website.page-{self.page.id}', noted(self.env), values)

    def test_copies_of_views_for_a_website(self):
        """A view that is edited is copied for the website, with all that
        inherit from it. Only what is edited counts."""
        arch = '<t t-name="odoocache.parent"><div id="a"/><div id="b"/></t>'
        view = self.env['ir.ui.view'].create({'name': "Parent", 'type': 'qweb', 'key': 'odoocache.parent', 'arch': arch})
        children = self.env['ir.ui.view'].create([{
            'name': f"Child {n}", 'type': 'qweb', 'key': f'odoocache.child{n}', 'inherit_id': view.id, 'active': n < 2,
            'arch': f'<data><xpath expr="//div[@id=\'a\']" position="inside"><p>{n}</p></xpath></data>'} for n in range(3)])
        forget(self.env)
        here = view.with_context(website_id=self.website.id)
        here.write({'arch': arch})
        copies = self.env['ir.ui.view'].with_context(active_test=False).search(
            [('key', 'like', 'odoocache.child'), ('website_id', '=', self.website.id)])
        self.assertEqual(len(copies), len(children))
        self.assertFalse(noted(self.env))
        forget(self.env)
        children[0].with_context(website_id=self.website.id).arch = children[0].arch.replace('<p>', '<p class="x">')
        self.assertEqual(noted(self.env), {f'website-{self.website.id}'})
        forget(self.env)
        copies[1].unlink()  # the original takes its place
        self.assertFalse(noted(self.env))
        copies[0].unlink()
        self.assertEqual(noted(self.env), {f'website-{self.website.id}'})
        forget(self.env)
        self.env['ir.ui.view'].create({
            'name': "New", 'type': 'qweb', 'key': 'odoocache.new', 'inherit_id': view.id, 'website_id': self.website.id,
            'arch': '<data><xpath expr="//div[@id=\'a\']" position="inside"><b/></xpath></data>'})
        self.assertEqual(noted(self.env), {f'website-{self.website.id}'})

    def test_a_page_copied_for_a_website(self):
        """The editor drops a block into a page of all websites, for the first time."""
        arch = '<t t-name="odoocache.for_all"><p>one</p></t>'
        view = self.env['ir.ui.view'].create({'name': "For all", 'type': 'qweb', 'key': 'odoocache.for_all', 'arch': arch})
        page = self.env['website.page'].create({'view_id': view.id, 'url': '/odoocache-all', 'is_published': True})
        menu = self.env['website.menu'].create({
            'name': "For all", 'url': page.url, 'page_id': page.id, 'website_id': self.website.id, 'parent_id': self.website.menu_id.id})
        forget(self.env)
        view.with_context(website_id=self.website.id).arch = arch.replace('one', 'two')
        tags = noted(self.env)
        copy = self.env['website.page'].search([('url', '=', page.url), ('website_id', '=', self.website.id)])
        self.assertEqual((menu.page_id, page.view_id.arch), (copy, arch))
        self.assertEqual(tags, {'website.page', f'website.page-{page.id}', f'website.page-{copy.id}', 'website.page-many'})
        forget(self.env)
        copy.is_published = False  # its entry goes
        self.assertIn(f'website-{self.website.id}', noted(self.env))

    def test_backend_view(self):
        view = self.env.ref('website.website_pages_form_view')
        view.name = "Another name"
        self.assertFalse(noted(self.env))

    def test_menu(self):
        menu = self.env['website.menu'].create({'name': "m", 'url': '/m', 'website_id': self.website.id})
        self.assertIn(f'website-{self.website.id}', noted(self.env))
        forget(self.env)
        menu.unlink()
        self.assertIn(f'website-{self.website.id}', noted(self.env))

    def test_redirect(self):
        self.env['website.rewrite'].create({
            'name': 'r', 'redirect_type': '301', 'url_from': '/a', 'url_to': '/b', 'website_id': self.website.id})
        self.assertIn(f'website-{self.website.id}', noted(self.env))

    def test_website(self):
        self.website.name = "Another name"
        self.assertEqual(noted(self.env), {f'website-{self.website.id}'})

    def test_company(self):
        self.env.company.phone = '+1 555 0100'
        self.assertIn('website', noted(self.env))
        forget(self.env)
        self.env.company.report_footer = "On invoices alone"
        self.assertFalse(noted(self.env))

    def test_partner(self):
        partner = self.env['res.partner'].create({'name': "Somebody"})
        partner.name = "Somebody else"
        self.assertFalse(noted(self.env))

    def test_translation(self):
        self.env['res.lang']._activate_lang('fr_FR')
        forget(self.env)
        self.view.update_field_translations('arch_db', {'fr_FR': {'one': 'un'}})
        self.assertIn(f'website.page-{self.page.id}', noted(self.env))

    def test_attachment(self):
        attachment = self.env['ir.attachment'].create({
            'name': 'a.png', 'public': True, 'raw': b'x', 'res_model': 'website.page', 'res_id': self.page.id})
        forget(self.env)
        attachment.raw = b'y'
        self.assertEqual(noted(self.env), {
            f'ir.attachment-{attachment.id}', f'website.page-{self.page.id}', 'website.page-many'})
        forget(self.env)
        attachment = self.env['ir.attachment'].create({'name': 'private', 'raw': b'x', 'res_model': 'res.partner', 'res_id': 1})
        attachment.raw = b'y'
        self.assertFalse(noted(self.env))

    def test_website_image(self):
        gif = b'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
        self.website.favicon = gif
        self.assertIn(f'website-{self.website.id}', noted(self.env))

    def test_settings(self):
        self.env['res.config.settings'].create({'website_id': self.website.id}).execute()
        self.assertIn('website', noted(self.env))

    def test_rule(self):
        self.env['odoocache.rule'].create({'name': 'r', 'pattern': '/r', 'website_id': self.website.id})
        self.assertEqual(noted(self.env), {f'website-{self.website.id}'})

    def test_nothing(self):
        self.env['ir.config_parameter'].set_param('some.key', 'x')
        self.env['res.users'].search([], limit=1).read(['name'])
        self.assertFalse(noted(self.env))

    def test_one_row_for_many_changes(self):
        for i in range(5):
            self.page.write({'odoocache_ttl': i})
            self.website.name = f"Name {i}"
        self.env.cr.flush()
        self.assertEqual(pending(self.env), [
            {f'website.page-{self.page.id}', 'website.page-many', f'website-{self.website.id}'}])

    def test_no_edge_is_set(self):
        configure(self.env)
        forget(self.env)
        for i in range(3):
            self.page.write({'odoocache_ttl': i})
            self.env.cr.flush()
        self.assertEqual(pending(self.env), [{'*'}])

    def test_many_records(self):
        tags = self.env['odoocache']._resolve('website.page', set(range(10 ** 6, 10 ** 6 + 300)))
        self.assertEqual(tags, {'website.page-any'})

    def test_rollback(self):
        with self.assertRaises(ZeroDivisionError), self.env.cr.savepoint():
            self.page.write({'odoocache_ttl': 1})
            self.env.cr.flush()
            self.assertTrue(pending(self.env))
            raise ZeroDivisionError
        self.assertFalse(pending(self.env))

    def test_after_commit(self):
        self.registry_enter_test_mode() if hasattr(self, 'registry_enter_test_mode') else self.registry.enter_test_mode(self.env.cr)
        with postcommit_runs() as wake:
            with self.registry.cursor() as cr:
                page = self.page.with_env(self.env(cr=cr))
                page.write({'odoocache_ttl': 2})
                cr.flush()
                wake.assert_not_called()
            wake.assert_called_once_with(self.env.cr.dbname)
            with self.registry.cursor() as cr:
                self.page.with_env(self.env(cr=cr)).write({'odoocache_ttl': 3})
                cr.rollback()
            wake.assert_called_once()

    def test_an_error_purges_everything(self):
        with patch.object(Odoocache, '_resolve_changes', side_effect=ValueError), \
                self.assertLogs('odoo.addons.odoocache', 'ERROR'):
            self.page.write({'odoocache_ttl': 4})
            self.assertEqual(noted(self.env), {'*'})
        self.assertEqual(self.page.odoocache_ttl, 4)

    def test_an_error_of_the_database_does_no_harm(self):
        def fail(odoocache, changes):
            odoocache.env.cr.execute("SELECT 1 / 0")

        with patch.object(Odoocache, '_resolve_changes', fail), \
                self.assertLogs('odoo.addons.odoocache', 'ERROR'), self.assertLogs('odoo.sql_db', 'ERROR'):
            self.page.write({'odoocache_ttl': 5})
            self.assertEqual(noted(self.env), {'*'})
        self.assertEqual(pending(self.env), [{'*'}])
        self.env.cr.execute("SELECT odoocache_ttl FROM website_page WHERE id = %s", (self.page.id,))
        self.assertEqual(self.env.cr.fetchone(), (5,))

    def test_a_hook_that_fails_purges_everything(self):
        with patch.object(Odoocache, '_note_change', side_effect=ValueError), \
                self.assertLogs('odoo.addons.odoocache', 'ERROR'):
            self.page.write({'odoocache_ttl': 6})
            self.assertEqual(noted(self.env), {'*'})
