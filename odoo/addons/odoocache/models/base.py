"""Hooks of the ORM, on every model. They cost a look into a dictionary for
models that do not matter, and they never raise."""
import logging

from odoo import api, models

from .. import state

_logger = logging.getLogger(__name__)


def _watched(records):
    """Reports whether changes of this model matter."""
    pool = records.pool
    specs = pool.__dict__.get('_odoocache_specs')
    if specs is None:
        # While modules are loaded, models are incomplete. That modules have
        # been updated is purged as a whole: see ir.module.module.
        return pool.ready and 'odoocache' in pool
    return records._name in specs


def _note(records, operation, names=()):
    try:
        records.env['odoocache']._note_change(records, operation, names)
    except Exception:
        _logger.exception("odoocache: a change of %s is not understood; everything is purged", records._name)
        _note_everything(records)


def _note_views(records, names=()):
    """What views were before they are changed: they may not be."""
    if records._name != 'ir.ui.view' or not _watched(records):
        return
    try:
        records.env['odoocache']._note_views(records, names)
    except Exception:
        _logger.exception("odoocache: a change of templates is not understood; everything is purged")
        _note_everything(records)


def _note_everything(records):
    try:
        records.env['odoocache']._note_everything()
    except Exception:
        _logger.exception("odoocache: a change of %s is not purged. Purge everything by hand.", records._name)


def _note_read(records, listed=False):
    current = state.collecting()
    if current is None:
        return
    try:
        name = records._name
        specs = records.pool.__dict__.get('_odoocache_specs')
        if specs is None:
            specs = records.env['odoocache']._spec_table()
        spec = specs.get(name)
        if spec is None:
            return
        if listed:
            if spec.listed:
                current.listed.add(name)
        elif spec.shown and records._ids:
            current.note_read(name, records._ids)
    except Exception:
        current.failed = True
        _logger.exception("odoocache: this page's tags are not known; it will not be stored")


def _note_own(records):
    """Notes that somebody's own records were found or read."""
    current = state.collecting()
    if current is None or not records._ids:
        return
    try:
        name = records._name
        if name == 'res.partner':
            current.partners.update(records._ids)
        personal = records.pool.__dict__.get('_odoocache_personal')
        if personal is None:
            personal = records.env['odoocache']._personal_table()
        if name in personal or not current.own.get(name, set()).isdisjoint(records._ids):
            current.personal.add(name)
    except Exception:
        current.failed = True
        _logger.exception("odoocache: whose page this is is not known; it will not be stored")


class Base(models.AbstractModel):
    _inherit = 'base'

    @api.model_create_multi
    def create(self, vals_list):
        records = super().create(vals_list)
        if _watched(self):
            _note(records, 'create')
        return records

    def write(self, vals):
        _note_views(self, vals)
        result = super().write(vals)
        if _watched(self):
            _note(self, 'write', vals)
        return result

    def unlink(self):
        _note_views(self)
        if _watched(self):
            _note(self, 'unlink')
        return super().unlink()

    def _update_field_translations(self, field_name, *args, **kwargs):
        _note_views(self)
        result = super()._update_field_translations(field_name, *args, **kwargs)
        if _watched(self):
            _note(self, 'write', (field_name,))
        return result

    # Fields that Odoo computes and stores do not pass through write().

    def _write(self, vals):
        _note_views(self)
        result = super()._write(vals)
        if _watched(self):
            _note(self, 'write', vals)
        return result

    def _fetch_query(self, query, fields):
        records = super()._fetch_query(query, fields)
        _note_own(records)
        if fields:  # a search alone tells nothing of the records it finds
            _note_read(records)
        return records

    # search(), search_fetch() and search_read() end here.
    @api.model
    def search_fetch(self, domain, *args, **kwargs):
        records = super().search_fetch(domain, *args, **kwargs)
        _note_own(records)
        _note_read(records, listed=True)
        return records

    @api.model
    def search_count(self, domain, *args, **kwargs):
        _note_read(self, listed=True)
        return super().search_count(domain, *args, **kwargs)


if hasattr(models.BaseModel, '_write_multi'):  # since 18, and _write() calls it

    class BaseMulti(models.AbstractModel):
        _inherit = 'base'

        def _write_multi(self, vals_list):
            _note_views(self)
            result = super()._write_multi(vals_list)
            if _watched(self):
                _note(self, 'write', set().union(*vals_list))
            return result
