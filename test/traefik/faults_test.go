package traefik_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// worst sends requests one after the other, demands the origin's answer to each,
// and returns the longest wait.
func worst(t *testing.T, p *stack.Traefik, n int) time.Duration {
	t.Helper()
	longest := time.Duration(0)
	for i := 0; i < n; i++ {
		begin := time.Now()
		got := p.Get(fmt.Sprintf("/page-%d", i%7))
		if took := time.Since(begin); took > longest {
			longest = took
		}
		require.Equal(t, http.StatusOK, got.Status)
		require.Equal(t, "from the origin", got.Body)
		require.NotEmpty(t, got.CacheStatus())
	}
	return longest
}

// TestTraefikWithABrokenRedis checks that visitors get the origin's answer
// whatever Redis does, and wait no longer than is configured (twice: for the
// lookup, and for the store after it).
func TestTraefikWithABrokenRedis(t *testing.T) {
	stack.NeedTraefik(t)
	guarded := stack.StartRedis(t, "--requirepass", "right")
	origin := stack.NewBackend(t, site.Page("from the origin", "Cache-Control: max-age=60"))
	wrong := site.Options{"address": guarded.Address, "password": "wrong"}
	faults := map[string]site.Options{
		"refuses":   {"address": stack.FreeAddress(t)},
		"silent":    {"address": stack.BadRedis(t, "")},
		"garbage":   {"address": stack.BadRedis(t, "HTTP/1.1 400 Bad Request\r\n\r\n")},
		"loading":   {"address": stack.BadRedis(t, "-LOADING Redis is loading the dataset in memory\r\n-LOADING x\r\n-LOADING x\r\n")},
		"truncated": {"address": stack.BadRedis(t, "$1000\r\nabc")},
		"enormous":  {"address": stack.BadRedis(t, "$536870911\r\nabc")},
		"password":  wrong,
	}
	hosts := map[string]site.Options{}
	for name, redis := range faults {
		redis["timeout"] = "200ms"
		hosts[name+".example"] = site.Options{"tenant": name, "redis": redis}
	}
	p := stack.StartTraefik(t, stack.Routed(origin.URL, hosts))
	for name := range faults {
		t.Run(name, func(t *testing.T) {
			longest := time.Duration(0)
			for i := 0; i < 12; i++ {
				begin := time.Now()
				got, err := site.Send(http.MethodGet, p.URL+"/page", "", site.Fields("Host: "+name+".example"))
				require.NoError(t, err)
				if took := time.Since(begin); took > longest {
					longest = took
				}
				require.Equal(t, 200, got.Status)
				require.Equal(t, "from the origin", got.Body)
				require.Regexp(t, "detail=(store-error|breaker-open)", got.CacheStatus())
			}
			assert.Less(t, longest, 2*stack.RedisTimeout+stack.Slack)
			t.Logf("longest wait %v", longest)
			got, err := site.Send(http.MethodGet, p.URL+"/page", "", site.Fields("Host: "+name+".example"))
			require.NoError(t, err)
			assert.Contains(t, got.CacheStatus(), "detail=breaker-open", "after five failures Redis is not asked")
		})
	}
	assert.NotContains(t, p.Log(), "wrong", "the password is in the log")
}

