package cache

import (
	"context"
	"math/rand"
	"net/http"
	"time"

	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// Requests for one page that is not stored are collapsed: one of them asks the
// origin, the others wait for what it brings (RFC 9111 §4). In this process they
// share a flight; between processes a lock in Redis keeps all but one from asking.
// Nobody waits longer than limits.coalesceWait: then it asks the origin itself.

// refusedTime is how long, in ms, other processes do not wait for each other after
// an answer that could not be stored.
const refusedTime = 10 * 1000

// The pauses between two looks at what another process has stored.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

// coalesce answers a visit for which nothing usable is stored.
func coalesce(h *Handler, rw http.ResponseWriter, v *visit) {
	if v.cc.OnlyIfCached {
		onlyIfCached(h, rw)
		return
	}
	if v.rule.Nobody && !fills(v) {
		passOwn(h, rw, v)
		return
	}
	until := time.Now().Add(time.Duration(h.s.Limits.CoalesceWait) * time.Millisecond)
	tired := false // of waiting, or of asking as nobody
	leads := 0
	for asks := true; v.own == "" && mayCoalesce(h, v, asks); asks = false {
		if tired = leads == maxFills || !time.Now().Before(until); tired {
			break
		}
		f, w := flight.Join(h.shared.flights, flightKey(v), h.s.Limits.Waiters)
		if f != nil {
			if lead(h, rw, v, f, until) {
				return
			}
			leads++
			continue
		}
		answered := false
		if answered, tired = await(h, rw, v, w, until); answered {
			return
		}
		if tired || w.Flight.Refused {
			break
		}
	}
	v.now = nowMS()
	if v.lock != nil {
		defer func() { h.shared.tier.Unlock(h.tenant, v.lock, 0) }()
	}
	askAlone(h, rw, v, tired)
}

// await waits for what another request brings, and answers with it. w is nil if too many wait
// already. tired says that nothing has come in time. Where it is not for this visitor v.own
// says so.
func await(h *Handler, rw http.ResponseWriter, v *visit, w *flight.Waiter, until time.Time) (answered, tired bool) {
	v.lock = nil // it is of the one who leads
	if w == nil || !flight.Wait(v.r.Context(), h.shared.flights, w, time.Until(until), h.s.Fill.Abandoned) {
		return false, true
	}
	if deliverCoalesced(h, rw, v, w.Flight) {
		return true, false
	}
	if w.Flight.Refused {
		v.own = w.Flight.Reason
		return false, false
	}
	v.waited = true
	return w.Flight.Entry != nil && lookAgain(h, rw, v), false // it is stored as another variant
}

// askAlone asks the origin for one visit. tired says that it has waited for another's
// answer, or has asked as nobody often enough.
func askAlone(h *Handler, rw http.ResponseWriter, v *visit, tired bool) {
	if !v.rule.Nobody {
		fetch(h, rw, v)
		return
	}
	for i := 0; i < maxFills && v.own == "" && !tired; i++ {
		if fillPage(h, rw, v, nil) {
			return
		}
	}
	h.shared.tier.Unlock(h.tenant, v.lock, 0) // nobody waits for an answer that is not stored
	passOwn(h, rw, v)
}

// maxFills is how often one visit asks for its page as nobody: what an answer depends on may
// be learned from it, and the visitor's be another.
const maxFills = 3

// mayCoalesce reports whether a visit may share the origin's answer with others:
// one is expected that is for everybody. For asks see refusedFor.
func mayCoalesce(h *Handler, v *visit, asks bool) bool {
	if v.head.Epoch == 0 || !isShareable(h, v) {
		return false
	}
	if e := v.entry; e != nil && (e.Life.NoCache || e.Life.TTL == 0) {
		return false // everybody has to ask
	}
	reason := refusedFor(h.identities, v, asks)
	if v.rule.Nobody {
		v.own = reason
	}
	return reason == ""
}

// lead asks the origin for all who wait for a flight. It reports false if it has
// answered nothing, because what is wanted has turned out to be another page than
// the flight is for.
func lead(h *Handler, rw http.ResponseWriter, v *visit, f *flight.Flight, until time.Time) bool {
	defer func() {
		flight.Land(h.shared.flights, f, flight.Landing{}) // unless it has landed
		h.shared.tier.Unlock(h.tenant, v.lock, 0)
	}()
	if !alreadyMine(h, v, f) {
		if v.waited || v.entry == nil && h.shared.tier.Has(h.tenant, f.Key) { // it may have been stored since it was looked up
			v.waited = false
			if answered, stays := lookAgainFor(h, rw, v, f); answered || !stays {
				return answered
			}
		}
		if answered, stays := claim(h, rw, v, f, until); answered || !stays {
			return answered
		}
	}
	v.flight = f
	v.now = nowMS()
	if v.rule.Nobody {
		answered := fillPage(h, rw, v, f)
		v.flight = nil
		return answered
	}
	leadOwn(h, rw, v, f)
	return true
}

// leadOwn asks the origin with the visitor's own request for all who wait. It goes on for them
// if the visitor leaves.
func leadOwn(h *Handler, rw http.ResponseWriter, v *visit, f *flight.Flight) {
	mine := v.r.Context()
	ctx, cancel := context.WithCancel(context.WithoutCancel(mine))
	defer cancel()
	stop := context.AfterFunc(mine, func() {
		if flight.Abandon(h.shared.flights, f) {
			cancel()
			return
		}
		time.AfterFunc(time.Duration(h.s.Limits.FetchTimeout)*time.Millisecond, cancel)
	})
	defer func() { stop() }()
	v.r = v.r.WithContext(ctx)
	fetch(h, rw, v)
}

// giveBack releases a lock of which is not known whether it was claimed: Redis did not
// answer, and may hear of it later. Nobody waits for that.
func giveBack(h *Handler, l *storage.Lock) {
	go func() {
		defer func() {
			if p := recover(); p != nil {
				h.logf("a lock was not given back: %v", p)
			}
		}()
		h.shared.tier.Unlock(h.tenant, l, 0)
	}()
}

// alreadyMine reports whether the lock was claimed when the page was looked up, and no
// flight of this process has brought it since.
func alreadyMine(h *Handler, v *visit, f *flight.Flight) bool {
	if v.lock == nil || v.lock.Released {
		return false
	}
	if v.lock.ID == keys.ID(f.Key) && !flight.LandedSince(h.shared.flights, f.Key, v.before) {
		return true
	}
	v.lock = nil // claim gets it again
	return false
}

// claim gets the lock of a page, or the answer of another process that has it.
// Without either the visit goes on without the lock. stays is false if the page
// is another one than the flight is for.
func claim(h *Handler, rw http.ResponseWriter, v *visit, f *flight.Flight, until time.Time) (answered, stays bool) {
	lock := &storage.Lock{ID: keys.ID(f.Key), Token: h.shared.token}
	pause := firstPause
	for {
		state := h.shared.tier.Lock(h.tenant, lock, h.s.Limits.CoalesceWait)
		switch state {
		case storage.LockClaimed:
			v.lock = lock
			return false, true
		case storage.LockStored:
			v.lock = lock
			if v.entry == nil || h.newer(v) != nil { // by the one that had the lock before
				return lookAgainFor(h, rw, v, f)
			}
			return false, true
		case storage.LockRefused:
			noteUnshareable(h.identities, v, policy.ReasonElsewhere, refusalTime)
			flight.Land(h.shared.flights, f, flight.Landing{Refused: true, Reason: policy.ReasonElsewhere})
			if v.rule.Nobody {
				v.own = policy.ReasonElsewhere
				return false, false
			}
			return false, true
		case storage.LockUnknown:
			return false, true
		}
		left := time.Until(until)
		if left <= 0 || v.r.Context().Err() != nil {
			return false, true
		}
		if pause > left {
			pause = left
		}
		time.Sleep(pause/2 + time.Duration(rand.Int63n(int64(pause)/2+1)))
		pause *= 2
		if pause > lastPause {
			pause = lastPause
		}
		if answered, stays = lookAgainFor(h, rw, v, f); answered || !stays {
			return answered, stays
		}
	}
}

// lookAgainFor looks the page of a flight up again, for its leader. The flight lands with what
// was found. stays reports whether the visit still is for the flight's page.
func lookAgainFor(h *Handler, rw http.ResponseWriter, v *visit, f *flight.Flight) (answered, stays bool) {
	v.flight = f
	answered = lookAgain(h, rw, v)
	v.flight = nil
	return answered, flightKey(v) == f.Key && mayCoalesce(h, v, false)
}

// lookAgain looks a page up that may have been stored meanwhile, and answers with
// it if it can.
func lookAgain(h *Handler, rw http.ResponseWriter, v *visit) bool {
	v.entry = nil
	v.list = nil
	v.soft = false
	v.refreshEarly = false
	v.reason = ""
	v.state = 0
	v.head = storage.Head{}
	v.session = v.cookie
	v.now = nowMS()
	examine(h, v, true)
	if v.failed {
		passBlindly(h, rw, v, policy.ReasonInternal)
		return true
	}
	if v.state != policy.Fresh && v.state != policy.Stale {
		return false
	}
	if v.flight != nil {
		flight.Land(h.shared.flights, v.flight, flight.Landing{Entry: v.entry})
	}
	if v.state == policy.Stale {
		h.refresh(v)
	}
	sendCoalesced(h, rw, v, v.entry, v.now)
	return true
}

// deliverCoalesced answers with what a flight has brought, if that is for this
// visit. A stored error page is for nobody; but where the leader was given a stale
// copy in its place, so is everybody.
func deliverCoalesced(h *Handler, rw http.ResponseWriter, v *visit, f *flight.Flight) bool {
	now := nowMS()
	if f.Errored && v.entry != nil && policy.StandsIn(v.entry.Life, now) {
		count(h, "stale-if-error")
		sendEntry(h, rw, v.r, v.entry, statusForwarded(h, "stale", 0, "")+"; collapsed; detail=stale-if-error", now)
		return true
	}
	e := f.Entry
	if e == nil {
		e = f.Given
	}
	if e == nil || e.Key != flightKey(v) || !h.tenant.Usable(e) || withheld(v, e) != "" || !forConsent(h, v, e) {
		return false
	}
	if f.Given != nil && len(f.Vary) > 0 && keys.Variant("", f.Vary, v.r.Header) != f.Variant {
		return false
	}
	if f.Given != nil {
		count(h, "collapsed")
		sendFilled(h, rw, v, e, nil, statusForwarded(h, v.fwd, 0, "")+"; collapsed"+detailOf(f.Reason))
		return true
	}
	if state, _ := policy.Reuse(e.Life, v.cc, false, now); state != policy.Fresh {
		return false
	}
	sendCoalesced(h, rw, v, e, now)
	return true
}

// sendCoalesced answers with an entry that another request has brought
// (RFC 9211 §2.6).
func sendCoalesced(h *Handler, rw http.ResponseWriter, v *visit, e *storage.Entry, now int64) {
	count(h, "collapsed")
	e = withOwnCookies(h, v, e, nil)
	fwd := v.fwd
	if v.state == policy.Fresh || v.state == policy.Stale {
		fwd = "uri-miss" // what the first look has found
	}
	detail := ""
	if v.state == policy.Stale { // it expired, or a soft purge passed, while this one waited
		detail = "stale-while-revalidate"
	}
	sendEntry(h, rw, v.r, e, statusForwarded(h, fwd, 0, "")+"; collapsed; ttl="+ttl(e.Life, now)+detailOf(detail), now)
}
