package storage

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/keys"
)

// TierOptions configure a Tier. Times are ms.
type TierOptions struct {
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

// Tier is what the handler talks to: a storage, a memory tier in front of it,
// the views of the tenants' purge states, the journal of purges that could not
// be written, and the breaker. It never returns an entry that a purge known to
// this process has made wrong.
type Tier struct {
	o       TierOptions
	remote  Storage
	redis   *Redis // remote, if that is what it is
	seen    *Sieve // what is known of entries in Redis where there is no memory tier
	memory  *Sieve // nil: the storage is in this process itself
	here    *Sieve // the storage, if it is in this process
	breaker breaker

	near     *Sieve // what is in this process: memory, or the storage itself; may be nil
	patience int64  // ms: how old the known purge state may be for what is near

	// take keeps what another tier could not write, see hand. It is Tier.journal, handed down.
	take func(v *View, l load)

	mu     sync.Mutex
	views  map[string]*View
	closed bool
}

// NewTier puts a tier in front of a storage.
func NewTier(remote Storage, o TierOptions) *Tier {
	t := &Tier{o: o, remote: remote, views: map[string]*View{}}
	t.take = func(v *View, l load) { t.journal(v, l) }
	t.breaker.threshold, t.breaker.min, t.breaker.max = o.Failures, o.MinPause, o.MaxPause
	if o.MemoryBytes > 0 {
		t.memory = NewSieve(o.MemoryBytes)
	}
	t.near, t.patience = t.memory, o.MaxStaleness
	if r, ok := remote.(*Redis); ok {
		t.redis = r
		if t.memory == nil {
			t.seen = NewSieve(o.PreparedBytes)
		}
	}
	return t
}

// NewLocalTier puts a tier in front of a storage in this process. Its purge
// state changes through this tier alone, so what is known of it is current.
func NewLocalTier(m *Memory, o TierOptions) *Tier {
	t := NewTier(m, o)
	t.here = m.entries
	if t.memory == nil {
		t.near, t.patience = m.entries, noLimit
	}
	return t
}

// noLimit is longer than any process lives, in ms, and not too long to be counted in ns.
const noLimit = 1 << 42

// View returns the view of a tenant's purge state. A new one takes over what other tiers
// of this process could not write.
func (t *Tier) View(tenant string) *View {
	tiersMu.Lock()
	defer tiersMu.Unlock()
	v := viewOf(t, tenant)
	if v == nil {
		v = newView(tenant)
		v.guard = &t.breaker
		v.patience = t.patience
		v.admission = newAdmission(t.o.Admission)
		if t.redis != nil && t.redis.cluster != nil { // its nodes fail one by one
			v.guard = &breaker{threshold: t.o.Failures, min: t.o.MinPause, max: t.o.MaxPause}
		}
		takeOver(t, v)
		t.mu.Lock()
		t.views[tenant] = v
		t.mu.Unlock()
	}
	return v
}

// Found is the answer of a lookup.
type Found struct {
	Entry  *Entry // nil: nothing usable
	Soft   bool   // a soft purge has ended its freshness
	Memory bool   // it came from the memory tier
	Head   Head   // position of the purge state before the origin is asked; zero: do not store
	Reason string // why there is nothing: policy.ReasonStoreError and the like

	Session int    // what was learned of the session that was asked for
	List    *Entry // of LookupVaried
}

// Lookup returns what is stored under a full key.
func (t *Tier) Lookup(v *View, key string) *Found {
	now := nowMS()
	if f := fromTier(t, v, key, now); f != nil {
		if e := f.Entry; e != nil && (now >= e.Life.Born+e.Life.TTL || f.Soft) {
			noteAsked(v, key)
		}
		return f
	}
	return fromRemote(t, v, key, now)
}

// fromTier returns what the memory tier has, nil if it has nothing usable.
func fromTier(t *Tier, v *View, key string, now int64) *Found {
	if t.memory == nil {
		return nil
	}
	e := t.memory.Get(key, now)
	if e == nil {
		return nil
	}
	return t.fromMemory(v, key, e)
}

// fromMemory checks an entry of the memory tier, asking for the purge state
// first if what is known of it is too old (promise P3). It returns nil if the
// entry has been purged.
func (t *Tier) fromMemory(v *View, key string, e *Entry) *Found {
	verdict, head, current := v.judge(e, ticks()-t.o.MaxStaleness)
	if !current {
		if reason := t.refresh(v); reason != "" {
			return &Found{Reason: reason}
		}
		verdict, head, _ = v.judge(e, 0)
	}
	if verdict == Purged {
		noteAsked(v, key)
		t.memory.Remove(key)
		return nil
	}
	return &Found{Entry: e, Memory: true, Head: head, Soft: verdict == SoftPurged}
}

// LookupRemote is Lookup past the memory tier: another process may have stored a
// newer entry than the one that is there.
func (t *Tier) LookupRemote(v *View, key string) *Found {
	f := fromRemote(t, v, key, nowMS())
	if f.Entry != nil { // it may be about to be refreshed
		noteAsked(v, key)
	}
	return f
}

func fromRemote(t *Tier, v *View, key string, now int64) *Found {
	if t.redis == nil {
		return fromStorage(t, v, key, now)
	}
	v.mu.Lock()
	q := v.question // if there is one, nothing has to be done first
	v.mu.Unlock()
	if q == nil || v.guard.failures.Load() > 0 || (*Redis).era(t.redis, v.tenant) != q.era {
		if reason := (*Tier).ready(t, v); reason != "" {
			return &Found{Reason: reason}
		}
		q = newQuestion(v)
	}
	asked := ticks()
	e, head, err := lookup(t.redis, v.tenant, keys.ID(key))
	if e == nil || q == nil || head != q.head || e.Key != key || e.Tenant != v.tenant || (*Redis).era(t.redis, v.tenant) != q.era || !still(v, q, asked) {
		return found(t, v, key, e, head, err, now, asked)
	}
	if v.guard.failures.Load() > 0 {
		(*breaker).success(v.guard)
	}
	f := &Found{Head: head}
	(*Tier).accept(t, v, key, e, now, f)
	return f
}

// fromStorage is fromRemote for another storage than Redis.
func fromStorage(t *Tier, v *View, key string, now int64) *Found {
	if reason := t.ready(v); reason != "" {
		return &Found{Reason: reason}
	}
	asked := ticks()
	e, head, err := t.remote.Lookup(v.tenant, keys.ID(key))
	return found(t, v, key, e, head, err, now, asked)
}

// found checks what the storage answered.
func found(t *Tier, v *View, key string, e *Entry, head Head, err error, now, asked int64) *Found {
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return &Found{Reason: t.failed(v, "lookup", err)}
	}
	(*breaker).success(v.guard)
	if moved(t, v) { // on the way
		return &Found{Reason: policy.ReasonStoreError}
	}
	if reason := (*Tier).sync(t, v, head, asked); reason != "" {
		return &Found{Reason: reason}
	}
	f := &Found{Head: (*View).Head(v)}
	switch {
	case err != nil:
		t.o.Log(fmt.Sprintf("odoocache: %v; the entry will be replaced", err))
		f.Reason = policy.ReasonStoreCorrupt
	case e == nil:
	case e.Tenant != v.tenant || e.Key != key:
		t.o.Log("odoocache: the storage returned an entry of another tenant or key; it was not used")
		f.Reason = policy.ReasonForeign
	default:
		(*Tier).accept(t, v, key, e, now, f)
	}
	return f
}

