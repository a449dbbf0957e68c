package tier

import "github.com/odoocache/odoocache/cache/storage"

// NoteNewSession notes that a session has begun. It must return before the session's id
// reaches the visitor. A session that could not be noted stays unknown.
func (t *Tier) NoteNewSession(n *Tenant, session string) {
	if t.notReady(n) != "" {
		return
	}
	if err := t.store.NoteDefault(n.name, session, t.o.SessionTTL, t.o.Sessions); err != nil {
		t.unwritten(n, "session", err)
		return
	}
	n.guard.success()
}

// NoteDefaultSession notes what the origin says of a session of which nothing was seen: it is a default
// one. begins says that the request which brought the word found it noted as one that
// begins: whatever has changed it since then has found that note, too, and made another of
// it. So it takes two requests.
func (t *Tier) NoteDefaultSession(n *Tenant, session string, begins bool) {
	if t.notReady(n) != "" {
		return
	}
	var err error
	if begins {
		err = t.store.Settle(n.name, session)
	} else {
		err = t.store.NoteBeginning(n.name, session, t.o.SessionTTL, t.o.Sessions)
	}
	if err != nil {
		t.unwritten(n, "session", err)
		return
	}
	n.guard.success()
}

// Special notes that sessions are special. It must return before the request
// that makes them so is forwarded. What cannot be written is kept like a purge:
// this process does not use the tenant's cache until it is.
func (t *Tier) Special(n *Tenant, sessions []string) {
	todo := n.unnoted(sessions)
	if len(todo) == 0 {
		return
	}
	if t.notReady(n) != "" {
		t.keepSessions(n, todo)
		return
	}
	all, err := t.store.Special(n.name, todo, t.o.SessionTTL, t.o.Sessions)
	if err != nil {
		t.failed(n, "session", err)
		t.keepSessions(n, todo)
		return
	}
	n.guard.success()
	if all { // what was not found may be noted as one that begins before the next mark
		n.note(todo)
	}
}

// maxNoted bounds the sessions that a tenant knows to be noted as special, and
// notedFor how long, in ms, it trusts that the storage has not lost the note: one
// that another server takes over may have the session's beginning and not that.
const (
	maxNoted = 10000
	notedFor = 1000
)

// unnoted returns those of the sessions that this process has not just noted as
// special.
func (n *Tenant) unnoted(sessions []string) []string {
	n.notedMu.RLock()
	defer n.notedMu.RUnlock()
	var todo []string
	since := storage.Ticks() - notedFor
	for i := 0; i < len(sessions); i++ {
		if n.noted[sessions[i]] <= since {
			todo = append(todo, sessions[i])
		}
	}
	return todo
}

func (n *Tenant) note(sessions []string) {
	n.notedMu.Lock()
	defer n.notedMu.Unlock()
	if len(n.noted) >= maxNoted {
		n.noted = map[string]int64{}
	}
	now := storage.Ticks()
	for i := 0; i < len(sessions); i++ {
		n.noted[sessions[i]] = now
	}
}
