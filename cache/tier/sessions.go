package tier

import "github.com/odoocache/odoocache/cache/storage"

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
// this process does not use the tenant's cache until it is. Either way this process remembers
// nothing of them any more. It returns the scores that they had, and have now; none if they
// are not known.
func (t *Tier) Mark(n *Tenant, sessions []string, special bool) (had, have []int64) {
	had, have = t.mark(n, sessions, special)
	forgetSessions(t, n, sessions) // last: a request may have asked for one meanwhile
	return had, have
}

// mark writes the marks of sessions.
func (t *Tier) mark(n *Tenant, sessions []string, special bool) (had, have []int64) {
	if t.notReady(n) != "" {
		t.keepSessions(n, sessions, special)
		return nil, nil
	}
	until := storage.NowMS() + t.o.SessionTTL
	had, err := t.store.Mark(n.name, sessions, special, until)
	if err != nil {
		t.failed(n, "session", err)
		t.keepSessions(n, sessions, special)
		return nil, nil
	}
	n.guard.success()
	have = make([]int64, len(had))
	for i := 0; i < len(had); i++ {
		if had[i] != 0 {
			have[i] = storage.MarkedScore(had[i], until, storage.MarkKind(special))
		}
	}
	return had, have
}

// MarkUnknown marks a session of which nothing was known: it is noted first, so that there is
// something to mark. It returns the score that the mark has made, 0 if that is not known.
func (t *Tier) MarkUnknown(n *Tenant, session string, special bool) int64 {
	t.NoteBeginning(n, session)
	_, have := t.Mark(n, []string{session}, special)
	if len(have) == 0 {
		return 0
	}
	return have[0]
}

// Restore gives a session that was put in doubt what it had before, unless it has been marked
// again since: what made the mark was found to have changed nothing.
func (t *Tier) Restore(n *Tenant, session string, had, have int64) {
	if have%4 != storage.ScoreDoubted || had == 0 {
		return
	}
	if had%4 == storage.ScoreDefault {
		t.Settle(n, session, have, storage.AllRules)
		return
	}
	for bit := 0; bit < storage.EvidenceBits && had%4 == storage.ScoreDoubted; bit++ {
		if had&storage.EvidenceOf(bit) != 0 {
			t.Settle(n, session, have, bit)
		}
	}
}

// forgetSessions has this process forget sessions, whichever of its tiers remembers them.
func forgetSessions(t *Tier, n *Tenant, sessions []string) {
	n.sessions.Forget(sessions)
	if t.o.Place == "" {
		return
	}
	tiersMu.Lock()
	defer tiersMu.Unlock()
	for i := 0; i < len(tiers); i++ {
		if other := tenantOf(tiers[i], n.name); other != nil && other != n {
			other.sessions.Forget(sessions)
		}
	}
}
