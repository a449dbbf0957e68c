package tier

import (
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
)

// Tenant is what a tier has of one tenant: what this process knows of its purges, and what
// it keeps beside that.
type Tenant struct {
	Served   *int64 // hits that were counted by nobody else, atomic
	Bypassed *int64 // requests that a rule bypassed, likewise

	Limited atomic.Bool // what its pages take is bounded, see Tier.Limit

	name   string
	purges *purges.View
	guard  *breaker // of the server that has the tenant's keys

	settling sync.Mutex // one asks at a time whether the server is the same
	run      string     // of the server that answered then
	replayMu sync.Mutex // one replay of the journal at a time

	admission *admission // nil: everything is stored

	sessions  *purges.Sessions
	following sync.Mutex // one reads the changes of sessions at a time
	followed  int64      // when that was last begun, in ns after storage.Started
	inStep    bool       // they were read then
	behind    bool       // the storage did not answer in time
}

// newTenant makes one. ask makes questions, see purges.New. It is not made here, since a function
// keeps alive what has led to it in the interpreter: a tenant outlives that by far.
func newTenant(name string, patience int64, ask purges.Asker, sessions int) *Tenant {
	v := purges.New(name, patience, ask)
	return &Tenant{name: name, purges: v, Served: new(int64), Bypassed: new(int64), sessions: purges.NewSessions(sessions, patience)}
}

// OpenUntil returns until when the tenant's storage is not asked, in ticks: 0 unless the
// breaker is open. NotAsked tells whether that matters.
func (n *Tenant) OpenUntil() *atomic.Int64 {
	return &n.guard.until
}

// Open reports whether the tenant's storage is not asked for a while.
func (n *Tenant) Open() bool {
	return n.guard.open()
}

// Head returns the position of the tenant's purges, as far as is known.
func (n *Tenant) Head() storage.Head {
	return n.purges.Head()
}

// Pending returns how much waits to be written: each purge counts, and the marks of
// sessions together.
func (n *Tenant) Pending() int {
	return n.purges.Pending()
}

// Distrust ends what is ready, and has the storage asked before anything else is used.
func (n *Tenant) Distrust() {
	n.purges.Distrust(storage.Ticks())
}

// Usable reports whether an entry that another request has just stored may be used.
func (n *Tenant) Usable(e *storage.Entry) bool {
	return n.purges.Usable(e)
}

// License returns the one for a page, nil if the purges are at another position than the
// page, or what is known of them cannot be relied on.
func (n *Tenant) License(r *storage.Ready) *purges.License {
	return n.purges.License(r)
}
