package behaviour_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// Addresses that a rule bypasses are remembered: from the second request on they take a
// way of their own, which has to do what the first one does.
func TestBypassAgain(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"purge": site.Options{"secret": site.Secret}, "rules": []site.Options{
			{"match": site.Options{"pathPrefixes": []string{"/passed"}}, "bypass": "true"}, {"match": site.Everything, "ttl": "60"},
		}}, site.Page("x", "Surrogate-Key: a", "X-Odoo-Cache: public, ttl=60", "Cache-Status: nearer; hit"))
		purged := func(path string) bool {
			got := s.Get(path)
			require.Equal(t, 200, got.Status)
			return got.Header.Get("Age") == ""
		}
		var first *http.Request
		for i := 0; i < 3; i++ {
			before := s.Renders()
			got := s.Get("/passed/1", "X-Odoocache: forged")
			require.Equal(t, before+1, s.Renders())
			require.Equal(t, "x", got.Body)
			require.Equal(t, []string{"nearer; hit", "odoocache; fwd=bypass; detail=rule"}, got.Header["Cache-Status"])
			for _, name := range []string{"Surrogate-Key", "X-Odoo-Cache"} {
				require.Empty(t, got.Header[name])
			}
			if first == nil {
				first = s.Request()
			}
			mine, firsts := s.Request().Header.Clone(), first.Header.Clone()
			require.Equal(t, firsts, mine, "what the origin gets")
		}
		s.Answers(site.Page("x"))
		require.Equal(t, []string{"odoocache; fwd=bypass; detail=rule"}, s.Get("/passed/1").Header["Cache-Status"])
		require.Equal(t, "odoocache; fwd=bypass; detail=rule", s.Do(http.MethodHead, "/passed/1", "").CacheStatus())
		require.Equal(t, "odoocache; fwd=bypass; detail=rule", s.Get("/passed/1", "Cookie: a=b").CacheStatus())
		s.Answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) })
		require.Equal(t, "odoocache; fwd=bypass; detail=rule", s.Get("/passed/1").CacheStatus())
		s.Answers(func(http.ResponseWriter, *http.Request) {})
		require.Equal(t, "odoocache; fwd=bypass; detail=rule", s.Get("/passed/1").CacheStatus(), "neither status nor body")

		for path, line := range map[string]string{"/one": "X-Odoo-Purge: a", "/two": `Cache-Group-Invalidation: "a"`} {
			s.Answers(site.Page("x", "Surrogate-Key: a"))
			purged(path)
			require.False(t, purged(path))
			s.Answers(site.Page("x", line))
			got := s.Get("/passed/1")
			require.Equal(t, 200, got.Status)
			require.Empty(t, got.Header["X-Odoo-Purge"])
			require.Empty(t, got.Header["Cache-Group-Invalidation"])
			require.True(t, purged(path), line)
		}

		var status struct{ Counters map[string]int }
		require.NoError(t, json.Unmarshal([]byte(s.Get("/.odoocache/status", site.Bearer).Body), &status))
		require.Equal(t, 10, status.Counters["rule"])
	})
}

// A stream reaches the client as it comes, on that way, too.
func TestBypassAgainStreams(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		next := make(chan bool)
		s := site.New(t, load, site.Options{"rules": []site.Options{{"match": site.Everything, "bypass": "true"}}}, func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusOK)
			for range next {
				if _, err := io.WriteString(rw, "x"); err != nil {
					return
				}
			}
		})
		for i := 0; i < 3; i++ {
			resp, err := site.PlainClient.Get(s.URL + "/stream") // its head comes before any of its body
			require.NoError(t, err)
			for n := 0; n < 3; n++ {
				next <- true
				one := make([]byte, 1)
				_, err = io.ReadFull(resp.Body, one) // before the next is sent
				require.NoError(t, err)
				assert.Equal(t, "x", string(one))
			}
			close(next)
			rest, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Empty(t, rest)
			resp.Body.Close()
			next = make(chan bool)
		}
	})
}
