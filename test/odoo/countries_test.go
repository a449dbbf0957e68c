package odoo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// Addresses of whose countries test/geoip knows, and one of which nobody does.
var addressesOf = []struct{ country, address string }{
	{"", "192.0.2.9"},
	{"FR", "198.51.100.7"},
	{"US", "203.0.113.7"},
}

// needOdooGeoip returns the Odoo with a database of countries, and prices in euros for
// visitors from Europe.
func needOdooGeoip(t *testing.T) *Site {
	t.Helper()
	return odooFrom(t, "ODOO_GEOIP")
}

// visitorFrom is visitor whose connection comes from another address, as a balancer in
// front says (PROXY protocol, version 1).
func (e *Edge) visitorFrom(address, host string, lines ...string) *Visitor {
	v := e.Visitor(host, lines...)
	transport := v.Client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
		c, err := dial(ctx, network, to)
		if err == nil {
			_, err = fmt.Fprintf(c, "PROXY TCP4 %s 127.0.0.1 4711 80\r\n", address)
		}
		return c, err
	}
	return v
}

var (
	countryOf = regexp.MustCompile(`"geoip_country_code": (null|"[A-Z]+")`)
	moneyOf   = regexp.MustCompile(`([$€])\x{a0}?<span class="oe_currency_value"|"oe_currency_value">[^<]*</span>\x{a0}?([$€])`)
)

// countrySeen is what a page says of its visitor's country: its code, and the currencies
// of its prices.
func countrySeen(body string) string {
	code := countryOf.FindStringSubmatch(body)
	if code == nil {
		return "no country"
	}
	currencies := map[string]bool{}
	for _, m := range moneyOf.FindAllStringSubmatch(strings.ReplaceAll(body, "&nbsp;", "\u00a0"), -1) {
		currencies[m[1]+m[2]] = true
	}
	return fmt.Sprint(code[1], " ", currencies)
}

// TestOdooCountries: Odoo picks prices by the country of an address. Nobody gets a page of
// another country, however it came into the cache.
func TestOdooCountries(t *testing.T) {
	odoo := needOdooGeoip(t)
	// Not / and the like: Odoo's own page cache gives everybody the country of whoever
	// asked first.
	paths := []string{"/shop", "/shop/page/2", "/shop?search=desk", address(t, odoo.Visitor(t, ShopHost).Get("/sitemap.xml").Body, `/shop/[a-z0-9-]+-\d+`)}
	want := map[string]string{}
	for _, a := range addressesOf {
		for _, path := range paths {
			v := odoo.Visitor(t, ShopHost, BrowserLanguage, "X-Forwarded-For: "+a.address, "X-Forwarded-Host: "+ShopHost)
			want[a.country+path] = countrySeen(v.Get(path).Body)
		}
	}
	require.Equal(t, `null map[$:true]`, want["/shop"], "the database of countries, and prices by it")
	require.Equal(t, `"FR" map[€:true]`, want["FR/shop"])
	require.Equal(t, `"US" map[$:true]`, want["US/shop"])

	own := func(vary site.Options) site.Options {
		return site.Options{"rules": []site.Options{{
			"name": "own", "match": site.Options{"pathPrefixes": []string{"/"}, "methods": []string{"GET"}}, "ttl": "60s", "grace": "60s",
			"cookies": site.Options{"drop": []string{"session_id", "frontend_lang"}}, "vary": vary,
		}}}
	}
	orders := map[string][]int{"nobody first": {0, 1, 2}, "France first": {1, 0, 2}, "United States first": {2, 1, 0}}
	for name, order := range orders {
		for kind, more := range map[string]site.Options{
			"preset":                      nil,
			"languages not known":         {"languages": []string{}},
			"rewarming":                   {"rewarm": "50"},
			"own rule":                    own(site.Options{"languages": []string{"en_US", "fr_FR"}}),
			"own rule, varies by country": own(site.Options{"headers": []string{"X-Country"}}),
		} {
			if kind != "preset" && name != "France first" { // half a minute each
				continue
			}
			t.Run(kind+", "+name, func(t *testing.T) {
				e := odoo.replicaWith(t, stack.StartRedis(t), more, "--entryPoints.web.proxyProtocol.trustedIPs=127.0.0.1")
				var wrong []string
				ask := func(when string) {
					t.Helper()
					for _, i := range order {
						a := addressesOf[i]
						for _, path := range paths {
							v := e.visitorFrom(a.address, ShopHost, BrowserLanguage)
							if kind == "own rule, varies by country" && a.country != "" {
								v.Header.Set("X-Country", a.country)
							}
							r := v.Get(path)
							if got := countrySeen(r.Body); got != want[a.country+path] {
								wrong = append(wrong, fmt.Sprintf("%s from %q, %s: %s, want %s (%s)", path, a.country, when, got, want[a.country+path], r.CacheStatus()))
							}
						}
					}
				}
				ask("on a miss")
				ask("afterwards")
				for _, path := range paths {
					e.purge(ShopHost, strings.SplitN(path, "?", 2)[0], "X-Odoocache-Purge-Mode: soft")
				}
				ask("stale")
				e.settles()
				ask("refreshed")
				for i := 0; i < 3; i++ {
					ask("again")
				}
				for _, path := range paths {
					e.purge(ShopHost, strings.SplitN(path, "?", 2)[0])
				}
				e.settles()
				ask("after a purge")
				if n := len(wrong); n > 0 {
					assert.Fail(t, fmt.Sprint(n, " pages of another country"), "%.3000s", strings.Join(wrong, "\n"))
				}
			})
		}
	}
}

