package behaviour_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// asNobody are rules whose pages are filled by requests that are built from their key.
func asNobody(more site.Options) site.Options {
	r := site.Options{"match": site.Everything, "ttl": "60", "fill": "nobody", "cookies": site.Options{"drop": []string{"session_id"}, "keep": []string{"frontend_lang"}}}
	for name, value := range more {
		r[name] = value
	}
	return site.Options{"rules": []site.Options{r}}
}

// infoPage is a page with what Odoo writes of a session, as JSON.
func infoPage(info, body string) string {
	return "<html><head><script>odoo.__session_info__ = {" + info + "};</script></head><body>" + body + "</body></html>"
}

// chunked answers without a length.
func chunked(body string, lines ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		for name, values := range site.Fields(lines...) {
			rw.Header()[name] = values
		}
		rw.WriteHeader(200)
		_, _ = io.WriteString(rw, body)
	}
}

// TestNobodysAnswers: what becomes of each kind of answer to nobody, for the one who missed
// the page and for the next.
func TestNobodysAnswers(t *testing.T) {
	const kind = "Content-Type: text/html"
	status := func(code int, lines ...string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			for name, values := range site.Fields(lines...) {
				rw.Header()[name] = values
			}
			rw.WriteHeader(code)
		}
	}
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		path    string
		renders int    // of the first request
		detail  string // of the first
		next    int    // renders of the next
	}{
		{"a page", site.Page(site.HTMLPage("x"), kind), "/a", 1, "stored", 0},
		{"one that begins a session", site.Page(site.HTMLPage("x"), kind, "Set-Cookie: session_id=1"), "/a", 1, "stored", 0},
		{"a balancer's cookie", site.Page(site.HTMLPage("x"), kind, "Set-Cookie: _1a2b3=http"), "/a", 1, "stored", 0},
		{"another balancer's cookies", site.Page(site.HTMLPage("x"), kind, "Set-Cookie: AWSALB=x", "Set-Cookie: AWSALBCORS=x", "Set-Cookie: ARRAffinity=y"), "/a", 1, "stored", 0},
		{"a cookie that is not known", site.Page(site.HTMLPage("x"), kind, "Set-Cookie: ab=1"), "/a", 2, "detail=set-cookie", 1},
		{"private", site.Page(site.HTMLPage("x"), kind, "Cache-Control: private"), "/a", 2, "detail=private", 1},
		{"somebody's", site.Page(site.HTMLPage(`"is_public": false`), kind), "/a", 2, "detail=personal", 1},
		{"a chat of Odoo 18", site.Page(site.HTMLPage(`"force_thread": {"id": 7}`), kind), "/a", 2, "detail=personal", 1},
		{"not found", status(404), "/a", 1, "detail=status", 1},
		{"an error", status(503), "/a", 1, "detail=status", 1},
		{"forbidden", status(403), "/a", 2, "detail=status", 1},
		{"too many requests", status(429), "/a", 2, "detail=status", 1},
		{"a time-out", status(408), "/a", 2, "detail=status", 1},
		{"its client has gone", status(499), "/a", 2, "detail=status", 1},
		{"to its language", status(303, "Location: /fr/a"), "/a", 1, "detail=status", 1},
		{"to its address", status(301, "Location: /a/"), "/a", 1, "detail=status", 1},
		{"to another page of its module", status(303, "Location: /blog/travel-1"), "/blog", 1, "detail=status", 1},
		{"up in its module, as after a change", status(303, "Location: /blog"), "/blog/set/3", 2, "detail=redirect", 1},
		{"to another page of its module, by a parameter", status(303, "Location: /blog/travel-1"), "/blog/by?post=1", 2, "detail=redirect", 1},
		{"elsewhere", status(303, "Location: /b"), "/a", 2, "detail=redirect", 1},
		{"to another host", status(303, "Location: http://other.example/a"), "/a", 2, "detail=redirect", 1},
		{"to its language, with a cookie that is not known", status(303, "Location: /fr/a", "Set-Cookie: ab=1"), "/a", 2, "detail=redirect", 1},
		{"chunked", chunked(site.HTMLPage("x"), kind), "/a", 1, "stored", 0},
		{"chunked, and broken off", chunked("<html><body>Bad Gateway", kind), "/a", 2, "detail=no-end", 1},
		{"chunked JSON", chunked(`{"a": 1}`, "Content-Type: application/json"), "/a", 1, "stored", 0},
		{"chunked JSON, broken off", chunked(`{"a": `, "Content-Type: application/json"), "/a", 2, "detail=no-end", 1},
		{"chunked JSON, cut off in a number", chunked(`17`, "Content-Type: application/json"), "/a", 2, "detail=no-end", 1},
		{"chunked XML", chunked(`<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="x"><url><loc>a</loc></url></urlset>`+"\n", "Content-Type: application/xml"), "/a", 1, "stored", 0},
		{"chunked XML, broken off between two of its elements", chunked(`<urlset><url><loc>a</loc></url>`, "Content-Type: application/xml"), "/a", 2, "detail=no-end", 1},
		{"a chunked feed, broken off", chunked(`<rss><channel><item>a</item></channel>`, "Content-Type: application/rss+xml"), "/a", 2, "detail=no-end", 1},
		{"chunked, of a type that does not tell its end", chunked("x", "Content-Type: text/css"), "/a", 3, "detail=no-end", 1},
		{"chunked, in gzip, of a type that does not tell its end", chunked(site.Zipped("x"), "Content-Type: text/css", "Content-Encoding: gzip"), "/a", 1, "stored", 0},
		{"chunked, in gzip that is broken off", chunked(site.Zipped("x")[:20], "Content-Type: text/css", "Content-Encoding: gzip"), "/a", 2, "detail=content-coding", 1},
		{"chunked, in gzip of several parts", chunked(site.Zipped("x")+site.Zipped("y"), "Content-Type: text/css", "Content-Encoding: gzip"), "/a", 3, "detail=no-end", 1},
		{"chunked, in a coding that is none", chunked("x", "Content-Type: text/css", "Content-Encoding: identity"), "/a", 3, "detail=no-end", 1},
		{"coded", site.Page(site.Zipped(site.HTMLPage("x")), kind, "Content-Encoding: gzip", "Vary: Accept-Encoding"), "/a", 1, "stored", 0},
		{"coded somehow", site.Page("x", kind, "Content-Encoding: br"), "/a", 2, "detail=content-coding", 1},
		{"by what is the cache's own", site.Page(site.HTMLPage("x"), kind, "Vary: Accept-Encoding, User-Agent, Accept"), "/a", 1, "stored", 0},
		{"by cookies", site.Page(site.HTMLPage("x"), kind, "Vary: Cookie"), "/a", 2, "detail=vary-cookie", 1},
		{"of another context", site.Page(site.HTMLPage("x"), kind, "X-Odoo-Cache-Context: private"), "/a", 2, "detail=context", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				o := asNobody(site.Options{"status": []string{"200"}})
				s := site.New(t, load, o, c.answer)
				first := s.Get(c.path, "Accept-Encoding: gzip", "Cookie: mine=1")
				assert.Equal(t, c.renders, s.Renders(), first.CacheStatus())
				assert.Contains(t, first.CacheStatus(), c.detail)
				s.Get(c.path, "Accept-Encoding: br", "User-Agent: other")
				assert.Equal(t, c.next, s.Renders()-c.renders)
				if c.renders == 1 {
					assert.Empty(t, s.Request().Header["Cookie"])
					assert.Empty(t, first.Header["Set-Cookie"])
				} else if c.next > 0 {
					assert.Equal(t, "other", s.Request().Header.Get("User-Agent"), "the visitor's own request")
				}
			})
		})
	}
}

