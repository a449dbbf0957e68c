package odoocache_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTraefikCoalesce: two Traefik processes with one Redis ask the origin once for
// a page that many want.
func TestTraefikCoalesce(t *testing.T) {
	needTraefik(t)
	// Two hundred at once over few cores: Redis gets the time it needs.
	server := startRedis(t)
	with := options{
		"tenant": "shop", "redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"},
		"limits": options{"coalesceWait": "3s"}, "purge": options{"networks": []string{"127.0.0.1"}},
	}
	var answer atomic.Value
	origin := newBackend(t, func(rw http.ResponseWriter, r *http.Request) { answer.Load().(http.HandlerFunc)(rw, r) })
	config := routed(origin.URL, map[string]options{"shop.example": with})
	a, b := start(t, config), start(t, config)
	const host = "Host: shop.example"
	waiting := func(p *traefik, n string) {
		require.Eventually(t, func() bool {
			return strings.Contains(p.get("/.odoocache/status", host).body, `"waiting":`+n+`,`)
		}, patience, tick, "%s waiting", n)
	}

	t.Run("200 clients, one render", func(t *testing.T) {
		g := newGate(t)
		before := origin.renders()
		answer.Store(g.behind(page(strings.Repeat("a page ", 10000), "Cache-Control: max-age=600")))
		c := newCrowd(t, g)
		c.ask(100, a.url+"/", host)
		c.ask(100, b.url+"/", host)
		waiting(a, "99")
		waiting(b, "99")
		g.open()
		for _, r := range c.all() {
			require.Equal(t, strings.Repeat("a page ", 10000), r.body)
		}
		assert.Equal(t, 1, origin.renders()-before)
		assert.Equal(t, 199, collapsed(c.replies))
		assert.Empty(t, server.must("KEYS oc:{shop}:l:*"), "the lock was given back")
	})

	t.Run("what is for one alone holds up nobody in the other process", func(t *testing.T) {
		g := newGate(t)
		before := origin.renders()
		answer.Store(g.behind(page("mine", "Cache-Control: private")))
		c := newCrowd(t, g)
		c.ask(5, a.url+"/mine", host)
		c.ask(5, b.url+"/mine", host)
		waiting(a, "4")
		waiting(b, "4")
		require.Eventually(t, func() bool { return origin.renders()-before == 1 }, patience, tick)
		g.open()
		for _, r := range c.all() {
			assert.Equal(t, "mine", r.body)
		}
		assert.Equal(t, 10, origin.renders()-before)
		assert.Zero(t, collapsed(c.replies))
	})

	t.Run("purged in the other process while it is rendered: who asks later gets the new one", func(t *testing.T) {
		g := newGate(t)
		before := origin.renders()
		answer.Store(g.behind(page("old", "Cache-Control: max-age=600")))
		c, later := newCrowd(t, g), newCrowd(t, g)
		c.ask(3, a.url+"/purged", host)
		waiting(a, "2")
		require.Equal(t, 200, b.do("PURGE", "/purged", "", host).status)
		later.ask(3, a.url+"/purged", host)
		later.ask(3, b.url+"/purged", host)
		waiting(a, "5")
		waiting(b, "2")
		answer.Store(page("new", "Cache-Control: max-age=600"))
		g.open()
		c.all()
		for _, r := range later.all() {
			require.Equal(t, "new", r.body)
		}
		assert.Equal(t, 2, origin.renders()-before)
	})

	t.Run("one refresh for both", func(t *testing.T) {
		answer.Store(page("old", "Cache-Control: max-age=1, stale-while-revalidate=60"))
		for _, p := range []*traefik{a, b} { // into both memories
			p.get("/stale", host)
			require.Contains(t, p.get("/stale", host).cacheStatus(), "; hit")
		}
		time.Sleep(1100 * time.Millisecond) // max-age
		g := newGate(t)
		before := origin.renders()
		answer.Store(g.behind(page("new", "Cache-Control: max-age=600")))
		for i := 0; i < 3; i++ {
			require.Equal(t, "old", a.get("/stale", host).body)
			require.Equal(t, "old", b.get("/stale", host).body)
		}
		require.Eventually(t, func() bool { return origin.renders() > before }, patience, tick)
		g.open()
		for _, p := range []*traefik{a, b} {
			require.Eventually(t, func() bool { return p.get("/stale", host).body == "new" }, patience, tick)
		}
		assert.Equal(t, 1, origin.renders()-before)
	})

	t.Run("one refresh for both within the second that a Date tells", func(t *testing.T) {
		date := "Date: " + time.Now().UTC().Format(http.TimeFormat)
		answer.Store(page("old", "Cache-Control: max-age=600, stale-while-revalidate=600", date))
		for _, p := range []*traefik{a, b} { // into both memories
			p.get("/same-second", host)
			require.Contains(t, p.get("/same-second", host).cacheStatus(), "; hit")
		}
		answer.Store(page("new", "Cache-Control: max-age=600, stale-while-revalidate=600", date))
		before := origin.renders()
		require.Equal(t, http.StatusOK, a.do("PURGE", "/same-second", "", host, "X-Odoocache-Purge-Mode: soft").status)
		for _, p := range []*traefik{a, b} {
			require.Eventually(t, func() bool { return p.get("/same-second", host).body == "new" }, patience, tick)
		}
		assert.Equal(t, 1, origin.renders()-before)
	})

	t.Run("the process that asks is killed: those who wait in the other get an answer", func(t *testing.T) {
		g := newGate(t)
		before := origin.renders()
		answer.Store(g.behind(page("a page", "Cache-Control: max-age=600")))
		go func() { _, _ = send(http.MethodGet, a.url+"/killed", "", fields(host)) }()
		require.Eventually(t, func() bool { return origin.renders() == before+1 }, patience, tick)
		c := newCrowd(t, g)
		begun := time.Now()
		c.ask(10, b.url+"/killed", host)
		waiting(b, "9")
		require.NoError(t, a.cmd.Process.Kill())
		g.open()
		for _, r := range c.all() {
			require.Equal(t, "a page", r.body)
		}
		t.Logf("after %v of at most 3 s", time.Since(begun).Round(time.Millisecond))
		assert.Less(t, time.Since(begun), 10*time.Second)
	})
}