// accept takes an entry of the remote storage unless it has been purged.
func (t *Tier) accept(v *View, key string, e *Entry, now int64, f *Found) {
	verdict := (*View).Check(v, e)
	if now >= e.Life.Born+e.Life.TTL || verdict != Valid { // it will be stored anew
		noteAsked(v, key)
	}
	if verdict == Purged {
		f.Reason = policy.ReasonPurged
		return
	}
	f.Entry = e
	f.Soft = verdict == SoftPurged
	if t.memory != nil {
		t.memory.Put(key, e, now+e.Life.Retention(now))
	}
}

// Store keeps an entry. It returns a reason if it did not.
func (t *Tier) Store(v *View, e *Entry) string {
	return t.StoreAndUnlock(v, e, nil)
}

// StoreAndUnlock is Store that gives a lock back with it. l may be nil.
func (t *Tier) StoreAndUnlock(v *View, e *Entry, l *Lock) string {
	if e.Epoch == 0 {
		return policy.ReasonStoreError // the storage did not answer before the origin was asked
	}
	if (*View).Check(v, e) == Purged {
		return policy.ReasonPurged
	}
	now := nowMS()
	ttl := e.Life.Retention(now)
	if ttl <= 0 {
		return policy.ReasonExpired
	}
	asked := ticks()
	if !(*breaker).allow(v.guard, asked) {
		return policy.ReasonBreakerOpen
	}
	if !admits(t, v, e, asked) {
		return policy.ReasonAdmission
	}
	var err error
	if l == nil || l.Released {
		err = t.remote.Store(v.tenant, keys.ID(e.Key), e, ttl)
	} else if err = t.remote.StoreAndUnlock(v.tenant, keys.ID(e.Key), e, ttl, l); err == nil {
		l.Released = true
	}
	if errors.Is(err, ErrTooLarge) {
		v.guard.success()
		return policy.ReasonTooLarge
	}
	if errors.Is(err, ErrCorrupt) { // cannot be encoded: the storage was not asked
		t.o.Log(fmt.Sprintf("odoocache: %v; %s was not stored", err, e.Path))
		return policy.ReasonStoreCorrupt
	}
	if err != nil {
		return t.unwritten(v, "store", err)
	}
	(*breaker).success(v.guard)
	if t.memory != nil {
		t.memory.Replace(e.Key, e, now+ttl) // else a lookup that finds it, the second that asks for it, puts it there
	}
	return ""
}

