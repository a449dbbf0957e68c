package behaviour_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// simulated answers as an Odoo of a version does, as far as its source says so: odoo/http.py,
// addons/http_routing and website (models/ir_http.py). Of 15 to 18 no real one runs in the
// tests of this repository.
type simulated struct {
	version int
	answer  http.HandlerFunc // of a path, once the session is known

	mu       sync.Mutex
	sessions map[string]string // what pages show of a session, "" for nothing
	next     int
}

// newID is an id as this version makes them: 40 hex digits until 17, 84 characters later.
func (o *simulated) newID() string {
	o.next++
	if o.version <= 17 {
		return fmt.Sprintf("%040x", o.next)
	}
	return fmt.Sprintf("%084d", o.next)
}

func (o *simulated) serve(rw http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := ""
	if c, err := r.Cookie("session_id"); err == nil {
		id = c.Value
	}
	if o.version <= 17 { // until June 2024
		if given := r.URL.Query().Get("session_id"); given != "" {
			id = given
		}
		if given := r.Header.Get("X-Openerp-Session-Id"); given != "" {
			id = given
		}
	}
	_, known := o.sessions[id]
	begins := id == ""
	if begins || o.version <= 15 && !known { // later ones keep an id that they do not know
		id = o.newID()
		o.sessions[id] = ""
		begins = true
	}
	line := "session_id=" + id + "; HttpOnly; Max-Age=604800; Path=/"
	if begins || o.version <= 15 { // 14 and 15 write it with each answer
		rw.Header().Add("Set-Cookie", line)
		if o.version == 16 || o.version == 17 { // a page of _serve_fallback passes post_dispatch twice
			rw.Header().Add("Set-Cookie", line)
		}
	}
	if r.Method == http.MethodPost && r.URL.Path == "/shop/cart/update_json" {
		o.sessions[id] = "cart"
	}
	rw.Header().Set("X-Shown", o.sessions[id])
	if o.answer != nil {
		o.answer(rw, r)
		return
	}
	site.Page(site.HTMLPage(r.URL.Path+" with "+o.sessions[id]), "Content-Type: "+site.HTMLText)(rw, r)
}

// eachVersion runs a test before a simulated Odoo of each of the versions.
func eachVersion(t *testing.T, versions []int, test func(t *testing.T, s *site.Site, o *simulated)) {
	t.Helper()
	for _, version := range versions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			storages(t, func(t *testing.T, load site.Loader, more site.Options) {
				o := &simulated{version: version, sessions: map[string]string{}}
				test(t, site.New(t, load, asPreset(more), o.serve), o)
			})
		})
	}
}

// withSession is a line of a request.
func withSession(id string) string { return "Cookie: session_id=" + id }

// TestVersionsUnknownSession: Odoo 14 and 15 give another id to whoever comes back with one
// that they have forgotten. It is a default session from then on, as one that begins.
func TestVersionsUnknownSession(t *testing.T) {
	eachVersion(t, []int{14, 15}, func(t *testing.T, s *site.Site, o *simulated) {
		s.Get("/shop")
		s.Get("/shop/desk-9")
		forgotten := strings.Repeat("ab", 20)
		first := s.Get("/shop", withSession(forgotten))
		id := first.Session()
		require.NotEmpty(t, id, first.CacheStatus())
		require.NotEqual(t, forgotten, id)
		assert.Contains(t, s.Get("/shop", withSession(id)).CacheStatus(), "; hit")
		assert.Contains(t, s.Get("/shop/desk-9", withSession(id)).CacheStatus(), "; hit")

		s.Do(http.MethodPost, "/shop/cart/update_json", "{}", withSession(id))
		assert.Contains(t, s.Get("/shop", withSession(id)).Body, "cart")
	})
}

