from . import models


def post_init_hook(env):
    cron = env.ref('odoocache.cron_send')
    if 'numbercall' in cron._fields:  # 17: else it runs once
        cron.numbercall = -1


def uninstall_hook(env):
    env.cr.execute("DROP TABLE IF EXISTS odoocache_log")
