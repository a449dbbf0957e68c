package memory

import (
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/storage"
)

// sized returns an entry whose size with a key of one byte is n.
func sized(n int64) *storage.Entry {
	return &storage.Entry{Body: make([]byte, n-storage.Overhead-1)}
}

const unit = 2000

// fill puts entries of one unit under one-letter names.
func fill(s *Sieve, names string) {
	for _, name := range names {
		s.Put(string(name), sized(unit), 1000)
	}
}

// held returns which of the names are held, without a hit.
func held(s *Sieve, names string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := ""
	for _, name := range names {
		if _, found := s.index[string(name)]; found {
			out += string(name)
		}
	}
	return out
}

func hit(t *testing.T, s *Sieve, names string) {
	t.Helper()
	for _, name := range names {
		require.NotNil(t, s.Get(string(name), 0), "%c", name)
	}
}

func TestSieveOrder(t *testing.T) {
	const first, all = "abcdefghijklmnop", "abcdefghijklmnopqrstuvwxyzABCDEF"
	for _, c := range []struct {
		name  string
		steps func(t *testing.T, s *Sieve)
		want  string
	}{
		{"the oldest goes first", func(t *testing.T, s *Sieve) { fill(s, "q") }, "bcdefghijklmnopq"},
		{"one that was used stays", func(t *testing.T, s *Sieve) { hit(t, s, "ac"); fill(s, "qr") }, "acefghijklmnopqr"},
		{"the hand comes round, and a flag helps once", func(t *testing.T, s *Sieve) {
			hit(t, s, "a")
			fill(s, "qrstuvwxyzABCDE") // b to p go
			fill(s, "F")               // q, not a: the hand is past it
		}, "arstuvwxyzABCDEF"},
		{"all used: the oldest goes, not the new one", func(t *testing.T, s *Sieve) {
			hit(t, s, first)
			fill(s, "q")
		}, "bcdefghijklmnopq"},
		{"removed under the hand", func(t *testing.T, s *Sieve) {
			fill(s, "q") // a goes, the hand is on b
			s.Remove("b")
			fill(s, "rs")
		}, "defghijklmnopqrs"},
		{"removed at both ends", func(t *testing.T, s *Sieve) {
			s.Remove("a")
			s.Remove("p")
			fill(s, "qrs")
		}, "cdefghijklmnoqrs"},
		{"replaced: its place stays", func(t *testing.T, s *Sieve) { fill(s, "aq") }, "bcdefghijklmnopq"},
		{"grown: another goes", func(t *testing.T, s *Sieve) { s.Put("p", sized(2*unit), 1000) }, "bcdefghijklmnop"},
		{"too large: it does not come in", func(t *testing.T, s *Sieve) {
			require.False(t, s.Put("q", sized(2*unit+1), 1000))
		}, first},
		{"too large: what it was to replace goes", func(t *testing.T, s *Sieve) {
			require.False(t, s.Put("c", sized(2*unit+1), 1000))
		}, "abdefghijklmnop"},
		{"expired: gone when asked for", func(t *testing.T, s *Sieve) {
			require.NotNil(t, s.Get("c", 999))
			require.Nil(t, s.Get("c", 1000))
			require.Nil(t, s.Get("c", 0))
		}, "abdefghijklmnop"},
		{"unknown names", func(t *testing.T, s *Sieve) {
			s.Remove("q")
			require.Nil(t, s.Get("q", 0))
		}, first},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSieve(16 * unit)
			fill(s, first)
			require.Equal(t, first, held(s, all))
			c.steps(t, s)
			assert.Equal(t, c.want, held(s, all))
			assert.LessOrEqual(t, s.Bytes(), int64(16*unit))
			assert.Equal(t, len(c.want), s.Len())
		})
	}
}

// model is SIEVE over a plain list, the oldest first.
type model struct {
	max     int64
	list    []modelEntry
	hand    int // index into list
	evicted int64
}

type modelEntry struct {
	id      string
	entry   *storage.Entry
	size    int64
	expires int64
	visited bool
}

func (m *model) find(id string) int {
	for i := range m.list {
		if m.list[i].id == id {
			return i
		}
	}
	return -1
}

func (m *model) bytes() (n int64) {
	for _, e := range m.list {
		n += e.size
	}
	return n
}

