package purges_test

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// moment is a time in ns since the checker began. All of them come from one
// monotonic clock in one process, which is the origin, too: so they can be compared.
type moment int64

const never = moment(math.MaxInt64)

func (m moment) String() string {
	return time.Duration(m).Round(time.Millisecond / 10).String()
}

// The caches of the checker: each replica has one with a memory tier and one
// without, of the same tenants in the same Redis.
const (
	caches    = 4
	noMemory  = 1 // bit of a cache's number; the other one is its replica
	ofReplica = 2
)

func remembers(cache int) bool {
	return cache&noMemory == 0
}

// purgeNote is what the checker knows of one purge.
type purgeNote struct {
	what    string
	soft    bool
	at      int   // cache that it was sent through
	version int64 // of the tenant, from the purge on
	sent    moment
	acked   moment // its answer was there; 0: not yet
	shared  moment // it is known to be in Redis; 0: not known
	kept    bool   // it could not be written at first
	removal bool   // an unsafe method: it removes what is stored, and makes no mark
}

// storedBy is how long before a removal a rendering must be over to be stored by then.
const storedBy = moment(time.Second)

// counts reports whether a purge is one that an answer has to heed. A removal is one for what
// was stored before it: in Redis, and in the memory of the cache that it was sent through.
func (p *purgeNote) counts(a *told, fromMemory bool) bool {
	return !p.removal || a.body.ended+storedBy < p.sent && !p.kept && (a.cache == p.at || !fromMemory)
}

// due returns the moment after which no request to a cache may get what the
// purge has made wrong.
func (p *purgeNote) due(cache int, staleness moment) moment {
	switch {
	case cache == p.at:
		return p.acked
	case p.shared == 0:
		return never
	case remembers(cache):
		return p.shared + staleness
	}
	return p.shared
}

// history are the purges of one thing, ordered by the moment they were sent.
type history struct {
	hard, soft []*purgeNote
}

func (h *history) add(p *purgeNote) {
	list := &h.hard
	if p.soft {
		list = &h.soft
	}
	i := sort.Search(len(*list), func(i int) bool { return (*list)[i].sent > p.sent })
	*list = append(*list, nil)
	copy((*list)[i+1:], (*list)[i:])
	(*list)[i] = p
}

// rendering is what the body of an answer says of itself.
type rendering struct {
	id      int64
	version int64 // of the tenant when it began
	began   moment
	ended   moment
}

// told is an answer of a cache.
type told struct {
	cache   int
	address string
	purges  []*history // of everything by which the page can be purged
	asked   moment     // just before the request was sent
	status  string     // Cache-Status
	body    rendering
}

func (a *told) stale() bool {
	return strings.Contains(a.status, "detail=stale-")
}

// ledger holds the purges, judges answers by them, and keeps the figures.
type ledger struct {
	clock     func() moment
	staleness moment // memory.maxStaleness

	mu        sync.Mutex
	histories map[string]*history
	copies    map[[2]int64]*staleCopy // by cache and rendering: those given as stale
	lenient   bool                    // there are faults: a copy may be stale for long
	calm      moment                  // since when there are none
	held      map[[2]int64]bool       // cache and rendering: it has been through there
	count     figuresOf
	total     figuresOf
	kinds     map[string]int
	found     []string // violations
	violated  func()   // called at each, may be nil
}

// figuresOf are the figures of a scene.
type figuresOf struct {
	answers, memory, redis, stale, shared int
	purges, refused, kept                 int
	renders, straddled                    int
	sameReplica, otherRedis, otherMemory  moment // longest time from a purge to the request for what it had made wrong
	refresh                               moment // longest time that a stale copy was given out
	keptFor                               moment // longest time that a purge was kept before it was in Redis
	violations                            int
}

func (f *figuresOf) add(g figuresOf) {
	f.answers += g.answers
	f.memory += g.memory
	f.redis += g.redis
	f.stale += g.stale
	f.shared += g.shared
	f.purges += g.purges
	f.refused += g.refused
	f.kept += g.kept
	f.renders += g.renders
	f.straddled += g.straddled
	f.violations += g.violations
	raise(&f.sameReplica, g.sameReplica)
	raise(&f.otherRedis, g.otherRedis)
	raise(&f.otherMemory, g.otherMemory)
	raise(&f.refresh, g.refresh)
	raise(&f.keptFor, g.keptFor)
}

