package behaviour_test

import (
	"io"
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

// TestUsualFieldsOfMiddlewares: a field that most requests have may be one that a middleware
// sets for Odoo, too.
func TestUsualFieldsOfMiddlewares(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, field := range []string{"CF-IPCountry", "Cf-Visitor", "X-Requested-With"} {
			o := asNobody(nil)
			o["fill"] = site.Options{"headers": []string{field}}
			s := site.New(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
				site.Page("field "+r.Header.Get(field))(rw, r)
			})
			for round := 0; round < 4; round++ {
				for _, value := range []string{"", "a", "b"} {
					if value == "" {
						assert.Equal(t, "field ", s.Get("/").Body)
						continue
					}
					assert.Equal(t, "field "+value, s.Get("/", field+": "+value).Body)
				}
			}
			assert.Equal(t, 3, s.Renders())
		}
	})
}

// TestPlainRulesKnowNoSessions: what is ready for everybody is for a session of a plain rule
// where the long way says so, and nowhere else.
func TestPlainRulesKnowNoSessions(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, cookie := range []string{"odoocache_context=0; session_id=" + site.SessionID(1), "session_id=" + site.SessionID(2)} {
			s := site.New(t, load, site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60"}}}, func(rw http.ResponseWriter, r *http.Request) {
				site.Page("page")(rw, r)
			})
			for i := 0; i < 4; i++ {
				s.Get("/")
			}
			assert.NotContains(t, s.Get("/", "Cookie: "+cookie).CacheStatus(), "; hit", cookie)
		}
	})
}

// TestWhatDependsOnNoSessionIsOfNoContext: a file is one for all, whatever the context cookie
// says: Odoo is asked for it once, in the context of nobody.
func TestWhatDependsOnNoSessionIsOfNoContext(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(site.Options{"session": "ignore"}), func(rw http.ResponseWriter, r *http.Request) {
			site.Page(r.Header.Get("X-Odoo-Cache-Context")+r.Header.Get("Cookie"), "Content-Type: image/png")(rw, r)
		})
		for _, cookie := range []string{"odoocache_context=a-context.that-is-signed", "odoocache_context=private", "odoocache_context=0; session_id=" + site.SessionID(1), "a=b"} {
			got := s.Get("/image", "Cookie: "+cookie)
			assert.Equal(t, "0", got.Body, cookie)
			assert.NotContains(t, got.CacheStatus(), "detail", cookie)
		}
		assert.Equal(t, 1, s.Renders())
	})
}

// TestALargeFileLeavesTheSession: the session that Odoo begins for nobody does not take the
// place of the visitor's.
func TestALargeFileLeavesTheSession(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, announced := range []bool{true, false} {
			for _, session := range []string{"ignore", ""} {
				s := site.New(t, load, asNobody(site.Options{"maxBody": "1000", "session": session}), func(rw http.ResponseWriter, r *http.Request) {
					if !strings.Contains(r.Header.Get("Cookie"), "session_id=") {
						rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(7))
					}
					if announced {
						site.Page(strings.Repeat("x", 4000), "Content-Type: image/png")(rw, r)
					} else {
						rw.Header().Set("Content-Type", "image/png")
						_, _ = io.WriteString(rw, strings.Repeat("x", 2000))
						_, _ = io.WriteString(rw, strings.Repeat("x", 2000))
					}
				})
				got := s.Get("/image", "Cookie: odoocache_context=0; session_id="+site.SessionID(1))
				assert.Len(t, got.Body, 4000)
				assert.Empty(t, got.Header["Set-Cookie"])
				assert.Contains(t, got.CacheStatus(), "detail=too-large")
			}
		}
	})
}

// TestARefusedAnswerIsNotAFailure: what is cut off since it is for nobody else lets no stale
// copy stand in.
func TestARefusedAnswerIsNotAFailure(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(site.Options{"ttl": "50ms", "staleIfError": "1h"}), site.Page(site.HTMLPage("old"), "Content-Type: text/html"))
		s.Get("/")
		s.Answers(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "private")
			for i := 0; i < 10; i++ {
				if _, err := io.WriteString(rw, strings.Repeat("x", 10000)); err != nil {
					panic(http.ErrAbortHandler) // as Traefik's proxy does
				}
			}
		})
		time.Sleep(60 * time.Millisecond)
		got := s.Get("/")
		assert.Len(t, got.Body, 100000)
		assert.Contains(t, got.CacheStatus(), "detail=private")
	})
}

