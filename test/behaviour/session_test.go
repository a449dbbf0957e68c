package behaviour_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// odooLike answers as Odoo does: to whoever brings no session, it gives one.
// Its pages show what a POST to /change has put into a session.
type odooLike struct {
	next     int
	sessions map[string]string // what was put into it
}

func (o *odooLike) serve(rw http.ResponseWriter, r *http.Request) {
	id := ""
	if c, err := r.Cookie("session_id"); err == nil {
		id = c.Value
	}
	if given := r.Header.Get("X-Openerp-Session-Id"); given != "" {
		id = given
	}
	if id == "" {
		o.next++
		id = site.SessionID(o.next)
		rw.Header().Add("Set-Cookie", "session_id="+id+"; HttpOnly; Path=/")
	}
	if r.Method == http.MethodPost && r.URL.Path == "/change" || r.URL.Path == "/pricelist" {
		o.sessions[id] = "special of " + id
	}
	if r.URL.Path == "/choose" {
		o.sessions[id] = "special of " + id
	}
	if to := r.URL.Query().Get("to"); to != "" {
		rw.Header().Set("Location", to)
		rw.WriteHeader(http.StatusSeeOther)
		return
	}
	lines := []string{"Content-Type: text/html"}
	if strings.HasSuffix(r.URL.Path, "/uncached") {
		lines = append(lines, "Cache-Control: no-store")
	}
	site.Page(o.sessions[id]+" "+r.URL.Path, lines...)(rw, r)
}

// sessionRules are rules like those of the preset.
var sessionRules = site.Options{"rules": []site.Options{
	{"name": "harmless", "match": site.Options{"pathPrefixes": []string{"/seen"}}, "bypass": "true", "session": "keep"},
	{"name": "pricelist", "match": site.Options{"pathPrefixes": []string{"/pricelist"}}, "bypass": "true"},
	{"name": "filter", "match": site.Options{"pathPrefixes": []string{"/filter"}}, "ttl": "60", "fill": "nobody", "session": "mark", "cookies": site.Options{"drop": []string{"session_id"}}},
	{"name": "pages", "match": site.Options{"methods": []string{"GET"}}, "ttl": "60", "fill": "nobody", "cookies": site.Options{"drop": []string{"session_id"}}},
}}

func newOdooLike(t *testing.T, load site.Loader, more site.Options) (*site.Site, *odooLike) {
	t.Helper()
	odoo := &odooLike{sessions: map[string]string{}}
	o := site.Options{}
	for name, value := range sessionRules {
		o[name] = value
	}
	for name, value := range more {
		o[name] = value
	}
	return site.New(t, load, o, odoo.serve), odoo
}

// storages runs a test with sessions in memory and, where there is a
// redis-server, in Redis.
func storages(t *testing.T, test func(t *testing.T, load site.Loader, o site.Options)) {
	t.Helper()
	site.Both(t, func(t *testing.T, load site.Loader) {
		t.Run("memory", func(t *testing.T) { test(t, load, nil) })
		t.Run("redis", func(t *testing.T) {
			test(t, load, site.Options{"redis": site.Options{"address": "unix://" + redisSocket(t), "timeout": "5s", "dialTimeout": "5s"}})
		})
	})
}

