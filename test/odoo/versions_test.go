package odoo

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// version is an Odoo that tests which say the same of each run against.
type version struct {
	name             string                   // in the names of tests
	need             func(t *testing.T) *Site // the running Odoo; without one the test is skipped
	shell            string                   // the variable that names its shell
	folder           string                   // its routes.json and preset.txt
	bundle           string                   // a pattern for the link to a bundle
	file             string                   // a file of a module
	signedIn, nobody string                   // patterns for what a page says of its visitor

	product  func(t *testing.T, o *Site) string                                  // path of a product's page
	cart     func(t *testing.T, o *Site) (product string, fill func(v *Visitor)) // fill puts three of it into a cart
	poisoned func(t *testing.T, o *Site) []string                                // paths that somebody odd asks for
	private  []string                                                            // paths of what belongs to one visitor
	harmless []harmlessRequest                                                   // requests that leave a session a default one
}

// versions are all of them.
var versions = []*version{
	{
		name: "19", need: NeedOdoo, shell: "ODOO_SHELL", folder: "testdata/odoo",
		bundle: `/web/assets/.+\.css`, file: "/web/static/img/favicon.ico", signedIn: `"is_public":\s*false`, nobody: `"is_public":\s*true`,
		product: func(t *testing.T, o *Site) string { return o.Pages(t)["product"] },
		cart: func(t *testing.T, o *Site) (string, func(v *Visitor)) {
			product := o.Pages(t)["product"]
			id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
			require.NoError(t, err)
			variant := FirstVariant(t, o, id)
			return product, func(v *Visitor) {
				v.rpc("/shop/cart/add", site.Options{"product_template_id": id, "product_id": variant, "quantity": 3})
			}
		},
		poisoned: func(t *testing.T, o *Site) (paths []string) {
			pages := o.Pages(t)
			for _, kind := range []string{"shop", "category", "product", "search", "blog", "blog post", "contact form", "terms", "forum", "product image", "robots"} {
				paths = append(paths, pages[kind])
			}
			return paths
		},
		private: []string{
			"/web", "/odoo", "/web/login", "/web/signup", "/web/reset_password", "/web/database/selector", "/web/health",
			"/my", "/my/home", "/my/orders", "/my/account", "/my/security",
			"/shop/cart", "/shop/checkout", "/shop/address", "/shop/payment", "/shop/confirmation", "/shop/wishlist", "/shop/compare",
			"/web/content/1", "/web/image/res.users/2/avatar_128?access_token=x", "/web/webclient/translations", "/website/translations",
			"/website/lang/en_US", "/unsubscribe_from_list", "/json/version", "/web/version",
			"/?debug=1", "/shop?pricelist=1", "/members?visibility_password=sesame", "PRODUCT?access_token=x", "/contactus?enable_editor=1",
		},
		harmless: harmless,
	},
	{
		name: "14", need: needOdoo14, shell: "ODOO14_SHELL", folder: "testdata/odoo14",
		bundle: `/web/content/.+\.css`, file: "/web/static/lib/jquery/jquery.js", signedIn: regexp.QuoteMeta(signedIn14), nobody: regexp.QuoteMeta(nobody14),
		product: func(t *testing.T, o *Site) string {
			product, id, _ := o.oldProduct(t)
			require.True(t, strings.HasSuffix(product, strconv.Itoa(id)))
			return product
		},
		cart: func(t *testing.T, o *Site) (string, func(v *Visitor)) {
			product, _, variant := o.oldProduct(t)
			return product, func(v *Visitor) {
				v.rpc("/shop/cart/update_json", site.Options{"product_id": variant, "add_qty": 3})
			}
		},
		poisoned: func(t *testing.T, o *Site) []string {
			return o.oldPaths(t, "/shop", `/shop/category/[^/]+-\d+`, `/shop/[^/]+-\d+`, `/blog/[^/]+-\d+`, "/contactus", "/event", `/forum/[^/]+-\d+`, "/robots.txt")
		},
		private: []string{
			"/web", "/web/login", "/web/signup", "/web/reset_password", "/web/database/selector", "/my", "/my/home", "/my/orders", "/my/account",
			"/shop/cart", "/shop/checkout", "/shop/address", "/shop/payment", "/shop/confirmation", "/shop/wishlist", "/shop/compare", "/shop/terms", "/shop/confirm_order", "/payment/process",
			"/web/content/1", "/web/content/1-1bfd234/a.pdf", "/web/image/res.users/2/image_128?access_token=x", "/web/webclient/translations/abc1234", "/website/translations/abc1234",
			"/website/lang/en", "/profile/users", "/website_payment/pay",
			"/?debug=1", "/shop?pricelist=1", "/members?visibility_password=sesame", "/members", "/contactus?enable_editor=1", "/no-such-page", "/contactus?fw=2",
		},
		harmless: oldHarmless,
	},
}

// eachVersion runs a test against each Odoo that is there.
func eachVersion(t *testing.T, test func(t *testing.T, v *version, o *Site)) {
	t.Helper()
	for _, v := range versions {
		v := v
		t.Run(v.name, func(t *testing.T) { test(t, v, v.need(t)) })
	}
}

// oldHarmless is what Odoo 14 has beside, or instead of, the routes of harmless.
var oldHarmless = []harmlessRequest{
	{"/shop/products/recently_viewed_update", `{"product_id": ID}`},
	{"/shop/products/recently_viewed", `{}`},
	{"/shop/products/recently_viewed_delete", `{"product_id": ID}`},
	{"/sale/get_combination_info_website", `{"product_template_id": ID, "product_id": false, "combination": [], "add_qty": 1, "pricelist_id": false}`},
	{"/shop/get_product_data", `{"product_ids": [ID]}`},
	{"/website/google_maps_api_key", `{}`},
	{"/website_mass_mailing/is_subscriber", `{"list_id": 1}`},
	{"/website_mass_mailing/get_content", `{"newsletter_id": 1}`},
	{"/website_mail/is_follower", `{"records": {"blog.post": [1]}}`},
	{"/event/get_country_event_list", `{}`},
	{"/mail/chatter_fetch", `{"res_model": "product.template", "res_id": ID}`},
	{"/mail/chatter_init", `{"res_model": "product.template", "res_id": ID}`},
	{"/web/webclient/version_info", `{}`},
	{"/website/lang/en", ""},
	{"/web/webclient/translations/abc1234?mods=web&lang=en_US", ""},
	{"/web/webclient/locale/en_US", ""},
	{"/web/webclient/qweb/abc1234?mods=web", ""},
	{"/website/translations/abc1234?lang=en_US", ""},
	{"/web/content/1", ""},
	{"/web/image?model=product.template&id=ID&field=image_128", ""},
	{"/web/partner_image/1", ""},
	{"/web/binary/company_logo", ""},
	{"/logo.png", ""},
	{"/website/social/facebook", ""},
	{"/r/none", ""},
	{"/mail/font_to_img/1", ""},
	{"/web_editor/font_to_img/1", ""},
}
