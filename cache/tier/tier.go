// Package tier is what the handler talks to: a storage, with a memory tier in front of it, what
// is known of the purges of each tenant, a journal of what could not be written, and a
// breaker. It never returns an entry that a purge known to this process has made wrong.
//
// Some calls are written (*T).method(v, …): in the interpreter that costs a third of v.method(…).
package tier

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/keys"
)

// TierOptions configure a Tier. Times are ms.
type Options struct {
	MemoryBytes   int64 // 0: no memory tier
	PreparedBytes int64 // of what is kept of entries in Redis where there is no memory tier
	MaxStaleness  int64 // how old the known purge state may be for a hit from memory
	Journal       int   // most purges kept while they cannot be written
	Failures      int   // failures in a row that open the breaker
	MinPause      int64 // first and longest pause of the breaker
	MaxPause      int64
	SessionTTL    int64 // how long a session is known
	Sessions      int   // of how many something is known
	Admission     AdmissionOptions
	Place         string // what Join goes by: where the storage is
	Log           func(message string)
}

// Tier is a storage with all that stands in front of it.
type Tier struct {
	o       Options
	store   storage.Storage
	shared  storage.Remote // the part of it that other processes share, nil: it is of this one alone
	breaker breaker

	// memory is the memory tier, nil if there is none. pages holds what is ready to be
	// written: it is the memory tier; without one, the storage itself where that is in this
	// process, else entries without their bodies (bare). It is nil if nothing is kept here.
	memory *memory.Sieve
	pages  *memory.Sieve
	bare   bool
	here   *memory.Sieve // the storage, if it is in this process

	patience int64 // ms: how old the known purge state may be for what is in this process

	// take keeps what another tier could not write, see hand. It is Tier.journal, handed down.
	take func(n *Tenant, l purges.Load)

	mu      sync.Mutex
	tenants map[string]*Tenant
	closed  bool
}

// New puts a tier in front of a storage.
func New(store storage.Storage, o Options) *Tier {
	t := &Tier{o: o, store: store, shared: store.Remote(), tenants: map[string]*Tenant{}, patience: o.MaxStaleness}
	t.take = func(n *Tenant, l purges.Load) { t.journal(n, l) }
	t.breaker.threshold, t.breaker.min, t.breaker.max = o.Failures, o.MinPause, o.MaxPause
	if o.MemoryBytes > 0 {
		t.memory = memory.NewSieve(o.MemoryBytes)
	}
	t.pages = t.memory
	if t.memory == nil && t.shared != nil {
		t.pages = memory.NewSieve(o.PreparedBytes)
		t.bare = true
	}
	return t
}

// NewLocal puts a tier in front of a storage in this process. Its purge
// state changes through this tier alone, so what is known of it is current.
func NewLocal(m *memory.Memory, o Options) *Tier {
	t := New(m, o)
	t.here = m.Entries()
	if t.memory == nil {
		t.pages, t.patience = t.here, noLimit
	}
	return t
}

// noLimit is longer than any process lives, in ms, and not too long to be counted in ns.
const noLimit = 1 << 42

// Tenant returns what the tier has of a tenant. A new one takes over what other tiers of
// this process could not write.
func (t *Tier) Tenant(name string) *Tenant {
	tiersMu.Lock()
	defer tiersMu.Unlock()
	n := tenantOf(t, name)
	if n == nil {
		n = newTenant(name, t.patience, t.shared)
		n.guard = &t.breaker
		n.admission = newAdmission(t.o.Admission)
		if t.shared != nil && t.shared.Apart() {
			n.guard = &breaker{threshold: t.o.Failures, min: t.o.MinPause, max: t.o.MaxPause}
		}
		takeOver(t, n)
		t.mu.Lock()
		t.tenants[name] = n
		t.mu.Unlock()
	}
	return n
}

// Found is the answer of a lookup.
type Found struct {
	Entry  *storage.Entry // nil: nothing usable
	Soft   bool           // a soft purge has ended its freshness
	Memory bool           // it came from the memory tier
	Head   storage.Head   // position of the purge state before the origin is asked; zero: do not store
	Reason string         // why there is nothing: policy.ReasonStoreError and the like

	Session storage.SessionKind // what was learned of the session that was asked for
	Locked  bool                // the lock was claimed
	List    *storage.Entry      // the list that was given, if it is as it was
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
	now := storage.NowMS()
	switch {
	case w.List != nil:
		return findVaried(t, n, w, now)
	case w.Session != "":
		return findFor(t, n, w, now)
	case w.Newer:
		f := fromStorage(t, n, w.Key, now)
		if f.Entry != nil { // it may be about to be refreshed
			noteAsked(n, w.Key)
		}
		return f
	}
	if f := fromTier(t, n, w.Key, now); f != nil {
		if e := f.Entry; e != nil && (now >= e.Life.Born+e.Life.TTL || f.Soft) {
			noteAsked(n, w.Key)
		}
		return f
	}
	if w.Lock != nil && t.shared != nil {
		return findOrLock(t, n, w, now)
	}
	return fromStorage(t, n, w.Key, now)
}

