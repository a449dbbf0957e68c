package traefik_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// versioned is an origin whose page tells a version, which a POST raises and
// purges. A page that is being rendered reads the version first.
type versioned struct {
	version atomic.Int64
}

func (v *versioned) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		n := v.version.Add(1)
		rw.Header().Set("X-Odoo-Purge", "desk")
		site.Page(strconv.FormatInt(n, 10))(rw, r)
		return
	}
	site.Page(strconv.FormatInt(v.version.Load(), 10), "Cache-Control: max-age=600", "Surrogate-Key: desk")(rw, r)
}

func number(t *testing.T, body string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(body, 10, 64)
	require.NoError(t, err)
	return n
}

// TestTraefikPurgeByResponse: with memory.maxStaleness 0 no request
// that starts after the purging response has come gets an older page, from
// either replica, while others keep both replicas busy with that page.
func TestTraefikPurgeByResponse(t *testing.T) {
	server := stack.StartRedis(t)
	v := &versioned{}
	origin := stack.NewBackend(t, v.ServeHTTP)
	replica := stack.Replicas(t, stack.Routed(origin.URL, map[string]site.Options{"": {
		"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}, "memory": site.Options{"maxStaleness": "0"},
	}}))
	var acknowledged atomic.Int64
	var old atomic.Int64
	var done atomic.Bool
	var readers sync.WaitGroup
	for i := 0; i < 4; i++ {
		readers.Add(1)
		go func(p *stack.Traefik) {
			defer readers.Done()
			for !done.Load() {
				least := acknowledged.Load()
				r, err := site.Send(http.MethodGet, p.URL+"/desk", "", site.Fields("Host: shop.example"))
				n, _ := strconv.ParseInt(r.Body, 10, 64)
				if err != nil || n < least {
					old.Add(1)
				}
			}
		}(replica[i%2])
	}
	hits := 0
	for i := 0; i < 200; i++ {
		r := replica[i%2].Do(http.MethodPost, "/write", "x=1")
		assert.Empty(t, r.Header["X-Odoo-Purge"], "the purge header is for the cache alone")
		want := number(t, r.Body)
		acknowledged.Store(want)
		for _, j := range []int{i % 2, (i + 1) % 2} {
			got := replica[j].Get("/desk")
			require.Equal(t, want, number(t, got.Body), "purge %d, replica %d of %d: %s", i, j, i%2, got.CacheStatus())
			if strings.Contains(got.CacheStatus(), "; hit;") {
				hits++
			}
		}
	}
	done.Store(true)
	readers.Wait()
	assert.Zero(t, old.Load(), "answers from before a purge")
	assert.Positive(t, hits, "the cache was in use")
}

