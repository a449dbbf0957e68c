package behaviour_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// shop is a site with a few tagged pages, all of them cached.
func shop(t *testing.T, load site.Loader, o site.Options) *site.Site {
	t.Helper()
	all := site.Options{"purge": site.Options{"secret": site.Secret}}
	for name, value := range o {
		all[name] = value
	}
	s := site.New(t, load, all, func(rw http.ResponseWriter, r *http.Request) {
		tags := "website-1 page" + strings.ReplaceAll(r.URL.Path, "/", "-")
		site.Page("v1", "X-Odoo-Cache: public, ttl=60, grace=60", "Surrogate-Key: "+tags)(rw, r)
	})
	for _, path := range shopPaths {
		s.Get(path)
		require.Contains(t, s.Get(path).CacheStatus(), "hit", path)
	}
	s.Count.Store(0)
	return s
}

var shopPaths = []string{"/", "/shop", "/shop?page=2", "/shop/desk", "/shop/d%C3%A9sk", "/shopping", "/blog/a", "/blog/b"}

func without(paths ...string) []string {
	gone := map[string]bool{}
	for _, path := range paths {
		gone[path] = true
	}
	var left []string
	for _, path := range shopPaths {
		if !gone[path] {
			left = append(left, path)
		}
	}
	return left
}

// left returns which of the shop's pages are still answered from the cache.
func left(s *site.Site) []string {
	var hits []string
	for _, path := range shopPaths {
		if status := s.Get(path).CacheStatus(); strings.Contains(status, "; hit") {
			hits = append(hits, path)
		}
	}
	return hits
}

func TestPurgeByResponseHeader(t *testing.T) {
	for _, c := range []struct {
		name, header string
		gone         []string
	}{
		{"one tag", "X-Odoo-Purge: page-shop-desk", []string{"/shop/desk"}},
		{"tags and a path", "X-Odoo-Purge: page-blog-a, page-blog-b, /shop", []string{"/blog/a", "/blog/b", "/shop", "/shop?page=2"}},
		{"tags separated by spaces", "X-Odoo-Purge: page-blog-a page-blog-b", []string{"/blog/a", "/blog/b"}},
		{"a path with a query", "X-Odoo-Purge: /shop?page=2", []string{"/shop?page=2"}},
		{"an escaped path", "X-Odoo-Purge: /shop/d%c3%a9sk", []string{"/shop/d%C3%A9sk"}},
		{"a prefix", "X-Odoo-Purge: /blog/*", []string{"/blog/a", "/blog/b"}},
		{"a path on another host", "X-Odoo-Purge: //other.example/shop", nil},
		{"everything", "X-Odoo-Purge: *", shopPaths},
		{"a tag of every page", "X-Odoo-Purge: website-1", shopPaths},
		{"a tag of none", "X-Odoo-Purge: website-2", nil},
		{"groups", `Cache-Group-Invalidation: "page-blog-a", "page-blog-b"`, []string{"/blog/a", "/blog/b"}},
		{"groups that cannot be read purge all", `Cache-Group-Invalidation: page-blog-a`, shopPaths},
		{"an unreadable path purges all", "X-Odoo-Purge: http://[/", shopPaths},
	} {
		t.Run(c.name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := shop(t, load, nil)
				old := s.Answer
				s.Answers(site.Page("done", c.header))
				got := s.Do(http.MethodPost, "/web/dataset/call_kw", "{}")
				assert.Empty(t, got.Header["X-Odoo-Purge"])
				assert.Empty(t, got.Header["Cache-Group-Invalidation"])
				s.Answers(old)
				assert.Equal(t, without(c.gone...), left(s))
			})
		})
	}
}

// TestPurgeIsAppliedBeforeTheAnswer asks from within the origin, before it has
// sent anything, and from the client, which has the whole answer.
func TestPurgeIsAppliedBeforeTheAnswer(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := shop(t, load, nil)
		old := s.Answer
		for i := 0; i < 50; i++ {
			s.Answers(old)
			s.Get("/shop/desk")
			require.Contains(t, s.Get("/shop/desk").CacheStatus(), "; hit")
			s.Answers(site.Page("done", "X-Odoo-Purge: page-shop-desk"))
			s.Do(http.MethodPost, "/write", "{}")
			s.Answers(old)
			require.NotContains(t, s.Get("/shop/desk").CacheStatus(), "; hit")
		}
	})
}

func TestSoftPurgeServesStaleWhileItRefreshes(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, header := range []string{"X-Odoo-Purge: stale page-shop-desk", "X-Odoo-Purge: stale, *", "X-Odoo-Purge: stale /shop/*"} {
			s := shop(t, load, nil)
			s.Answers(site.Page("done", header))
			s.Do(http.MethodPost, "/write", "{}")
			gate := make(chan bool)
			s.Answers(func(rw http.ResponseWriter, r *http.Request) {
				<-gate
				site.Page("v2", "X-Odoo-Cache: public, ttl=60")(rw, r)
			})
			got := s.Get("/shop/desk")
			assert.Equal(t, "v1", got.Body, header)
			assert.Contains(t, got.CacheStatus(), "detail=stale-while-revalidate")
			close(gate)
			require.Eventually(t, func() bool { return s.Get("/shop/desk").Body == "v2" }, site.WaitFor, site.Tick)
		}
	})
}

