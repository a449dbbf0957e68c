package odoocache_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Addresses that a rule bypasses are remembered: from the second request on they take a
// way of their own, which has to do what the first one does.
func TestBypassAgain(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, options{"purge": options{"secret": secret}, "rules": []options{
			{"match": options{"pathPrefixes": []string{"/passed"}}, "bypass": "true"}, {"match": everything, "ttl": "60"},
		}}, page("x", "Surrogate-Key: a", "X-Odoo-Cache: public, ttl=60", "Cache-Status: nearer; hit"))
		purged := func(path string) bool {
			got := s.get(path)
			require.Equal(t, 200, got.status)
			return got.header.Get("Age") == ""
		}
		var first *http.Request
		for i := 0; i < 3; i++ {
			before := s.renders()
			got := s.get("/passed/1", "X-Odoocache: forged")
			require.Equal(t, before+1, s.renders())
			require.Equal(t, "x", got.body)
			require.Equal(t, []string{"nearer; hit", "odoocache; fwd=bypass; detail=rule"}, got.header["Cache-Status"])
			for _, name := range []string{"Surrogate-Key", "X-Odoo-Cache"} {
				require.Empty(t, got.header[name])
			}
			if first == nil {
				first = s.request()
			}
			mine, firsts := s.request().Header.Clone(), first.Header.Clone()
			require.Equal(t, firsts, mine, "what the origin gets")
		}
		s.answers(page("x"))
		require.Equal(t, []string{"odoocache; fwd=bypass; detail=rule"}, s.get("/passed/1").header["Cache-Status"])
		require.Equal(t, "odoocache; fwd=bypass; detail=rule", s.do(http.MethodHead, "/passed/1", "").cacheStatus())
		require.Equal(t, "odoocache; fwd=bypass; detail=rule", s.get("/passed/1", "Cookie: a=b").cacheStatus())
		s.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) })
		require.Equal(t, "odoocache; fwd=bypass; detail=rule", s.get("/passed/1").cacheStatus())
		s.answers(func(http.ResponseWriter, *http.Request) {})
		require.Equal(t, "odoocache; fwd=bypass; detail=rule", s.get("/passed/1").cacheStatus(), "neither status nor body")

		for path, line := range map[string]string{"/one": "X-Odoo-Purge: a", "/two": `Cache-Group-Invalidation: "a"`} {
			s.answers(page("x", "Surrogate-Key: a"))
			purged(path)
			require.False(t, purged(path))
			s.answers(page("x", line))
			got := s.get("/passed/1")
			require.Equal(t, 200, got.status)
			require.Empty(t, got.header["X-Odoo-Purge"])
			require.Empty(t, got.header["Cache-Group-Invalidation"])
			require.True(t, purged(path), line)
		}

		var status struct{ Counters map[string]int }
		require.NoError(t, json.Unmarshal([]byte(s.get("/.odoocache/status", bearer).body), &status))
		require.Equal(t, 10, status.Counters["rule"])
	})
}

// A stream reaches the client as it comes, on that way, too.
func TestBypassAgainStreams(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		next := make(chan bool)
		s := newSite(t, load, options{"rules": []options{{"match": everything, "bypass": "true"}}}, func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusOK)
			for range next {
				if _, err := io.WriteString(rw, "x"); err != nil {
					return
				}
			}
		})
		for i := 0; i < 3; i++ {
			resp, err := plainClient.Get(s.url + "/stream") // its head comes before any of its body
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