// TestTraefikPurgeReachesOtherMemory: with the default maxStaleness the memory
// tier of the other replica may answer for one more second.
func TestTraefikPurgeReachesOtherMemory(t *testing.T) {
	server := stack.StartRedis(t)
	v := &versioned{}
	origin := stack.NewBackend(t, v.ServeHTTP)
	replica := stack.Replicas(t, stack.Routed(origin.URL, map[string]site.Options{"": {"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}}}))
	for _, p := range replica {
		p.Get("/desk")
		assert.Contains(t, p.Get("/desk").CacheStatus(), "; hit;")
	}
	want := number(t, replica[0].Do(http.MethodPost, "/write", "x=1").Body)
	sent := time.Now()
	assert.Equal(t, want, number(t, replica[0].Get("/desk").Body), "the replica that purged knows at once")
	for late := false; !late; {
		late = time.Since(sent) > 1001*time.Millisecond
		if got := number(t, replica[1].Get("/desk").Body); late || got != want-1 {
			require.Equal(t, want, got)
		}
	}
}

// purged is what a purge request answers.
type purged struct {
	Tenant   string   `json:"tenant"`
	Kind     string   `json:"kind"`
	All      bool     `json:"all"`
	Tags     []string `json:"tags"`
	Paths    []string `json:"paths"`
	Prefixes []string `json:"prefixes"`
	Sequence int64    `json:"sequence"`

	Error string `json:"error"`
	Field string `json:"field"`
}

func purgeReply(t *testing.T, r site.Reply) purged {
	t.Helper()
	var p purged
	assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
	assert.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.NoError(t, json.Unmarshal([]byte(r.Body), &p), r.Body)
	return p
}

func TestTraefikPurgeByRequest(t *testing.T) {
	server := stack.StartRedis(t)
	var version atomic.Int64
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		site.Page(fmt.Sprintf("%s %d", r.URL, version.Load()), "Cache-Control: max-age=600, stale-while-revalidate=600", "Surrogate-Key: all-pages "+name)(rw, r)
	})
	dynamic := func(tenant string) string {
		return stack.Routed(origin.URL, map[string]site.Options{"": {
			"tenant": tenant, "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}, "memory": site.Options{"maxStaleness": "0"},
			"purge": site.Options{"secret": site.TraefikSecret}, "limits": site.Options{"purgeBody": "1000", "purgeItems": 20},
		}})
	}
	replica := stack.Replicas(t, dynamic("shop"))
	addresses := []string{"/shop/desk", "/shop/lamp", "/shop/lamp?page=2", "/blog/lamp"}
	json := "Content-Type: application/json"
	tests := []struct {
		name    string
		method  string
		path    string
		body    string
		headers []string
		purges  []string
		soft    bool
	}{
		{"PURGE of a path takes every query", "PURGE", "/shop/lamp", "", nil, []string{"/shop/lamp", "/shop/lamp?page=2"}, false},
		{"PURGE of a query", "PURGE", "/shop/lamp?page=2", "", nil, []string{"/shop/lamp?page=2"}, false},
		{"PURGE softly", "PURGE", "/shop/lamp?page=2", "", []string{"X-Odoocache-Purge-Mode: soft"}, []string{"/shop/lamp?page=2"}, true},
		{"tags in the header", "POST", "/.odoocache/purge", "", []string{"X-Odoo-Purge: desk, nothing"}, []string{"/shop/desk"}, false},
		{"tags softly in the header", "POST", "/.odoocache/purge", "", []string{"X-Odoo-Purge: stale desk"}, []string{"/shop/desk"}, true},
		{"a path in the header", "POST", "/.odoocache/purge", "", []string{"X-Odoo-Purge: /blog/lamp"}, []string{"/blog/lamp"}, false},
		{"a prefix in the header", "PURGE", "/.odoocache/purge", "", []string{"X-Odoo-Purge: /shop/*"}, addresses[:3], false},
		{"everything in the header", "POST", "/.odoocache/purge", "", []string{"X-Odoo-Purge: *"}, addresses, false},
		{"everything softly in the header", "POST", "/.odoocache/purge", "", []string{"X-Odoo-Purge: stale *"}, addresses, true},
		{"tags", "POST", "/.odoocache/purge", `{"tags":["lamp"]}`, []string{json}, addresses[1:], false},
		{"paths", "POST", "/.odoocache/purge", `{"paths":["/shop/desk","//shop.example/blog/lamp","//else.example/shop/lamp"]}`, []string{json}, []string{"/shop/desk", "/blog/lamp"}, false},
		{"prefixes", "POST", "/.odoocache/purge", `{"prefixes":["/shop"]}`, []string{json}, addresses[:3], false},
		{"prefixes softly", "POST", "/.odoocache/purge", `{"prefixes":["//shop.example/shop"],"soft":true}`, []string{json}, addresses[:3], true},
		{"all", "POST", "/.odoocache/purge", `{"all":true}`, []string{json}, addresses, false},
		{"all softly", "POST", "/.odoocache/purge", `{"all":true,"soft":true}`, []string{json}, addresses, true},
		{"none of another name", "POST", "/.odoocache/purge", `{"tags":["des"],"paths":["/shop"],"prefixes":["/shopping"]}`, []string{json}, nil, false},
	}
	sequence := int64(0)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			old := version.Load()
			for _, p := range replica {
				for _, address := range addresses {
					// What a soft purge of the last case has left stale is refreshed in the background.
					require.Eventually(t, func() bool {
						r := p.Get(address)
						return r.Body == fmt.Sprintf("%s %d", address, old) && strings.Contains(r.CacheStatus(), "; hit; ttl=") &&
							!strings.Contains(r.CacheStatus(), "stale")
					}, stack.Patience, time.Millisecond)
				}
			}
			version.Add(1)
			r := replica[i%2].Do(test.method, test.path, test.body, append([]string{site.WithKey}, test.headers...)...)
			require.Equal(t, http.StatusOK, r.Status, r.Body)
			answer := purgeReply(t, r)
			assert.Equal(t, "shop", answer.Tenant)
			assert.Equal(t, map[bool]string{false: "hard", true: "soft"}[test.soft], answer.Kind)
			assert.Greater(t, answer.Sequence, sequence)
			sequence = answer.Sequence
			for _, p := range []*stack.Traefik{replica[(i+1)%2], replica[i%2]} {
				for _, address := range addresses {
					want := old
					if site.Contains(test.purges, address) {
						want = old + 1
					}
					got := p.Get(address)
					if test.soft && want > old {
						continue
					}
					assert.Equal(t, fmt.Sprintf("%s %d", address, want), got.Body, got.CacheStatus())
				}
			}
			// Warm up all with the version that the next case begins with.
			replica[0].Do("PURGE", "/.odoocache/purge", "", site.WithKey, "X-Odoo-Purge: *")
		})
	}

	t.Run("a soft purge answers from the old copy once", func(t *testing.T) {
		replica[0].Get("/shop/desk")
		before := replica[1].Get("/shop/desk").Body
		version.Add(1)
		want := fmt.Sprintf("/shop/desk %d", version.Load())
		require.Equal(t, 200, replica[0].Do("PURGE", "/shop/desk", "", site.WithKey, "X-Odoocache-Purge-Mode: soft").Status)
		first := replica[1].Get("/shop/desk")
		assert.Equal(t, before, first.Body)
		assert.Contains(t, first.CacheStatus(), "; hit;")
		assert.Contains(t, first.CacheStatus(), "detail=stale-while-revalidate")
		for _, p := range replica {
			p.Until("the copy is refreshed", func() bool { return p.Get("/shop/desk").Body == want })
		}
	})

	t.Run("refused", func(t *testing.T) {
		many := `{"tags":["` + strings.Join(strings.Split(strings.Repeat("t", 21), ""), `","`) + `"]}`
		for _, test := range []struct {
			name, method, path, body string
			headers                  []string
			status                   int
			field                    string
		}{
			{"no credentials, PURGE", "PURGE", "/shop/desk", "", nil, 403, ""},
			{"no credentials, POST", "POST", "/.odoocache/purge", `{"all":true}`, nil, 403, ""},
			{"another secret", "PURGE", "/shop/desk", "", []string{"Authorization: Bearer e2e-secret-2"}, 403, ""},
			{"another scheme", "PURGE", "/shop/desk", "", []string{"Authorization: Basic " + site.TraefikSecret}, 403, ""},
			{"GET", "GET", "/.odoocache/purge", "", []string{site.WithKey}, 405, ""},
			{"nothing named", "POST", "/.odoocache/purge", "", []string{site.WithKey}, 400, "body"},
			{"no JSON", "POST", "/.odoocache/purge", "tags=a", []string{site.WithKey}, 400, "body"},
			{"an unknown field", "POST", "/.odoocache/purge", `{"tag":["a"]}`, []string{site.WithKey}, 400, "tag"},
			{"a field of another type", "POST", "/.odoocache/purge", `{"tags":"a"}`, []string{site.WithKey}, 400, "tags"},
			{"a path that is none", "POST", "/.odoocache/purge", `{"paths":["shop"]}`, []string{site.WithKey}, 400, "paths"},
			{"a prefix that is none", "POST", "/.odoocache/purge", `{"prefixes":["shop"]}`, []string{site.WithKey}, 400, "prefixes"},
			{"too large a body", "POST", "/.odoocache/purge", `{"tags":["` + strings.Repeat("a", 1000) + `"]}`, []string{site.WithKey}, 413, "body"},
			{"too many items", "POST", "/.odoocache/purge", many, []string{site.WithKey}, 413, "items"},
			{"another endpoint", "GET", "/.odoocache/", "", []string{site.WithKey}, 404, ""},
		} {
			t.Run(test.name, func(t *testing.T) {
				before := replica[0].Get("/shop/desk")
				asked := origin.Renders()
				r := replica[0].Do(test.method, test.path, test.body, test.headers...)
				assert.Equal(t, test.status, r.Status, r.Body)
				answer := purgeReply(t, r)
				assert.NotEmpty(t, answer.Error)
				assert.Equal(t, test.field, answer.Field)
				if test.status == 405 {
					assert.Equal(t, "POST, PURGE", r.Header.Get("Allow"))
				}
				after := replica[0].Get("/shop/desk")
				assert.Equal(t, before.Body, after.Body)
				assert.Contains(t, after.CacheStatus(), "; hit;")
				assert.Equal(t, asked, origin.Renders(), "the origin never sees it")
			})
		}
	})
}