func raise(worst *moment, m moment) {
	if m > *worst {
		*worst = m
	}
}

func newLedger(clock func() moment, staleness time.Duration) *ledger {
	return &ledger{
		clock: clock, staleness: moment(staleness), histories: map[string]*history{}, kinds: map[string]int{},
		copies: map[[2]int64]*staleCopy{}, held: map[[2]int64]bool{},
	}
}

// of returns the histories of things; they are the same for the same names.
func (l *ledger) of(names []string) []*history {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*history, 0, len(names))
	for _, name := range names {
		if l.histories[name] == nil {
			l.histories[name] = &history{}
		}
		list = append(list, l.histories[name])
	}
	return list
}

// acknowledge enters a purge whose answer has just come. Its moment is taken
// here, under the lock: so nobody judges an answer to a later request without it.
func (l *ledger) acknowledge(p *purgeNote, histories []*history, kind string, shared bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.acked = l.clock()
	if shared {
		p.shared = p.acked
	}
	for _, h := range histories {
		h.add(p)
	}
	l.count.purges++
	l.kinds[kind]++
}

// refuse counts a purge that was not acknowledged.
func (l *ledger) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.refused++
}

// keep counts purges that a replica has acknowledged and could not write yet.
func (l *ledger) keep(list []*purgeNote) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range list {
		if !p.kept {
			p.kept = true
			l.count.kept++
		}
	}
}

// share notes that purges are in Redis now.
func (l *ledger) share(list []*purgeNote) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	for _, p := range list {
		p.shared = now
		if p.kept {
			raise(&l.count.keptFor, now-p.acked)
		}
	}
}

// rendered counts a rendering, and whether a purge of the page went through while
// it was under way.
func (l *ledger) rendered(purges []*history, began, ended moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count.renders++
	for _, h := range purges {
		for i := len(h.hard) - 1; i >= 0 && h.hard[i].sent > began; i-- {
			if h.hard[i].acked < ended {
				l.count.straddled++
				return
			}
		}
	}
}

// judge counts an answer and looks for a purge that it should have heeded.
func (l *ledger) judge(a *told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fromMemory := l.sort(a)
	for _, h := range a.purges {
		for i := len(h.hard) - 1; i >= 0 && h.hard[i].sent > a.body.began; i-- {
			p := h.hard[i]
			if !p.counts(a, fromMemory) {
				continue
			}
			l.measure(p, a)
			if a.asked > p.due(a.cache, l.staleness) {
				l.violation(a, "is older than the purge of "+p.String())
				return
			}
		}
		for i := len(h.soft) - 1; i >= 0 && h.soft[i].sent > a.body.began && !a.stale(); i-- {
			if p := h.soft[i]; a.asked > p.due(a.cache, l.staleness) {
				l.violation(a, "is older than the soft purge of "+p.String()+" and not given as stale")
				return
			}
		}
	}
}

// sort counts an answer by where it came from. What a cache with memory has had
// before is there still: the memory is larger than all pages.
func (l *ledger) sort(a *told) (fromMemory bool) {
	l.count.answers++
	at := [2]int64{int64(a.cache), a.body.id}
	before := l.held[at]
	l.held[at] = true
	switch {
	case strings.Contains(a.status, "; collapsed"):
		l.count.shared++
	case !strings.Contains(a.status, "; hit"):
	case remembers(a.cache) && before:
		l.count.memory++
		fromMemory = true
	default:
		l.count.redis++
	}
	if !l.lenient && a.asked >= l.calm && strings.Contains(a.status, "store-") {
		l.violation(a, "says that Redis cannot be used, though it can")
	}
	if !a.stale() {
		return fromMemory
	}
	l.count.stale++
	c := l.copies[at]
	if c == nil {
		c = &staleCopy{first: a.asked, last: a.asked}
		l.copies[at] = c
	}
	raise(&l.count.refresh, a.asked-c.first)
	if a.asked-c.last < refreshTime {
		return fromMemory
	}
	c.last = a.asked
	if c.times++; c.times > refreshTries && !l.lenient {
		l.violation(a, fmt.Sprintf("is a copy that is stale since %v", c.first))
	}
	return fromMemory
}

