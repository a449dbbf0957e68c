package cache

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/policy"
)

// A page of a rule that says so is filled as nobody: the request that asks Odoo for it is
// built from the key alone (package fill). So the answer is the same whoever it was that
// missed it, and is given to all who wait. A visitor for whom nobody's page is not right,
// or whose page turns out to be none for everybody, asks for themselves with their own
// request, of which nothing is stored.

// fillState is what belongs to a request that is built from a key.
type fillState struct {
	cancel  func()
	ctx     context.Context
	timer   *time.Timer
	stop    func() bool     // ends the watch over the visitor
	visitor context.Context // of the visitor it was begun for, nil: there is none
	rw      http.ResponseWriter

	solo    bool   // its answer has outgrown its bound, and goes to its visitor alone
	given   bool   // its answer is not stored, and is for all who wait
	passing bool   // its answer says nothing of the page
	refused string // why its answer is for nobody
	ended   bool   // its body was in a coding that tells its end
	trip    trip   // to the origin
	late    int32  // atomic: it took longer than limits.fetchTimeout
	located bool   // it was sent with the visitor's network
}

// fillPage asks for a visit's page as nobody, stores it, and answers. It reports false if
// it has answered nothing: then v.own says why the visitor has to ask for themselves, or
// what their page depends on has been learned, and it is another one.
func fillPage(h *Handler, rw http.ResponseWriter, v *visit, fl *flight.Flight) bool {
	if v.head.Epoch == 0 { // nothing could be stored
		v.own = v.reason
		return false
	}
	g := &fillState{rw: rw}
	if fl == nil {
		fl = loneFlight()
	}
	beginFilling(h, g, fl, v.r.Context())
	defer func() { endFilling(h, g, fl) }()
	f := &fetching{h: h, v: v, requested: v.now, filling: g}
	c := &capture{rw: rw, header: http.Header{}, limit: v.rule.MaxBody}
	c.decide = func(c *capture) { judge(f, c) }
	c.outgrown = func(c *capture) { outgrowBegun(f, c) }
	out := asNobody(watchTrip(g.ctx, &g.trip), h, v)
	locate(h, f, out)
	if v.entry != nil && v.state == policy.Expired {
		policy.Conditional(out.Header, v.entry.Header)
	}
	v.sent = out.Header
	runFilling(f, c, out)
	return finishFilling(f, rw, c)
}

// beginFilling gives a filling request a life of its own: it ends after limits.fetchTimeout.
func beginFilling(h *Handler, g *fillState, fl *flight.Flight, visitor context.Context) {
	g.ctx, g.cancel = context.WithCancel(ownContext(visitor))
	g.timer = time.AfterFunc(time.Duration(h.s.Limits.FetchTimeout)*time.Millisecond, func() {
		atomic.StoreInt32(&g.late, 1)
		g.cancel()
	})
	if g.rw == nil {
		return
	}
	g.visitor = visitor
	flight.SetCancel(h.shared.flights, fl, g.cancel)
	g.stop = context.AfterFunc(visitor, func() { flight.Orphan(h.shared.flights, fl, h.s.Fill.Abandoned) })
}

// endFilling gives back what beginFilling has begun, and lands the flight, unless it has
// landed.
func endFilling(h *Handler, g *fillState, fl *flight.Flight) {
	if g.stop != nil {
		g.stop()
		flight.Land(h.shared.flights, fl, flight.Landing{})
	}
	g.timer.Stop()
	g.cancel()
}

// runFilling calls the origin. If its answer breaks off, Traefik panics with
// http.ErrAbortHandler.
func runFilling(f *fetching, c *capture, out *http.Request) {
	f.aborted = true
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			f.h.logf("%s: %v", f.h.shownPath(f.v.id.path), p)
		}
	}()
	f.h.next.ServeHTTP(c, out)
	endCapture(c)
	f.aborted = c.broken
}
