// Package memory keeps entries in this process. memory.go is a whole storage, for those who have
// no Redis. sieve.go is a bounded set of entries that forgets what is not asked for; it is the
// memory tier, too. scan.go goes through all.
package memory

import (
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/odoocache/odoocache/cache/storage"
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
	head  storage.Head
	floor int64
	marks map[string]int64
}

// New returns a storage of size bytes that keeps at most marks purge
// marks of each tenant.
func New(size int64, marks int) *Memory {
	return &Memory{entries: NewSieve(size), limit: marks, states: map[string]*state{}, sessions: map[string]int64{}, older: map[string]int64{}}
}

// Entries returns the cache behind the storage.
func (m *Memory) Entries() *Sieve {
	return m.entries
}

// Find implements Storage. Requests of one process have other means than locks to wait for
// each other.
func (m *Memory) Find(tenant string, q *storage.Query) (*storage.Answer, error) {
	a := &storage.Answer{}
	if q.Session != "" {
		a.Score = m.sessionOf(tenant, q.Session)
	}
	if q.ID != "" {
		a.Entry = m.entries.Get(ID(tenant, q.ID), storage.NowMS())
	}
	a.Head, _ = m.Head(tenant) // cannot fail
	return a, nil
}

// Remote implements Storage.
func (m *Memory) Remote() storage.Remote {
	return nil
}

// Store implements Storage. It refuses what the encoding does, so that no key is good in
// memory alone.
func (m *Memory) Store(tenant, id string, e *storage.Entry, ttl int64) error {
	if strings.IndexByte(e.Key, '\n') >= 0 {
		return fmt.Errorf("%w: a key has a line break", storage.ErrCorrupt)
	}
	if !m.entries.Put(ID(tenant, id), e, storage.NowMS()+ttl) {
		return storage.ErrTooLarge
	}
	return nil
}

// Remove implements Storage.
func (m *Memory) Remove(tenant string, ids []string) error {
	for i := 0; i < len(ids); i++ {
		m.entries.Remove(ID(tenant, ids[i]))
	}
	return nil
}

// Drop implements Storage.
func (m *Memory) Drop(tenant string, ids []string) error {
	for i := 0; i < len(ids); i++ {
		id := ID(tenant, ids[i])
		if e := m.entries.Get(id, storage.NowMS()); e != nil && e.IsList() {
			_ = m.Remove(tenant, e.Variants) // cannot fail
		}
		m.entries.Remove(id)
	}
	return nil
}

// Head implements Storage.
func (m *Memory) Head(tenant string) (storage.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state(tenant).head, nil
}

// Marks implements Storage.
func (m *Memory) Marks(tenant string, since storage.Head) (storage.Delta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.state(tenant)
	d := storage.Delta{Head: st.head, Floor: st.floor, Whole: since.Epoch != st.head.Epoch}
	for member, seq := range st.marks {
		if d.Whole || seq > since.Seq {
			d.Marks = append(d.Marks, storage.Mark{Member: member, Seq: seq})
		}
	}
	return d, nil
}

// Purge implements Storage.
func (m *Memory) Purge(tenant string, p storage.Purge) (storage.Head, error) {
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
func (m *Memory) Reset(tenant string) (storage.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.states, tenant)
	return m.state(tenant).head, nil
}

// Rewind takes a tenant's purges back to an earlier number, as a server does that was restored
// from a snapshot. It serves tests of what follows from that.
func (m *Memory) Rewind(tenant string, seq int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.state(tenant)
	st.head.Seq = seq
	for member, at := range st.marks {
		if at > seq {
			delete(st.marks, member)
		}
	}
}

// Close implements Storage.
func (m *Memory) Close() {}

// ID is the key of an entry among those of all tenants.
func ID(tenant, id string) string {
	return tenant + " " + id
}

