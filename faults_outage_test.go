package odoocache_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFaultsOutage lets Redis be gone for OUTAGE_SECONDS (15) under 200 requests
// a second through the cache and 200 past it. Every answer is right, none is older
// than a purge, and once the breaker is open the cache costs less than a
// millisecond at the 99th percentile.
func TestFaultsOutage(t *testing.T) {
	needTraefik(t)
	const rate = 200
	seconds := fromEnv("OUTAGE_SECONDS", 15)
	server := startRedis(t)
	pr := &press{groups: 5, filler: 10000}
	pr.backend = newBackend(t, pr.ServeHTTP)
	c := &shoppers{press: pr, hosts: []string{"one.example", "two.example"}, bare: bareHost, path: usualPath}
	hosts := map[string]options{bareHost: nil}
	for _, host := range c.hosts {
		hosts[host] = options{"tenant": host[:3], "purge": options{"secret": secret}, "redis": options{"address": server.address}}
	}
	c.p = start(t, routed(pr.url(), hosts))
	c.warm()
	c.paced(rate)
	c.purgeEvery(400 * time.Millisecond)
	before := c.during(3*time.Second, true)

	onset := c.enter(false)
	server.stop()
	c.p.until("the breaker is open", func() bool {
		_, _, status := c.ask("one.example", "/page-1")
		return strings.Contains(status, "detail=breaker-open")
	})
	goroutines := c.p.goroutines()
	open := c.enter(false)
	c.purging.Store(true)
	time.Sleep(time.Duration(seconds) * time.Second)
	after := c.p.goroutines()
	back := c.enter(false)
	server.start()
	begin := time.Now()
	require.Eventually(t, c.hit, 2*time.Minute, 50*time.Millisecond, "hits are back")
	returned := time.Since(begin)
	c.purging.Store(false)
	calm := c.during(3*time.Second, true)
	c.end()

	all, bare := &tally{}, &tally{}
	for _, ph := range []*phase{before, onset, open, back, calm} {
		all.add(&ph.cached)
		bare.add(&ph.bare)
	}
	errors, wrong, example := all.foreign(nil)
	added, noise := open.addedIn(0.99)
	usual, _ := open.addedIn(0.5)
	t.Logf("%d s without Redis, %d requests/s: %d requests, %d errors, %d wrong; %d purges, %d kept, answers older than one: %d\n"+
		"breaker open: median %v with the cache, %v without; 99th percentile %v and %v; worst %v and %v\n"+
		"added, median of %d windows: %v at the median, %v at the 99th percentile (of which without the cache parts differ by %v)\n"+
		"hits %.0f %% before, %.0f %% after; back after %v; goroutines of Traefik %d, then %d",
		seconds, rate, all.requests(), errors, wrong, c.purged.Load(), c.kept.Load(), all.outdated,
		open.cached.percentile(0.5), open.bare.percentile(0.5), open.cached.percentile(0.99), open.bare.percentile(0.99),
		open.cached.percentile(1), open.bare.percentile(1), windows, usual, added, noise,
		100*ratio(before.cached.hits, before.cached.keyed), 100*ratio(calm.cached.hits, calm.cached.keyed), returned, goroutines, after)
	assert.Zero(t, errors+wrong, "answers that were not the page: %s", example)
	assert.Zero(t, all.outdated, all.example)
	assert.Zero(t, c.unpurged.Load())
	assert.Greater(t, c.kept.Load(), int64(2), "purges of the outage")
	if os.Getenv("OUTAGE_SECONDS") != "" { // the windows of the short form are too few to tell it from a busy machine
		assert.Less(t, added, time.Millisecond+noise, "at the 99th percentile")
	}
	assert.Greater(t, ratio(calm.cached.hits, calm.cached.keyed), 0.5, "the cache is in use again")
	assert.GreaterOrEqual(t, all.requests(), rate*seconds*9/10)
	assert.Less(t, after, goroutines+100)
}