func (m *model) drop(i int) {
	m.list = append(m.list[:i:i], m.list[i+1:]...)
	if i < m.hand {
		m.hand--
	}
}

func (m *model) shrink(limit int64) {
	for m.bytes() > limit && len(m.list) > 0 {
		for {
			if m.hand >= len(m.list) {
				m.hand = 0
			}
			if !m.list[m.hand].visited {
				break
			}
			m.list[m.hand].visited = false
			m.hand++
		}
		m.drop(m.hand)
		m.evicted++
		if m.hand >= len(m.list) {
			m.hand = 0
		}
	}
}

func (m *model) get(id string, now int64) *storage.Entry {
	i := m.find(id)
	if i < 0 {
		return nil
	}
	if now >= m.list[i].expires {
		m.remove(id)
		return nil
	}
	m.list[i].visited = true
	return m.list[i].entry
}

func (m *model) remove(id string) {
	if i := m.find(id); i >= 0 {
		m.drop(i)
		if m.hand >= len(m.list) {
			m.hand = 0
		}
	}
}

func (m *model) put(id string, e *storage.Entry, expires int64) bool {
	size := e.Size() + int64(len(id))
	i := m.find(id)
	if size > m.max/8 {
		m.remove(id)
		return false
	}
	if i >= 0 {
		m.list[i].entry, m.list[i].size, m.list[i].expires = e, size, expires
		m.shrink(m.max)
		return true
	}
	m.shrink(m.max - size)
	m.list = append(m.list, modelEntry{id: id, entry: e, size: size, expires: expires})
	return true
}

func TestSieveAgainstModel(t *testing.T) {
	for seed := int64(1); seed <= 20; seed++ {
		r := rand.New(rand.NewSource(seed))
		max := int64(20_000 + r.Intn(60_000))
		s, m := NewSieve(max), &model{max: max}
		now := int64(0)
		for step := 0; step < 5000; step++ {
			now += int64(r.Intn(3))
			id := fmt.Sprint(r.Intn(60))
			what := ""
			switch n := r.Intn(10); {
			case n < 5:
				what = "get " + id
				require.Same(t, m.get(id, now), s.Get(id, now), "seed %d step %d: %s", seed, step, what)
			case n < 9:
				what = "put " + id
				e := sized(storage.Overhead + 1 + int64(r.Intn(int(max/8))))
				expires := now + int64(r.Intn(2000))
				require.Equal(t, m.put(id, e, expires), s.Put(id, e, expires), "seed %d step %d: %s", seed, step, what)
			default:
				what = "remove " + id
				m.remove(id)
				s.Remove(id)
			}
			require.Equal(t, len(m.list), s.Len(), "seed %d step %d: %s", seed, step, what)
			require.Equal(t, m.bytes(), s.Bytes(), "seed %d step %d: %s", seed, step, what)
			require.LessOrEqual(t, s.Bytes(), max)
			require.Equal(t, m.evicted, s.Evicted())
			if step%100 == 0 {
				for _, e := range m.list {
					_, found := s.index[e.id]
					require.True(t, found, "seed %d step %d: %s", seed, step, e.id)
				}
				checkLinks(t, s)
			}
		}
		require.Positive(t, s.Evicted())
	}
}

// checkLinks walks the lists in both directions.
func checkLinks(t *testing.T, s *Sieve) {
	t.Helper()
	all, bytes := 0, int64(0)
	for at, l := range s.lanes {
		last, here := none, int64(0)
		for i := l.oldest; i != none; i = s.slots[i].newer {
			require.Equal(t, last, s.slots[i].older)
			require.Equal(t, i, s.index[s.slots[i].id])
			require.Equal(t, at, s.slots[i].lane)
			here += s.slots[i].size
			last = i
			all++
		}
		require.Equal(t, l.newest, last)
		require.Equal(t, l.bytes, here)
		bytes += here
	}
	require.Equal(t, len(s.index), all)
	require.Equal(t, s.bytes, bytes)
	require.Len(t, s.free, len(s.slots)-all)
	for _, i := range s.free {
		require.Nil(t, s.slots[i].entry, "a free slot holds on to nothing")
	}
}

