package odoocache_test

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
)

// TestTraefikMissHitReplica follows one page through two Traefik processes and
// the Redis that they share.
func TestTraefikMissHitReplica(t *testing.T) {
	server := startRedis(t)
	body := make([]byte, 60000)
	_, err := rand.Read(body)
	require.NoError(t, err)
	origin := newBackend(t, page(string(body), "Cache-Control: max-age=600", "Age: 30", "Content-Type: application/octet-stream",
		"Etag: \"v1\"", "Surrogate-Key: desk", "X-Kept: a", "X-Kept: b"))
	dynamic := routed(origin.URL, map[string]options{"": {
		"tenant": "shop", "redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"},
	}})
	replica := replicas(t, dynamic)

	miss := replica[0].get("/shop?b=2&a=1")
	assert.Equal(t, "odoocache; fwd=uri-miss; stored; ttl=570", miss.cacheStatus())
	hit := replica[0].get("/shop?b=2&a=1")
	assert.Regexp(t, `^odoocache; hit; ttl=5[67]\d$`, hit.cacheStatus())
	other := replica[1].get("/shop?a=1&b=2")
	assert.Regexp(t, `^odoocache; hit; ttl=5[67]\d$`, other.cacheStatus())
	assert.Equal(t, 1, origin.renders())
	for _, r := range []reply{miss, hit, other} {
		require.True(t, bytes.Equal(body, []byte(r.body)), "the body is the origin's")
		assert.Equal(t, http.StatusOK, r.status)
		assert.Equal(t, []string{"a", "b"}, r.header["X-Kept"])
		assert.Equal(t, "60000", r.header.Get("Content-Length"))
		assert.Equal(t, `"v1"`, r.header.Get("Etag"))
		assert.Empty(t, r.header["Surrogate-Key"])
	}
	for _, r := range []reply{hit, other} {
		age, err := strconv.Atoi(r.header.Get("Age"))
		require.NoError(t, err)
		assert.True(t, age >= 30 && age < 60, "Age is %d", age)
	}

	// What Redis holds is one entry, with an expiry.
	keys := server.entries("shop")
	require.Len(t, keys, 1)
	value := server.must("GET " + keys[0])
	assert.True(t, strings.HasPrefix(value, "oc1 "), "%.20q", value)
	assert.True(t, strings.HasSuffix(value, string(body)))
	expiry, err := strconv.Atoi(server.must("PTTL " + keys[0]))
	require.NoError(t, err)
	assert.Greater(t, expiry, 560000)

	// It outlives the processes.
	replica[0].stop()
	replica[1].stop()
	third := start(t, dynamic)
	again := third.get("/shop?a=1&b=2")
	assert.Contains(t, again.cacheStatus(), "; hit;")
	assert.Equal(t, string(body), again.body)
	assert.Equal(t, 1, origin.renders())
}

// TestTraefikVariantsAcrossReplicas: a replica finds variants and answers conditions
// and ranges from an entry that it has read from Redis.
func TestTraefikVariantsAcrossReplicas(t *testing.T) {
	server := startRedis(t)
	origin := newBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		page(fmt.Sprintf("in %s", r.Header.Get("Accept-Language")), "Cache-Control: max-age=600", "Vary: Accept-Language", `Etag: "v"`)(rw, r)
	})
	replica := replicas(t, routed(origin.URL, map[string]options{"": {"redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"}}}))
	for _, language := range []string{"fr", "de"} {
		assert.Contains(t, replica[0].get("/", "Accept-Language: "+language).cacheStatus(), "stored")
	}
	for _, language := range []string{"fr", "de"} {
		r := replica[1].get("/", "Accept-Language: "+language)
		assert.Contains(t, r.cacheStatus(), "; hit;")
		assert.Equal(t, "in "+language, r.body)
	}
	assert.Equal(t, 304, replica[1].get("/", "Accept-Language: fr", `If-None-Match: "v"`).status)
	part := replica[1].get("/", "Accept-Language: fr", "Range: bytes=3-4")
	assert.Equal(t, 206, part.status)
	assert.Equal(t, "fr", part.body)
	assert.Equal(t, 2, origin.renders())
}
