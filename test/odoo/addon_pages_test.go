package odoo

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestOdooAddonTellsTheContext: whoever comes with a session of which the edge knows
// nothing is told by Odoo what their pages are, and gets hits from then on.
func TestOdooAddonTellsTheContext(t *testing.T) {
	odoo, e, _ := withAddon(t)
	product := odoo.Pages(t)["product"]
	pages := []string{"/shop", "/contactus", product, "/"}
	for _, path := range pages {
		e.Visitor(ShopHost, BrowserLanguage).Get(path)
	}
	hits := func(t *testing.T, v *Visitor) {
		t.Helper()
		for _, path := range pages {
			assert.Contains(t, v.Get(path).CacheStatus(), "; hit", path)
		}
	}
	t.Run("a session that began before the cache", func(t *testing.T) {
		before := odoo.Visitor(t, ShopHost, BrowserLanguage)
		before.Get("/shop")
		v := e.Visitor(ShopHost, BrowserLanguage)
		v.setCookie("session_id", before.cookie("session_id"))
		v.Get("/blog")
		assert.Equal(t, "0", v.cookie("odoocache_context"))
		hits(t, v)
	})
	t.Run("a first look at the sign-in page, and at an empty cart", func(t *testing.T) {
		for _, path := range []string{"/web/login", "/shop/cart"} {
			v := e.Visitor(ShopHost, BrowserLanguage)
			require.Equal(t, http.StatusOK, v.Get(path).Status)
			v.Get("/blog")
			hits(t, v)
		}
	})
	t.Run("what they ask for first is stored for all", func(t *testing.T) {
		id := product[strings.LastIndex(product, "-")+1:]
		image := "/web/image/product.template/" + id + "/image_256"
		v := e.Visitor(ShopHost, BrowserLanguage)
		v.setCookie("odoocache_context", "0")
		assert.Contains(t, v.Get(image).CacheStatus(), "; stored")
		assert.Contains(t, e.Visitor(ShopHost).Get(image).CacheStatus(), "; hit")
	})
	t.Run("a contact form", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		require.Contains(t, v.Get("/contactus").CacheStatus(), "; hit")
		body := site.MultipartForm(
			"Content-Disposition: form-data; name=\"csrf_token\"\r\n\r\n"+site.TokenPlaceholder,
			"Content-Disposition: form-data; name=\"contact_name\"\r\n\r\nJoe",
			"Content-Disposition: form-data; name=\"email_from\"\r\n\r\njoe@shop.example",
			"Content-Disposition: form-data; name=\"name\"\r\n\r\nOf a visitor who stays everybody",
		)
		r := v.do(http.MethodPost, "/website/form/crm.lead", body, "Content-Type: multipart/form-data; boundary=b0undary", "Origin: http://"+ShopHost, "Sec-Fetch-Site: same-origin")
		require.Equal(t, http.StatusOK, r.Status, r.Body)
		require.Contains(t, r.Body, `"id"`)
		assert.Equal(t, http.StatusOK, v.Get("/contactus-thank-you").Status)
		hits(t, v)
	})
}

// TestOdooAddonPriceThatEnds: a price that ends at an instant is on no page after it,
// though nothing has changed in Odoo.
func TestOdooAddonPriceThatEnds(t *testing.T) {
	odoo, e, admin := withAddon(t)
	product := odoo.Pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	view := func(path string) site.Reply { return e.Visitor(ShopHost, BrowserLanguage).Get(path) }
	usual := priceOn(t, odoo.Visitor(t, ShopHost, BrowserLanguage).Get(product))

	lists := admin.read("product.pricelist", []interface{}{}, "name")
	require.NotEmpty(t, lists)
	ends := time.Now().Add(12 * time.Second).UTC()
	for _, list := range lists {
		item := admin.create("product.pricelist.item", site.Options{
			"pricelist_id": list["id"], "applied_on": "1_product", "product_tmpl_id": id,
			"compute_price": "fixed", "fixed_price": 77, "date_end": ends.Format("2006-01-02 15:04:05"),
		})
		t.Cleanup(func() { admin.call("product.pricelist.item", "unlink", []interface{}{ids(item)}, nil) })
	}
	settled(t, admin)
	view(product)
	offer := view(product)
	require.Contains(t, offer.CacheStatus(), "; hit")
	require.NotEqual(t, usual, priceOn(t, offer), "the offer")
	stale := 0
	for time.Now().Before(ends.Add(4 * time.Second)) {
		asked := time.Now()
		r := view(product)
		if asked.After(ends.Add(time.Second)) && priceOn(t, r) != usual { // the offer is good for the whole of its last second
			stale++
			t.Logf("%.1f s after its end: %s", asked.Sub(ends).Seconds(), r.CacheStatus())
		}
		time.Sleep(100 * time.Millisecond)
	}
	assert.Zero(t, stale, "pages with a price that had ended")
	assert.Contains(t, view(product).CacheStatus(), "; hit")
}