// TestSessionsFromBirth: what becomes of a session that Odoo was seen to begin.
func TestSessionsFromBirth(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		for _, c := range []struct {
			name string
			do   func(s *site.Site, cookie string)
			hit  bool
		}{
			{"nothing", func(*site.Site, string) {}, true},
			{"pages", func(s *site.Site, cookie string) { s.Get("/a", cookie); s.Get("/other", cookie) }, true},
			{"a page that is not stored", func(s *site.Site, cookie string) { s.Get("/uncached", cookie) }, true},
			{"a harmless POST", func(s *site.Site, cookie string) { s.Do(http.MethodPost, "/seen", "x", cookie) }, true},
			{"a POST", func(s *site.Site, cookie string) { s.Do(http.MethodPost, "/change", "x", cookie) }, false},
			{"a POST for a stream", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/change", "x", cookie, "Accept: text/event-stream")
			}, false},
			{"a DELETE", func(s *site.Site, cookie string) { s.Do(http.MethodDelete, "/z", "", cookie) }, false},
			{"a GET that a rule keeps from the cache", func(s *site.Site, cookie string) { s.Get("/pricelist", cookie) }, false},
			{"a page that a rule marks, asked for without the session", func(s *site.Site, cookie string) { s.Get("/filter", cookie) }, true},
			{"a page that a rule marks and that is not stored", func(s *site.Site, cookie string) { s.Get("/filter/uncached", cookie) }, false},
			{"a page that is not stored, twice", func(s *site.Site, cookie string) { s.Get("/uncached", cookie); s.Get("/uncached", cookie) }, true},
			{"a page that sends elsewhere", func(s *site.Site, cookie string) { s.Get("/choose?to=/a", cookie) }, false},
			{"a page that sends to a language", func(s *site.Site, cookie string) { s.Get("/a/?to=/fr_FR/a", cookie) }, true},
			{"a page that sends to its own address", func(s *site.Site, cookie string) { s.Get("/fr/a?to=http://shop.example/fr/a/", cookie) }, true},
			{"a HEAD of it", func(s *site.Site, cookie string) { s.Do(http.MethodHead, "/pricelist", "", cookie) }, false},
			{"a POST with two sessions", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/change", "x", cookie+"; session_id="+site.SessionID(77))
			}, false},
			{"a POST with the session in quotes", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/change", "x", strings.Replace(cookie, "=", `="`, 1)+`"`)
			}, false},
			{"a POST with the session in Odoo 14's header", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/change", "x", "X-Openerp-Session-Id: "+strings.TrimPrefix(cookie, "Cookie: session_id="))
			}, false},
			{"a POST with the session in Odoo 14's parameter", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/change?session_id="+strings.TrimPrefix(cookie, "Cookie: session_id="), "x")
			}, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				s, _ := newOdooLike(t, load, o)
				first := s.Get("/a")
				require.Contains(t, first.CacheStatus(), "stored")
				assert.Empty(t, first.Session(), "a session that is not needed yet")

				id := s.Do(http.MethodPost, "/seen", "x").Session()
				require.NotEmpty(t, id)
				cookie := "Cookie: session_id=" + id
				require.Contains(t, s.Get("/a", cookie).CacheStatus(), "hit")
				c.do(s, cookie)
				got := s.Get("/a", cookie)
				if c.hit {
					assert.Contains(t, got.CacheStatus(), "hit")
				} else {
					assert.Equal(t, "odoocache; fwd=request; detail=session", got.CacheStatus())
				}
				assert.Equal(t, " /a", s.Get("/a").Body, "what others get")
			})
		}
	})
}

// TestSessionsOfUnknownBirth: a session that was not seen to begin, or not in
// an answer to a harmless request, bypasses.
func TestSessionsOfUnknownBirth(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, _ := newOdooLike(t, load, o)
		s.Get("/a")
		for name, id := range map[string]string{
			"never seen":                  site.SessionID(1234),
			"of another shape":            "abc",
			"begun by a POST":             s.Do(http.MethodPost, "/change", "x").Session(),
			"begun by a rule's bypass":    s.Get("/pricelist").Session(),
			"begun with a sign-in header": s.Get("/uncached", "Authorization: Basic eDp5").Session(),
			"begun by a turn":             s.Get("/choose?to=/a").Session(),
			"begun beside another":        s.Get("/uncached", "Cookie: session_id=").Session(),
		} {
			if name != "begun beside another" {
				require.NotEmpty(t, id, name)
			}
			assert.Equal(t, "odoocache; fwd=request; detail=session", s.Get("/a", "Cookie: session_id="+id).CacheStatus(), name)
		}
		id := s.Get("/uncached").Session()
		assert.Contains(t, s.Get("/a", "Cookie: session_id="+id).CacheStatus(), "hit", "begun by a page")
		assert.Contains(t, s.Get("/a", "Cookie: session_id="+id+"; session_id="+id).CacheStatus(), "detail=session", "given twice")
	})
}

