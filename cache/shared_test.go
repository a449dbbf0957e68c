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
	end()
	end = reload()
	end()

	expire(s.Fingerprint, r, 1) // the timer of the first release
	end = reload()
	expire(s.Fingerprint, r, 2)
	assert.Contains(t, registry, s.Fingerprint, "it is in use")

	end()
	assert.Zero(t, r.users)
	expire(s.Fingerprint, r, 3)
	assert.NotContains(t, registry, s.Fingerprint, "nobody has come back for it")
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
