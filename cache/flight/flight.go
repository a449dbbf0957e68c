// Package flight lets one request to the origin answer all who want the same page at the same
// time. Functions take the place of methods, whose calls cost the interpreter three times as
// much.
package flight

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/storage"
)

// Group is the flights of one process. The zero value is not ready, see NewGroup.
type Group struct {
	Landings atomic.Int64 // flights that have landed

	mu         sync.Mutex
	flights    map[string]*Flight // by key
	landed     map[string]int64   // by key: which landing that was
	forgot     int64              // landings up to this one are not known any more
	refreshing int                // flights in the background
	shares     map[string]int     // of these, by tenant
	orphans    int                // flights whose visitor has gone
	waiting    int                // requests
}

// NewGroup returns a group without flights.
func NewGroup() *Group {
	return &Group{flights: map[string]*Flight{}, shares: map[string]int{}}
}

// Flight is one request to the origin on behalf of all who want the same page at
// the same time. All fields are guarded by the group's mutex until it has landed, and do
// not change after that.
type Flight struct {
	Key     string
	tenant  string // of one in the background
	waiters []*Waiter
	landed  bool
	Landing

	cancel func() // ends the request; nil if it ends with its visitor
	orphan bool   // the visitor that it began for has gone
}

// Landing is how a flight ends.
type Landing struct {
	Entry   *storage.Entry // what was stored, nil if nothing was
	Given   *storage.Entry // what was not stored, and is for all who wait
	Vary    []string       // request fields by which what is given differs
	Variant string         // their values in the request that was sent, see keys.Variant
	Refused bool           // the answer is not one for everybody
	Errored bool           // the origin answered with an error, or broke off
	Reason  string         // why nothing was stored
}

// Waiter is a request that waits for a flight.
type Waiter struct {
	Flight *Flight
	ch     chan struct{}
	awake  bool
}

// Join begins a flight for a key, or gets in line for the one under way: then it
// returns a waiter. It returns neither if too many wait already.
func Join(g *Group, key string, limit int) (*Flight, *Waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.flights[key]
	if f == nil {
		return takeOff(g, key), nil
	}
	if g.waiting >= limit {
		return nil, nil
	}
	w := &Waiter{Flight: f, ch: make(chan struct{})}
	f.waiters = append(f.waiters, w)
	g.waiting++
	return nil, w
}

func takeOff(g *Group, key string) *Flight {
	f := &Flight{Key: key}
	g.flights[key] = f
	return f
}

// Share is how many flights in the background a tenant may have under way.
type Share struct {
	Tenant string
	Limit  int  // of all tenants
	Own    int  // of this one; 0: it has no bound of its own
	Alone  bool // there is no other tenant
}

// Begin begins a flight in the background. It returns nil if there is one for the key, or if as many
// as there may be are under way: then full is true. Where there are several tenants, none has more
// than are left for the others: the first one half of all, the next one half of the rest. So one
// whose origin does not answer leaves the others room.
func Begin(g *Group, key string, s *Share) (f *Flight, full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.flights[key] != nil {
		return nil, false
	}
	has := g.shares[s.Tenant]
	left := s.Limit - g.refreshing
	if left <= 0 || s.Own > 0 && has >= s.Own || !s.Alone && has >= left {
		return nil, true
	}
	g.refreshing++
	g.shares[s.Tenant] = has + 1
	f = takeOff(g, key)
	f.tenant = s.Tenant
	return f, false
}

// End lands a flight in the background.
func End(g *Group, f *Flight) {
	g.mu.Lock()
	g.refreshing--
	g.shares[f.tenant]--
	if g.shares[f.tenant] <= 0 {
		delete(g.shares, f.tenant)
	}
	g.mu.Unlock()
	Land(g, f, Landing{}) // unless it has landed
}

// Land ends a flight and wakes all who wait. The first to tell how it ended counts.
func Land(g *Group, f *Flight, l Landing) {
	g.mu.Lock()
	if !f.landed {
		landLocked(g, f, l)
	}
	g.mu.Unlock()
}

func landLocked(g *Group, f *Flight, l Landing) {
	f.landed = true
	f.Landing = l
	if f.orphan {
		f.orphan = false
		g.orphans--
	}
	if g.flights[f.Key] == f {
		delete(g.flights, f.Key)
	}
	noteLanding(g, f.Key)
	for i := 0; i < len(f.waiters); i++ {
		rouse(g, f.waiters[i])
	}
	f.waiters = nil
}

// maxLandings bounds the keys of which it is known when they landed.
const maxLandings = 256

func noteLanding(g *Group, key string) {
	n := g.Landings.Add(1)
	if g.landed == nil || len(g.landed) >= maxLandings {
		g.landed = map[string]int64{}
		g.forgot = n
	}
	g.landed[key] = n
}

// LandedSince reports whether a flight for a key may have landed since there were so
// many landings.
func LandedSince(g *Group, key string, before int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.landed[key] > before || g.forgot > before
}

// Abandon is called when the client that a flight began for is gone. It reports
// whether nobody else wants the page: then the flight is over.
func Abandon(g *Group, f *Flight) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.landed {
		return true
	}
	for i := 0; i < len(f.waiters); i++ {
		if !f.waiters[i].awake {
			return false
		}
	}
	delete(g.flights, f.Key)
	return true
}

// SetCancel notes how a flight's request is ended.
func SetCancel(g *Group, f *Flight, cancel func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.cancel = cancel
}

// Orphan is called when the visitor that a flight began for has gone, or one who waited
// for it. The flight goes on, since its answer is for everybody; but where most others do
// so, and nobody waits for this one, it is ended.
func Orphan(g *Group, f *Flight, limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.landed || f.cancel == nil {
		return
	}
	if !f.orphan {
		f.orphan = true
		g.orphans++
	}
	if g.orphans <= limit {
		return
	}
	for i := 0; i < len(f.waiters); i++ {
		if !f.waiters[i].awake {
			return
		}
	}
	if g.flights[f.Key] == f { // nobody gets in line any more
		delete(g.flights, f.Key)
	}
	f.cancel()
}

// rouse wakes a waiter, once.
func rouse(g *Group, w *Waiter) {
	if !w.awake {
		w.awake = true
		g.waiting--
		close(w.ch)
	}
}

func wake(g *Group, w *Waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rouse(g, w)
}

// Wait returns when the flight has landed, after the time given, or when the
// client is gone. It reports whether the flight has landed. abandoned is how many may go
// on without their visitor.
func Wait(ctx context.Context, g *Group, w *Waiter, limit time.Duration, abandoned int) bool {
	timer := time.AfterFunc(limit, func() { wake(g, w) })
	defer func() { timer.Stop() }()
	stop := context.AfterFunc(ctx, func() { wake(g, w) })
	defer func() { stop() }()
	<-w.ch
	g.mu.Lock()
	landed, orphan := w.Flight.landed, w.Flight.orphan
	g.mu.Unlock()
	if !landed && orphan {
		Orphan(g, w.Flight, abandoned)
	}
	return landed
}

// Waiting returns how many requests wait, and how many flights are in the background.
func Waiting(g *Group) (waiting, refreshing int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting, g.refreshing
}

// RefreshesOf returns how many flights in the background are a tenant's.
func RefreshesOf(g *Group, tenant string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shares[tenant]
}