// TestASpecialSessionFillsNothing: its pages reach nobody else.
func TestASpecialSessionFillsNothing(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, odoo := newOdooLike(t, load, o)
		id := s.Do(http.MethodPost, "/seen", "x").Session()
		cookie := "Cookie: session_id=" + id
		s.Do(http.MethodPost, "/change", "x", cookie)
		require.Len(t, odoo.sessions, 1)
		got := s.Get("/b", cookie)
		assert.Equal(t, "special of "+id+" /b", got.Body)
		assert.Contains(t, got.CacheStatus(), "detail=session")
		assert.Equal(t, " /b", s.Get("/b").Body)
		assert.Equal(t, "special of "+id+" /b", s.Get("/b", cookie).Body)
	})
}

// TestADefaultSessionFills: its pages are everybody's, since the origin is asked
// without it. What is not stored, the visitor gets with the session.
func TestADefaultSessionFills(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, _ := newOdooLike(t, load, o)
		id := s.Do(http.MethodPost, "/seen", "x").Session()
		assert.Contains(t, s.Get("/c", "Cookie: session_id="+id).CacheStatus(), "stored")
		_, err := s.Request().Cookie("session_id")
		assert.ErrorIs(t, err, http.ErrNoCookie, "the origin does not learn of it")
		got := s.Get("/c")
		assert.Contains(t, got.CacheStatus(), "hit")
		assert.Empty(t, got.Header["Set-Cookie"])

		before := s.Renders()
		for i := 0; i < 3; i++ {
			got = s.Get("/uncached", "Cookie: session_id="+id)
			assert.Contains(t, got.CacheStatus(), "detail=no-store")
			assert.Empty(t, got.Session(), "the visitor keeps theirs")
			c, err := s.Request().Cookie("session_id")
			require.NoError(t, err)
			assert.Equal(t, id, c.Value)
		}
		assert.Equal(t, before+4, s.Renders(), "one try without it")
	})
}

// TestContexts: what the addon's cookie and header make of a page.
func TestContexts(t *testing.T) {
	const context = "0123456789abcdef"
	site.Both(t, func(t *testing.T, load site.Loader) {
		said := "0"
		s := site.New(t, load, sessionRules, func(rw http.ResponseWriter, r *http.Request) {
			if said != "" {
				rw.Header().Set("X-Odoo-Cache-Context", said)
			}
			site.Page("for "+said)(rw, r)
		})
		session := "; session_id=" + site.SessionID(5)
		for _, step := range []struct{ path, cookie, said, want, body string }{
			{"/a", "a=b" + session, "0", "fwd=uri-miss; detail=session", "for 0"},
			{"/a", "a=b" + session, "0", "fwd=uri-miss; stored", "for 0"}, // Odoo has said that the session is a default one
			{"/a", "odoocache_context=0" + session, "x", "hit", "for 0"},
			{"/a", "a=b", "x", "hit", "for 0"},
			{"/a", "odoocache_context=" + context + session, "0", "fwd=uri-miss; detail=context", "for 0"},
			{"/a", "odoocache_context=" + context, "0", "fwd=uri-miss; detail=context", "for 0"},
			{"/c", "odoocache_context=" + context + session, "", "fwd=uri-miss; detail=context", "for "},
			{"/d", "odoocache_context=" + context, "", "fwd=uri-miss; detail=context", "for "},
			{"/e", "odoocache_context=" + context + session, context, "fwd=uri-miss; stored", "for " + context},
			{"/e", "odoocache_context=" + context + session, "x", "hit", "for " + context},
			{"/e", "odoocache_context=" + context, "x", "hit", "for " + context},
			{"/a", "a=b", "x", "hit", "for 0"},
			{"/a", "odoocache_context=private" + session, "private", "fwd=bypass; detail=context", "for private"},
			{"/a", "odoocache_context=0; odoocache_context=" + context, "private", "fwd=bypass; detail=context", "for private"},
			{"/a", "odoocache_context=../../x", "0", "fwd=bypass; detail=context", "for 0"},
			{"/b", "a=b", "private", "fwd=uri-miss; detail=context", "for private"},
			{"/f", "a=b", context, "fwd=uri-miss; detail=context", "for " + context},
			{"/g", "odoocache_context=0" + session, "", "fwd=uri-miss; stored", "for "},
		} {
			said = step.said
			got := s.Get(step.path, "Cookie: "+step.cookie)
			assert.Contains(t, got.CacheStatus(), step.want, "%+v", step)
			assert.Equal(t, step.body, got.Body, "%+v", step)
			assert.Empty(t, got.Header["X-Odoo-Cache-Context"])
		}
	})
}

