package purges

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/storage"
)

// Sessions is what this process remembers of a tenant's sessions: the scores by which they may
// be given nobody's pages. Others are not remembered: they are asked for each time.
//
// A session is asked for once. From then on the changes tell whether it has been marked: all
// that came since the last position are read now and then, and each reading licenses
// what is remembered for a while, as a View is licensed by answers that know of no new purge.
// What is marked through this process is forgotten at once, see Forget.
//
// A session is noted before it is asked for (Expect). So a change that is told while the
// answer is on its way finds the note, and the answer does not count (Found).
type Sessions struct {
	mu       sync.Mutex
	limit    int          // of how many something is remembered
	patience int64        // ms for which a reading of the changes counts
	at       storage.Head // the changes that are known; the zero Head: nothing may be remembered
	turn     int64        // how often all of it was forgotten
	recent   *remembered
	older    *remembered // until as many have come again
}

// remembered are sessions by their hash.
type remembered struct {
	byHash  map[string]*Known
	license *License
}

// Known is a session that is remembered. It counts before both times. Score is set before.
type Known struct {
	Score   int64 // see storage.GivesNobodys
	Until   int64 // ns after storage.Started, atomic; 0: it is still asked for; notKnown: it is none any more
	License *License
	asked   int64 // as Until
}

// maxAsked is for how long others leave it to one request to ask for a session, in ns.
const maxAsked = 10e9

// notKnown stands in a Known that does not count any more.
const notKnown = -1

// trusted is for how long a session is remembered without being asked for again, in ms.
// It bounds what a process of another version may have changed without a word.
const trusted = 5 * 60 * 1000

// NewSessions remembers so many sessions at most. patience is how old, in ms, what is known of
// their changes may be.
func NewSessions(limit int, patience int64) *Sessions {
	return &Sessions{limit: limit, patience: patience, recent: newRemembered(), older: newRemembered()}
}

func newRemembered() *remembered {
	return &remembered{byHash: map[string]*Known{}, license: &License{}}
}

// Counts reports whether what is remembered counts at a time in ns after storage.Started.
func Counts(k *Known, now int64) bool {
	return now < atomic.LoadInt64(&k.Until) && now < atomic.LoadInt64(&k.License.Until)
}

// IsLicensed reports whether the changes are known well enough at such a time.
func (s *Sessions) IsLicensed(now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now < atomic.LoadInt64(&s.recent.license.Until)
}

// Position returns which changes are known, and a number to give back with those that
// are read since.
func (s *Sessions) Position() (at storage.Head, turn int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at, s.turn
}

// Learn takes changes over that were asked for at a time, in ticks, with what Position had
// returned. It reports false if something may not be remembered.
func (s *Sessions) Learn(c *storage.Changes, turn, asked int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if turn != s.turn { // all was forgotten meanwhile, perhaps since another server answers
		return false
	}
	if c.Whole || c.At.Epoch == 0 {
		s.forgetAll()
	}
	s.at = c.At
	if c.At.Epoch == 0 {
		return false
	}
	for i := 0; i < len(c.Sessions); i++ {
		s.forget(c.Sessions[i])
	}
	until := (asked + s.patience - storage.StartedMS) * 1e6
	atomic.StoreInt64(&s.recent.license.Until, until)
	atomic.StoreInt64(&s.older.license.Until, until)
	return true
}

// Recall returns what is remembered of a session, nil if that is nothing. now is ns after
// storage.Started.
func (s *Sessions) Recall(session string, now int64) *Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.recent.byHash[session]
	if k == nil {
		k = s.older.byHash[session]
	}
	if k == nil || now >= atomic.LoadInt64(&k.Until) {
		return nil
	}
	return k
}

// Expect notes that a session is about to be asked for, at a time in ns after storage.Started.
// It returns nil if the answer may not be remembered, or if it is for another request to do
// so. Where there is no room, those go that were asked for longest ago.
func (s *Sessions) Expect(session string, now int64) *Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.Epoch == 0 {
		return nil
	}
	if k := s.recent.byHash[session]; k != nil && atomic.LoadInt64(&k.Until) == 0 && now < k.asked+maxAsked {
		return nil
	}
	s.forget(session)
	if len(s.recent.byHash) >= (s.limit+1)/2 {
		atomic.StoreInt64(&s.older.license.Until, 0)
		s.older = s.recent
		s.recent = newRemembered()
		s.recent.license.Until = atomic.LoadInt64(&s.older.license.Until)
	}
	k := &Known{License: s.recent.license, asked: now}
	s.recent.byHash[session] = k
	return k
}

// Found notes the score that a session was found to have. It is for the one who expects it.
func Found(k *Known, score int64) {
	left := storage.UntilOf(score) - storage.NowMS()
	if left > trusted {
		left = trusted
	}
	k.Score = score
	atomic.CompareAndSwapInt64(&k.Until, 0, int64(time.Since(storage.Started))+left*1e6)
}

// Forget forgets sessions: their next requests ask for them.
func (s *Sessions) Forget(list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(list); i++ {
		s.forget(list[i])
	}
}

// forget forgets a session. The caller holds the lock.
func (s *Sessions) forget(session string) {
	if k := s.recent.byHash[session]; k != nil {
		atomic.StoreInt64(&k.Until, notKnown)
		delete(s.recent.byHash, session)
	}
	if k := s.older.byHash[session]; k != nil {
		atomic.StoreInt64(&k.Until, notKnown)
		delete(s.older.byHash, session)
	}
}

// ForgetAll forgets all sessions.
func (s *Sessions) ForgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetAll()
	s.at = storage.Head{}
	s.turn++
}

// forgetAll forgets all sessions. The caller holds the lock.
func (s *Sessions) forgetAll() {
	atomic.StoreInt64(&s.recent.license.Until, 0)
	atomic.StoreInt64(&s.older.license.Until, 0)
	s.recent = newRemembered()
	s.older = newRemembered()
}

// Len returns of how many sessions something is remembered.
func (s *Sessions) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.recent.byHash) + len(s.older.byHash)
}