// TestTraefikRedisOutage stops Redis under traffic and brings it back: nobody
// gets an error, and no purge of the meantime is lost.
func TestTraefikRedisOutage(t *testing.T) {
	stack.NeedTraefik(t)
	for _, outage := range []string{"killed", "frozen"} {
		t.Run(outage, func(t *testing.T) {
			server := stack.StartRedis(t)
			origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					site.Page("changed", "X-Odoo-Purge: product")(rw, r)
					return
				}
				site.Page("from the origin", "Cache-Control: max-age=60", "Surrogate-Key: product")(rw, r)
			})
			p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"": {
				"tenant": "shop", "purge": site.Options{"secret": site.Secret},
				"redis": site.Options{"address": server.Address, "timeout": "200ms"},
			}}))
			p.Get("/page-0")
			require.Contains(t, p.Get("/page-0").CacheStatus(), "; hit")
			if outage == "killed" {
				server.Stop()
			} else {
				require.NoError(t, server.Cmd.Process.Signal(syscall.SIGSTOP))
			}
			time.Sleep(1100 * time.Millisecond) // what the memory tier knows is too old now
			assert.Less(t, worst(t, p, 12), 2*stack.RedisTimeout+stack.Slack)
			renders := origin.Renders()
			worst(t, p, 5)
			assert.Equal(t, renders+5, origin.Renders(), "every page came from the origin")

			assert.Equal(t, 200, p.Do(http.MethodPost, "/write", "{}").Status, "the write itself goes through")
			refused := p.Do("PURGE", "/page-1", "", site.Bearer)
			assert.Equal(t, http.StatusServiceUnavailable, refused.Status, refused.Body)
			assert.NotEmpty(t, refused.Header.Get("Retry-After"))

			if outage == "killed" {
				server.Start()
			} else {
				require.NoError(t, server.Cmd.Process.Signal(syscall.SIGCONT))
			}
			p.Until("the cache is used again", func() bool {
				got := p.Get("/page-0")
				require.Equal(t, "from the origin", got.Body)
				return strings.Contains(got.CacheStatus(), "; hit")
			})
			assert.Contains(t, p.Get("/.odoocache/status", site.Bearer).Body, `"pendingPurges":0`)
		})
	}
}

// TestTraefikKeepsPurgesOfAnOutage checks that a page in Redis from before an
// outage is not served after it if a purge came in between.
func TestTraefikKeepsPurgesOfAnOutage(t *testing.T) {
	stack.NeedTraefik(t)
	server := stack.StartRedis(t)
	var version atomic.Value
	version.Store("old")
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			version.Store("new")
			site.Page("changed", "X-Odoo-Purge: product")(rw, r)
			return
		}
		site.Page(version.Load().(string), "Cache-Control: max-age=600", "Surrogate-Key: product")(rw, r)
	})
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"": {"tenant": "shop", "redis": site.Options{"address": server.Address, "timeout": "100ms"}}}))
	assert.Equal(t, "old", p.Get("/").Body)
	require.Contains(t, p.Get("/").CacheStatus(), "; hit")
	require.NoError(t, server.Cmd.Process.Signal(syscall.SIGSTOP))
	p.Do(http.MethodPost, "/write", "{}")
	for i := 0; i < 20; i++ {
		require.Equal(t, "new", p.Get("/").Body)
	}
	require.NoError(t, server.Cmd.Process.Signal(syscall.SIGCONT))
	p.Until("the cache is used again", func() bool {
		got := p.Get("/")
		require.Equal(t, "new", got.Body)
		return strings.Contains(got.CacheStatus(), "; hit")
	})
}

// TestTraefikWithForeignBytesInRedis puts bytes that are no entry under the key
// of one: a miss with a reason, and the entry is replaced.
func TestTraefikWithForeignBytesInRedis(t *testing.T) {
	stack.NeedTraefik(t)
	server := stack.StartRedis(t)
	origin := stack.NewBackend(t, site.Page("from the origin", "Cache-Control: max-age=60"))
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"": {"tenant": "shop", "memory": site.Options{"bytes": "0"}, "redis": site.Options{"address": server.Address}}}))
	p.Get("/")
	require.Contains(t, p.Get("/").CacheStatus(), "; hit")
	entries := server.Entries("shop")
	require.Len(t, entries, 1)
	for _, damage := range []string{"SET %s garbage", "SET %s \"\"", "SETRANGE %s 40 x", "APPEND %s tail", "LPUSH %s list"} {
		if strings.HasPrefix(damage, "LPUSH") {
			server.Must("DEL " + entries[0])
		}
		server.Must(fmt.Sprintf(damage, entries[0]))
		got := p.Get("/")
		assert.Equal(t, "from the origin", got.Body, damage)
		assert.Contains(t, got.CacheStatus(), "stored", damage)
		assert.Contains(t, got.CacheStatus(), "detail=store-corrupt", damage)
		assert.Contains(t, p.Get("/").CacheStatus(), "; hit", damage)
	}
}
