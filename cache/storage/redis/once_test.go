package redis_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/cache/tier"
)

// TestOnce: of all who ask for one identity, one is the first.
func TestOnce(t *testing.T) {
	port := storagetest.StartRedis(t)
	replicas := []storage.Storage{storagetest.OpenRedis(t, port), storagetest.OpenRedis(t, port)}
	var first, failed atomic.Int64
	var wg sync.WaitGroup
	for i := 0; i < 16; i++ {
		s := replicas[i%2]
		wg.Add(1)
		go func() {
			defer wg.Done()
			ok, err := s.Once("shop", "a", 60000)
			if err != nil {
				failed.Add(1)
			}
			if ok {
				first.Add(1)
			}
		}()
	}
	wg.Wait()
	assert.Zero(t, failed.Load())
	assert.Equal(t, int64(1), first.Load())

	for _, c := range []struct{ tenant, id string }{{"shop", "b"}, {"other", "a"}} {
		ok, err := replicas[0].Once(c.tenant, c.id, 60000)
		require.NoError(t, err)
		assert.True(t, ok)
	}
	ok, err := replicas[0].Once("shop", "short", 1)
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Eventually(t, func() bool {
		ok, err := replicas[1].Once("shop", "short", 1)
		return err == nil && ok
	}, 5*time.Second, time.Millisecond, "it has an expiry")

	storagetest.CLI(t, port, nil, "SET", "oc:{shop}:n:odd", "")
	ok, err = replicas[0].Once("shop", "odd", 60000)
	require.NoError(t, err)
	assert.False(t, ok)
	storagetest.CLI(t, port, nil, "DEL", "oc:{shop}:n:odd")
	storagetest.CLI(t, port, nil, "LPUSH", "oc:{shop}:n:odd", "x")
	_, err = replicas[0].Once("shop", "odd", 60000)
	assert.ErrorIs(t, err, storage.ErrUnavailable)
}

// TestOnceWithoutStorage: where the storage does not answer, whoever asks remembers.
func TestOnceWithoutStorage(t *testing.T) {
	port := storagetest.StartRedis(t)
	tr := tier.New(storagetest.OpenRedis(t, port), tier.Options{Journal: 1, Failures: 5, MinPause: 1000, MaxPause: 1000, Log: func(string) {}})
	v := tr.Tenant("shop")
	assert.True(t, tr.Once(v, "a", 60000))
	assert.False(t, tr.Once(v, "a", 60000))
	storagetest.CLI(t, port, nil, "SHUTDOWN", "NOSAVE")
	for i := 0; i < 10; i++ { // the breaker opens
		assert.True(t, tr.Once(v, "a", 60000))
	}
}
