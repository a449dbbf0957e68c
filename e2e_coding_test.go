package odoocache_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTraefikCompress: with Traefik's compress before or behind the cache nothing is
// compressed twice, and every client gets a page that it can read.
func TestTraefikCompress(t *testing.T) {
	needTraefik(t)
	server := startRedis(t)
	for _, order := range [][]string{{"cache", "compress"}, {"compress", "cache"}, {"cache"}} {
		t.Run(strings.Join(order, ", then "), func(t *testing.T) {
			origin := newBackend(t, page(text, "Content-Type: text/html", "Cache-Control: max-age=600"))
			config, err := json.Marshal(options{"http": options{
				"routers": options{"shop": options{"rule": "PathPrefix(`/`)", "service": "origin", "middlewares": order, "entryPoints": []string{"web"}}},
				"middlewares": options{
					"compress": options{"compress": options{}},
					"cache": options{"plugin": options{"odoocache": options{
						"tenant": strings.Join(order, "-"), "redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"},
					}}},
				},
				"services": options{"origin": options{"loadBalancer": options{"servers": []options{{"url": origin.URL}}}}},
			}})
			require.NoError(t, err)
			p := start(t, string(config))
			for i := 0; i < 3; i++ {
				plain := p.get("/")
				require.Empty(t, plain.header["Content-Encoding"])
				require.Equal(t, text, plain.body)
				z := p.get("/", "Accept-Encoding: gzip")
				require.Equal(t, []string{"gzip"}, z.header["Content-Encoding"])
				require.Equal(t, text, unzip(t, z.body))
				require.Equal(t, []string{"Accept-Encoding"}, z.header["Vary"])
				p.get("/", "Accept-Encoding: br") // whatever it is, what follows is not to suffer
				got := p.get("/", "Accept-Encoding: gzip, deflate, br, zstd")
				if len(order) == 1 {
					require.Equal(t, z.body, got.body)
					require.Equal(t, http.StatusNotModified, p.get("/", "Accept-Encoding: gzip", "If-None-Match: "+z.header.Get("Etag")).status)
				}
			}
			assert.Contains(t, p.get("/", "Accept-Encoding: gzip").cacheStatus(), "; hit")
			assert.LessOrEqual(t, origin.renders(), 4, "one for each coding at most")
		})
	}
}
