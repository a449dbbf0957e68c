package storage

import (
	"sort"
	"time"

	"github.com/odoocache/odoocache/keys"
)

// Ready is an entry made ready to be written to a client, and what has to hold
// for that: prepared once, used by every hit until it holds no more. It is never
// changed.
type Ready struct {
	Entry  *Entry
	Until  int64  // Unix ms: fresh before
	Second int64  // of Unix time for which Age and Cache-Status are right
	Seq    int64  // purge number up to which the entry is known not to be purged
	Stored *Form  // the body as it is stored
	Recipe func() // gets the page anew, nil: there is none
	wire   *wire  // of an entry that is in Redis alone
	Plain  *Form  // the body decoded; nil if it is not coded, or if nobody has asked for it
}

// Bytes returns the length of the body as it is stored.
func (r *Ready) Bytes() int {
	if r.wire != nil {
		return r.wire.body
	}
	return len(r.Entry.Body)
}

// Again returns the beginning of a Ready of the same entry for another second.
func (r *Ready) Again(second int64) *Ready {
	return &Ready{Entry: r.Entry, Until: r.Until, Second: second, Seq: r.Seq, Recipe: r.Recipe, wire: r.wire}
}

// Form is what is written to a client: a body, and the fields that go with it.
type Form struct {
	Names  []string
	Values [][]string
	Body   []byte
	Tag    string // entity tag, empty: none
}

// Quick returns the entry of a key in memory if it is ready, fresh and known
// not to be purged, else nil: then Lookup finds out. It does what Lookup does
// for such an entry, in one function: calls are what costs an interpreter most.
func (t *Tier) Quick(v *View, key string, now int64) *Ready {
	s := t.near
	if s == nil {
		return nil
	}
	s.mu.Lock()
	i, found := s.index[key]
	if !found {
		s.mu.Unlock()
		return nil
	}
	n := &s.slots[i]
	n.visited = true
	n.hits++
	r := n.ready
	s.mu.Unlock()
	if r == nil || now >= r.Until || now < r.Entry.Life.Born {
		return nil
	}
	since := started.UnixMilli() + time.Since(started).Milliseconds() - t.patience
	if since < 0 {
		since = 0 // what is distrusted was checked at 0
	}
	v.mu.Lock()
	known := v.head.Seq == r.Seq && v.head.Epoch == r.Entry.Epoch && v.checked > since && len(v.pending) == 0
	if known {
		v.served++
	}
	v.mu.Unlock()
	if !known {
		return nil
	}
	return r
}

// Served returns how many entries Quick has returned.
func (v *View) Served() int64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.served
}

// Near returns the key by which Quick finds what is stored under a full key, ""
// if nothing is kept in this process.
func (t *Tier) Near(v *View, key string) string {
	if t.memory != nil || t.seen != nil {
		return key
	}
	if t.near == nil {
		return ""
	}
	return inMemory(v.tenant, keys.ID(key))
}

// Prepare keeps an entry that a lookup found as ready, if it is still in memory. A
// decoded body counts as what it takes; it is left out if the page is too large for
// it.
func (t *Tier) Prepare(key string, r *Ready) {
	s := t.near
	if s == nil {
		if t.seen != nil {
			t.prepareRemote(key, r)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[key]
	if !found || s.slots[i].entry != r.Entry {
		return
	}
	n := &s.slots[i]
	extra := int64(0)
	if r.Plain != nil && r.Entry.Plain > 0 {
		extra = int64(len(r.Plain.Body))
	}
	if n.size-n.extra+extra > s.max/8 {
		return
	}
	n.ready = r
	s.resize(n, n.size-n.extra+extra)
	n.extra = extra
	s.shrink(s.max)
}

// Popular returns the recipes of those pages of a tenant in this process that have
// just been purged and had the most hits since they were stored, the most popular
// first.
func (t *Tier) Popular(v *View, most int) []func() {
	s := t.near
	if s == nil {
		s = t.seen
	}
	if s == nil {
		return nil
	}
	var purged []slot
	for _, n := range s.lane(v.tenant) {
		if n.ready != nil && n.ready.Recipe != nil && n.hits > 0 && v.Check(n.entry) == Purged {
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
