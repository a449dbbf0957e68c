package traefik_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestTraefikCoalesce: two Traefik processes with one Redis ask the origin once for
// a page that many want.
func TestTraefikCoalesce(t *testing.T) {
	stack.NeedTraefik(t)
	// Two hundred at once over few cores: Redis gets the time it needs.
	server := stack.StartRedis(t)
	with := site.Options{
		"tenant": "shop", "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
		"limits": site.Options{"coalesceWait": "3s"}, "purge": site.Options{"networks": []string{"127.0.0.1"}},
	}
	var answer atomic.Value
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) { answer.Load().(http.HandlerFunc)(rw, r) })
	config := stack.Routed(origin.URL, map[string]site.Options{"shop.example": with})
	a, b := stack.StartTraefik(t, config), stack.StartTraefik(t, config)
	const host = "Host: shop.example"
	waiting := func(p *stack.Traefik, n string) {
		require.Eventually(t, func() bool {
			return strings.Contains(p.Get("/.odoocache/status", host).Body, `"waiting":`+n+`,`)
		}, stack.Patience, site.Tick, "%s waiting", n)
	}

	t.Run("200 clients, one render", func(t *testing.T) {
		g := site.NewGate(t)
		before := origin.Renders()
		answer.Store(g.Behind(site.Page(strings.Repeat("a page ", 10000), "Cache-Control: max-age=600")))
		c := site.NewCrowd(t, g)
		c.Ask(100, a.URL+"/", host)
		c.Ask(100, b.URL+"/", host)
		waiting(a, "99")
		waiting(b, "99")
		g.Open()
		for _, r := range c.All() {
			require.Equal(t, strings.Repeat("a page ", 10000), r.Body)
		}
		assert.Equal(t, 1, origin.Renders()-before)
		assert.Equal(t, 199, site.Collapsed(c.Replies))
		assert.Empty(t, server.Must("KEYS oc:{shop}:l:*"), "the lock was given back")
	})

	t.Run("what is for one alone holds up nobody in the other process", func(t *testing.T) {
		g := site.NewGate(t)
		before := origin.Renders()
		answer.Store(g.Behind(site.Page("mine", "Cache-Control: private")))
		c := site.NewCrowd(t, g)
		c.Ask(5, a.URL+"/mine", host)
		c.Ask(5, b.URL+"/mine", host)
		waiting(a, "4")
		waiting(b, "4")
		require.Eventually(t, func() bool { return origin.Renders()-before == 1 }, stack.Patience, site.Tick)
		g.Open()
		for _, r := range c.All() {
			assert.Equal(t, "mine", r.Body)
		}
		assert.Equal(t, 10, origin.Renders()-before)
		assert.Zero(t, site.Collapsed(c.Replies))
	})

	t.Run("purged in the other process while it is rendered: who asks later gets the new one", func(t *testing.T) {
		g := site.NewGate(t)
		before := origin.Renders()
		answer.Store(g.Behind(site.Page("old", "Cache-Control: max-age=600")))
		c, later := site.NewCrowd(t, g), site.NewCrowd(t, g)
		c.Ask(3, a.URL+"/purged", host)
		waiting(a, "2")
		require.Equal(t, 200, b.Do("PURGE", "/purged", "", host).Status)
		later.Ask(3, a.URL+"/purged", host)
		later.Ask(3, b.URL+"/purged", host)
		waiting(a, "5")
		waiting(b, "2")
		answer.Store(site.Page("new", "Cache-Control: max-age=600"))
		g.Open()
		c.All()
		for _, r := range later.All() {
			require.Equal(t, "new", r.Body)
		}
		assert.Equal(t, 2, origin.Renders()-before)
	})

	t.Run("one refresh for both", func(t *testing.T) {
		answer.Store(site.Page("old", "Cache-Control: max-age=1, stale-while-revalidate=60"))
		for _, p := range []*stack.Traefik{a, b} { // into both memories
			p.Get("/stale", host)
			require.Contains(t, p.Get("/stale", host).CacheStatus(), "; hit")
		}
		time.Sleep(1100 * time.Millisecond) // max-age
		g := site.NewGate(t)
		before := origin.Renders()
		answer.Store(g.Behind(site.Page("new", "Cache-Control: max-age=600")))
		for i := 0; i < 3; i++ {
			require.Equal(t, "old", a.Get("/stale", host).Body)
			require.Equal(t, "old", b.Get("/stale", host).Body)
		}
		require.Eventually(t, func() bool { return origin.Renders() > before }, stack.Patience, site.Tick)
		g.Open()
		for _, p := range []*stack.Traefik{a, b} {
			require.Eventually(t, func() bool { return p.Get("/stale", host).Body == "new" }, stack.Patience, site.Tick)
		}
		assert.Equal(t, 1, origin.Renders()-before)
	})

	t.Run("one refresh for both within the second that a Date tells", func(t *testing.T) {
		date := "Date: " + time.Now().UTC().Format(http.TimeFormat)
		answer.Store(site.Page("old", "Cache-Control: max-age=600, stale-while-revalidate=600", date))
		for _, p := range []*stack.Traefik{a, b} { // into both memories
			p.Get("/same-second", host)
			require.Contains(t, p.Get("/same-second", host).CacheStatus(), "; hit")
		}
		answer.Store(site.Page("new", "Cache-Control: max-age=600, stale-while-revalidate=600", date))
		before := origin.Renders()
		require.Equal(t, http.StatusOK, a.Do("PURGE", "/same-second", "", host, "X-Odoocache-Purge-Mode: soft").Status)
		for _, p := range []*stack.Traefik{a, b} {
			require.Eventually(t, func() bool { return p.Get("/same-second", host).Body == "new" }, stack.Patience, site.Tick)
		}
		assert.Equal(t, 1, origin.Renders()-before)
	})

	t.Run("the process that asks is killed: those who wait in the other get an answer", func(t *testing.T) {
		g := site.NewGate(t)
		before := origin.Renders()
		answer.Store(g.Behind(site.Page("a page", "Cache-Control: max-age=600")))
		go func() { _, _ = site.Send(http.MethodGet, a.URL+"/killed", "", site.Fields(host)) }()
		require.Eventually(t, func() bool { return origin.Renders() == before+1 }, stack.Patience, site.Tick)
		c := site.NewCrowd(t, g)
		begun := time.Now()
		c.Ask(10, b.URL+"/killed", host)
		waiting(b, "9")
		require.NoError(t, a.Cmd.Process.Kill())
		g.Open()
		for _, r := range c.All() {
			require.Equal(t, "a page", r.Body)
		}
		t.Logf("after %v of at most 3 s", time.Since(begun).Round(time.Millisecond))
		assert.Less(t, time.Since(begun), 10*time.Second)
	})
}
