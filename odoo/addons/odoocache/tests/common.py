from contextlib import contextmanager
from unittest.mock import patch

from odoo.tests.test_cursor import TestCursor

from odoo.addons.odoocache import const, sender

EDGE = {const.HEADER_EDGE: const.TOKEN_WITHOUT_SECRET}


def configure(env, **values):
    for name in ('edge_url', 'secret', 'tenant', 'always_post'):
        env['ir.config_parameter'].sudo().set_param(f'odoocache.{name}', values.get(name, False))


def noted(env):
    """The tags that the changes so far will purge."""
    cr = env.cr
    cr.flush()
    return set(cr.postcommit.data.get('odoocache', ()))


def forget(env):
    env.cr.flush()
    env.cr.postcommit.clear()
    env.cr.execute("DELETE FROM odoocache_purge")


def pending(env):
    env.cr.execute("SELECT tags FROM odoocache_purge ORDER BY id")
    return [set(tags.split()) for (tags,) in env.cr.fetchall()]


@contextmanager
def postcommit_runs():
    """A test's cursor forgets what is to run after a commit. Here it runs."""
    original = TestCursor.commit

    def commit(cr):
        cr.flush()
        functions, data = list(cr.postcommit._funcs), dict(cr.postcommit.data)
        original(cr)
        cr.postcommit.data.update(data)
        for function in functions:
            cr.postcommit.add(function)
        cr.postcommit.run()

    with patch.object(TestCursor, 'commit', commit), patch.object(sender, 'wake') as wake:
        yield wake
