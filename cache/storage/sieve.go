package storage

import (
	"sync"
	"sync/atomic"
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
	hot     *sync.Map // see Tier.Hot
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
	entry   *Entry
	ready   *Ready // nil, or of this entry
	size    int64
	extra   int64 // of it, what ready holds beside the entry
	expires int64 // Unix ms
	visited bool
	hits    int64    // that were counted when the hand came by
	hot     []string // keys in the table
	lane    int
	newer   int
	older   int
}

// none is the index of no slot.
const none = -1

// NewSieve returns a cache that holds size bytes at most.
func NewSieve(size int64) *Sieve {
	return &Sieve{max: size, index: map[string]int{}, laneOf: map[string]int{}, hot: &sync.Map{}}
}

// Get returns the entry of id, nil if there is none or its time is over.
func (s *Sieve) Get(id string, now int64) *Entry {
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
func (s *Sieve) Put(id string, e *Entry, expires int64) bool {
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
func (s *Sieve) Replace(id string, e *Entry, expires int64) {
	s.mu.Lock()
	_, found := s.index[id]
	s.mu.Unlock()
	if found {
		s.Put(id, e, expires)
	}
}

// Room reports whether an entry can come without another having to go.
func (s *Sieve) Room(id string, e *Entry) bool {
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
	for i := 0; i < len(n.hot); i++ {
		s.hot.Delete(n.hot[i])
	}
	n.hot = nil
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

// shrink evicts until the entries hold most bytes at most.
func (s *Sieve) shrink(most int64) {
	for s.bytes > most && len(s.index) > 0 {
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

// used reports whether a slot has been used since the hand came by. Hits of what is ready
// count themselves, without asking for it here.
func used(n *slot) bool {
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
	for steps := 2 * len(s.index); steps > 0 && used(&s.slots[i]); steps-- { // hits go on meanwhile
		i = s.slots[i].newer
		if i == none {
			i = l.oldest
		}
	}
	l.hand = i
	s.drop(i) // moves the hand on
	s.evicted++
}
