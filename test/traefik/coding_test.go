package traefik_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestTraefikCompress: with Traefik's compress before or behind the cache nothing is
// compressed twice, and every client gets a page that it can read.
func TestTraefikCompress(t *testing.T) {
	stack.NeedTraefik(t)
	server := stack.StartRedis(t)
	for _, order := range [][]string{{"cache", "compress"}, {"compress", "cache"}, {"cache"}} {
		t.Run(strings.Join(order, ", then "), func(t *testing.T) {
			origin := stack.NewBackend(t, site.Page(site.Text, "Content-Type: text/html", "Cache-Control: max-age=600"))
			config, err := json.Marshal(site.Options{"http": site.Options{
				"routers": site.Options{"shop": site.Options{"rule": "PathPrefix(`/`)", "service": "origin", "middlewares": order, "entryPoints": []string{"web"}}},
				"middlewares": site.Options{
					"compress": site.Options{"compress": site.Options{}},
					"cache": site.Options{"plugin": site.Options{"odoocache": site.Options{
						"tenant": strings.Join(order, "-"), "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
					}}},
				},
				"services": site.Options{"origin": site.Options{"loadBalancer": site.Options{"servers": []site.Options{{"url": origin.URL}}}}},
			}})
			require.NoError(t, err)
			p := stack.StartTraefik(t, string(config))
			for i := 0; i < 3; i++ {
				plain := p.Get("/")
				require.Empty(t, plain.Header["Content-Encoding"])
				require.Equal(t, site.Text, plain.Body)
				z := p.Get("/", "Accept-Encoding: gzip")
				require.Equal(t, []string{"gzip"}, z.Header["Content-Encoding"])
				require.Equal(t, site.Text, site.Unzip(t, z.Body))
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
