import re

from odoo import api, models
from odoo.http import request

from odoo.addons.odoocache.models.website import LAYOUTS

KEY_PRICELIST = 'website_sale_current_pl'
KEY_SELECTED = 'website_sale_selected_pl_id'
KEY_FISCAL_POSITION = 'fiscal_position_id'
KEY_LAYOUT = 'website_sale_shop_layout_mode'
# Where the session keeps the visitor's orders: the cart, and the last that they placed.
KEYS_ORDERS = ('sale_order_id', 'sale_last_order_id')

# A filter as addresses have it: attribute, dash, values.
FILTER = re.compile(r'\d{1,9}-\d{1,9}(?:,\d{1,9})*')
MAX_FILTERS = 20


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
        if key == KEY_LAYOUT and value == self._odoocache_default_layout():
            return True  # written by each list of products until 18
        return super()._odoocache_session_part(key, value, parts)

    def _odoocache_default_layout(self):
        try:
            return LAYOUTS[bool(self.is_view_active('website_sale.products_list_view'))]
        except ValueError:  # there is no such view
            return LAYOUTS[0]

    def _odoocache_parts(self, parts):
        """Prices differ by pricelist and fiscal position. The session has them
        once a page with prices has been rendered."""
        super()._odoocache_parts(parts)
        pricelist = self._odoocache_uses_pricelists() and request.session.get(KEY_PRICELIST)
        fiscal_position = request.session.get(KEY_FISCAL_POSITION)
        if not pricelist and not fiscal_position:
            return  # Odoo takes the visitor's default
        defaults = self._odoocache_default_prices(parts.get('country'))
        if pricelist and pricelist != defaults[0]:
            parts['pricelist'] = pricelist
        if fiscal_position and fiscal_position != defaults[1]:
            parts['fiscal_position'] = fiscal_position

    def _odoocache_setting(self, name, value, parts, settings):
        if name == 'pricelist':
            settings[KEY_PRICELIST] = value
            pricelist = self._odoocache_record('product.pricelist', value)
            return bool(
                self._odoocache_uses_pricelists() and pricelist and pricelist.active
                and pricelist._is_available_on_website(self)
                and pricelist._is_available_in_country(parts.get('country') or False))
        if name == 'fiscal_position':
            settings[KEY_FISCAL_POSITION] = value
            position = self._odoocache_record('account.fiscal.position', value)
            return bool(position and position.active and position.company_id in self.company_id | self.company_id.parent_ids)
        if name == 'attribute_values':
            settings[name] = value
            if not isinstance(value, list) or len(value) > MAX_FILTERS or not all(
                    isinstance(text, str) and FILTER.fullmatch(text) for text in value):
                return False
            ids = {int(i) for text in value for i in text.partition('-')[2].split(',')}
            values = self.env['product.attribute.value'].sudo().browse(ids)
            return len(values.exists()) == len(ids)
        return super()._odoocache_setting(name, value, parts, settings)

    def _odoocache_record(self, model, record_id):
        """A record that a context names, or none if it is gone."""
        return self.env[model].sudo().browse(record_id if type(record_id) is int else ()).exists()

    def _odoocache_lasting(self, parts):
        # A list of products is filtered by its address alone, and sets the
        # filter that product pages keep.
        return super()._odoocache_lasting({name: value for name, value in parts.items() if name != 'attribute_values'})

    def _odoocache_is_own(self, current):
        return super()._odoocache_is_own(current) or bool(current.partners & self._odoocache_own_partners())

    def _odoocache_own_partners(self):
        """Ids of the partners of the orders that the visitor's session names."""
        ids = {request.session.get(key) for key in KEYS_ORDERS}
        orders = self.env['sale.order'].sudo().browse({i for i in ids if type(i) is int}).exists()
        partners = orders.partner_id | orders.partner_invoice_id | orders.partner_shipping_id
        partners |= partners.commercial_partner_id
        return set(partners.ids) - {self.sudo().user_id.partner_id.id, self.sudo().company_id.partner_id.id}

    @api.model
    def _odoocache_uses_pricelists(self):
        groups = self.env['res.groups']
        if hasattr(groups, '_is_feature_enabled'):
            return groups._is_feature_enabled('product.group_product_pricelist')
        return True

    def _odoocache_default_prices(self, country=None):
        """Ids of the pricelist and the fiscal position of a visitor of whom
        nothing is known but the country: after
        website._get_and_cache_current_pricelist() and ..._fiscal_position(),
        without session and cart.

        :param str country: its code, or empty
        """
        website = self.sudo().with_company(self.company_id)
        partner = website.user_id.partner_id
        pricelist = website.env['product.pricelist']
        if self._odoocache_uses_pricelists():
            pricelist = partner.property_product_pricelist
            available = website._get_pl_partner_order(
                country or False, False, current_pl_id=None,
                website_pricelist_ids=tuple(website.pricelist_ids.ids), partner_pl_id=False)
            if available and pricelist.id not in available:
                pricelist = pricelist.browse(available[0])
        positions = website.env['account.fiscal.position']
        fiscal_position = positions
        if country:
            found = website.env['res.country'].search([('code', '=', country)], limit=1)
            there = website.env['res.partner'].new({'country_id': found.id})
            fiscal_position = positions._get_fiscal_position(there)
        fiscal_position = fiscal_position or positions._get_fiscal_position(partner)
        return pricelist.id, fiscal_position.id