// staleCopy is what has been given out as stale. Whoever gets it has it refreshed:
// so it must be gone soon, however seldom it is asked for.
type staleCopy struct {
	first, last moment
	times       int // refreshTime or more apart
}

// In refreshTime a refresh is through. It may be of no avail: a purge straddles it,
// or it is left to the other replica. But not so often.
const (
	refreshTime  = moment(700 * time.Millisecond)
	refreshTries = 8
)

// measure keeps how late an answer from before a purge was asked for.
func (l *ledger) measure(p *purgeNote, a *told) {
	switch {
	case a.cache == p.at:
		raise(&l.count.sameReplica, a.asked-p.acked)
	case p.shared == 0:
	case remembers(a.cache):
		raise(&l.count.otherMemory, a.asked-p.shared)
	default:
		raise(&l.count.otherRedis, a.asked-p.shared)
	}
}

func (p *purgeNote) String() string {
	return fmt.Sprintf("%s (version %d) through cache %d, sent %v, acknowledged %v, in Redis %v", p.what, p.version, p.at, p.sent, p.acked, p.shared)
}

// fail notes something else that an answer must not be.
func (l *ledger) fail(a *told, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violation(a, why)
}

func (l *ledger) violation(a *told, why string) {
	l.count.violations++
	l.found = append(l.found, fmt.Sprintf("%s from cache %d, asked %v, answered %v, rendered %v to %v as version %d (%s), %s",
		a.address, a.cache, a.asked, l.clock(), a.body.began, a.body.ended, a.body.version, a.status, why))
	if l.violated != nil {
		l.violated()
	}
}

// tell has f called at each violation, and now if there was one.
func (l *ledger) tell(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violated = f
	if len(l.found) > 0 {
		f()
	}
}

// turn returns the figures since the last turn, and forgets what was stale: how
// long that was given out is no matter across a fault. lenient says that there
// will be faults.
func (l *ledger) turn(lenient bool) figuresOf {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.count
	if l.lenient && !lenient {
		l.calm = l.clock()
	}
	l.lenient = lenient
	l.total.add(f)
	l.count = figuresOf{}
	l.copies = map[[2]int64]*staleCopy{}
	return f
}

// TestPurgeLedger: the ledger finds an answer that is older than a purge, where
// and from when on it must not be, and no other.
func TestPurgeLedger(t *testing.T) {
	const staleness = 100
	hit, stale := "x; hit; ttl=5", "x; hit; ttl=5; detail=stale-while-revalidate"
	tests := []struct {
		name      string
		soft      bool
		kept      bool // in Redis from 80 on
		cache     int
		asked     moment
		began     moment
		status    string
		violation bool
	}{
		{"before the answer to the purge", false, false, 0, 49, 10, hit, false},
		{"after it", false, false, 0, 51, 10, hit, true},
		{"after it, rendered after it", false, false, 0, 51, 45, hit, false},
		{"the same replica without memory", false, false, 1, 51, 10, hit, true},
		{"the other replica's memory, in time", false, false, 2, 150, 10, hit, false},
		{"the other replica's memory, too late", false, false, 2, 151, 10, hit, true},
		{"the other replica without memory", false, false, 3, 51, 10, hit, true},
		{"stale is no excuse", false, false, 0, 51, 10, stale, true},
		{"kept, where it was sent", false, true, 0, 51, 10, hit, true},
		{"kept, elsewhere", false, true, 3, 79, 10, hit, false},
		{"written later, elsewhere", false, true, 3, 81, 10, hit, true},
		{"written later, memory", false, true, 2, 180, 10, hit, false},
		{"written later, memory, too late", false, true, 2, 181, 10, hit, true},
		{"soft, given as stale", true, false, 0, 51, 10, stale, false},
		{"soft, given as fresh", true, false, 0, 51, 10, hit, true},
		{"soft, given as fresh by memory in time", true, false, 2, 150, 10, hit, false},
		{"soft, given as fresh by memory too late", true, false, 2, 151, 10, hit, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			now := moment(50)
			l := newLedger(func() moment { return now }, staleness)
			of := l.of([]string{"a", "b"})
			p := &purgeNote{soft: test.soft, sent: 40}
			l.acknowledge(p, of[:1], "tag", !test.kept)
			if now = 80; test.kept && test.asked > now {
				l.share([]*purgeNote{p})
			}
			now = 1000
			l.judge(&told{cache: test.cache, asked: test.asked, purges: of, status: test.status, body: rendering{began: test.began}})
			assert.Equal(t, test.violation, len(l.found) > 0, l.found)
			l.judge(&told{cache: test.cache, asked: test.asked, purges: of[1:], status: hit, body: rendering{began: test.began}})
			assert.Equal(t, test.violation, len(l.found) > 0, "another page: %v", l.found)
		})
	}
}

