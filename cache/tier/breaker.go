package tier

import (
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// breaker keeps requests from waiting for a storage that does not answer.
// After threshold failures in a row it opens; when its pause is over, one
// request may try, and the pause doubles if that fails. The pause is jittered
// so that replicas do not all try at once.
type breaker struct {
	threshold int
	min, max  int64 // ms

	mu       sync.Mutex
	failures atomic.Int64 // read without the lock, too
	pause    int64
	until    atomic.Int64 // ticks; 0: it is closed; read without the lock, too
	probing  bool         // one request tries
	opened   int64        // how often, for tests
}

// allow reports whether the storage may be asked now.
func (b *breaker) allow(now int64) bool {
	if int(b.failures.Load()) < b.threshold {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(b.failures.Load()) < b.threshold {
		return true
	}
	if now < b.until.Load() {
		return false
	}
	b.until.Store(now + b.min) // the next may try if this one never tells
	b.probing = true
	return true
}

// success closes the breaker.
func (b *breaker) success() {
	if b.failures.Load() == 0 {
		return
	}
	b.mu.Lock()
	b.failures.Store(0)
	b.until.Store(0)
	b.pause = 0
	b.probing = false
	b.mu.Unlock()
}

// failure counts, and opens the breaker when it has seen enough.
func (b *breaker) failure(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(b.failures.Add(1)) < b.threshold {
		return
	}
	if b.pause > 0 && !b.probing {
		return // asked before it opened; only the one that tried says something new
	}
	b.probing = false
	if b.pause == 0 {
		b.opened++
	}
	b.pause *= 2
	if b.pause < b.min {
		b.pause = b.min
	}
	if b.pause > b.max {
		b.pause = b.max
	}
	b.until.Store(now + b.pause/2 + rand.Int63n(b.pause/2+1))
}

// open reports whether the breaker is open, for tests.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.failures.Load()) >= b.threshold
}

// failed counts a failure of the storage, and says so in the log.
func (t *Tier) failed(n *Tenant, what string, err error) string {
	n.guard.failure(storage.Ticks())
	t.o.Log(fmt.Sprintf("odoocache: %s: %v", what, err))
	return policy.ReasonStoreError
}

// unwritten notes that something could not be written that may be lost. A storage that refuses it at once
// costs nobody time, and goes on answering lookups: that is no reason not to ask
// it any more.
func (t *Tier) unwritten(n *Tenant, what string, err error) string {
	if !errors.Is(err, storage.ErrRefused) {
		return t.failed(n, what, err)
	}
	t.o.Log(fmt.Sprintf("odoocache: %s: %v", what, err))
	return policy.ReasonStoreError
}
