package traefik_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestTraefikMissHitReplica follows one page through two Traefik processes and
// the Redis that they share.
func TestTraefikMissHitReplica(t *testing.T) {
	server := stack.StartRedis(t)
	body := make([]byte, 60000)
	_, err := rand.Read(body)
	require.NoError(t, err)
	origin := stack.NewBackend(t, site.Page(string(body), "Cache-Control: max-age=600", "Age: 30", "Content-Type: application/octet-stream",
		"Etag: \"v1\"", "Surrogate-Key: desk", "X-Kept: a", "X-Kept: b"))
	dynamic := stack.Routed(origin.URL, map[string]site.Options{"": {
		"tenant": "shop", "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
	}})
	replica := stack.Replicas(t, dynamic)

	miss := replica[0].Get("/shop?b=2&a=1")
	assert.Equal(t, "odoocache; fwd=uri-miss; stored; ttl=570", miss.CacheStatus())
	hit := replica[0].Get("/shop?b=2&a=1")
	assert.Regexp(t, `^odoocache; hit; ttl=5[67]\d$`, hit.CacheStatus())
	other := replica[1].Get("/shop?a=1&b=2")
	assert.Regexp(t, `^odoocache; hit; ttl=5[67]\d$`, other.CacheStatus())
	assert.Equal(t, 1, origin.Renders())
	for _, r := range []site.Reply{miss, hit, other} {
		require.True(t, bytes.Equal(body, []byte(r.Body)), "the body is the origin's")
		assert.Equal(t, http.StatusOK, r.Status)
		assert.Equal(t, []string{"a", "b"}, r.Header["X-Kept"])
		assert.Equal(t, "60000", r.Header.Get("Content-Length"))
		assert.Equal(t, `"v1"`, r.Header.Get("Etag"))
		assert.Empty(t, r.Header["Surrogate-Key"])
	}
	for _, r := range []site.Reply{hit, other} {
		age, err := strconv.Atoi(r.Header.Get("Age"))
		require.NoError(t, err)
		assert.True(t, age >= 30 && age < 60, "Age is %d", age)
	}

	// What Redis holds is one entry, with an expiry.
	keys := server.Entries("shop")
	require.Len(t, keys, 1)
	value := server.Must("GET " + keys[0])
	assert.True(t, strings.HasPrefix(value, "oc1 "), "%.20q", value)
	assert.True(t, strings.HasSuffix(value, string(body)))
	expiry, err := strconv.Atoi(server.Must("PTTL " + keys[0]))
	require.NoError(t, err)
	assert.Greater(t, expiry, 560000)

	// It outlives the processes.
	replica[0].Stop()
	replica[1].Stop()
	third := stack.StartTraefik(t, dynamic)
	again := third.Get("/shop?a=1&b=2")
	assert.Contains(t, again.CacheStatus(), "; hit;")
	assert.Equal(t, string(body), again.Body)
	assert.Equal(t, 1, origin.Renders())
}

// TestTraefikVariantsAcrossReplicas: a replica finds variants and answers conditions
// and ranges from an entry that it has read from Redis.
func TestTraefikVariantsAcrossReplicas(t *testing.T) {
	server := stack.StartRedis(t)
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		site.Page(fmt.Sprintf("in %s", r.Header.Get("Accept-Language")), "Cache-Control: max-age=600", "Vary: Accept-Language", `Etag: "v"`)(rw, r)
	})
	replica := stack.Replicas(t, stack.Routed(origin.URL, map[string]site.Options{"": {"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}}}))
	for _, language := range []string{"fr", "de"} {
		assert.Contains(t, replica[0].Get("/", "Accept-Language: "+language).CacheStatus(), "stored")
	}
	for _, language := range []string{"fr", "de"} {
		r := replica[1].Get("/", "Accept-Language: "+language)
		assert.Contains(t, r.CacheStatus(), "; hit;")
		assert.Equal(t, "in "+language, r.Body)
	}
	assert.Equal(t, 304, replica[1].Get("/", "Accept-Language: fr", `If-None-Match: "v"`).Status)
	part := replica[1].Get("/", "Accept-Language: fr", "Range: bytes=3-4")
	assert.Equal(t, 206, part.Status)
	assert.Equal(t, "fr", part.Body)
	assert.Equal(t, 2, origin.Renders())
}
