package tier

import (
	"fmt"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
)

// Purge marks what p names. When it returns nil, no lookup that starts later
// returns anything whose origin was asked before. When it returns an error, the
// purge is kept and applied before the tenant's cache is used again.
func (t *Tier) Purge(n *Tenant, p storage.Purge) (storage.Head, error) {
	if reason := t.notReady(n); reason != "" {
		t.keep(n, p)
		return storage.Head{}, fmt.Errorf("%w: %s; the purge is kept and will be applied", storage.ErrUnavailable, reason)
	}
	head, err := t.write(n, p)
	if err != nil {
		t.keep(n, p)
		return storage.Head{}, fmt.Errorf("%w; the purge is kept and will be applied", err)
	}
	tell(t, n.name, p)
	return head, nil
}

// write sends a purge to the storage and takes the marks over into the view.
func (t *Tier) write(n *Tenant, p storage.Purge) (storage.Head, error) {
	local := n.purges.Head()
	head, err := t.store.Purge(n.name, p)
	if err != nil {
		t.failed(n, "purge", err)
		return head, err
	}
	n.guard.success()
	now := storage.Ticks()
	reason := ""
	if head.Epoch == local.Epoch && head.Seq <= local.Seq {
		reason = t.restart(n, local, head, now)
	} else {
		reason = t.pull(n, now)
	}
	if reason != "" {
		n.purges.Distrust(storage.Ticks()) // the mark is written; this view has to read it before it is used
	}
	return head, nil
}

// writeSessions writes the marks of sessions that wait for that. It reports whether none
// is left.
func (t *Tier) writeSessions(n *Tenant) bool {
	for {
		list, special, forget := n.purges.FirstSessions()
		var err error
		if forget {
			err = t.store.Forget(n.name)
		} else if len(list) > 0 {
			_, err = t.store.Mark(n.name, list, special, storage.NowMS()+t.o.SessionTTL)
		} else {
			return true
		}
		if err != nil {
			t.failed(n, "session", err)
			return false
		}
		n.guard.success()
		if forget {
			n.sessions.ForgetAll()
		}
		n.purges.SessionsWritten(list, special, forget, placeOf(t, n.name))
	}
}

// notReady reports why the storage must not be asked for this tenant now: the
// breaker is open, or purges are waiting that cannot be written.
func (t *Tier) notReady(n *Tenant) string {
	if !(*breaker).allow(n.guard, storage.Ticks()) {
		return refusal(n)
	}
	if moved(t, n) {
		if reason := t.settle(n); reason != "" {
			return reason
		}
	}
	if (*purges.View).Pending(n.purges) > 0 && !t.replay(n) {
		return policy.ReasonPurgePending
	}
	return ""
}

// refusal is why nothing is asked while the breaker is open.
func refusal(n *Tenant) string {
	if n.purges.Pending() > 0 {
		return policy.ReasonPurgePending
	}
	return policy.ReasonBreakerOpen
}

// keep journals a purge, and sees to it that it is tried again even if no
// request comes.
func (t *Tier) keep(n *Tenant, p storage.Purge) {
	l := purges.Load{Purges: []purges.Waiting{{Purge: p, Note: &purges.Note{}}}}
	t.journal(n, l)
	inherit(t, n, l)
}

// keepSessions journals marks of sessions.
func (t *Tier) keepSessions(n *Tenant, sessions []string, special bool) {
	l := purges.Load{Sessions: make(map[string]*purges.Note, len(sessions))}
	for i := 0; i < len(sessions); i++ {
		l.Sessions[sessions[i]] = &purges.Note{Special: special}
	}
	t.journal(n, l)
	inherit(t, n, l)
}

// journal keeps purges and marks in this tier alone, and tries to write them later.
func (t *Tier) journal(n *Tenant, l purges.Load) {
	if len(l.Purges) > 0 && n.purges.Journal(l.Purges, t.o.Journal) {
		t.o.Log(fmt.Sprintf("odoocache: tenant %s: more than %d purges wait for the storage; they became a purge of everything", n.name, t.o.Journal))
	}
	if (len(l.Sessions) > 0 || l.Forget != nil) && n.purges.JournalSessions(l.Sessions, l.Forget, t.o.Sessions) {
		t.o.Log(fmt.Sprintf("odoocache: tenant %s: more than %d sessions wait to be marked; nothing is known of any session now", n.name, t.o.Sessions))
	}
	for session := range l.Sessions {
		n.sessions.Forget([]string{session})
	}
	t.retryLater(n)
}

func (t *Tier) retryLater(n *Tenant) {
	if !n.purges.ScheduleRetry() {
		return
	}
	time.AfterFunc(time.Second, func() {
		defer func() {
			if p := recover(); p != nil {
				t.o.Log(fmt.Sprintf("odoocache: retry of a purge: %v", p))
			}
		}()
		n.purges.RetryDone()
		if t.isClosed() {
			return
		}
		if n.guard.allow(storage.Ticks()) {
			t.replay(n)
		}
		if n.purges.Pending() > 0 {
			t.retryLater(n)
		}
	})
}

func (t *Tier) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// replay writes the journal in order. It reports whether nothing is left. While
// another does so there is no waiting: it can take as long as the storage is slow. A purge
// that another tier has written at this place meanwhile is not written again: its mark is read.
func (t *Tier) replay(n *Tenant) bool {
	if !n.replayMu.TryLock() {
		return false
	}
	defer n.replayMu.Unlock()
	if !t.writeSessions(n) {
		return false
	}
	place := placeOf(t, n.name)
	for {
		w, ok := n.purges.Oldest()
		if !ok {
			return n.purges.Pending() == 0 // what came meanwhile is for the next one
		}
		if w.Note.IsWritten(place) {
			if t.pull(n, storage.Ticks()) != "" {
				return false
			}
		} else if _, err := t.write(n, w.Purge); err != nil {
			return false
		}
		w.Note.Written(place)
		n.purges.OldestWritten()
	}
}

// NotAsked returns why the storage is not asked now for a tenant, "" if it may
// be, or if what is in this process may be relied on without it.
func NotAsked(n *Tenant) string {
	now := storage.Ticks()
	if now >= n.guard.until.Load() {
		return ""
	}
	if n.purges.Recent(now) {
		return ""
	}
	return refusal(n)
}