// TestTheEdgeAnnouncesItself: the origin hears it from the cache alone.
func TestTheEdgeAnnouncesItself(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for secret, want := range map[string]string{
			"":                 "odoocache",
			"change-me-please": "",
		} {
			o := site.Options{}
			if secret != "" {
				o["purge"] = site.Options{"secret": secret}
				want = site.EdgeToken(secret)
			}
			s := site.New(t, load, o, site.Page("x"))
			s.Get("/", "X-Odoo-Cache-Edge: mine")
			assert.Equal(t, []string{want}, s.Request().Header["X-Odoo-Cache-Edge"])
			s.Do(http.MethodPost, "/", "x")
			assert.Equal(t, []string{want}, s.Request().Header["X-Odoo-Cache-Edge"])
		}
	})
}

// TestCampaignCookies: Odoo would set them, had it seen the parameters.
func TestCampaignCookies(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		bar := ""
		o := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "query": site.Options{"ignore": []string{"utm_*", "gclid"}}}}}
		s := site.New(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			assert.Empty(t, r.URL.RawQuery)
			site.Page("<html>"+bar)(rw, r)
		})
		for _, c := range []struct {
			path, cookie string
			want         []string
		}{
			{"/a?utm_source=x", "a=b", []string{"odoo_utm_source=x; Domain=127.0.0.1; Max-Age=2678400; Path=/"}},
			{"/a?utm_source=x&utm_campaign=news+letter&utm_medium=%C3%A9%22", "a=b", []string{
				`odoo_utm_campaign="news letter"; Domain=127.0.0.1; Max-Age=2678400; Path=/`,
				"odoo_utm_source=x; Domain=127.0.0.1; Max-Age=2678400; Path=/",
				`odoo_utm_medium="\303\251\""; Domain=127.0.0.1; Max-Age=2678400; Path=/`,
			}},
			{"/a?utm_source=x", "odoo_utm_source=x", nil},
			{"/a?gclid=x", "a=b", nil},
			{"/a?utm_term=x", "a=b", nil},
			{"/a?utm_source=" + strings.Repeat("x", 300), "a=b", nil},
			{"/a", "a=b", nil},
			{"/b?utm_source=x", "a=b", nil},
			{"/b?utm_source=x", `website_cookies_bar={"required": true, "optional": false}`, nil},
			{"/b?utm_source=x", `website_cookies_bar={"required": true, "optional": true}`, []string{"odoo_utm_source=x; Domain=127.0.0.1; Max-Age=2678400; Path=/"}},
			{"/b?utm_source=x", `website_cookies_bar=%7B%22required%22%3A%20true%2C%20%22optional%22%3A%20true%7D`, []string{"odoo_utm_source=x; Domain=127.0.0.1; Max-Age=2678400; Path=/"}},
		} {
			bar = ""
			if strings.HasPrefix(c.path, "/b") {
				bar = `<div id="website_cookies_bar" class="s_popup">`
			}
			for i := 0; i < 2; i++ { // first perhaps a miss, then a hit
				got := s.Get(c.path, "Cookie: "+c.cookie)
				assert.Equal(t, c.want, got.Header["Set-Cookie"], "%s %s %s", c.path, c.cookie, got.CacheStatus())
			}
		}
		assert.Equal(t, 2, s.Renders())
	})
}

