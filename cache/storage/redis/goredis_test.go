package redis_test

import (
	"context"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/keys"
)

// TestGoRedis reads with another client library what the storage wrote.
func TestGoRedis(t *testing.T) {
	port := storagetest.StartRedis(t)
	s := storagetest.OpenRedis(t, port)
	reader := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})
	defer reader.Close()
	ctx := context.Background()
	before, err := s.Head("acme")
	require.NoError(t, err)
	want := storagetest.Entry("acme", "key of a page", before, keys.HashTag("t", "x"))
	require.NoError(t, s.Store("acme", keys.ID(want.Key), want, 90000))
	head, err := s.Purge("acme", storage.Purge{Members: []string{"ht:x", "sp:/blog/"}})
	require.NoError(t, err)

	entry := "oc:{acme}:e:" + keys.ID(want.Key)
	names, err := reader.Keys(ctx, "*").Result()
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{entry, "oc:{acme}:marks"}, names)
	ttl, err := reader.PTTL(ctx, entry).Result()
	require.NoError(t, err)
	assert.InDelta(t, 75*time.Second, ttl, float64(15*time.Second))
	stored, err := reader.Get(ctx, entry).Bytes()
	require.NoError(t, err)
	got, err := storage.Decode(stored)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	members, err := reader.ZRangeWithScores(ctx, "oc:{acme}:marks", 0, -1).Result()
	require.NoError(t, err)
	assert.ElementsMatch(t, []goredis.Z{
		{Member: "!e", Score: float64(head.Epoch)}, {Member: "!s", Score: float64(head.Seq)}, {Member: "!f", Score: 0},
		{Member: "ht:x", Score: float64(head.Seq)}, {Member: "sp:/blog/", Score: float64(head.Seq)},
	}, members)
}
