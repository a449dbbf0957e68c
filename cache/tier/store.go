package tier

import (
	"errors"
	"fmt"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// Store keeps an entry. It returns a reason if it did not.
func (t *Tier) Store(n *Tenant, e *storage.Entry) string {
	return t.StoreAndUnlock(n, e, nil)
}

// StoreAndUnlock is Store that gives a lock back with it. l may be nil.
func (t *Tier) StoreAndUnlock(n *Tenant, e *storage.Entry, l *storage.Lock) string {
	if e.Epoch == 0 {
		return policy.ReasonStoreError // the storage did not answer before the origin was asked
	}
	if (*purges.View).Check(n.purges, e) == purges.Purged {
		return policy.ReasonPurged
	}
	now := storage.NowMS()
	ttl := e.Life.Retention(now)
	if ttl <= 0 {
		return policy.ReasonExpired
	}
	asked := storage.Ticks()
	if !(*breaker).allow(n.guard, asked) {
		return policy.ReasonBreakerOpen
	}
	if !admits(t, n, e, asked) {
		return policy.ReasonAdmission
	}
	var err error
	if l == nil || l.Released {
		err = t.store.Store(n.name, keys.ID(e.Key), e, ttl)
	} else if err = t.store.StoreAndUnlock(n.name, keys.ID(e.Key), e, ttl, l); err == nil {
		l.Released = true
	}
	if errors.Is(err, storage.ErrTooLarge) {
		n.guard.success()
		return policy.ReasonTooLarge
	}
	if errors.Is(err, storage.ErrQuota) {
		n.guard.success()
		return policy.ReasonQuota
	}
	if errors.Is(err, storage.ErrCorrupt) { // cannot be encoded: the storage was not asked
		t.o.Log(fmt.Sprintf("odoocache: %v; %s was not stored", err, e.Path))
		return unreadable(err)
	}
	if err != nil {
		return t.unwritten(n, "store", err)
	}
	(*breaker).success(n.guard)
	if t.memory != nil {
		t.memory.Replace(e.Key, e, now+ttl) // else a lookup that finds it, the second that asks for it, puts it there
	}
	return ""
}

// Remove drops entries by their full keys. A failure leaves them to their TTL:
// nothing that must not be served depends on it.
func (t *Tier) Remove(n *Tenant, fullKeys []string) {
	ids := make([]string, 0, len(fullKeys))
	for i := 0; i < len(fullKeys); i++ {
		if t.memory != nil {
			t.memory.Remove(fullKeys[i])
		}
		ids = append(ids, keys.ID(fullKeys[i]))
	}
	t.RemoveIDs(n, ids)
}

// Drop is Remove that drops, with the list of a page's variants, these, too. What
// fails is not tried again.
func (t *Tier) Drop(n *Tenant, fullKeys []string) {
	ids := make([]string, 0, len(fullKeys))
	for i := 0; i < len(fullKeys); i++ {
		if s := t.memory; s != nil {
			s.Remove(fullKeys[i]) // variants are not taken from there without their list, see FindVariant
		}
		if t.bare {
			t.pages.Remove(fullKeys[i])
		}
		ids = append(ids, keys.ID(fullKeys[i]))
	}
	if len(ids) == 0 || t.notReady(n) != "" {
		return
	}
	if err := t.store.Drop(n.name, ids); err != nil {
		t.failed(n, "drop", err)
		return
	}
	n.guard.success()
}

// RemoveIDs drops entries of the storage by their identities.
func (t *Tier) RemoveIDs(n *Tenant, ids []string) {
	if len(ids) == 0 || !n.guard.allow(storage.Ticks()) {
		return
	}
	if err := t.store.Remove(n.name, ids); err != nil {
		t.failed(n, "remove", err)
		return
	}
	n.guard.success()
}

// Lock claims an entry for the process that is to ask the origin for it. ttl is in
// ms.
func (t *Tier) Lock(n *Tenant, l *storage.Lock, ttl int64) storage.LockState {
	if !(*breaker).allow(n.guard, storage.Ticks()) {
		return storage.LockUnknown
	}
	state, err := t.store.Lock(n.name, l, ttl)
	if err != nil {
		t.unwritten(n, "lock", err)
		return storage.LockUnknown
	}
	(*breaker).success(n.guard)
	return state
}

// Unlock gives a lock back, once. refused is in ms, see Storage. A failure leaves
// it to its expiry.
func (t *Tier) Unlock(n *Tenant, l *storage.Lock, refused int64) {
	if l == nil || l.Released || !n.guard.allow(storage.Ticks()) {
		return
	}
	l.Released = true
	if err := t.store.Unlock(n.name, l, refused); err != nil {
		t.unwritten(n, "unlock", err)
		return
	}
	n.guard.success()
}

// Once reports whether nobody with the same storage has asked for an identity of a tenant
// within the last ttl ms. A storage that does not answer says so, too: whoever asks has to
// remember what it asked for itself.
func (t *Tier) Once(n *Tenant, id string, ttl int64) bool {
	if !n.guard.allow(storage.Ticks()) {
		return true
	}
	first, err := t.store.Once(n.name, id, ttl)
	if err != nil {
		t.unwritten(n, "nonce", err)
		return true
	}
	n.guard.success()
	return first
}