// TestTheLanguageCookieIsSetAgain: also where the visitor who filled the cache
// had it already, so that Odoo did not set it.
func TestTheLanguageCookieIsSetAgain(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		o := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "cookies": site.Options{"keep": []string{"frontend_lang"}}}}}
		s := site.New(t, load, o, site.Page("x"))
		s.Get("/fr/a", "Cookie: frontend_lang=fr_FR")
		assert.Equal(t, []string{"frontend_lang=fr_FR; Max-Age=31536000; Path=/"}, s.Get("/fr/a").Header["Set-Cookie"])
		s.Get("/fr/b", "Cookie: frontend_lang=<x>")
		assert.Empty(t, s.Get("/fr/b").Header["Set-Cookie"])
		s.Get("/fr/c")
		assert.Empty(t, s.Get("/fr/c").Header["Set-Cookie"])
	})
}

// redisSocket starts a redis-server for a test and returns its socket.
func redisSocket(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on the PATH")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return socket
}

// TestExchangesOfAHit counts those with Redis: none for a coherent hit from memory, one for a
// hit from Redis, whatever tags the page has, and though it varies, or is found for the
// first time.
func TestExchangesOfAHit(t *testing.T) {
	server := stack.StartServer(t, "--appendonly", "no")
	list := make([]string, 200)
	for i := range list {
		list[i] = fmt.Sprint("product-", i)
	}
	origin := func(rw http.ResponseWriter, r *http.Request) {
		lines := []string{"Cache-Control: public, max-age=600", "Surrogate-Key: product-1"}
		switch r.URL.Path {
		case "/tags":
			lines[1] = "Surrogate-Key: " + strings.Join(list, " ")
		case "/varies":
			lines = append(lines, "Vary: X-Currency")
		}
		site.Page("text of "+r.URL.Path, lines...)(rw, r)
	}
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, memory := range []string{"0", "1MiB"} {
			redis := site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}
			o := site.Options{"tenant": fmt.Sprint("exchanges", site.Tenants.Add(1)), "redis": redis, "memory": site.Options{"bytes": memory, "maxStaleness": "60s"}}
			handler := func() http.Handler {
				h, err := load(context.Background(), http.HandlerFunc(origin), o)
				require.NoError(t, err)
				return h
			}
			// exchanges of one request that is to be a hit
			exchanges := func(h http.Handler, path string) int {
				before := server.Calls("echo")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				require.Contains(t, w.Header().Get("Cache-Status"), "; hit", path)
				return server.Calls("echo") - before
			}
			writer := handler()
			for _, path := range []string{"/tag", "/tags", "/varies"} {
				writer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
			}
			// Another configuration of memory has a tier of its own, as another process has.
			o["memory"] = site.Options{"bytes": memory, "maxStaleness": "59s"}
			reader := handler()
			reader.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/first", nil)) // connects
			for path, first := range map[string]int{"/tag": 1, "/tags": 1, "/varies": 2} {
				assert.Equal(t, first, exchanges(reader, path), "first hit of %s, memory %s", path, memory)
				for i := 0; i < 10; i++ {
					want := 0
					if memory == "0" {
						want = 1
					}
					assert.Equal(t, want, exchanges(reader, path), "hit of %s, memory %s", path, memory)
				}
			}
		}
	})
}

