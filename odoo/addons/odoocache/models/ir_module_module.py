import logging

from odoo import models

from .. import const

_logger = logging.getLogger(__name__)


class IrModuleModule(models.Model):
    _inherit = 'ir.module.module'

    def _register_hook(self):
        super()._register_hook()
        # Installed, updated or removed modules change templates and data past
        # the hooks of the ORM. No thread here: this may be the parent process
        # of the workers. The first request of each worker sends what waits.
        try:
            if getattr(self.pool, 'updated_modules', None) and self.env['odoocache'].sudo()._config().urls:
                with self.env.cr.savepoint(flush=False):
                    self.env['odoocache.purge'].sudo()._add({const.ALL})
        except Exception:
            _logger.exception("odoocache: modules have changed. Purge everything by hand.")

    def _update_translations(self, *args, **kwargs):
        result = super()._update_translations(*args, **kwargs)
        try:
            self.env['odoocache']._note_everything()  # translations are loaded by SQL
        except Exception:
            _logger.exception("odoocache: translations have changed. Purge everything by hand.")
        return result
