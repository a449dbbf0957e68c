from odoo import models

# More than this does not fit into a cookie; such visitors' pages are their own.
MAX_WISHES = 100


class Website(models.Model):
    _inherit = 'website'

    def _odoocache_session_part(self, key, value, parts):
        if key == 'wishlist_ids':
            return len(value or ()) <= MAX_WISHES
        return super()._odoocache_session_part(key, value, parts)
