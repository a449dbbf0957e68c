package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/redis"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/storagetest"
)

// TestLookupAfterBrokenConnections: what is answered after a connection has ended may be
// of another server, and counts only when the state was found to be of that one.
func TestLookupAfterBrokenConnections(t *testing.T) {
	port := startRedis(t)
	tier := storage.NewTier(openRedis(t, port), storage.TierOptions{Failures: 5, Log: func(message string) { t.Log(message) }})
	tenant := storagetest.Tenant()
	v := tier.View(tenant)
	require.Empty(t, tier.Store(v, storagetest.Entry(tenant, "k", tier.Lookup(v, "k").Head)))
	for i := 0; i < 3; i++ {
		require.NotNil(t, tier.Lookup(v, "k").Entry)
		known, late := tier.Confirm(v)
		require.True(t, known)
		require.False(t, late)
		_, err := patientClient(t, port).Do(redis.Command{Args: []string{"CLIENT", "KILL", "TYPE", "normal"}})
		require.NoError(t, err)
		require.Nil(t, tier.Lookup(v, "k").Entry, "of nobody knows whom")
	}
}

// TestConfirmTellsOfAPurge: a question that was answered as expected before is not, once
// another process has purged.
func TestConfirmTellsOfAPurge(t *testing.T) {
	port := startRedis(t)
	tier := storage.NewTier(openRedis(t, port), storage.TierOptions{Failures: 5, Log: func(message string) { t.Log(message) }})
	tenant := storagetest.Tenant()
	v := tier.View(tenant)
	for i := 0; i < 3; i++ {
		require.NotZero(t, tier.Lookup(v, "k").Head)
		known, _ := tier.Confirm(v)
		require.True(t, known)
		head, err := openRedis(t, port).Purge(tenant, storage.Purge{All: true})
		require.NoError(t, err)
		known, late := tier.Confirm(v)
		require.False(t, known)
		require.False(t, late)
		require.Equal(t, head, tier.Lookup(v, "k").Head)
	}
}
