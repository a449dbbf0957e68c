package traefik_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
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

// pageOf is a page that says whose it is, all over.
func pageOf(host, path string) string {
	return strings.Repeat(host+path+"\n", 300)
}

// pages is an origin whose pages say whose they are.
func pages(rw http.ResponseWriter, r *http.Request) {
	site.Page(pageOf(r.Host, r.URL.Path), "Cache-Control: max-age=600", "Content-Type: text/plain")(rw, r)
}

// TestTraefikEveryPageIsTheRightOne sends 10,000 requests over 64 connections
// for 50 keys of two tenants that share one Redis.
func TestTraefikEveryPageIsTheRightOne(t *testing.T) {
	const requests, connections, keys = 10000, 64, 50
	stack.NeedTraefik(t)
	server := stack.StartRedis(t)
	origin := stack.NewBackend(t, pages)
	hosts := map[string]site.Options{}
	for i, tenant := range []string{"one", "two"} {
		// One of them goes to Redis for every hit.
		memory := site.Options{"bytes": strconv.Itoa(i * 64 << 20)}
		hosts[tenant+".example"] = site.Options{"tenant": tenant, "memory": memory, "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}}
	}
	p := stack.StartTraefik(t, stack.Routed(origin.URL, hosts))
	var next, hits, wrong atomic.Int64
	var wg sync.WaitGroup
	for c := 0; c < connections; c++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := next.Add(1); n <= requests; n = next.Add(1) {
				host := []string{"one.example", "two.example"}[n%2]
				path := fmt.Sprintf("/page-%d", (n/2)%(keys/2))
				got, err := site.Send(http.MethodGet, p.URL+path, "", site.Fields("Host: "+host))
				if err != nil || got.Status != 200 || got.Body != pageOf(host, path) {
					wrong.Add(1)
					continue
				}
				if strings.Contains(got.CacheStatus(), "; hit") {
					hits.Add(1)
				}
			}
		}()
	}
	wg.Wait()
	t.Logf("%d requests, %d hits, %d renders", requests, hits.Load(), origin.Renders())
	assert.Zero(t, wrong.Load(), "answers that were not the page that was asked for")
	assert.Greater(t, hits.Load(), int64(requests*9/10))
	assert.Len(t, server.Entries("one"), keys/2)
	assert.Len(t, server.Entries("two"), keys/2)
}

// TestTraefikReloads rewrites the dynamic configuration every 100 ms under load.
func TestTraefikReloads(t *testing.T) {
	stack.NeedTraefik(t)
	seconds := 30
	if s, err := strconv.Atoi(os.Getenv("ODOOCACHE_RELOAD_SECONDS")); err == nil {
		seconds = s
	}
	const keys = 20
	server := stack.StartRedis(t)
	origin := stack.NewBackend(t, pages)
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": {"tenant": "shop", "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}}}))
	get := func(i int) (site.Reply, error) {
		return site.Send(http.MethodGet, fmt.Sprintf("%s/page-%d", p.URL, i%keys), "", site.Fields("Host: shop.example"))
	}
	for i := 0; i < 2*keys; i++ {
		_, err := get(i)
		require.NoError(t, err)
	}
	require.Equal(t, keys, origin.Renders())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var sent, failed atomic.Int64
	for w := 0; w < 4; w++ {
		wg.Add(1)
		go func(w int) {
			defer wg.Done()
			for i := w; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				got, err := get(i)
				if err != nil || got.Status != 200 || got.Body != pageOf("shop.example", fmt.Sprintf("/page-%d", i%keys)) {
					failed.Add(1)
				} else if !strings.Contains(got.CacheStatus(), "; hit") {
					t.Log("not a hit: " + got.CacheStatus())
				}
			}
		}(w)
	}
	reload := func(until time.Time) {
		for time.Now().Before(until) {
			p.Mark() // another router: Traefik builds every middleware anew
			time.Sleep(100 * time.Millisecond)
		}
		p.InPlace()
	}
	reload(time.Now().Add(3 * time.Second)) // what the first reloads allocate is no growth
	goroutines, clients := p.Goroutines(), server.Clients()
	reload(time.Now().Add(time.Duration(seconds) * time.Second))
	after, afterClients := p.Goroutines(), server.Clients()
	close(stop)
	wg.Wait()
	t.Logf("%d requests in %d s of reloads; goroutines %d, then %d; connections to Redis %d, then %d",
		sent.Load(), seconds, goroutines, after, clients, afterClients)
	assert.Zero(t, failed.Load(), "failed requests")
	assert.Equal(t, keys, origin.Renders(), "the memory tier and the entries outlive every reload")
	assert.Less(t, after, goroutines+50)
	assert.LessOrEqual(t, afterClients, 40)
}

// TestTraefikRefreshesWithAnAccessLog: Traefik keeps a map of the visitor's
// request for its access log, which a background refresh must leave alone: two
// goroutines that write a map end the process.
func TestTraefikRefreshesWithAnAccessLog(t *testing.T) {
	stack.NeedTraefik(t)
	origin := stack.NewBackend(t, site.Page("x", "X-Odoo-Cache: public, ttl=1ms, grace=1h"))
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": {"limits": site.Options{"refreshes": "200"}}}),
		"--accesslog=true", "--accesslog.filepath="+t.TempDir()+"/access.log")
	end := time.Now().Add(8 * time.Second)
	var wg sync.WaitGroup
	var failed atomic.Int64
	for w := 0; w < 32; w++ {
		wg.Add(1)
		go func(w int) {
			defer wg.Done()
			for n := 0; time.Now().Before(end); n++ {
				got, err := site.Send(http.MethodGet, fmt.Sprintf("%s/p%d", p.URL, (n*7+w)%200), "", site.Fields("Host: shop.example"))
				if err != nil || got.Body != "x" {
					failed.Add(1)
					return
				}
			}
		}(w)
	}
	wg.Wait()
	assert.Zero(t, failed.Load())
	assert.Greater(t, origin.Renders(), 1000, "there were refreshes")
	assert.NotContains(t, p.Log(), "fatal error")
}

// TestTraefikRefreshThatBreaksOff: a refresh has no client to whom the proxy
// could show that the answer is not whole.
func TestTraefikRefreshThatBreaksOff(t *testing.T) {
	stack.NeedTraefik(t)
	var broken atomic.Bool
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Odoo-Cache", "public, ttl=50ms, grace=1h")
		_, _ = fmt.Fprint(rw, "whole ")
		rw.(http.Flusher).Flush()
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
		_, _ = fmt.Fprint(rw, "page")
	})
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": {}}))
	p.Get("/a")
	broken.Store(true)
	time.Sleep(60 * time.Millisecond)
	before := origin.Renders()
	p.Until("it was refreshed a few times", func() bool {
		assert.Equal(t, "whole page", p.Get("/a").Body)
		return origin.Renders() > before+3
	})
}
