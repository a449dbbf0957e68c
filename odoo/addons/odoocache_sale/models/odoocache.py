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
