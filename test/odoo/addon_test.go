package odoo

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// withAddon starts an edge in front of the Odoo that has the addon, and tells the
// addon of it, as the settings do.
func withAddon(t *testing.T) (*Site, *Edge, *Visitor) {
	t.Helper()
	odoo := needOdooAddon(t)
	e := odoo.Behind(t, nil)
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	set := func(key string, value interface{}) {
		admin.call("ir.config_parameter", "set_param", []interface{}{key, value}, nil)
	}
	set("odoocache.secret", site.TraefikSecret) // first: with the address, what waits is sent
	set("odoocache.tenant", odooTenant)
	set("odoocache.edge_url", e.URL)
	t.Cleanup(func() {
		set("odoocache.edge_url", false)
		set("odoocache.tenant", false)
		set("odoocache.secret", false)
		set("odoocache.tenant", false)
	})
	settled(t, admin)
	return odoo, e, admin
}

// settled waits until all that Odoo has to purge has been sent.
func settled(t *testing.T, admin *Visitor) {
	t.Helper()
	require.Eventually(t, func() bool {
		waiting, _ := admin.call("odoocache.purge", "search_count", []interface{}{[]interface{}{}}, nil)
		return string(waiting) == "0"
	}, 20*time.Second, 100*time.Millisecond)
}

var jsonPrice = regexp.MustCompile(`"price": ([0-9.]+)`)

// priceOn returns the price that a product's page tells search engines.
func priceOn(t *testing.T, r site.Reply) string {
	t.Helper()
	m := jsonPrice.FindStringSubmatch(r.Body)
	require.NotNil(t, m, "%d %s", r.Status, r.CacheStatus())
	return m[1]
}

// pricesOn returns the prices that a list shows.
func pricesOn(r site.Reply) []string {
	return regexp.MustCompile(`oe_currency_value">[^<]*<`).FindAllString(r.Body, -1)
}

