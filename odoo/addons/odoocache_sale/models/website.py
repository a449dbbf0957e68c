from odoo import api, models
from odoo.http import request

KEY_PRICELIST = 'website_sale_current_pl'
KEY_SELECTED = 'website_sale_selected_pl_id'
KEY_FISCAL_POSITION = 'fiscal_position_id'


class Website(models.Model):
    _inherit = 'website'

    @api.model
    def _odoocache_harmless_keys(self):
        return super()._odoocache_harmless_keys() | {KEY_PRICELIST, KEY_SELECTED, KEY_FISCAL_POSITION}

    def _odoocache_session_part(self, key, value, parts):
        if key in ('sale_order_id', 'website_sale_cart_quantity'):
            # The badge is all that a cart changes, and a script fills it in.
            return True
        if key == 'attribute_values':
            if value:  # breadcrumbs of product pages keep the filter
                parts[key] = sorted(map(str, value))
            return True
        return super()._odoocache_session_part(key, value, parts)

    def _odoocache_parts(self, parts):
        """Prices differ by pricelist and fiscal position. The session has them
        once a page with prices has been rendered."""
        super()._odoocache_parts(parts)
        session = request.session
        if KEY_PRICELIST not in session and KEY_FISCAL_POSITION not in session:
            return
        pricelist, fiscal_position = self._odoocache_default_prices()
        if (session.get(KEY_PRICELIST, pricelist) or False) != pricelist:
            parts['pricelist'] = session[KEY_PRICELIST]
        if (session.get(KEY_FISCAL_POSITION, fiscal_position) or False) != fiscal_position:
            parts['fiscal_position'] = session[KEY_FISCAL_POSITION]

    def _odoocache_page_parts(self, parts):
        # A list of products is filtered by its address alone.
        if request.httprequest.path.startswith('/shop') and request.httprequest.args.get('attribute_values'):
            parts = {name: value for name, value in parts.items() if name != 'attribute_values'}
        return super()._odoocache_page_parts(parts)

    def _odoocache_default_prices(self):
        """Ids of the pricelist and the fiscal position of a visitor of whom
        nothing is known: after website._get_and_cache_current_pricelist() and
        ..._fiscal_position(), without session, cart and country."""
        website = self.sudo().with_company(self.company_id)
        partner = website.user_id.partner_id
        pricelist = website.env['product.pricelist']
        groups = self.env['res.groups']
        if not hasattr(groups, '_is_feature_enabled') or groups._is_feature_enabled('product.group_product_pricelist'):
            pricelist = partner.property_product_pricelist
            available = website._get_pl_partner_order(
                False, False, current_pl_id=None,
                website_pricelist_ids=tuple(website.pricelist_ids.ids), partner_pl_id=False)
            if available and pricelist.id not in available:
                pricelist = pricelist.browse(available[0])
        fiscal_position = website.env['account.fiscal.position']._get_fiscal_position(partner)
        return pricelist.id, fiscal_position.id
