package cache

import (
	"context"
	"time"

	"github.com/odoocache/odoocache/cache/storage"
)

// flight is one request to the origin on behalf of all who want the same page at
// the same time. All fields are guarded by Shared.mu until it has landed, and do
// not change after that.
type flight struct {
	key     string
	waiters []*waiter
	landed  bool
	landing

	cancel func() // ends the request; nil if it ends with its visitor
	orphan bool   // the visitor that it began for has gone
}

// landing is how a flight ends.
type landing struct {
	entry   *storage.Entry // what was stored, nil if nothing was
	given   *storage.Entry // what was not stored, and is for all who wait
	vary    []string       // request fields by which what is given differs
	variant string         // their values in the request that was sent, see keys.Variant
	refused bool           // the answer is not one for everybody
	errored bool           // the origin answered with an error, or broke off
	reason  string         // why nothing was stored
}

// waiter is a request that waits for a flight.
type waiter struct {
	flight *flight
	ch     chan struct{}
	awake  bool
}

// joinFlight begins a flight for a key, or gets in line for the one under way: then it
// returns a waiter. It returns neither if too many wait already.
func joinFlight(sh *Shared, key string, most int) (*flight, *waiter) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f := sh.flights[key]
	if f == nil {
		return takeOff(sh, key), nil
	}
	if sh.waiting >= most {
		return nil, nil
	}
	w := &waiter{flight: f, ch: make(chan struct{})}
	f.waiters = append(f.waiters, w)
	sh.waiting++
	return nil, w
}

func takeOff(sh *Shared, key string) *flight {
	f := &flight{key: key}
	sh.flights[key] = f
	return f
}

// begin begins a flight in the background, nil if there is one for the key or if
// most are under way.
func (sh *Shared) begin(key string, most int) *flight {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.flights[key] != nil || sh.refreshing >= most {
		return nil
	}
	sh.refreshing++
	return takeOff(sh, key)
}

// end lands a flight in the background.
func (sh *Shared) end(f *flight) {
	sh.mu.Lock()
	sh.refreshing--
	sh.mu.Unlock()
	land(sh, f, landing{}) // unless it has landed
}

// land ends a flight and wakes all who wait. The first to tell how it ended counts.
func land(sh *Shared, f *flight, l landing) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f.landed {
		return
	}
	f.landed = true
	f.landing = l
	if f.orphan {
		f.orphan = false
		sh.orphans--
	}
	if sh.flights[f.key] == f {
		delete(sh.flights, f.key)
	}
	noteLanding(sh, f.key)
	for i := 0; i < len(f.waiters); i++ {
		sh.rouse(f.waiters[i])
	}
	f.waiters = nil
}

// maxLandings bounds the keys of which it is known when they landed.
const maxLandings = 256

func noteLanding(sh *Shared, key string) {
	n := sh.landings.Add(1)
	if sh.landed == nil || len(sh.landed) >= maxLandings {
		sh.landed = map[string]int64{}
		sh.forgot = n
	}
	sh.landed[key] = n
}

// landedSince reports whether a flight for a key may have landed since there were so
// many landings.
func landedSince(sh *Shared, key string, before int64) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.landed[key] > before || sh.forgot > before
}

// abandon is called when the client that a flight began for is gone. It reports
// whether nobody else wants the page: then the flight is over.
func (sh *Shared) abandon(f *flight) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f.landed {
		return true
	}
	for i := 0; i < len(f.waiters); i++ {
		if !f.waiters[i].awake {
			return false
		}
	}
	delete(sh.flights, f.key)
	return true
}

// ends notes how a flight's request is ended.
func (sh *Shared) ends(f *flight, cancel func()) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f.cancel = cancel
}

// orphaned is called when the visitor that a flight began for has gone, or one who waited
// for it. The flight goes on, since its answer is for everybody; but where most others do
// so, and nobody waits for this one, it is ended.
func (sh *Shared) orphaned(f *flight, most int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f.landed || f.cancel == nil {
		return
	}
	if !f.orphan {
		f.orphan = true
		sh.orphans++
	}
	if sh.orphans <= most {
		return
	}
	for i := 0; i < len(f.waiters); i++ {
		if !f.waiters[i].awake {
			return
		}
	}
	if sh.flights[f.key] == f { // nobody gets in line any more
		delete(sh.flights, f.key)
	}
	f.cancel()
}

// rouse wakes a waiter, once.
func (sh *Shared) rouse(w *waiter) {
	if !w.awake {
		w.awake = true
		sh.waiting--
		close(w.ch)
	}
}

func (sh *Shared) wake(w *waiter) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.rouse(w)
}

// wait returns when the flight has landed, after the time given, or when the
// client is gone. It reports whether the flight has landed. abandoned is how many may go
// on without their visitor.
func (sh *Shared) wait(ctx context.Context, w *waiter, most time.Duration, abandoned int) bool {
	timer := time.AfterFunc(most, func() { sh.wake(w) })
	defer func() { timer.Stop() }()
	stop := context.AfterFunc(ctx, func() { sh.wake(w) })
	defer func() { stop() }()
	<-w.ch
	sh.mu.Lock()
	landed, orphan := w.flight.landed, w.flight.orphan
	sh.mu.Unlock()
	if !landed && orphan {
		sh.orphaned(w.flight, abandoned)
	}
	return landed
}

// landed tells those who wait for a visit's flight what was stored.
func landed(h *Handler, v *visit, e *storage.Entry) {
	if v.flight != nil {
		land(h.shared, v.flight, landing{entry: e})
	}
}

// unshared tells those who wait for a visit's flight, here and elsewhere, that the
// answer is not for them, and that they need not wait for the next one either.
func unshared(h *Handler, v *visit, reason string) {
	if v.flight == nil && !v.rule.Nobody {
		return
	}
	sole(h.identities, v, reason)
	if v.flight == nil {
		return
	}
	land(h.shared, v.flight, landing{refused: true, reason: reason})
	h.shared.tier.Unlock(h.view, v.lock, refusedTime)
}

// flightKey is the full key under which the answer is expected to be stored.
func flightKey(v *visit) string {
	if v.list != nil {
		return variantKey(v)
	}
	return v.primary
}

// loneFlight is that of a request that nobody waits for.
func loneFlight() *flight {
	return &flight{}
}
