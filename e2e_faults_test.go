package odoocache_test

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
)

// worst sends requests one after the other, demands the origin's answer to each,
// and returns the longest wait.
func worst(t *testing.T, p *traefik, n int) time.Duration {
	t.Helper()
	longest := time.Duration(0)
	for i := 0; i < n; i++ {
		begin := time.Now()
		got := p.get(fmt.Sprintf("/page-%d", i%7))
		if took := time.Since(begin); took > longest {
			longest = took
		}
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, "from the origin", got.body)
		require.NotEmpty(t, got.cacheStatus())
	}
	return longest
}

// TestTraefikWithABrokenRedis checks that visitors get the origin's answer
// whatever Redis does, and wait no longer than is configured (twice: for the
// lookup, and for the store after it).
func TestTraefikWithABrokenRedis(t *testing.T) {
	needTraefik(t)
	guarded := startRedis(t, "--requirepass", "right")
	origin := newBackend(t, page("from the origin", "Cache-Control: max-age=60"))
	wrong := options{"address": guarded.address, "password": "wrong"}
	faults := map[string]options{
		"refuses":   {"address": freeAddress(t)},
		"silent":    {"address": badRedis(t, "")},
		"garbage":   {"address": badRedis(t, "HTTP/1.1 400 Bad Request\r\n\r\n")},
		"loading":   {"address": badRedis(t, "-LOADING Redis is loading the dataset in memory\r\n-LOADING x\r\n-LOADING x\r\n")},
		"truncated": {"address": badRedis(t, "$1000\r\nabc")},
		"enormous":  {"address": badRedis(t, "$536870911\r\nabc")},
		"password":  wrong,
	}
	hosts := map[string]options{}
	for name, redis := range faults {
		redis["timeout"] = "200ms"
		hosts[name+".example"] = options{"tenant": name, "redis": redis}
	}
	p := start(t, routed(origin.URL, hosts))
	for name := range faults {
		t.Run(name, func(t *testing.T) {
			longest := time.Duration(0)
			for i := 0; i < 12; i++ {
				begin := time.Now()
				got, err := send(http.MethodGet, p.url+"/page", "", fields("Host: "+name+".example"))
				require.NoError(t, err)
				if took := time.Since(begin); took > longest {
					longest = took
				}
				require.Equal(t, 200, got.status)
				require.Equal(t, "from the origin", got.body)
				require.Regexp(t, "detail=store-(error|open)", got.cacheStatus())
			}
			assert.Less(t, longest, 2*redisTimeout+slack)
			t.Logf("longest wait %v", longest)
			got, err := send(http.MethodGet, p.url+"/page", "", fields("Host: "+name+".example"))
			require.NoError(t, err)
			assert.Contains(t, got.cacheStatus(), "detail=breaker-open", "after five failures Redis is not asked")
		})
	}
	assert.NotContains(t, p.log(), "wrong", "the password is in the log")
}

