import re

from odoo import _, api, fields, models, tools
from odoo.exceptions import ValidationError


class OdoocacheRule(models.Model):
    """Which addresses the edge may keep, and for how long."""
    _name = 'odoocache.rule'
    _description = "Page cache rule"
    _order = 'sequence, id'

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    sequence = fields.Integer(default=10)
    website_id = fields.Many2one('website', ondelete='cascade', help="Empty: all websites.")
    kind = fields.Selection(
        [('prefix', "Begins with"), ('regex', "Matches")], string="Address", required=True, default='prefix',
        help="Begins with: /shop takes /shop and /shop/1, not /shopping. Matches: a regular expression that "
             "takes the address as a whole. The language is not a part of the address.")
    pattern = fields.Char(required=True)
    cacheable = fields.Boolean(default=True)
    ttl = fields.Integer("Fresh for (s)", default=600, help="0: as long as the rule of the edge says.")
    grace = fields.Integer("Stale while refreshed (s)", default=3600)
    sie = fields.Integer("Stale if Odoo fails (s)", default=86400)

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
        return tuple((r.kind, r.pattern, r.cacheable, r.ttl, r.grace, r.sie) for r in rules)

    @api.model
    def _header_for(self, website_id, path):
        """The header's value for an address, or None if no rule takes it."""
        for kind, pattern, cacheable, ttl, grace, sie in self._rules(website_id):
            if kind == 'prefix':
                prefix = pattern.rstrip('/')
                found = path == prefix or path.startswith(f'{prefix}/') or not prefix
            else:
                found = re.fullmatch(pattern, path)
            if found:
                return self._header(ttl, grace, sie) if cacheable else 'no-store'
        return None

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
