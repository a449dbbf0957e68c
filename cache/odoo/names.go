package odoo

import "regexp"

// Cookies of Odoo.
const (
	// SessionCookie has a session's id (odoo/http.py).
	SessionCookie = "session_id"
	// LanguageCookie is the cookie in which Odoo keeps a visitor's language
	// (addons/http_routing/models/ir_http.py).
	LanguageCookie = "frontend_lang"
	// VisitorCookie is that by which Odoo 14 and 15 count views
	// (addons/website/models/website_visitor.py).
	VisitorCookie = "visitor_uuid"
	// ConsentCookie is what the cookies bar of a website notes the visitor's choice
	// in; the bar has its name as id (addons/website/views/website_templates.xml).
	ConsentCookie = "website_cookies_bar"
	// Consented is the value by which Odoo 16 and later read consent
	// (addons/website/models/ir_http.py, _is_allowed_cookie).
	Consented = `{"required": true, "optional": true}`
)

// What the addon (odoo/addons/odoocache) and the cache tell each other.
const (
	// ContextCookie has what the visitor's pages are rendered for.
	ContextCookie = "odoocache_context"
	// ContextHeader names the context that a page is to be rendered for, or was. The addon
	// tells a filling request from that of a new visitor by it.
	ContextHeader = "X-Odoo-Cache-Context"
	// DefaultContext is that of a visitor without any session.
	DefaultContext = "0"
	// PrivateContext says that pages belong to this visitor alone.
	PrivateContext = "private"
)

// AddonCookies are those by which the addon tells the cache and its own script what
// a visitor's session holds.
var AddonCookies = []string{ContextCookie, "odoocache_cart", "odoocache_wishlist"}

// Robots are the user agents that Odoo does not redirect by language, in any of
// its versions (addons/http_routing/models/ir_http.py, is_a_bot).
var Robots = regexp.MustCompile(`(?i)bot|crawl|slurp|spider|curl|wget|facebookexternalhit|whatsapp|trendsmapresolver|pinterest|instagram|google-pagerenderer|preview`)
