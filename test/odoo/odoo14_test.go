package odoo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// The tests named TestOdoo14… run against a real Odoo 14 that test/odoo/14/up
// has brought up ("make test-odoo14" does both): what it does in another way than
// Odoo 19. What both do is in tests that eachVersion runs. They skip without it. What
// its database holds is in test/odoo/14/setup.py.

// needOdoo14 returns the Odoo 14.
func needOdoo14(t *testing.T) *Site {
	t.Helper()
	odoo := odooFrom(t, "ODOO14")
	odoo.bus = "/longpolling"
	return odoo
}

// oldPages are the kinds of public pages of this Odoo: a path, or a pattern for a
// link in the sitemap.
var oldPages = []string{
	"/", "/shop", "/shop/page/2", "/shop?search=lamp", `/shop/category/[^/]+-\d+`, `/shop/[^/]+-\d+`,
	"/blog", `/blog/[^/]+-\d+`, `/blog/[^/]+-\d+/[^/]+-\d+`, "/contactus", "/contactus-thank-you",
	"/event", `/forum/[^/]+-\d+`, `/forum/[^/]+-\d+/[^/]+-\d+`, "/website/info", "/fr/shop", "/fr/contactus",
}

// oldPaths returns a path for each of some kinds.
func (o *Site) oldPaths(t *testing.T, kinds ...string) []string {
	t.Helper()
	sitemap := o.Visitor(t, ShopHost).Get("/sitemap.xml")
	require.Equal(t, http.StatusOK, sitemap.Status)
	var paths []string
	for _, kind := range kinds {
		if strings.Contains(kind, `\`) {
			kind = address(t, sitemap.Body, kind)
		}
		paths = append(paths, kind)
	}
	return paths
}

// oldProduct returns the path of a product without attributes, its id, and that of
// its only variant.
func (o *Site) oldProduct(t *testing.T) (path string, id, variant int) {
	t.Helper()
	admin := o.Visitor(t, ShopHost)
	admin.SignIn("admin")
	found := admin.read("product.template", []interface{}{
		[]interface{}{"is_published", "=", true}, []interface{}{"attribute_line_ids", "=", false}, []interface{}{"type", "!=", "service"},
	}, "website_url", "product_variant_id")
	require.NotEmpty(t, found)
	p := found[0]
	return p["website_url"].(string), int(p["id"].(float64)), int(p["product_variant_id"].([]interface{})[0].(float64))
}

const (
	signedIn14 = `"is_website_user": false` // website/models/ir_http.py, get_frontend_session_info
	nobody14   = `"is_website_user": true`
)

// TestOdoo14Pages: a page that one visitor has filled is given to the next ones
// as Odoo has it. Odoo 14 sends the session with each answer, names visitors by a
// cookie of their own, and writes a cart's number into each page, empty without one.
func TestOdoo14Pages(t *testing.T) {
	odoo := needOdoo14(t)
	e := odoo.Behind(t, nil)
	for _, path := range odoo.oldPaths(t, oldPages...) {
		t.Run(path, func(t *testing.T) {
			direct := odoo.Visitor(t, ShopHost, BrowserLanguage)
			direct.Get(path) // Odoo's second answer can come from its own page cache
			want := direct.Get(path)
			require.Equal(t, http.StatusOK, want.Status)
			require.Equal(t, direct.cookie("session_id"), want.Session(), "Odoo sends the session again")
			require.Regexp(t, `^[0-9a-f]{40}$`, want.Session())

			filling := e.Visitor(ShopHost, BrowserLanguage).Get(path)
			assert.Contains(t, filling.CacheStatus(), "; stored")
			for i := 0; i < 2; i++ {
				v := e.Visitor(ShopHost, BrowserLanguage)
				got := v.Get(path)
				require.Contains(t, got.CacheStatus(), "; hit")
				assert.Equal(t, oldHeaders(want), oldHeaders(got))
				requireSame(t, viewCount.ReplaceAllString(want.Body, "$1"), viewCount.ReplaceAllString(got.Body, "$1"), path+" is not as Odoo answers")
				assert.Equal(t, site.TokenPlaceholder, csrfToken(t, got.Body))
				assert.NotRegexp(t, tokenValue, got.Body)
				assert.Empty(t, v.cookie("session_id"))
				assert.Empty(t, v.cookie("visitor_uuid"))
			}
		})
	}
}

// oldHeaders is ownHeaders. Odoo's own page cache repeats a parameter of the type
// (website/models/ir_http.py, _serve_page).
func oldHeaders(r site.Reply) http.Header {
	h := ownHeaders(r)
	h.Set("Content-Type", strings.Replace(h.Get("Content-Type"), "; charset=utf-8; charset=utf-8", "; charset=utf-8", 1))
	return h
}

// TestOdoo14SessionGoesOn: whoever has a default session keeps it, and is given
// pages from the cache; whoever fills a cart or signs in is not.
func TestOdoo14SessionGoesOn(t *testing.T) {
	odoo := needOdoo14(t)
	e := odoo.Behind(t, nil)
	product, id, variant := odoo.oldProduct(t)
	for _, path := range []string{"/contactus", "/shop", product} {
		e.Visitor(ShopHost, BrowserLanguage).Get(path)
	}
	for _, c := range []struct {
		name string
		do   func(v *Visitor)
		hit  bool
	}{
		{"looks on", func(v *Visitor) { v.Get("/blog"); v.Get("/web/webclient/locale/en_US") }, true},
		{"asks for a variant", func(v *Visitor) {
			v.rpc("/sale/get_combination_info_website", site.Options{"product_template_id": id, "product_id": variant, "combination": []int{}, "add_qty": 1, "pricelist_id": false})
		}, true},
		{"fills a cart", func(v *Visitor) { v.rpc("/shop/cart/update_json", site.Options{"product_id": variant, "add_qty": 1}) }, false},
		{"signs in", func(v *Visitor) { v.SignIn("portal") }, false},
		{"marks a pricelist", func(v *Visitor) { v.Get("/shop/change_pricelist/1") }, false},
		{"turns debug on", func(v *Visitor) { v.Get("/contactus?debug=1") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := e.Visitor(ShopHost, BrowserLanguage)
			v.Get(product)
			v.rpc("/shop/products/recently_viewed_update", site.Options{"product_id": variant}) // as the page's script does
			session := v.cookie("session_id")
			require.NotEmpty(t, session)
			require.Contains(t, v.Get("/shop").CacheStatus(), "; hit")
			c.do(v)
			for _, path := range []string{"/contactus", "/shop", product} {
				r := v.Get(path)
				if c.hit {
					assert.Contains(t, r.CacheStatus(), "; hit", path)
					assert.Equal(t, session, v.cookie("session_id"))
				} else {
					assert.Contains(t, r.CacheStatus(), "detail=session", path)
				}
			}
		})
	}
}

// TestOdoo14ForgottenSession: whoever comes back with a session that Odoo does not know any
// more gets another one, and pages from the cache from then on, until they change something.
func TestOdoo14ForgottenSession(t *testing.T) {
	odoo := needOdoo14(t)
	e := odoo.Behind(t, nil)
	product, _, variant := odoo.oldProduct(t)
	for _, path := range []string{"/contactus", "/shop", product} {
		e.Visitor(ShopHost, BrowserLanguage).Get(path)
	}
	v := e.Visitor(ShopHost, BrowserLanguage)
	forgotten := strings.Repeat("ab", 20)
	v.setCookie("session_id", forgotten)
	assert.Contains(t, v.Get("/contactus").CacheStatus(), "detail=session")
	session := v.cookie("session_id")
	require.NotEqual(t, forgotten, session)
	for _, path := range []string{"/contactus", "/shop", product} {
		assert.Contains(t, v.Get(path).CacheStatus(), "; hit", path)
	}
	v.rpc("/shop/cart/update_json", site.Options{"product_id": variant, "add_qty": 1})
	assert.Contains(t, v.Get("/shop").CacheStatus(), "detail=session")
	assert.Equal(t, session, v.cookie("session_id"))
}

// TestOdoo14Forms sends forms with the placeholder of stored pages to Odoo.
func TestOdoo14Forms(t *testing.T) {
	odoo := needOdoo14(t)
	e := odoo.Behind(t, nil)
	product, _, variant := odoo.oldProduct(t)
	for _, path := range []string{"/contactus", product} {
		e.Visitor(ShopHost, BrowserLanguage).Get(path)
	}
	login := url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {site.TokenPlaceholder}}

	t.Run("Odoo takes only a token of the same session", func(t *testing.T) {
		other := odoo.Visitor(t, ShopHost)
		token := csrfToken(t, other.Get("/web/login").Body)
		assert.Regexp(t, `^`+tokenValue.String()+`$`, token)
		v := odoo.Visitor(t, ShopHost)
		v.Get("/web/login")
		assert.Equal(t, http.StatusBadRequest, v.post("/web/login", url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {token}}).Status)
	})
	t.Run("a page of Odoo's own page cache has the token of another", func(t *testing.T) {
		// website/models/ir_http.py, _serve_page: stored as it was rendered.
		foreign, seen := "", map[string]bool{}
		for i := 0; i < 20 && foreign == ""; i++ { // each worker has a page cache
			token := csrfToken(t, odoo.Visitor(t, ShopHost).Get("/contactus-thank-you").Body)
			if seen[token] {
				foreign = token
			}
			seen[token] = true
		}
		require.NotEmpty(t, foreign, "two visitors get the same token")

		e.Visitor(ShopHost, BrowserLanguage).Get("/contactus-thank-you")
		got := e.Visitor(ShopHost, BrowserLanguage).Get("/contactus-thank-you")
		require.Contains(t, got.CacheStatus(), "; hit")
		assert.NotContains(t, got.Body, foreign)
		assert.Equal(t, site.TokenPlaceholder, csrfToken(t, got.Body))
	})
	t.Run("a new visitor signs in with the form of a stored page", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		require.Contains(t, v.Get("/contactus").CacheStatus(), "; hit")
		r := v.post("/web/login", login)
		assert.Equal(t, http.StatusSeeOther, r.Status, "%.300s", r.Body)
		assert.Contains(t, r.CacheStatus(), "csrf-completed")
		page := v.Get("/contactus")
		assert.Contains(t, page.Body, signedIn14, page.CacheStatus())
		assert.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get("/contactus").Body, nobody14)
	})
	t.Run("a visitor signs in elsewhere, and sends the form of a page from before", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		require.Contains(t, v.Get("/contactus").CacheStatus(), "; hit")
		v.SignIn("portal")
		r := v.post("/my/account", url.Values{"csrf_token": {site.TokenPlaceholder}, "name": {""}})
		assert.NotEqual(t, http.StatusBadRequest, r.Status, "%.300s", r.Body)
		assert.Contains(t, r.CacheStatus(), "csrf-completed")
	})
	t.Run("a new visitor fills a cart with the form of a stored page", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		require.Contains(t, v.Get(product).CacheStatus(), "; hit")
		r := v.post("/shop/cart/update", url.Values{"csrf_token": {site.TokenPlaceholder}, "product_id": {strconv.Itoa(variant)}, "add_qty": {"3"}})
		require.Less(t, r.Status, 400, "%.300s", r.Body)
		assert.Contains(t, r.CacheStatus(), "csrf-completed")
		assert.Equal(t, "3", cartCount.FindStringSubmatch(v.Get(product).Body)[1])
		assert.Equal(t, "0", cartCount.FindStringSubmatch(e.Visitor(ShopHost, BrowserLanguage).Get(product).Body)[1])
	})
	t.Run("from another site", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		v.SignIn("portal")
		for _, lines := range [][]string{
			{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"},
			{"Origin: null", "Sec-Fetch-Site: cross-site"},
		} {
			r := v.post("/my/account", url.Values{"csrf_token": {site.TokenPlaceholder}, "name": {"Mallory"}}, lines...)
			assert.Equal(t, http.StatusBadRequest, r.Status, "%v", lines)
			assert.Contains(t, r.CacheStatus(), "csrf-origin")
		}
	})
	t.Run("the contact form", func(t *testing.T) {
		subject := "From a stored page " + t.Name()
		admin := odoo.Visitor(t, ShopHost)
		admin.SignIn("admin")
		leads := func() int {
			return len(admin.read("crm.lead", []interface{}{[]interface{}{"name", "=", subject}}, "name"))
		}
		before := leads()
		for user, v := range map[string]*Visitor{"new": e.Visitor(ShopHost, BrowserLanguage), "portal": e.Visitor(ShopHost, BrowserLanguage)} {
			v.Get("/contactus")
			if user == "portal" { // then Odoo looks at the token (website_form/controllers/main.py)
				v.SignIn(user)
			}
			body := site.MultipartForm(
				site.TokenPart,
				"Content-Disposition: form-data; name=\"contact_name\"\r\n\r\nJoe",
				"Content-Disposition: form-data; name=\"email_from\"\r\n\r\njoe@shop.example",
				"Content-Disposition: form-data; name=\"name\"\r\n\r\n"+subject,
				"Content-Disposition: form-data; name=\"description\"\r\n\r\nHello",
			)
			r := v.do(http.MethodPost, "/website_form/crm.lead", body, "Content-Type: multipart/form-data; boundary=b0undary", "Origin: http://"+ShopHost, "Sec-Fetch-Site: same-origin")
			assert.Equal(t, http.StatusOK, r.Status, user)
			assert.Contains(t, r.CacheStatus(), "csrf-completed", user)
			var made struct {
				ID int `json:"id"`
			}
			assert.NoError(t, json.Unmarshal([]byte(r.Body), &made), r.Body)
			assert.Positive(t, made.ID, r.Body)
		}
		assert.Equal(t, before+2, leads())
	})
}

// TestOdoo14SessionNamedElsewhere: Odoo 14 takes a session from a parameter and a
// header, too (odoo/http.py, setup_session). Such requests are nobody else's.
func TestOdoo14SessionNamedElsewhere(t *testing.T) {
	odoo := needOdoo14(t)
	e := odoo.Behind(t, nil)
	_, _, variant := odoo.oldProduct(t)
	victim := e.Visitor(ShopHost, BrowserLanguage)
	victim.SignIn("portal")
	session := victim.cookie("session_id")
	for name, ask := range map[string]func(v *Visitor, path string) site.Reply{
		"parameter": func(v *Visitor, path string) site.Reply { return v.Get(path + "?session_id=" + session) },
		"header":    func(v *Visitor, path string) site.Reply { return v.Get(path, "X-Openerp-Session-Id: "+session) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/contactus", "/shop", "/blog"} {
				require.Contains(t, ask(odoo.Visitor(t, ShopHost), path).Body, signedIn14, "Odoo takes it")
				for i := 0; i < 2; i++ { // before and after the page is stored
					r := ask(e.Visitor(ShopHost, BrowserLanguage), path)
					assert.Contains(t, r.Body, signedIn14, path)
					assert.Contains(t, r.CacheStatus(), "fwd=bypass", path)
					assert.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get(path).Body, nobody14, path)
				}
			}
		})
		t.Run("a "+name+" fills the cart of a default session", func(t *testing.T) {
			v := e.Visitor(ShopHost, BrowserLanguage)
			v.rpc("/shop/products/recently_viewed_update", site.Options{"product_id": variant})
			e.Visitor(ShopHost, BrowserLanguage).Get("/contactus")
			require.Contains(t, v.Get("/contactus").CacheStatus(), "; hit")
			path, lines := "/shop/cart/update_json", []string{"Content-Type: application/json"}
			if name == "parameter" {
				path += "?session_id=" + v.cookie("session_id")
			} else {
				lines = append(lines, "X-Openerp-Session-Id: "+v.cookie("session_id"))
			}
			r := e.Visitor(ShopHost).do(http.MethodPost, path, fmt.Sprintf(`{"params": {"product_id": %d, "add_qty": 2}}`, variant), lines...)
			require.Equal(t, http.StatusOK, r.Status)
			page := v.Get("/contactus")
			assert.Contains(t, page.CacheStatus(), "detail=session")
			assert.Equal(t, "2", cartCount.FindStringSubmatch(page.Body)[1])
		})
	}
}

// TestOdoo14Visitors: new visitors browse, fill carts and sign in at the same time,
// each request by one of two Traefiks. Nobody gets anything of another's.
func TestOdoo14Visitors(t *testing.T) {
	odoo := needOdoo14(t)
	server := stack.StartRedis(t)
	edges := []*Edge{odoo.Replica(t, server, nil), odoo.Replica(t, server, nil)}
	product, _, variant := odoo.oldProduct(t)
	var mu sync.Mutex
	owner := map[string]int{} // of session ids and visitors' names
	hits := 0
	var wg sync.WaitGroup
	slots := make(chan bool, 6)
	for n := 0; n < 60; n++ {
		wg.Add(1)
		go func(n int) {
			defer wg.Done()
			slots <- true
			defer func() { <-slots }()
			a, b := edges[0].Visitor(ShopHost, BrowserLanguage), edges[1].Visitor(ShopHost, BrowserLanguage)
			b.Client.Jar = a.Client.Jar
			turn := n
			send := func(method, path, body string, lines ...string) site.Reply {
				v := a
				if turn++; turn%2 == 0 {
					v = b
				}
				r, err := v.Send(method, path, body, append(lines, "Sec-Fetch-Site: same-origin")...)
				assert.NoError(t, err, "visitor %d: %s %s", n, method, path)
				mu.Lock()
				defer mu.Unlock()
				for _, name := range []string{"session_id", "visitor_uuid"} {
					if id := a.cookie(name); id != "" && (name == "session_id" || n%3 != 1) { // those who sign in are one visitor
						was, known := owner[id]
						assert.False(t, known && was != n, "%s of visitor %d was given to visitor %d by %s %s", name, was, n, method, path)
						owner[id] = n
					}
				}
				if strings.Contains(r.CacheStatus(), "; hit") {
					hits++
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
			form := func(path string, values url.Values) site.Reply {
				values.Set("csrf_token", site.TokenPlaceholder)
				return send(http.MethodPost, path, values.Encode(), "Content-Type: application/x-www-form-urlencoded")
			}
			for _, path := range []string{"/", "/shop", product, "/contactus"} {
				assert.Equal(t, "0", badge(path), "visitor %d has no cart, and sees one on %s", n, path)
			}
			switch n % 3 {
			case 0:
				quantity := strconv.Itoa(1 + n%7)
				r := form("/shop/cart/update", url.Values{"product_id": {strconv.Itoa(variant)}, "add_qty": {quantity}})
				assert.Less(t, r.Status, 400, "visitor %d: %s", n, r.CacheStatus())
				for _, path := range []string{"/shop", product, "/contactus"} {
					assert.Equal(t, quantity, badge(path), "visitor %d on %s", n, path)
				}
			case 1:
				r := form("/web/login", url.Values{"login": {"portal"}, "password": {"portal"}})
				assert.Equal(t, http.StatusSeeOther, r.Status, "visitor %d: %s", n, r.CacheStatus())
				for _, path := range []string{"/shop", "/contactus"} {
					assert.Contains(t, send(http.MethodGet, path, "").Body, signedIn14, "visitor %d is signed in, on %s", n, path)
				}
			default:
				for _, path := range []string{"/shop?page=2", "/blog", product} {
					assert.NotContains(t, send(http.MethodGet, path, "").Body, signedIn14, "visitor %d", n)
				}
			}
		}(n)
	}
	wg.Wait()
	assert.Greater(t, hits, 60*3)
	for _, path := range []string{"/", "/shop", product, "/contactus"} {
		r := edges[0].Visitor(ShopHost, BrowserLanguage).Get(path)
		assert.Contains(t, r.Body, nobody14, path)
		assert.Contains(t, r.Body, ` data-order-id=""`, path)
	}
}

// TestOdoo14VisitorCookie: Odoo 14 names a visitor by a cookie beside the session, and
// shows what they marked by it alone. That reaches nobody else.
func TestOdoo14VisitorCookie(t *testing.T) {
	odoo := needOdoo14(t)
	talk := odoo.oldPaths(t, `/event/design-fair-[^/]+-\d+/track/[^/]+-\d+`)[0]
	id, err := strconv.Atoi(talk[strings.LastIndex(talk, "-")+1:])
	require.NoError(t, err)
	marked := func(r site.Reply) bool {
		require.Contains(t, r.Body, "o_wetrack_js_reminder")
		return strings.Contains(r.Body, `data-reminder-on="True"`)
	}
	who := odoo.Visitor(t, ShopHost)
	who.Get("/contactus")
	result, _ := who.rpc("/event/track/toggle_reminder", site.Options{"track_id": id, "set_reminder_on": true})
	var answer struct {
		Name string `json:"visitor_uuid"`
	}
	require.NoError(t, json.Unmarshal(result, &answer))
	name := answer.Name
	if name == "" {
		name = who.cookie("visitor_uuid")
	}
	require.NotEmpty(t, name, "%s", result)

	fan := odoo.Visitor(t, ShopHost)
	fan.setCookie("visitor_uuid", name)
	require.True(t, marked(fan.Get(talk)), "Odoo goes by the cookie")

	e := odoo.Behind(t, nil)
	fan = e.Visitor(ShopHost, BrowserLanguage)
	fan.setCookie("visitor_uuid", name)
	assert.Contains(t, fan.Get(talk).CacheStatus(), "; stored")
	assert.Equal(t, name, fan.cookie("visitor_uuid"), "the visitor keeps it")
	other := e.Visitor(ShopHost, BrowserLanguage)
	r := other.Get(talk)
	assert.Contains(t, r.CacheStatus(), "; hit")
	assert.False(t, marked(r), "what another has marked")
	assert.Empty(t, other.cookie("visitor_uuid"))
}

// TestOdoo14Languages: a visitor of another language is sent to it, by 302, before and
// after the page is stored; a crawler is not.
func TestOdoo14Languages(t *testing.T) {
	odoo := needOdoo14(t)
	for name, more := range map[string]site.Options{
		"languages not known": {"languages": nil},
		"two languages":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			e := odoo.Behind(t, more)
			for i := 0; i < 2; i++ {
				english := e.Visitor(ShopHost, "Accept-Language: en-GB,en;q=0.8").Get("/shop")
				assert.Equal(t, http.StatusOK, english.Status)
				assert.Contains(t, english.Body, `<html lang="en-US"`)

				french := e.Visitor(ShopHost, "Accept-Language: fr-BE,fr;q=0.8")
				r := french.Get("/shop")
				assert.Equal(t, http.StatusFound, r.Status)
				assert.True(t, strings.HasSuffix(r.Header.Get("Location"), "/fr/shop"), r.Header.Get("Location"))
				assert.Contains(t, french.Get("/fr/shop").Body, `<html lang="fr-FR"`)
				assert.Equal(t, "fr_FR", french.cookie("frontend_lang"), "JSON routes go by it")

				r = e.Visitor(ShopHost, BrowserLanguage).Get("/fr_FR/shop")
				assert.Equal(t, http.StatusFound, r.Status)
				assert.NotContains(t, r.CacheStatus(), "; hit")

				chosen := e.Visitor(ShopHost, BrowserLanguage)
				chosen.setCookie("frontend_lang", "fr_FR")
				assert.Equal(t, http.StatusFound, chosen.Get("/blog").Status, "the cookie")
				first := e.Visitor(ShopHost, BrowserLanguage)
				first.Get("/fr/shop")
				assert.Equal(t, "fr_FR", first.cookie("frontend_lang"))

				crawler := e.Visitor(ShopHost, "Accept-Language: fr-FR", "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)").Get("/shop")
				assert.Equal(t, http.StatusOK, crawler.Status)
			}
			assert.Contains(t, e.Visitor(ShopHost, "Accept-Language: en-GB,en;q=0.8").Get("/shop").CacheStatus(), "; hit")
			assert.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get("/fr/shop").CacheStatus(), "; hit")
		})
	}
}

// TestOdoo14Files: bundles are attachments below /web/content in Odoo 14, and
// carry the session like everything else.
func TestOdoo14Files(t *testing.T) {
	odoo := needOdoo14(t)
	e := odoo.Behind(t, nil)
	home, shop := odoo.Visitor(t, ShopHost).Get("/").Body, odoo.Visitor(t, ShopHost).Get("/shop").Body
	var paths []string
	for _, bundle := range []string{`css`, `js`} {
		found := addresses(home, `/web/content/\d+-[0-9a-f]+/.*assets_.*\.`+bundle)
		require.NotEmpty(t, found)
		paths = append(paths, found...)
	}
	paths = append(paths, address(t, shop, `/web/image/product\.template/\d+/image_\d+/.*\?unique=.*`), address(t, home, `/web/image/website/\d+/logo.*`),
		"/web/static/lib/jquery/jquery.js", "/robots.txt")
	require.NotEmpty(t, odoo.Visitor(t, ShopHost).Get(paths[0]).Session(), "Odoo sends a session with a bundle")
	e.givesFiles(t, paths)

	t.Run("the tag of a bundle is Odoo's, without quotes", func(t *testing.T) {
		tag := e.Visitor(ShopHost).Get(paths[0]).Header.Get("ETag")
		require.NotEmpty(t, tag)
		for name, v := range map[string]*Visitor{"Odoo": odoo.Visitor(t, ShopHost), "the cache": e.Visitor(ShopHost)} {
			r := v.Get(paths[0], "If-None-Match: "+tag)
			assert.Equal(t, http.StatusNotModified, r.Status, name)
			assert.Equal(t, tag, r.Header.Get("ETag"), name)
		}
	})
	t.Run("a private file under the name of a bundle", func(t *testing.T) {
		admin := odoo.Visitor(t, ShopHost)
		admin.SignIn("admin")
		id := admin.create("ir.attachment", site.Options{"name": "secret.css", "datas": "c2VjcmV0", "mimetype": "text/css"})
		t.Cleanup(func() { admin.call("ir.attachment", "unlink", []interface{}{ids(id)}, nil) })
		path := fmt.Sprintf("/web/content/%d-1bfd234/1/web.assets_frontend.css", id)
		through := e.Visitor(ShopHost)
		through.SignIn("admin")
		for i := 0; i < 2; i++ {
			r := through.Get(path)
			require.Equal(t, "secret", r.Body)
			assert.NotContains(t, r.CacheStatus(), "; stored")
			assert.NotContains(t, e.Visitor(ShopHost).Get(path).Body, "secret")
		}
	})
}

// TestOdoo14Bus: the bus has a process of its own, and passes.
func TestOdoo14Bus(t *testing.T) {
	odoo := needOdoo14(t)
	_, r := odoo.Behind(t, nil).Visitor(ShopHost).rpc("/longpolling/poll", site.Options{"channels": []string{}, "last": 0, "options": site.Options{"peek": true}})
	assert.Contains(t, r.CacheStatus(), "fwd=method")
}