// TestOfOneReason: where all pages of a rule are refused for one reason, such as a cookie of
// a test by a module, nobody is not asked for each of them first.
func TestOfOneReason(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(nil), site.Page("x", "Set-Cookie: ab=1"))
		for i := 0; i < 8; i++ {
			s.Get(fmt.Sprintf("/%d", i))
		}
		require.Equal(t, 16, s.Renders())
		for i := 0; i < 64; i++ {
			got := s.Get(fmt.Sprintf("/more/%d", i))
			assert.Contains(t, got.CacheStatus(), "detail=set-cookie")
		}
		assert.Equal(t, 16+64+8, s.Renders(), "one in eight is tried")
		s.Answers(site.Page("x"))
		for i := 0; i < 8; i++ {
			s.Get(fmt.Sprintf("/stored/%d", i))
		}
		before := s.Renders()
		assert.Contains(t, s.Get("/last").CacheStatus(), "stored", "one was stored: all are tried again")
		assert.Equal(t, 1, s.Renders()-before)
	})
}

// TestStreaksOfStrangers: what a client makes up of its own key says nothing of others' pages,
// whatever the answer.
func TestStreaksOfStrangers(t *testing.T) {
	attacks := map[string]func(s *site.Site, n int){
		"a context": func(s *site.Site, n int) {
			s.Get("/shop/desk-1", fmt.Sprintf("Cookie: odoocache_context=invented-by-me-%d", n))
		},
		"X-Odoo-Database":               func(s *site.Site, n int) { s.Get("/shop/desk-1", fmt.Sprintf("X-Odoo-Database: no%d", n)) },
		"X-Odoo-Dbfilter":               func(s *site.Site, n int) { s.Get("/shop/desk-1", fmt.Sprintf("X-Odoo-Dbfilter: no%d", n)) },
		"a parameter that Odoo refuses": func(s *site.Site, n int) { s.Get(fmt.Sprintf("/shop/desk-1?order=%%00&n=%d", n)) },
		"a host":                        func(s *site.Site, n int) { s.Get("/shop/desk-1", fmt.Sprintf("Host: no%d.example", n)) },
		"paths that lead elsewhere":     func(s *site.Site, n int) { s.Get(fmt.Sprintf("/shop/elsewhere-%d", n)) },
		"paths that are refused":        func(s *site.Site, n int) { s.Get(fmt.Sprintf("/shop/refused-%d", n)) },
		"one page that sets a cookie":   func(s *site.Site, n int) { s.Get(fmt.Sprintf("/shop/cookie?n=%d", n)) },
		"a parameter with a cookie":     func(s *site.Site, n int) { s.Get(fmt.Sprintf("/shop/desk-%d?cookie", n)) },
		"a database with a cookie":      func(s *site.Site, n int) { s.Get(fmt.Sprintf("/shop/desk-%d", n), "X-Odoo-Dbfilter: cookie") },
		"a host with a cookie":          func(s *site.Site, n int) { s.Get(fmt.Sprintf("/shop/desk-%d", n), "Host: cookie.example") },
		"a language with a cookie":      func(s *site.Site, n int) { s.Get(fmt.Sprintf("/shop/desk-%d", n), "Cookie: frontend_lang=fr_FR") },
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := site.New(t, load, site.Options{"preset": "odoo", "languages": []string{"en_US", "fr_FR"}}, func(rw http.ResponseWriter, r *http.Request) {
					db, all := r.Header.Get("X-Odoo-Database")+r.Header.Get("X-Odoo-Dbfilter"), r.Host+r.RequestURI+r.Header.Get("Cookie")
					switch {
					case db == "cookie" || strings.Contains(all, "cookie") || strings.Contains(all, "fr_FR"):
						site.Page(site.HTMLPage("x"), "Content-Type: text/html", "Set-Cookie: ab=1")(rw, r)
					case db != "" || strings.HasPrefix(r.Host, "no") || strings.Contains(all, "elsewhere"):
						http.Redirect(rw, r, "/web/database/selector", http.StatusFound)
					case strings.Contains(all, "%00") || strings.Contains(all, "refused"):
						rw.WriteHeader(http.StatusUnprocessableEntity)
					default:
						site.Page(site.HTMLPage("x"), "Content-Type: text/html")(rw, r)
					}
				})
				for i := 0; i < 8; i++ {
					for j := 0; j < 9; j++ {
						attack(s, 100*i+j)
					}
					assert.Contains(t, s.Get(fmt.Sprintf("/shop/table-%d", i)).CacheStatus(), "stored")
				}
			})
		})
	}
}