// TestSessionHitAsksNothing: a hit of a visitor with a default session takes no exchange with
// Redis, and without a memory tier the one that brings the page. None is a hit once the session
// is special: at once where it was marked, within memory.maxStaleness elsewhere.
func TestSessionHitAsksNothing(t *testing.T) {
	server := stack.StartServer(t, "--appendonly", "no")
	exchanges := func() int { return server.Calls("echo") } // each ends with one
	site.Both(t, func(t *testing.T, load site.Loader) {
		for memory, each := range map[string]int{"0": 1, "1MiB": 0} {
			t.Run("memory "+memory, func(t *testing.T) {
				open := func(staleness string, more site.Options) *site.Site {
					o := site.Options{
						"memory": site.Options{"bytes": memory, "maxStaleness": staleness},
						"redis":  site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
					}
					for name, value := range more {
						o[name] = value
					}
					s, _ := newOdooLike(t, load, o)
					return s
				}
				s := open("60s", nil)
				s.Get("/a")
				one, two := "Cookie: session_id="+s.Get("/uncached").Session(), "Cookie: session_id="+s.Get("/uncached").Session()
				for i := 0; i < 4; i++ {
					s.Get("/a")
					require.Contains(t, s.Get("/a", one).CacheStatus(), "; hit")
					require.Contains(t, s.Get("/a", two).CacheStatus(), "; hit")
				}
				before := exchanges()
				for i := 0; i < 10; i++ {
					require.Contains(t, s.Get("/a", one, "Accept-Language: en").CacheStatus(), "; hit")
				}
				assert.Equal(t, 10*each, exchanges()-before)

				// Another configuration of memory has a tier of its own, as another process has.
				other := open("500ms", site.Options{"tenant": s.Options["tenant"]})
				for i := 0; i < 4; i++ {
					other.Get("/a", one)
				}
				before = exchanges()
				end := time.Now().Add(time.Second)
				hits := 0
				for time.Now().Before(end) {
					require.Contains(t, other.Get("/a", one).CacheStatus(), "; hit")
					hits++
				}
				assert.LessOrEqual(t, exchanges()-before, hits*each+4, "the changes are read, and the position is, twice a second at most")

				s.Do(http.MethodPost, "/change", "x", one)
				for i := 0; i < 3; i++ {
					require.NotContains(t, s.Get("/a", one).CacheStatus(), "; hit")
					require.Contains(t, s.Get("/a", two).CacheStatus(), "; hit")
				}
				require.NotContains(t, other.Get("/a", one).CacheStatus(), "; hit", "it is of the same process")
			})
		}
	})
}

// TestASessionThatTheAddonKnows: what the addon says of a session that nobody saw begin
// counts from then on, unless the session has changed meanwhile.
func TestASessionThatTheAddonKnows(t *testing.T) {
	server := stack.StartServer(t)
	for _, o := range []site.Options{nil, {"redis": site.Options{"address": server.Address}}} {
		site.Both(t, func(t *testing.T, load site.Loader) {
			answer := site.Page(site.HTMLPage("x"), "Content-Type: text/html", "X-Odoo-Cache-Context: 0")
			s := site.New(t, load, asPreset(o), answer)
			me, other := "Cookie: session_id="+site.SessionID(1), "Cookie: session_id="+site.SessionID(2)
			s.Get("/shop")
			s.Get("/shop")
			for i, want := range []string{"detail=session", "; hit", "; hit"} {
				assert.Contains(t, s.Get("/shop", me).CacheStatus(), want, "visit %d", i)
			}
			// The cart is filled while a page is under way that says what was before.
			for i := 0; i < 3; i++ {
				s.Answers(func(rw http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet {
						s.Do(http.MethodPost, "/shop/cart/update", "a=b", other)
					}
					answer(rw, r)
				})
				assert.NotContains(t, s.Get("/shop", other).CacheStatus(), "; hit", "visit %d", i)
				assert.Contains(t, s.Get("/shop").CacheStatus(), "; hit")
			}
		})
	}
}