// TestOdooAddonPrices changes a price in the backend through the edge, past it, and
// by a scheduled action. The next visitor sees it; other pages stay.
func TestOdooAddonPrices(t *testing.T) {
	odoo, e, admin := withAddon(t)
	product := odoo.Pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	others := []string{"/contactus", "/blog"}
	for _, path := range odoo.Sitemap(t) {
		if strings.HasPrefix(path, "/shop/") && !strings.HasPrefix(path, "/shop/category") && path != product {
			others = append(others, path)
			break
		}
	}
	backend := e.Visitor(ShopHost)
	backend.SignIn("admin")
	deal := dealPage(t, admin, id)
	before := admin.read("product.template", []interface{}{[]interface{}{"id", "=", id}}, "list_price")[0]["list_price"].(float64)
	t.Cleanup(func() { admin.write("product.template", ids(id), site.Options{"list_price": before}) })

	view := func(path string) site.Reply { return e.Visitor(ShopHost, BrowserLanguage).Get(path) }
	warm := func() string {
		for _, path := range append([]string{product, "/shop", deal}, others...) {
			view(path)
			require.Contains(t, view(path).CacheStatus(), "; hit", path)
		}
		return priceOn(t, view(product))
	}
	for n, c := range []struct {
		name   string
		change func(price float64)
	}{
		{"in the backend, through the edge", func(price float64) {
			r := backend.write("product.template", ids(id), site.Options{"list_price": price})
			assert.Empty(t, r.Header["X-Odoo-Purge"], "the visitor is not told")
			assert.NotContains(t, view(product).CacheStatus(), "; hit", "the very next request")
		}},
		{"past the edge", func(price float64) { admin.write("product.template", ids(id), site.Options{"list_price": price}) }},
		{"by a scheduled action", func(price float64) {
			admin.cron(`env["product.template"].browse(` + strconv.Itoa(id) + `).write({"list_price": ` + strconv.FormatFloat(price, 'f', 2, 64) + `})`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := warm()
			price := 1000 + float64(n*111)
			began := time.Now()
			c.change(price)
			require.Eventually(t, func() bool { return priceOn(t, view(product)) != old }, 30*time.Second, 50*time.Millisecond, "the new price")
			t.Logf("the new price was there %.1f s after the change", time.Since(began).Seconds())
			want := priceOn(t, odoo.Visitor(t, ShopHost, BrowserLanguage).Get(product))
			assert.Equal(t, want, priceOn(t, view(product)))
			assert.Equal(t, pricesOn(odoo.Visitor(t, ShopHost, BrowserLanguage).Get("/shop")), pricesOn(view("/shop")), "the listing")
			assert.Contains(t, view(deal).Body, "only "+strconv.FormatFloat(price, 'f', 1, 64), "a page made in the editor that shows it")
			for _, path := range others {
				assert.Contains(t, view(path).CacheStatus(), "; hit", "%s does not show it", path)
			}
		})
	}
}

// dealPage makes a page of the website that shows the price of a product, as a home
// page may. Odoo itself keeps such pages in each of its processes.
func dealPage(t *testing.T, admin *Visitor, product int) string {
	t.Helper()
	arch := `<t t-name="website.odoocache_deal"><t t-call="website.layout"><div id="wrap"><p>only <t t-out="request.env['product.template'].browse(` +
		strconv.Itoa(product) + `).list_price"/></p></div></t></t>`
	view := admin.create("ir.ui.view", site.Options{"name": "deal", "type": "qweb", "key": "website.odoocache_deal", "arch": arch})
	defer settled(t, admin)
	page := admin.create("website.page", site.Options{"url": "/odoocache-deal", "view_id": view, "is_published": true})
	t.Cleanup(func() {
		admin.call("website.page", "unlink", []interface{}{ids(page)}, nil)
		admin.call("ir.ui.view", "unlink", []interface{}{ids(view)}, nil)
	})
	return "/odoocache-deal"
}

// TestOdooAddonPublishing: what is published or withdrawn changes the list.
func TestOdooAddonPublishing(t *testing.T) {
	_, e, admin := withAddon(t)
	view := func(path string) site.Reply { return e.Visitor(ShopHost, BrowserLanguage).Get(path) }
	listed := func(name string) bool { return strings.Contains(view("/shop?search=Odoocache").Body, name) }
	name := "Odoocache test lamp"
	require.False(t, listed(name))
	require.Contains(t, view("/shop?search=Odoocache").CacheStatus(), "; hit")
	id := admin.create("product.template", site.Options{"name": name, "list_price": 12, "is_published": true, "sale_ok": true})
	require.Eventually(t, func() bool { return listed(name) }, 30*time.Second, 50*time.Millisecond, "published")
	admin.write("product.template", ids(id), site.Options{"is_published": false})
	require.Eventually(t, func() bool { return !listed(name) }, 30*time.Second, 50*time.Millisecond, "withdrawn")
	admin.call("product.template", "unlink", []interface{}{ids(id)}, nil)
}

// TestOdooAddonCart: visitors with a cart get pages from the cache, and a cookie
// from which the page's script fills their badge.
func TestOdooAddonCart(t *testing.T) {
	odoo, e, _ := withAddon(t)
	product := odoo.Pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	for _, path := range []string{"/", "/shop", "/contactus", product} {
		e.Visitor(ShopHost, BrowserLanguage).Get(path)
	}
	v := e.Visitor(ShopHost, BrowserLanguage)
	v.rpc("/shop/cart/add", site.Options{"product_template_id": id, "product_id": addonVariant(t, odoo, id), "quantity": 3})
	assert.Equal(t, "0", v.cookie("odoocache_context"))
	assert.Equal(t, "3", v.cookie("odoocache_cart"))
	for _, path := range []string{"/", "/shop", "/contactus", product} {
		r := v.Get(path)
		assert.Contains(t, r.CacheStatus(), "; hit", path)
		assert.NotContains(t, r.Body, "data-order-id", path)
	}
	cart := v.Get("/shop/cart")
	assert.Equal(t, http.StatusOK, cart.Status)
	assert.Contains(t, cart.Body, "cart_products", "the cart is Odoo's")
	assert.NotContains(t, cart.CacheStatus(), "; hit")

	t.Run("what a visitor with a cart fills is everybody's", func(t *testing.T) {
		r := v.Get("/shop?page=2")
		assert.Contains(t, r.CacheStatus(), "; stored")
		assert.NotContains(t, r.Body, "data-order-id")
		assert.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get("/shop?page=2").CacheStatus(), "; hit")
	})
	t.Run("signing in", func(t *testing.T) {
		v.SignIn("portal")
		assert.Equal(t, "private", v.cookie("odoocache_context"))
		r := v.Get("/contactus")
		assert.Contains(t, r.Body, `"is_public": false`)
		assert.Contains(t, r.CacheStatus(), "detail=context")
		assert.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get("/contactus").Body, `"is_public": true`)
	})
}

// addonVariant returns the id of a product's first variant.
func addonVariant(t *testing.T, odoo *Site, template int) int {
	t.Helper()
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	found := admin.read("product.product", []interface{}{[]interface{}{"product_tmpl_id", "=", template}}, "id")
	require.NotEmpty(t, found)
	return int(found[0]["id"].(float64))
}

