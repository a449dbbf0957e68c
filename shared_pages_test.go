package odoocache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCookiesOfA304AreNotStored: what a confirmed response sets for one visitor is
// in no hit after it.
func TestCookiesOfA304AreNotStored(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		rules := options{"rules": []options{{"match": everything, "cookies": options{"drop": []string{"session_id"}}, "session": "ignore"}}}
		s := newSite(t, load, rules, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") == `"a"` {
				rw.Header().Set("X-Odoo-Cache", "public, ttl=60")
				rw.Header().Set("Set-Cookie", "session_id="+sid(1))
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			page("x", "X-Odoo-Cache: public, ttl=50ms")(rw, r)
		})
		s.get("/f")
		time.Sleep(60 * time.Millisecond)
		mine := s.get("/f", "Cookie: session_id="+sid(1))
		require.Contains(t, mine.cacheStatus(), "fwd-status=304; stored")
		for i := 0; i < 3; i++ {
			got := s.get("/f")
			require.Contains(t, got.cacheStatus(), "; hit")
			assert.Empty(t, got.header["Set-Cookie"], "the cookie of the one who asked first")
		}
	})
}

// TestRewarmAsksWhoAnswered: two routers with one middleware lead to two servers;
// the pages of each are asked for there.
func TestRewarmAsksWhoAnswered(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		o := options{"tenant": fmt.Sprint("routers", tenants.Add(1)), "rewarm": "5", "purge": options{"networks": []string{"127.0.0.1"}}}
		server := func(name string) *httptest.Server {
			h, err := load(context.Background(), page("of "+name, "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all"), o)
			require.NoError(t, err)
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			return s
		}
		shop, blog := server("shop"), server("blog")
		get := func(s *httptest.Server, host string) reply {
			got, err := send(http.MethodGet, s.URL+"/page", "", fields("Host: "+host))
			require.NoError(t, err)
			return got
		}
		for i := 0; i < 4; i++ {
			require.Equal(t, "of blog", get(blog, "blog.example").body)
		}
		got, err := send("PURGE", shop.URL+"/.odoocache/purge", `{"tags":["all"]}`, fields("Host: shop.example"))
		require.NoError(t, err)
		require.Equal(t, 200, got.status)
		require.Never(t, func() bool {
			return get(blog, "blog.example").body != "of blog"
		}, 200*time.Millisecond, 20*time.Millisecond)
	})
}

// TestLongDownloads: the time that a request which others wait for may take does not
// break off a download that nobody waits for any more.
func TestLongDownloads(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, control := range []string{"private", "max-age=60"} {
			s := newSite(t, load, options{"limits": options{"fetchTimeout": "100ms"}}, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Cache-Control", control)
				for i := 0; i < 10; i++ {
					_, _ = io.WriteString(rw, "part")
					select {
					case <-r.Context().Done():
						panic(http.ErrAbortHandler)
					case <-time.After(30 * time.Millisecond):
					}
				}
			})
			got, err := send(http.MethodGet, s.url+"/file", "", http.Header{})
			assert.NoError(t, err, control)
			assert.Equal(t, strings.Repeat("part", 10), got.body, control)
		}
	})
}

// TestOnesOwnContextHoldsUpOnlyIts: who asks in a way of their own cannot keep
// others from sharing.
func TestOnesOwnContextHoldsUpOnlyIts(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		answer := page("a page", "Cache-Control: max-age=60", "X-Odoo-Cache-Context: 0")
		s := newCrowdedSite(t, load, options{"rules": []options{{"match": everything, "fill": "nobody"}}}, answer)
		s.get("/", "Cookie: odoocache_context=0123456789abcdef")
		require.Equal(t, 2, s.renders(), "as nobody of this context, and as oneself")
		g := newGate(t)
		s.answers(g.behind(answer))
		c := newCrowd(t, g)
		c.ask(5, s.url+"/")
		s.waiting(4)
		g.open()
		c.all()
		assert.Equal(t, 3, s.renders())
	})
}

// TestA304ThatIsForOneAlone: those who wait do not go to the origin one by one.
func TestA304ThatIsForOneAlone(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newCrowdedSite(t, load, nil, page("old", "X-Odoo-Cache: public, ttl=50ms", `ETag: "a"`))
		s.get("/")
		time.Sleep(60 * time.Millisecond)
		first := newGate(t)
		answer := func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Etag", `"a"`)
			rw.Header().Set("Cache-Control", "no-store")
			rw.WriteHeader(http.StatusNotModified)
		}
		s.answers(first.behind(answer))
		c := newCrowd(t, first)
		c.ask(10, s.url+"/")
		s.waiting(9)
		rest := newGate(t)
		s.answers(rest.behind(answer))
		first.open()
		require.Eventually(t, func() bool { return s.renders() == 11 }, waitFor, tick, "nine ask at once")
		rest.open()
		c.all()
	})
}