// TestPurgeLedgerRemovals: what an unsafe method removes is what was stored before it, in Redis
// and in the memory of the cache that it went through.
func TestPurgeLedgerRemovals(t *testing.T) {
	const at = 10 * moment(time.Second)
	for _, test := range []struct {
		name         string
		cache        int
		ended        moment
		before, want bool // it was given out before; it must not be now
	}{
		{"where it was sent", 0, at / 2, false, true},
		{"where it was sent, from memory", 0, at / 2, true, true},
		{"it was just being stored", 0, at - 1, false, false},
		{"rendered after it", 0, at + 1, false, false},
		{"elsewhere, from Redis", 3, at / 2, false, true},
		{"elsewhere, without memory", 3, at / 2, true, true},
		{"elsewhere, from memory", 2, at / 2, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := at + 1
			l := newLedger(func() moment { return now }, 1)
			of := l.of([]string{"a"})
			a := &told{cache: test.cache, asked: at - 1, purges: of, status: "x; hit; ttl=5", body: rendering{id: 1, began: 1, ended: test.ended}}
			if test.before {
				l.judge(a)
			}
			l.acknowledge(&purgeNote{sent: at, removal: true}, of, "unsafe method", true)
			now, a.asked = 2*at, 2*at
			l.judge(a)
			assert.Equal(t, test.want, len(l.found) > 0, l.found)
		})
	}
}

// TestPurgeLedgerStaleCopies: a stale copy may be given out now and then, but not for
// ever.
func TestPurgeLedgerStaleCopies(t *testing.T) {
	l := newLedger(func() moment { return 0 }, 0)
	a := &told{status: "x; hit; ttl=-1; detail=stale-while-revalidate"}
	for i := 0; i <= refreshTries; i++ {
		assert.Empty(t, l.found)
		for _, after := range []moment{1, 2, 3} {
			a.asked = moment(i)*(refreshTime+10) + after
			l.judge(a)
		}
	}
	a.asked += refreshTime
	l.judge(a)
	assert.NotEmpty(t, l.found)
	l = newLedger(func() moment { return 0 }, 0)
	for i := 0; i <= 2*refreshTries; i++ {
		a.asked = moment(i) * refreshTime
		a.body.id = int64(i / 2)
		l.judge(a)
	}
	assert.Empty(t, l.found, "different copies")
}

// TestPurgeLedgerOrder: purges are found in whatever order their answers came.
func TestPurgeLedgerOrder(t *testing.T) {
	h := &history{}
	for _, sent := range []moment{5, 2, 9, 7, 1} {
		h.add(&purgeNote{sent: sent})
	}
	for i, sent := range []moment{1, 2, 5, 7, 9} {
		assert.Equal(t, sent, h.hard[i].sent)
	}
}

// TestPurgeLedgerAfterAFault: who had asked while there were faults may be told of one
// afterwards, nobody else.
func TestPurgeLedgerAfterAFault(t *testing.T) {
	now := moment(0)
	l := newLedger(func() moment { return now }, 0)
	l.turn(true)
	now = 100
	l.turn(false)
	for _, asked := range []moment{50, 99} {
		l.judge(&told{asked: asked, status: "x; fwd=uri-miss; detail=store-error"})
	}
	assert.Empty(t, l.found)
	l.judge(&told{asked: 100, status: "x; fwd=uri-miss; detail=store-error"})
	assert.Len(t, l.found, 1)
}
