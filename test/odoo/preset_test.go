package odoo

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// notCached are the public pages that the preset leaves to Odoo: an event's page
// with its tickets, and the list of users.
var notCached = map[string]bool{"event": true, "members": true}

// TestOdooPresetCaches: on a real Odoo, every kind of page and file that the
// preset has a rule for is stored for one visitor and given to the next; but neither
// redirects nor errors.
func TestOdooPresetCaches(t *testing.T) {
	odoo := NeedOdoo(t)
	paths := odoo.Pages(t)
	shop := odoo.Visitor(t, ShopHost).Get("/shop").Body
	paths["product image"] = address(t, shop, `/web/image/product\.(?:template|product)/[^"]+`)
	paths["shop, filtered"] = "/shop?attribute_values=1-2"
	paths["search"] = "/website/search?search=desk"
	paths["tracked"] = "/shop?utm_source=letter&gclid=Cj0KCQiAabcdefghijklmnop"
	paths["shape"] = "/html_editor/shape/html_builder/Connections/01.svg?c1=%23112233"
	paths["translations"] = "/website/translations?lang=en_US&hash=none"
	for _, path := range []string{"/robots.txt", "/sitemap.xml", "/favicon.ico", "/web/manifest.webmanifest", "/web/image/website/1/logo", "/terms", "/pages", "/website/info", "/fr/shop"} {
		paths[path] = path
	}
	for name, more := range map[string]site.Options{
		"languages not known": nil,
		"two languages":       {"languages": []string{"en_US", "fr_FR"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := odoo.Behind(t, more)
			for kind, path := range paths {
				t.Run(kind, func(t *testing.T) {
					first := e.Visitor(ShopHost).Get(path)
					if first.Status != http.StatusOK && kind != "/favicon.ico" || notCached[kind] {
						assert.NotContains(t, first.CacheStatus(), "; stored", "%d %s", first.Status, path)
						assert.NotContains(t, e.Visitor(ShopHost).Get(path).CacheStatus(), "; hit", path)
						return
					}
					// The same page can be there under two kinds.
					assert.Regexp(t, "; (stored|hit);", first.CacheStatus(), "%d %s", first.Status, path)
					second := e.Visitor(ShopHost).Get(path)
					assert.Contains(t, second.CacheStatus(), "; hit;", path)
					for _, line := range second.Header["Set-Cookie"] {
						assert.NotContains(t, line, "session_id", path)
					}
					if strings.Contains(kind, "tracked") {
						assert.NotContains(t, second.Body, "gclid")
					}
				})
			}
		})
	}
}

// TestOdooPresetRedirects: a visitor of another language is sent to it, before
// and after the page is stored; a crawler is not.
func TestOdooPresetRedirects(t *testing.T) {
	odoo := NeedOdoo(t)
	for name, more := range map[string]site.Options{
		"languages not known": nil,
		"two languages":       {"languages": []string{"en_US", "fr_FR"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := odoo.Behind(t, more)
			for i := 0; i < 2; i++ {
				english := e.Visitor(ShopHost, "Accept-Language: en-GB,en;q=0.8").Get("/shop")
				assert.Equal(t, http.StatusOK, english.Status)
				assert.Contains(t, english.Body, `<html lang="en-US"`)
				french := e.Visitor(ShopHost, "Accept-Language: fr-BE,fr;q=0.8")
				assert.Equal(t, http.StatusSeeOther, french.Get("/shop").Status)
				assert.Equal(t, http.StatusOK, french.Get("/fr/shop").Status)
				assert.Equal(t, "fr_FR", french.cookie("frontend_lang"), "JSON routes go by it")
				assert.Equal(t, http.StatusSeeOther, french.Get("/blog").Status, "the cookie")
				crawler := e.Visitor(ShopHost, "Accept-Language: fr-FR", "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)").Get("/shop")
				assert.Equal(t, http.StatusOK, crawler.Status)
			}
			assert.Contains(t, e.Visitor(ShopHost, "Accept-Language: en-GB,en;q=0.8").Get("/shop").CacheStatus(), "; hit")
		})
	}
}

// harmlessRequest is a path, and the params of a JSON-RPC call, "" for a GET. ID is
// that of a product.
type harmlessRequest struct{ path, params string }