// TestAPageThatEndedWhileItWasMade: that its prices changed by the clock says nothing of the
// next answer, here or by another Traefik.
func TestAPageThatEndedWhileItWasMade(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		server := stack.StartRedis(t)
		o := asNobody(site.Options{"ttl": "1h", "grace": "1h", "staleIfError": "1h"})
		o["redis"] = site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}
		s := site.New(t, load, o, site.Page(site.HTMLPage("old price"), "Content-Type: text/html", "X-Odoo-Cache: end=0"))
		assert.Contains(t, s.Get("/").CacheStatus(), "detail=ended")
		s.Answers(site.Page(site.HTMLPage("new price"), "Content-Type: text/html"))
		require.Eventually(t, func() bool { return strings.Contains(s.Get("/").CacheStatus(), "; hit") }, 3*time.Second, 100*time.Millisecond)
		assert.Contains(t, s.Get("/").Body, "new price")
	})
}

// TestACountryThatNobodyTells: where no probe tells whether pages depend on the country, a page
// is not asked for again and again.
func TestACountryThatNobodyTells(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		var n atomic.Int64
		o := asNobody(site.Options{"vary": site.Options{"headers": []string{"CF-IPCountry"}}})
		o["country"] = site.Options{"header": "CF-IPCountry"}
		s := newCrowdedSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			n.Add(1)
			if r.URL.RawQuery == "" {
				rw.WriteHeader(404)
				return
			}
			site.Page(site.HTMLPage(`"geoip_country_code": null`), "Content-Type: text/html")(rw, r)
		})
		got := s.Get("/shop?x=1", "CF-IPCountry: XX")
		assert.Equal(t, 200, got.Status)
		assert.Less(t, n.Load(), int64(12))
	})
}

// TestALockOfOneWhoAsksForThemselves: nobody waits for an answer that is for one visitor.
func TestALockOfOneWhoAsksForThemselves(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		server := stack.StartServer(t, "--appendonly", "no")
		var held, own atomic.Int64
		o := asNobody(nil)
		o["redis"] = site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}
		s := site.New(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Disable-Tracking") == "" {
				own.Add(1)
				for _, key := range strings.Fields(server.Must("KEYS oc:*:l:*")) {
					if !strings.Contains(server.Must("GET "+key), "!") {
						held.Add(1)
					}
				}
			}
			site.Page("mine", "Set-Cookie: ab=1")(rw, r)
		})
		for i := 0; i < 14; i++ {
			s.Get("/" + strings.Repeat("p", i+1))
		}
		assert.EqualValues(t, 14, own.Load())
		assert.Zero(t, held.Load())
	})
}

// TestStrangersContextsEndNoRule: contexts that somebody makes up keep nobody else from being
// answered as nobody.
func TestStrangersContextsEndNoRule(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(nil), site.Page(site.HTMLPage("page"), "Content-Type: text/html"))
		for i := 0; i < 20; i++ {
			assert.Contains(t, s.Get("/", "Cookie: odoocache_context=made-up-by-somebody-"+strings.Repeat("x", i)).CacheStatus(), "detail=context")
		}
		for i := 0; i < 5; i++ {
			assert.Contains(t, s.Get("/"+strings.Repeat("p", i+1)).CacheStatus(), "stored")
		}
	})
}

// TestAnAddressIsForItsVisitor: nobody's address is in what is asked for a country, and an error that shows
// the network that it was asked from is not given to others who wait.
func TestAnAddressIsForItsVisitor(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		const first, other = "203.0.113.7", "198.51.100.8"
		g := site.NewGate(t)
		o := asNobody(site.Options{"vary": site.Options{"headers": []string{"CF-IPCountry"}}})
		o["country"] = site.Options{"header": "CF-IPCountry", "geoip": "true"}
		var n atomic.Int64
		s := newCrowdedSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				<-g.Ch
			}
			rw.WriteHeader(503)
			_, _ = io.WriteString(rw, "no service for "+r.Header.Get("X-Forwarded-For"))
		})
		c, d := site.NewCrowd(t, g), site.NewCrowd(t, g)
		c.Ask(1, s.URL+"/", "CF-IPCountry: FR", "X-Forwarded-For: "+first)
		assert.Eventually(t, func() bool { return n.Load() == 1 }, site.WaitFor, site.Tick)
		d.Ask(3, s.URL+"/", "CF-IPCountry: FR", "X-Forwarded-For: "+other)
		s.Waiting(3)
		g.Open()
		assert.Equal(t, "no service for 203.0.113.0", c.All()[0].Body)
		for _, r := range d.All() {
			assert.Equal(t, 503, r.Status)
			assert.Equal(t, "no service for 198.51.100.0", r.Body)
		}
	})
}

