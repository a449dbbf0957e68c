{
    'name': "Odoocache for stock in eCommerce",
    'summary': "Stock in pages that an odoocache edge keeps",
    'version': '19.0.1.1.0',
    'category': 'Website/Website',
    'author': "odoocache",
    'website': "https://github.com/odoocache/odoocache",
    # Apache-2.0; the list of licences that Odoo knows has no word for it.
    'license': 'Other OSI approved licence',
    'depends': ['odoocache_sale', 'website_sale_stock'],
    'auto_install': True,
}