// Remove drops entries by their full keys. A failure leaves them to their TTL:
// nothing that must not be served depends on it.
func (t *Tier) Remove(v *View, fullKeys []string) {
	ids := make([]string, 0, len(fullKeys))
	for i := 0; i < len(fullKeys); i++ {
		if t.memory != nil {
			t.memory.Remove(fullKeys[i])
		}
		ids = append(ids, keys.ID(fullKeys[i]))
	}
	t.RemoveIDs(v, ids)
}

// Drop is Remove that drops, with the list of a page's variants, these, too. What
// fails is not tried again.
func (t *Tier) Drop(v *View, fullKeys []string) {
	ids := make([]string, 0, len(fullKeys))
	for i := 0; i < len(fullKeys); i++ {
		if s := t.memory; s != nil {
			s.Remove(fullKeys[i]) // variants are not taken from there without their list, see LookupVariant
		}
		if t.seen != nil {
			t.seen.Remove(fullKeys[i])
		}
		ids = append(ids, keys.ID(fullKeys[i]))
	}
	if len(ids) == 0 || t.ready(v) != "" {
		return
	}
	if err := t.remote.Drop(v.tenant, ids); err != nil {
		t.failed(v, "drop", err)
		return
	}
	v.guard.success()
}

// LookupVariant is Lookup for a variant that a list has led to. In the memory tier there
// may be variants of a list that was dropped.
func (t *Tier) LookupVariant(v *View, list *Entry, key string) *Found {
	if t.memory == nil || list.Has(keys.ID(key)) {
		return t.Lookup(v, key)
	}
	f := t.LookupRemote(v, key)
	if f.Entry != nil { // the list is older than the one that led to it
		t.LookupRemote(v, list.Key)
	}
	return f
}

// RemoveIDs drops entries of the storage by their identities.
func (t *Tier) RemoveIDs(v *View, ids []string) {
	if len(ids) == 0 || !v.guard.allow(ticks()) {
		return
	}
	if err := t.remote.Remove(v.tenant, ids); err != nil {
		t.failed(v, "remove", err)
		return
	}
	v.guard.success()
}

// Purge marks what p names. When it returns nil, no lookup that starts later
// returns anything whose origin was asked before. When it returns an error, the
// purge is kept and applied before the tenant's cache is used again.
func (t *Tier) Purge(v *View, p Purge) (Head, error) {
	if reason := t.ready(v); reason != "" {
		t.keep(v, p)
		return Head{}, fmt.Errorf("%w: %s; the purge is kept and will be applied", ErrUnavailable, reason)
	}
	head, err := t.write(v, p)
	if err != nil {
		t.keep(v, p)
		return Head{}, fmt.Errorf("%w; the purge is kept and will be applied", err)
	}
	tell(t, v.tenant, p)
	return head, nil
}

// write sends a purge to the storage and takes the marks over into the view.
func (t *Tier) write(v *View, p Purge) (Head, error) {
	local := v.Head()
	head, err := t.remote.Purge(v.tenant, p)
	if err != nil {
		t.failed(v, "purge", err)
		return head, err
	}
	v.guard.success()
	now := ticks()
	reason := ""
	if head.Epoch == local.Epoch && head.Seq <= local.Seq {
		reason = t.restart(v, local, head, now)
	} else {
		reason = t.pull(v, now)
	}
	if reason != "" {
		v.distrust(ticks()) // the mark is written; this view has to read it before it is used
	}
	return head, nil
}

// writeSessions writes the marks of sessions that wait for that. It reports whether none
// is left.
func (t *Tier) writeSessions(v *View) bool {
	for {
		list, forget := v.firstSessions()
		var err error
		if forget {
			err = t.remote.Forget(v.tenant)
		} else if len(list) > 0 {
			_, err = t.remote.Special(v.tenant, list, t.o.SessionTTL, t.o.Sessions)
		} else {
			return true
		}
		if err != nil {
			t.failed(v, "session", err)
			return false
		}
		v.guard.success()
		v.sessionsWritten(list, forget, placeOf(t, v.tenant))
	}
}

