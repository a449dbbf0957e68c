package tier

import (
	"sync"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/keys"
)

// pages that are ready to be written are held with their entries: in the memory tier, in the
// storage where that is in this process, else without their bodies, see Tier.pages.

// Table is a table for what the tier's user makes of pages that are ready. It loses what
// was announced when their entry goes.
func (t *Tier) Table() *sync.Map {
	if t.pages != nil {
		return t.pages.Table()
	}
	return &sync.Map{}
}

// Announce notes a key in the table for what is ready. It reports false if that is not there
// any more.
func (t *Tier) Announce(at string, r *storage.Ready, key string) bool {
	return t.pages.Announce(at, r, key)
}

// Announced reports whether something is ready as before, and the key announced, and notes
// that it is used.
func Announced(t *Tier, at string, r *storage.Ready, key string) bool {
	return (*memory.Sieve).Announced(t.pages, at, r, key)
}

// PageKey returns the key by which what is ready of a full key is held in this process, ""
// if nothing is.
func (t *Tier) PageKey(n *Tenant, key string) string {
	if t.pages == nil {
		return ""
	}
	if t.pages == t.here {
		return memory.ID(n.name, keys.ID(key))
	}
	return key
}

// Prepared returns what is ready of an entry of a position, nil if that has to be
// prepared. plain asks for the body decoded.
func (t *Tier) Prepared(at string, e *storage.Entry, seq int64, plain bool) *storage.Ready {
	r := t.pages.Ready(at)
	if r == nil || plain && r.Plain == nil || r.Entry.Epoch != e.Epoch {
		return nil
	}
	if p := r.Page; p == nil && r.Entry != e || p != nil && (r.Entry.Life.Born != e.Life.Born || r.Entry.Seq != e.Seq || p.Body != len(e.Body)) {
		return nil
	}
	if s := e.Sealed; s != nil && r.Page != nil && r.Page.Head != s.First { // the same page, encrypted anew
		return nil
	}
	if r.Seq == seq {
		return r
	}
	again := *r
	again.Seq = seq
	if !t.Prepare(at, &again) {
		return nil
	}
	return &again
}

// Prepare keeps an entry that a lookup found as ready, with the hits and the decoded body
// of what was ready of it before. It reports false if the entry is not held any more, or too
// large with it.
func (t *Tier) Prepare(at string, r *storage.Ready) bool {
	if t.pages == nil {
		return false
	}
	if t.bare {
		return prepareBare(t, at, r)
	}
	return t.pages.Prepare(at, r, 0)
}

// prepareBare keeps an entry as ready that is on a server alone: without its body, which the
// server sends each time. A decoded one is kept: what is sent tells whether it still is the
// same.
func prepareBare(t *Tier, key string, r *storage.Ready) bool {
	if err := t.remote.Prepare(r, keys.ID(key)); err != nil {
		return false
	}
	p := r.Page
	extra := int64(2*len(p.Head) + len(r.Reply) + len(r.Request))
	now := storage.NowMS()
	return t.pages.Put(key, r.Entry, now+r.Entry.Life.Retention(now)) && t.pages.Prepare(key, r, extra)
}

// Popular returns the recipes of those pages of a tenant in this process that have
// just been purged and had the most hits since they were stored, the most popular
// first.
func (t *Tier) Popular(n *Tenant, limit int) []func() {
	if t.pages == nil {
		return nil
	}
	return t.pages.Popular(n.name, func(e *storage.Entry) bool { return n.purges.Check(e) == purges.Purged }, limit)
}
