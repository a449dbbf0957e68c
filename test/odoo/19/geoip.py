# What the site geoip has besides: prices in euros for visitors from Europe; run in
# "odoo shell" by up.
# ruff: noqa: F821

euro = env.ref("base.EUR")
euro.active = True
pricelists = env["product.pricelist"].search([])
european = pricelists.filtered(lambda p: p.currency_id == euro)[:1] or pricelists.create({"name": "EUR", "currency_id": euro.id})
(pricelists - european).write({"active": False})
european.write({
    "website_id": env.ref("website.default_website").id,
    "selectable": True,
    "sequence": 1,
    "country_group_ids": [(6, 0, env.ref("base.europe").ids)],
})
# For everybody else, by the company's currency.
pricelists.create({"name": "Elsewhere", "currency_id": env.ref("base.USD").id, "website_id": env.ref("website.default_website").id, "sequence": 2})
env.cr.commit()
print("setup is done")
