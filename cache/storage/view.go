package storage

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/keys"
)

// The verdicts of a view on an entry.
const (
	Valid      = 0
	SoftPurged = 1
	Purged     = 2
)

// View is what this process knows of one tenant's purge state. Checking an
// entry against it costs no round trip; how current it is, Checked tells.
type View struct {
	Served   *int64 // hits that were counted by nobody else, atomic
	Bypassed *int64 // requests that a rule bypassed, likewise

	tenant     string
	askSession string // the command that asks for what is known of one, without its length and hash

	settling sync.Mutex // one asks at a time whether the server is the same

	guard *breaker // of the server that has the tenant's keys

	mu       sync.RWMutex
	head     Head
	floor    int64
	checked  int64 // ticks at which the state was last known to be current
	doubted  int64 // ticks up to which answers do not make it current
	asked    int64 // counts the deltas that were asked for
	adopted  int64 // the ask that brought the present epoch
	hard     map[string]int64
	soft     map[string]int64
	prefixes []prefixMark
	question *question        // nil: there is none, or it has to be made
	pending  []waiting        // purges that could not be written yet
	special  map[string]*note // sessions, hashed, of which that could not be written yet
	forgets  *note            // these were too many: all that is known of sessions is to be forgotten
	waits    int              // what has still to be written
	retrying bool
	era      int64            // of the server that the state was read from; 0: none yet
	license  *License         // nil: nothing has been licensed at this position
	patience int64            // ms: how old what is known may be for what is in this process
	noted    map[string]int64 // when sessions were written down as special, in ticks

	replayMu sync.Mutex // one replay of the journal at a time

	admission *admission // nil: everything is stored
}

type prefixMark struct {
	prefix string
	seq    int64
	soft   bool
}

// maxPrefixes bounds the prefix marks that every check has to walk. Older ones
// are replaced by a floor: what they could have meant counts as purged.
const maxPrefixes = 64

func newView(tenant string) *View {
	session := keys.Sessions(tenant)
	return &View{
		askSession: "*3\r\n$6\r\nZSCORE\r\n$" + strconv.Itoa(len(session)) + "\r\n" + session + "\r\n$",
		tenant:     tenant, Served: new(int64), Bypassed: new(int64), hard: map[string]int64{}, soft: map[string]int64{}, noted: map[string]int64{}, special: map[string]*note{},
	}
}

// Head returns the view's position.
func (v *View) Head() Head {
	v.mu.RLock()
	head := v.head
	v.mu.RUnlock()
	return head
}

// at tells the view that the state was at head at the time now. It reports
// false if the view lacks marks.
func (v *View) at(head Head, now int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.head != head {
		return false
	}
	(*View).confirm(v, now)
	return true
}

// confirm notes that the state was current at now.
func (v *View) confirm(now int64) {
	if now > v.checked && now > v.doubted {
		v.checked = now
		if v.license != nil {
			atomic.StoreInt64(&v.license.Until, (now+v.patience-startedMS)*1e6)
		}
	}
}

// ask returns the view's position and a number for a delta that is asked for
// with it: deltas may arrive in another order than that of their asks.
func (v *View) ask() (Head, int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	return v.head, v.asked
}

// apply takes a delta over. ask is its number, now the time before it was asked
// for. A delta that is older than the view is dropped: within an epoch the
// numbers tell; epochs have no order, but one that was asked for before the
// present one was is not newer.
func (v *View) apply(d Delta, ask, now int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if d.Head.Epoch == v.head.Epoch {
		if d.Head.Seq < v.head.Seq {
			return
		}
	} else if !d.Whole || ask < v.adopted {
		return
	} else {
		v.adopted = ask
	}
	v.revoke()
	if d.Whole {
		v.hard = map[string]int64{}
		v.soft = map[string]int64{}
		v.prefixes = nil
		v.floor = 0
	}
	v.head = d.Head
	floor := v.floor
	if d.Floor > v.floor {
		v.floor = d.Floor
	}
	for i := 0; i < len(d.Marks); i++ {
		v.mark(d.Marks[i])
	}
	v.trimPrefixes()
	if v.floor > floor {
		v.forget()
	}
	v.confirm(now)
}