// ready reports why the storage must not be asked for this tenant now: the
// breaker is open, or purges are waiting that cannot be written.
func (t *Tier) ready(v *View) string {
	if !(*breaker).allow(v.guard, ticks()) {
		return refusal(v)
	}
	if moved(t, v) {
		if reason := t.settle(v); reason != "" {
			return reason
		}
	}
	if (*View).Pending(v) > 0 && !t.replay(v) {
		return policy.ReasonPurgePending
	}
	return ""
}

// refusal is why nothing is asked while the breaker is open.
func refusal(v *View) string {
	if v.Pending() > 0 {
		return policy.ReasonPurgePending
	}
	return policy.ReasonBreakerOpen
}

// settle sees to it that the tenant's purge state is of the server that answers now,
// before it is relied on.
func (t *Tier) settle(v *View) string {
	v.settling.Lock()
	defer v.settling.Unlock()
	for i := 0; i < 3; i++ { // the connection for the question may be a new one
		if !moved(t, v) {
			return ""
		}
		era := t.redis.era(v.tenant)
		dropped, err := t.redis.settle(v.tenant)
		if err != nil {
			return t.failed(v, "settle", err)
		}
		if dropped && v.Head().Epoch != 0 {
			t.o.Log(fmt.Sprintf("odoocache: tenant %s: another server, or another run of it, answers; its cache begins anew", v.tenant))
		}
		if era != 0 && t.redis.era(v.tenant) == era {
			v.guard.success()
			v.settled(era)
			return ""
		}
	}
	t.o.Log("odoocache: settle: connections to the storage come and go; it is not relied on")
	return policy.ReasonStoreError
}

// moved reports whether another server may answer than the one that the view's state
// was read from.
func moved(t *Tier, v *View) bool {
	if t.redis == nil {
		return false
	}
	era := (*Redis).era(t.redis, v.tenant)
	v.mu.RLock()
	known := v.era
	v.mu.RUnlock()
	return known == 0 || known != era
}

// keep journals a purge, and sees to it that it is tried again even if no
// request comes.
func (t *Tier) keep(v *View, p Purge) {
	l := load{purges: []waiting{{p, &note{}}}}
	t.journal(v, l)
	inherit(t, v, l)
}

// keepSessions is keep for marks of sessions.
func (t *Tier) keepSessions(v *View, sessions []string) {
	l := load{sessions: make(map[string]*note, len(sessions))}
	for i := 0; i < len(sessions); i++ {
		l.sessions[sessions[i]] = &note{}
	}
	t.journal(v, l)
	inherit(t, v, l)
}

// journal is keep for this tier alone.
func (t *Tier) journal(v *View, l load) {
	if len(l.purges) > 0 && v.journal(l.purges, t.o.Journal) {
		t.o.Log(fmt.Sprintf("odoocache: tenant %s: more than %d purges wait for the storage; they became a purge of everything", v.tenant, t.o.Journal))
	}
	if (len(l.sessions) > 0 || l.forget != nil) && v.journalSessions(l.sessions, l.forget, t.o.Sessions) {
		t.o.Log(fmt.Sprintf("odoocache: tenant %s: more than %d sessions wait to be noted as special; nothing is known of any session now", v.tenant, t.o.Sessions))
	}
	t.retryLater(v)
}

func (t *Tier) retryLater(v *View) {
	if !v.scheduleRetry() {
		return
	}
	time.AfterFunc(time.Second, func() {
		defer func() {
			if p := recover(); p != nil {
				t.o.Log(fmt.Sprintf("odoocache: retry of a purge: %v", p))
			}
		}()
		v.retryDone()
		if t.isClosed() {
			return
		}
		if v.guard.allow(ticks()) {
			t.replay(v)
		}
		if v.Pending() > 0 {
			t.retryLater(v)
		}
	})
}

// replay writes the journal in order. It reports whether nothing is left. While
// another does so there is no waiting: it can take as long as the storage is slow. A purge
// that another tier has written at this place meanwhile is not written again: its mark is read.
func (t *Tier) replay(v *View) bool {
	if !v.replayMu.TryLock() {
		return false
	}
	defer v.replayMu.Unlock()
	if !t.writeSessions(v) {
		return false
	}
	place := placeOf(t, v.tenant)
	for {
		w, ok := v.first()
		if !ok {
			return v.Pending() == 0 // what came meanwhile is for the next one
		}
		if w.note.isWritten(place) {
			if t.pull(v, ticks()) != "" {
				return false
			}
		} else if _, err := t.write(v, w.purge); err != nil {
			return false
		}
		w.note.written(place)
		v.written()
	}
}