// TestAPageWithAnAddress: a page for a country that shows the address it was asked from is not
// for others of that country.
func TestAPageWithAnAddress(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, shows := range []bool{true, false} {
			o := asNobody(site.Options{"vary": site.Options{"headers": []string{"CF-IPCountry"}}})
			o["country"] = site.Options{"header": "CF-IPCountry", "geoip": "true"}
			s := newCrowdedSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
				body := "hello"
				if shows {
					body = "you are " + r.Header.Get("X-Forwarded-For")
				}
				site.Page(infoPage(`"geoip_country_code": "FR"`, body), "Content-Type: text/html")(rw, r)
			})
			for _, from := range []string{"203.0.113.7", "203.0.113.8", "2001:db8::7, 203.0.113.9"} {
				got := s.Get("/", "CF-IPCountry: FR", "X-Forwarded-For: "+from)
				if shows {
					assert.Contains(t, got.Body, "you are "+from)
				}
			}
			assert.Equal(t, !shows, strings.Contains(s.Get("/", "CF-IPCountry: FR", "X-Forwarded-For: 203.0.113.7").CacheStatus(), "; hit"))
		}
	})
}

// TestAMissingPageWithAToken: where forms are not completed, nobody's token is not given to a
// visitor: it is of a session that they do not have.
func TestAMissingPageWithAToken(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		token := strings.Repeat("a", 40) + "o1999999999"
		for _, mode := range []string{"refuse", "complete", "ignore"} {
			o := asNobody(site.Options{"status": []string{"200"}})
			o["csrf"] = site.Options{"mode": mode}
			s := site.New(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/html")
				if r.Header.Get("X-Disable-Tracking") != "" {
					rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(7))
				}
				rw.WriteHeader(404)
				_, _ = io.WriteString(rw, site.HTMLPage(`<input name="csrf_token" value="`+token+`">`))
			})
			for i := 0; i < 10; i++ {
				got := s.Get("/" + strings.Repeat("p", i+1))
				assert.Equal(t, 404, got.Status)
				if mode == "refuse" {
					assert.Contains(t, got.Body, token)
					assert.Contains(t, got.CacheStatus(), "detail=csrf")
					assert.Empty(t, s.Request().Header.Get("X-Disable-Tracking"), "they ask for themselves")
				}
				if mode == "complete" {
					assert.NotContains(t, got.Body, token)
				}
			}
		}
	})
}

// TestWhatCannotBeKeptIsNoQueue: those who wait for an answer that says nothing of the page, or
// not where it ends, ask for themselves at once, and nobody waits for the next one.
func TestWhatCannotBeKeptIsNoQueue(t *testing.T) {
	breaks := func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "<html>")
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"a stylesheet without a length": chunked("a{}", "Content-Type: text/css"),
		"a script after the page":       chunked("<html></html><script>track()</script>", "Content-Type: text/html"),
		"too many requests":             func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTooManyRequests) },
		"breaks off":                    breaks,
	} {
		t.Run(name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := newCrowdedSite(t, load, asNobody(nil), answer)
				for i := 0; i < 5; i++ {
					_, _ = site.Send(http.MethodGet, s.URL+"/page", "", http.Header{})
				}
				more := 0
				if strings.Contains(name, "without a length") {
					more = 1 // in gzip, which would tell its end
				}
				assert.LessOrEqual(t, s.Renders(), 6+more, "five visits")
				before := s.Renders()
				g := site.NewGate(t)
				s.Answers(g.Behind(answer))
				var done sync.WaitGroup
				for i := 0; i < 10; i++ {
					done.Add(1)
					go func() {
						defer done.Done()
						_, _ = site.Send(http.MethodGet, s.URL+"/slow", "", http.Header{})
					}()
				}
				s.Waiting(9)
				g.Open()
				done.Wait()
				assert.Equal(t, 11+more, s.Renders()-before, "one as nobody, ten for themselves")
			})
		})
	}
}

// TestAPassingAnswerIsForgotten: one that is limited, late or broken off says nothing of the page: the next
// visitors but those of a moment are served from one render again.
func TestAPassingAnswerIsForgotten(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for name, first := range map[string]http.HandlerFunc{
			"429": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTooManyRequests) },
			"408": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusRequestTimeout) },
			"broken off": func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Length", "1000")
				_, _ = rw.Write([]byte("<html>"))
				panic(http.ErrAbortHandler)
			},
		} {
			var asked atomic.Int64
			s := site.New(t, load, site.Options{"preset": "odoo"}, func(rw http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					first(rw, r)
					return
				}
				site.Page(site.HTMLPage("the page"), "Content-Type: text/html; charset=utf-8", "X-Odoo-Cache: public, ttl=600")(rw, r)
			})
			_, _ = site.Send(http.MethodGet, s.URL+"/shop", "", http.Header{})
			time.Sleep(1100 * time.Millisecond)
			for i := 0; i < 10; i++ {
				assert.Contains(t, s.Get("/shop").Body, "the page", name)
			}
			assert.LessOrEqual(t, s.Renders(), 4, "%s: and not each time", name)
			assert.Contains(t, s.Get("/shop").CacheStatus(), "; hit", name)
		}
	})
}
