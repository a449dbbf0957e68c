{
    'name': "Odoocache for Live Chat",
    'summary': "Pages that an odoocache edge keeps do not say who is online",
    'version': '19.0.1.1.0',
    'category': 'Website/Website',
    'author': "odoocache",
    'website': "https://github.com/odoocache/odoocache",
    # Apache-2.0; the list of licences that Odoo knows has no word for it.
    'license': 'Other OSI approved licence',
    'depends': ['odoocache', 'website_livechat'],
    'auto_install': True,
}
