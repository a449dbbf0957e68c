package odoo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// odooVisitors is how many visitors come at once.
const odooVisitors = 200

// TestOdooVisitors: new visitors browse, fill carts and sign in at the same time,
// each request by one of two Traefiks. Nobody gets anything of another's.
func TestOdooVisitors(t *testing.T) {
	odoo := NeedOdoo(t)
	server := stack.StartRedis(t)
	edges := []*Edge{odoo.Replica(t, server, nil), odoo.Replica(t, server, nil)}
	product := odoo.Pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	variant := FirstVariant(t, odoo, id)

	var mu sync.Mutex
	owner := map[string]int{} // of session ids
	hits, misses := 0, 0
	var wg sync.WaitGroup
	slots := make(chan bool, 12) // what two workers of Odoo can take
	for n := 0; n < odooVisitors; n++ {
		wg.Add(1)
		go func(n int) {
			defer wg.Done()
			slots <- true
			defer func() { <-slots }()
			// One cookie jar, two ways to the shop.
			a, b := edges[0].Visitor(ShopHost, BrowserLanguage), edges[1].Visitor(ShopHost, BrowserLanguage)
			b.Client.Jar = a.Client.Jar
			turn := n
			send := func(method, path, body string, lines ...string) site.Reply {
				v := a
				if turn++; turn%2 == 0 {
					v = b
				}
				r, err := v.Send(method, path, body, lines...)
				assert.NoError(t, err, "visitor %d: %s %s", n, method, path)
				mu.Lock()
				defer mu.Unlock()
				if session := r.Session(); session != "" {
					if was, known := owner[session]; known {
						assert.Equal(t, was, n, "a session of visitor %d was given to visitor %d by %s %s", was, n, method, path)
					}
					owner[session] = n
				}
				if strings.Contains(r.CacheStatus(), "; hit") {
					hits++
				} else {
					misses++
				}
				return r
			}
			badge := func(path string) string {
				r := send(http.MethodGet, path, "")
				m := cartCount.FindStringSubmatch(r.Body)
				if !assert.NotNil(t, m, "visitor %d: %s: %d %s", n, path, r.Status, r.CacheStatus()) {
					return ""
				}
				return m[1]
			}
			for _, path := range []string{"/", "/shop", product, "/contactus"} {
				assert.Contains(t, []string{"", "0"}, badge(path), "visitor %d has no cart, and sees one on %s", n, path)
			}
			switch n % 4 {
			case 0, 1: // fills a cart
				quantity := 1 + n%7
				params := fmt.Sprintf(`{"jsonrpc":"2.0","method":"call","params":{"product_template_id":%d,"product_id":%d,"quantity":%d}}`, id, variant, quantity)
				r := send(http.MethodPost, "/shop/cart/add", params, "Content-Type: application/json", "Sec-Fetch-Site: same-origin")
				var answer struct {
					Result struct {
						Quantity int `json:"cart_quantity"`
					} `json:"result"`
				}
				assert.NoError(t, json.Unmarshal([]byte(r.Body), &answer), "%.200s", r.Body)
				if !assert.Equal(t, quantity, answer.Result.Quantity, "visitor %d: %.300s", n, r.Body) {
					return
				}
				for _, path := range []string{"/", product} {
					assert.Equal(t, strconv.Itoa(quantity), badge(path), "visitor %d on %s", n, path)
				}
			case 2: // signs in with the form of a page from the cache
				form := url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {site.TokenPlaceholder}}
				r := send(http.MethodPost, "/web/login", form.Encode(), "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
				assert.Equal(t, http.StatusSeeOther, r.Status, "visitor %d: %s", n, r.CacheStatus())
				for _, path := range []string{"/", "/contactus"} {
					assert.Contains(t, send(http.MethodGet, path, "").Body, `"is_public": false`, "visitor %d is signed in, on %s", n, path)
				}
			default: // goes on looking
				for _, path := range []string{"/shop?page=2", "/blog", product} {
					assert.NotContains(t, send(http.MethodGet, path, "").Body, `"is_public": false`, "visitor %d", n)
				}
			}
		}(n)
	}
	wg.Wait()
	t.Logf("%d visitors, %d sessions, %d hits of %d answers", odooVisitors, len(owner), hits, hits+misses)
	assert.Greater(t, hits, odooVisitors*3)
	for _, path := range []string{"/", "/shop", product, "/contactus"} {
		r := edges[0].Visitor(ShopHost, BrowserLanguage).Get(path)
		assert.Contains(t, r.Body, `"is_public": true`, path)
		assert.NotContains(t, r.Body, "data-order-id", path)
		assert.Empty(t, r.Session(), path)
	}
}

