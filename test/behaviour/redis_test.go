package behaviour_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/test/site"
)

// patientRedis are options of a Redis, with the time that a busy machine may take.
func patientRedis(o site.Options) site.Options {
	return site.Merge(site.Options{"timeout": "10s", "dialTimeout": "10s"}, o)
}

// redisSite is a site whose pages are in Redis alone.
func redisSite(t *testing.T, load site.Loader, redis site.Options) *site.Site {
	t.Helper()
	return site.New(t, load, site.Options{
		"redis": redis, "memory": site.Options{"bytes": "0"}, "purge": site.Options{"networks": []string{"127.0.0.1"}},
	}, site.Page("x", "Cache-Control: max-age=600"))
}

// storesAndHits asks for a page until it has to be a hit.
func storesAndHits(t *testing.T, s *site.Site, path string) {
	t.Helper()
	assert.Contains(t, s.Get(path).CacheStatus(), "; stored")
	assert.Contains(t, s.Get(path).CacheStatus(), "; hit")
}

// TestRedisSockets: a Unix socket is written as a path, with or without unix:// before it.
func TestRedisSockets(t *testing.T) {
	socket := redisSocket(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, address := range []string{"unix://" + socket, socket} {
			storesAndHits(t, redisSite(t, load, patientRedis(site.Options{"address": address})), "/page")
		}
	})
}