// TestVersionsKnownSession: an id that Odoo changes for another reason says nothing of the
// new one. Evidence does, and is not looked for here.
func TestVersionsKnownSession(t *testing.T) {
	longer, shorter := site.SessionID(7), strings.Repeat("ab", 20)
	for name, c := range map[string]struct {
		old, new string
		special  bool // the old one has changed something
		path     string
	}{
		"a rotation by age, as in Odoo 19":    {old: longer, new: site.SessionID(8), path: "/shop"},
		"an id of the other shape":            {old: shorter, new: longer, path: "/shop"},
		"the old one had a cart":              {old: shorter, new: strings.Repeat("cd", 20), special: true, path: "/shop"},
		"an answer that leads elsewhere":      {old: shorter, new: strings.Repeat("cd", 20), path: "/about?to=/shop"},
		"a route that signs in":               {old: shorter, new: strings.Repeat("cd", 20), path: "/web/login"},
		"it came twice":                       {old: shorter + "; session_id=" + shorter, new: strings.Repeat("cd", 20), path: "/shop"},
		"the same one, as in each answer":     {old: shorter, new: shorter, path: "/shop"},
		"and another one, which nobody knows": {old: shorter, new: shorter + "\n" + strings.Repeat("cd", 20), path: "/shop"},
	} {
		t.Run(name, func(t *testing.T) {
			storages(t, func(t *testing.T, load site.Loader, more site.Options) {
				s := site.New(t, load, asPreset(site.Merge(site.Options{"limits": site.Options{"evidence": "0"}}, more)), func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/our-team" {
						rw.Header().Set("Set-Cookie", "session_id="+c.old)
					} else if r.Header.Get("Cookie") != "" {
						for _, id := range strings.Split(c.new, "\n") {
							rw.Header().Add("Set-Cookie", "session_id="+id+"; HttpOnly; Path=/")
						}
					}
					if to := r.URL.Query().Get("to"); to != "" {
						rw.Header().Set("Location", to)
						rw.WriteHeader(http.StatusSeeOther)
						return
					}
					site.Page(site.HTMLPage("x"), "Content-Type: "+site.HTMLText)(rw, r)
				})
				s.Get("/shop")
				if c.special {
					s.Get("/our-team", "Range: bytes=0-9999")
					require.Contains(t, s.Get("/shop", withSession(c.old)).CacheStatus(), "; hit")
					s.Do(http.MethodPost, "/shop/cart/update_json", "{}", withSession(c.old))
				}
				s.Get(c.path, withSession(c.old))
				for _, id := range strings.Split(c.new, "\n") {
					assert.NotContains(t, s.Get("/shop", withSession(id)).CacheStatus(), "; hit")
				}
			})
		})
	}
}

// TestVersionsSessionTwice: Odoo 16 and 17 write the cookie of a new session twice into pages
// that are no route's (http_routing's _serve_fallback). It is one session.
func TestVersionsSessionTwice(t *testing.T) {
	eachVersion(t, []int{14, 15, 16, 17, 18, 19}, func(t *testing.T, s *site.Site, o *simulated) {
		s.Get("/shop")
		first := s.Get("/our-team", "Range: bytes=0-9999") // which a visitor asks for themselves
		id := first.Session()
		require.NotEmpty(t, id)
		if o.version == 16 || o.version == 17 {
			require.Len(t, first.Header["Set-Cookie"], 2)
		}
		assert.Contains(t, s.Get("/shop", withSession(id)).CacheStatus(), "; hit")
		s.Do(http.MethodPost, "/shop/cart/update_json", "{}", withSession(id))
		assert.Contains(t, s.Get("/shop", withSession(id)).Body, "cart")
	})
}

// TestVersionsRedirects: Odoo's own pages that lead to another page of their module change
// nothing of the session, whoever asks: /event/<event> (website_event), /blog and /forum with
// one blog or forum, / where the first entry of the menu is the home page.
func TestVersionsRedirects(t *testing.T) {
	for from, to := range map[string]string{
		"/event/fair-3": "/event/fair-3/register", "/fr/event/fair-3": "/fr/event/fair-3/register", "/blog": "/blog/travel-1", "/forum": "/forum/help-1",
		"/": "/our-team", "/fr": "/fr/shop", "/forum?utm_source=letter": "/forum/help-1", "/event/fair-4": "http://shop.example/event/fair-4/page/program",
	} {
		t.Run(from, func(t *testing.T) {
			eachVersion(t, []int{15, 18}, func(t *testing.T, s *site.Site, o *simulated) {
				o.answer = func(rw http.ResponseWriter, r *http.Request) {
					if path, _, _ := strings.Cut(from, "?"); r.URL.Path == path {
						rw.Header().Set("Location", to)
						rw.WriteHeader(http.StatusSeeOther)
						return
					}
					site.Page(site.HTMLPage("x"), "Content-Type: "+site.HTMLText)(rw, r)
				}
				const host, language = "Host: shop.example", "Cookie: frontend_lang=en_US"
				s.Get("/shop", host)
				id := s.Get("/our-team", host, "Range: bytes=0-9999").Session()
				mine := language + "; session_id=" + id
				require.Contains(t, s.Get("/shop", host, mine).CacheStatus(), "; hit")
				for _, more := range []string{"Accept: text/html", "Range: bytes=0-9999"} { // as nobody, and by themselves
					got := s.Get(from, host, mine, more)
					require.Equal(t, http.StatusSeeOther, got.Status)
					assert.Equal(t, to, got.Header.Get("Location"))
					assert.Contains(t, s.Get("/shop", host, mine).CacheStatus(), "; hit", more)
				}
				landed := s.Get(from, host, language, "Range: bytes=0-9999").Session()
				require.NotEmpty(t, landed)
				assert.Contains(t, s.Get("/shop", host, language+"; session_id="+landed).CacheStatus(), "; hit", "who lands there")
			})
		})
	}
	t.Run("not another's", func(t *testing.T) {
		eachVersion(t, []int{18}, func(t *testing.T, s *site.Site, o *simulated) {
			o.answer = func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/region" {
					rw.Header().Set("Location", "/events")
					rw.WriteHeader(http.StatusSeeOther)
					return
				}
				site.Page(site.HTMLPage("x"), "Content-Type: "+site.HTMLText)(rw, r)
			}
			s.Get("/events")
			id := s.Get("/our-team", "Range: bytes=0-9999").Session()
			require.Contains(t, s.Get("/events", withSession(id)).CacheStatus(), "; hit")
			s.Get("/region", withSession(id), "Range: bytes=0-9999")
			assert.NotContains(t, s.Get("/events", withSession(id)).CacheStatus(), "; hit")
		})
	})
}