// TestPurgeDuringARender checks that a page which was being rendered while a
// purge passed is not found afterwards, although its tags were not known then.
func TestPurgeDuringARender(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := shop(t, load, nil)
		started, gate := make(chan bool), make(chan bool)
		s.Answers(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				started <- true
				<-gate
				site.Page("old", "X-Odoo-Cache: public, ttl=60", "Surrogate-Key: product-9")(rw, r)
				return
			}
			site.Page("done", "X-Odoo-Purge: product-9")(rw, r)
		})
		done := make(chan site.Reply)
		go func() {
			got, _ := site.Send(http.MethodGet, s.URL+"/slow", "", http.Header{})
			done <- got
		}()
		<-started
		s.Do(http.MethodPost, "/write", "{}")
		close(gate)
		assert.Equal(t, "odoocache; fwd=uri-miss; detail=purged", (<-done).CacheStatus())
		s.Answers(site.Page("new", "X-Odoo-Cache: public, ttl=60"))
		assert.Equal(t, "new", s.Get("/slow").Body)
	})
}

func TestPurgeByRequest(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		lines                    []string
		gone                     []string
	}{
		{name: "PURGE of an address", method: "PURGE", path: "/shop", gone: []string{"/shop", "/shop?page=2"}},
		{name: "PURGE of an address with a query", method: "PURGE", path: "/shop?page=2", gone: []string{"/shop?page=2"}},
		{name: "PURGE of an address on another host", method: "PURGE", path: "/shop", lines: []string{"Host: other.example"}},
		{name: "tags in JSON", method: "POST", path: "/.odoocache/purge", body: `{"tags":["page-blog-a"," page-blog-b "]}`, gone: []string{"/blog/a", "/blog/b"}},
		{name: "paths in JSON", method: "POST", path: "/.odoocache/purge", body: `{"paths":["/blog/a","//other.example/blog/b"]}`, gone: []string{"/blog/a"}},
		{name: "prefixes in JSON", method: "POST", path: "/.odoocache/purge", body: `{"prefixes":["/shop/"]}`, gone: []string{"/shop/desk", "/shop/d%C3%A9sk"}},
		{name: "a star among the tags", method: "POST", path: "/.odoocache/purge", body: `{"tags":["*"]}`, gone: shopPaths},
		{name: "a prefix with a star", method: "POST", path: "/.odoocache/purge", body: `{"prefixes":["/blog/*"]}`, gone: []string{"/blog/a", "/blog/b"}},
		{name: "all in JSON", method: "POST", path: "/.odoocache/purge", body: `{"all":true}`, gone: shopPaths},
		{name: "the header", method: "POST", path: "/.odoocache/purge", lines: []string{"X-Odoo-Purge: page-blog-a, /shop/desk"}, gone: []string{"/blog/a", "/shop/desk"}},
		{name: "everything by the header", method: "PURGE", path: "/.odoocache/purge", lines: []string{"X-Odoo-Purge: *"}, gone: shopPaths},
		{name: "header and JSON", method: "POST", path: "/.odoocache/purge", lines: []string{"X-Odoo-Purge: page-blog-a"}, body: `{"tags":["page-blog-b"]}`, gone: []string{"/blog/a", "/blog/b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := shop(t, load, nil)
				got := s.Do(c.method, c.path, c.body, append(c.lines, site.Bearer)...)
				require.Equal(t, 200, got.Status, got.Body)
				assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
				var answer map[string]interface{}
				require.NoError(t, json.Unmarshal([]byte(got.Body), &answer))
				assert.Equal(t, s.Options["tenant"], answer["tenant"])
				assert.Equal(t, "hard", answer["kind"])
				assert.Equal(t, without(c.gone...), left(s))
				assert.Equal(t, len(c.gone), s.Renders(), "the purge itself went nowhere")
			})
		})
	}
}

