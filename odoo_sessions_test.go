package odoocache_test

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
)

// odooVisitors is how many visitors come at once.
const odooVisitors = 200

// TestOdooVisitors: new visitors browse, fill carts and sign in at the same time,
// each request by one of two Traefiks. Nobody gets anything of another's.
func TestOdooVisitors(t *testing.T) {
	odoo := needOdoo(t)
	server := startRedis(t)
	edges := []*edge{odoo.replica(t, server, nil), odoo.replica(t, server, nil)}
	product := odoo.pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	variant := firstVariant(t, odoo, id)

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
			a, b := edges[0].visitor(shopHost, browserLanguage), edges[1].visitor(shopHost, browserLanguage)
			b.client.Jar = a.client.Jar
			turn := n
			send := func(method, path, body string, lines ...string) reply {
				v := a
				if turn++; turn%2 == 0 {
					v = b
				}
				r, err := v.send(method, path, body, lines...)
				assert.NoError(t, err, "visitor %d: %s %s", n, method, path)
				mu.Lock()
				defer mu.Unlock()
				if session := r.session(); session != "" {
					if was, known := owner[session]; known {
						assert.Equal(t, was, n, "a session of visitor %d was given to visitor %d by %s %s", was, n, method, path)
					}
					owner[session] = n
				}
				if strings.Contains(r.cacheStatus(), "; hit") {
					hits++
				} else {
					misses++
				}
				return r
			}
			badge := func(path string) string {
				r := send(http.MethodGet, path, "")
				m := cartCount.FindStringSubmatch(r.body)
				if !assert.NotNil(t, m, "visitor %d: %s: %d %s", n, path, r.status, r.cacheStatus()) {
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
				assert.NoError(t, json.Unmarshal([]byte(r.body), &answer), "%.200s", r.body)
				if !assert.Equal(t, quantity, answer.Result.Quantity, "visitor %d: %.300s", n, r.body) {
					return
				}
				for _, path := range []string{"/", product} {
					assert.Equal(t, strconv.Itoa(quantity), badge(path), "visitor %d on %s", n, path)
				}
			case 2: // signs in with the form of a page from the cache
				form := url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {tokenPlaceholder}}
				r := send(http.MethodPost, "/web/login", form.Encode(), "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
				assert.Equal(t, http.StatusSeeOther, r.status, "visitor %d: %s", n, r.cacheStatus())
				for _, path := range []string{"/", "/contactus"} {
					assert.Contains(t, send(http.MethodGet, path, "").body, `"is_public": false`, "visitor %d is signed in, on %s", n, path)
				}
			default: // goes on looking
				for _, path := range []string{"/shop?page=2", "/blog", product} {
					assert.NotContains(t, send(http.MethodGet, path, "").body, `"is_public": false`, "visitor %d", n)
				}
			}
		}(n)
	}
	wg.Wait()
	t.Logf("%d visitors, %d sessions, %d hits of %d answers", odooVisitors, len(owner), hits, hits+misses)
	assert.Greater(t, hits, odooVisitors*3)
	for _, path := range []string{"/", "/shop", product, "/contactus"} {
		r := edges[0].visitor(shopHost, browserLanguage).get(path)
		assert.Contains(t, r.body, `"is_public": true`, path)
		assert.NotContains(t, r.body, "data-order-id", path)
		assert.Empty(t, r.session(), path)
	}
}