// TestAFillOutlivesItsVisitor: a visitor who gives up leaves the page to others.
func TestAFillOutlivesItsVisitor(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		g := site.NewGate(t)
		s := newCrowdedSite(t, load, asNobody(nil), g.Behind(site.Page("a page")))
		ctx, leave := context.WithCancel(context.Background())
		gone := make(chan error)
		go func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/", nil)
			resp, err := site.PlainClient.Do(r)
			if err == nil {
				resp.Body.Close()
			}
			gone <- err
		}()
		require.Eventually(t, func() bool { return s.Renders() == 1 }, site.WaitFor, site.Tick)
		leave()
		require.Error(t, <-gone)
		c := site.NewCrowd(t, g)
		c.Ask(20, s.URL+"/")
		s.Waiting(20)
		g.Open()
		for _, r := range c.All() {
			assert.Equal(t, "a page", r.Body)
		}
		assert.Equal(t, 1, s.Renders())
		assert.Contains(t, s.Get("/").CacheStatus(), "; hit")
	})
}

// TestAbandonedFillsAreBounded: who opens many pages and leaves does not have them all
// rendered.
func TestAbandonedFillsAreBounded(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		g := site.NewGate(t)
		var ended atomic.Int64
		answer := g.Behind(site.Page("a page"))
		o := asNobody(nil)
		o["fill"] = site.Options{"abandoned": "3"}
		s := newCrowdedSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			defer func() {
				if p := recover(); p != nil {
					ended.Add(1)
					panic(p)
				}
			}()
			answer(rw, r)
		})
		ctx, leave := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for i := 0; i < 10; i++ {
			wg.Add(1)
			go func(i int) {
				defer wg.Done()
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%d", s.URL, i), nil)
				if resp, err := site.PlainClient.Do(r); err == nil {
					resp.Body.Close()
				}
			}(i)
		}
		require.Eventually(t, func() bool { return s.Renders() == 10 }, site.WaitFor, site.Tick)
		leave()
		wg.Wait()
		require.Eventually(t, func() bool { return ended.Load() == 7 }, site.WaitFor, site.Tick)
		time.Sleep(50 * time.Millisecond)
		assert.Equal(t, int64(7), ended.Load())
		g.Open()
	})
}

// TestASlowReaderHoldsUpNobody: a page is stored when the origin has sent it, however slowly
// the one who asked first reads.
func TestASlowReaderHoldsUpNobody(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		body := site.HTMLPage(strings.Repeat("0123456789", 350000))
		s := site.New(t, load, asNobody(nil), chunked(body, "Content-Type: text/html"))
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return s.Renders() == 1 }, site.WaitFor, site.Tick)
		got := s.Get("/slow", "Host: x")
		assert.Equal(t, body, got.Body)
		assert.Equal(t, 1, s.Renders())
	})
}

// TestAFillThatOutgrowsItsBound goes to its visitor alone, with the session that its tokens
// are of; those who wait are told at once.
func TestAFillThatOutgrowsItsBound(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, announced := range []bool{true, false} {
			first, rest := site.NewGate(t), site.NewGate(t)
			var n atomic.Int64
			s := newCrowdedSite(t, load, asNobody(site.Options{"maxBody": "1000"}), func(rw http.ResponseWriter, r *http.Request) {
				if n.Add(1) > 1 {
					site.Page("small")(rw, r)
					return
				}
				<-first.Ch
				rw.Header().Set("Content-Type", "text/html")
				rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(1))
				if announced {
					rw.Header().Set("Content-Length", "4000")
				}
				_, _ = io.WriteString(rw, strings.Repeat("x", 2000))
				<-rest.Ch
				_, _ = io.WriteString(rw, strings.Repeat("y", 2000))
			})
			leader := site.NewCrowd(t, first, rest)
			leader.Ask(1, s.URL+"/")
			require.Eventually(t, func() bool { return n.Load() == 1 }, site.WaitFor, site.Tick)
			c := site.NewCrowd(t, first)
			c.Ask(5, s.URL+"/")
			s.Waiting(5)
			first.Open()
			for _, r := range c.All() {
				assert.Equal(t, "small", r.Body, "while the first still reads")
				assert.Contains(t, r.CacheStatus(), "detail=too-large")
			}
			rest.Open()
			got := leader.All()[0]
			assert.Equal(t, strings.Repeat("x", 2000)+strings.Repeat("y", 2000), got.Body)
			assert.Equal(t, site.SessionID(1), got.Session())
			assert.Contains(t, got.CacheStatus(), "detail=too-large")
		}
	})
}

// TestAFillThatTakesTooLong is a 504 to all who wait, and says nothing of the page.
func TestAFillThatTakesTooLong(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		g := site.NewGate(t)
		o := asNobody(nil)
		o["limits"] = site.Options{"fetchTimeout": "200ms"}
		s := newCrowdedSite(t, load, o, g.Behind(site.Page("a page")))
		c := site.NewCrowd(t, g)
		c.Ask(5, s.URL+"/")
		for _, r := range c.All() {
			assert.Equal(t, 504, r.Status)
			assert.Contains(t, r.CacheStatus(), "detail=origin-timeout")
		}
		assert.Equal(t, 1, s.Renders())
		g.Open()
		assert.Contains(t, s.Get("/").CacheStatus(), "stored")
	})
}

// TestWaitersGetWhatIsNotStored: one render for all.
func TestWaitersGetWhatIsNotStored(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, code := range []int{404, 503, 303} {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, asNobody(site.Options{"status": []string{"200"}}), g.Behind(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Location", "/fr"+r.URL.Path)
				rw.WriteHeader(code)
				_, _ = io.WriteString(rw, "an answer")
			}))
			c := site.NewCrowd(t, g)
			c.Ask(12, s.URL+"/a")
			s.Waiting(11)
			g.Open()
			for _, r := range c.All() {
				assert.Equal(t, code, r.Status)
				assert.Equal(t, "an answer", r.Body)
			}
			assert.Equal(t, 1, s.Renders(), "%d", code)
		}
	})
}

// firewallPage answers as a firewall does in place of the origin.
func firewallPage(status int, lines ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		for name, values := range site.Fields(lines...) {
			rw.Header()[name] = values
		}
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Cache-Control", "max-age=60")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, site.HTMLPage("Just a moment"))
	}
}

// TestAFirewallsPageIsNotStored, whatever its status, by rules of any kind.
func TestAFirewallsPageIsNotStored(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, o := range []site.Options{asNobody(nil), nil} {
			for _, line := range []string{"Cf-Mitigated: challenge", "X-Amzn-Waf-Action: challenge"} {
				s := site.New(t, load, o, firewallPage(200, line))
				got := s.Get("/")
				assert.Contains(t, got.CacheStatus(), "detail=firewall")
				assert.Equal(t, site.HTMLPage("Just a moment"), got.Body, "the visitor may have to answer it")
				s.Answers(site.Page(site.HTMLPage("the page"), "Content-Type: text/html"))
				assert.Equal(t, site.HTMLPage("the page"), s.Get("/").Body)
			}
		}
	})
}

