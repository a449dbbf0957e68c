package odoo

// Noise lists parameters by which marketing follows visitors. They change nothing
// but the links of a page, and /shop copies them into its pager; scripts read
// them from the address bar. They leave the key and the request to Odoo.
func Noise() []string {
	return []string{
		"utm_*",                                                                                           // Odoo's cookies of these are set by the cache
		"gclid", "gclsrc", "gbraid", "wbraid", "dclid", "gad_*", "srsltid", "_gl", "_ga", "_ga_*", "_gac", // Google
		"fbclid", "fb_action_ids", "fb_action_types", "fb_source", "igshid", "igsh", // Meta
		"msclkid",                                                                                        // Microsoft
		"ttclid", "twclid", "li_fat_id", "epik", "rdt_cid", "ScCid", "sccid", "yclid", "ysclid", "qclid", // other networks
		"mc_cid", "mc_eid", "_hsenc", "_hsmi", "hsa_*", "__hstc", "__hssc", "__hsfp", "hsCtaTracking", // Mailchimp, HubSpot
		"mkt_tok", "_kx", "klaviyo_id", "vero_id", "vero_conv", "oly_enc_id", "oly_anon_id", "dm_i", "ml_subscriber", "ml_subscriber_hash", "s_cid", "icid", "wickedid", // other senders
		"mtm_*", "matomo_*", "pk_*", "piwik_*", "irclickid", "irgwc", "_branch_match_id", "_branch_referrer", // analytics
	}
}

// StateParams lists parameters that write to the session what later pages show. A request with
// one bypasses the cache, and its session is special from then on.
func StateParams() []string {
	return []string{
		"debug",                  // web/models/ir_http.py, _handle_debug: stays in the session
		"pricelist",              // website_sale/controllers/main.py, product: the session's pricelist
		"visibility_password",    // website/models/ir_ui_view.py, _handle_visibility: opens a page
		"fw", "force_website_id", // Odoo until 14: the website that the session is forced to
		"db", "session_id", // odoo/http.py: another database; until early Odoo 17: another session
		"coupon", "promo", "code", // what custom modules take discounts from
	}
}

// SessionParams lists parameters that write to the session, show what is not
// public, or turn a page into one for editors. A request with one bypasses the
// cache, and its session is in doubt from then on. A name that ends in * stands for
// all that begin so.
func SessionParams() []string {
	return []string{
		"affiliate_id",                    // website_sale/models/ir_http.py, _pre_dispatch
		"auth_login", "auth_signup_token", // auth_signup/models/ir_http.py, _pre_dispatch
		"access_token", "token", "token_*", // odoo/addons/portal: documents of one customer; calendar/models/ir_http.py
		"signup_token", "answer_token", "invite_token", "reset_token", "share_token", "id_token", "csrf_token",
		"invite_partner_id", "invite_hash", // website_slides/controllers/main.py, slide_channel_invite
		"pid",                                                                                             // portal/utils.py: who comments, with token or hash
		"enable_editor", "edit_translations", "editable", "translatable", "enable_seo", "website_preview", // html_editor/models/ir_http.py; website
		"preview", "preview_*", "mobile_preview", "theme_preview",
		"oauth_*", "otp", "password", "signature", "secret", "jwt", "api_key",
	}
}

// filterParams are the filters of a product list, which stay in the session
// (website_sale/controllers/main.py, shop, in Odoo 19). attribute_value and attrib,
// as they are called until Odoo 18, do not.
func filterParams() []string {
	return []string{"attribute_values"}
}

// personalNames are words in the names of form fields. Pages with a form write the parameter
// of that name into it (website/controllers/main.py and the templates'
// data-values: /contactus?email=…), so links in mails carry personal data, which
// is not to be kept. Custom forms have fields of their own, and other systems write their
// own names into links: see keys.NewWordNames. x_* and x_studio_* are made in the editor.
var personalNames = []string{
	"name", "first name", "last name", "full name", "user name", "nick name", "sur name", "l name", "f name",
	"company", "company name", "customer name", "contact name", "partner name",
	"email", "e mail", "mail", "mail to", "email address", "mail address", "email from",
	"phone", "phone number", "tele phone", "cell phone", "mobile", "mobile phone", "mobile number", "tel",
	"street", "zip", "zip code", "post code", "postal code", "city", "address", "vat", "birth date", "birth day",
	"subject", "description", "message", "body", "question", "comment", "login", "user", "user id", "partner id", "contact id", "customer id",
	"x_*",
}

// personalParams takes queries that hold personal data: by name, or any name or value
// that is a mail address or looks like a token. All other unknown parameters are
// part of the key: they may change the page, and nobody gets it who does not ask
// with the same.
func personalParams() map[string]interface{} {
	params := anyOf(personalNames)
	params["*"] = `@|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-|[0-9A-Za-z]{20}`
	return params
}

// anyOf makes a match of names.
func anyOf(names []string) map[string]interface{} {
	m := map[string]interface{}{}
	for i := 0; i < len(names); i++ {
		m[names[i]] = ""
	}
	return m
}
