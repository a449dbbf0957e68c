package odoocache_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestUsualFieldsOfMiddlewares: a field that most requests have may be one that a middleware
// sets for Odoo, too.
func TestUsualFieldsOfMiddlewares(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, field := range []string{"CF-IPCountry", "Cf-Visitor", "X-Requested-With"} {
			o := asNobody(nil)
			o["fill"] = options{"headers": []string{field}}
			s := newSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
				page("field "+r.Header.Get(field))(rw, r)
			})
			for round := 0; round < 4; round++ {
				for _, value := range []string{"", "a", "b"} {
					if value == "" {
						assert.Equal(t, "field ", s.get("/").body)
						continue
					}
					assert.Equal(t, "field "+value, s.get("/", field+": "+value).body)
				}
			}
			assert.Equal(t, 3, s.renders())
		}
	})
}

// TestPlainRulesKnowNoSessions: what is ready for everybody is for a session of a plain rule
// where the long way says so, and nowhere else.
func TestPlainRulesKnowNoSessions(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, cookie := range []string{"odoocache_context=0; session_id=" + sid(1), "session_id=" + sid(2)} {
			s := newSite(t, load, options{"rules": []options{{"match": everything, "ttl": "60"}}}, func(rw http.ResponseWriter, r *http.Request) {
				page("page")(rw, r)
			})
			for i := 0; i < 4; i++ {
				s.get("/")
			}
			assert.NotContains(t, s.get("/", "Cookie: "+cookie).cacheStatus(), "; hit", cookie)
		}
	})
}

// TestALargeFileLeavesTheSession: the session that Odoo begins for nobody does not take the
// place of the visitor's.
func TestALargeFileLeavesTheSession(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, announced := range []bool{true, false} {
			for _, session := range []string{"ignore", ""} {
				s := newSite(t, load, asNobody(options{"maxBody": "1000", "session": session}), func(rw http.ResponseWriter, r *http.Request) {
					if !strings.Contains(r.Header.Get("Cookie"), "session_id=") {
						rw.Header().Set("Set-Cookie", "session_id="+sid(7))
					}
					if announced {
						page(strings.Repeat("x", 4000), "Content-Type: image/png")(rw, r)
					} else {
						rw.Header().Set("Content-Type", "image/png")
						_, _ = io.WriteString(rw, strings.Repeat("x", 2000))
						_, _ = io.WriteString(rw, strings.Repeat("x", 2000))
					}
				})
				got := s.get("/image", "Cookie: odoocache_context=0; session_id="+sid(1))
				assert.Len(t, got.body, 4000)
				assert.Empty(t, got.header["Set-Cookie"])
				assert.Contains(t, got.cacheStatus(), "detail=too-large")
			}
		}
	})
}

// TestARefusedAnswerIsNotAFailure: what is cut off since it is for nobody else lets no stale
// copy stand in.
func TestARefusedAnswerIsNotAFailure(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, asNobody(options{"ttl": "50ms", "staleIfError": "1h"}), page(htmlPage("old"), "Content-Type: text/html"))
		s.get("/")
		s.answers(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "private")
			for i := 0; i < 10; i++ {
				if _, err := io.WriteString(rw, strings.Repeat("x", 10000)); err != nil {
					panic(http.ErrAbortHandler) // as Traefik's proxy does
				}
			}
		})
		time.Sleep(60 * time.Millisecond)
		got := s.get("/")
		assert.Len(t, got.body, 100000)
		assert.Contains(t, got.cacheStatus(), "detail=private")
	})
}

// TestACountryThatNobodyTells: where no probe tells whether pages depend on the country, a page
// is not asked for again and again.
func TestACountryThatNobodyTells(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		var n atomic.Int64
		o := asNobody(options{"vary": options{"headers": []string{"CF-IPCountry"}}})
		o["country"] = options{"header": "CF-IPCountry"}
		s := newCrowdedSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			n.Add(1)
			if r.URL.RawQuery == "" {
				rw.WriteHeader(404)
				return
			}
			page(htmlPage(`"geoip_country_code": null`), "Content-Type: text/html")(rw, r)
		})
		got := s.get("/shop?x=1", "CF-IPCountry: XX")
		assert.Equal(t, 200, got.status)
		assert.Less(t, n.Load(), int64(12))
	})
}

// TestALockOfOneWhoAsksForThemselves: nobody waits for an answer that is for one visitor.
func TestALockOfOneWhoAsksForThemselves(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		server := startServer(t, "--appendonly", "no")
		var held, own atomic.Int64
		o := asNobody(nil)
		o["redis"] = options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"}
		s := newSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Disable-Tracking") == "" {
				own.Add(1)
				for _, key := range strings.Fields(server.must("KEYS oc:*:l:*")) {
					if !strings.Contains(server.must("GET "+key), "!") {
						held.Add(1)
					}
				}
			}
			page("mine", "Set-Cookie: ab=1")(rw, r)
		})
		for i := 0; i < 14; i++ {
			s.get("/" + strings.Repeat("p", i+1))
		}
		assert.EqualValues(t, 14, own.Load())
		assert.Zero(t, held.Load())
	})
}

