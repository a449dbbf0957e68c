from odoo import models

from .. import state


class IrQweb(models.AbstractModel):
    _inherit = 'ir.qweb'

    def _prepare_environment(self, values):
        qweb = super()._prepare_environment(values)
        # Until 18, parts of templates are kept (t-cache). What was read for
        # them would not be seen, so a purge would miss the page.
        if hasattr(qweb, '_compile_directive_cache') and state.collecting() is not None:
            qweb = qweb.with_context(is_t_cache_disabled=True)
        return qweb
