import re
from urllib.parse import urlsplit

from odoo import _, api, fields, models, tools
from odoo.exceptions import ValidationError

HOUR = 3600


def hours(name, text, help_text):
    """A field that shows the seconds of another one as hours, and takes them."""
    def compute(records):
        for record in records:
            record[f'{name}_hours'] = record[name] / HOUR

    def inverse(records):
        for record in records:
            record[name] = round(record[f'{name}_hours'] * HOUR)

    return fields.Float(text, compute=api.depends(name)(compute), inverse=inverse, digits=(12, 4), help=help_text)


class OdoocacheRule(models.Model):
    """Which addresses the edge may keep, and for how long."""
    _name = 'odoocache.rule'
    _description = "Page cache rule"
    _order = 'sequence, id'

    name = fields.Char(required=True, translate=True, help="For you. Visitors do not see it.")
    active = fields.Boolean(default=True, help="A rule that is not active is skipped.")
    sequence = fields.Integer(
        "Order", default=10, help="The first active rule that takes an address counts. Drag rules to change their order.")
    website_id = fields.Many2one(
        'website', ondelete='cascade', help="The rule is for the pages of this website. Empty: of all websites.")
    kind = fields.Selection(
        [('prefix', "Begins with"), ('regex', "Matches")], string="Address", required=True, default='prefix',
        help="Begins with: /shop takes /shop and /shop/1, not /shopping. Matches: a regular expression that "
             "takes the address as a whole. The language is not a part of the address.")
    pattern = fields.Char(
        required=True, help="The beginning of an address, such as /shop, or a regular expression. Without the "
                            "website's name, the language and what follows a question mark.")
    cacheable = fields.Boolean(
        "May be kept", default=True, help="Off: these pages are made anew for each visitor.")
    ttl = fields.Integer("Fresh for (s)", default=600)
    grace = fields.Integer("Stale while refreshed (s)", default=3600)
    sie = fields.Integer("Stale if Odoo fails (s)", default=86400)
    ttl_hours = hours(
        'ttl', "Fresh for", "For so many hours (h:mm) a kept page is shown without asking Odoo. A change of what is on it ends "
        "that at once. 0:00: as long as the settings of the cache say; then they say the other times, too.")
    grace_hours = hours(
        'grace', "Then shown while it is renewed", "For so many hours (h:mm) after that, a visitor still gets the kept page at "
        "once, while a new one is made for the next.")
    sie_hours = hours(
        'sie', "Shown if Odoo fails", "For so many hours (h:mm) the kept page stands in for an error of Odoo.")

    @api.constrains('kind', 'pattern')
    def _check_pattern(self):
        for rule in self:
            if rule.kind == 'prefix' and not rule.pattern.startswith('/'):
                raise ValidationError(_("An address begins with a slash: %s", rule.pattern))
            if rule.kind == 'regex':
                try:
                    re.compile(rule.pattern)
                except re.error as error:
                    raise ValidationError(_("%(pattern)s is no regular expression: %(error)s",
                                            pattern=rule.pattern, error=error)) from error

    @api.constrains('ttl', 'grace', 'sie')
    def _check_times(self):
        for rule in self:
            if min(rule.ttl, rule.grace, rule.sie) < 0:
                raise ValidationError(_("A time is not negative."))

    @api.model
    @tools.ormcache('website_id')
    def _rules(self, website_id):
        rules = self.sudo().search(['|', ('website_id', '=', False), ('website_id', '=', website_id)])
        return tuple((r.id, r.kind, r.pattern, r.cacheable, r.ttl, r.grace, r.sie) for r in rules)

    @api.model
    def _rule_for(self, website_id, path):
        """The first rule that takes an address, as _rules() has it, or None."""
        for rule in self._rules(website_id):
            _id, kind, pattern, *_rest = rule
            if kind == 'prefix':
                prefix = pattern.rstrip('/')
                found = path == prefix or path.startswith(f'{prefix}/') or not prefix
            else:
                found = re.fullmatch(pattern, path)
            if found:
                return rule
        return None

    @api.model
    def _header_for(self, website_id, path):
        """The header's value for an address, or None if no rule takes it."""
        rule = self._rule_for(website_id, path)
        if rule is None:
            return None
        _id, _kind, _pattern, cacheable, ttl, grace, sie = rule
        return self._header(ttl, grace, sie) if cacheable else 'no-store'

    @api.model
    def _header(self, ttl, grace, sie):
        words = ['public']
        if ttl:
            words += [f'ttl={ttl}', f'grace={grace}', f'sie={sie}']
        return ', '.join(words)

    def _forget(self):
        if hasattr(self.env.registry, 'clear_cache'):
            self.env.registry.clear_cache()
        else:
            self.env.registry.clear_caches()

    @api.model_create_multi
    def create(self, vals_list):
        rules = super().create(vals_list)
        rules._forget()
        rules._purge()
        return rules

    def write(self, vals):
        self._purge()
        result = super().write(vals)
        self._forget()
        self._purge()
        return result

    def unlink(self):
        self._purge()
        result = super().unlink()
        self._forget()
        return result

    def _purge(self):
        """What is stored was stored by the old rule."""
        for rule in self:
            self.env['odoocache']._note_tags(f'website-{rule.website_id.id}' if rule.website_id else 'website')


