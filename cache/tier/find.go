package tier

import (
	"errors"
	"fmt"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/keys"
)

// Found is the answer of a lookup.
type Found struct {
	Entry  *storage.Entry // nil: nothing usable
	Soft   bool           // a soft purge has ended its freshness
	Memory bool           // it came from the memory tier
	Head   storage.Head   // position of the purge state before the origin is asked; zero: do not store
	Reason string         // why there is nothing: policy.ReasonStoreError and the like

	Score  int64          // of the session that was asked for
	Locked bool           // the lock was claimed
	List   *storage.Entry // the list that was given, if it is as it was
}

// Wanted is what is asked of a tier: an entry by its full key, and what else is needed to
// answer with it.
type Wanted struct {
	Key     string
	Session string        // hash of the session that is asked for with it; empty: none
	Lock    *storage.Lock // claimed if there is no entry; nil: none is
	LockTTL int64         // ms
	List    *storage.List // Key is that of a variant that this list leads to; nil: it is none
	Newer   bool          // not from the memory tier: another process may have stored a newer entry
}

// Find returns what is stored under a full key, and usable. A session is read together with
// the entry, and never taken from this process, since its last request may have gone to
// another.
func (t *Tier) Find(n *Tenant, w *Wanted) *Found {
	if w.List != nil || w.Session != "" || w.Newer {
		return findWith(t, n, w)
	}
	now := storage.NowMS()
	if t.memory != nil {
		if e := (*memory.Sieve).Get(t.memory, w.Key, now); e != nil {
			if f := fromMemory(t, n, w.Key, e, now); f != nil {
				return f
			}
		}
	}
	if w.Lock != nil && t.remote != nil {
		return findOrLock(t, n, w, now)
	}
	return fromStorage(t, n, w.Key, now)
}

// findWith asks for more than an entry, or for one past the memory tier.
func findWith(t *Tier, n *Tenant, w *Wanted) *Found {
	now := storage.NowMS()
	if w.List != nil {
		return findVaried(t, n, w, now)
	}
	if w.Session != "" {
		return findFor(t, n, w, now)
	}
	f := fromStorage(t, n, w.Key, now)
	if f.Entry != nil { // it may be about to be refreshed
		noteAsked(n, w.Key)
	}
	return f
}

// Lookup returns what is stored under a full key.
func (t *Tier) Lookup(n *Tenant, key string) *Found {
	return (*Tier).Find(t, n, &Wanted{Key: key})
}

// fromMemory checks an entry of the memory tier, asking for the purge state
// first if what is known of it is too old. It returns nil if the
// entry has been purged.
func fromMemory(t *Tier, n *Tenant, key string, e *storage.Entry, now int64) *Found {
	verdict, head, current := (*purges.View).CheckCurrent(n.purges, e, storage.Ticks()-t.o.MaxStaleness)
	if !current {
		if reason := t.askPosition(n); reason != "" {
			return &Found{Reason: reason}
		}
		verdict, head, _ = n.purges.CheckCurrent(e, 0)
	}
	if verdict == purges.Purged {
		noteAsked(n, key)
		t.memory.Remove(key)
		return nil
	}
	if now >= e.Life.Born+e.Life.TTL || verdict == purges.SoftPurged { // it will be stored anew
		noteAsked(n, key)
	}
	return &Found{Entry: e, Memory: true, Head: head, Soft: verdict == purges.SoftPurged}
}

// fromStorage asks the storage for an entry. Where a question of the view stands, nothing has
// to be found out before or after.
func fromStorage(t *Tier, n *Tenant, key string, now int64) *Found {
	q := purges.MadeQuestion(n.purges)
	if q == nil || n.guard.failures.Load() > 0 || t.remote.Era(n.name) != q.Era {
		return fromUnasked(t, n, key, now)
	}
	asked := storage.Ticks()
	a, err := t.store.Find(n.name, &storage.Query{ID: keys.ID(key)})
	e := a.Entry
	if e == nil || a.Head != q.Head || e.Key != key || e.Tenant != n.name || t.remote.Era(n.name) != q.Era || !purges.ConfirmBy(n.purges, q, asked) {
		return foundOther(t, n, asking{key, now, asked}, a, err)
	}
	if n.guard.failures.Load() > 0 {
		(*breaker).success(n.guard)
	}
	f := &Found{Head: a.Head}
	(*Tier).accept(t, n, key, e, now, f)
	return f
}