// TestVersionsHomeIsGiven: where the home page is the first entry of the menu, nobody's answer
// is everybody's.
func TestVersionsHomeIsGiven(t *testing.T) {
	eachVersion(t, []int{15, 18}, func(t *testing.T, s *site.Site, o *simulated) {
		o.answer = func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", "/our-team")
			rw.WriteHeader(http.StatusFound)
		}
		assert.Equal(t, "/our-team", s.Get("/", "Cookie: mine=1").Header.Get("Location"))
		assert.Equal(t, 1, s.Renders())
		assert.NotContains(t, s.Request().Header.Get("Cookie"), "mine")
	})
}

// TestVersionsFilters: the filters of /shop stay in the session in Odoo 19 alone
// (website_sale/controllers/main.py, shop): under the names of 14 to 18 they change nothing.
func TestVersionsFilters(t *testing.T) {
	eachVersion(t, []int{15, 18, 19}, func(t *testing.T, s *site.Site, o *simulated) {
		s.Get("/shop")
		id := s.Get("/our-team", "Range: bytes=0-9999").Session()
		for _, query := range []string{"attrib=1-2", "attribute_value=1-2", "attrib=1-2&attrib=1-3"} {
			s.Get("/shop?"+query, withSession(id), "Range: bytes=0-9999")
			assert.Contains(t, s.Get("/shop", withSession(id)).CacheStatus(), "; hit", query)
		}
		s.Get("/shop?attribute_values=1-2", withSession(id), "Range: bytes=0-9999")
		assert.NotContains(t, s.Get("/shop", withSession(id)).CacheStatus(), "; hit")
	})
}

// TestVersionsOtherSession: until early Odoo 17 a parameter or a field of the request names
// another session (odoo/http.py). What it shows is not stored, and it is special from then on.
func TestVersionsOtherSession(t *testing.T) {
	eachVersion(t, []int{14, 15, 16, 17}, func(t *testing.T, s *site.Site, o *simulated) {
		s.Get("/shop")
		id := s.Get("/our-team", "Range: bytes=0-9999").Session()
		require.Contains(t, s.Get("/shop", withSession(id)).CacheStatus(), "; hit")
		o.mu.Lock()
		o.sessions[strings.Repeat("ef", 20)] = "secret"
		o.mu.Unlock()
		for _, c := range []struct{ path, line string }{
			{"/contactus?session_id=" + strings.Repeat("ef", 20), "X: y"}, {"/contactus?%73ession_id=" + strings.Repeat("ef", 20), "X: y"},
			{"/contactus", "X-Openerp-Session-Id: " + strings.Repeat("ef", 20)}, {"/contactus", "X_Openerp_Session_Id: " + strings.Repeat("ef", 20)},
		} {
			assert.NotContains(t, s.Get(c.path, c.line).CacheStatus(), "; stored", c.path+c.line)
			for _, path := range []string{"/contactus", c.path} {
				assert.Equal(t, path != "/contactus", strings.Contains(s.Get(path).Body, "secret"), c.path+c.line)
			}
		}
		s.Get("/shop?session_id="+id+"&debug=1", "Cookie: x=y")
		assert.NotContains(t, s.Get("/shop", withSession(id)).CacheStatus(), "; hit", "it was named")
	})
}