// Lookup returns what is stored under a full key.
func (t *Tier) Lookup(n *Tenant, key string) *Found {
	return t.Find(n, &Wanted{Key: key})
}

// fromTier returns what the memory tier has, nil if it has nothing usable.
func fromTier(t *Tier, n *Tenant, key string, now int64) *Found {
	if t.memory == nil {
		return nil
	}
	e := t.memory.Get(key, now)
	if e == nil {
		return nil
	}
	return t.fromMemory(n, key, e)
}

// fromMemory checks an entry of the memory tier, asking for the purge state
// first if what is known of it is too old (promise P3). It returns nil if the
// entry has been purged.
func (t *Tier) fromMemory(n *Tenant, key string, e *storage.Entry) *Found {
	verdict, head, current := n.purges.CheckCurrent(e, storage.Ticks()-t.o.MaxStaleness)
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
	return &Found{Entry: e, Memory: true, Head: head, Soft: verdict == purges.SoftPurged}
}

// fromStorage asks the storage for an entry. Where a question of the view stands, nothing has
// to be found out before or after.
func fromStorage(t *Tier, n *Tenant, key string, now int64) *Found {
	q := purges.MadeQuestion(n.purges)
	if q == nil || n.guard.failures.Load() > 0 || t.shared.Era(n.name) != q.Era {
		if reason := (*Tier).ready(t, n); reason != "" {
			return &Found{Reason: reason}
		}
		q = purges.QuestionOf(n.purges)
	}
	asked := storage.Ticks()
	a, err := t.store.Find(n.name, &storage.Query{ID: keys.ID(key)})
	e := a.Entry
	if e == nil || q == nil || a.Head != q.Head || e.Key != key || e.Tenant != n.name || t.shared.Era(n.name) != q.Era || !purges.ConfirmBy(n.purges, q, asked) {
		return found(t, n, asking{key, now, asked}, a, err)
	}
	if n.guard.failures.Load() > 0 {
		(*breaker).success(n.guard)
	}
	f := &Found{Head: a.Head}
	(*Tier).accept(t, n, key, e, now, f)
	return f
}

// findOrLock asks for an entry that is not expected to be there, and claims the lock with it,
// in one round trip. If it has not got it, the lock may be of this process all the same.
func findOrLock(t *Tier, n *Tenant, w *Wanted, now int64) *Found {
	if reason := (*Tier).ready(t, n); reason != "" {
		return &Found{Reason: reason}
	}
	asked := storage.Ticks()
	a, err := t.store.Find(n.name, &storage.Query{ID: w.Lock.ID, Lock: w.Lock, LockTTL: w.LockTTL})
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
	if reason := (*Tier).ready(t, n); reason != "" {
		return &Found{Reason: reason}
	}
	asked := storage.Ticks()
	a, err := t.store.Find(n.name, q)
	if e == nil {
		f := found(t, n, asking{w.Key, now, asked}, a, err)
		f.Session = a.Session
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
		f.Session = a.Session
		return f
	}
	return &Found{Entry: e, Memory: true, Head: n.purges.Head(), Soft: verdict == purges.SoftPurged, Session: a.Session}
}

