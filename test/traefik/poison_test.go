package traefik_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/poison"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestTraefikPoison is TestPoison in a real Traefik, which has ideas of its own of what a
// client may send, what Connection names, and what reaches the origin. It trusts what is
// in front of it, and keeps what it has in Redis.
func TestTraefikPoison(t *testing.T) {
	const trusted = "--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1"
	side := func(kind poison.Target, address string) *stack.Traefik {
		o := site.Merge(site.Options{"preset": "odoo", "languages": []string{"en_US", "fr_FR"}, "tenant": "poison"}, kind.More)
		if kind.Rules != nil {
			o["rules"] = kind.Rules
		}
		if address != "" {
			o["redis"] = site.Options{"address": address, "timeout": "5s", "dialTimeout": "5s"}
			o["compression"] = "0"
		}
		origin := stack.NewBackend(t, kind.Origin)
		origin.Config.MaxHeaderBytes = 4 << 20
		return stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"": o}), trusted)
	}
	for _, name := range []string{"page", "page of the addon", "static file", "own rule"} {
		t.Run(name, func(t *testing.T) {
			var kind poison.Target
			for _, k := range poison.Targets {
				if k.Name == name {
					kind = k
				}
			}
			require.NotEmpty(t, kind.Name)
			server := stack.StartRedis(t)
			with, control := side(kind, server.Address), side(kind, "")
			p := &poison.Site{T: t, Page: kind.Page, Tenant: "poison"}
			names, open := map[string]string{}, map[string]string{}
			ways := poison.Oddities()
			for i, way := range ways {
				n := 100000 + i
				q := p.Odd(n, poison.NobodyAt, way)
				q.Lines = append(q.Lines, "X-N: "+poison.MarkerOf(n, "b"))
				names[poison.MarkerOf(n, "a")], names[poison.MarkerOf(n, "b")] = way.Name, way.Name
				if way.Open {
					open[poison.MarkerOf(n, "a")] = way.Name
				}
				p.Cases++
				if _, err := q.OnWire(with.URL); err != nil {
					p.Refused++
				}
				for j, of := range []func(string) *poison.Request{poison.NobodyAt, poison.BrowserAt} {
					got, err := of(q.Canonical).OnWire(with.URL)
					require.NoError(t, err, way.Name)
					want, err := of(q.Canonical).OnWire(control.URL)
					require.NoError(t, err, way.Name)
					if strings.Contains(got.CacheStatus(), "; hit") {
						p.Hits++
					}
					if poison.Shown(got) != poison.Shown(want) || poison.Marker.MatchString(got.Body+fmt.Sprint(got.Header)) {
						p.Fail("%s | visitor %d at %s gets %s (%s)", way.Name, j, q.Canonical, poison.Differing(poison.Shown(got), poison.Shown(want)), got.CacheStatus())
					}
				}
			}
			p.CleanRedis(&goredis.Options{Addr: server.Address}, names, open)
			p.Report()
			assert.Greater(t, p.Hits, p.Cases/2, "the cache is on")
			assert.Equal(t, http.StatusOK, with.Get("/").Status)
		})
	}
}