// TestOdooSessionsFromBirth: what visitors do, and whether they still get pages
// from the cache.
func TestOdooSessionsFromBirth(t *testing.T) {
	odoo := needOdoo(t)
	e := odoo.behind(t, nil)
	pages := odoo.pages(t)
	product := pages["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	for _, path := range []string{"/contactus", "/shop", product} {
		e.visitor(shopHost, browserLanguage).get(path)
	}
	for _, c := range []struct {
		name string
		do   func(v *visitor)
		hit  bool
	}{
		{"looks at a product", func(v *visitor) {
			v.get(product)
			v.rpc("/shop/products/recently_viewed_update", options{"product_id": firstVariant(t, odoo, id)})
		}, true},
		{"asks for a variant", func(v *visitor) {
			v.rpc("/website_sale/get_combination_info", options{"product_template_id": id, "product_id": firstVariant(t, odoo, id), "combination": []int{}, "add_qty": 1})
		}, true},
		{"fills a cart", func(v *visitor) {
			v.rpc("/shop/cart/add", options{"product_template_id": id, "product_id": firstVariant(t, odoo, id), "quantity": 1})
		}, false},
		{"signs in", func(v *visitor) { v.signIn("portal") }, false},
		{"turns debug on", func(v *visitor) { v.get("/contactus?debug=1") }, false},
		{"comes as an affiliate", func(v *visitor) { v.get("/contactus?affiliate_id=1") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := e.visitor(shopHost, browserLanguage)
			v.get(product)
			v.rpc("/shop/products/recently_viewed_update", options{"product_id": firstVariant(t, odoo, id)}) // as the page's script does
			require.NotEmpty(t, v.cookie("session_id"))
			c.do(v)
			for _, path := range []string{"/contactus", "/shop", product} {
				if c.hit {
					assert.Contains(t, v.get(path).cacheStatus(), "; hit", path)
				} else {
					assert.Contains(t, v.get(path).cacheStatus(), "detail=session", path)
				}
			}
		})
	}
}

// TestOdooCampaigns: parameters of a campaign leave the page, and its cookies are
// those that Odoo sets.
func TestOdooCampaigns(t *testing.T) {
	odoo := needOdoo(t)
	e := odoo.behind(t, nil)
	const query = "?utm_source=news%20letter&utm_campaign=spring&utm_medium=%C3%A9&gclid=x1"
	for _, c := range []struct{ name, host, consent string }{
		{"a website without a cookies bar", shopHost, ""},
		{"no choice yet", secondHost, ""},
		{"refused", secondHost, `{"required": true, "optional": false}`},
		{"agreed", secondHost, `{"required": true, "optional": true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			if c.consent != "" {
				lines = []string{"Cookie: website_cookies_bar=" + c.consent}
			}
			want := campaignsOf(odoo.visitor(t, c.host).get("/shop"+query, lines...))
			for i := 0; i < 2; i++ {
				got := e.visitor(c.host, browserLanguage).get("/shop"+query, lines...)
				assert.Equal(t, want, campaignsOf(got), got.cacheStatus())
				assert.NotContains(t, got.body, "utm_source=news")
				assert.NotContains(t, got.body, "gclid")
			}
			assert.Contains(t, e.visitor(c.host, browserLanguage).get("/shop").cacheStatus(), "; hit", "the same page")
		})
	}
}

// campaignsOf returns the names, values and domains of the campaign cookies.
func campaignsOf(r reply) []string {
	var list []string
	for _, line := range r.header["Set-Cookie"] {
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
	odoo := needOdoo(t)
	e := odoo.behind(t, nil)
	product := odoo.pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	admin := odoo.visitor(t, shopHost)
	admin.signIn("admin")
	for _, path := range []string{product, "/shop", "/contactus"} {
		e.visitor(shopHost, browserLanguage).get(path)
	}
	price := func(r reply) string {
		m := regexp.MustCompile(`"price": ([0-9.]+)`).FindStringSubmatch(r.body)
		require.NotNil(t, m)
		return m[1]
	}
	old := e.visitor(shopHost, browserLanguage).get(product)
	require.Contains(t, old.cacheStatus(), "; hit")
	admin.change("product.template", id, "list_price", 1234.5)
	changed := price(odoo.visitor(t, shopHost).get(product))
	require.NotEqual(t, price(old), changed, "Odoo shows it")
	assert.Equal(t, price(old), price(e.visitor(shopHost, browserLanguage).get(product)), "the cache does not know yet")
	e.purge(shopHost, product)
	got := e.visitor(shopHost, browserLanguage).get(product)
	assert.Equal(t, changed, price(got))
	assert.Contains(t, got.cacheStatus(), "; stored")
	assert.Contains(t, e.visitor(shopHost, browserLanguage).get("/contactus").cacheStatus(), "; hit")
}
