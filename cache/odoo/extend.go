package odoo

import (
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/cache/option"
)

// ownPaths are the rules of the paths by which an operator extends the preset. They stand
// before those that know Odoo's routes, since a module may have put its own below them.
func ownPaths(own option.Odoo) []option.Rule {
	var rules []option.Rule
	if len(own.BypassPaths) > 0 {
		rules = append(rules, option.Rule{
			Name:   "odoo-bypass-paths",
			Match:  option.Match{PathRegexp: BelowPaths(own.BypassPaths)},
			Bypass: "true",
		})
	}
	if len(own.HarmlessPaths) > 0 {
		rules = append(rules, option.Rule{
			Name:    "odoo-harmless-paths",
			Match:   option.Match{Methods: []string{"GET", "POST"}, PathRegexp: BelowPaths(own.HarmlessPaths)},
			Bypass:  "true",
			Session: "keep",
		})
	}
	return rules
}

// BelowPaths makes a regular expression of plain paths and all below them, with whatever may
// stand first for a language.
func BelowPaths(list []string) string {
	quoted := make([]string, 0, len(list))
	for i := 0; i < len(list); i++ {
		quoted = append(quoted, regexp.QuoteMeta(list[i]))
	}
	return inAnyLanguage + `(?:` + strings.Join(quoted, "|") + `)(?:/|$)`
}

// PageParams are the parameters that pages of Odoo read: what a list shows, and in which
// order. Without one a visitor gets another page than they asked for.
func PageParams() []string {
	return []string{
		// website_sale/controllers/main.py, shop and product.
		"search", "page", "order", "ppg", "category", "min_price", "max_price", "tags", "attrib", "attribute_value", "attribute_values", "noFuzzy", "product_id",
		// website_blog/controllers/main.py, blog and blog_feed.
		"tag", "date_begin", "date_end", "limit",
		// website_event/controllers/main.py, events; website_event_track.
		"date", "type", "country", "search_wishlist",
		// website_forum/controllers/website_forum.py, questions; website_slides/controllers/main.py.
		"filters", "sorting", "slide_category", "slide_type", "uncategorized",
		// website_hr_recruitment/controllers/main.py, jobs.
		"country_id", "department_id", "office_id", "contract_type_id", "industry_id", "is_remote", "is_other_department", "is_untyped",
		// website/controllers/main.py, hybrid_list; texts of scripts.
		"search_type", "lang", "hash", "unique",
	}
}

// ChangingPaths are routes of Odoo, after which pages show something else: who is signed in,
// what is in the cart, for whom prices are. None of them is harmless.
func ChangingPaths() []string {
	return []string{
		"/web/login", "/web/signup", "/web/reset_password", "/web/session/authenticate", "/web/session/logout", "/odoo", "/my/home", "/my/account",
		"/shop/cart", "/shop/cart/add", "/shop/cart/update", "/shop/checkout", "/shop/address", "/shop/payment", "/shop/confirmation", "/shop/change_pricelist/gold-3", "/shop/pricelist",
		"/shop/wishlist/add", "/payment/transaction", "/website/form/mail.mail", "/website/force/2", "/auth_oauth/signin", "/jsonrpc",
	}
}

// PageCookies are those that the preset's rules vary by, or set again with each hit.
func PageCookies() []string {
	return []string{LanguageCookie, ConsentCookie, "tz", "forum_welcome_message"}
}