// fromUnasked asks the storage for an entry after it has found out whether it may be relied on:
// no question stands, or another server may answer.
func fromUnasked(t *Tier, n *Tenant, key string, now int64) *Found {
	if reason := (*Tier).notReady(t, n); reason != "" {
		return &Found{Reason: reason}
	}
	purges.QuestionOf(n.purges)
	a, asked, err := ask(t, n, &storage.Query{ID: keys.ID(key)})
	return found(t, n, asking{key, now, asked}, a, err)
}

// foundOther checks an answer that is not as it mostly is. Connections may have ended before the
// question was sent: then it is asked again.
func foundOther(t *Tier, n *Tenant, q asking, a *storage.Answer, err error) *Found {
	if err == nil && moved(t, n) {
		return fromUnasked(t, n, q.key, q.now)
	}
	return found(t, n, q, a, err)
}

// ask puts a question to the storage, and returns the time of asking, in ticks. Where all
// connections have ended meanwhile, such as those that nobody has used for long, another server
// may have answered: then it is asked once more, when it is known which one that is.
func ask(t *Tier, n *Tenant, q *storage.Query) (a *storage.Answer, asked int64, err error) {
	asked = storage.Ticks()
	a, err = t.store.Find(n.name, q)
	if err != nil || !settledAnew(t, n) {
		return a, asked, err
	}
	locked := a.Locked
	asked = storage.Ticks()
	a, err = t.store.Find(n.name, q)
	a.Locked = a.Locked || locked
	return a, asked, err
}

// findOrLock asks for an entry that is not expected to be there, and claims the lock with it,
// in one round trip. If it has not got it, the lock may be of this process all the same.
func findOrLock(t *Tier, n *Tenant, w *Wanted, now int64) *Found {
	if reason := (*Tier).notReady(t, n); reason != "" {
		return &Found{Reason: reason}
	}
	a, asked, err := ask(t, n, &storage.Query{ID: w.Lock.ID, Lock: w.Lock, LockTTL: w.LockTTL})
	f := found(t, n, asking{w.Key, now, asked}, a, err)
	f.Locked = a.Locked
	return f
}

// findFor asks for an entry, unless the memory tier has it, and for a session.
func findFor(t *Tier, n *Tenant, w *Wanted, now int64) *Found {
	q := &storage.Query{Session: w.Session}
	var e *storage.Entry
	if t.memory != nil {
		e = t.memory.Get(w.Key, now)
	}
	if e == nil {
		q.ID = keys.ID(w.Key)
	}
	if reason := (*Tier).notReady(t, n); reason != "" {
		return &Found{Reason: reason}
	}
	a, asked, err := ask(t, n, q)
	if e == nil {
		f := found(t, n, asking{w.Key, now, asked}, a, err)
		f.Score = a.Score
		return f
	}
	if err != nil {
		return &Found{Reason: t.failed(n, "session", err)}
	}
	if reason := inStep(t, n, a.Head, asked); reason != "" {
		return &Found{Reason: reason}
	}
	verdict := n.purges.Check(e)
	if now >= e.Life.Born+e.Life.TTL || verdict != purges.Valid {
		noteAsked(n, w.Key)
	}
	if verdict == purges.Purged {
		t.memory.Remove(w.Key)
		f := fromStorage(t, n, w.Key, now)
		f.Score = a.Score
		return f
	}
	return &Found{Entry: e, Memory: true, Head: n.purges.Head(), Soft: verdict == purges.SoftPurged, Score: a.Score}
}

// findVaried asks for a variant by the list that led to it before, in one round trip. The
// entry that it returns is what is there in place of the list if that has changed: another
// list, or a page that varies no more; else List tells that it has not.
func findVaried(t *Tier, n *Tenant, w *Wanted, now int64) *Found {
	if reason := t.notReady(n); reason != "" {
		return &Found{Reason: reason}
	}
	a, asked, err := ask(t, n, &storage.Query{ID: keys.ID(w.Key), Session: w.Session, List: w.List})
	key := w.Key
	if !a.Listed {
		key = w.List.Entry.Key
	}
	f := found(t, n, asking{key, now, asked}, a, err)
	f.Score = a.Score
	if !a.Listed || err != nil || f.Reason != "" && f.Reason != policy.ReasonPurged {
		return f
	}
	if n.purges.Check(w.List.Entry) == purges.Purged {
		f.Entry = nil
		f.Reason = policy.ReasonPurged
		return f
	}
	f.List = w.List.Entry
	return f
}

// asking is a lookup that a storage is asked for.
type asking struct {
	key   string // full
	now   int64  // Unix ms
	asked int64  // ticks before it was asked
}

