package cache

import (
	"context"
	"math/rand"
	"net/http"
	"time"

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

// collapse answers a visit for which nothing usable is stored.
func (h *Handler) collapse(rw http.ResponseWriter, v *visit) {
	until := time.Now().Add(time.Duration(h.s.Limits.CoalesceWait) * time.Millisecond)
	for h.collapses(v) && time.Now().Before(until) {
		f, w := h.shared.join(h.flightKey(v), h.s.Limits.Waiters)
		if f != nil {
			if h.lead(rw, v, f, until) {
				return
			}
			continue
		}
		if w == nil || !h.shared.wait(v.r.Context(), w, time.Until(until)) {
			break
		}
		if h.deliverCollapsed(rw, v, w.flight) {
			return
		}
		if w.flight.refused {
			break
		}
		v.waited = true
		if w.flight.entry != nil && h.lookAgain(rw, v) { // it is stored as another variant
			return
		}
	}
	v.now = nowMS()
	h.fetch(rw, v)
}

// collapses reports whether a visit may share the origin's answer with others:
// one is expected that is for everybody.
func (h *Handler) collapses(v *visit) bool {
	if h.s.Limits.CoalesceWait == 0 || v.r.Method != http.MethodGet || v.cc.Present || v.head.Epoch == 0 ||
		(v.session && v.context == "") || len(v.r.Header["Range"]) > 0 || len(v.r.Header["Authorization"]) > 0 {
		return false
	}
	if e := v.entry; e != nil && (e.Life.NoCache || e.Life.TTL == 0) {
		return false // everybody has to ask
	}
	return h.identities.shares(v)
}

// flightKey is the full key under which the answer is expected to be stored.
func (h *Handler) flightKey(v *visit) string {
	if v.list != nil {
		return keys.Variant(v.primary, v.list.Vary, v.r.Header)
	}
	return v.primary
}

// lead asks the origin for all who wait for a flight. It reports false if it has
// answered nothing, because what is wanted has turned out to be another page than
// the flight is for.
func (h *Handler) lead(rw http.ResponseWriter, v *visit, f *flight, until time.Time) bool {
	defer func() {
		h.shared.land(f, nil, false, false) // unless it has landed
		h.shared.tier.Unlock(h.view, v.lock, 0)
	}()
	if v.waited || v.entry == nil && h.shared.tier.Has(h.view, f.key) { // it may have been stored since it was looked up
		v.waited = false
		if answered, stays := h.lookAgainFor(rw, v, f); answered || !stays {
			return answered
		}
	}
	if answered, stays := h.claim(rw, v, f, until); answered || !stays {
		return answered
	}
	v.flight = f
	v.now = nowMS()
	mine := v.r.Context()
	ctx, cancel := context.WithCancel(context.WithoutCancel(mine))
	defer cancel()
	stop := context.AfterFunc(mine, func() {
		if h.shared.abandon(f) {
			cancel()
			return
		}
		time.AfterFunc(time.Duration(h.s.Limits.FetchTimeout)*time.Millisecond, cancel)
	})
	defer func() { stop() }()
	v.r = v.r.WithContext(ctx)
	h.fetch(rw, v)
	return true
}

// claim gets the lock of a page, or the answer of another process that has it.
// Without either the visit goes on without the lock. stays is false if the page
// is another one than the flight is for.
func (h *Handler) claim(rw http.ResponseWriter, v *visit, f *flight, until time.Time) (answered, stays bool) {
	lock := &storage.Lock{ID: keys.ID(f.key), Token: h.shared.token}
	pause := firstPause
	for {
		state := h.shared.tier.Lock(h.view, lock, h.s.Limits.CoalesceWait)
		switch state {
		case storage.LockClaimed:
			v.lock = lock
			return false, true
		case storage.LockStored:
			v.lock = lock
			if v.entry == nil || h.newer(v) != nil { // by the one that had the lock before
				return h.lookAgainFor(rw, v, f)
			}
			return false, true
		case storage.LockRefused:
			h.identities.sole(v)
			h.shared.land(f, nil, true, false)
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
		if answered, stays = h.lookAgainFor(rw, v, f); answered || !stays {
			return answered, stays
		}
	}
}

// lookAgainFor is lookAgain for the leader of a flight, which lands with what was
// found. stays reports whether the visit still is for the flight's page.
func (h *Handler) lookAgainFor(rw http.ResponseWriter, v *visit, f *flight) (answered, stays bool) {
	v.flight = f
	answered = h.lookAgain(rw, v)
	v.flight = nil
	return answered, h.flightKey(v) == f.key && h.collapses(v)
}

// lookAgain looks a page up that may have been stored meanwhile, and answers with
// it if it can.
func (h *Handler) lookAgain(rw http.ResponseWriter, v *visit) bool {
	v.entry = nil
	v.list = nil
	v.soft = false
	v.early = false
	v.reason = ""
	v.state = 0
	v.now = nowMS()
	h.examineAgain(v)
	if v.failed {
		h.passBlindly(rw, v)
		return true
	}
	if v.state != policy.Fresh && v.state != policy.Stale {
		return false
	}
	if v.flight != nil {
		h.shared.land(v.flight, v.entry, false, false)
	}
	if v.state == policy.Stale {
		h.refresh(v)
	}
	h.sendCollapsed(rw, v, v.entry, v.now)
	return true
}

func (h *Handler) examineAgain(v *visit) {
	defer func() {
		if p := recover(); p != nil {
			v.failed = true
			h.logf("%s %s: %v; the request goes to the origin", v.r.Method, v.r.URL.Path, p)
		}
	}()
	h.lookup(v)
}

// deliverCollapsed answers with what a flight has brought, if that is for this
// visit. A stored error page is for nobody; but where the leader was given a stale
// copy in its place, so is everybody.
func (h *Handler) deliverCollapsed(rw http.ResponseWriter, v *visit, f *flight) bool {
	now := nowMS()
	if f.errored && v.entry != nil && policy.StandsIn(v.entry.Life, now) {
		count(h, "stale-if-error")
		h.send(rw, v.r, v.entry, h.forwarded("stale", 0, "")+"; collapsed; detail=stale-if-error", now)
		return true
	}
	e := f.entry
	if e == nil || e.Key != h.flightKey(v) || !h.view.Usable(e) || withheld(v, e) != "" {
		return false
	}
	if state, _ := policy.Reuse(e.Life, v.cc, false, now); state != policy.Fresh {
		return false
	}
	h.sendCollapsed(rw, v, e, now)
	return true
}

// sendCollapsed answers with an entry that another request has brought
// (RFC 9211 §2.6).
func (h *Handler) sendCollapsed(rw http.ResponseWriter, v *visit, e *storage.Entry, now int64) {
	count(h, "collapsed")
	if lines := h.campaignCookies(v, e); len(lines) > 0 {
		own := *e
		own.Header = withCookies(e.Header, lines)
		e = &own
	}
	fwd := v.fwd
	if v.state == policy.Fresh || v.state == policy.Stale {
		fwd = "uri-miss" // what the first look has found
	}
	detail := ""
	if v.state == policy.Stale { // it expired, or a soft purge passed, while this one waited
		detail = "stale-while-revalidate"
	}
	h.send(rw, v.r, e, h.forwarded(fwd, 0, "")+"; collapsed; ttl="+ttl(e.Life, now)+detailOf(detail), now)
}

// landed tells those who wait for a visit's flight what was stored.
func (h *Handler) landed(v *visit, e *storage.Entry) {
	if v.flight != nil {
		h.shared.land(v.flight, e, false, false)
	}
}

// unshared tells those who wait for a visit's flight, here and elsewhere, that the
// answer is not for them, and that they need not wait for the next one either.
func (h *Handler) unshared(v *visit) {
	if v.flight == nil {
		return
	}
	h.identities.sole(v)
	h.shared.land(v.flight, nil, true, false)
	h.shared.tier.Unlock(h.view, v.lock, refusedTime)
}
