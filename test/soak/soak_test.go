package soak_test

import (
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
	"github.com/odoocache/odoocache/test/traffic"
)

// shortSoak is below how many requests there are fewer faults and less memory.
const shortSoak = 200000

// memoryLimit is GOMEMLIMIT of the process; beside (kB) is for what is known of
// purges, connections and keys beside the memory tier.
const (
	memoryLimit = 256 << 20
	beside      = 8 << 10
)

// soak is the load of a day in fast motion.
type soak struct {
	t      *testing.T
	c      *traffic.Shoppers
	server *stack.RedisServer
	proxy  *stack.FaultProxy
	config func(n int) string

	memory int        // memory.bytes
	calm   sync.Mutex // held while something fails, and while a sample is taken
	rows   []sampleRow
}

// sampleRow is the state of the Traefik process at some point.
type sampleRow struct {
	requests    int64
	resident    int // kB
	anonymous   int // kB of it that are not the program's file, which GOMEMLIMIT is not about
	live        int // kB of the heap after a collection
	goroutines  int
	connections int // to Redis
	files       int // that the process has open
}

// sample waits until the cache is in use and notes how the process is.
func (s *soak) sample() sampleRow {
	s.calm.Lock()
	defer s.calm.Unlock()
	require.Eventually(s.t, s.c.Hit, time.Minute, 50*time.Millisecond, "the cache is in use")
	s.c.Gate.Lock() // what requests under way take does not count
	defer s.c.Gate.Unlock()
	p := s.c.Traefik
	row := sampleRow{requests: s.c.N.Load(), resident: p.Memory("VmRSS"), anonymous: p.Memory("RssAnon"), goroutines: p.Goroutines(), connections: s.server.Clients(), files: p.Files()}
	row.live = p.Live()
	s.rows = append(s.rows, row)
	return row
}

// fail lets something fail for a moment.
func (s *soak) fail(i int, d time.Duration) {
	s.calm.Lock()
	defer s.calm.Unlock()
	if i%6 == 0 {
		s.proxy.Refuse()
		time.Sleep(d)
		s.proxy.Open()
		return
	}
	s.proxy.Set([]stack.Spoiler{stack.Swallow, stack.Half(stack.Reset), stack.Half(stack.FallSilent), stack.WrongConnection(), stack.Says("+OK\r\n"), stack.LyingLength()}[i%6])
	time.Sleep(d)
	s.proxy.Set(nil)
}

// TestSoak sends SOAK_REQUESTS (20,000) requests for a tenth as many pages, while
// Traefik's configuration is rewritten, pages are purged and Redis fails again and
// again. Memory, goroutines and connections stay where they are.
func TestSoak(t *testing.T) {
	stack.NeedTraefik(t)
	requests := int64(site.FromEnv("SOAK_REQUESTS", 20000))
	keys := requests / 10
	memory := 64 << 20
	if requests < shortSoak {
		memory = 16 << 20
	}
	t.Setenv("GOMEMLIMIT", strconv.Itoa(memoryLimit))
	server := stack.StartRedis(t, "--maxmemory", "128mb", "--maxmemory-policy", "volatile-lru", "--appendonly", "no")
	pr := &traffic.Press{Groups: 1000, Filler: 4000, Kind: "application/octet-stream"}
	pr.Backend = stack.NewBackend(t, pr.ServeHTTP)
	var mu sync.Mutex
	zipf := rand.NewZipf(rand.New(rand.NewSource(1)), 1.1, 20, uint64(keys-1)) //nolint:gosec // load
	c := &traffic.Shoppers{Press: pr, Hosts: []string{"one.example", "two.example"}, Path: func(n int64) string {
		mu.Lock()
		defer mu.Unlock()
		if n%5 == 0 {
			return fmt.Sprintf("/page-%d", n/5%keys)
		}
		return fmt.Sprintf("/page-%d", zipf.Uint64())
	}}
	s := &soak{t: t, c: c, server: server, proxy: stack.NewFaultProxy(t, server.Address)}
	s.config = func(n int) string {
		hosts := map[string]site.Options{}
		for _, host := range c.Hosts {
			hosts[host] = site.Options{
				"tenant": host[:3], "purge": site.Options{"secret": site.Secret}, "memory": site.Options{"bytes": fmt.Sprint(s.memory)},
				"redis": site.Options{"address": s.proxy.Address}, "limits": site.Options{"variants": fmt.Sprint(16 + n%2)},
			}
		}
		return stack.Routed(pr.URL(), hosts)
	}
	c.Traefik = stack.StartTraefik(t, s.config(0), "--api.debug=true")
	c.Warm()
	begin := time.Now()
	s.run(requests, memory)
	took := time.Since(begin)

	all := &c.Now.Load().Cached
	errors, wrong, example := all.Foreign(nil)
	t.Logf("%d requests for %d pages in %v, %.0f %% hits, %d errors, %d wrong; %d purges, %d kept, answers older than one: %d\n"+
		"the longest wait was %v for %s\n"+
		"GOMEMLIMIT %d MB; memory.bytes 0 in the first row, %d MB from then on\n%s",
		all.Requests(), 2*keys, took.Round(time.Second), 100*traffic.Ratio(all.Hits, all.Keyed), errors, wrong,
		c.Purged.Load(), c.Kept.Load(), all.Outdated, all.Slowest, all.Slow, memoryLimit>>20, memory>>20, s.table())
	assert.Zero(t, errors+wrong, "answers that were not the page: %s", example)
	assert.Zero(t, all.Outdated, all.Example)
	assert.Zero(t, c.Unpurged.Load())
	s.bounds(memory)
}

