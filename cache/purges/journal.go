package purges

import (
	"sync"

	"github.com/odoocache/odoocache/cache/storage"
)

// Load is what could not be written.
type Load struct {
	Purges   []Waiting
	Sessions map[string]*Note
	Forget   *Note // nil: what is known of sessions is not to be forgotten
}

// Waiting is a purge that could not be written.
type Waiting struct {
	Purge storage.Purge
	Note  *Note
}

// Note says where something has been written since it was kept.
type Note struct {
	Special bool // of a session: it is special, not only in doubt
	places  []string
}

// notesMu guards all notes. No other lock is taken under it.
var notesMu sync.Mutex

// Written notes that it was written at a place.
func (n *Note) Written(place string) {
	if place == "" || n.IsWritten(place) {
		return
	}
	notesMu.Lock()
	defer notesMu.Unlock()
	n.places = append(n.places, place)
}

// IsWritten reports whether it was written at a place.
func (n *Note) IsWritten(place string) bool {
	notesMu.Lock()
	defer notesMu.Unlock()
	return place != "" && hasPlace(n.places, place)
}

func hasPlace(places []string, place string) bool {
	for i := 0; i < len(places); i++ {
		if places[i] == place {
			return true
		}
	}
	return false
}

// Unwritten returns what of a load was not written at a place, and whether that is nothing.
func Unwritten(l Load, place string) (Load, bool) {
	rest := Load{Sessions: map[string]*Note{}}
	for i := 0; i < len(l.Purges); i++ {
		if !l.Purges[i].Note.IsWritten(place) {
			rest.Purges = append(rest.Purges, l.Purges[i])
		}
	}
	for session, n := range l.Sessions {
		if !n.IsWritten(place) {
			rest.Sessions[session] = n
		}
	}
	if l.Forget != nil && !l.Forget.IsWritten(place) {
		rest.Forget = l.Forget
	}
	return rest, len(rest.Purges)+len(rest.Sessions) == 0 && rest.Forget == nil
}

// Pending returns how much waits to be written: each purge counts, and the marks of
// sessions together.
func (v *View) Pending() int {
	v.mu.RLock()
	n := v.waits
	v.mu.RUnlock()
	return n
}

// Journal keeps purges until they can be written. Beyond limit the journal
// becomes one purge of everything, which loses nothing; it reports that.
func (v *View) Journal(list []Waiting, limit int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoke()
	full := len(v.pending)+len(list) > limit
	if !full {
		v.pending = append(v.pending, list...)
	} else if len(v.pending) > 0 { // the first may be on its way to the storage: it stays where it is
		v.pending = append(v.pending[:1:1], Waiting{storage.Purge{All: true}, &Note{}})
	} else {
		v.pending = []Waiting{{storage.Purge{All: true}, &Note{}}}
	}
	(*View).weigh(v)
	return full
}

// JournalSessions keeps the marks of sessions until they can be written. Beyond limit
// nothing is to be known of any session; it reports that.
func (v *View) JournalSessions(list map[string]*Note, forget *Note, limit int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoke()
	for session, n := range list {
		if was := v.marks[session]; was == nil || n.Special || !was.Special {
			v.marks[session] = n
		}
	}
	full := len(v.marks) > limit
	if full {
		forget = &Note{}
	}
	if forget != nil {
		v.marks = map[string]*Note{}
		v.forgets = forget
	}
	(*View).weigh(v)
	return full
}

// weigh counts what has still to be written. The caller holds the view's lock.
func (v *View) weigh() {
	v.waits = len(v.pending)
	if v.forgets != nil || len(v.marks) > 0 {
		v.waits++
	}
}

// Kept returns all that has still to be written.
func (v *View) Kept() Load {
	v.mu.RLock()
	defer v.mu.RUnlock()
	l := Load{Sessions: map[string]*Note{}, Forget: v.forgets}
	for session, n := range v.marks {
		l.Sessions[session] = n
	}
	l.Purges = append(l.Purges, v.pending...)
	return l
}

// Oldest returns the purge that has waited for longest, false if none waits.
func (v *View) Oldest() (Waiting, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if len(v.pending) == 0 {
		return Waiting{}, false
	}
	return v.pending[0], true
}

// OldestWritten notes that the purge which has waited for longest was written.
func (v *View) OldestWritten() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pending = v.pending[1:]
	(*View).weigh(v)
}

// maxMarked bounds the sessions that one command marks.
const maxMarked = 500

// FirstSessions returns sessions of one kind whose marks have still to be written, or that all
// are to be forgotten first.
func (v *View) FirstSessions() (list []string, special, forget bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.forgets != nil {
		return nil, false, true
	}
	for session, n := range v.marks {
		if len(list) == 0 {
			special = n.Special
		}
		if n.Special != special {
			continue
		}
		if list = append(list, session); len(list) == maxMarked {
			break
		}
	}
	return list, special, false
}

// SessionsWritten notes that marks of one kind were written at a place. A mark of the other kind
// that has come meanwhile stays.
func (v *View) SessionsWritten(list []string, special, forgot bool, place string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := 0; i < len(list); i++ {
		if n := v.marks[list[i]]; n != nil && n.Special == special {
			n.Written(place)
			delete(v.marks, list[i])
		}
	}
	if forgot && v.forgets != nil {
		v.forgets.Written(place)
		v.forgets = nil
	}
	(*View).weigh(v)
}

// ScheduleRetry reports whether a try to write what waits has to be scheduled: false if one is.
func (v *View) ScheduleRetry() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.retrying {
		return false
	}
	v.retrying = true
	return true
}

// RetryDone notes that the scheduled try has begun.
func (v *View) RetryDone() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.retrying = false
}

// Retries reports whether another try to write what waits is scheduled.
func (v *View) Retries() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.retrying
}
