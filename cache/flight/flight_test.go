package flight_test

import (
	"context"
	"fmt"
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
	f, _ := flight.Begin(g, "page", &flight.Share{Tenant: "a", Limit: 1})
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
	f, _ = flight.Begin(g, "page", &flight.Share{Tenant: "a", Limit: 1})
	assert.NotNil(t, f, "there is none for the page any more")
}

// begun begins up to n flights of a tenant in the background, and returns those that have begun.
func begun(g *flight.Group, n int, s flight.Share) (list []*flight.Flight) {
	for i := 0; i < n; i++ {
		if f, _ := flight.Begin(g, fmt.Sprint(s.Tenant, i, " ", len(list)), &s); f != nil {
			list = append(list, f)
		}
	}
	return list
}

// TestATenantLeavesOthersRefreshes: one whose origin never answers has half of all, the next one half
// of the rest. Alone it has all, and never more than its own.
func TestATenantLeavesOthersRefreshes(t *testing.T) {
	g := flight.NewGroup()
	share := func(tenant string) flight.Share { return flight.Share{Tenant: tenant, Limit: 16} }
	a := begun(g, 100, share("a"))
	assert.Len(t, a, 8)
	assert.Len(t, begun(g, 100, share("b")), 4)
	assert.Len(t, begun(g, 100, share("c")), 2)
	assert.Len(t, begun(g, 100, share("d")), 1)
	f, full := flight.Begin(g, "one more", &flight.Share{Tenant: "a", Limit: 16})
	assert.Nil(t, f)
	assert.True(t, full)
	assert.Len(t, begun(g, 100, share("e")), 1)
	assert.Empty(t, begun(g, 100, share("f")), "limits.refreshes")
	for i := 0; i < 8; i++ {
		flight.End(g, a[i])
	}
	assert.Zero(t, flight.RefreshesOf(g, "a"))
	assert.Len(t, begun(g, 100, share("f")), 4, "half of what is left")

	g = flight.NewGroup()
	assert.Len(t, begun(g, 100, flight.Share{Tenant: "a", Limit: 16, Alone: true}), 16)
	g = flight.NewGroup()
	assert.Len(t, begun(g, 100, flight.Share{Tenant: "a", Limit: 16, Own: 3}), 3)
	assert.Len(t, begun(g, 100, flight.Share{Tenant: "b", Limit: 16, Own: 12}), 7)
	assert.Len(t, begun(flight.NewGroup(), 100, flight.Share{Tenant: "a", Limit: 1}), 1)
}