// TestARefreshThatIsRefusedTakesThePageAway; one that was limited says nothing of it.
func TestARefreshThatIsRefusedTakesThePageAway(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, c := range []struct {
			name   string
			answer http.HandlerFunc
			stays  bool
		}{
			{"personal", site.Page(site.HTMLPage(`"is_public": false`), "Content-Type: text/html"), false},
			{"country", site.Page(infoPage(`"geoip_country_code": "FR"`, ""), "Content-Type: text/html"), false},
			{"no-store", site.Page("x", "Cache-Control: no-store"), false},
			{"too large", site.Page(strings.Repeat("x", 5000)), false},
			{"not found", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(404) }, false},
			{"unauthorised", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(401) }, false},
			{"time-out", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(408) }, true},
			{"limited", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(429) }, true},
			{"client gone", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(499) }, true},
			{"error", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) }, true},
			{"forbidden", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(403) }, false},
			{"broken off", chunked("<html><body>half", "Content-Type: text/html"), true},
			{"challenged by Cloudflare", firewallPage(403, "Cf-Mitigated: challenge"), true},
			{"challenged by AWS", firewallPage(202, "X-Amzn-Waf-Action: challenge"), true},
			{"challenged with the page's status", firewallPage(200, "X-Amzn-Waf-Action: captcha"), true},
			{"challenged by a firewall of the operator's", firewallPage(403, "X-Own-Firewall: 1"), true},
		} {
			s := site.New(t, load, site.Merge(asNobody(site.Options{"ttl": "50ms", "grace": "1h", "maxBody": "1000", "status": []string{"200"}}), site.Options{"fill": site.Options{"firewall": []string{"X-Own-Firewall"}}}), site.Page("old"))
			s.Get("/")
			time.Sleep(60 * time.Millisecond)
			s.Answers(c.answer)
			require.Equal(t, "old", s.Get("/").Body, c.name)
			require.Eventually(t, func() bool { return s.Renders() >= 2 }, site.WaitFor, site.Tick, c.name)
			if c.stays {
				time.Sleep(50 * time.Millisecond)
				assert.Equal(t, "old", s.Get("/").Body, c.name)
			} else {
				assert.Eventually(t, func() bool { return s.Get("/").Body != "old" }, site.WaitFor, site.Tick, c.name)
			}
		}
	})
}

// TestConsentAsOdooReadsIt: the page of those who agree is for whoever Odoo takes for one of
// them, and for nobody else.
func TestConsentAsOdooReadsIt(t *testing.T) {
	const agrees = `{"required": true, "optional": true}`
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(nil), func(rw http.ResponseWriter, r *http.Request) {
			text := "blocked"
			if strings.Contains(r.Header.Get("Cookie"), agrees) {
				text = "live"
			}
			site.Page(site.HTMLPage(text+` <div id="website_cookies_bar">`), "Content-Type: text/html")(rw, r)
		})
		s.Get("/")
		s.Get("/", "Cookie: website_cookies_bar="+agrees)
		for value, want := range map[string]bool{
			agrees: true, `{"required":true,"optional":true}`: true, `{"optional":true}`: true, `{ "optional" : true , "ts": 1}`: true,
			`"{\"required\": true\054 \"optional\": true}"`: true, `%7B%22optional%22%3A%20true%7D`: true, `{"optional":false,"optional":true}`: true,
			`{"\u006fptional":true}`: true, `{"optional":1}`: true, `{"optional":"no"}`: true, `{"optional":[0]}`: true, `{"optional":{"a":0}}`: true,

			`{"optional":false}`: false, `{"optional":null}`: false, `{"optional":0}`: false, `{"optional":-0.0}`: false, `{"optional":""}`: false, `{"optional":[]}`: false, `{"optional":{}}`: false,
			`{"optional":true,"optional":false}`: false, `{"a":{"optional":true},"optional":false}`: false, `{"a":{"optional":true}}`: false,
			`{"optional":true`: false, `["optional":true]`: false, `["optional",true]`: false, `{"optional":trueish}`: false, `{"opt ional":true}`: false, `{"Optional":true}`: false,
			`{"optional":true}x`: false, `x{"optional":true}`: false, `{"optional":true,}`: false, `{'optional':true}`: false, `{"optional":True}`: false,
			`{"required":"\"optional\":true"}`: false, `{"a": "\\"optional\":true", "optional": false}`: false,
			`{"optional":false,"a":"%22,%22optional%22:true,%22b%22:%22"}`: false, `%7B%22optional%22%3Atrue`: false, `%7B%22optional%22%3Atrue%zz`: false,
			`"{\"optional\": true}`: false, `{\"optional\": true}`: false, `""`: false, `"`: false, ``: false, `true`: false, `"true"`: false, `null`: false, `%`: false,
			`{"optional":true,"a":"` + strings.Repeat("a", 200) + `"}`: false, strings.Repeat(`{"optional":`, 1000): false,
		} {
			got := s.Get("/", "Cookie: website_cookies_bar="+value)
			text := "blocked"
			if want {
				text = "live"
			}
			assert.Contains(t, got.Body, text, "%s: %s", value, got.CacheStatus())
			assert.Contains(t, got.CacheStatus(), "; hit", value)
		}
	})
}

// TestConsent: pages that differ for visitors who agree to optional cookies are two; others
// stay one.
func TestConsent(t *testing.T) {
	const agrees, declines = `Cookie: website_cookies_bar={"required": true, "optional": true}`, `Cookie: website_cookies_bar={"required": true, "optional": false}`
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, bar := range []bool{true, false} {
			for _, order := range [][]string{{agrees, declines, "", agrees}, {"", agrees, declines, agrees}, {declines, "", agrees, ""}} {
				s := site.New(t, load, asNobody(nil), func(rw http.ResponseWriter, r *http.Request) {
					text := "blocked"
					if strings.Contains(r.Header.Get("Cookie"), `"optional": true`) {
						text = "live"
					}
					if bar {
						text += ` <div id="website_cookies_bar">`
					}
					site.Page(site.HTMLPage(text), "Content-Type: text/html")(rw, r)
				})
				for round := 0; round < 3; round++ { // the last from the table
					for _, cookie := range order {
						want := "blocked"
						if bar && cookie == agrees {
							want = "live"
						}
						lines := []string{}
						if cookie != "" {
							lines = append(lines, cookie)
						}
						got := s.Get("/", lines...)
						assert.Contains(t, got.Body, want, "%v %q %s", bar, cookie, got.CacheStatus())
						if round > 0 {
							assert.Contains(t, got.CacheStatus(), "; hit")
						}
					}
				}
				want := 1
				if bar {
					want = 2
				}
				assert.Equal(t, want, s.Renders(), "%v %v", bar, order)
			}
		}
	})
}