class OdoocacheLookup(models.TransientModel):
    """Which rule takes an address."""
    _name = 'odoocache.lookup'
    _description = "Which rule takes this address?"

    address = fields.Char(
        help="As a visitor's browser shows it: https://shop.example/fr/shop/desk-9, or only /shop/desk-9.")
    website_id = fields.Many2one(
        'website', required=True, default=lambda self: self.env['website'].get_current_website(),
        help="The website that shows the page.")
    rule_id = fields.Many2one('odoocache.rule', "Rule", compute='_compute_rule')
    answer = fields.Text("What happens", compute='_compute_rule')

    @api.depends('address', 'website_id')
    def _compute_rule(self):
        for lookup in self:
            lookup.rule_id, lookup.answer = lookup._find() if lookup.address and lookup.website_id else (False, False)

    def _find(self):
        """The rule and what it means, in the order of ir.http, _odoocache_policy()."""
        rules = self.env['odoocache.rule']
        try:
            path = urlsplit(self.address.strip()).path
        except ValueError:
            path = ''
        path = self.env['odoocache.purge'].sudo()._bare_path('/' + path.strip('/'))
        page = self.env['website.page'].sudo().search(
            [('url', '=', path), ('website_id', 'in', (False, self.website_id.id))], order='website_id', limit=1)
        if page and page.visibility:
            return rules, _("Never kept: this page has a password, or is for some users only.")
        if page and page.odoocache_policy == 'never':
            return rules, _("Never kept: the page itself says so (Website › Site › Pages).")
        if page and page.odoocache_policy == 'cacheable':
            return rules, _("Kept, fresh for %s (h:mm): the page itself says so (Website › Site › Pages).", clock(page.odoocache_ttl))
        found = rules._rule_for(self.website_id.id, path)
        if found:
            rule = rules.browse(found[0])
            if not rule.cacheable:
                return rule, _("Not kept: made anew for each visitor.")
            if not rule.ttl:
                return rule, _("Kept for as long as the settings of the cache say.")
            return rule, _(
                "Kept: fresh for %(ttl)s, then shown for %(grace)s while it is renewed, and for %(sie)s if Odoo fails (h:mm).",
                ttl=clock(rule.ttl), grace=clock(rule.grace), sie=clock(rule.sie))
        if page and self.website_id.odoocache_page_ttl:
            return rules, _("No rule takes it. As a page made in the editor it is fresh for %s (h:mm), see the website's settings.",
                            clock(self.website_id.odoocache_page_ttl))
        return rules, _("No rule takes it. The settings of the cache say whether it is kept, and for how long.")


def clock(seconds):
    """Seconds as h:mm, or with seconds where they count."""
    minutes, rest = divmod(seconds, 60)
    text = f'{minutes // 60}:{minutes % 60:02}'
    return f'{text}:{rest:02}' if rest else text