// TestOdooSessionsFromBirth: what visitors do, and whether they still get pages
// from the cache.
func TestOdooSessionsFromBirth(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	pages := odoo.Pages(t)
	product := pages["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	for _, path := range []string{"/contactus", "/shop", product} {
		e.Visitor(ShopHost, BrowserLanguage).Get(path)
	}
	for _, c := range []struct {
		name string
		do   func(v *Visitor)
		hit  bool
	}{
		{"looks at a product", func(v *Visitor) {
			v.Get(product)
			v.rpc("/shop/products/recently_viewed_update", site.Options{"product_id": FirstVariant(t, odoo, id)})
		}, true},
		{"asks for a variant", func(v *Visitor) {
			v.rpc("/website_sale/get_combination_info", site.Options{"product_template_id": id, "product_id": FirstVariant(t, odoo, id), "combination": []int{}, "add_qty": 1})
		}, true},
		{"comes to pages that lead on", func(v *Visitor) {
			event := strings.TrimSuffix(pages["event"], "/register")
			for _, line := range []string{"Accept: text/html", "Range: bytes=0-999999"} { // as nobody, and by themselves
				require.Equal(t, http.StatusSeeOther, v.Get(event, line).Status)
				v.Get("/blog", line)
				v.Get("/forum", line)
				v.Get("/", line)
			}
		}, true},
		{"fills a cart", func(v *Visitor) {
			v.rpc("/shop/cart/add", site.Options{"product_template_id": id, "product_id": FirstVariant(t, odoo, id), "quantity": 1})
		}, false},
		{"signs in", func(v *Visitor) { v.SignIn("portal") }, false},
		{"turns debug on", func(v *Visitor) { v.Get("/contactus?debug=1") }, false},
		{"comes as an affiliate", func(v *Visitor) { v.Get("/contactus?affiliate_id=1") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := e.Visitor(ShopHost, BrowserLanguage)
			v.Get(product)
			v.rpc("/shop/products/recently_viewed_update", site.Options{"product_id": FirstVariant(t, odoo, id)}) // as the page's script does
			require.NotEmpty(t, v.cookie("session_id"))
			c.do(v)
			for _, path := range []string{"/contactus", "/shop", product} {
				if c.hit {
					assert.Contains(t, v.Get(path).CacheStatus(), "; hit", path)
				} else {
					assert.Contains(t, v.Get(path).CacheStatus(), "detail=session", path)
				}
			}
		})
	}
}

// TestOdooCampaigns: parameters of a campaign leave the page, and its cookies are
// those that Odoo sets.
func TestOdooCampaigns(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	const query = "?utm_source=news%20letter&utm_campaign=spring&utm_medium=%C3%A9&gclid=x1"
	for _, c := range []struct{ name, host, consent string }{
		{"a website without a cookies bar", ShopHost, ""},
		{"no choice yet", secondHost, ""},
		{"refused", secondHost, `{"required": true, "optional": false}`},
		{"agreed", secondHost, `{"required": true, "optional": true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			if c.consent != "" {
				lines = []string{"Cookie: website_cookies_bar=" + c.consent}
			}
			want := campaignsOf(odoo.Visitor(t, c.host).Get("/shop"+query, lines...))
			for i := 0; i < 2; i++ {
				got := e.Visitor(c.host, BrowserLanguage).Get("/shop"+query, lines...)
				assert.Equal(t, want, campaignsOf(got), got.CacheStatus())
				assert.NotContains(t, got.Body, "utm_source=news")
				assert.NotContains(t, got.Body, "gclid")
			}
			assert.Contains(t, e.Visitor(c.host, BrowserLanguage).Get("/shop").CacheStatus(), "; hit", "the same page")
		})
	}
}

// campaignsOf returns the names, values and domains of the campaign cookies.
func campaignsOf(r site.Reply) []string {
	var list []string
	for _, line := range r.Header["Set-Cookie"] {
		if strings.HasPrefix(line, "odoo_utm_") && !strings.Contains(line, "Max-Age=0;") { // 0: no consent
			parts := strings.Split(line, "; ")
			list = append(list, parts[0]+"; "+parts[1])
		}
	}
	return list
}

// TestOdooPrices: without the addon a new price shows after an explicit purge, and
// what does not show it stays.
func TestOdooPrices(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	product := odoo.Pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	for _, path := range []string{product, "/shop", "/contactus"} {
		e.Visitor(ShopHost, BrowserLanguage).Get(path)
	}
	price := func(r site.Reply) string {
		m := regexp.MustCompile(`"price": ([0-9.]+)`).FindStringSubmatch(r.Body)
		require.NotNil(t, m)
		return m[1]
	}
	old := e.Visitor(ShopHost, BrowserLanguage).Get(product)
	require.Contains(t, old.CacheStatus(), "; hit")
	admin.change("product.template", id, "list_price", 1234.5)
	changed := price(odoo.Visitor(t, ShopHost).Get(product))
	require.NotEqual(t, price(old), changed, "Odoo shows it")
	assert.Equal(t, price(old), price(e.Visitor(ShopHost, BrowserLanguage).Get(product)), "the cache does not know yet")
	e.purge(ShopHost, product)
	got := e.Visitor(ShopHost, BrowserLanguage).Get(product)
	assert.Equal(t, changed, price(got))
	assert.Contains(t, got.CacheStatus(), "; stored")
	assert.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get("/contactus").CacheStatus(), "; hit")
}
