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
// Each tenant has a list of its own. One that has what it may have makes room among its own. When
// all is full it is the tenant with the most bytes whose entries have to go, which is the one that
// is furthest above an equal share: one that is crawled does not push the others out.
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
	heap    []int          // the lanes, each with no less bytes than the two behind it: see reorder
	laneOf  map[string]int // by tenant
	evicted int64
	table   *sync.Map // see Table
}

// lane is the list of a tenant's entries.
type lane struct {
	bytes   int64
	entries int
	most    storage.Quota // what there may be
	at      int           // in the heap
	evicted int64
	newest  int // none, or a slot
	oldest  int
	hand    int
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
// than an eighth of the cache, since one page must not empty it, or than all that its tenant may
// have.
func (s *Sieve) Put(id string, e *storage.Entry, expires int64) bool {
	size := e.Size() + int64(len(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[id]
	own := s.laneFor(e.Tenant)
	if most := s.lanes[own].most.Bytes; size > s.max/8 || most > 0 && size > most {
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
		s.settle(n.lane)
		return true
	}
	s.shrinkOwn(own, size, 1) // before it comes: the hand must not find the new one
	s.shrink(s.max - size)
	s.insert(slot{id: id, entry: e, size: size, expires: expires, lane: own})
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

// Room reports whether an entry can come without another having to go that is used, or that is of
// its own tenant.
func (s *Sieve) Room(id string, e *storage.Entry) bool {
	size := e.Size() + int64(len(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.index[id]; found {
		return true
	}
	own := s.laneFor(e.Tenant)
	if s.over(own, size, 1) {
		return false
	}
	top := s.heap[0]
	return s.bytes+size <= s.max || top != own && s.lanes[top].entries > 0 && !used(&s.slots[s.next(&s.lanes[top])])
}

// Limit bounds what there may be of a tenant, from now on. The zero Quota ends that.
func (s *Sieve) Limit(tenant string, most storage.Quota) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.laneOf[tenant]; !found && most.Bytes == 0 && most.Entries == 0 {
		return
	}
	i := s.laneFor(tenant)
	s.lanes[i].most = most
	s.shrinkOwn(i, 0, 0)
}

// Usage returns what there is of a tenant.
func (s *Sieve) Usage(tenant string) storage.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.laneOf[tenant]
	if !found {
		return storage.Usage{}
	}
	l := &s.lanes[i]
	return storage.Usage{Bytes: l.bytes, Entries: l.entries, Evicted: l.evicted}
}

// laneFor returns the list of a tenant.
func (s *Sieve) laneFor(tenant string) int {
	i, found := s.laneOf[tenant]
	if !found {
		i = len(s.lanes)
		s.lanes = append(s.lanes, lane{at: i, newest: none, oldest: none, hand: none})
		s.heap = append(s.heap, i) // nothing has less than it
		s.laneOf[tenant] = i
	}
	return i
}

// resize changes what a slot counts as.
func (s *Sieve) resize(n *slot, size int64) {
	s.bytes += size - n.size
	s.lanes[n.lane].bytes += size - n.size
	n.size = size
	reorder(s, n.lane)
}

// reorder moves a list whose bytes have changed to its place among those of all tenants: the one
// with the most bytes is first. So it takes few steps to find it, with any number of tenants.
func reorder(s *Sieve, i int) {
	if len(s.heap) == 1 {
		return
	}
	at := s.lanes[i].at
	bytes := s.lanes[i].bytes
	for at > 0 && s.lanes[s.heap[(at-1)/2]].bytes < bytes {
		at = place(s, at, s.heap[(at-1)/2], (at-1)/2)
	}
	for child := 2*at + 1; child < len(s.heap); child = 2*at + 1 {
		if child+1 < len(s.heap) && s.lanes[s.heap[child+1]].bytes > s.lanes[s.heap[child]].bytes {
			child++
		}
		if s.lanes[s.heap[child]].bytes <= bytes {
			break
		}
		at = place(s, at, s.heap[child], child)
	}
	s.heap[at] = i
	s.lanes[i].at = at
}

// place puts a list at a place of the heap, and returns where it was.
func place(s *Sieve, at, lane, was int) int {
	s.heap[at] = lane
	s.lanes[lane].at = at
	return was
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
	l.entries++
	s.bytes += n.size
	reorder(s, n.lane)
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
	l.entries--
	s.bytes -= n.size
	reorder(s, n.lane)
}

// settle evicts until a tenant has no more than it may have, and all have room.
func (s *Sieve) settle(own int) {
	s.shrinkOwn(own, 0, 0)
	s.shrink(s.max)
}

// shrink evicts until the entries hold limit bytes at most.
func (s *Sieve) shrink(limit int64) {
	for s.bytes > limit && len(s.index) > 0 {
		s.evict(&s.lanes[s.heap[0]])
	}
}

// shrinkOwn evicts of a tenant's entries until more of them are within its bounds.
func (s *Sieve) shrinkOwn(own int, bytes int64, entries int) {
	for s.lanes[own].entries > 0 && s.over(own, bytes, entries) {
		s.evict(&s.lanes[own])
	}
}

// over reports whether a tenant would have more than it may have.
func (s *Sieve) over(own int, bytes int64, entries int) bool {
	l := &s.lanes[own]
	return l.most.Bytes > 0 && l.bytes+bytes > l.most.Bytes || l.most.Entries > 0 && l.entries+entries > l.most.Entries
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

// used is takeUsed that leaves it as it is.
func used(n *slot) bool {
	return n.visited || n.ready != nil && atomic.LoadInt64(n.ready.Hits) != n.hits
}

// next returns the slot that the hand of a list with entries looks at next.
func (s *Sieve) next(l *lane) int {
	if l.hand == none {
		return l.oldest
	}
	return l.hand
}

func (s *Sieve) evict(l *lane) {
	i := s.next(l)
	for steps := 2 * len(s.index); steps > 0 && takeUsed(&s.slots[i]); steps-- { // hits go on meanwhile
		i = s.slots[i].newer
		if i == none {
			i = l.oldest
		}
	}
	l.hand = i
	s.drop(i) // moves the hand on
	l.evicted++
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
	s.settle(n.lane) // the entry itself may go: Announced tells
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
	size := n.size - n.extra + extra
	if most := s.lanes[n.lane].most.Bytes; size > s.max/8 || most > 0 && size > most {
		return false
	}
	n.ready = r
	s.resize(n, size)
	n.extra = extra
	s.settle(n.lane)
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
