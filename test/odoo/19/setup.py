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

mailing_list = env["mailing.list"].create({"name": "Shop news", "is_public": True})


def page(name, content, **values):
    made = env["website"].with_context(website_id=first.id).new_page(
        name=name, sections_arch=f"<section><div class='container'>{content}</div></section>",
        page_values={"is_published": True, **values})
    return env["website.page"].search([("view_id", "=", made["view_id"])])


# /newsletter: the form of website_mass_mailing (template s_newsletter_subscribe_form).
page("Newsletter", f"""
    <div class="s_newsletter_subscribe_form s_newsletter_list js_subscribe" data-vxml="001" data-list-id="{mailing_list.id}">
        <div class="js_subscribed_wrap d-none"><p>Thanks for registering!</p></div>
        <div class="js_subscribe_wrap"><div class="input-group">
            <input type="email" name="email" class="s_newsletter_subscribe_form_input js_subscribe_value form-control" placeholder="Email Address"/>
            <a role="button" href="#" class="js_subscribe_btn o_submit btn btn-primary">Subscribe</a>
        </div></div>
    </div>""")

# /members: opens with a password.
page("Members", "<p>For members only.</p>").view_id.write({
    "visibility": "password", "visibility_password_display": "sesame"})

# Scheduled actions of the modules would change records, and write to the people
# of the demo data, in the middle of a test. A test makes its own.
env["ir.cron"].search([]).write({"active": False})

env.cr.commit()
print("setup is done")