// found checks what the storage answered.
func found(t *Tier, n *Tenant, q asking, a *storage.Answer, err error) *Found {
	if err != nil && !errors.Is(err, storage.ErrCorrupt) {
		return &Found{Reason: t.failed(n, "lookup", err)}
	}
	if reason := inStep(t, n, a.Head, q.asked); reason != "" {
		return &Found{Reason: reason}
	}
	f := &Found{Head: (*purges.View).Head(n.purges)}
	e := a.Entry
	switch {
	case err != nil:
		notRead(t, f, err)
	case e == nil:
	case e.Tenant != n.name || e.Key != q.key:
		t.o.Log("odoocache: the storage returned an entry of another tenant or key; it was not used")
		f.Reason = policy.ReasonForeign
	default:
		(*Tier).accept(t, n, q.key, e, q.now, f)
	}
	return f
}

// notRead says why what is stored cannot be read.
func notRead(t *Tier, f *Found, err error) {
	t.o.Log(fmt.Sprintf("odoocache: %v; the entry will be replaced", err))
	f.Reason = unreadable(err)
}

// unreadable is the reason for what is stored, and cannot be read.
func unreadable(err error) string {
	switch {
	case errors.Is(err, storage.ErrKey):
		return policy.ReasonStoreKey
	case errors.Is(err, storage.ErrPlain):
		return policy.ReasonStorePlain
	case errors.Is(err, storage.ErrForeign):
		return policy.ReasonForeign
	}
	return policy.ReasonStoreCorrupt
}

// inStep takes over what an answer says of the position. It returns why the answer cannot be
// relied on, "" if it can.
func inStep(t *Tier, n *Tenant, head storage.Head, asked int64) string {
	(*breaker).success(n.guard)
	if moved(t, n) { // on the way
		return policy.ReasonStoreError
	}
	return (*Tier).sync(t, n, head, asked)
}

// accept takes an entry of the remote storage unless it has been purged.
func (t *Tier) accept(n *Tenant, key string, e *storage.Entry, now int64, f *Found) {
	verdict := (*purges.View).Check(n.purges, e)
	if now >= e.Life.Born+e.Life.TTL || verdict != purges.Valid { // it will be stored anew
		noteAsked(n, key)
	}
	if verdict == purges.Purged {
		f.Reason = policy.ReasonPurged
		return
	}
	f.Entry = e
	f.Soft = verdict == purges.SoftPurged
	if t.memory != nil {
		t.memory.Put(key, e, now+e.Life.Retention(now))
	}
}

// FindVariant returns a variant that a list has led to. In the memory tier there may be
// variants of a list that was dropped.
func (t *Tier) FindVariant(n *Tenant, list *storage.Entry, key string) *Found {
	if t.memory == nil || list.Has(keys.ID(key)) {
		return t.Lookup(n, key)
	}
	f := t.Find(n, &Wanted{Key: key, Newer: true})
	if f.Entry != nil { // the list is older than the one that led to it
		t.Find(n, &Wanted{Key: list.Key, Newer: true})
	}
	return f
}

// Remember returns a list to ask by, nil if that is of no use: where there is a memory
// tier, the list is in it.
func (t *Tier) Remember(list *storage.Entry) *storage.List {
	if t.remote == nil || t.memory != nil {
		return nil
	}
	if list.Sealed != nil {
		return &storage.List{Entry: list, Raw: list.Sealed.List}
	}
	raw, err := storage.Encode(list)
	if err != nil {
		return nil
	}
	return &storage.List{Entry: list, Raw: string(raw)}
}

// askPosition asks for the tenant's position and what the view lacks.
func (t *Tier) askPosition(n *Tenant) string {
	if reason := t.notReady(n); reason != "" {
		return reason
	}
	now := storage.Ticks()
	head, err := t.store.Head(n.name)
	if err == nil && settledAnew(t, n) { // of another server, perhaps
		now = storage.Ticks()
		head, err = t.store.Head(n.name)
	}
	if err != nil {
		return t.failed(n, "head", err)
	}
	return inStep(t, n, head, now)
}

// Has reports whether an entry of a full key is in this process, and has not been
// purged as far as is known.
func (t *Tier) Has(n *Tenant, key string) bool {
	if t.pages == nil || t.bare {
		return false
	}
	e := t.pages.Get(t.PageKey(n, key), storage.NowMS())
	return e != nil && n.purges.Check(e) != purges.Purged
}
