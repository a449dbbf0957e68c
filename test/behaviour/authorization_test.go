package behaviour_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestAuthorizationOfTheEdge: with authorization: remove, the field is a middleware's in front.
// It decides nothing, is in no key, and reaches Odoo by no way; purges are still told by it.
func TestAuthorizationOfTheEdge(t *testing.T) {
	const ann, bob = "Authorization: Basic YW5uOmE=", "Authorization: Basic Ym9iOmI="
	for _, preset := range []string{"", "odoo"} {
		t.Run("preset "+preset, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				server, seen := "", 0
				o := site.Options{"preset": preset, "authorization": "remove", "purge": site.Options{"secret": site.Secret}, "languages": []string{"en_US"}}
				if preset == "" {
					delete(o, "languages")
				}
				s := site.New(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "" {
						seen++
					}
					server = r.URL.Path
					site.Page(site.HTMLPage("page"), "Content-Type: text/html", "Cache-Control: public, max-age=60")(rw, r)
				})
				assert.Contains(t, s.Get("/shop", ann).CacheStatus(), "stored")
				for i := 0; i < 3; i++ { // the third by the short way
					for _, lines := range [][]string{{ann}, {bob}, nil, {ann, "Accept-Language: en"}, {bob, "X-Made-Up: 1"}, {ann, "Cookie: tz=1"}} {
						assert.Contains(t, s.Get("/shop", lines...).CacheStatus(), "; hit", "%v", lines)
					}
				}
				require.Equal(t, 1, s.Renders())

				for _, path := range []string{"/web/login", "/web/login", "/my/home", "/shop/cart", "/web/assets/1/0123456/x.css"} {
					s.Get(path, ann)
					assert.Equal(t, path, server)
				}
				s.Do(http.MethodPost, "/shop/cart/add", "a=b", ann)
				s.Do(http.MethodHead, "/about", "", ann)
				s.Get("/about", ann, "Range: bytes=0-3")
				s.Get("/websocket", ann, "Connection: Upgrade", "Upgrade: websocket")
				s.Get("/bus", ann, "Accept: text/event-stream")
				s.Get("/about?"+manyParams(200), ann)
				assert.Zero(t, seen, "it reached Odoo")

				assert.Equal(t, http.StatusForbidden, s.Do("PURGE", "/shop", "", ann).Status)
				assert.Equal(t, http.StatusOK, s.Do("PURGE", "/shop", "", "Authorization: Bearer "+site.Secret).Status)
				assert.NotContains(t, s.Get("/shop").CacheStatus(), "; hit")
			})
		})
	}
}

// manyParams is a query with more parameters than are looked at.
func manyParams(n int) (query string) {
	for i := 0; i < n; i++ {
		query += fmt.Sprintf("p%d=1&", i)
	}
	return query
}

// TestAuthorizationIsHonored without the option: it asks for itself, and Odoo gets it.
func TestAuthorizationIsHonored(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, asNobody(nil), site.Page("page"))
		s.Get("/")
		got := s.Get("/", "Authorization: Basic eA==")
		assert.Contains(t, got.CacheStatus(), "detail=authorization")
		assert.Equal(t, "Basic eA==", s.Request().Header.Get("Authorization"))
		assert.Equal(t, 2, s.Renders())
	})
}

// TestAuthorizationWhileRedisIsAway: what is handed on without being looked at has lost it, too.
func TestAuthorizationWhileRedisIsAway(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		o := site.Merge(asNobody(nil), site.Options{"authorization": "remove", "redis": site.Options{"address": "127.0.0.1:1", "timeout": "50ms", "dialTimeout": "50ms"}})
		seen := 0
		s := site.New(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				seen++
			}
			site.Page("page")(rw, r)
		})
		for i := 0; i < 12; i++ {
			assert.Equal(t, "page", s.Get(fmt.Sprintf("/%d", i/2), "Authorization: Basic eA==").Body)
		}
		assert.Zero(t, seen)
	})
}