// TestOdooAddonLiveChat: whether an operator is there is in no stored page.
func TestOdooAddonLiveChat(t *testing.T) {
	_, e, admin := withAddon(t)
	channel := admin.create("im_livechat.channel", site.Options{"name": "Odoocache"})
	website := int(admin.read("website", []interface{}{[]interface{}{"domain", "=", "http://" + ShopHost}}, "name")[0]["id"].(float64))
	admin.write("website", ids(website), site.Options{"channel_id": channel})
	t.Cleanup(func() {
		admin.write("website", ids(website), site.Options{"channel_id": false})
		admin.call("im_livechat.channel", "unlink", []interface{}{ids(channel)}, nil)
		settled(t, admin)
	})
	settled(t, admin)
	v := e.Visitor(ShopHost, BrowserLanguage)
	r := v.Get("/contactus")
	require.Contains(t, r.CacheStatus(), "; stored")
	assert.Contains(t, r.Body, "can_load_livechat: true", "nobody is online, and the script asks")
	r = e.Visitor(ShopHost, BrowserLanguage).Get("/contactus")
	assert.Contains(t, r.CacheStatus(), "; hit")
	assert.Contains(t, r.Body, "can_load_livechat: true")
	answer, _ := e.Visitor(ShopHost, BrowserLanguage).rpc("/mail/data", site.Options{"fetch_params": []interface{}{[]interface{}{"init_livechat", channel}}})
	assert.Contains(t, string(answer), `"livechat_available": false`)
}

// TestOdooAddonButtons: dropping a page drops it in all its languages, and the answer
// says whether it is done.
func TestOdooAddonButtons(t *testing.T) {
	odoo, e, admin := withAddon(t)
	product := odoo.Pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	inFrench := site.Options{"context": site.Options{"lang": "fr_FR"}}
	name := admin.read("product.template", []interface{}{[]interface{}{"id", "=", id}}, "name")[0]["name"]
	admin.call("product.template", "write", []interface{}{ids(id), site.Options{"name": "Bureau en bois"}}, inFrench)
	t.Cleanup(func() {
		admin.call("product.template", "write", []interface{}{ids(id), site.Options{"name": name}}, inFrench)
		settled(t, admin)
	})
	settled(t, admin)
	french := "/fr/shop/bureau-en-bois-" + strconv.Itoa(id)
	seen := func(path string) string {
		return e.Visitor(ShopHost, "Accept-Language: fr").follow(path).CacheStatus()
	}
	purge := func(v *Visitor, kwargs site.Options) map[string]string {
		answer, _ := v.call("odoocache.purge", "purge", []interface{}{"page"}, kwargs)
		result := map[string]string{}
		require.NoError(t, json.Unmarshal(answer, &result), string(answer))
		return result
	}
	backend := e.Visitor(ShopHost)
	backend.SignIn("admin")
	for name, c := range map[string]struct {
		by     *Visitor
		kwargs site.Options
	}{
		"past the cache, by its address":                {admin, site.Options{"path": french}},
		"through the cache, by its record":              {backend, site.Options{"path": "/fr/an-old-name", "record": site.Options{"model": "product.template", "id": id}}},
		"by its address in the language of the backend": {backend, site.Options{"path": product}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{product, french} {
				seen(path)
				require.Contains(t, e.Visitor(ShopHost, BrowserLanguage).follow(path).CacheStatus()+seen(path), "; hit", path)
			}
			assert.Equal(t, "done", purge(c.by, c.kwargs)["state"])
			assert.NotContains(t, seen(french), "; hit")
			assert.NotContains(t, e.Visitor(ShopHost, BrowserLanguage).follow(product).CacheStatus(), "; hit")
		})
	}
	set := func(url interface{}) {
		admin.call("ir.config_parameter", "set_param", []interface{}{"odoocache.edge_url", url}, nil)
	}
	set("http://127.0.0.1:1")
	result := purge(admin, site.Options{"path": product})
	assert.Equal(t, "queued", result["state"])
	assert.Contains(t, result["message"], "127.0.0.1:1")
	set(e.URL)
	settled(t, admin)
	set(false)
	assert.Equal(t, "impossible", purge(admin, site.Options{"path": product})["state"])
	set(e.URL)
	settled(t, admin)
}
