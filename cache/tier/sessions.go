package tier

// NoteNewSession notes that a session has begun. It must return before the session's id
// reaches the visitor. A session that could not be noted stays unknown.
func (t *Tier) NoteNewSession(n *Tenant, session string) {
	if t.notReady(n) != "" {
		return
	}
	t.wrote(n, t.store.NoteDefault(n.name, session, t.o.SessionTTL, t.o.Sessions))
}

// NoteBeginning notes an unknown session before a request of it is forwarded, so that whatever
// changes it from then on finds the note. It returns the session's score; 0: it is known, or
// could not be noted.
func (t *Tier) NoteBeginning(n *Tenant, session string) int64 {
	if t.notReady(n) != "" {
		return 0
	}
	score, err := t.store.NoteBeginning(n.name, session, t.o.SessionTTL, t.o.Sessions)
	t.wrote(n, err)
	return score
}

// Settle notes what an answer has shown of a session that had a score when its request was
// forwarded: it may be given nobody's pages of a group of rules, or of storage.AllRules. It
// does nothing if the session has been marked since.
func (t *Tier) Settle(n *Tenant, session string, was int64, bit int) {
	if t.notReady(n) != "" {
		return
	}
	t.wrote(n, t.store.Settle(n.name, session, was, bit))
}

// wrote notes how the storage has taken what need not be written.
func (t *Tier) wrote(n *Tenant, err error) {
	if err != nil {
		t.unwritten(n, "session", err)
		return
	}
	n.guard.success()
}

// Mark notes that sessions are special, or else in doubt. It must return before the request
// that makes them so is forwarded. What cannot be written is kept like a purge:
// this process does not use the tenant's cache until it is.
func (t *Tier) Mark(n *Tenant, sessions []string, special bool) {
	if t.notReady(n) != "" {
		t.keepSessions(n, sessions, special)
		return
	}
	if err := t.store.Mark(n.name, sessions, special, t.o.SessionTTL); err != nil {
		t.failed(n, "session", err)
		t.keepSessions(n, sessions, special)
		return
	}
	n.guard.success()
}