// TestSieveTenants: one tenant's pages do not push another's out that has fewer.
func TestSieveTenants(t *testing.T) {
	s := NewSieve(16 * unit)
	put := func(tenant, id string) {
		e := sized(unit)
		e.Tenant = tenant
		require.True(t, s.Put(id, e, 1000))
	}
	for i := 0; i < 4; i++ {
		put("small", fmt.Sprint("small", i))
	}
	for i := 0; i < 1000; i++ {
		put("large", fmt.Sprint("large", i))
	}
	checkLinks(t, s)
	for i := 0; i < 4; i++ {
		assert.NotNil(t, s.Get(fmt.Sprint("small", i), 0))
	}
	for i := 0; i < 1000; i++ {
		put("late", fmt.Sprint("late", i))
	}
	checkLinks(t, s)
	count := map[string]int{}
	for id := range s.index {
		count[strings.TrimRight(id, "0123456789")]++
	}
	assert.Equal(t, 4, count["small"])
	assert.InDelta(t, count["large"], count["late"], 1)
}

func TestSieveConcurrent(t *testing.T) {
	s := NewSieve(100_000)
	var wg sync.WaitGroup
	for g := 0; g < 8; g++ {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			r := rand.New(rand.NewSource(int64(g)))
			for i := 0; i < 5000; i++ {
				id := fmt.Sprint(r.Intn(100))
				switch r.Intn(4) {
				case 0, 1:
					if e := s.Get(id, 0); e != nil {
						assert.Equal(t, id, e.Key)
					}
				case 2:
					s.Put(id, &storage.Entry{Key: id, Body: make([]byte, r.Intn(8000))}, 1000)
				default:
					s.Remove(id)
				}
				assert.LessOrEqual(t, s.Bytes(), int64(100_000))
			}
		}(g)
	}
	wg.Wait()
	checkLinks(t, s)
}

func TestEntrySize(t *testing.T) {
	e := &storage.Entry{Key: strings.Repeat("k", 100), Body: make([]byte, 5000), Header: map[string][]string{"A": {strings.Repeat("v", 1000)}}}
	assert.Greater(t, e.Size(), int64(6100))
	assert.Less(t, e.Size(), int64(6100+3*storage.Overhead))
}

// TestSieveBusy: what is hit without a pause is evicted all the same when room is needed.
func TestSieveBusy(t *testing.T) {
	s := NewSieve(100_000)
	done := make(chan struct{})
	var group sync.WaitGroup
	for i := 0; i < 20; i++ {
		id := fmt.Sprint("hot", i)
		e := &storage.Entry{Tenant: "t", Key: id, Body: make([]byte, 3000)}
		require.True(t, s.Put(id, e, storage.NowMS()+60_000))
		hits := new(int64)
		s.mu.Lock()
		s.slots[s.index[id]].ready = &storage.Ready{Entry: e, Hits: hits}
		s.mu.Unlock()
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				select {
				case <-done:
					return
				default:
					atomic.AddInt64(hits, 1)
				}
			}
		}()
	}
	for i := 0; i < 200; i++ {
		id := fmt.Sprint("new", i)
		require.True(t, s.Put(id, &storage.Entry{Tenant: "t", Key: id, Body: make([]byte, 3000)}, storage.NowMS()+60_000))
	}
	close(done)
	group.Wait()
	require.LessOrEqual(t, s.Bytes(), int64(100_000))
	require.Positive(t, s.Evicted())
}

// TestSieveCountsHits: a hit that asks the cache for nothing keeps its page, too.
func TestSieveCountsHits(t *testing.T) {
	s := NewSieve(50_000)
	e := &storage.Entry{Tenant: "t", Key: "popular", Body: make([]byte, 3000)}
	require.True(t, s.Put("popular", e, storage.NowMS()+60_000))
	hits := new(int64)
	s.slots[s.index["popular"]].ready = &storage.Ready{Entry: e, Hits: hits}
	for i := 0; i < 100; i++ {
		atomic.AddInt64(hits, 1)
		id := fmt.Sprint("new", i)
		require.True(t, s.Put(id, &storage.Entry{Tenant: "t", Key: id, Body: make([]byte, 3000)}, storage.NowMS()+60_000))
		require.Contains(t, s.index, "popular")
	}
	n := &s.slots[s.index["popular"]]
	takeUsed(n)
	require.False(t, takeUsed(n), "nobody has asked for it since the hand came by")
	atomic.AddInt64(hits, 1)
	require.True(t, takeUsed(n))
	require.False(t, takeUsed(n))
}