// refresh asks for the tenant's position and what the view lacks.
func (t *Tier) refresh(v *View) string {
	if reason := t.ready(v); reason != "" {
		return reason
	}
	now := ticks()
	head, err := t.remote.Head(v.tenant)
	if err != nil {
		return t.failed(v, "head", err)
	}
	v.guard.success()
	if moved(t, v) {
		return policy.ReasonStoreError
	}
	return t.sync(v, head, now)
}

// sync brings the view up to head, a position read at or after now.
func (t *Tier) sync(v *View, head Head, now int64) string {
	if head.Epoch == 0 {
		return t.begin(v, now)
	}
	if (*View).at(v, head, now) {
		return ""
	}
	return t.pull(v, now)
}

// pull reads the marks that the view lacks. now must be before the request.
func (t *Tier) pull(v *View, now int64) string {
	local, ask := v.ask()
	d, err := t.remote.Marks(v.tenant, local)
	if err != nil {
		return t.failed(v, "marks", err)
	}
	if d.Head.Epoch == 0 {
		return t.begin(v, now)
	}
	if d.Head.Epoch == local.Epoch && d.Head.Seq < local.Seq {
		return t.restart(v, local, d.Head, now)
	}
	v.apply(d, ask, now)
	return ""
}

// restart handles a storage whose number is lower than one that this view had
// from it before: it has lost purges (restored from a snapshot, failed over to a
// replica that lagged). Then everything of the tenant counts as purged.
func (t *Tier) restart(v *View, local, head Head, now int64) string {
	t.o.Log(fmt.Sprintf("odoocache: tenant %s: the storage went back from purge %d to %d; its cache begins anew", v.tenant, local.Seq, head.Seq))
	if err := t.remote.Forget(v.tenant); err != nil { // marks of sessions may be lost, too
		return t.failed(v, "forget", err)
	}
	if _, err := t.remote.Reset(v.tenant); err != nil {
		return t.failed(v, "reset", err)
	}
	return t.begin(v, now)
}

// begin starts the purge state of a tenant that has none: a new tenant, or one
// whose state was evicted. Whatever is stored is invalid then. Another process may
// take the state away at once, to begin anew: that is no fault of the storage.
func (t *Tier) begin(v *View, now int64) string {
	for i := 0; i < beginTries; i++ {
		if _, err := t.remote.Head(v.tenant); err != nil {
			return t.failed(v, "head", err)
		}
		_, ask := v.ask()
		d, err := t.remote.Marks(v.tenant, Head{})
		if err != nil {
			return t.failed(v, "marks", err)
		}
		if d.Head.Epoch != 0 {
			v.apply(d, ask, now)
			return ""
		}
	}
	t.o.Log(fmt.Sprintf("odoocache: tenant %s: its purge state is gone each time it is begun", v.tenant))
	return policy.ReasonStoreError
}

// beginTries is how often one request begins the purge state of its tenant.
const beginTries = 3

func (t *Tier) failed(v *View, what string, err error) string {
	v.guard.failure(ticks())
	t.o.Log(fmt.Sprintf("odoocache: %s: %v", what, err))
	return policy.ReasonStoreError
}

// unwritten is failed for what may be lost. A storage that refuses it at once
// costs nobody time, and goes on answering lookups: that is no reason not to ask
// it any more.
func (t *Tier) unwritten(v *View, what string, err error) string {
	if !errors.Is(err, ErrRefused) {
		return t.failed(v, what, err)
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
	t.remote.Close()
}

func (t *Tier) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Memory returns the memory tier, nil if there is none.
func (t *Tier) Memory() *Sieve {
	return t.memory
}

// Open reports whether the tenant's storage is not asked for a while.
func (v *View) Open() bool {
	return v.guard.open()
}

// Open reports whether the breaker is open.
func (t *Tier) Open() bool {
	return t.breaker.open()
}

// Away returns why the storage is not asked now for the tenant of a view, "" if it may
// be, or if what is in this process may be relied on without it.
func Away(v *View) string {
	now := ticks()
	if now >= v.guard.until.Load() {
		return ""
	}
	v.mu.RLock()
	current := (*View).current(v, now-v.patience)
	v.mu.RUnlock()
	if current {
		return ""
	}
	return refusal(v)
}

// OpenUntil returns until when the tenant's storage is not asked, in ticks: 0 unless the
// breaker is open. Away tells whether that matters.
func (v *View) OpenUntil() *atomic.Int64 {
	return &v.guard.until
}