// TestTraefikRedisOutage stops Redis under traffic and brings it back: nobody
// gets an error, and no purge of the meantime is lost.
func TestTraefikRedisOutage(t *testing.T) {
	needTraefik(t)
	for _, outage := range []string{"killed", "frozen"} {
		t.Run(outage, func(t *testing.T) {
			server := startRedis(t)
			origin := newBackend(t, func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					page("changed", "X-Odoo-Purge: product")(rw, r)
					return
				}
				page("from the origin", "Cache-Control: max-age=60", "Surrogate-Key: product")(rw, r)
			})
			p := start(t, routed(origin.URL, map[string]options{"": {
				"tenant": "shop", "purge": options{"secret": secret},
				"redis": options{"address": server.address, "timeout": "200ms"},
			}}))
			p.get("/page-0")
			require.Contains(t, p.get("/page-0").cacheStatus(), "; hit")
			if outage == "killed" {
				server.stop()
			} else {
				require.NoError(t, server.cmd.Process.Signal(syscall.SIGSTOP))
			}
			time.Sleep(1100 * time.Millisecond) // what the memory tier knows is too old now
			assert.Less(t, worst(t, p, 12), 2*redisTimeout+slack)
			renders := origin.renders()
			worst(t, p, 5)
			assert.Equal(t, renders+5, origin.renders(), "every page came from the origin")

			assert.Equal(t, 200, p.do(http.MethodPost, "/write", "{}").status, "the write itself goes through")
			refused := p.do("PURGE", "/page-1", "", bearer)
			assert.Equal(t, http.StatusServiceUnavailable, refused.status, refused.body)
			assert.NotEmpty(t, refused.header.Get("Retry-After"))

			if outage == "killed" {
				server.start()
			} else {
				require.NoError(t, server.cmd.Process.Signal(syscall.SIGCONT))
			}
			p.until("the cache is used again", func() bool {
				got := p.get("/page-0")
				require.Equal(t, "from the origin", got.body)
				return strings.Contains(got.cacheStatus(), "; hit")
			})
			assert.Contains(t, p.get("/.odoocache/status", bearer).body, `"pendingPurges":0`)
		})
	}
}

// TestTraefikKeepsPurgesOfAnOutage checks that a page in Redis from before an
// outage is not served after it if a purge came in between.
func TestTraefikKeepsPurgesOfAnOutage(t *testing.T) {
	needTraefik(t)
	server := startRedis(t)
	var version atomic.Value
	version.Store("old")
	origin := newBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			version.Store("new")
			page("changed", "X-Odoo-Purge: product")(rw, r)
			return
		}
		page(version.Load().(string), "Cache-Control: max-age=600", "Surrogate-Key: product")(rw, r)
	})
	p := start(t, routed(origin.URL, map[string]options{"": {"tenant": "shop", "redis": options{"address": server.address, "timeout": "100ms"}}}))
	assert.Equal(t, "old", p.get("/").body)
	require.Contains(t, p.get("/").cacheStatus(), "; hit")
	require.NoError(t, server.cmd.Process.Signal(syscall.SIGSTOP))
	p.do(http.MethodPost, "/write", "{}")
	for i := 0; i < 20; i++ {
		require.Equal(t, "new", p.get("/").body)
	}
	require.NoError(t, server.cmd.Process.Signal(syscall.SIGCONT))
	p.until("the cache is used again", func() bool {
		got := p.get("/")
		require.Equal(t, "new", got.body)
		return strings.Contains(got.cacheStatus(), "; hit")
	})
}

// TestTraefikWithForeignBytesInRedis puts bytes that are no entry under the key
// of one: a miss with a reason, and the entry is replaced.
func TestTraefikWithForeignBytesInRedis(t *testing.T) {
	needTraefik(t)
	server := startRedis(t)
	origin := newBackend(t, page("from the origin", "Cache-Control: max-age=60"))
	p := start(t, routed(origin.URL, map[string]options{"": {"tenant": "shop", "memory": options{"bytes": "0"}, "redis": options{"address": server.address}}}))
	p.get("/")
	require.Contains(t, p.get("/").cacheStatus(), "; hit")
	entries := server.entries("shop")
	require.Len(t, entries, 1)
	for _, damage := range []string{"SET %s garbage", "SET %s \"\"", "SETRANGE %s 40 x", "APPEND %s tail", "LPUSH %s list"} {
		if strings.HasPrefix(damage, "LPUSH") {
			server.must("DEL " + entries[0])
		}
		server.must(fmt.Sprintf(damage, entries[0]))
		got := p.get("/")
		assert.Equal(t, "from the origin", got.body, damage)
		assert.Contains(t, got.cacheStatus(), "stored", damage)
		assert.Contains(t, got.cacheStatus(), "detail=store-corrupt", damage)
		assert.Contains(t, p.get("/").cacheStatus(), "; hit", damage)
	}
}
