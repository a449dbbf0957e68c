package memory

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/storage"
)

// Sieve is a cache of entries bounded by bytes, with SIEVE eviction (Zhang et
// al., NSDI 2024): entries stand in the order in which they came, a hit only
// sets a flag, and a hand that moves from old to new evicts the first entry
// whose flag is not set, clearing flags on its way. A hit moves nothing, which
// under an interpreter is the point.
//
// Each tenant has a list of its own, and it is the tenant with the most bytes whose
// entries have to go: one that is crawled does not push the others out.
//
// A list is made of indices into a slice. A structure that points to its own
// kind is not safe in Yaegi: a nil pointer read from it can panic.
type Sieve struct {
	max int64 // bytes

	mu      sync.Mutex
	bytes   int64
	index   map[string]int // of slots
	slots   []slot
	free    []int // slots not in use
	lanes   []lane
	laneOf  map[string]int // by tenant
	evicted int64
	table   *sync.Map // see Table
}

// lane is the list of a tenant's entries.
type lane struct {
	bytes  int64
	newest int // none, or a slot
	oldest int
	hand   int
}

type slot struct {
	id      string
	entry   *storage.Entry
	ready   *storage.Ready // nil, or of this entry
	size    int64
	extra   int64 // of it, what ready holds beside the entry
	expires int64 // Unix ms
	visited bool
	hits    int64    // that were counted when the hand came by
	inTable []string // keys in the table
	lane    int
	newer   int
	older   int
}

// none is the index of no slot.
const none = -1

// NewSieve returns a cache that holds size bytes at most.
func NewSieve(size int64) *Sieve {
	return &Sieve{max: size, index: map[string]int{}, laneOf: map[string]int{}, table: &sync.Map{}}
}

// Get returns the entry of id, nil if there is none or its time is over.
func (s *Sieve) Get(id string, now int64) *storage.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[id]
	if !found {
		return nil
	}
	n := &s.slots[i]
	if now >= n.expires {
		s.drop(i)
		return nil
	}
	n.visited = true
	return n.entry
}

// Put keeps an entry until expires. It reports false if the entry is larger
// than an eighth of the cache: one page must not empty it.
func (s *Sieve) Put(id string, e *storage.Entry, expires int64) bool {
	size := e.Size() + int64(len(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[id]
	if size > s.max/8 {
		if found {
			s.drop(i)
		}
		return false
	}
	if found {
		n := &s.slots[i]
		s.cool(n)
		s.resize(n, size)
		n.entry, n.expires = e, expires
		n.extra = 0
		n.ready = nil
		s.shrink(s.max)
		return true
	}
	s.shrink(s.max - size) // before it comes: the hand must not find the new one
	s.insert(slot{id: id, entry: e, size: size, expires: expires, lane: s.laneFor(e.Tenant)})
	return true
}

// Replace is Put for what is there already, under the same id. What is not there does
// not come.
func (s *Sieve) Replace(id string, e *storage.Entry, expires int64) {
	s.mu.Lock()
	_, found := s.index[id]
	s.mu.Unlock()
	if found {
		s.Put(id, e, expires)
	}
}

// Room reports whether an entry can come without another having to go.
func (s *Sieve) Room(id string, e *storage.Entry) bool {
	size := e.Size() + int64(len(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.index[id]
	return found || s.bytes+size <= s.max
}

// laneFor returns the list of a tenant.
func (s *Sieve) laneFor(tenant string) int {
	i, found := s.laneOf[tenant]
	if !found {
		i = len(s.lanes)
		s.lanes = append(s.lanes, lane{newest: none, oldest: none, hand: none})
		s.laneOf[tenant] = i
	}
	return i
}

// resize changes what a slot counts as.
func (s *Sieve) resize(n *slot, size int64) {
	s.bytes += size - n.size
	s.lanes[n.lane].bytes += size - n.size
	n.size = size
}

// Remove drops an entry.
func (s *Sieve) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, found := s.index[id]; found {
		s.drop(i)
	}
}

// Len returns the number of entries.
func (s *Sieve) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.index)
}

// Bytes returns about how many bytes the entries hold.
func (s *Sieve) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// Evicted returns how many entries had to go for others.
func (s *Sieve) Evicted() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evicted
}

func (s *Sieve) insert(n slot) {
	l := &s.lanes[n.lane]
	n.newer, n.older = none, l.newest
	i := len(s.slots)
	if last := len(s.free) - 1; last >= 0 {
		i = s.free[last]
		s.free = s.free[:last]
		s.slots[i] = n
	} else {
		s.slots = append(s.slots, n)
	}
	if l.newest != none {
		s.slots[l.newest].newer = i
	} else {
		l.oldest = i
	}
	l.newest = i
	s.index[n.id] = i
	l.bytes += n.size
	s.bytes += n.size
}

// cool takes what was made of an entry out of the table.
func (s *Sieve) cool(n *slot) {
	for i := 0; i < len(n.inTable); i++ {
		s.table.Delete(n.inTable[i])
	}
	n.inTable = nil
}

