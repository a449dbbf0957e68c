package tier

import (
	"hash/maphash"
	"sync"

	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/keys"
)

// AdmissionOptions bound what a tenant's pages take that nobody has asked for twice: most
// addresses that a crawler or somebody who makes them up asks for are never asked for
// again, and would push out what is. Bytes 0: there is no bound.
type AdmissionOptions struct {
	Bytes  int64 // of such pages that are stored within a window
	Window int64 // ms
	Keys   int   // of how many keys it is remembered that they were asked for, at least for a window
}

// admission is what is known of one tenant's pages. Keys are remembered as hashes in two
// sets: when the newer one is full, or older than a window, the older one goes. A hash
// that two keys share admits the second, once, too early.
type admission struct {
	o    AdmissionOptions
	seed maphash.Seed
	rate float64 // bytes in a ms

	mu      sync.Mutex
	asked   map[uint64]bool
	before  map[uint64]bool
	ends    int64   // ticks at which asked does
	spent   float64 // bytes, of which as much is forgotten with time as Bytes in a Window
	counted int64   // ticks at which spent was that
}

// newAdmission returns nil where there is no bound.
func newAdmission(o AdmissionOptions) *admission {
	if o.Bytes <= 0 || o.Window <= 0 || o.Keys <= 0 {
		return nil
	}
	return &admission{o: o, seed: maphash.MakeSeed(), rate: float64(o.Bytes) / float64(o.Window), asked: map[uint64]bool{}}
}

// noteAsked remembers that a page was asked for.
func noteAsked(n *Tenant, key string) {
	if n.admission != nil {
		askedAt(n.admission, key, storage.Ticks())
	}
}

// NoteAsked remembers that a page was asked for, and reports whether it was so before.
func (t *Tier) NoteAsked(n *Tenant, key string) bool {
	return n.admission == nil || askedAt(n.admission, key, storage.Ticks())
}

func askedAt(a *admission, key string, now int64) (before bool) {
	hash := maphash.String(a.seed, key)
	a.mu.Lock()
	if now >= a.ends || len(a.asked) >= a.o.Keys {
		turn(a, now)
	}
	before = a.asked[hash] || a.before[hash]
	a.asked[hash] = true
	a.mu.Unlock()
	return before
}

// turn makes the newer set the older one. The caller holds the lock.
func turn(a *admission, now int64) {
	a.before = a.asked
	if now >= a.ends+a.o.Window {
		a.before = nil
	}
	a.asked = map[uint64]bool{}
	a.ends = now + a.o.Window
}

// admits reports whether an entry may be stored: it was asked for before, or there is
// room for one that may never be asked for again. A list of variants comes with one that
// was admitted.
func admits(t *Tier, n *Tenant, e *storage.Entry, now int64) bool {
	a := n.admission
	return a == nil || e.Status == 0 || askedAt(a, e.Key, now) || hasRoom(t, a, e, now)
}

// hasRoom reports whether there is room for an entry that nobody has asked for before: in
// the storage, if that is in this process, else among such ones.
func hasRoom(t *Tier, a *admission, e *storage.Entry, now int64) bool {
	if t.here != nil {
		return t.here.Room(memory.ID(e.Tenant, keys.ID(e.Key)), e)
	}
	size := storage.Overhead + len(e.Key) + len(e.Body) + 32*len(e.Tags) // about Size, in less time
	return spend(a, float64(size), now)
}

// spend takes what an entry needs from the bytes of a window. It reports false if there
// are not so many left.
func spend(a *admission, size float64, now int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spent -= float64(now-a.counted) * a.rate
	if a.spent < 0 {
		a.spent = 0
	}
	a.counted = now
	if a.spent+size > float64(a.o.Bytes) {
		return false
	}
	a.spent += size
	return true
}