func (m *Memory) state(tenant string) *state {
	st := m.states[tenant]
	if st == nil {
		st = &state{head: storage.Head{Epoch: storage.NewEpoch(), Seq: 1}, marks: map[string]int64{}}
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

// Lock implements Storage. In one process requests have other means to wait for
// each other.
func (m *Memory) Lock(_ string, _ *storage.Lock, _ int64) (storage.LockState, error) {
	return storage.LockClaimed, nil
}

// Unlock implements Storage.
func (m *Memory) Unlock(_ string, _ *storage.Lock, _ int64) error {
	return nil
}

// StoreAndUnlock implements Storage.
func (m *Memory) StoreAndUnlock(tenant, id string, e *storage.Entry, ttl int64, _ *storage.Lock) error {
	return m.Store(tenant, id, e, ttl)
}

// sessionOf returns the score of a session, 0 if there is none. One of which something is known counts as used by that.
func (m *Memory) sessionOf(tenant, session string) int64 {
	member := ID(tenant, session)
	m.mu.Lock()
	defer m.mu.Unlock()
	score, recent := m.sessions[member]
	if !recent {
		score = m.older[member]
	}
	if kind := storage.KindOfScore(score, storage.NowMS()); !recent && kind != storage.SessionUnknown && kind != storage.SessionBegins {
		m.keepUsed(member, score)
	}
	return score
}

// keepUsed moves an older session to those used of late, and keeps its score.
func (m *Memory) keepUsed(member string, score int64) {
	delete(m.older, member)
	m.sessions[member] = score
}

// NoteDefault implements Storage.
func (m *Memory) NoteDefault(tenant, session string, ttl int64, limit int) error {
	m.noteUnknown(ID(tenant, session), storage.SessionScore(storage.NowMS()+ttl, storage.ScoreDefault), limit)
	return nil
}

// NoteBeginning implements Storage.
func (m *Memory) NoteBeginning(tenant, session string, ttl int64, limit int) (int64, error) {
	score := storage.BeginningScore(storage.NowMS() + ttl)
	if !m.noteUnknown(ID(tenant, session), score, limit) {
		score = 0
	}
	return score, nil
}

// noteUnknown notes a session with a score, unless something is known of it.
func (m *Memory) noteUnknown(member string, score int64, limit int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[member] != 0 || m.older[member] != 0 {
		return false
	}
	m.note(member, score, limit)
	return true
}

// Settle implements Storage.
func (m *Memory) Settle(tenant, session string, was int64, bit int) error {
	member := ID(tenant, session)
	m.mu.Lock()
	defer m.mu.Unlock()
	if score := m.sessions[member]; score != 0 {
		settle(m.sessions, member, storage.SettledScore(score, was, bit))
	} else if score := m.older[member]; score != 0 {
		settle(m.older, member, storage.SettledScore(score, was, bit))
	}
	return nil
}

func settle(sessions map[string]int64, member string, score int64) {
	if score != 0 {
		sessions[member] = score
	}
}

// Mark implements Storage.
func (m *Memory) Mark(tenant string, sessions []string, special bool, until int64) ([]int64, error) {
	kind := storage.MarkKind(special)
	had := make([]int64, len(sessions))
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := 0; i < len(sessions); i++ {
		member := ID(tenant, sessions[i])
		if had[i] = m.sessions[member]; had[i] != 0 {
			m.sessions[member] = storage.MarkedScore(had[i], until, kind)
		} else if had[i] = m.older[member]; had[i] != 0 {
			m.older[member] = storage.MarkedScore(had[i], until, kind)
		}
	}
	return had, nil
}

// note keeps the score of a session that begins. Each time half of limit have begun, those
// go that have not been used since the time before. If limit are in use, any of the older go.
func (m *Memory) note(member string, score int64, limit int) {
	half := (limit + 1) / 2
	if m.begun >= half || len(m.sessions) >= limit {
		m.begun = 0
		m.older = m.sessions
		m.sessions = map[string]int64{}
	}
	for other := range m.older {
		if len(m.older)+len(m.sessions) < limit {
			break
		}
		delete(m.older, other)
	}
	m.sessions[member] = score
	m.begun++
}

// Forget implements Storage. It forgets the sessions of all tenants, which is
// more than was asked and never wrong.
func (m *Memory) Forget(_ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions = map[string]int64{}
	m.older = map[string]int64{}
	m.begun = 0
	return nil
}

// Once implements Storage. Nobody shares this storage, and who asks remembers.
func (m *Memory) Once(_, _ string, _ int64) (bool, error) {
	return true, nil
}