// TestOdooAddonSecret: who does not know the secret is no edge to the addon.
func TestOdooAddonSecret(t *testing.T) {
	odoo, _, _ := withAddon(t)
	for name, line := range map[string]string{
		"no edge": "X-A: b", "a word": "X-Odoo-Cache-Edge: odoocache", "another secret": "X-Odoo-Cache-Edge: " + site.EdgeToken("another-secret"),
	} {
		assert.Empty(t, odoo.Visitor(t, ShopHost).Get("/shop", line).Header["Surrogate-Key"], name)
	}
	assert.NotEmpty(t, odoo.Visitor(t, ShopHost).Get("/shop", "X-Odoo-Cache-Edge: "+site.EdgeToken(site.TraefikSecret)).Header["Surrogate-Key"])
}

// TestOdooAddonContexts asks Odoo as the edge does: a context is rendered without a
// session, in each of Odoo's processes, and nothing else is believed.
func TestOdooAddonContexts(t *testing.T) {
	odoo := needOdooAddon(t)
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	admin.call("ir.config_parameter", "set_param", []interface{}{"odoocache.secret", site.TraefikSecret}, nil)
	t.Cleanup(func() {
		admin.call("ir.config_parameter", "set_param", []interface{}{"odoocache.secret", false}, nil)
	})
	token := "X-Odoo-Cache-Edge: " + site.EdgeToken(site.TraefikSecret)
	fill := func(path string, lines ...string) site.Reply {
		return odoo.Visitor(t, ShopHost).Get(path, append(lines, token)...)
	}
	value := admin.read("product.attribute.value", []interface{}{[]interface{}{"attribute_id.create_variant", "=", "always"}}, "attribute_id")[0]
	filter := "attribute_values=" + strconv.Itoa(int(value["attribute_id"].([]interface{})[0].(float64))) + "-" + strconv.Itoa(int(value["id"].(float64)))
	product := odoo.Pages(t)["product"]

	contexts := map[string]bool{}
	for i := 0; i < 2; i++ {
		v := odoo.Visitor(t, ShopHost)
		v.Get("/shop", token)
		require.NotEmpty(t, v.cookie("session_id"))
		v.Get("/shop?"+filter, token)
		contexts[v.cookie("odoocache_context")] = true
	}
	require.Len(t, contexts, 1, "the same for all who share it")
	var context string
	for c := range contexts {
		context = c
	}
	require.Regexp(t, `^[A-Za-z0-9._-]{16,512}$`, context)

	for i := 0; i < 4; i++ { // Odoo's processes take turns
		r := fill(product, "X-Odoo-Cache-Context: "+context)
		assert.Equal(t, context, r.Header.Get("X-Odoo-Cache-Context"))
		assert.Contains(t, r.Body, filter, "the filter is in the links of the page")
		for _, line := range r.Header["Set-Cookie"] {
			assert.Regexp(t, "^frontend_lang=", line, "what is of the page, and of no visitor")
		}
		assert.NotEmpty(t, r.Header["Surrogate-Key"])
	}
	for name, lines := range map[string][]string{
		"nobody's page": nil, "forged": {"X-Odoo-Cache-Context: " + context[:len(context)-1] + "_"}, "a word": {"X-Odoo-Cache-Context: private"},
	} {
		r := fill(product, lines...)
		assert.Equal(t, "0", r.Header.Get("X-Odoo-Cache-Context"), name)
		assert.NotContains(t, r.Body, filter, name)
	}
	assert.NotContains(t, odoo.Visitor(t, ShopHost).Get(product, "X-Odoo-Cache-Context: "+context).Body, filter, "from nobody but the edge")

	t.Run("whose page, by what was read", func(t *testing.T) {
		id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
		require.NoError(t, err)
		v := odoo.Visitor(t, ShopHost, token)
		v.rpc("/shop/cart/add", site.Options{"product_template_id": id, "product_id": addonVariant(t, odoo, id), "quantity": 3})
		for _, path := range []string{"/shop/cart?v=1", "//shop/cart?v=1", "/%2fshop/cart?v=1", "/shop/%63art"} {
			r := v.follow(path)
			assert.Equal(t, "private", r.Header.Get("X-Odoo-Cache-Context"), path)
			assert.Equal(t, "no-store", r.Header.Get("X-Odoo-Cache"), path)
		}
		assert.Equal(t, "0", v.Get(product).Header.Get("X-Odoo-Cache-Context"))
		assert.Equal(t, "0", v.cookie("odoocache_context"))
	})
	t.Run("the secret is the administrators'", func(t *testing.T) {
		portal := odoo.Visitor(t, ShopHost)
		portal.SignIn("portal")
		for _, v := range []*Visitor{portal, admin} {
			answer, _ := v.rpc("/web/dataset/call_kw", site.Options{
				"model": "res.config.settings", "method": "default_get", "kwargs": site.Options{},
				"args": []interface{}{[]string{"odoocache_secret", "odoocache_edge_url", "odoocache_tenant"}},
			})
			assert.NotContains(t, string(answer), site.TraefikSecret)
		}
	})
}
