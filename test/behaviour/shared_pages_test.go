package behaviour_test

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

	"github.com/odoocache/odoocache/test/site"
)

// TestCookiesOfA304AreNotStored: what a confirmed response sets for one visitor is
// in no hit after it.
func TestCookiesOfA304AreNotStored(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "cookies": site.Options{"drop": []string{"session_id"}}, "session": "ignore"}}}
		s := site.New(t, load, rules, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") == `"a"` {
				rw.Header().Set("X-Odoo-Cache", "public, ttl=60")
				rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(1))
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			site.Page("x", "X-Odoo-Cache: public, ttl=50ms")(rw, r)
		})
		s.Get("/f")
		time.Sleep(60 * time.Millisecond)
		mine := s.Get("/f", "Cookie: session_id="+site.SessionID(1))
		require.Contains(t, mine.CacheStatus(), "fwd-status=304; stored")
		for i := 0; i < 3; i++ {
			got := s.Get("/f")
			require.Contains(t, got.CacheStatus(), "; hit")
			assert.Empty(t, got.Header["Set-Cookie"], "the cookie of the one who asked first")
		}
	})
}

// TestRewarmAsksWhoAnswered: two routers with one middleware lead to two servers;
// the pages of each are asked for there.
func TestRewarmAsksWhoAnswered(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		o := site.Options{"tenant": fmt.Sprint("routers", site.Tenants.Add(1)), "rewarm": "5", "purge": site.Options{"networks": []string{"127.0.0.1"}}}
		server := func(name string) *httptest.Server {
			h, err := load(context.Background(), site.Page("of "+name, "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all"), o)
			require.NoError(t, err)
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			return s
		}
		shop, blog := server("shop"), server("blog")
		get := func(s *httptest.Server, host string) site.Reply {
			got, err := site.Send(http.MethodGet, s.URL+"/page", "", site.Fields("Host: "+host))
			require.NoError(t, err)
			return got
		}
		for i := 0; i < 4; i++ {
			require.Equal(t, "of blog", get(blog, "blog.example").Body)
		}
		got, err := site.Send("PURGE", shop.URL+"/.odoocache/purge", `{"tags":["all"]}`, site.Fields("Host: shop.example"))
		require.NoError(t, err)
		require.Equal(t, 200, got.Status)
		require.Never(t, func() bool {
			return get(blog, "blog.example").Body != "of blog"
		}, 200*time.Millisecond, 20*time.Millisecond)
	})
}

// TestLongDownloads: the time that a request which others wait for may take does not
// break off a download that nobody waits for any more.
func TestLongDownloads(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, control := range []string{"private", "max-age=60"} {
			s := site.New(t, load, site.Options{"limits": site.Options{"fetchTimeout": "100ms"}}, func(rw http.ResponseWriter, r *http.Request) {
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
			got, err := site.Send(http.MethodGet, s.URL+"/file", "", http.Header{})
			assert.NoError(t, err, control)
			assert.Equal(t, strings.Repeat("part", 10), got.Body, control)
		}
	})
}

// TestOnesOwnContextHoldsUpOnlyIts: who asks in a way of their own cannot keep
// others from sharing.
func TestOnesOwnContextHoldsUpOnlyIts(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		answer := site.Page("a page", "Cache-Control: max-age=60", "X-Odoo-Cache-Context: 0")
		s := newCrowdedSite(t, load, site.Options{"rules": []site.Options{{"match": site.Everything, "fill": "nobody"}}}, answer)
		s.Get("/", "Cookie: odoocache_context=0123456789abcdef")
		require.Equal(t, 2, s.Renders(), "as nobody of this context, and as oneself")
		g := site.NewGate(t)
		s.Answers(g.Behind(answer))
		c := site.NewCrowd(t, g)
		c.Ask(5, s.URL+"/")
		s.Waiting(4)
		g.Open()
		c.All()
		assert.Equal(t, 3, s.Renders())
	})
}

// TestA304ThatIsForOneAlone: those who wait do not go to the origin one by one.
func TestA304ThatIsForOneAlone(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := newCrowdedSite(t, load, nil, site.Page("old", "X-Odoo-Cache: public, ttl=50ms", `ETag: "a"`))
		s.Get("/")
		time.Sleep(60 * time.Millisecond)
		first := site.NewGate(t)
		answer := func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Etag", `"a"`)
			rw.Header().Set("Cache-Control", "no-store")
			rw.WriteHeader(http.StatusNotModified)
		}
		s.Answers(first.Behind(answer))
		c := site.NewCrowd(t, first)
		c.Ask(10, s.URL+"/")
		s.Waiting(9)
		rest := site.NewGate(t)
		s.Answers(rest.Behind(answer))
		first.Open()
		require.Eventually(t, func() bool { return s.Renders() == 11 }, site.WaitFor, site.Tick, "nine ask at once")
		rest.Open()
		c.All()
	})
}

