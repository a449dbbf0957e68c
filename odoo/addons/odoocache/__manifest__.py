{
    'name': "Odoocache",
    'summary': "Tells the odoocache edge what it may keep, and what has changed",
    'description': """
Companion of the odoocache middleware for Traefik. Pages name the records they
show, changes drop exactly the pages that show them, and visitors whose pages
differ from everyone's are kept apart. Without an edge in front, nothing changes.
""",
    'version': '19.0.1.1.0',
    'category': 'Website/Website',
    'author': "odoocache",
    'website': "https://github.com/odoocache/odoocache",
    # Apache-2.0; the list of licences that Odoo knows has no word for it.
    'license': 'Other OSI approved licence',
    'depends': ['website'],
    'data': [
        'security/ir.model.access.csv',
        'data/ir_cron.xml',
        'data/odoocache_rule.xml',
        'views/odoocache_lookup_views.xml',
        'views/odoocache_rule_views.xml',
        'views/odoocache_status_views.xml',
        'views/website_page_views.xml',
        'views/res_config_settings_views.xml',
        'views/website_menus.xml',
    ],
    'assets': {
        'web.assets_backend': [
            'odoocache/static/src/purge_menus.js',
        ],
    },
    'post_init_hook': 'post_init_hook',
    'uninstall_hook': 'uninstall_hook',
}