func TestBadPurgeRequests(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		lines                    []string
		status                   int
		field                    string
	}{
		{name: "no credentials", method: "PURGE", path: "/shop", lines: []string{}, status: 403},
		{name: "wrong secret", method: "PURGE", path: "/shop", lines: []string{"Authorization: Bearer nonsense"}, status: 403},
		{name: "wrong scheme", method: "PURGE", path: "/shop", lines: []string{"Authorization: Basic " + site.Secret}, status: 403},
		{name: "status without credentials", method: "GET", path: "/.odoocache/status", lines: []string{}, status: 403},
		{name: "no JSON", method: "POST", path: "/.odoocache/purge", body: "tags=a", status: 400, field: "body"},
		{name: "no object", method: "POST", path: "/.odoocache/purge", body: `["a"]`, status: 400, field: "body"},
		{name: "wrong type", method: "POST", path: "/.odoocache/purge", body: `{"tags":"a"}`, status: 400, field: "tags"},
		{name: "unknown field", method: "POST", path: "/.odoocache/purge", body: `{"tag":["a"]}`, status: 400, field: "tag"},
		{name: "nothing to do", method: "POST", path: "/.odoocache/purge", body: `{}`, status: 400, field: "body"},
		{name: "empty", method: "POST", path: "/.odoocache/purge", status: 400, field: "body"},
		{name: "empty tag", method: "POST", path: "/.odoocache/purge", body: `{"tags":[""]}`, status: 400, field: "tags"},
		{name: "long tag", method: "POST", path: "/.odoocache/purge", body: `{"tags":["` + strings.Repeat("x", 257) + `"]}`, status: 400, field: "tags"},
		{name: "no path", method: "POST", path: "/.odoocache/purge", body: `{"paths":["shop"]}`, status: 400, field: "paths"},
		{name: "no prefix", method: "POST", path: "/.odoocache/purge", body: `{"prefixes":["shop"]}`, status: 400, field: "prefixes"},
		{name: "wrong method", method: "GET", path: "/.odoocache/purge", status: 405},
		{name: "too large", method: "POST", path: "/.odoocache/purge", body: `{"tags":["` + strings.Repeat(`a","`, 200000) + `"]}`, status: 413, field: "body"},
		{name: "too many", method: "POST", path: "/.odoocache/purge", body: `{"tags":["a` + strings.Repeat(`","a`, 1001) + `"]}`, status: 413, field: "items"},
		{name: "no such endpoint", method: "GET", path: "/.odoocache/nothing", status: 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := shop(t, load, nil)
				lines := c.lines
				if lines == nil {
					lines = []string{site.Bearer}
				}
				got := s.Do(c.method, c.path, c.body, lines...)
				assert.Equal(t, c.status, got.Status, got.Body)
				var answer map[string]string
				require.NoError(t, json.Unmarshal([]byte(got.Body), &answer), got.Body)
				assert.NotEmpty(t, answer["error"])
				assert.Equal(t, c.field, answer["field"])
				assert.NotContains(t, got.Body, site.Secret)
				assert.Equal(t, shopPaths, left(s), "nothing was purged")
				assert.Zero(t, s.Renders(), "nothing reached the origin")
			})
		})
	}
}

func TestPurgeNetworks(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, c := range []struct {
			networks []string
			secret   string
			lines    []string
			status   int
		}{
			{networks: nil, status: 403},
			{networks: []string{"127.0.0.0/8", "::1"}, status: 200},
			{networks: []string{"10.0.0.0/8"}, status: 403},
			{networks: []string{"127.0.0.1"}, secret: site.Secret, status: 403},
			{networks: []string{"127.0.0.1"}, secret: site.Secret, lines: []string{"X-Odoocache-Secret: " + site.Secret}, status: 200},
			{networks: []string{"10.0.0.0/8"}, secret: site.Secret, lines: []string{site.Bearer}, status: 403},
		} {
			o := site.Options{"networks": c.networks}
			if c.secret != "" {
				o["secret"] = c.secret
			}
			s := site.New(t, load, site.Options{"purge": o}, site.Page("x"))
			got := s.Do("PURGE", "/", "", c.lines...)
			assert.Equal(t, c.status, got.Status, fmt.Sprint(c, got.Body))
		}
	})
}

func TestPurgeHeadersOfRequestsAndOfUntrustedOriginsDoNothing(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := shop(t, load, site.Options{"rules": []site.Options{{"match": site.Options{"methods": []string{"GET"}, "pathPrefixes": []string{"/write"}}, "bypass": "true"}},
			"purge": site.Options{"fromResponses": "false"}})
		s.Do(http.MethodPost, "/write", "{}", "X-Odoo-Purge: *")
		s.Get("/write", "X-Odoo-Purge: *")
		s.Answers(site.Page("done", "X-Odoo-Purge: *"))
		got := s.Do(http.MethodPost, "/write", "{}")
		assert.Empty(t, got.Header["X-Odoo-Purge"], "stripped all the same")
		assert.Equal(t, shopPaths, left(s))
	})
}

func TestStatusEndpoint(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := shop(t, load, nil)
		got := s.Get("/.odoocache/status", site.Bearer)
		require.Equal(t, 200, got.Status)
		var status struct {
			Tenant, Storage, Breaker string
			Counters                 map[string]int
		}
		require.NoError(t, json.Unmarshal([]byte(got.Body), &status))
		assert.Equal(t, s.Options["tenant"], status.Tenant)
		assert.Equal(t, "memory", status.Storage)
		assert.Equal(t, "closed", status.Breaker)
		assert.Equal(t, len(shopPaths), status.Counters["hit"])
		assert.Equal(t, len(shopPaths), status.Counters["stored"])
	})
}
