from odoo import api, models

from odoo.addons.odoocache.models.odoocache import Spec


class Odoocache(models.AbstractModel):
    _inherit = 'odoocache'

    @api.model
    def _specs(self):
        return {
            **super()._specs(),
            # What the button looks like and says is on each page.
            'im_livechat.channel': Spec('site', fields=[
                'name', 'button_text', 'default_message', 'input_placeholder', 'header_background_color', 'title_color',
                'button_background_color', 'button_text_color', 'rule_ids', 'review_link']),
        }
