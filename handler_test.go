package odoocache_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMissThenHit(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("hello", "Cache-Control: max-age=60", "Content-Type: text/html"))
		first := s.get("/shop")
		assert.Equal(t, "odoocache; fwd=uri-miss; stored; ttl=60", first.cacheStatus())
		second := s.get("/shop")
		assert.Contains(t, second.cacheStatus(), "odoocache; hit; ttl=")
		assert.Equal(t, "hello", second.body)
		assert.Equal(t, 1, s.renders())
	})
}
