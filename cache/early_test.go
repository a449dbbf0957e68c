package cache

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// TestEarlyPart is never before 0: a page is not fresh for longer because the clock was
// set back while it was rendered.
func TestEarlyPart(t *testing.T) {
	for render, want := range map[int64]int64{-3600000: 0, 0: 0, 100: 1000, 1000: 5000} {
		e := &storage.Entry{Render: render, Life: policy.Life{TTL: 10000}}
		assert.Equal(t, want, earlyPart(e), "%d", render)
	}
}
