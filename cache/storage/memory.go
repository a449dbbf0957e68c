package storage

import (
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"sync"
	"time"
)

// Memory is the embedded storage: entries and purge states of this process
// alone. It is what serves where no Redis is configured.
type Memory struct {
	entries *Sieve
	limit   int // most marks of a tenant

	mu       sync.Mutex
	states   map[string]*state
	sessions map[string]int64 // that have begun or been used of late
	older    map[string]int64 // the others, of which none is in sessions
	begun    int              // sessions since the others became that
}

type state struct {
	head  Head
	floor int64
	marks map[string]int64
}

// NewMemory returns a storage of size bytes that keeps at most marks purge
// marks of each tenant.
func NewMemory(size int64, marks int) *Memory {
	return &Memory{entries: NewSieve(size), limit: marks, states: map[string]*state{}, sessions: map[string]int64{}, older: map[string]int64{}}
}

// Entries returns the cache behind the storage.
func (m *Memory) Entries() *Sieve {
	return m.entries
}

// Find implements Storage. Requests of one process have other means than locks to wait for
// each other.
func (m *Memory) Find(tenant string, q *Query) (*Answer, error) {
	a := &Answer{}
	if q.Session != "" {
		a.Session = m.sessionOf(tenant, q.Session)
	}
	if q.ID != "" {
		a.Entry = m.entries.Get(inMemory(tenant, q.ID), nowMS())
	}
	a.Head, _ = m.Head(tenant) // cannot fail
	return a, nil
}

// Remote implements Storage.
func (m *Memory) Remote() Remote {
	return nil
}

// Store implements Storage. It refuses what the encoding does, so that no key is good in
// memory alone.
func (m *Memory) Store(tenant, id string, e *Entry, ttl int64) error {
	if strings.IndexByte(e.Key, '\n') >= 0 {
		return fmt.Errorf("%w: a key has a line break", ErrCorrupt)
	}
	if !m.entries.Put(inMemory(tenant, id), e, nowMS()+ttl) {
		return ErrTooLarge
	}
	return nil
}

// Remove implements Storage.
func (m *Memory) Remove(tenant string, ids []string) error {
	for i := 0; i < len(ids); i++ {
		m.entries.Remove(inMemory(tenant, ids[i]))
	}
	return nil
}

// Drop implements Storage.
func (m *Memory) Drop(tenant string, ids []string) error {
	for i := 0; i < len(ids); i++ {
		id := inMemory(tenant, ids[i])
		if e := m.entries.Get(id, nowMS()); e != nil && e.IsList() {
			_ = m.Remove(tenant, e.Variants) // cannot fail
		}
		m.entries.Remove(id)
	}
	return nil
}

// Head implements Storage.
func (m *Memory) Head(tenant string) (Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state(tenant).head, nil
}

// Marks implements Storage.
func (m *Memory) Marks(tenant string, since Head) (Delta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.state(tenant)
	d := Delta{Head: st.head, Floor: st.floor, Whole: since.Epoch != st.head.Epoch}
	for member, seq := range st.marks {
		if d.Whole || seq > since.Seq {
			d.Marks = append(d.Marks, Mark{Member: member, Seq: seq})
		}
	}
	return d, nil
}

// Purge implements Storage.
func (m *Memory) Purge(tenant string, p Purge) (Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.state(tenant)
	st.head.Seq++
	if p.All && !p.Soft {
		st.floor = st.head.Seq
		st.marks = map[string]int64{}
	}
	for i := 0; i < len(p.Members); i++ {
		st.marks[p.Members[i]] = st.head.Seq
	}
	if len(st.marks) > m.limit {
		st.trim(m.limit * 3 / 4)
	}
	return st.head, nil
}

// Reset implements Storage.
func (m *Memory) Reset(tenant string) (Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.states, tenant)
	return m.state(tenant).head, nil
}

// Close implements Storage.
func (m *Memory) Close() {}

func inMemory(tenant, id string) string {
	return tenant + " " + id
}

func (m *Memory) state(tenant string) *state {
	st := m.states[tenant]
	if st == nil {
		st = &state{head: Head{Epoch: newEpoch(), Seq: 1}, marks: map[string]int64{}}
		m.states[tenant] = st
	}
	return st
}

// trim drops the oldest marks until keep are left and raises the floor over
// those that went.
func (st *state) trim(keep int) {
	seqs := make([]int, 0, len(st.marks))
	for _, seq := range st.marks {
		seqs = append(seqs, int(seq))
	}
	sort.Ints(seqs)
	st.floor = int64(seqs[len(seqs)-keep-1])
	for member, seq := range st.marks {
		if seq <= st.floor {
			delete(st.marks, member)
		}
	}
}

// newEpoch returns the name of a new purge state: random, larger than any
// sequence number and exact as a double, which is what Redis keeps scores as.
func newEpoch() int64 {
	return 1<<50 + rand.Int63n(1<<50)
}

func nowMS() int64 {
	return time.Now().UnixMilli()
}

// Started is a time before all that is measured against it: what has passed since then
// only goes forward, whatever the clock is set to.
var Started = time.Now()

// startedMS is Started in Unix ms, as the clock was then.
var startedMS = Started.UnixMilli()

// ticks is a time in ms that only goes forward, unlike nowMS: after a step of
// the clock backwards, what is known of a purge state must not count as
// current for longer, nor a breaker stay open.
func ticks() int64 {
	return startedMS + time.Since(Started).Milliseconds()
}
