package odoocache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTraefikPoison is TestPoison in a real Traefik, which has ideas of its own of what a
// client may send, what Connection names, and what reaches the origin. It trusts what is
// in front of it, and keeps what it has in Redis.
func TestTraefikPoison(t *testing.T) {
	const trusted = "--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1"
	side := func(kind poisonTarget, address string) *traefik {
		o := mergeOptions(options{"preset": "odoo", "languages": []string{"en_US", "fr_FR"}, "tenant": "poison"}, kind.more)
		if kind.rules != nil {
			o["rules"] = kind.rules
		}
		if address != "" {
			o["redis"] = options{"address": address, "timeout": "5s", "dialTimeout": "5s"}
			o["compression"] = "0"
		}
		origin := newBackend(t, kind.origin)
		origin.Config.MaxHeaderBytes = 4 << 20
		return start(t, routed(origin.URL, map[string]options{"": o}), trusted)
	}
	for _, name := range []string{"page", "page of the addon", "static file", "own rule"} {
		t.Run(name, func(t *testing.T) {
			var kind poisonTarget
			for _, k := range poisonTargets {
				if k.name == name {
					kind = k
				}
			}
			require.NotEmpty(t, kind.name)
			server := startRedis(t)
			with, control := side(kind, server.address), side(kind, "")
			p := &poisonedSite{t: t, page: kind.page, tenant: "poison"}
			names, open := map[string]string{}, map[string]string{}
			ways := oddities()
			for i, way := range ways {
				n := 100000 + i
				q := p.odd(n, nobodyAt, way)
				q.lines = append(q.lines, "X-N: "+markerOf(n, "b"))
				names[markerOf(n, "a")], names[markerOf(n, "b")] = way.name, way.name
				if way.open {
					open[markerOf(n, "a")] = way.name
				}
				p.cases++
				if _, err := q.onWire(with.url); err != nil {
					p.refused++
				}
				for j, of := range []func(string) *oddRequest{nobodyAt, browserAt} {
					got, err := of(q.canonical).onWire(with.url)
					require.NoError(t, err, way.name)
					want, err := of(q.canonical).onWire(control.url)
					require.NoError(t, err, way.name)
					if strings.Contains(got.cacheStatus(), "; hit") {
						p.hits++
					}
					if shown(got) != shown(want) || marker.MatchString(got.body+fmt.Sprint(got.header)) {
						p.fail("%s | visitor %d at %s gets %s (%s)", way.name, j, q.canonical, differing(shown(got), shown(want)), got.cacheStatus())
					}
				}
			}
			p.cleanRedis(&goredis.Options{Addr: server.address}, names, open)
			p.report()
			assert.Greater(t, p.hits, p.cases/2, "the cache is on")
			assert.Equal(t, http.StatusOK, with.get("/").status)
		})
	}
}
