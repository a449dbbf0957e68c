from odoo import api, models


class _WithoutCart:
    """A request whose session has no cart."""

    def __init__(self, request):
        self._request = request
        self.session = {
            key: value for key, value in request.session.items()
            if key not in ('sale_order_id', 'website_sale_cart_quantity')
        }

    def __getattr__(self, name):
        return getattr(self._request, name)


class WebsitePage(models.Model):
    _inherit = 'website.page'

    @api.model
    def _post_process_response_from_cache(self, request, response):
        # website_sale writes the visitor's badge into pages that Odoo kept.
        if self.env['ir.http']._odoocache_neutral():
            request = _WithoutCart(request)
        return super()._post_process_response_from_cache(request, response)
