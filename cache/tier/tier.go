// Package tier is what the handler talks to: a storage, with a memory tier in front of it, what
// is known of the purges of each tenant, a journal of what could not be written, and a
// breaker. It never returns an entry that a purge known to this process has made wrong.
//
// tier.go is what there is, tenant.go what it has of a tenant; find.go looks entries up and store.go keeps them; purge.go
// writes purges or journals them, sweep.go removes what they are about, heirs.go hands the journal on; position.go follows what
// others have purged; ready.go and quick.go are the short ways of hits, admission.go says what
// is worth its place, sessions.go notes what is known of sessions, follow.go remembers it, breaker.go when nothing is asked.
//
// Some calls are written (*T).method(v, …): in the interpreter that costs a third of v.method(…).
package tier

import (
	"sync"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
)

// Options configure a Tier. Times are ms.
type Options struct {
	MemoryBytes   int64 // 0: no memory tier
	PreparedBytes int64 // of what is kept of entries in Redis where there is no memory tier
	MaxStaleness  int64 // how old the known purge state may be for a hit from memory
	Journal       int   // most purges kept while they cannot be written
	Failures      int   // failures in a row that open the breaker
	MinPause      int64 // first and longest pause of the breaker
	MaxPause      int64
	SessionTTL    int64 // how long a session is known
	Sessions      int   // of how many something is known
	Admission     AdmissionOptions
	Place         string // what Join goes by: where the storage is
	Log           func(message string)
	Tell          func(message string) // Log for what is said once, and must not get lost among others; nil: Log
}

// Tier is a storage with all that stands in front of it.
type Tier struct {
	o       Options
	store   storage.Storage
	remote  storage.Remote // the part of it that other processes share, nil: it is of this one alone
	breaker breaker

	// memory is the memory tier, nil if there is none. pages holds what is ready to be
	// written: it is the memory tier; without one, the storage itself where that is in this
	// process, else entries without their bodies (bare). It is nil if nothing is kept here.
	memory *memory.Sieve
	pages  *memory.Sieve
	bare   bool
	here   *memory.Sieve // the storage, if it is in this process

	patience int64 // ms: how old the known purge state may be for what is in this process

	// take keeps what another tier could not write, see hand. It is Tier.journal, handed down.
	take func(n *Tenant, l purges.Load)

	ask purges.Asker

	mu      sync.Mutex
	tenants map[string]*Tenant
	told    map[string]bool // what was said once
	closed  bool
}

// New puts a tier in front of a storage.
func New(store storage.Storage, o Options) *Tier {
	t := &Tier{o: o, store: store, remote: store.Remote(), tenants: map[string]*Tenant{}, told: map[string]bool{}, patience: o.MaxStaleness}
	if t.o.Tell == nil {
		t.o.Tell = o.Log
	}
	t.take = func(n *Tenant, l purges.Load) { t.journal(n, l) }
	t.ask = func(tenant string, head storage.Head, era int64) *storage.Question {
		return t.remote.Question(tenant, head, era)
	}
	t.breaker.threshold, t.breaker.min, t.breaker.max = o.Failures, o.MinPause, o.MaxPause
	if o.MemoryBytes > 0 {
		t.memory = memory.NewSieve(o.MemoryBytes)
	}
	t.pages = t.memory
	if t.memory == nil && t.remote != nil {
		t.pages = memory.NewSieve(o.PreparedBytes)
		t.bare = true
	}
	return t
}

// NewLocal puts a tier in front of a storage in this process. Its purge
// state changes through this tier alone, so what is known of it is current.
func NewLocal(m *memory.Memory, o Options) *Tier {
	t := New(m, o)
	t.here = m.Entries()
	if t.memory == nil {
		t.pages, t.patience = t.here, noLimit
	}
	return t
}

// noLimit is longer than any process lives, in ms, and not too long to be counted in ns.
const noLimit = 1 << 42

// Tenant returns what the tier has of a tenant. A new one takes over what other tiers of
// this process could not write.
func (t *Tier) Tenant(name string) *Tenant {
	tiersMu.Lock()
	n := tenantOf(t, name)
	if n == nil {
		n = addTenant(t, name)
	}
	tiersMu.Unlock()
	return n
}

// addTenant adds a tenant. The caller holds tiersMu.
func addTenant(t *Tier, name string) *Tenant {
	n := newTenant(name, t.patience, t.ask, t.o.Sessions)
	n.guard = &t.breaker
	n.admission = newAdmission(t.o.Admission)
	if t.remote != nil && t.remote.Apart() {
		n.guard = &breaker{threshold: t.o.Failures, min: t.o.MinPause, max: t.o.MaxPause}
	}
	takeOver(t, n)
	t.mu.Lock()
	t.tenants[name] = n
	t.mu.Unlock()
	return n
}

// Close gives back what the tier holds. What could not be written is for the tiers that
// come after it.
func (t *Tier) Close() {
	leave(t)
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.store.Close()
}

// Tenants returns how many tenants the tier has.
func (t *Tier) Tenants() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.tenants)
}

// Limit bounds what a tenant's pages take from now on: in this process, and where others share the
// storage.
func (t *Tier) Limit(n *Tenant, here, remote storage.Quota) {
	none := storage.Quota{}
	n.Limited.Store(here != none || remote != none)
	if t.pages != nil {
		t.pages.Limit(n.name, here)
	}
	if t.remote != nil {
		t.remote.Limit(n.name, remote)
	}
}

// Usage returns what a tenant's pages take in this process.
func (t *Tier) Usage(n *Tenant) storage.Usage {
	if t.pages == nil {
		return storage.Usage{}
	}
	return t.pages.Usage(n.name)
}

// RemoteUsage returns what a tenant's pages take where others share the storage, and whether that is
// known: it is counted, and the storage answers.
func (t *Tier) RemoteUsage(n *Tenant) (u storage.Usage, known bool) {
	if t.remote == nil || n.guard.open() {
		return u, false
	}
	u, known, err := t.remote.Usage(n.name)
	if err != nil {
		t.failed(n, "usage", err)
		return u, false
	}
	return u, known
}

// Shared reports whether other processes use the storage, too.
func (t *Tier) Shared() bool {
	return t.remote != nil
}

// Remote returns the part of the storage that other processes share, nil if there is none.
func (t *Tier) Remote() storage.Remote {
	return t.remote
}

// Memory returns the memory tier, nil if there is none.
func (t *Tier) Memory() *memory.Sieve {
	return t.memory
}

// Open reports whether the breaker is open.
func (t *Tier) Open() bool {
	return t.breaker.open()
}