// TestHotKeysCount: what hits alone add stays within the bound, too.
func TestHotKeysCount(t *testing.T) {
	const bound = 100_000
	s := NewSieve(bound)
	list := make([]*storage.Ready, 20)
	for i := range list {
		id := fmt.Sprint(i)
		e := &storage.Entry{Tenant: "t", Key: id, Body: make([]byte, 3000)}
		require.True(t, s.Put(id, e, storage.NowMS()+60_000))
		list[i] = &storage.Ready{Entry: e, Hits: new(int64), Stored: &storage.Form{}}
		require.True(t, s.Prepare(id, list[i], 0))
	}
	lost := 0
	for j := 0; j < maxAnnounced; j++ {
		for i, r := range list {
			id, key := fmt.Sprint(i), fmt.Sprint(j, strings.Repeat("k", 2000))
			if !s.Announce(id, r, key) || !s.Announced(id, r, key) {
				lost++
			}
			require.LessOrEqual(t, s.Bytes(), int64(bound))
		}
	}
	require.Positive(t, lost)
	require.Positive(t, s.Len())
}

// TestAnnounced: a key in the table that nobody would take out of it any more does not stay:
// others of the same page may have been announced since.
func TestAnnounced(t *testing.T) {
	s := NewSieve(200_000)
	e := &storage.Entry{Tenant: "t", Key: "page", Body: make([]byte, 3000)}
	require.True(t, s.Put("page", e, storage.NowMS()+60_000))
	r := &storage.Ready{Entry: e, Hits: new(int64), Stored: &storage.Form{}}
	require.True(t, s.Prepare("page", r, 0))
	require.True(t, s.Announce("page", r, "first"))
	require.True(t, s.Announced("page", r, "first"))
	for i := 0; i < maxAnnounced; i++ {
		require.True(t, s.Announce("page", r, fmt.Sprint(i)))
	}
	require.False(t, s.Announced("page", r, "first"))
	require.True(t, s.Announced("page", r, "0"))

	// Made ready anew, for clients without gzip: hits count on, and one decoded body is enough.
	*r.Hits = 7
	plain := &storage.Ready{Entry: e, Hits: new(int64), Stored: &storage.Form{}, Plain: &storage.Form{Body: []byte("1")}}
	require.True(t, s.Prepare("page", plain, 0))
	require.Same(t, r.Hits, plain.Hits)
	require.False(t, s.Announced("page", r, "0"))
	other := &storage.Ready{Entry: e, Hits: new(int64), Stored: &storage.Form{}, Plain: &storage.Form{Body: []byte("2")}}
	require.True(t, s.Prepare("page", other, 0))
	require.Same(t, plain.Plain, other.Plain)
	require.False(t, s.Announced("gone", r, "0"))
}

// TestQuotasOfTenants: a tenant with a quota evicts its own, and no more than that.
func TestQuotasOfTenants(t *testing.T) {
	for name, most := range map[string]storage.Quota{"bytes": {Bytes: 4 * unit}, "entries": {Entries: 4}} {
		t.Run(name, func(t *testing.T) {
			s := NewSieve(64 * unit)
			put := func(tenant, id string, size int64) bool {
				e := sized(size)
				e.Tenant = tenant
				return s.Put(id, e, 1000)
			}
			s.Limit("a", most)
			for i := 0; i < 4; i++ {
				require.True(t, put("b", string(rune('A'+i)), unit))
			}
			for i := 0; i < 20; i++ {
				require.True(t, put("a", string(rune('a'+i)), unit))
				require.LessOrEqual(t, s.Usage("a").Entries, 4)
				require.LessOrEqual(t, s.Usage("a").Bytes, int64(4*unit))
			}
			assert.Equal(t, storage.Usage{Bytes: 4 * unit, Entries: 4, Evicted: 16}, s.Usage("a"))
			assert.Equal(t, storage.Usage{Bytes: 4 * unit, Entries: 4}, s.Usage("b"), "the others have theirs")
			assert.Equal(t, storage.Usage{}, s.Usage("nobody"))
			e := sized(unit)
			e.Tenant = "a"
			assert.False(t, s.Room("z", e), "its own would have to go")
			e.Tenant = "b"
			assert.True(t, s.Room("z", e))
			if most.Bytes > 0 {
				assert.False(t, put("a", "t", 5*unit), "larger than all that it may have")
				assert.Equal(t, 3, s.Usage("a").Entries)
				require.True(t, put("a", "u", unit))
				require.True(t, put("a", "u", 3*unit), "what is there grows")
				assert.LessOrEqual(t, s.Usage("a").Bytes, int64(4*unit))
			}
			s.Limit("a", storage.Quota{Entries: 1})
			s.Remove("u")
			assert.LessOrEqual(t, s.Usage("a").Entries, 1)
			s.Limit("a", storage.Quota{Bytes: unit - 1})
			assert.Equal(t, 0, s.Usage("a").Entries)
			s.Limit("a", storage.Quota{})
			for i := 0; i < 20; i++ {
				require.True(t, put("a", string(rune('a'+i)), unit))
			}
			assert.Equal(t, 20, s.Usage("a").Entries, "there is no quota any more")
			checkLinks(t, s)
		})
	}
}

