package config

import "strings"

// language is the code that may stand before a path of the website: /fr,
// /fr_BE, /es_419, /sr@latin (addons/http_routing/models/ir_http.py). Something
// else that looks like one is bypassed at worst.
const language = `^(?:/[a-z]{2,3}(?:_[A-Za-z0-9]{2,4})?(?:@[a-z]+)?)?`

// personalPaths are routes whose answers belong to one visitor, or that change
// something.
var personalPaths = []string{
	"web", "odoo", "my", "payment", "donation", "mail",
	"mailing", "digest", "unsubscribe_from_list", "r", "survey", "s",
	"rate", "chat", "discuss", "im_livechat", "websocket", "longpolling",
	"bus", "xmlrpc", "json", "jsonrpc", "doc", "auth_oauth",
	"website/form", "website/lang", "website/action", "website/force", "website/social", "website/translations",
	"website/iframefallback", "pos", "pos-self", "shop/cart", "shop/checkout", "shop/address",
	"shop/extra_info", "shop/payment", "shop/confirmation", "shop/print", "shop/pricelist", "shop/change_pricelist",
	"shop/wishlist", "shop/compare", "shop/express_checkout", "shop/products", "shop/terms", "shop/confirm_order",
	"shop/tracking_last_order",
}

// odooRules are the rules of preset odoo: what is safe on a standard Odoo 14
// to 19 site without knowing it. Routes are those of Odoo's own modules.
func odooRules() []Rule {
	return []Rule{
		{
			// Compiled bundles: the address carries a hash of the content
			// (addons/web/controllers/binary.py, content_assets). Odoo sets a
			// session cookie on them all the same.
			Name:    "odoo-assets",
			Match:   Match{PathPrefixes: []string{"/web/assets"}, Methods: []string{"GET"}},
			Session: "ignore",
			Status:  []string{"200"},
			Cookies: Cookies{Drop: []string{"session_id", "frontend_lang"}},
			MaxBody: "16MiB",
		},
		{
			// Files of modules: /web/static, /website/static (odoo/http.py, static files).
			Name:    "odoo-static",
			Match:   Match{PathRegexp: `^/[a-z0-9_]+/static/`, Methods: []string{"GET"}},
			Session: "ignore",
			Status:  []string{"200"},
			Cookies: Cookies{Drop: []string{"session_id", "frontend_lang"}},
		},
		{
			// Whatever belongs to one visitor or changes something: the backend,
			// the portal, cart, checkout and payment, sign-in, forms, RPC, the bus,
			// one-time links.
			Name:   "odoo-personal",
			Match:  Match{PathRegexp: language + `/(` + strings.Join(personalPaths, "|") + `)(/|$)`},
			Bypass: "true",
		},
		{
			Name:   "odoo-invitations",
			Match:  Match{PathRegexp: language + `/(slides/[^/]+/invite|event/[^/]+/register)`},
			Bypass: "true",
		},
		// Parameters that write to the session or open what is not public.
		bypassParam("debug"), bypassParam("pricelist"), bypassParam("affiliate_id"),
		bypassParam("visibility_password"), bypassParam("access_token"), bypassParam("token"),
		bypassParam("enable_editor"), bypassParam("edit_translations"), bypassParam("db"),
		bypassParam("session_id"),
		{
			// Pages. Odoo says nothing of their freshness; they are stored if the
			// application says how long (X-Odoo-Cache), and not while they carry a
			// visitor's CSRF token.
			Name:              "odoo-pages",
			Match:             Match{Methods: []string{"GET"}},
			RequestDirectives: "ignore",
			Query:             Query{Ignore: Noise()},
			Cookies:           Cookies{Drop: []string{"session_id"}, Keep: []string{"frontend_lang"}},
		},
	}
}

func bypassParam(name string) Rule {
	return Rule{Name: "odoo-param-" + name, Match: Match{Query: map[string]string{name: ""}}, Bypass: "true"}
}

// Noise lists marketing parameters that change nothing but the links of a page.
func Noise() []string {
	return []string{
		"utm_*", "gclid", "gclsrc", "gbraid", "wbraid", "dclid", "fbclid", "msclkid", "ttclid", "twclid",
		"li_fat_id", "igshid", "mc_cid", "mc_eid", "_ga", "_gl", "_hsenc", "_hsmi", "yclid", "srsltid",
	}
}
