from odoo import models

# The visitor's own state in what a product page is made of
# (website_sale_stock, product.template._get_additionnal_combination_info).
OWN = {'cart_qty': 0, 'has_stock_notification': False, 'stock_notification_email': ''}


class ProductTemplate(models.Model):
    _inherit = 'product.template'

    def _get_additionnal_combination_info(self, *args, **kwargs):
        info = super()._get_additionnal_combination_info(*args, **kwargs)
        if self.env['ir.http']._odoocache_neutral():
            info.update((name, value) for name, value in OWN.items() if name in info)
        return info
