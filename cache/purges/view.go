package purges

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/storage"
)

// Verdict is what a view says of an entry.
type Verdict int

const (
	Valid      Verdict = 0
	SoftPurged Verdict = 1
	Purged     Verdict = 2
)

// View is what this process knows of one tenant's purge state. Checking an
// entry against it costs no round trip. It is never asked for more than it knows: what it says
// holds as of the last answer of the storage.
type View struct {
	mu       sync.RWMutex
	head     storage.Head
	floor    int64
	checked  int64 // ticks at which the state was last known to be current
	doubted  int64 // ticks up to which answers do not make it current
	asked    int64 // counts the deltas that were asked for
	adopted  int64 // the ask that brought the present epoch
	hard     map[string]int64
	soft     map[string]int64
	prefixes []prefixMark
	question *storage.Question // nil: there is none, or it has to be made
	pending  []Waiting         // purges that could not be written yet
	marks    map[string]*Note  // of sessions, hashed, that could not be written yet
	forgets  *Note             // these were too many: all that is known of sessions is to be forgotten
	waits    int               // what has still to be written
	retrying bool
	era      int64    // of the server that the state was read from; 0: none yet
	license  *License // nil: nothing has been licensed at this position
	patience int64    // ms: how old what is known may be for what is in this process
	tenant   string
	ask      Asker
}

// License says for how long pages that were ready at one position of a view may be
// used: until what is known of purges is too old, or something more is known.
type License struct {
	Until int64 // ns after Started, atomic; 0: it has been revoked
}

type prefixMark struct {
	prefix string
	seq    int64
	soft   bool
}

// MaxPrefixes bounds the prefix marks that every check has to walk. Older ones
// are replaced by a floor: what they could have meant counts as purged.
const MaxPrefixes = 64

// Asker makes questions, see storage.Remote.
type Asker func(tenant string, head storage.Head, era int64) *storage.Question

// New returns the view of a tenant of which nothing is known. patience is how old, in ms,
// what is known may be for what is in this process. ask makes questions, see Remote.
func New(tenant string, patience int64, ask Asker) *View {
	return &View{tenant: tenant, patience: patience, ask: ask, hard: map[string]int64{}, soft: map[string]int64{}, marks: map[string]*Note{}}
}

// Head returns the view's position.
func (v *View) Head() storage.Head {
	v.mu.RLock()
	head := v.head
	v.mu.RUnlock()
	return head
}

// At tells the view that the state was at head at the time now. It reports
// false if the view lacks marks.
func (v *View) At(head storage.Head, now int64) bool {
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
			atomic.StoreInt64(&v.license.Until, (now+v.patience-storage.StartedMS)*1e6)
		}
	}
}

// NextDelta returns the view's position and a number for a delta that is asked for
// with it: deltas may arrive in another order than that of their asks.
func (v *View) NextDelta() (storage.Head, int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	return v.head, v.asked
}

// Apply takes a delta over. ask is its number, now the time before it was asked
// for. A delta that is older than the view is dropped: within an epoch the
// numbers tell; epochs have no order, but one that was asked for before the
// present one was is not newer.
func (v *View) Apply(d storage.Delta, ask, now int64) {
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

func (v *View) mark(m storage.Mark) {
	kind, name := m.Member[:3], m.Member[3:]
	switch kind {
	case storage.HardTag:
		v.hard[name] = m.Seq
	case storage.SoftTag:
		v.soft[name] = m.Seq
	case storage.HardPrefix, storage.SoftPrefix:
		p := prefixMark{prefix: name, seq: m.Seq, soft: kind == storage.SoftPrefix}
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
	for len(v.prefixes) > MaxPrefixes {
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
func (v *View) Check(e *storage.Entry) Verdict {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if e.Seq == v.head.Seq && e.Epoch == v.head.Epoch && e.Seq >= v.floor { // no purge at all since
		return Valid
	}
	return v.check(e)
}

// CheckCurrent returns the verdict on an entry, the view's position, and whether
// the state was known to be current after since, so that a purge which was
// acknowledged at since is known.
func (v *View) CheckCurrent(e *storage.Entry, since int64) (verdict Verdict, head storage.Head, current bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.check(e), v.head, (*View).current(v, since)
}

// current reports whether the state was known to be current after since, and may be
// relied on. The caller holds the view's lock.
func (v *View) current(since int64) bool {
	return v.checked > since && v.head.Epoch != 0 && v.waits == 0
}

func (v *View) check(e *storage.Entry) Verdict {
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

func (p prefixMark) covers(e *storage.Entry) bool {
	if strings.HasPrefix(p.prefix, "/") {
		return strings.HasPrefix(e.Path, p.prefix)
	}
	return strings.HasPrefix(e.Host+e.Path, p.prefix)
}

// Recent reports whether what is known may be relied on for what is in this process, at the
// time now.
func (v *View) Recent(now int64) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.current(now - v.patience)
}

// IsOf reports whether the state was read from the server of an era.
func (v *View) IsOf(era int64) bool {
	v.mu.RLock()
	known := v.era
	v.mu.RUnlock()
	return known != 0 && known == era
}

// Settled notes that the state is of the server of an era.
func (v *View) Settled(era int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.era = era
	v.revoke()
	v.checked = 0 // what is known may have been lost there
}

// Distrust makes the view ask for the state before it is used again. Answers
// that are on their way may not know what has made it doubtful, and do not count.
func (v *View) Distrust(now int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.revoke()
	v.checked = 0
	v.doubted = now
}

// revoke ends what was licensed, and what could be asked in the short way. The caller holds the view's lock.
func (v *View) revoke() {
	if v.question != nil {
		v.question = nil
	}
	if v.license != nil {
		atomic.StoreInt64(&v.license.Until, 0)
		v.license = nil
	}
}

// License returns the one for a page, nil if the view has another position than the
// page or cannot be relied on.
func (v *View) License(r *storage.Ready) *License {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.head.Seq != r.Seq || v.head.Epoch != r.Entry.Epoch || v.checked == 0 || v.waits > 0 {
		return nil
	}
	if v.license == nil {
		v.license = &License{Until: (v.checked + v.patience - storage.StartedMS) * 1e6}
	}
	return v.license
}

// QuestionOf returns how the storage is asked whether the view's position is current, nil if
// the view cannot be relied on.
func QuestionOf(v *View) *storage.Question {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.question == nil && v.era != 0 && v.head.Epoch != 0 && v.waits == 0 {
		v.question = v.ask(v.tenant, v.head, v.era)
	}
	return v.question
}

// MadeQuestion returns the question of a view if it has been made, nil if not.
func MadeQuestion(v *View) *storage.Question {
	v.mu.Lock()
	q := v.question
	v.mu.Unlock()
	return q
}

// ConfirmBy notes that a question was answered as expected that was asked at a time. It
// reports false if the view has moved since, or if the answer does not make it current.
func ConfirmBy(v *View, q *storage.Question, asked int64) bool {
	v.mu.Lock()
	if v.question != q || asked <= v.doubted {
		v.mu.Unlock()
		return false
	}
	if asked > v.checked { // as confirm, without its call
		v.checked = asked
		if l := v.license; l != nil {
			atomic.StoreInt64(&l.Until, (asked+v.patience-storage.StartedMS)*1e6)
		}
	}
	v.mu.Unlock()
	return true
}

// Usable reports whether an entry that has just been stored answers a request that
// began before and has looked up its page since: the view knows of every purge that
// was acknowledged before it began.
func (v *View) Usable(e *storage.Entry) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.head.Epoch != 0 && v.checked != 0 && v.waits == 0 && v.check(e) == Valid
}