func (v *View) mark(m Mark) {
	kind, name := m.Member[:3], m.Member[3:]
	switch kind {
	case hardTag:
		v.hard[name] = m.Seq
	case softTag:
		v.soft[name] = m.Seq
	case hardPrefix, softPrefix:
		p := prefixMark{prefix: name, seq: m.Seq, soft: kind == softPrefix}
		for i := 0; i < len(v.prefixes); i++ {
			if v.prefixes[i].prefix == name && v.prefixes[i].soft == p.soft {
				v.prefixes[i] = p
				return
			}
		}
		v.prefixes = append(v.prefixes, p)
	}
}

// trimPrefixes keeps the newest prefix marks and raises the floor over the rest.
func (v *View) trimPrefixes() {
	for len(v.prefixes) > maxPrefixes {
		oldest := 0
		for i := 1; i < len(v.prefixes); i++ {
			if v.prefixes[i].seq < v.prefixes[oldest].seq {
				oldest = i
			}
		}
		if seq := v.prefixes[oldest].seq; seq > v.floor {
			v.floor = seq
		}
		v.prefixes = append(v.prefixes[:oldest], v.prefixes[oldest+1:]...)
	}
}

// forget drops marks that the floor has made superfluous, so that a view holds
// no more than the state does.
func (v *View) forget() {
	for name, seq := range v.hard {
		if seq <= v.floor {
			delete(v.hard, name)
		}
	}
	for name, seq := range v.soft {
		if seq <= v.floor {
			delete(v.soft, name)
		}
	}
}

// Check returns whether an entry has been purged since its origin was asked.
func (v *View) Check(e *Entry) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if e.Seq == v.head.Seq && e.Epoch == v.head.Epoch && e.Seq >= v.floor { // no purge at all since
		return Valid
	}
	return v.check(e)
}

// judge is Check for the way of a hit: with the view's position, and whether
// the state was known to be current after since, so that a purge which was
// acknowledged at since is known.
func (v *View) judge(e *Entry, since int64) (verdict int, head Head, current bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.check(e), v.head, (*View).current(v, since)
}

// current reports whether the state was known to be current after since, and may be
// relied on. The caller holds the view's lock.
func (v *View) current(since int64) bool {
	return v.checked > since && v.head.Epoch != 0 && v.waits == 0
}

func (v *View) check(e *Entry) int {
	if e.Epoch != v.head.Epoch || e.Seq < v.floor || e.Seq > v.head.Seq {
		return Purged
	}
	if e.Seq == v.head.Seq { // no purge at all since
		return Valid
	}
	verdict := Valid
	for i := 0; i < len(e.Tags); i++ {
		if v.hard[e.Tags[i]] > e.Seq {
			return Purged
		}
		if v.soft[e.Tags[i]] > e.Seq {
			verdict = SoftPurged
		}
	}
	for i := 0; i < len(v.prefixes); i++ {
		p := v.prefixes[i]
		if p.seq <= e.Seq || !p.covers(e) {
			continue
		}
		if !p.soft {
			return Purged
		}
		verdict = SoftPurged
	}
	return verdict
}

func (p prefixMark) covers(e *Entry) bool {
	if strings.HasPrefix(p.prefix, "/") {
		return strings.HasPrefix(e.Path, p.prefix)
	}
	return strings.HasPrefix(e.Host+e.Path, p.prefix)
}

// settled notes that the state is of the server of an era.
func (v *View) settled(era int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.era = era
	v.revoke()
	v.checked = 0 // what is known may have been lost there
}

// Pending returns how much waits to be written: each purge counts, and the marks of
// sessions together.
func (v *View) Pending() int {
	v.mu.RLock()
	n := v.waits
	v.mu.RUnlock()
	return n
}

// distrust makes the view ask for the state before it is used again. Answers
// that are on their way may not know what has made it doubtful, and do not count.
func (v *View) distrust(now int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoke()
	v.checked = 0
	v.doubted = now
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
