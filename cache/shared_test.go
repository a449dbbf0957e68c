package cache

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/config"
)

// TestReloadsKeepTheStorage: each reload leaves the storage without users for an
// instant, in which the timer of an earlier one may end.
func TestReloadsKeepTheStorage(t *testing.T) {
	s := config.StorageSettings{Fingerprint: t.Name(), MemoryBytes: 1 << 20, MaxMarks: 100, Journal: 1}
	shared := Acquire(context.Background(), s)
	r := registry[s.Fingerprint]
	release(s.Fingerprint)
	assert.Same(t, shared, Acquire(context.Background(), s))
	release(s.Fingerprint)

	expire(s.Fingerprint, r, 1) // the timer of the first release
	assert.Same(t, shared, Acquire(context.Background(), s), "it has been in use since")
	expire(s.Fingerprint, r, 2)
	assert.Contains(t, registry, s.Fingerprint, "it is in use")

	release(s.Fingerprint)
	expire(s.Fingerprint, r, 3)
	assert.NotContains(t, registry, s.Fingerprint, "nobody has come back for it")
}