// run goes on until so many requests were sent, and takes a sample without memory
// and ten with it.
func (s *soak) run(requests int64, memory int) {
	c := s.c
	c.Start(12, 0)
	s.sent(2000)
	s.sample()
	s.memory = memory
	require.NoError(s.t, c.Traefik.Put("dynamic.yml", s.config(0)))
	c.PurgeEvery(100 * time.Millisecond)
	c.Purging.Store(true)
	n, every := 0, 4 // reloads for each fault
	step := requests / 100
	if requests < shortSoak {
		every = 10
	}
	if step > 2500 {
		step = 2500
	}
	next := requests / 10
	for c.N.Load() < requests {
		n++
		require.NoError(s.t, c.Traefik.Put("dynamic.yml", s.config(n)))
		if n%every == 0 {
			s.fail(n/every, time.Second/2)
		}
		s.sent(c.N.Load() + step)
		if c.N.Load() >= next {
			s.sample()
			next += requests / 10
		}
	}
	c.Purging.Store(false)
	s.sample()
	c.End()
}

// sent waits until so many requests were sent.
func (s *soak) sent(n int64) {
	require.Eventually(s.t, func() bool { return s.c.N.Load() >= n }, 10*time.Minute, 10*time.Millisecond, "requests are sent")
}

func (s *soak) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "requests\tresident\twithout the program\tlive heap\tgoroutines\tconnections to Redis\topen files")
	for _, r := range s.rows {
		fmt.Fprintf(w, "%d\t%d MB\t%d MB\t%d MB\t%d\t%d\t%d\n", r.requests, r.resident>>10, r.anonymous>>10, r.live>>10, r.goroutines, r.connections, r.files)
	}
	_ = w.Flush()
	return b.String()
}

// bounds holds the samples against what is configured.
func (s *soak) bounds(memory int) {
	t := s.t
	require.Greater(t, len(s.rows), 4)
	early, late := s.worst(1, len(s.rows)/2), s.worst(len(s.rows)/2, len(s.rows))
	assert.Less(t, late.goroutines, early.goroutines+50)
	assert.LessOrEqual(t, late.connections, 32, "redis.poolSize")
	assert.Less(t, late.files, early.files+50)
	if late.resident == 0 {
		return // no /proc
	}
	assert.Less(t, late.anonymous, memoryLimit/1024*12/10, "resident memory")
	assert.Less(t, late.resident, early.resident+memoryLimit/1024/5, "resident memory does not grow")
	assert.Less(t, late.live, s.rows[0].live+memory/1024*12/10+beside, "what the memory tier holds")
}

// worst returns the largest figures of some samples.
func (s *soak) worst(from, to int) sampleRow {
	most := sampleRow{}
	for _, r := range s.rows[from:to] {
		for _, pair := range []struct{ to, from *int }{
			{&most.resident, &r.resident}, {&most.anonymous, &r.anonymous}, {&most.live, &r.live}, {&most.goroutines, &r.goroutines},
			{&most.connections, &r.connections}, {&most.files, &r.files},
		} {
			if *pair.from > *pair.to {
				*pair.to = *pair.from
			}
		}
	}
	return most
}
