package behaviour_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// erasure is what the control endpoint answers to one.
type erasure struct {
	Tenant, Cursor, Statement, Receipt string
	Sequence                           int64
	Scanned, Erased, Bytes             int
	Complete                           bool
}

func eraseAt(t *testing.T, s *site.Site, query, body string, status int) (e erasure) {
	t.Helper()
	got := s.Do("POST", "/.odoocache/erase"+query, body, "Authorization: Bearer "+currentSecret)
	require.Equal(t, status, got.Status, got.Body)
	if status == 200 || status == 202 {
		require.NoError(t, json.Unmarshal([]byte(got.Body), &e))
	}
	return e
}

// TestErase: what is erased is gone from Redis, and nothing else is; the answer says so, signed.
func TestErase(t *testing.T) {
	server := stack.StartServer(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer client.Close()
	everything := func() (all string) {
		ctx := context.Background()
		keys := client.Keys(ctx, "*:e:*").Val()
		for _, key := range keys {
			all += client.Get(ctx, key).Val()
		}
		return all
	}
	key := keyFile(t, filepath.Join(t.TempDir(), "key"), "1")
	site.Both(t, func(t *testing.T, load site.Loader) {
		for name, o := range map[string]site.Options{
			"Redis": {"redis": site.Options{"address": server.Address, "timeout": "5s"}}, "Redis, without memory": {"redis": site.Options{"address": server.Address, "timeout": "5s"}, "memory": site.Options{"bytes": "0"}}, "memory": {},
			"Redis, encrypted": {"redis": site.Options{"address": server.Address, "timeout": "5s"}, "encryption": site.Options{"keys": []string{key}}},
		} {
			o["purge"] = site.Options{"secret": currentSecret}
			o["compression"] = "0"
			answers := func(rw http.ResponseWriter, r *http.Request) {
				subject, tag := "of everybody", "product_9"
				if strings.HasPrefix(r.URL.Path, "/reviews") {
					subject, tag = "by Frida Subject", "res_partner_7"
				}
				vary := "X-None: 1"
				if r.URL.Path == "/reviews/varied" {
					vary = "Vary: Accept"
				}
				site.Page("a page "+subject, "Cache-Control: max-age=600, stale-while-revalidate=600", "Surrogate-Key: "+tag, vary)(rw, r)
			}
			s := site.New(t, load, o, answers)
			other := site.New(t, load, o, answers)
			pages := []string{"/shop", "/reviews/1", "/reviews/2", "/reviews/varied", "/about"}
			for i := 0; i < 3; i++ {
				for _, path := range pages {
					s.Get(path)
					other.Get(path)
				}
				s.Get("/reviews/varied", "Accept: text/plain")
			}
			assert.Contains(t, s.Get("/reviews/1").CacheStatus(), "; hit", name)

			e := eraseAt(t, s, "", `{"tags":["res_partner_7"]}`, 200)
			assert.Equal(t, s.Options["tenant"], e.Tenant)
			assert.True(t, e.Complete, name)
			assert.Equal(t, 4, e.Erased, "%s: two pages, and one with two variants", name)
			assert.GreaterOrEqual(t, e.Scanned, 6, name)
			assert.Greater(t, e.Bytes, 400, name)
			mac := hmac.New(sha256.New, []byte(currentSecret))
			mac.Write([]byte(e.Statement))
			assert.Equal(t, hex.EncodeToString(mac.Sum(nil)), e.Receipt)
			for _, line := range []string{"tenant " + e.Tenant, `"tags":["res_partner_7"]`, fmt.Sprintf("sequence %d", e.Sequence), "erased 4", "complete true"} {
				assert.Contains(t, e.Statement, line)
			}
			if name != "memory" && name != "Redis, encrypted" {
				assert.Equal(t, 3, strings.Count(everything(), "Frida Subject"), "those of the other tenant are left")
			}
			assert.Contains(t, s.Get("/shop").CacheStatus(), "; hit", name)
			assert.Contains(t, other.Get("/reviews/1").CacheStatus(), "; hit", name)
			assert.NotContains(t, s.Get("/reviews/1").CacheStatus(), "; hit", name)
			assert.Zero(t, eraseAt(t, s, "", `{"tags":["res_partner_8"]}`, 200).Erased, "nothing has it")

			whole := eraseAt(t, s, "", `{"all":true}`, 200)
			assert.GreaterOrEqual(t, whole.Erased, 3, name)
			eraseAt(t, other, "", `{"all":true}`, 200)
			if name != "memory" {
				assert.Empty(t, everything())
			}
		}
	})
}

// TestEraseInParts: a request ends after its time, and the next one goes on; what cannot be
// understood is refused before anything is purged, and without Redis nothing is called erased.
func TestEraseInParts(t *testing.T) {
	server := stack.StartServer(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{
			"purge": site.Options{"secret": currentSecret}, "limits": site.Options{"eraseTime": "1ms"}, "admission": site.Options{"bytes": "0"},
			"redis": site.Options{"address": server.Address, "timeout": "1s"},
		}, site.Page("x", "Cache-Control: max-age=600", "Surrogate-Key: a"))
		for i := 0; i < 700; i++ {
			s.Get(fmt.Sprintf("/p/%d", i))
		}
		e := eraseAt(t, s, "", `{"tags":["a"]}`, 202)
		assert.False(t, e.Complete)
		assert.Contains(t, e.Statement, "complete false")
		erased, given := e.Erased, e.Cursor
		for i := 0; !e.Complete && i < 100; i++ {
			got := s.Do("POST", "/.odoocache/erase?cursor="+e.Cursor, `{"tags":["a"]}`, "Authorization: Bearer "+currentSecret)
			require.Contains(t, []int{200, 202}, got.Status)
			e = erasure{}
			require.NoError(t, json.Unmarshal([]byte(got.Body), &e))
			erased += e.Erased
		}
		assert.True(t, e.Complete)
		assert.Equal(t, 700, erased)
		tenant, _ := s.Options["tenant"].(string)
		assert.Empty(t, server.Entries(tenant))

		s.Get("/kept")
		for body, status := range map[string]int{``: 400, `{}`: 400, `{"tags":["a"],"soft":true}`: 400, `{"tag":["a"]}`: 400} {
			eraseAt(t, s, "", body, status)
		}
		for _, cursor := range []string{"x", "0", "12345", "99999999999999999999", "5-1-00000000000000000000000000000000", given} {
			eraseAt(t, s, "?cursor="+cursor, `{"tags":["b"]}`, 400)
		}
		assert.Equal(t, 405, s.Do("PURGE", "/.odoocache/erase", `{"tags":["a"]}`, "Authorization: Bearer "+currentSecret).Status)
		assert.Equal(t, 403, s.Do("POST", "/.odoocache/erase", `{"tags":["a"]}`).Status)
		assert.Contains(t, s.Get("/kept").CacheStatus(), "; hit", "nothing of that has purged")

		server.Stop()
		defer server.Start()
		assert.Eventually(t, func() bool {
			return s.Do("POST", "/.odoocache/erase", `{"tags":["a"]}`, "Authorization: Bearer "+currentSecret).Status == 503
		}, site.WaitFor, 50*time.Millisecond)
	})
}