// TestVersionsFiles: what a signed-in visitor gets of a file is not for others, whatever its
// address looks like and its answer calls itself.
func TestVersionsFiles(t *testing.T) {
	for _, c := range []struct {
		name, path string
		mine       string // Cache-Control for whom may see it
	}{
		// Odoo 15: addons/web/controllers/main.py, Binary.content_assets; 16: binary.py. A number
		// is that of any attachment.
		{"15, an attachment as a bundle", "/web/assets/7-abcdef0/invoice.pdf", "max-age=31536000"},
		{"15, with the words of a bundle", "/web/assets/7-abcdef0/web.assets_frontend.min.css", "max-age=31536000"},
		{"15, with more in its address", "/web/assets/7-abcdef0/rtl/web.assets_frontend.min.css", "max-age=31536000"},
		{"16, of a website", "/web/assets/7-abcdef0/1/web.assets_frontend.min.js", "public, max-age=31536000, immutable"},
		{"16, without a hash", "/web/assets/1234567/web.assets_frontend.min.js", "public, max-age=31536000, immutable"},
		// Odoo 16 and early 17: odoo/http.py, Stream.get_response, calls all with a hash public.
		{"16, an image of a partner", "/web/image/res.partner/77/avatar_128?unique=1a2b3c4", "public, max-age=31536000, immutable"},
		{"16, an attachment", "/web/image/7-aaaaaa/x", "public, max-age=31536000, immutable"},
		{"16, an image of a product that is not published", "/web/image/product.template/9/image_512?unique=1a2b3c4", "public, max-age=31536000, immutable"},
		{"16, content", "/web/content/7-abcdef0/web.assets_frontend.min.css", "public, max-age=31536000, immutable"},
		{"16, menus by user", "/web/webclient/load_menus/1a2b3c4", "public, max-age=31536000"},
		// Late Odoo 17 and 18 say private of what is not public.
		{"18, an attachment", "/web/image/7-aaaaaa/x", "private, max-age=31536000, immutable"},
		{"18, an image", "/web/image/product.template/9/image_512?unique=1a2b3c4", "private, max-age=31536000, immutable"},
		// Odoo 15 says only that an image is to be checked each time.
		{"15, an image of a record", "/web/image/res.users/2/image_128", "max-age=0"},
		{"15, an attachment by its number", "/web/image/7", "max-age=0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := site.New(t, load, asPreset(nil), func(rw http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.Header.Get("Cookie"), site.SessionID(7)) {
						site.Page("secret", "Cache-Control: "+c.mine, "Content-Type: text/css")(rw, r)
						return
					}
					site.Page("placeholder", "Cache-Control: "+c.mine, "Content-Type: text/css")(rw, r)
				})
				for i := 0; i < 3; i++ {
					assert.Equal(t, "secret", s.Get(c.path, withSession(site.SessionID(7))).Body)
					assert.Equal(t, "placeholder", s.Get(c.path).Body)
				}
			})
		})
	}
}

// TestVersionsRecordImages: the images of models that pages do not show go past the cache,
// also where Odoo 15 gives them a lifetime of nothing and no more words.
func TestVersionsRecordImages(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asPreset(nil), site.Page("x", "Cache-Control: max-age=0", "Content-Type: image/png"))
		for _, path := range []string{"/web/image/res.partner/7/avatar_128", "/web/image/res.users/2/image_128", "/web/image/hr.employee/7/image_128/100x100", "/website/image/res.partner/7/image_512"} {
			for i := 0; i < 2; i++ {
				assert.Contains(t, s.Get(path).CacheStatus(), "fwd=bypass", path)
			}
		}
		s.Get("/web/image/product.template/9/image_512")
		assert.Contains(t, s.Get("/web/image/product.template/9/image_512").CacheStatus(), "; hit")
	})
}

