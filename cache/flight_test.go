package cache

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// TestARefreshThatAskedNobodyIsNoError: another process may have refreshed the page. Who
// waits has to look again, and not to take the origin for broken.
func TestARefreshThatAskedNobodyIsNoError(t *testing.T) {
	sh := &Shared{flights: map[string]*flight{}}
	f := sh.begin("page", 1)
	require.NotNil(t, f)
	leads, w := joinFlight(sh, "page", 1)
	require.Nil(t, leads)
	require.NotNil(t, w)
	sh.end(f)
	assert.True(t, sh.wait(context.Background(), w, time.Minute, 1))
	assert.False(t, f.errored)
	assert.Empty(t, sh.flights)
	assert.Zero(t, sh.waiting)
}

// TestEarlyPart is never before 0: a page is not fresh for longer because the clock was
// set back while it was rendered.
func TestEarlyPart(t *testing.T) {
	for render, want := range map[int64]int64{-3600000: 0, 0: 0, 100: 1000, 1000: 5000} {
		e := &storage.Entry{Render: render, Life: policy.Life{TTL: 10000}}
		assert.Equal(t, want, earlyPart(e), "%d", render)
	}
}