// TestVaryIsLearned: by a field that the visitor has, they ask once more.
func TestVaryIsLearned(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(nil), func(rw http.ResponseWriter, r *http.Request) {
			site.Page("for "+r.Header.Get("X-Shop")+r.Header.Get("X-Other"), "Vary: X-Shop, Accept-Encoding")(rw, r)
		})
		got := s.Get("/", "X-Shop: a", "X-Other: mine")
		assert.Equal(t, "for a", got.Body)
		assert.Equal(t, 2, s.Renders())
		assert.Equal(t, "for ", s.Get("/").Body)
		assert.Equal(t, 2, s.Renders())
		assert.Equal(t, "for a", s.Get("/", "X-Shop: a", "Accept-Encoding: br").Body)
		assert.Equal(t, "for b", s.Get("/", "X-Shop: b").Body)
		assert.Equal(t, 3, s.Renders())
	})
}

// TestAProxyThatCodes: nginx with gzip, whether it says Vary or not.
func TestAProxyThatCodes(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, vary := range []bool{true, false} {
			s := site.New(t, load, asNobody(nil), func(rw http.ResponseWriter, r *http.Request) {
				if vary {
					rw.Header().Set("Vary", "Accept-Encoding")
				}
				rw.Header().Set("Content-Type", "text/html")
				rw.Header().Set("Etag", `"x"`)
				rw.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(rw)
				_, _ = io.WriteString(z, site.HTMLPage(`csrf_token: "`+strings.Repeat("0123456789", 4)+"o1799999999"+`"`))
				_ = z.Close()
			})
			for _, accepts := range []string{"gzip, deflate, br, zstd", "gzip", "identity", "br"} {
				got := s.Get("/", "Accept-Encoding: "+accepts)
				body := got.Body
				if got.Header.Get("Content-Encoding") == "gzip" {
					z, err := gzip.NewReader(strings.NewReader(body))
					require.NoError(t, err)
					plain, err := io.ReadAll(z)
					require.NoError(t, err)
					body = string(plain)
				}
				assert.Equal(t, site.HTMLPage(`csrf_token: "`+site.TokenPlaceholder+`"`), body, accepts)
			}
			assert.Equal(t, 1, s.Renders())
			assert.Equal(t, "identity", s.Request().Header.Get("Accept-Encoding"))
		}
	})
}

// TestAProxyThatWouldCode: nginx with gzip_vary gives a filling request the page as it is, and
// says that others would get it coded. Visitors get it so from the cache.
func TestAProxyThatWouldCode(t *testing.T) {
	body := site.HTMLPage(strings.Repeat("a product ", 5000))
	for name, coded := range map[string]bool{"asked for none": false, "coded all the same": true} {
		t.Run(name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := site.New(t, load, asNobody(nil), func(rw http.ResponseWriter, r *http.Request) {
					if coded {
						site.Page(zip(body), "Content-Type: text/html", "Vary: Accept-Encoding", `Etag: W/"x"`, "Content-Encoding: gzip")(rw, r)
						return
					}
					site.Page(body, "Content-Type: text/html", "Vary: Accept-Encoding", `Etag: "x"`)(rw, r)
				})
				for i := 0; i < 5; i++ {
					z := s.Get("/shop", "Accept-Encoding: gzip, deflate, br")
					require.Equal(t, []string{"gzip"}, z.Header["Content-Encoding"], z.CacheStatus())
					require.Equal(t, body, site.Unzip(t, z.Body))
					require.Less(t, len(z.Body), len(body)/10)
					require.Equal(t, `W/"x"`, z.Header.Get("Etag"))
					require.Equal(t, []string{"Accept-Encoding"}, z.Header["Vary"])
					require.Equal(t, http.StatusNotModified, s.Get("/shop", "Accept-Encoding: gzip", `If-None-Match: W/"x"`).Status)
					for _, accepts := range []string{"identity", "br", "gzip;q=0"} {
						p := s.Get("/shop", "Accept-Encoding: "+accepts)
						require.Empty(t, p.Header["Content-Encoding"], accepts)
						require.Equal(t, body, p.Body, accepts)
						require.Equal(t, `"x"`, strings.TrimPrefix(p.Header.Get("Etag"), "W/"), accepts)
						require.Equal(t, coded, strings.HasPrefix(p.Header.Get("Etag"), "W/"), accepts)
						require.Equal(t, []string{"Accept-Encoding"}, p.Header["Vary"], accepts)
					}
				}
				require.Equal(t, 1, s.Renders())
				require.Equal(t, "identity", s.Request().Header.Get("Accept-Encoding"))
			})
		})
	}
}

// TestWordingsOfBrowsers: an origin that varies by Accept-Encoding has two pages, however
// browsers say what they take; one, where it is filled as nobody.
func TestWordingsOfBrowsers(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for rule, pages := range map[string]int{"nobody": 1, "visitor": 2} {
			s := site.New(t, load, asNobody(site.Options{"fill": rule}), func(rw http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
					site.Page(zip(site.HTMLPage("a page")), "Content-Type: text/html", "Vary: Accept-Encoding", "Content-Encoding: gzip")(rw, r)
					return
				}
				site.Page(site.HTMLPage("a page"), "Content-Type: text/html", "Vary: Accept-Encoding")(rw, r)
			})
			for i := 0; i < 2; i++ {
				for _, accepts := range []string{
					"gzip, deflate, br, zstd", "gzip, deflate, br", "gzip, deflate", "gzip,deflate,sdch", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip", "deflate, gzip;q=1.0, *;q=0.5", "*",
					"identity", "br", "gzip;q=0", "deflate", "",
				} {
					got := s.Get("/", "Accept-Encoding: "+accepts)
					body := got.Body
					if got.Header.Get("Content-Encoding") == "gzip" {
						body = site.Unzip(t, body)
					}
					require.Equal(t, site.HTMLPage("a page"), body, accepts)
				}
				assert.Equal(t, site.HTMLPage("a page"), s.Get("/").Body, "a client that says nothing gets no coding")
			}
			assert.Equal(t, pages, s.Renders(), rule)
		}
	})
}