// TestWhatIsReadyIsInTheQuota: what is made of an entry counts, too.
func TestWhatIsReadyIsInTheQuota(t *testing.T) {
	s := NewSieve(1 << 20)
	s.Limit("t", storage.Quota{Bytes: 20_000})
	for i := 0; i < 20; i++ {
		id := fmt.Sprint(i)
		e := &storage.Entry{Tenant: "t", Key: id, Body: make([]byte, 1000)}
		require.True(t, s.Put(id, e, 1000))
		r := &storage.Ready{Entry: e, Hits: new(int64)}
		require.True(t, s.Prepare(id, r, 1000))
		for j := 0; j < 3; j++ {
			s.Announce(id, r, fmt.Sprint(id, j))
		}
		require.LessOrEqual(t, s.Usage("t").Bytes, int64(20_000))
	}
	e := &storage.Entry{Tenant: "t", Key: "x", Body: make([]byte, 1000)}
	require.True(t, s.Put("x", e, 1000))
	assert.False(t, s.Prepare("x", &storage.Ready{Entry: e, Hits: new(int64)}, 20_000), "larger than all that it may have")
	checkLinks(t, s)
}

// TestTheLargestGivesWay: whatever happens, the one that gives way has most.
func TestTheLargestGivesWay(t *testing.T) {
	s := NewSieve(200 * unit)
	r := rand.New(rand.NewSource(1))
	for i := 0; i < 20_000; i++ {
		e := sized(int64(storage.Overhead + 10 + r.Intn(3*unit)))
		e.Tenant = fmt.Sprint(r.Intn(1 + r.Intn(50)))
		id := fmt.Sprint(e.Tenant, " ", r.Intn(40))
		switch r.Intn(8) {
		case 0:
			s.Remove(id)
		case 1:
			s.Get(id, 0)
		default:
			s.Put(id, e, 1000)
		}
		for at, lane := range s.heap {
			require.Equal(t, at, s.lanes[lane].at)
			require.LessOrEqual(t, s.lanes[lane].bytes, s.lanes[s.heap[above(at)]].bytes)
			require.LessOrEqual(t, s.lanes[lane].bytes, s.lanes[s.heap[0]].bytes)
		}
	}
	require.Len(t, s.heap, len(s.lanes))
	require.Positive(t, s.Evicted())
	checkLinks(t, s)
}

// TestRoomOfAnother: a page that nobody has asked for before takes the place of one that nobody has
// used, if that is of the tenant with the most; never of one that is used.
func TestRoomOfAnother(t *testing.T) {
	s := NewSieve(16 * unit)
	put := func(tenant, id string) {
		e := sized(unit)
		e.Tenant = tenant
		require.True(t, s.Put(id, e, 1000))
	}
	for i := 0; i < 16; i++ {
		put("robots", string(rune('a'+i)))
	}
	room := func(tenant string) bool {
		e := sized(unit)
		e.Tenant = tenant
		return s.Room("z", e)
	}
	assert.True(t, room("shop"))
	assert.False(t, room("robots"), "its own")
	hit(t, s, "a")
	assert.False(t, room("shop"), "it is used")
	put("shop", "A") // b goes, the hand is on c
	assert.NotNil(t, s.Get("a", 0))
	assert.True(t, room("shop"))
}

// above is the place before another one in a heap.
func above(at int) int {
	if at == 0 {
		return 0
	}
	return (at - 1) / 2
}