// TestARefusalDoesNotLetSessionsIn: once the answer to nobody could not be stored,
// that to a session is not stored, either.
func TestARefusalDoesNotLetSessionsIn(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "fill": "nobody", "cookies": site.Options{"drop": []string{"session_id"}}}}}
		refuses := true
		s := site.New(t, load, rules, func(rw http.ResponseWriter, r *http.Request) {
			who := "nobody"
			if c, err := r.Cookie("session_id"); err == nil {
				who = c.Value
			} else if r.URL.Path == "/begin" {
				rw.Header().Set("X-Odoo-Cache", "no-store")
				rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(1)+"; Path=/")
			} else if refuses {
				rw.Header().Set("X-Odoo-Cache", "no-store")
			}
			site.Page("for "+who)(rw, r)
		})
		s.Get("/begin")
		s.Get("/a", "Cookie: session_id="+site.SessionID(1))
		refuses = false
		s.Get("/a", "Cookie: session_id="+site.SessionID(1))
		assert.Equal(t, "for nobody", s.Get("/a").Body)
	})
}

// TestAFailureIsNoRefusal: an error of the origin says nothing of the page.
func TestAFailureIsNoRefusal(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "fill": "nobody", "cookies": site.Options{"drop": []string{"session_id"}}}}}
		s := newCrowdedSite(t, load, rules, func(rw http.ResponseWriter, r *http.Request) {
			site.Page("a page", "X-Odoo-Cache: no-store", "Set-Cookie: session_id="+site.SessionID(1)+"; Path=/")(rw, r)
		})
		s.Get("/begin")
		s.Answers(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
		assert.Equal(t, 503, s.Get("/a", "Cookie: session_id="+site.SessionID(1)).Status)
		before := s.Renders()
		g := site.NewGate(t)
		s.Answers(g.Behind(site.Page("a page")))
		c := site.NewCrowd(t, g)
		c.Ask(5, s.URL+"/a", "Cookie: session_id="+site.SessionID(1))
		s.Waiting(4)
		g.Open()
		c.All()
		assert.Equal(t, before+1, s.Renders())
	})
}

// TestRewarmAfterHead: a HEAD is not what a page is asked for with.
func TestRewarmAfterHead(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := newCrowdedSite(t, load, site.Options{"rewarm": "5"}, site.Page("a page", "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all"))
		for i := 0; i < 4; i++ {
			s.Get("/a")
		}
		s.Do(http.MethodHead, "/a", "")
		require.Equal(t, 200, s.Do("PURGE", "/.odoocache/purge", `{"tags":["all"]}`).Status)
		require.Eventually(t, func() bool { return s.Renders() == 2 }, site.WaitFor, site.Tick)
		assert.Equal(t, http.MethodGet, s.Request().Method)
	})
}

// TestRewarmNamesNobody: no visitor's address or browser goes with the request.
func TestRewarmNamesNobody(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := newCrowdedSite(t, load, site.Options{"rewarm": "5"}, site.Page("a page", "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all"))
		for i := 0; i < 4; i++ {
			s.Get("/a", "X-Forwarded-For: 192.0.2.7", "X-Real-Ip: 192.0.2.7", "Forwarded: for=192.0.2.7", "User-Agent: mine", "Cookie: a=b")
		}
		require.Equal(t, 200, s.Do("PURGE", "/.odoocache/purge", `{"tags":["all"]}`).Status)
		require.Eventually(t, func() bool { return s.Renders() == 2 }, site.WaitFor, site.Tick)
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Cookie"} {
			assert.Empty(t, s.Request().Header[name], name)
		}
	})
}

// TestAPurgeIsNoRefusal: that a page was purged while it was rendered says nothing of the
// page. The next visitor with a session fills the cache.
func TestAPurgeIsNoRefusal(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "fill": "nobody", "cookies": site.Options{"drop": []string{"session_id"}}}}}
		s := newCrowdedSite(t, load, rules, site.Page("begun", "X-Odoo-Cache: no-store", "Set-Cookie: session_id="+site.SessionID(1)+"; Path=/"))
		s.Get("/begin")
		const mine = "Cookie: session_id="
		s.Answers(func(rw http.ResponseWriter, r *http.Request) {
			assert.Equal(t, 200, s.Do("PURGE", "/a", "").Status)
			site.Page("a page")(rw, r)
		})
		assert.Equal(t, "a page", s.Get("/a", mine+site.SessionID(1)).Body)
		s.Answers(site.Page("a page"))
		assert.Contains(t, s.Get("/a", mine+site.SessionID(1)).CacheStatus(), "; stored")
		assert.Contains(t, s.Get("/a", mine+site.SessionID(1)).CacheStatus(), "; hit")
	})
}