// TestTheFirstReason: where nobody's page was not for others, that is what a visitor with a
// default session is told, too.
func TestTheFirstReason(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(nil), site.Page("x", "Set-Cookie: session_id="+site.SessionID(3)))
		id := s.Do(http.MethodGet, "/uncached-because-of-range", "", "Range: bytes=0-0").Session()
		require.NotEmpty(t, id)
		s.Answers(site.Page("x", "Set-Cookie: ab=1"))
		for i := 0; i < 3; i++ {
			assert.Contains(t, s.Get("/", "Cookie: session_id="+id).CacheStatus(), "detail=set-cookie")
		}
	})
}

// TestFieldsOfMiddlewares: what a filter of databases sets is part of the key, passes, and
// leaves hits on their short way.
func TestFieldsOfMiddlewares(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(nil), func(rw http.ResponseWriter, r *http.Request) {
			site.Page("database "+r.Header.Get("X-Odoo-Dbfilter")+r.Header.Get("X-Tenant"))(rw, r)
		})
		for round := 0; round < 4; round++ {
			for _, database := range []string{"a", "b"} {
				assert.Equal(t, "database "+database, s.Get("/", "X-Odoo-Dbfilter: "+database, "X-Tenant: t").Body)
			}
		}
		assert.Equal(t, 2, s.Renders())
	})
}

// TestALyingAddon: what it says of a visitor's page makes it nobody else's.
func TestALyingAddon(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, cookie := range []string{"session_id=" + site.SessionID(7), "odoocache_context=0; session_id=" + site.SessionID(7), "odoocache_context=0", "odoocache_context=a-context.that-is-signed; session_id=" + site.SessionID(7)} {
			s := site.New(t, load, asNobody(nil), func(rw http.ResponseWriter, r *http.Request) {
				who := "nobody"
				if strings.Contains(r.Header.Get("Cookie"), site.SessionID(7)) {
					who = "ann"
				}
				said := r.Header.Get("X-Odoo-Cache-Context")
				if said == "" {
					said = "0"
				}
				site.Page(site.HTMLPage("for "+who), "Content-Type: text/html", "X-Odoo-Cache-Context: "+said, "X-Odoo-Cache: public, ttl=600", "Cache-Control: public")(rw, r)
			})
			for i := 0; i < 3; i++ {
				s.Get("/shop/cart", "Cookie: "+cookie)
				for _, next := range []string{"a=b", "odoocache_context=0", "odoocache_context=a-context.that-is-signed"} {
					assert.Contains(t, s.Get("/shop/cart", "Cookie: "+next).Body, "for nobody", cookie)
				}
			}
		}
	})
}

// TestALanguageIsOneOfTheShop: whoever asks for another one gets the page of those who ask
// for none.
func TestALanguageIsOneOfTheShop(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(site.Options{"vary": site.Options{"languages": []string{"fr_FR", "de_DE", "en_GB", "en_US"}}}), func(rw http.ResponseWriter, r *http.Request) {
			site.Page(r.Header.Get("Accept-Language")+"|"+r.Header.Get("Cookie"))(rw, r)
		})
		for accept, want := range map[string]string{
			"it": "qaa-ZZ|", "pl-PL,pl;q=0.9": "qaa-ZZ|", "fr-BE": "fr-FR|frontend_lang=fr_FR", "fr": "fr-FR|frontend_lang=fr_FR", "en-AU": "qaa-ZZ|frontend_lang=en_ZZ", "en-ZA": "qaa-ZZ|frontend_lang=en_ZZ",
			"fr;q=x": "en-US|frontend_lang=en_US", "": "en-US|frontend_lang=en_US",
		} {
			assert.Equal(t, want, s.Get("/", "Accept-Language: "+accept).Body, accept)
		}
		assert.Equal(t, 4, s.Renders())
	})
}

