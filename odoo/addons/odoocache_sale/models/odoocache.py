from datetime import datetime, time, timedelta

from odoo import api, models

from odoo.addons.odoocache import tools
from odoo.addons.odoocache.models.odoocache import PUBLISHING, Spec


class Odoocache(models.AbstractModel):
    _inherit = 'odoocache'

    @api.model
    def _specs(self):
        specs = super()._specs()
        site, coarse = Spec('site'), Spec('model')
        of_template = Spec('parent', parents=['product_tmpl_id'])
        specs.update({
            'product.template': Spec('record', ignore=['sales_count', 'rating_last_value', 'property_stock_inventory'], listing=PUBLISHING + (
                'sale_ok', 'public_categ_ids', 'website_sequence', 'product_tag_ids', 'all_product_tag_ids',
                'attribute_line_ids', 'company_id', 'type', 'service_tracking')),
            'product.product': of_template,
            'product.template.attribute.line': of_template,
            'product.template.attribute.value': of_template,
            'product.template.attribute.exclusion': of_template,
            'product.image': Spec('parent', parents=['product_tmpl_id', 'product_variant_id']),
            'product.attribute': coarse,
            'product.attribute.value': Spec('parent', parents=['attribute_id']),
            'product.ribbon': coarse,
            'product.tag': coarse,
            'product.combo': coarse,
            'product.combo.item': Spec('parent', parents=['combo_id']),
            'product.document': Spec('custom', resolve='_resolve_res'),
            'product.public.category': Spec('record', listing=PUBLISHING + ('parent_id', 'sequence', 'name')),
            'product.pricelist': Spec('model', listed=False),
            'product.pricelist.item': Spec('custom', resolve='_resolve_pricelist_item'),
            'res.country.group': Spec('custom', resolve='_resolve_prices'),
            'account.tax': Spec('custom', resolve='_resolve_prices'),
            'account.tax.repartition.line': Spec('custom', resolve='_resolve_prices'),
            'account.fiscal.position': Spec('custom', resolve='_resolve_prices'),
            'account.fiscal.position.tax': Spec('custom', resolve='_resolve_prices'),
            'uom.uom': coarse,
            'website.base.unit': coarse,
            'website.sale.extra.field': site,
        })
        return specs

    @api.model
    def _moments(self, current, records, website, path):
        found = super()._moments(current, records, website, path)
        templates = list(records.get('product.template', ()))
        if not templates:
            return found
        # A rule of a category, or of everything, may be about any product.
        found.append(self._next('product.pricelist.item', ['date_start', 'date_end'], [
            ('pricelist_id.active', '=', True), ('pricelist_id.website_id', 'in', (False, website.id)),
            '|', '|', ('product_tmpl_id', 'in', templates), ('product_id.product_tmpl_id', 'in', templates),
            '&', ('product_tmpl_id', '=', False), ('product_id', '=', False)], current.began))
        rate = self.env['res.currency.rate'].sudo().search([('name', '>', current.began.date())], order='name, id', limit=1)
        if rate:
            found.append(datetime.combine(rate.name, time.min))
        ribbons = self.env['product.ribbon'].sudo()
        if 'new_period' in ribbons._fields:  # since 19, a ribbon for new products goes after some days
            days = max(ribbons.search([('assign', '=', 'new')]).mapped('new_period'), default=None)
            if days is not None and self.env['product.template'].sudo().search_count([
                    ('id', 'in', templates), ('publish_date', '>', current.began - timedelta(days=days + 2))], limit=1):
                found.append(self._midnight(current.began))
        return found

    @api.model
    def _resolve_prices(self, records):
        """What any price may depend on: each page that shows a price bears
        this tag, see ir.http."""
        return {'product.pricelist'}

    @api.model
    def _resolve_pricelist_item(self, items):
        """A price of one product is on the pages of that product; a rule for a
        category, or for everything, may be on any page with prices."""
        templates = self.env['product.template'].sudo()
        for item in items.exists():
            template = item.product_tmpl_id or item.product_id.product_tmpl_id
            if not template or item.applied_on not in ('1_product', '0_product_variant'):
                return {'product.pricelist'}
            templates |= template
        return tools.purge_tags('product.template', templates.ids)