// settles waits until the origin is not asked in the background any more.
func (e *Edge) settles() {
	e.T.Helper()
	last, same := -1, 0
	e.Until("refreshes are over", func() bool {
		r, err := site.Send(http.MethodGet, e.URL+"/.odoocache/status", "", site.Fields("Host: "+ShopHost, site.WithKey))
		require.NoError(e.T, err)
		n := e.Answered(http.StatusOK)
		if n == last && strings.Contains(r.Body, `"refreshing":0`) {
			same++
		} else {
			last, same = n, 0
		}
		return same > 10
	})
}

// TestOdooCountrySignInAPost: what TestCountrySignInContent shows, with a post in the
// forum of a real Odoo 19 without GeoIP.
func TestOdooCountrySignInAPost(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	for i := 0; i < 2; i++ {
		e.Visitor(ShopHost, BrowserLanguage).Get("/shop")
	}
	require.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get("/shop").CacheStatus(), "; hit")
	before := e.stored()

	unpost := func() {
		admin := odoo.Visitor(t, ShopHost, BrowserLanguage)
		admin.SignIn("admin")
		for _, r := range admin.read("forum.post", []interface{}{[]interface{}{"name", "=", "How do I read the country?"}}, "id") {
			admin.call("forum.post", "unlink", []interface{}{[]interface{}{r["id"]}}, nil)
		}
	}
	unpost()
	t.Cleanup(unpost)

	author := e.Visitor(ShopHost, BrowserLanguage) // signed up for the portal, no more
	author.SignIn("portal")
	form := author.follow("/forum/help-1/ask")
	got := author.post("/forum/help-1/new", url.Values{
		"post_name": {"How do I read the country?"}, "csrf_token": {csrfToken(t, form.Body)},
		"content": {`<p>In my module: {"geoip_country_code": "FR"} is what I see. Why?</p>`},
	})
	post := got.Header.Get("Location")
	t.Logf("the post: %d %s", got.Status, post)
	require.Equal(t, http.StatusSeeOther, got.Status)
	require.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get("/shop").CacheStatus(), "; hit", "a POST purges nothing")
	read := author.follow(post) // they read their own post, which may still wait to be released
	t.Logf("the post is read: %d %s", read.Status, read.CacheStatus())
	require.Contains(t, read.Body, `"geoip_country_code": "FR"`, "Odoo writes quotes in a text as they are")
	time.Sleep(1500 * time.Millisecond)
	after := e.Visitor(ShopHost, BrowserLanguage).Get("/shop").CacheStatus()
	again := e.Visitor(ShopHost, BrowserLanguage).Get("/shop").CacheStatus()
	t.Logf("stored before %d; /shop after: %s; again: %s\n%s", before, after, again, stack.Tail(e.Log(), 3))
	assert.Contains(t, after, "; hit", "nothing has changed")
	assert.Contains(t, again, "; hit", "pages are stored as before")
}