// harmless are requests after which, the preset says, a session is still a
// default one.
var harmless = []harmlessRequest{
	{"/shop/products/recently_viewed_update", `{"product_id": ID}`},
	{"/shop/products/recently_viewed_delete", `{"product_id": ID}`},
	{"/website_sale/get_combination_info", `{"product_template_id": ID, "product_id": false, "combination": [], "add_qty": 1}`},
	{"/website_sale/should_show_product_configurator", `{"product_template_id": ID, "ptav_ids": [], "is_product_configured": false}`},
	{"/website/snippet/filters", `{"filter_id": 1, "template_key": "website_sale.dynamic_filter_template_product_product_add_to_cart", "limit": 3}`},
	{"/website/snippet/filter_templates", `{}`},
	{"/website/snippet/autocomplete", `{"search_type": "products", "term": "desk", "order": "name asc", "options": {"displayImage": true, "displayDescription": true, "displayExtraLink": true, "displayDetail": true}}`},
	{"/website/get_current_currency", `{}`},
	{"/website/google_maps_api_key", `{}`},
	{"/shop/cart/quantity", `{}`},
	{"/shop/product/is_add_to_cart_allowed", `{"product_id": ID}`},
	{"/shop/wishlist/get_product_ids", `{}`},
	{"/shop/compare/get_product_data", `{"product_ids": [ID]}`},
	{"/website_mass_mailing/is_subscriber", `{"list_id": 1, "subscription_type": "email"}`},
	{"/website_mail/is_follower", `{"records": {"blog.post": [1]}}`},
	{"/mail/chatter_fetch", `{"thread_model": "product.template", "thread_id": ID}`},
	{"/portal/chatter_init", `{"thread_model": "product.template", "thread_id": ID}`},
	{"/web/webclient/version_info", `{}`},
	{"/websocket/peek_notifications", `{"channels": [], "last": 0, "is_first_poll": true}`},
	{"/website/lang/en", ""},
	{"/website/lang/fr", ""},
	{"/web/webclient/translations", ""},
	{"/website/translations", ""},
	{"/web/content/1", ""},
	{"/web/image?model=product.template&id=ID&field=image_128", ""},
	{"/logo.png", ""},
	{"/web/binary/company_logo", ""},
	{"/web/bundle/web.assets_frontend", ""},
	{"/web/service-worker.js", ""},
	{"/report/barcode/QR/x", ""},
	{"/forum/get_tags?query=a&forum_id=1", ""},
	{"/website/social/facebook", ""},
	{"/r/none", ""},
	{"/mail/font_to_img/1", ""},
}

// TestOdooHarmless: they change no page of the session that they are sent in. The
// last two do, so that the test is known to see it.
func TestOdooHarmless(t *testing.T) {
	eachVersion(t, func(t *testing.T, v *version, odoo *Site) {
		product := v.product(t, odoo)
		odoo.keepsDefault(t, product, []string{"/shop", product, "/contactus", "/blog", "/event"}, v.harmless)
	})
}

// keepsDefault checks that pages show the same before and after each request of a
// session, and that others change them.
func (o *Site) keepsDefault(t *testing.T, product string, seen []string, list []harmlessRequest) {
	t.Helper()
	id := regexp.MustCompile(`\d+$`).FindString(product)
	shown := func(v *Visitor) string {
		v.setCookie("frontend_lang", "en_US")
		all := ""
		for _, path := range seen {
			all += path + "\n" + v.Get(path).Body
		}
		return all
	}
	visit := func(t *testing.T, path, params string) string {
		t.Helper()
		v := o.Visitor(t, ShopHost)
		v.Get("/contactus")
		session := v.cookie("session_id")
		path = strings.ReplaceAll(path, "ID", id)
		r := site.Reply{}
		if params == "" {
			r = v.Get(path)
		} else {
			r = v.do(http.MethodPost, path, `{"jsonrpc": "2.0", "method": "call", "params": `+strings.ReplaceAll(params, "ID", id)+`}`, "Content-Type: application/json")
		}
		require.Less(t, r.Status, 500, path)
		require.NotContains(t, r.Body, `"error": {`, path)
		require.Equal(t, session, v.cookie("session_id"), path)
		return shown(v)
	}
	shown(o.Visitor(t, ShopHost)) // Odoo's second answer comes from its own page cache
	want := shown(o.Visitor(t, ShopHost))
	for _, c := range list {
		t.Run(c.path, func(t *testing.T) {
			requireSame(t, want, visit(t, c.path, c.params), "pages after "+c.path)
		})
	}
	assert.NotEqual(t, masked(want), masked(visit(t, "/shop?debug=1", "")))
	assert.NotEqual(t, masked(want), masked(visit(t, "/shop/wishlist/add", `{"product_id": ID}`)))
}
