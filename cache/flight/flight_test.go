package flight_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/flight"
)

// TestARefreshThatAskedNobodyIsNoError: another process may have refreshed the page. Who
// waits has to look again, and not to take the origin for broken.
func TestARefreshThatAskedNobodyIsNoError(t *testing.T) {
	g := flight.NewGroup()
	f := flight.Begin(g, "page", 1)
	require.NotNil(t, f)
	leads, w := flight.Join(g, "page", 1)
	require.Nil(t, leads)
	require.NotNil(t, w)
	flight.End(g, f)
	assert.True(t, flight.Wait(context.Background(), g, w, time.Minute, 1))
	assert.False(t, f.Errored)
	waiting, refreshing := flight.Waiting(g)
	assert.Zero(t, waiting)
	assert.Zero(t, refreshing)
	assert.NotNil(t, flight.Begin(g, "page", 1), "there is none for the page any more")
}