// TestCountries: an Odoo that renders by the client's address. What an address in the first
// network gets is French.
func TestCountries(t *testing.T) {
	const fr, none = "203.0.113.7", "10.1.2.3"
	odoo := func(rw http.ResponseWriter, r *http.Request) {
		country, price := "null", "USD"
		if strings.HasPrefix(r.Header.Get("X-Forwarded-For"), "203.0.113.") || strings.HasPrefix(r.RemoteAddr, "203.0.113.") {
			country, price = `"FR"`, "EUR"
		}
		site.Page(infoPage(`"geoip_country_code": `+country, price), "Content-Type: text/html", "Surrogate-Key: all")(rw, r)
	}
	site.Both(t, func(t *testing.T, load site.Loader) {
		t.Run("without a field", func(t *testing.T) {
			s := newCrowdedSite(t, load, asNobody(site.Options{"ttl": "100ms", "grace": "1h"}), odoo)
			for _, from := range []string{none, fr, none, fr, fr} {
				got := s.Get("/shop", "X-Forwarded-For: "+from)
				want := "USD"
				if from == fr {
					want = "EUR"
				}
				assert.Contains(t, got.Body, want, from)
				assert.Contains(t, got.CacheStatus(), "detail=country")
				time.Sleep(30 * time.Millisecond)
			}
		})
		t.Run("by a field", func(t *testing.T) {
			o := asNobody(site.Options{"ttl": "100ms", "grace": "1h", "vary": site.Options{"headers": []string{"CF-IPCountry"}}})
			o["country"] = site.Options{"header": "CF-IPCountry"}
			s := newCrowdedSite(t, load, o, odoo)
			for i := 0; i < 12; i++ {
				for from, want := range map[string]string{none + " XX": "USD", fr + " FR": "EUR", none + " FR": "USD", fr + " DE": "EUR"} {
					address, country, _ := strings.Cut(from, " ")
					got := s.Get("/shop", "X-Forwarded-For: "+address, "CF-IPCountry: "+country)
					if from == none+" FR" { // who lies about their country gets what they say
						continue
					}
					assert.Contains(t, got.Body, want, from)
					if from == fr+" DE" {
						assert.Contains(t, got.CacheStatus(), "detail=country")
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
			assert.Contains(t, s.Get("/shop", "X-Forwarded-For: "+fr, "CF-IPCountry: FR").Body, "EUR")
			assert.Eventually(t, func() bool { // twice within the page's lifetime, which a busy machine may miss
				return strings.Contains(s.Get("/shop", "X-Forwarded-For: "+fr, "CF-IPCountry: FR").CacheStatus(), "; hit")
			}, 10*time.Second, time.Millisecond)
		})
		t.Run("no database", func(t *testing.T) {
			s := newCrowdedSite(t, load, asNobody(nil), site.Page(infoPage(`"geoip_country_code": null`, ""), "Content-Type: text/html"))
			assert.Contains(t, s.Get("/shop", "X-Forwarded-For: "+fr).CacheStatus(), "stored")
			assert.Contains(t, s.Get("/shop", "X-Forwarded-For: "+none).CacheStatus(), "; hit")
			before := s.Renders()
			assert.Contains(t, s.Get("/other").CacheStatus(), "stored")
			assert.Equal(t, 1, s.Renders()-before, "it is found out once")
		})
		t.Run("a database that comes later", func(t *testing.T) {
			s := newCrowdedSite(t, load, asNobody(nil), site.Page(infoPage(`"geoip_country_code": null`, "USD"), "Content-Type: text/html"))
			s.Get("/shop")
			require.Contains(t, s.Get("/shop").CacheStatus(), "; hit")
			s.Answers(odoo)
			s.Get("/basket", "X-Forwarded-For: "+fr, "Cookie: session_id="+site.SessionID(9)) // for themselves
			assert.Contains(t, s.Get("/shop", "X-Forwarded-For: "+fr).Body, "EUR")
		})
	})
}

// TestAliases: a field whose name is that of another one to some servers goes no further.
func TestAliases(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, rules := range []site.Options{asNobody(nil), nil, {"rules": []site.Options{{"match": site.Everything, "bypass": "true"}}}} {
			s := site.New(t, load, site.Merge(site.Options{"limits": site.Options{"evidence": "0"}}, rules), site.Page("x")) // else the last request may be one of the cache
			for _, method := range []string{http.MethodGet, http.MethodGet, http.MethodPost} {
				s.Do(method, "/", "", "X_Openerp_Session_Id: s", "Accept_Language: fr", "X.Forwarded.Host: evil", "X_Odoo_Cache_Edge: t", "Content_Length: 5", "X-Odoo_Database: d", "If_None_Match: x", "api_key: k", "x-my.field: v", "Cookie: a=1; session_id="+site.SessionID(1))
				for name := range s.Request().Header {
					assert.NotContains(t, []string{"X_openerp_session_id", "Accept_language", "X.forwarded.host", "X_odoo_cache_edge", "Content_length", "X-Odoo_database", "If_none_match"}, name)
				}
				assert.Equal(t, "k", s.Request().Header.Get("Api_key"), "another field is the application's")
			}
		}
	})
}

// TestPathsAsOdooRoutesThem: rules see them so, and what servers read differently is not
// answered from the cache.
func TestPathsAsOdooRoutesThem(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := asNobody(nil)
		rules["rules"] = append([]site.Options{{"name": "cart", "match": site.Options{"pathRegexp": "^/shop/cart"}, "bypass": "true"}}, rules["rules"].([]site.Options)...)
		s := site.New(t, load, rules, func(rw http.ResponseWriter, r *http.Request) { site.Page("of "+r.Header.Get("Cookie"))(rw, r) })
		mine := "Cookie: odoocache_context=0; who=ann"
		for path, want := range map[string]string{
			"//shop/cart": "detail=rule", "/shop//cart": "detail=rule", "/%73hop/cart": "detail=rule",
			"/%2fshop/cart": "detail=rule", "/shop%2fcart": "detail=rule", "/%2fblog": "detail=target", "/shop/%2e%2e/shop/cart": "detail=target", "/shop;a=b/cart": "detail=target",
			"/x%5cshop": "detail=target", "/x%00": "detail=target", "/shop%252fcart": "detail=target", "/shop?a=1;debug=1": "detail=target",
			"/plain//path": "stored",
		} {
			got := s.Get(path, mine)
			assert.Contains(t, got.CacheStatus(), want, path)
			assert.NotContains(t, s.Get(path).Body, "ann", path)
		}
		assert.Contains(t, s.Get("/plain/path").CacheStatus(), "; hit", "the same page")
	})
}

// TestAFormThatIsNone: what a client sends for a form does not panic.
func TestAFormThatIsNone(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			site.Page(string(b))(rw, r)
		})
		for _, body := range []string{
			"--X\r\n\r\n" + site.TokenPlaceholder + "\r\n--X--", "--X\r\n" + site.TokenPlaceholder + "\r\n--X", "\r\n\r\n" + site.TokenPlaceholder + "\r\n--X", "--X\r\n\r\n\r\n" + site.TokenPlaceholder + "\r\n--X--", site.TokenPlaceholder,
		} {
			got := s.Do(http.MethodPost, "/f", body, "Content-Type: multipart/form-data; boundary=X")
			assert.Equal(t, 200, got.Status)
			assert.Equal(t, body, got.Body)
		}
	})
}

// TestPublicLiftsNothing: a file that calls itself public is asked for as nobody, and whoever
// has a session that may be special gets their own.
func TestPublicLiftsNothing(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(nil), func(rw http.ResponseWriter, r *http.Request) {
			who := "nobody"
			if strings.Contains(r.Header.Get("Cookie"), site.SessionID(7)) {
				who = "ann"
			}
			site.Page("for "+who, "Cache-Control: public, max-age=31536000, immutable")(rw, r)
		})
		for i := 0; i < 3; i++ {
			assert.Equal(t, "for ann", s.Get("/web/image/7-abcdef/x", "Cookie: session_id="+site.SessionID(7)).Body)
			assert.Equal(t, "for nobody", s.Get("/web/image/7-abcdef/x").Body)
		}
	})
}

// asPreset returns those of a shop.
func asPreset(more site.Options) site.Options {
	return site.Merge(site.Options{"preset": "odoo", "languages": []string{"en_US", "fr_FR"}}, more)
}

