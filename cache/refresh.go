package cache

import (
	"context"
	"net/http"
	"time"

	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

// refresh asks the origin in the background for a newer copy of a stale entry:
// one at a time for each key, and not more at once than limits.refreshes, of which others have their
// share. The
// visitor's request is over before it is done, so it has a context of its own.
func (h *Handler) refresh(v *visit) {
	inBackground(h, v, v.entry.Key, "refresh", func(b *visit) {
		b.state, b.fwd = policy.Expired, "stale"
		if h.claimRefresh(b) {
			defer func() { h.shared.tier.Unlock(h.tenant, b.lock, 0) }()
			h.refetch(b)
		}
	})
}

// inBackground does something for the page of a visit that it asks for as nobody, while the
// visit itself is over or goes on. It does nothing if that is under way for the key, or too
// much is (limits.refreshes, quota.refreshes). what names it in the log.
func inBackground(h *Handler, v *visit, key, what string, do func(b *visit)) {
	f, full := flight.Begin(h.shared.flights, key, &flight.Share{
		Tenant: h.s.Tenant, Limit: h.s.Limits.Refreshes, Own: h.s.Quota.Refreshes, Alone: h.shared.tier.Tenants() < 2,
	})
	if full {
		count(h, "refresh-limit")
	}
	if f == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ownContext(v.r.Context()), time.Duration(h.s.Limits.FetchTimeout)*time.Millisecond)
	b := *v
	b.r = asNobody(ctx, h, v)
	b.now = nowMS()
	b.cc = policy.Directives{}
	b.cookie = false // the request has no cookie of a session
	b.session = false
	b.sid = ""
	b.flight = f
	b.lock = nil // of the visit's flight
	go func() {
		defer cancel()
		defer func() { flight.End(h.shared.flights, f) }() // the interpreter drops a deferred call of a method of ours here
		defer func() {
			if p := recover(); p != nil {
				count(h, policy.ReasonPanic)
				if p != http.ErrAbortHandler {
					h.logf("%s of %s: %v", what, h.shownPath(b.r.URL.Path), p)
				}
			}
		}()
		do(&b)
	}()
}

// refreshLock is for how long, in ms, one process keeps others from refreshing a page. If
// it ends meanwhile, the page stays stale for that long; if Odoo takes longer, it is
// asked twice.
const refreshLock = 20 * 1000

// claimRefresh reports whether this process is the one to refresh a page: no other
// does at this moment, and none has done so already.
func (h *Handler) claimRefresh(v *visit) bool {
	lock := &storage.Lock{ID: keys.ID(v.entry.Key), Token: h.shared.token}
	switch h.shared.tier.Lock(h.tenant, lock, refreshLock) {
	case storage.LockHeld, storage.LockRefused:
		return false
	case storage.LockClaimed, storage.LockStored:
		v.lock = lock
	}
	if h.newer(v) != nil {
		h.shared.tier.Unlock(h.tenant, lock, 0)
		return false
	}
	return true
}

// newer asks past the memory tier for an entry that another process has stored in
// place of the visit's, nil if there is none. The memory tier has it then. When an
// entry was born is often known to the second alone, from its Date: of two that were
// born in the same one the purges that they knew tell, and that it is fresh where the
// visit's is not.
func (h *Handler) newer(v *visit) *storage.Entry {
	found := h.shared.tier.Find(h.tenant, &tier.Wanted{Key: v.entry.Key, Newer: true})
	e := found.Entry
	if e == nil || found.Soft {
		return nil
	}
	old := v.entry
	if e.Life.Born > old.Life.Born || e.Epoch == old.Epoch && e.Seq > old.Seq || !v.refreshEarly && !e.Life.NoCache && age(e, nowMS()) < e.Life.TTL {
		return e
	}
	return nil
}

// refetch asks the origin for a visit's page, and stores the answer. There is no client.
func (h *Handler) refetch(v *visit) {
	if v.rule.Nobody {
		fillPage(h, nil, v, nil)
		count(h, "refresh")
		return
	}
	v.sent = v.r.Header
	f := &fetching{h: h, v: v, requested: nowMS()}
	c := &capture{header: http.Header{}, limit: v.rule.MaxBody}
	c.decide = func(c *capture) { decide(f, c) }
	run(f, c, upstream(v.r.Context(), f))
	finish(f, nil, c)
	if f.withdrawn(c) {
		h.shared.tier.Remove(h.tenant, []string{v.entry.Key})
	}
	count(h, "refresh")
}

// withdrawn reports whether the origin's answer to a refresh says that the
// stored response is not to be used any more: another one has taken its place,
// and that may not be stored. An error leaves the stale copy its grace.
func (f *fetching) withdrawn(c *capture) bool {
	return !f.aborted && !c.broken && !f.standIn && !f.validated && (!f.admission.Store || f.refused) &&
		f.v.head.Epoch != 0 && c.status >= 200 && c.status < 500 && !passingStatus(c.status) && !firewalled(f.h, c.header)
}
