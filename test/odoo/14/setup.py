# What the tests' database has besides demo data; run in "odoo shell" by up.
# ruff: noqa: F821

english = env.ref("base.lang_en")
french = env.ref("base.lang_fr")
first = env.ref("website.default_website")
first.write({
    "name": "Shop",
    "domain": "http://shop.localhost",
    "language_ids": [(6, 0, (english | french).ids)],
    "default_lang_id": english.id,
})
# The second website, of the demo data, asks for consent to cookies.
env.ref("website.website2").write({
    "name": "Second",
    "domain": "http://second.localhost",
    "language_ids": [(6, 0, (english | french).ids)],
    "default_lang_id": english.id,
    "cookies_bar": True,
})

# Without this the first administrator who signs in through another host name
# changes the canonical address of every page (base, res.users._update_last_login).
parameters = env["ir.config_parameter"].sudo()
parameters.set_param("web.base.url", "http://shop.localhost")
parameters.set_param("web.base.url.freeze", "True")

# /members: opens with a password.
made = env["website"].with_context(website_id=first.id).new_page(name="Members")
page = env["website.page"].search([("view_id", "=", made["view_id"])])
page.write({"is_published": True, "website_id": first.id})
page.view_id.write({"visibility": "password", "visibility_password_display": "sesame"})

# A scheduled action of the modules would change records in the middle of a test.
env["ir.cron"].search([]).write({"active": False})

env.cr.commit()
print("setup is done")