// TestCountrySignInContent: words in a page that an author has written must not empty
// the cache, and keep it empty.
func TestCountrySignInContent(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		info := `"is_public": true, "geoip_country_code": null`
		s := site.New(t, load, asPreset(nil), func(rw http.ResponseWriter, r *http.Request) {
			post := ""
			if strings.HasPrefix(r.URL.Path, "/forum") { // a post, an Html field: quotes in text are as they are
				post = `<p>How do I read "geoip_country_code": "FR" in a module?</p>`
			}
			site.Page(infoPage(info, post), "Content-Type: text/html")(rw, r)
		})
		s.Get("/shop")
		s.Get("/shop/desk-1")
		require.Contains(t, s.Get("/shop").CacheStatus(), "hit")
		s.Get("/forum/help-1/question-2", "Range: bytes=0-9999") // asks for themselves
		assert.Contains(t, s.Get("/shop").CacheStatus(), "hit", "nothing was purged")
		s.Get("/shop/desk-2")
		assert.Contains(t, s.Get("/shop/desk-2").CacheStatus(), "hit", "pages are stored as before")
	})
}

// TestAFilterOfDatabasesIsStored: a field that a middleware in front sets is part of the key,
// also where pages are in Redis.
func TestAFilterOfDatabasesIsStored(t *testing.T) {
	server := stack.StartServer(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asPreset(site.Options{"redis": site.Options{"address": server.Address}}), func(rw http.ResponseWriter, r *http.Request) {
			site.Page(site.HTMLPage("of "+strings.Join(r.Header["X-Odoo-Dbfilter"], "|")+"."), "Content-Type: text/html")(rw, r)
		})
		for i := 0; i < 3; i++ {
			for _, c := range [][]string{{}, {"^shop$"}, {"^other$"}, {"^shop$", "^other$"}, {"^shop$, ^other$"}} {
				var lines []string
				for _, value := range c {
					lines = append(lines, "X-Odoo-Dbfilter: "+value)
				}
				got := s.Get("/shop", lines...)
				assert.Contains(t, got.Body, "of "+strings.Join(c, "|")+".", "%q", c)
				if i > 0 {
					assert.Contains(t, got.CacheStatus(), "; hit", "%q", c)
				}
			}
		}
	})
}

// TestAFillHeaderThatIsUsual: a field in fill.headers is part of the key, also on the short way.
func TestAFillHeaderThatIsUsual(t *testing.T) {
	for _, name := range []string{"Cf-Ipcountry", "X-Requested-With", "Cf-Visitor", "Priority", "Dnt", "Save-Data"} {
		t.Run(name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := site.New(t, load, asPreset(site.Options{"fill": site.Options{"headers": []string{name}}}), func(rw http.ResponseWriter, r *http.Request) {
					site.Page(site.HTMLPage("for "+r.Header.Get(name)+"."), "Content-Type: text/html")(rw, r)
				})
				for i := 0; i < 4; i++ {
					require.Contains(t, s.Get("/shop").Body, "for .")
				}
				for i := 0; i < 3; i++ {
					assert.Contains(t, s.Get("/shop", name+": FR").Body, "for FR.")
				}
				for i := 0; i < 3; i++ {
					assert.Contains(t, s.Get("/shop", name+": US").Body, "for US.")
				}
			})
		})
	}
}

// TestDatabasesShareNothing: the fields that choose a database count beside those that fill.headers names.
func TestDatabasesShareNothing(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, name := range []string{"X-Odoo-Dbfilter", "X-Odoo-Database"} {
			s := site.New(t, load, asPreset(site.Options{"fill": site.Options{"headers": []string{"X-Shop"}}}), func(rw http.ResponseWriter, r *http.Request) {
				site.Page(site.HTMLPage("of "+r.Header.Get(name)+"."), "Content-Type: text/html")(rw, r)
			})
			for i := 0; i < 3; i++ {
				for _, value := range []string{"a", "b"} {
					assert.Contains(t, s.Get("/shop", name+": "+value).Body, "of "+value+".")
				}
			}
			assert.Equal(t, 2, s.Renders())
		}
	})
}

// TestARedirectKeepsTheQuery: a redirect to the page's own address has what the visitor's query had.
func TestARedirectKeepsTheQuery(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asPreset(nil), func(rw http.ResponseWriter, r *http.Request) {
			to := "/shop/customizable-desk-1"
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			http.Redirect(rw, r, to, http.StatusMovedPermanently)
		})
		for _, query := range []string{"", "?gclid=abc", "?utm_source=x&page=2", "?utm_source=x&gclid=abc", ""} {
			assert.Equal(t, "/shop/customizable-desk-1"+query, s.Get("/shop/desk-1"+query).Header.Get("Location"))
		}
	})
}

// TestGivenAnswersVary: an answer that is given without being stored (404, a redirect in its
// module) is for those alone who send what it differs by, as one that is stored.
func TestGivenAnswersVary(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asPreset(nil), func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Vary", "X-Region")
			region := r.Header.Get("X-Region")
			if r.URL.Path == "/shop" {
				site.Page(site.HTMLPage("of "+region+"."), "Content-Type: text/html", "Vary: X-Region")(rw, r)
				return
			}
			http.Redirect(rw, r, "/shop/category/desks-"+map[string]string{"": "1", "EU": "2"}[region], http.StatusFound)
		})
		assert.Contains(t, s.Get("/shop", "X-Region: EU").Body, "of EU.", "stored pages are right")
		assert.Equal(t, "/shop/category/desks-2", s.Get("/shop/category/desks-9", "X-Region: EU").Header.Get("Location"))
	})
}

// TestProbedByContent: an Odoo that does not write the country (14): a page whose author has
// written the words.
func TestProbedByContent(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asPreset(nil), func(rw http.ResponseWriter, r *http.Request) {
			body := "x"
			if strings.HasPrefix(r.URL.Path, "/forum") {
				body = `<p>How do I read "geoip_country_code": "FR" in a module?</p>`
			}
			site.Page(site.HTMLPage(body), "Content-Type: text/html")(rw, r)
		})
		s.Get("/shop")
		require.Contains(t, s.Get("/shop").CacheStatus(), "hit")
		s.Get("/forum/help-1/question-2") // a plain GET
		assert.Contains(t, s.Get("/shop").CacheStatus(), "hit", "nothing was purged")
	})
}
