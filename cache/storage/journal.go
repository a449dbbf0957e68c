package storage

import "sync"

// load is what could not be written.
type load struct {
	purges   []waiting
	sessions map[string]*note
	forget   *note // nil: what is known of sessions is not to be forgotten
}

// waiting is a purge that could not be written.
type waiting struct {
	purge Purge
	note  *note
}

// note says where something has been written since it was kept.
type note struct {
	places []string
}

// notesMu guards all notes. No other lock is taken under it.
var notesMu sync.Mutex

// written notes that it was written at a place.
func (n *note) written(place string) {
	if place == "" || n.isWritten(place) {
		return
	}
	notesMu.Lock()
	defer notesMu.Unlock()
	n.places = append(n.places, place)
}

// isWritten reports whether it was written at a place.
func (n *note) isWritten(place string) bool {
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

// unwritten returns what of a load was not written at a place, and whether that is nothing.
func unwritten(l load, place string) (load, bool) {
	rest := load{sessions: map[string]*note{}}
	for i := 0; i < len(l.purges); i++ {
		if !l.purges[i].note.isWritten(place) {
			rest.purges = append(rest.purges, l.purges[i])
		}
	}
	for session, n := range l.sessions {
		if !n.isWritten(place) {
			rest.sessions[session] = n
		}
	}
	if l.forget != nil && !l.forget.isWritten(place) {
		rest.forget = l.forget
	}
	return rest, len(rest.purges)+len(rest.sessions) == 0 && rest.forget == nil
}

// Pending returns how much waits to be written: each purge counts, and the marks of
// sessions together.
func (v *View) Pending() int {
	v.mu.RLock()
	n := v.waits
	v.mu.RUnlock()
	return n
}

// journal keeps purges until they can be written. Beyond most the journal
// becomes one purge of everything, which loses nothing; it reports that.
func (v *View) journal(list []waiting, most int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoke()
	full := len(v.pending)+len(list) > most
	if !full {
		v.pending = append(v.pending, list...)
	} else if len(v.pending) > 0 { // the first may be on its way to the storage: it stays where it is
		v.pending = append(v.pending[:1:1], waiting{Purge{All: true}, &note{}})
	} else {
		v.pending = []waiting{{Purge{All: true}, &note{}}}
	}
	(*View).weigh(v)
	return full
}

// journalSessions keeps the marks of sessions until they can be written. Beyond most
// nothing is to be known of any session; it reports that.
func (v *View) journalSessions(list map[string]*note, forget *note, most int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoke()
	for session, n := range list {
		v.special[session] = n
	}
	full := len(v.special) > most
	if full {
		forget = &note{}
	}
	if forget != nil {
		v.special = map[string]*note{}
		v.forgets = forget
	}
	(*View).weigh(v)
	return full
}

// weigh counts what has still to be written. The caller holds the view's lock.
func (v *View) weigh() {
	v.waits = len(v.pending)
	if v.forgets != nil || len(v.special) > 0 {
		v.waits++
	}
}

// kept returns all that has still to be written.
func (v *View) kept() load {
	v.mu.RLock()
	defer v.mu.RUnlock()
	l := load{sessions: map[string]*note{}, forget: v.forgets}
	for session, n := range v.special {
		l.sessions[session] = n
	}
	l.purges = append(l.purges, v.pending...)
	return l
}

func (v *View) first() (waiting, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if len(v.pending) == 0 {
		return waiting{}, false
	}
	return v.pending[0], true
}

func (v *View) written() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pending = v.pending[1:]
	(*View).weigh(v)
}

// maxMarked bounds the sessions that one command marks.
const maxMarked = 500

// firstSessions returns sessions whose marks have still to be written, or that all are
// to be forgotten first.
func (v *View) firstSessions() (list []string, forget bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.forgets != nil {
		return nil, true
	}
	for session := range v.special {
		if list = append(list, session); len(list) == maxMarked {
			break
		}
	}
	return list, false
}

// sessionsWritten notes that marks were written at a place.
func (v *View) sessionsWritten(list []string, forgot bool, place string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := 0; i < len(list); i++ {
		if n := v.special[list[i]]; n != nil {
			n.written(place)
		}
		delete(v.special, list[i])
	}
	if forgot && v.forgets != nil {
		v.forgets.written(place)
		v.forgets = nil
	}
	(*View).weigh(v)
}

func (v *View) scheduleRetry() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.retrying {
		return false
	}
	v.retrying = true
	return true
}

func (v *View) retryDone() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.retrying = false
}

// retries reports whether another try to write what waits is scheduled.
func (v *View) retries() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.retrying
}