// TestVersionsPages: what is in each version's pages of everybody does not keep them from the
// cache, and what is in one visitor's does.
func TestVersionsPages(t *testing.T) {
	for _, c := range []struct {
		versions string
		page     string
		stored   bool
	}{
		// addons/web/models/ir_http.py, website/models/ir_http.py: get_frontend_session_info.
		{"15, 16", infoPage(`"is_admin": false, "is_system": false, "is_website_user": true, "user_id": false, "is_frontend": true`, ""), true},
		{"17", infoPage(`"is_admin": false, "is_public": true, "is_website_user": true, "user_id": false`, ""), true},
		{"18", infoPage(`"is_admin": false, "is_public": true, "is_internal_user": false, "uid": null`, ""), true},
		{"15, 16, signed in", infoPage(`"is_admin": false, "is_website_user": false, "user_id": 7`, ""), false},
		{"18, signed in", infoPage(`"is_admin": false, "is_public": false, "uid": 7`, ""), false},
		// website_sale/views/templates.xml: the link to the cart.
		{"15 to 18, no cart", site.HTMLPage(`<a href="/shop/cart" data-order-id=""><sup>0</sup></a>`), true},
		{"15 to 18, a cart", site.HTMLPage(`<a href="/shop/cart" data-order-id="12"><sup>3</sup></a>`), false},
		// website_livechat/models/website.py: a chat that an operator has begun.
		{"15 to 17, a chat", site.HTMLPage(`<script>{"isAvailable": true, "options": {"chat_request_session": {"folded": false}}}</script>`), false},
		{"18, a chat", site.HTMLPage(`<script>{"isAvailable": true, "options": {"force_thread": {"id": 5, "model": "discuss.channel"}}}</script>`), false},
		{"15 to 18, an operator is there", site.HTMLPage(`<script>{"isAvailable": true, "serverUrl": "http://shop.example", "options": {"header_background_color": "#875A7B"}}</script>`), true},
		// website/views/website_templates.xml, without and with a database of countries.
		{"15 to 18, no database", infoPage(`"geoip_country_code": null`, ""), true},
		{"15 to 18, a country", infoPage(`"geoip_country_code": "BE"`, ""), false},
	} {
		t.Run(c.versions, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := site.New(t, load, asPreset(nil), site.Page(c.page, "Content-Type: "+site.HTMLText))
				s.Get("/shop")
				got := s.Get("/shop").CacheStatus()
				assert.Equal(t, c.stored, strings.Contains(got, "; hit"), got)
			})
		})
	}
}

// TestVersionsCookies: what the versions set on a page of everybody does not keep it from the
// cache; a chat that waits (17 and 18: dgid) does.
func TestVersionsCookies(t *testing.T) {
	for _, c := range []struct {
		versions, line string
		stored         bool
	}{
		{"15", "visitor_uuid=0123456789abcdef0123456789abcdef; Path=/", true},
		{"15 to 18", "frontend_lang=en_US; Path=/", true},
		{"15 to 18", "session_id=0123456789abcdef0123456789abcdef01234567; Path=/", true},
		{"17, 18", "dgid=5|abc; Path=/", false},
	} {
		t.Run(c.versions+" "+c.line[:4], func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := site.New(t, load, asPreset(nil), site.Page(site.HTMLPage("x"), "Content-Type: "+site.HTMLText, "Set-Cookie: "+c.line))
				s.Get("/shop")
				got := s.Get("/shop")
				assert.Equal(t, c.stored, strings.Contains(got.CacheStatus(), "; hit"), got.CacheStatus())
				for _, line := range got.Header["Set-Cookie"] {
					assert.True(t, !c.stored || strings.HasPrefix(line, "frontend_lang="), line)
				}
			})
		})
	}
}

// TestVersionsTokens: all tokens of a page are taken out, in the script and in the tens of forms
// that the list of products has in Odoo 17 and 18; a list without a limit has a year.
func TestVersionsTokens(t *testing.T) {
	token := strings.Repeat("0a", 20) + "o1798761600"
	page := `<script>var odoo = {csrf_token: "` + token + `", debug: ""};</script>` + strings.Repeat(`<form><input type="hidden" name="csrf_token" value="`+token+`"/></form>`, 60)
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asPreset(nil), site.Page(site.HTMLPage(page), "Content-Type: "+site.HTMLText))
		s.Get("/shop")
		got := s.Get("/shop")
		require.Contains(t, got.CacheStatus(), "; hit")
		assert.NotContains(t, got.Body, token)
		assert.Equal(t, 61, strings.Count(got.Body, site.TokenPlaceholder))
	})
}

// TestVersionsRobots: Odoo 15 and 16 send a visitor of another language to /fr/robots.txt, which
// is the same. Whoever asks gets the text; a redirect is not stored.
func TestVersionsRobots(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asPreset(nil), func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.Header.Get("Accept-Language"), "fr") {
				rw.Header().Set("Location", "/fr/robots.txt")
				rw.WriteHeader(http.StatusSeeOther)
				return
			}
			site.Page("User-agent: *", "Content-Type: text/plain")(rw, r)
		})
		for i := 0; i < 3; i++ {
			for _, language := range []string{"fr-BE,fr;q=0.8", "en-US"} {
				got := s.Get("/robots.txt", "Accept-Language: "+language)
				assert.Equal(t, "User-agent: *", got.Body, language)
			}
		}
		assert.Equal(t, 1, s.Renders())
	})
}