// findVaried asks for a variant by the list that led to it before, in one round trip. The
// entry that it returns is what is there in place of the list if that has changed: another
// list, or a page that varies no more; else List tells that it has not.
func findVaried(t *Tier, n *Tenant, w *Wanted, now int64) *Found {
	if reason := t.ready(n); reason != "" {
		return &Found{Reason: reason}
	}
	asked := storage.Ticks()
	a, err := t.store.Find(n.name, &storage.Query{ID: keys.ID(w.Key), Session: w.Session, List: w.List})
	key := w.Key
	if !a.Listed {
		key = w.List.Entry.Key
	}
	f := found(t, n, asking{key, now, asked}, a, err)
	f.Session = a.Session
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
		t.o.Log(fmt.Sprintf("odoocache: %v; the entry will be replaced", err))
		f.Reason = policy.ReasonStoreCorrupt
	case e == nil:
	case e.Tenant != n.name || e.Key != q.key:
		t.o.Log("odoocache: the storage returned an entry of another tenant or key; it was not used")
		f.Reason = policy.ReasonForeign
	default:
		(*Tier).accept(t, n, q.key, e, q.now, f)
	}
	return f
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
	if errors.Is(err, storage.ErrCorrupt) { // cannot be encoded: the storage was not asked
		t.o.Log(fmt.Sprintf("odoocache: %v; %s was not stored", err, e.Path))
		return policy.ReasonStoreCorrupt
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
			s.Remove(fullKeys[i]) // variants are not taken from there without their list, see LookupVariant
		}
		if t.bare {
			t.pages.Remove(fullKeys[i])
		}
		ids = append(ids, keys.ID(fullKeys[i]))
	}
	if len(ids) == 0 || t.ready(n) != "" {
		return
	}
	if err := t.store.Drop(n.name, ids); err != nil {
		t.failed(n, "drop", err)
		return
	}
	n.guard.success()
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
	if t.shared == nil || t.memory != nil {
		return nil
	}
	raw, err := storage.Encode(list)
	if err != nil {
		return nil
	}
	return &storage.List{Entry: list, Raw: string(raw)}
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

// Purge marks what p names. When it returns nil, no lookup that starts later
// returns anything whose origin was asked before. When it returns an error, the
// purge is kept and applied before the tenant's cache is used again.
func (t *Tier) Purge(n *Tenant, p storage.Purge) (storage.Head, error) {
	if reason := t.ready(n); reason != "" {
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
		list, forget := n.purges.FirstSessions()
		var err error
		if forget {
			err = t.store.Forget(n.name)
		} else if len(list) > 0 {
			_, err = t.store.Special(n.name, list, t.o.SessionTTL, t.o.Sessions)
		} else {
			return true
		}
		if err != nil {
			t.failed(n, "session", err)
			return false
		}
		n.guard.success()
		n.purges.SessionsWritten(list, forget, placeOf(t, n.name))
	}
}

