package tier

import (
	"time"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
)

// KnownSession reports whether a session, given as its hash, may be given nobody's pages of a
// group of rules, as far as the changes are known within MaxStaleness. It returns what says so
// for the next requests, nil if they have to ask again. late is true if the storage did not
// answer in time: then it should not be asked again for the same request.
func KnownSession(t *Tier, n *Tenant, session string, bit int) (k *purges.Known, gives, late bool) {
	if t.remote == nil {
		a, err := t.store.Find(n.name, &storage.Query{Session: session})
		return nil, err == nil && storage.GivesNobodys(a.Score, bit, storage.NowMS()), false
	}
	now := int64(time.Since(storage.Started))
	if !n.sessions.IsLicensed(now) {
		if known, late := follow(t, n, now); !known {
			return nil, false, late
		}
	}
	if k = n.sessions.Recall(session, now); k != nil && storage.GivesNobodys(k.Score, bit, storage.NowMS()) {
		return k, true, false
	}
	k, score, late := askSession(t, n, session, now) // evidence may have been found since
	return k, storage.GivesNobodys(score, bit, storage.NowMS()), late
}

// follow reads what has changed of sessions. It reports whether that is known. While one
// reads, the others wait for what comes of it.
func follow(t *Tier, n *Tenant, came int64) (known, late bool) {
	n.following.Lock()
	defer n.following.Unlock()
	if n.sessions.IsLicensed(came) {
		return true, false
	}
	if n.followed < came {
		n.followed = int64(time.Since(storage.Started))
		n.inStep, n.behind = readChanges(t, n)
	}
	return n.inStep, n.behind
}

// readChanges asks for the changes since those that are known.
func readChanges(t *Tier, n *Tenant) (known, late bool) {
	if t.notReady(n) != "" {
		return false, false
	}
	asked := storage.Ticks()
	at, turn := n.sessions.Position()
	c, err := t.remote.Changes(n.name, at)
	if err == nil && settledAnew(t, n) { // of another server, perhaps
		asked = storage.Ticks()
		at, turn = n.sessions.Position()
		c, err = t.remote.Changes(n.name, at)
	}
	if err != nil {
		t.failed(n, "changes of sessions", err)
		return false, true
	}
	if inStep(t, n, c.Head, asked) != "" {
		return false, false
	}
	return n.sessions.Learn(c, turn, asked), false
}

// askSession asks for the score of a session of which nothing is remembered.
func askSession(t *Tier, n *Tenant, session string, now int64) (k *purges.Known, score int64, late bool) {
	if t.notReady(n) != "" {
		return nil, 0, false
	}
	k = n.sessions.Expect(session, now)
	score, late = scoreOf(t, n, session)
	if k == nil {
		return nil, score, late
	}
	if !storage.GivesSome(score) {
		n.sessions.Forget([]string{session})
		return nil, 0, late
	}
	purges.Found(k, score)
	return k, score, false
}

// scoreOf asks for the score of a session. It is 0 if that cannot be relied on.
func scoreOf(t *Tier, n *Tenant, session string) (score int64, late bool) {
	a, asked, err := ask(t, n, &storage.Query{Session: session})
	if err != nil {
		t.failed(n, "session", err)
		return 0, true
	}
	if inStep(t, n, a.Head, asked) != "" {
		return 0, false
	}
	return a.Score, false
}