// TestStrangersContextsEndNoRule: contexts that somebody makes up keep nobody else from being
// answered as nobody.
func TestStrangersContextsEndNoRule(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, asNobody(nil), page(htmlPage("page"), "Content-Type: text/html"))
		for i := 0; i < 20; i++ {
			assert.Contains(t, s.get("/", "Cookie: odoocache_context=made-up-by-somebody-"+strings.Repeat("x", i)).cacheStatus(), "detail=context")
		}
		for i := 0; i < 5; i++ {
			assert.Contains(t, s.get("/"+strings.Repeat("p", i+1)).cacheStatus(), "stored")
		}
	})
}

// TestAnAddressIsForItsVisitor: an error that shows the address that it was asked from is not
// given to others who wait.
func TestAnAddressIsForItsVisitor(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		const first, other = "203.0.113.7", "203.0.113.8"
		g := newGate(t)
		o := asNobody(options{"vary": options{"headers": []string{"CF-IPCountry"}}})
		o["country"] = options{"header": "CF-IPCountry", "geoip": "true"}
		var n atomic.Int64
		s := newCrowdedSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				<-g.ch
			}
			rw.WriteHeader(503)
			_, _ = io.WriteString(rw, "no service for "+r.Header.Get("X-Forwarded-For"))
		})
		c, d := newCrowd(t, g), newCrowd(t, g)
		c.ask(1, s.url+"/", "CF-IPCountry: FR", "X-Forwarded-For: "+first)
		assert.Eventually(t, func() bool { return n.Load() == 1 }, waitFor, tick)
		d.ask(3, s.url+"/", "CF-IPCountry: FR", "X-Forwarded-For: "+other)
		s.waiting(3)
		g.open()
		assert.Contains(t, c.all()[0].body, first)
		for _, r := range d.all() {
			assert.Equal(t, 503, r.status)
			assert.Contains(t, r.body, other)
		}
	})
}

// TestAPageWithAnAddress: a page for a country that shows the address it was asked from is not
// for others of that country.
func TestAPageWithAnAddress(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, shows := range []bool{true, false} {
			o := asNobody(options{"vary": options{"headers": []string{"CF-IPCountry"}}})
			o["country"] = options{"header": "CF-IPCountry", "geoip": "true"}
			s := newCrowdedSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
				body := "hello"
				if shows {
					body = "you are " + r.Header.Get("X-Forwarded-For")
				}
				page(infoPage(`"geoip_country_code": "FR"`, body), "Content-Type: text/html")(rw, r)
			})
			for _, from := range []string{"203.0.113.7", "203.0.113.8", "2001:db8::7, 203.0.113.9"} {
				got := s.get("/", "CF-IPCountry: FR", "X-Forwarded-For: "+from)
				if shows {
					assert.Contains(t, got.body, "you are "+from)
				}
			}
			assert.Equal(t, !shows, strings.Contains(s.get("/", "CF-IPCountry: FR", "X-Forwarded-For: 203.0.113.7").cacheStatus(), "; hit"))
		}
	})
}

// TestAMissingPageWithAToken: where forms are not completed, nobody's token is not given to a
// visitor: it is of a session that they do not have.
func TestAMissingPageWithAToken(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		token := strings.Repeat("a", 40) + "o1999999999"
		for _, mode := range []string{"refuse", "complete", "ignore"} {
			o := asNobody(options{"status": []string{"200"}})
			o["csrf"] = options{"mode": mode}
			s := newSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/html")
				if r.Header.Get("X-Disable-Tracking") != "" {
					rw.Header().Set("Set-Cookie", "session_id="+sid(7))
				}
				rw.WriteHeader(404)
				_, _ = io.WriteString(rw, htmlPage(`<input name="csrf_token" value="`+token+`">`))
			})
			for i := 0; i < 10; i++ {
				got := s.get("/" + strings.Repeat("p", i+1))
				assert.Equal(t, 404, got.status)
				if mode == "refuse" {
					assert.Contains(t, got.body, token)
					assert.Contains(t, got.cacheStatus(), "detail=csrf")
					assert.Empty(t, s.request().Header.Get("X-Disable-Tracking"), "they ask for themselves")
				}
				if mode == "complete" {
					assert.NotContains(t, got.body, token)
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
			both(t, func(t *testing.T, load loader) {
				s := newCrowdedSite(t, load, asNobody(nil), answer)
				for i := 0; i < 5; i++ {
					_, _ = send(http.MethodGet, s.url+"/page", "", http.Header{})
				}
				assert.LessOrEqual(t, s.renders(), 6, "five visits")
				before := s.renders()
				g := newGate(t)
				s.answers(g.behind(answer))
				var done sync.WaitGroup
				for i := 0; i < 10; i++ {
					done.Add(1)
					go func() {
						defer done.Done()
						_, _ = send(http.MethodGet, s.url+"/slow", "", http.Header{})
					}()
				}
				s.waiting(9)
				g.open()
				done.Wait()
				assert.Equal(t, 11, s.renders()-before, "one as nobody, ten for themselves")
			})
		})
	}
}
