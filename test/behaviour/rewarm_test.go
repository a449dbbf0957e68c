package behaviour_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestRewarm: after a purge the popular pages are in the cache before their next
// visitor comes.
func TestRewarm(t *testing.T) {
	for _, level := range []string{"error", "debug"} {
		t.Run(level, func(t *testing.T) { testRewarm(t, level) })
	}
}

func testRewarm(t *testing.T, level string) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		version := "old"
		answer := func(rw http.ResponseWriter, r *http.Request) {
			site.Page(version+" "+r.URL.Path+" "+r.Header.Get("Accept-Language")+r.Header.Get("Cookie"), "Cache-Control: max-age=600", "Surrogate-Key: all")(rw, r)
		}
		s := newCrowdedSite(t, load, site.Options{"rewarm": "2", "logLevel": level}, answer)
		for n := 1; n <= 4; n++ { // /4 has the most hits
			for i := 0; i < 3+n; i++ {
				s.Get(fmt.Sprintf("/%d", n), "Accept-Language: fr", "Cookie: mine=1")
			}
		}
		require.Equal(t, 4, s.Renders())
		version = "new"
		s.Answers(answer)
		require.Equal(t, 200, s.Do("PURGE", "/.odoocache/purge", `{"tags":["all"]}`).Status)
		require.Eventually(t, func() bool { return s.Renders() == 6 }, site.WaitFor, site.Tick)
		require.Eventually(t, func() bool { return s.Get("/3").Body == "new /3 " }, site.WaitFor, site.Tick, "without anything of a visitor")
		for n, want := range map[int]string{4: "; hit", 3: "; hit", 2: "fwd=uri-miss", 1: "fwd=uri-miss"} {
			assert.Contains(t, s.Get(fmt.Sprintf("/%d", n)).CacheStatus(), want, "/%d", n)
		}
		assert.Equal(t, 8, s.Renders())
		require.Equal(t, 200, s.Do("PURGE", "/4", "").Status)
		require.Eventually(t, func() bool { return s.Renders() == 9 }, site.WaitFor, site.Tick)
		require.Equal(t, 200, s.Do("PURGE", "/.odoocache/purge", `{"all":true,"soft":true}`).Status)
		assert.Contains(t, s.Get("/3").CacheStatus(), "detail=", "a soft purge leaves it to the next visitor")
	})
}

// TestRewarmAfterAReload: what has been replaced asks no more, since its pages may come
// from another server now.
func TestRewarmAfterAReload(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		o := site.Options{"tenant": fmt.Sprint("reload", site.Tenants.Add(1)), "rewarm": "5", "purge": site.Options{"networks": []string{"127.0.0.1"}}}
		old := &site.Site{T: t, Answer: site.Page("a page", "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all")}
		ctx, replaced := context.WithCancel(context.Background())
		defer replaced()
		for i, by := range []context.Context{ctx, context.Background()} {
			h, err := load(by, http.HandlerFunc(old.Serve), o)
			require.NoError(t, err)
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			if old.URL = server.URL; i == 0 {
				for j := 0; j < 4; j++ {
					old.Get("/a")
				}
				replaced()
			}
		}
		fresh := &site.Site{T: t, URL: old.URL, Answer: site.Page("a page", "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all")}
		require.Equal(t, 1, old.Renders())
		require.Equal(t, 200, fresh.Do("PURGE", "/.odoocache/purge", `{"tags":["all"]}`).Status)
		require.Never(t, func() bool { return old.Renders() > 1 }, 100*time.Millisecond, site.Tick)
		for i := 0; i < 4; i++ {
			fresh.Get("/a")
		}
		require.Equal(t, 200, fresh.Do("PURGE", "/.odoocache/purge", `{"tags":["all"]}`).Status)
		require.Eventually(t, func() bool { return old.Renders() == 3 }, site.WaitFor, site.Tick, "the present one asks")
	})
}

// TestAddressesOfVisitors: a proxy takes the address that it passes on from the request,
// which in the background is not one of a visitor.
func TestAddressesOfVisitors(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		seen := make(chan string, 10)
		odoo := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			seen <- r.Header.Get("X-Forwarded-For")
			site.Page("a page", "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: all")(rw, r)
		}))
		defer odoo.Close()
		to, err := url.Parse(odoo.URL)
		require.NoError(t, err)
		h, err := load(context.Background(), httputil.NewSingleHostReverseProxy(to), site.Options{
			"tenant": fmt.Sprint("addresses", site.Tenants.Add(1)), "rewarm": "5", "purge": site.Options{"networks": []string{"127.0.0.1"}},
		})
		require.NoError(t, err)
		ask := func(method, path, from string) {
			r := httptest.NewRequest(method, path, nil)
			r.RemoteAddr = from
			rw := httptest.NewRecorder()
			h.ServeHTTP(rw, r)
			require.Equal(t, 200, rw.Code)
		}
		for i := 0; i < 4; i++ {
			ask(http.MethodGet, "/a", "192.0.2.7:1234")
		}
		assert.Equal(t, "192.0.2.7", <-seen)
		ask("PURGE", "/a", "127.0.0.1:1234")
		assert.Equal(t, "192.0.2.1", <-seen, "nobody's")
	})
}
