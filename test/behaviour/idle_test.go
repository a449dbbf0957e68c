package behaviour_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestTheFirstRequestAfterAQuietTime: a server, a firewall or the cache itself ends connections
// that are idle. The next request opens another one, and is answered as if nothing had been.
func TestTheFirstRequestAfterAQuietTime(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		closes, keeps := stack.StartServer(t, "--timeout", "1"), stack.StartServer(t)
		type way struct {
			name, path string
			lines      []string
			site       *site.Site
		}
		var ways []way
		for _, memory := range []string{"0", "64M"} {
			for _, redis := range []site.Options{{"address": closes.Address}, {"address": keeps.Address, "idleTimeout": "1s"}} {
				for _, w := range []way{
					{name: "plain", path: "/plain"}, {name: "varied", path: "/varied", lines: []string{"X-Side: left"}},
					{name: "session", path: "/plain", lines: []string{"Cookie: session_id=" + site.SessionID(3) + "; odoocache_context=0"}},
				} {
					w.name += fmt.Sprint(", memory ", memory, ", ", redis)
					w.site = site.New(t, load, site.Merge(sessionRules, site.Options{
						"redis": redis, "memory": site.Options{"size": memory},
					}), func(rw http.ResponseWriter, r *http.Request) {
						rw.Header().Set("X-Odoo-Cache-Context", "0")
						if r.URL.Path == "/varied" {
							rw.Header().Set("Vary", "X-Side")
						}
						site.Page("x")(rw, r)
					})
					for i := 0; i < 5; i++ {
						w.site.Get(w.path, w.lines...)
					}
					assert.Contains(t, w.site.Get(w.path, w.lines...).CacheStatus(), "; hit", w.name)
					ways = append(ways, w)
				}
			}
		}
		for round := 0; round < 2; round++ {
			time.Sleep(2500 * time.Millisecond)
			for _, w := range ways {
				assert.Contains(t, w.site.Get(w.path, w.lines...).CacheStatus(), "; hit", w.name)
			}
		}
	})
}
