package cache

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/config"
)

// TestReloadsKeepTheStorage: each reload leaves the storage without users for an
// instant, in which the timer of an earlier one may end.
func TestReloadsKeepTheStorage(t *testing.T) {
	s := config.StorageSettings{Fingerprint: t.Name(), MemoryBytes: 1 << 20, MaxMarks: 100, Journal: 1}
	var shared *Shared
	reload := func() (end func()) { // for three routers
		ctx, cancel := context.WithCancel(context.Background())
		for i := 0; i < 3; i++ {
			router := context.WithValue(ctx, key{}, i)
			got := Acquire(router, s)
			if shared == nil {
				shared = got
			}
			assert.Same(t, shared, got)
		}
		registryMu.Lock()
		c := configurationOf(ctx)
		registryMu.Unlock()
		return func() {
			endConfiguration(c) // as cancel has it done, some time
			cancel()
		}
	}
	end := reload()
	r := registry[s.Fingerprint]
	assert.Equal(t, 1, r.users, "a configuration, whatever its routers")
	assert.False(t, r.watched)
	end()
	assert.True(t, r.watched)
	begun := time.Now()
	end = reload()
	end()

	expire(s.Fingerprint, r, begun.Add(linger)) // the timer of the first release
	assert.Contains(t, registry, s.Fingerprint, "it has been in use since")
	assert.True(t, r.watched, "it is looked at again")
	end = reload()
	expire(s.Fingerprint, r, time.Now().Add(time.Hour))
	assert.Contains(t, registry, s.Fingerprint, "it is in use")
	assert.False(t, r.watched)

	end()
	assert.Zero(t, r.users)
	assert.True(t, r.watched)
	expire(s.Fingerprint, r, time.Now().Add(linger))
	assert.NotContains(t, registry, s.Fingerprint, "nobody has come back for it")
	shared = nil
	reload()
	assert.NotSame(t, r, registry[s.Fingerprint])
	expire(s.Fingerprint, r, time.Now().Add(time.Hour))
	assert.Contains(t, registry, s.Fingerprint, "an old timer is not its own")
}

type key struct{}

// TestConfigurationsEnd: what is known of a configuration goes with it.
func TestConfigurationsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	registryMu.Lock()
	before := len(configurations)
	c := configurationOf(ctx)
	assert.Same(t, c, configurationOf(context.WithValue(ctx, key{}, 1)), "of another router")
	assert.NotSame(t, c, configurationOf(context.Background()))
	assert.Same(t, configurationOf(context.Background()), configurationOf(context.TODO()), "neither ends")
	registryMu.Unlock()
	cancel()
	assert.Eventually(t, func() bool {
		registryMu.Lock()
		defer registryMu.Unlock()
		return len(configurations) <= before+1
	}, 5*time.Second, time.Millisecond)
}
