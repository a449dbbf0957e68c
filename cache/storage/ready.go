package storage

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/keys"
)

// Ready is an entry made ready to be written to clients, and what has to hold for
// that: prepared once, used until it holds no more. It is never changed.
type Ready struct {
	Entry  *Entry
	Until  int64  // Unix ms: fresh before
	Seq    int64  // purge number up to which the entry is known not to be purged
	Stored *Form  // the body as it is stored
	Plain  *Form  // the body decoded; nil if it is not coded, or if nobody has asked for it
	Recipe func() // gets the page anew, nil: there is none
	Hits   *int64 // atomic
	wire   *wire  // of an entry that is in Redis alone

	request string // what asks for that entry at the position, see Exchange
	reply   string
}

// Remote reports whether the entry is in Redis alone.
func (r *Ready) Remote() bool {
	return r.wire != nil
}

// Form is what is written to a client: a body, and the fields that go with it, but for
// those that depend on the time.
type Form struct {
	Names  []string
	Values [][]string
	Body   []byte // nil: it is in Redis alone
	Tag    string // entity tag, empty: none
}

// License says for how long pages that were ready at one position of a view may be
// used: until what is known of purges is too old, or something more is known.
type License struct {
	Until int64 // ns after Started, atomic; 0: it has been revoked
}

// Confirm asks for the position of a view, and reports whether it is the one that the
// view has. For late see QuickRemote.
func (t *Tier) Confirm(v *View) (known, late bool) {
	if t.redis == nil {
		return false, false
	}
	_, q, late := short(t, v, "", 0, "", 0)
	return q != nil, late
}

// held is where what is ready is held: nil if nothing is kept in this process.
func (t *Tier) held() *Sieve {
	if t.near != nil {
		return t.near
	}
	return t.seen
}

// Hot is a table for what the tier's user makes of pages that are ready. It loses what
// was announced by Heat when their entry goes.
func (t *Tier) Hot() *sync.Map {
	if s := t.held(); s != nil {
		return s.hot
	}
	return &sync.Map{}
}

// maxHot bounds the keys of an entry in the table.
const maxHot = 16

// hotCost is about what a page in the table takes, in bytes, beside its key.
const hotCost = 1024

// Heat announces a key in the table for what is ready. It reports false if that is not
// there any more.
func (t *Tier) Heat(near string, r *Ready, key string) bool {
	s := t.held()
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[near]
	if !found || s.slots[i].ready != r {
		return false
	}
	n := &s.slots[i]
	for j := 0; j < len(n.hot); j++ {
		if n.hot[j] == key {
			return true
		}
	}
	if len(n.hot) >= maxHot {
		s.hot.Delete(n.hot[0])
		s.resize(n, n.size-int64(len(n.hot[0])+hotCost))
		n.hot = append([]string{}, n.hot[1:]...)
	}
	n.hot = append(n.hot, key)
	s.resize(n, n.size+int64(len(key)+hotCost))
	s.shrink(s.max) // the entry itself may go: Still tells
	return true
}

// Still reports whether something is ready as before, and the key announced, and notes
// that it is used.
func Still(t *Tier, near string, r *Ready, key string) bool {
	s := t.held()
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[near]
	if !found {
		return false
	}
	n := &s.slots[i]
	n.visited = true
	if n.ready != r {
		return false
	}
	for j := 0; j < len(n.hot); j++ {
		if n.hot[j] == key {
			return true
		}
	}
	return false
}

// Near returns the key by which what is stored under a full key is held in this
// process, "" if nothing is.
func (t *Tier) Near(v *View, key string) string {
	if t.memory != nil || t.seen != nil {
		return key
	}
	if t.near == nil {
		return ""
	}
	return inMemory(v.tenant, keys.ID(key))
}

// Prepared returns what is ready of an entry of a position, nil if that has to be
// prepared. plain asks for the body decoded.
func (t *Tier) Prepared(near string, e *Entry, seq int64, plain bool) *Ready {
	r := t.held().readyFor(near)
	if r == nil || plain && r.Plain == nil || r.Entry.Epoch != e.Epoch {
		return nil
	}
	if r.wire == nil && r.Entry != e || r.wire != nil && (r.Entry.Life.Born != e.Life.Born || r.Entry.Seq != e.Seq || r.wire.body != len(e.Body)) {
		return nil
	}
	if r.Seq == seq {
		return r
	}
	again := *r
	again.Seq = seq
	if !t.Prepare(near, &again) {
		return nil
	}
	return &again
}

// Prepare keeps an entry that a lookup found as ready, with the hits and the decoded body
// of what was ready of it before. A decoded body counts as what it takes. It reports
// false if the entry is not held any more, or too large with it.
func (t *Tier) Prepare(near string, r *Ready) bool {
	s := t.near
	if s == nil {
		return t.seen != nil && t.prepareRemote(near, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[near]
	if !found || s.slots[i].entry != r.Entry {
		return false
	}
	n := &s.slots[i]
	if before := n.ready; before != nil { // of the same entry
		r.Hits = before.Hits
		if before.Plain != nil {
			r.Plain = before.Plain
		}
	}
	extra := int64(0)
	if r.Plain != nil && r.Entry.Plain > 0 {
		extra = int64(len(r.Plain.Body))
	}
	if n.size-n.extra+extra > s.max/8 {
		return false
	}
	n.ready = r
	s.resize(n, n.size-n.extra+extra)
	n.extra = extra
	s.shrink(s.max)
	return true
}

// Popular returns the recipes of those pages of a tenant in this process that have
// just been purged and had the most hits since they were stored, the most popular
// first.
func (t *Tier) Popular(v *View, most int) []func() {
	s := t.held()
	if s == nil {
		return nil
	}
	var purged []slot
	for _, n := range s.lane(v.tenant) {
		if n.ready == nil || n.ready.Recipe == nil {
			continue
		}
		n.hits = atomic.LoadInt64(n.ready.Hits)
		if n.hits > 0 && v.Check(n.entry) == Purged {
			purged = append(purged, n)
		}
	}
	sort.Slice(purged, func(i, j int) bool { return purged[i].hits > purged[j].hits })
	if len(purged) > most {
		purged = purged[:most]
	}
	list := make([]func(), 0, len(purged))
	for i := 0; i < len(purged); i++ {
		list = append(list, purged[i].ready.Recipe)
	}
	return list
}

// lane returns what is held of a tenant.
func (s *Sieve) lane(tenant string) []slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []slot
	i, found := s.laneOf[tenant]
	if !found {
		return nil
	}
	for at := s.lanes[i].newest; at != none; at = s.slots[at].older {
		list = append(list, s.slots[at])
	}
	return list
}
