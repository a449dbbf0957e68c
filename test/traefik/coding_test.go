package traefik_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/odoocache/odoocache/test/site"
	. "github.com/odoocache/odoocache/test/stack"
)

// TestTraefikCompress: with Traefik's compress before or behind the cache nothing is
// compressed twice, and every client gets a page that it can read.
func TestTraefikCompress(t *testing.T) {
	NeedTraefik(t)
	server := StartRedis(t)
	for _, order := range [][]string{{"cache", "compress"}, {"compress", "cache"}, {"cache"}} {
		t.Run(strings.Join(order, ", then "), func(t *testing.T) {
			origin := NewBackend(t, Page(Text, "Content-Type: text/html", "Cache-Control: max-age=600"))
			config, err := json.Marshal(Options{"http": Options{
				"routers": Options{"shop": Options{"rule": "PathPrefix(`/`)", "service": "origin", "middlewares": order, "entryPoints": []string{"web"}}},
				"middlewares": Options{
					"compress": Options{"compress": Options{}},
					"cache": Options{"plugin": Options{"odoocache": Options{
						"tenant": strings.Join(order, "-"), "redis": Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
					}}},
				},
				"services": Options{"origin": Options{"loadBalancer": Options{"servers": []Options{{"url": origin.URL}}}}},
			}})
			require.NoError(t, err)
			p := StartTraefik(t, string(config))
			for i := 0; i < 3; i++ {
				plain := p.Get("/")
				require.Empty(t, plain.Header["Content-Encoding"])
				require.Equal(t, Text, plain.Body)
				z := p.Get("/", "Accept-Encoding: gzip")
				require.Equal(t, []string{"gzip"}, z.Header["Content-Encoding"])
				require.Equal(t, Text, Unzip(t, z.Body))
				require.Equal(t, []string{"Accept-Encoding"}, z.Header["Vary"])
				p.Get("/", "Accept-Encoding: br") // whatever it is, what follows is not to suffer
				got := p.Get("/", "Accept-Encoding: gzip, deflate, br, zstd")
				if len(order) == 1 {
					require.Equal(t, z.Body, got.Body)
					require.Equal(t, http.StatusNotModified, p.Get("/", "Accept-Encoding: gzip", "If-None-Match: "+z.Header.Get("Etag")).Status)
				}
			}
			assert.Contains(t, p.Get("/", "Accept-Encoding: gzip").CacheStatus(), "; hit")
			assert.LessOrEqual(t, origin.Renders(), 4, "one for each coding at most")
		})
	}
}