func (s *Sieve) drop(i int) {
	s.cool(&s.slots[i])
	n := s.slots[i]
	l := &s.lanes[n.lane]
	if l.hand == i {
		l.hand = n.newer
	}
	if n.newer != none {
		s.slots[n.newer].older = n.older
	} else {
		l.newest = n.older
	}
	if n.older != none {
		s.slots[n.older].newer = n.newer
	} else {
		l.oldest = n.newer
	}
	s.slots[i] = slot{}
	s.free = append(s.free, i)
	delete(s.index, n.id)
	l.bytes -= n.size
	s.bytes -= n.size
}

// shrink evicts until the entries hold limit bytes at most.
func (s *Sieve) shrink(limit int64) {
	for s.bytes > limit && len(s.index) > 0 {
		s.evict(s.largest())
	}
}

// largest returns the tenant's list that holds the most bytes.
func (s *Sieve) largest() *lane {
	at := 0
	for i := 1; i < len(s.lanes); i++ {
		if s.lanes[i].bytes > s.lanes[at].bytes {
			at = i
		}
	}
	return &s.lanes[at]
}

// takeUsed reports whether a slot has been used since the hand came by, once. Hits of what is ready
// count themselves, without asking for it here.
func takeUsed(n *slot) bool {
	visited := n.visited
	n.visited = false
	if n.ready != nil {
		hits := atomic.LoadInt64(n.ready.Hits)
		visited = visited || hits != n.hits
		n.hits = hits
	}
	return visited
}

func (s *Sieve) evict(l *lane) {
	i := l.hand
	if i == none {
		i = l.oldest
	}
	for steps := 2 * len(s.index); steps > 0 && takeUsed(&s.slots[i]); steps-- { // hits go on meanwhile
		i = s.slots[i].newer
		if i == none {
			i = l.oldest
		}
	}
	l.hand = i
	s.drop(i) // moves the hand on
	s.evicted++
}

// Table is a table for what its user makes of pages that are ready. It loses what was
// announced when the entry goes.
func (s *Sieve) Table() *sync.Map {
	return s.table
}

// maxAnnounced bounds the keys of an entry in the table.
const maxAnnounced = 16

// tableCost is about what a page in the table takes, in bytes, beside its key.
const tableCost = 1024

// Announce notes a key in the table for what is ready of an entry. It reports false if that
// is not there any more.
func (s *Sieve) Announce(id string, r *storage.Ready, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[id]
	if !found || s.slots[i].ready != r {
		return false
	}
	n := &s.slots[i]
	for j := 0; j < len(n.inTable); j++ {
		if n.inTable[j] == key {
			return true
		}
	}
	if len(n.inTable) >= maxAnnounced {
		s.table.Delete(n.inTable[0])
		s.resize(n, n.size-int64(len(n.inTable[0])+tableCost))
		n.inTable = append([]string{}, n.inTable[1:]...)
	}
	n.inTable = append(n.inTable, key)
	s.resize(n, n.size+int64(len(key)+tableCost))
	s.shrink(s.max) // the entry itself may go: Announced tells
	return true
}

// Announced reports whether something is ready as before, and the key announced, and notes
// that it is used.
func (s *Sieve) Announced(id string, r *storage.Ready, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[id]
	if !found {
		return false
	}
	n := &s.slots[i]
	n.visited = true
	if n.ready != r {
		return false
	}
	for j := 0; j < len(n.inTable); j++ {
		if n.inTable[j] == key {
			return true
		}
	}
	return false
}

// Ready returns what is ready of an entry, nil if nothing is, and notes that it is used.
func (s *Sieve) Ready(id string) *storage.Ready {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[id]
	if !found {
		return nil
	}
	s.slots[i].visited = true
	return s.slots[i].ready
}

// Prepare keeps an entry that is here as ready, with the hits and the decoded body of what
// was ready of it before. A decoded body counts as what it takes, and extra bytes with it.
// It reports false if the entry is not here any more, or too large with that.
func (s *Sieve) Prepare(id string, r *storage.Ready, extra int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[id]
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
	if r.Plain != nil && r.Entry.Plain > 0 {
		extra += int64(len(r.Plain.Body))
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

// Popular returns the recipes of those pages of a tenant that are gone, as a function tells,
// and had the most hits since they were stored, the most popular first.
func (s *Sieve) Popular(tenant string, gone func(e *storage.Entry) bool, limit int) []func() {
	var popular []slot
	for _, n := range s.of(tenant) {
		if n.ready == nil || n.ready.Recipe == nil {
			continue
		}
		n.hits = atomic.LoadInt64(n.ready.Hits)
		if n.hits > 0 && gone(n.entry) {
			popular = append(popular, n)
		}
	}
	sort.Slice(popular, func(i, j int) bool { return popular[i].hits > popular[j].hits })
	if len(popular) > limit {
		popular = popular[:limit]
	}
	list := make([]func(), 0, len(popular))
	for i := 0; i < len(popular); i++ {
		list = append(list, popular[i].ready.Recipe)
	}
	return list
}

// of returns what is held of a tenant.
func (s *Sieve) of(tenant string) []slot {
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
