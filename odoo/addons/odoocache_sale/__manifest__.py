{
    'name': "Odoocache for eCommerce",
    'summary': "Products, prices and carts in pages that an odoocache edge keeps",
    'version': '19.0.1.1.0',
    'category': 'Website/Website',
    'author': "odoocache",
    'website': "https://github.com/odoocache/odoocache",
    # Apache-2.0; the list of licences that Odoo knows has no word for it.
    'license': 'Other OSI approved licence',
    'depends': ['odoocache', 'website_sale'],
    'auto_install': True,
    'data': [
        'views/templates.xml',
    ],
    'assets': {
        'web.assets_frontend': [
            'odoocache_sale/static/src/cart_badge.js',
        ],
    },
}