// ready reports why the storage must not be asked for this tenant now: the
// breaker is open, or purges are waiting that cannot be written.
func (t *Tier) ready(n *Tenant) string {
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

// settle sees to it that the tenant's purge state is of the server that answers now,
// before it is relied on.
func (t *Tier) settle(n *Tenant) string {
	n.settling.Lock()
	defer n.settling.Unlock()
	for i := 0; i < 3; i++ { // the connection for the question may be a new one
		if !moved(t, n) {
			return ""
		}
		era := t.shared.Era(n.name)
		dropped, err := t.shared.Attach(n.name)
		if err != nil {
			return t.failed(n, "settle", err)
		}
		if dropped && n.purges.Head().Epoch != 0 {
			t.o.Log(fmt.Sprintf("odoocache: tenant %s: another server, or another run of it, answers; its cache begins anew", n.name))
		}
		if era != 0 && t.shared.Era(n.name) == era {
			n.guard.success()
			n.purges.Settled(era)
			return ""
		}
	}
	t.o.Log("odoocache: settle: connections to the storage come and go; it is not relied on")
	return policy.ReasonStoreError
}

// moved reports whether another server may answer than the one that the view's state
// was read from.
func moved(t *Tier, n *Tenant) bool {
	if t.shared == nil {
		return false
	}
	era := t.shared.Era(n.name)
	return !n.purges.IsOf(era)
}

// keep journals a purge, and sees to it that it is tried again even if no
// request comes.
func (t *Tier) keep(n *Tenant, p storage.Purge) {
	l := purges.Load{Purges: []purges.Waiting{{Purge: p, Note: &purges.Note{}}}}
	t.journal(n, l)
	inherit(t, n, l)
}

// keepSessions journals marks of sessions.
func (t *Tier) keepSessions(n *Tenant, sessions []string) {
	l := purges.Load{Sessions: make(map[string]*purges.Note, len(sessions))}
	for i := 0; i < len(sessions); i++ {
		l.Sessions[sessions[i]] = &purges.Note{}
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
		t.o.Log(fmt.Sprintf("odoocache: tenant %s: more than %d sessions wait to be noted as special; nothing is known of any session now", n.name, t.o.Sessions))
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

// askPosition asks for the tenant's position and what the view lacks.
func (t *Tier) askPosition(n *Tenant) string {
	if reason := t.ready(n); reason != "" {
		return reason
	}
	now := storage.Ticks()
	head, err := t.store.Head(n.name)
	if err != nil {
		return t.failed(n, "head", err)
	}
	n.guard.success()
	if moved(t, n) {
		return policy.ReasonStoreError
	}
	return t.sync(n, head, now)
}

// sync brings the view up to head, a position read at or after now.
func (t *Tier) sync(n *Tenant, head storage.Head, now int64) string {
	if head.Epoch == 0 {
		return t.begin(n, now)
	}
	if (*purges.View).At(n.purges, head, now) {
		return ""
	}
	return t.pull(n, now)
}

// pull reads the marks that the view lacks. now must be before the request.
func (t *Tier) pull(n *Tenant, now int64) string {
	local, ask := n.purges.NextDelta()
	d, err := t.store.Marks(n.name, local)
	if err != nil {
		return t.failed(n, "marks", err)
	}
	if d.Head.Epoch == 0 {
		return t.begin(n, now)
	}
	if d.Head.Epoch == local.Epoch && d.Head.Seq < local.Seq {
		return t.restart(n, local, d.Head, now)
	}
	n.purges.Apply(d, ask, now)
	return ""
}

// restart handles a storage whose number is lower than one that this view had
// from it before: it has lost purges (restored from a snapshot, failed over to a
// replica that lagged). Then everything of the tenant counts as purged.
func (t *Tier) restart(n *Tenant, local, head storage.Head, now int64) string {
	t.o.Log(fmt.Sprintf("odoocache: tenant %s: the storage went back from purge %d to %d; its cache begins anew", n.name, local.Seq, head.Seq))
	if err := t.store.Forget(n.name); err != nil { // marks of sessions may be lost, too
		return t.failed(n, "forget", err)
	}
	if _, err := t.store.Reset(n.name); err != nil {
		return t.failed(n, "reset", err)
	}
	return t.begin(n, now)
}

// begin starts the purge state of a tenant that has none: a new tenant, or one
// whose state was evicted. Whatever is stored is invalid then. Another process may
// take the state away at once, to begin anew: that is no fault of the storage.
func (t *Tier) begin(n *Tenant, now int64) string {
	for i := 0; i < beginTries; i++ {
		if _, err := t.store.Head(n.name); err != nil {
			return t.failed(n, "head", err)
		}
		_, ask := n.purges.NextDelta()
		d, err := t.store.Marks(n.name, storage.Head{})
		if err != nil {
			return t.failed(n, "marks", err)
		}
		if d.Head.Epoch != 0 {
			n.purges.Apply(d, ask, now)
			return ""
		}
	}
	t.o.Log(fmt.Sprintf("odoocache: tenant %s: its purge state is gone each time it is begun", n.name))
	return policy.ReasonStoreError
}

// beginTries is how often one request begins the purge state of its tenant.
const beginTries = 3

func (t *Tier) failed(n *Tenant, what string, err error) string {
	n.guard.failure(storage.Ticks())
	t.o.Log(fmt.Sprintf("odoocache: %s: %v", what, err))
	return policy.ReasonStoreError
}

// unwritten notes that something could not be written that may be lost. A storage that refuses it at once
// costs nobody time, and goes on answering lookups: that is no reason not to ask
// it any more.
func (t *Tier) unwritten(n *Tenant, what string, err error) string {
	if !errors.Is(err, storage.ErrRefused) {
		return t.failed(n, what, err)
	}
	t.o.Log(fmt.Sprintf("odoocache: %s: %v", what, err))
	return policy.ReasonStoreError
}

// Close gives back what the tier holds. What could not be written is for the tiers that
// come after it.
func (t *Tier) Close() {
	leave(t)
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.store.Close()
}

func (t *Tier) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Shared reports whether other processes use the storage, too.
func (t *Tier) Shared() bool {
	return t.shared != nil
}

// Remote returns the part of the storage that other processes share, nil if there is none.
func (t *Tier) Remote() storage.Remote {
	return t.shared
}

// Memory returns the memory tier, nil if there is none.
func (t *Tier) Memory() *memory.Sieve {
	return t.memory
}

// Open reports whether the breaker is open.
func (t *Tier) Open() bool {
	return t.breaker.open()
}

// NotAsked returns why the storage is not asked now for the tenant of a view, "" if it may
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

// Has reports whether an entry of a full key is in this process, and has not been
// purged as far as is known.
func (t *Tier) Has(n *Tenant, key string) bool {
	if t.pages == nil || t.bare {
		return false
	}
	e := t.pages.Get(t.PageKey(n, key), storage.NowMS())
	return e != nil && n.purges.Check(e) != purges.Purged
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
