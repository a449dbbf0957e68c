package traefik_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// browsersAccept are what browsers and other clients say that they take.
var browsersAccept = []string{
	"gzip, deflate, br, zstd", "gzip, deflate, br", "gzip, deflate", "gzip,deflate", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip", "deflate, gzip;q=1.0, *;q=0.5", "*", "identity", "",
}

// shopOf are the options of a shop with all that is usual.
func shopOf(tenant string, server *stack.RedisServer) site.Options {
	return site.Options{
		"tenant": tenant, "preset": "odoo", "languages": []string{"en_US"},
		"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
	}
}

// edited is a dynamic configuration with changes.
func edited(t *testing.T, dynamic string, edit func(parts map[string]interface{})) string {
	t.Helper()
	var all map[string]interface{}
	require.NoError(t, json.Unmarshal([]byte(dynamic), &all))
	edit(all["http"].(map[string]interface{}))
	b, err := json.Marshal(all)
	require.NoError(t, err)
	return string(b)
}

// withService puts another service in the place of the origin.
func withService(t *testing.T, dynamic string, loadBalancer site.Options) string {
	t.Helper()
	return edited(t, dynamic, func(parts map[string]interface{}) {
		parts["services"] = site.Options{"origin": site.Options{"loadBalancer": loadBalancer}}
	})
}

// serversOf are the servers of a service.
func serversOf(urls ...string) (list []site.Options) {
	for _, url := range urls {
		list = append(list, site.Options{"url": url})
	}
	return list
}

// odooPage answers as Odoo does to anybody: with a page of some size that begins a session.
func odooPage(text string, lines ...string) http.HandlerFunc {
	return site.Page(site.HTMLPage(strings.Repeat(text+" ", 2000)), append(lines, "Content-Type: text/html; charset=utf-8", "Set-Cookie: session_id="+site.SessionID(1)+"; Path=/")...)
}

// plainText undoes the coding of a reply.
func plainText(t *testing.T, r site.Reply) string {
	t.Helper()
	if r.Header.Get("Content-Encoding") == "" {
		return r.Body
	}
	require.Equal(t, []string{"gzip"}, r.Header["Content-Encoding"])
	return site.Unzip(t, r.Body)
}

// TestTraefikNginxBetween: an nginx that codes between Traefik and Odoo, as people have it, is
// no obstacle, and Cache-Status tells what has become of each page.
func TestTraefikNginxBetween(t *testing.T) {
	server := stack.StartRedis(t)
	const types = "gzip_types text/css application/javascript application/json; gzip_min_length 20; gzip_proxied any;"
	for name, lines := range map[string]string{
		"gzip":                       "gzip on; " + types,
		"gzip with Vary":             "gzip on; gzip_vary on; " + types,
		"gzip that changes the page": "gzip on; gzip_vary on; sub_filter_types text/css; sub_filter_once off; sub_filter 'colour' 'color'; " + types,
		"gzip of what was coded":     "gzip on; gunzip on; " + types,
	} {
		for _, proxy := range [][]string{nil, {"--experimental.fastProxy=true"}} {
			t.Run(name+" "+strings.Join(proxy, " "), func(t *testing.T) {
				tenant := strings.ReplaceAll(fmt.Sprint(name, len(proxy)), " ", "-")
				origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, ".css") {
						site.Page(strings.Repeat("a{colour:red}\n", 2000), "Content-Type: text/css", "Cache-Control: public, max-age=31536000, immutable")(rw, r)
						return
					}
					odooPage("a product of some colour")(rw, r)
				})
				nginx := stack.StartNginx(t, origin.URL, lines)
				p := stack.StartTraefik(t, stack.Routed(nginx, map[string]site.Options{"shop.example": shopOf(tenant, server)}), proxy...)
				for _, path := range []string{"/shop", "/web/assets/1/0a1b2c3/web.assets_frontend.min.css"} {
					before := origin.Renders()
					stored := len(server.Entries(tenant))
					want := ""
					for i, accepts := range browsersAccept {
						got := p.Get(path, "Accept-Encoding: "+accepts)
						require.Equal(t, http.StatusOK, got.Status)
						if i == 0 {
							require.Contains(t, got.CacheStatus(), "stored", path)
							assert.Equal(t, stored+1, len(server.Entries(tenant)), "it says stored, and it is")
							want = plainText(t, got)
						} else {
							require.Contains(t, got.CacheStatus(), "; hit", "%s for %q", path, accepts)
						}
						require.Equal(t, want, plainText(t, got))
						require.Equal(t, strings.Contains(lines, "sub_filter"), !strings.Contains(plainText(t, got), "colour"), "nginx changes it")
						assert.Empty(t, got.Header["Set-Cookie"])
					}
					renders := 1
					if proxy != nil && strings.Contains(lines, "sub_filter") && path != "/shop" {
						renders = 2 // the second in gzip, which tells its end
					}
					assert.Equal(t, renders, origin.Renders()-before)
				}
			})
		}
	}
}
