package faults_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
	"github.com/odoocache/odoocache/test/traffic"
)

// TestFaultsOutage lets Redis be gone for OUTAGE_SECONDS (15) under 200 requests
// a second through the cache and 200 past it. Every answer is right, none is older
// than a purge, and once the breaker is open the cache costs less than a
// millisecond at the 99th percentile.
func TestFaultsOutage(t *testing.T) {
	stack.NeedTraefik(t)
	const rate = 200
	seconds := site.FromEnv("OUTAGE_SECONDS", 15)
	server := stack.StartRedis(t)
	pr := &traffic.Press{Groups: 5, Filler: 10000}
	pr.Backend = stack.NewBackend(t, pr.ServeHTTP)
	c := &traffic.Shoppers{Press: pr, Hosts: []string{"one.example", "two.example"}, Bare: traffic.BareHost, Path: traffic.UsualPath}
	hosts := map[string]site.Options{traffic.BareHost: nil}
	for _, host := range c.Hosts {
		hosts[host] = site.Options{"tenant": host[:3], "purge": site.Options{"secret": site.Secret}, "redis": site.Options{"address": server.Address}}
	}
	c.Traefik = stack.StartTraefik(t, stack.Routed(pr.URL(), hosts))
	c.Warm()
	c.Paced(rate)
	c.PurgeEvery(400 * time.Millisecond)
	before := c.During(3*time.Second, true)

	onset := c.Enter(false)
	server.Stop()
	c.Traefik.Until("the breaker is open", func() bool {
		_, _, status := c.Ask("one.example", "/page-1")
		return strings.Contains(status, "detail=breaker-open")
	})
	goroutines := c.Traefik.Goroutines()
	open := c.Enter(false)
	c.Purging.Store(true)
	time.Sleep(time.Duration(seconds) * time.Second)
	after := c.Traefik.Goroutines()
	back := c.Enter(false)
	server.Start()
	begin := time.Now()
	require.Eventually(t, c.Hit, 2*time.Minute, 50*time.Millisecond, "hits are back")
	returned := time.Since(begin)
	c.Purging.Store(false)
	calm := c.During(3*time.Second, true)
	c.End()

	all, bare := &traffic.Tally{}, &traffic.Tally{}
	for _, ph := range []*traffic.Phase{before, onset, open, back, calm} {
		all.Add(&ph.Cached)
		bare.Add(&ph.Bare)
	}
	errors, wrong, example := all.Foreign(nil)
	added, noise := open.AddedIn(0.99)
	usual, _ := open.AddedIn(0.5)
	t.Logf("%d s without Redis, %d requests/s: %d requests, %d errors, %d wrong; %d purges, %d kept, answers older than one: %d\n"+
		"breaker open: median %v with the cache, %v without; 99th percentile %v and %v; worst %v and %v\n"+
		"added, median of %d windows: %v at the median, %v at the 99th percentile (of which without the cache parts differ by %v)\n"+
		"hits %.0f %% before, %.0f %% after; back after %v; goroutines of Traefik %d, then %d",
		seconds, rate, all.Requests(), errors, wrong, c.Purged.Load(), c.Kept.Load(), all.Outdated,
		open.Cached.Percentile(0.5), open.Bare.Percentile(0.5), open.Cached.Percentile(0.99), open.Bare.Percentile(0.99),
		open.Cached.Percentile(1), open.Bare.Percentile(1), traffic.Windows, usual, added, noise,
		100*traffic.Ratio(before.Cached.Hits, before.Cached.Keyed), 100*traffic.Ratio(calm.Cached.Hits, calm.Cached.Keyed), returned, goroutines, after)
	assert.Zero(t, errors+wrong, "answers that were not the page: %s", example)
	assert.Zero(t, all.Outdated, all.Example)
	assert.Zero(t, c.Unpurged.Load())
	assert.Greater(t, c.Kept.Load(), int64(2), "purges of the outage")
	if os.Getenv("OUTAGE_SECONDS") != "" { // the windows of the short form are too few to tell it from a busy machine
		assert.Less(t, added, time.Millisecond+noise, "at the 99th percentile")
	}
	assert.Greater(t, traffic.Ratio(calm.Cached.Hits, calm.Cached.Keyed), 0.5, "the cache is in use again")
	assert.GreaterOrEqual(t, all.Requests(), rate*seconds*9/10)
	assert.Less(t, after, goroutines+100)
}