// TestARefusalDoesNotLetSessionsIn: once the answer to nobody could not be stored,
// that to a session is not stored, either.
func TestARefusalDoesNotLetSessionsIn(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		rules := options{"rules": []options{{"match": everything, "ttl": "60", "fill": "nobody", "cookies": options{"drop": []string{"session_id"}}}}}
		refuses := true
		s := newSite(t, load, rules, func(rw http.ResponseWriter, r *http.Request) {
			who := "nobody"
			if c, err := r.Cookie("session_id"); err == nil {
				who = c.Value
			} else if r.URL.Path == "/begin" {
				rw.Header().Set("X-Odoo-Cache", "no-store")
				rw.Header().Set("Set-Cookie", "session_id="+sid(1)+"; Path=/")
			} else if refuses {
				rw.Header().Set("X-Odoo-Cache", "no-store")
			}
			page("for "+who)(rw, r)
		})
		s.get("/begin")
		s.get("/a", "Cookie: session_id="+sid(1))
		refuses = false
		s.get("/a", "Cookie: session_id="+sid(1))
		assert.Equal(t, "for nobody", s.get("/a").body)
	})
}

// TestAFailureIsNoRefusal: an error of the origin says nothing of the page.
func TestAFailureIsNoRefusal(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		rules := options{"rules": []options{{"match": everything, "ttl": "60", "fill": "nobody", "cookies": options{"drop": []string{"session_id"}}}}}
		s := newCrowdedSite(t, load, rules, func(rw http.ResponseWriter, r *http.Request) {
			page("a page", "X-Odoo-Cache: no-store", "Set-Cookie: session_id="+sid(1)+"; Path=/")(rw, r)
		})
		s.get("/begin")
		s.answers(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
		assert.Equal(t, 503, s.get("/a", "Cookie: session_id="+sid(1)).status)
		before := s.renders()
		g := newGate(t)
		s.answers(g.behind(page("a page")))
		c := newCrowd(t, g)
		c.ask(5, s.url+"/a", "Cookie: session_id="+sid(1))
		s.waiting(4)
		g.open()
		c.all()
		assert.Equal(t, before+1, s.renders())
	})
}

// TestRewarmAfterHead: a HEAD is not what a page is asked for with.
func TestRewarmAfterHead(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newCrowdedSite(t, load, options{"rewarm": "5"}, page("a page", "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all"))
		for i := 0; i < 4; i++ {
			s.get("/a")
		}
		s.do(http.MethodHead, "/a", "")
		require.Equal(t, 200, s.do("PURGE", "/.odoocache/purge", `{"tags":["all"]}`).status)
		require.Eventually(t, func() bool { return s.renders() == 2 }, waitFor, tick)
		assert.Equal(t, http.MethodGet, s.request().Method)
	})
}

// TestRewarmNamesNobody: no visitor's address or browser goes with the request.
func TestRewarmNamesNobody(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newCrowdedSite(t, load, options{"rewarm": "5"}, page("a page", "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all"))
		for i := 0; i < 4; i++ {
			s.get("/a", "X-Forwarded-For: 192.0.2.7", "X-Real-Ip: 192.0.2.7", "Forwarded: for=192.0.2.7", "User-Agent: mine", "Cookie: a=b")
		}
		require.Equal(t, 200, s.do("PURGE", "/.odoocache/purge", `{"tags":["all"]}`).status)
		require.Eventually(t, func() bool { return s.renders() == 2 }, waitFor, tick)
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Cookie"} {
			assert.Empty(t, s.request().Header[name], name)
		}
	})
}

// TestAPurgeIsNoRefusal: that a page was purged while it was rendered says nothing of the
// page. The next visitor with a session fills the cache.
func TestAPurgeIsNoRefusal(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		rules := options{"rules": []options{{"match": everything, "ttl": "60", "fill": "nobody", "cookies": options{"drop": []string{"session_id"}}}}}
		s := newCrowdedSite(t, load, rules, page("begun", "X-Odoo-Cache: no-store", "Set-Cookie: session_id="+sid(1)+"; Path=/"))
		s.get("/begin")
		const mine = "Cookie: session_id="
		s.answers(func(rw http.ResponseWriter, r *http.Request) {
			assert.Equal(t, 200, s.do("PURGE", "/a", "").status)
			page("a page")(rw, r)
		})
		assert.Equal(t, "a page", s.get("/a", mine+sid(1)).body)
		s.answers(page("a page"))
		assert.Contains(t, s.get("/a", mine+sid(1)).cacheStatus(), "; stored")
		assert.Contains(t, s.get("/a", mine+sid(1)).cacheStatus(), "; hit")
	})
}
