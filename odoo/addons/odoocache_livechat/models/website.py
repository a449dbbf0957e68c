from odoo import _, models


class Website(models.Model):
    _inherit = 'website'

    def _get_livechat_channel_info(self):
        """Pages for everybody are written as if an operator were there. The
        chat's script then asks whether one is (im_livechat: "init_livechat",
        in 17 /im_livechat/init), before it shows its button."""
        info = super()._get_livechat_channel_info()
        if info and not info.get('available') and self.env['ir.http']._odoocache_neutral():
            info['available'] = True
            info['options'] = {
                **self.channel_id.sudo()._get_channel_infos(),
                'default_username': _("Visitor"),
            }
        return info
