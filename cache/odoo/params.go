package odoo

import "regexp"

// Noise lists parameters by which marketing follows visitors. They change nothing
// but the links of a page, and /shop copies them into its pager; scripts read
// them from the address bar. They leave the key and the request to Odoo. Each group says
// where its names are from. Names that many a module could use for something else (cid,
// campaign, ref, clickid) are in such lists, but not in this one: odoo.ignoreQuery takes them.
func Noise() []string {
	return []string{
		"utm_*",                                                                                           // Odoo's cookies of these are set by the cache
		"gclid", "gclsrc", "gbraid", "wbraid", "dclid", "gad_*", "srsltid", "_gl", "_ga", "_ga_*", "_gac", // Google
		"fbclid", "fb_action_ids", "fb_action_types", "fb_source", "fb_ref", "igshid", "igsh", // Meta
		"msclkid",                                                                                        // Microsoft
		"ttclid", "twclid", "li_fat_id", "epik", "rdt_cid", "ScCid", "sccid", "yclid", "ysclid", "qclid", // other networks
		"mc_cid", "mc_eid", "_hsenc", "_hsmi", "hsa_*", "__hstc", "__hssc", "__hsfp", "hsCtaTracking", // Mailchimp, HubSpot
		"mkt_tok", "_kx", "klaviyo_id", "vero_id", "vero_conv", "oly_enc_id", "oly_anon_id", "dm_i", "ml_subscriber", "ml_subscriber_hash", "s_cid", "icid", "wickedid", // other senders
		"mtm_*", "matomo_*", "pk_*", "piwik_*", "irclickid", "irgwc", "_branch_match_id", "_branch_referrer", // analytics
		// Adobe Advertising and Analytics (experienceleague.adobe.com/docs/advertising/integrations/analytics/ids.html).
		"ef_id", "s_kwcid", "adobe_mc_ref", "adobe_mc_sdid",
		// Affiliate networks: Awin (help.awin.com/docs/direct-s2s), CJ (developers.cj.com, Click Events API), Tradedoubler
		// (dev.tradedoubler.com/tracking/advertiser), ShareASale, impact.com, Admitad (AdGuard's list of tracking parameters,
		// github.com/AdguardTeam/AdguardFilters, TrackParamFilter/sections/general_url.txt).
		"awc", "cjevent", "cjdata", "tduid", "sscid", "ir_campaignid", "ir_adid", "ir_partnerid", "admitad_uid",
		// Outbrain, Taboola, Teads, Amazon, Verizon, Yandex, Blueshift, Drip, Klaviyo, Omnisend and other networks and senders
		// (github.com/henkisdabro/platform-url-click-id-parameters, parameter_array.js).
		"dicbo", "tblci", "auctid", "awclid", "vmcid", "ymclid", "rb_clickid", "unicorn_click_id", "bsft_clkid", "bsft_uid", "__s", "_ke", "omnisendContactID", "_openstat",
		"ck_subscriber_id", "ss_email_id", "vgo_ee", "WT.mc_id", "guce_referrer", "guce_referrer_sig", "_z1_*", "oft_*", "_bhlid", "bbeml", "subafid", "at_recipient_id", "at_recipient_list",
		// Mapp, Coremetrics, AT Internet, Mindbox, Segmentify, Adjust, Dynamics (AdGuard's list, as above).
		"wt_mc", "cm_mmc", "cm_mmca*", "xtor", "mindbox-click-id", "mindbox-message-key", "_sgm_*", "adjust_*", "_clde", "_cldee", "itm_*",
		// Oracle Eloqua (the same list in 2025).
		"elqTrackId", "elqTrack", "elqaid", "elqat", "elqCampaignId", "elqak",
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
		"token", "token_*", // odoo/addons/portal: documents of one customer; calendar/models/ir_http.py
		"signup_token", "answer_token", "invite_token", "reset_token", "share_token", "id_token", "csrf_token",
		"invite_partner_id", "invite_hash", // website_slides/controllers/main.py, slide_channel_invite
		"pid",                                                                                             // portal/utils.py: who comments, with token or hash
		"enable_editor", "edit_translations", "editable", "translatable", "enable_seo", "website_preview", // html_editor/models/ir_http.py; website
		"preview", "preview_*", "mobile_preview", "theme_preview",
		"oauth_*", "otp", "password", "signature", "secret", "jwt", "api_key",
	}
}

// AccessToken is the parameter that opens a record to whoever has it (portal/controllers/portal.py,
// base/models/ir_binary.py). It is one of SessionParams but for files, which change nothing.
const AccessToken = "access_token"

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

// credentialNames are words in the names of parameters by which a module may sign somebody
// in, or open something for them, if their value is a token: ?magic_key=…, ?sso_ticket=….
var credentialNames = []string{"token", "auth", "key", "hash", "ticket", "sso", "magic", "secret", "sig", "signature", "hmac", "nonce", "session", "pin", "otp"}

// personalParams takes queries of one visitor by the names of parameters: those of form
// fields, and those of credentials whose value is a token.
func personalParams() map[string]interface{} {
	params := anyOf(personalNames)
	for i := 0; i < len(credentialNames); i++ {
		params[credentialNames[i]] = MayBePersonalValue
	}
	return params
}

// personalValues takes queries in which any name or value is a mail address or a token. All
// other unknown parameters are part of the key: they may change the page, and nobody gets it
// who does not ask with the same.
func personalValues() map[string]interface{} {
	return map[string]interface{}{"*": MayBePersonalValue}
}

// MayBePersonalValue takes names and values of parameters that may be a mail address or a
// token. IsPersonalValue decides. It has no anchors and no classes, so that a query without
// escapes can be searched as a whole.
const MayBePersonalValue = surelyPersonal + `|[0-9A-Za-z_-]{20}`

// surelyPersonal takes a mail address, and a UUID.
const surelyPersonal = `@|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-`

var surely = regexp.MustCompile(surelyPersonal)

// IsPersonalValue reports whether a name or a value of a parameter that MayBePersonalValue
// takes is a mail address or a token.
func IsPersonalValue(value string) bool {
	return surely.MatchString(value) || opaqueValue(value)
}

// anyOf makes a match of names.
func anyOf(names []string) map[string]interface{} {
	m := map[string]interface{}{}
	for i := 0; i < len(names); i++ {
		m[names[i]] = ""
	}
	return m
}
