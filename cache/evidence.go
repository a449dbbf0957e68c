package cache

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/storage"
)

// A session in doubt is asked for with its cookies. If its answer is the page that nobody gets,
// the session is none of its own as far as pages of this rule show: it is given nobody's pages
// from then on. So it does not matter which module, script or address made the doubt, and a
// visitor without a cart comes back by their next page.
//
// Where nothing is known of a session at all, one page with Odoo's header settles it for all
// rules: a cart, a wishlist or a user shows there. What is known to change pages makes a session special,
// which no evidence lifts: a price of one's own may show on one product and not on the next.
// Only Odoo's own word does, see heedContext.
//
// One page that differs proves nothing. Odoo's workers keep pages of their own, and what is
// stored may be older. So the next page is compared again, after a pause.
//
// Whatever marks the session meanwhile is found out when the evidence is noted: its score is
// another one then.

// evidence is what a visitor's own answer shows of their session.
type evidence struct {
	begins bool   // nothing was known of the session
	since  int64  // ms: when it took its room
	lost   bool   // it had its room for too long, and another one has it
	limit  int64  // bytes that are kept
	body   []byte // of the answer, as it came; the lock of doubts guards it, and lost
}

// lookForEvidence prepares to compare the answer to a visitor's own request. It returns nil if
// that would show nothing. Whatever changes an unknown session from now on finds a note of it.
func lookForEvidence(h *Handler, v *visit) *evidence {
	if v.sid == "" || !v.session || !v.whole || v.context != "" || v.cc.NoStore || v.rule.Terms.AnySession || v.head.Epoch == 0 || changesSession(v) {
		return nil
	}
	kind := storage.KindOfScore(v.score, v.now)
	if kind == storage.SessionUnknown {
		v.score = h.shared.tier.NoteBeginning(h.tenant, v.sid)
		kind = storage.SessionBegins
	}
	if kind == storage.SessionSpecial || v.score == 0 || isPaused(h.doubts, pauseKey(v), v.now) {
		return nil
	}
	e := &evidence{limit: v.rule.MaxBody, begins: kind == storage.SessionBegins, since: nowMS()}
	if !takeRoom(h.doubts, e, h.s.Limits.Evidence) {
		return nil
	}
	return e
}

// roomTime is how long, in ms, an answer is sure of its room: pages come in less. One that is read as slowly
// as its client likes, or is not read at all, gives way to the next one then.
const roomTime = 10 * 1000

// takeRoom reports whether one more answer may be kept. giveRoom has to follow.
func takeRoom(d *doubts, e *evidence, most int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.rooms) >= most && !evict(d, e.since) {
		return false
	}
	if d.rooms == nil {
		d.rooms = map[*evidence]bool{}
	}
	d.rooms[e] = true
	return true
}

// evict takes the room of one that has had it for too long. The caller holds the lock.
func evict(d *doubts, now int64) bool {
	for other := range d.rooms {
		if now-other.since > roomTime {
			other.lost = true
			other.body = nil
			delete(d.rooms, other)
			return true
		}
	}
	return false
}

func giveRoom(d *doubts, e *evidence) {
	d.mu.Lock()
	delete(d.rooms, e)
	d.mu.Unlock()
}

// dropEvidence gives the room of an answer's evidence back.
func dropEvidence(t *watchedWriter) {
	if e := t.evidence; e != nil {
		t.evidence = nil
		giveRoom(t.h.doubts, e)
	}
}

// keepEvidence keeps a part of an answer. Of one that is too large it keeps nothing: who reads that
// slowly is not to keep its room.
func keepEvidence(t *watchedWriter, p []byte) {
	if e := t.evidence; !appendEvidence(t.h.doubts, e, p) {
		dropEvidence(t)
	}
}

func appendEvidence(d *doubts, e *evidence, p []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.lost || int64(len(e.body)+len(p)) > e.limit {
		e.body = nil
		return false
	}
	e.body = append(e.body, p...)
	return true
}

// wholeEvidence returns what was kept of an answer that has ended, nil if its room was needed.
func wholeEvidence(d *doubts, e *evidence) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return e.body
}

// mayShow reports whether an answer with this header may show that a session is a default one.
// What the addon says goes first, see heedContext.
func mayShow(status int, header http.Header) bool {
	return status == http.StatusOK && header[odoo.ContextHeader] == nil
}

// judgeEvidence settles a session if its own answer is what is stored for nobody.
func judgeEvidence(h *Handler, v *visit, e *evidence, stored *storage.Entry, own []byte) {
	if odoo.ShowsPages(v.rule.Evidence) && !odoo.IsWhole(own) {
		return
	}
	plain, err := stored.Decoded()
	if err != nil {
		return
	}
	if stored.Status != http.StatusOK || !odoo.SamePage(own, plain) {
		pause(h.doubts, pauseKey(v), nowMS())
		judgeTrail(h.trails, v.sid, false, nowMS())
		return
	}
	judgeTrail(h.trails, v.sid, true, nowMS())
	count(h, "settled")
	bit := v.rule.Evidence
	if e.begins && odoo.HasHeader(own) {
		bit = storage.AllRules
	}
	h.shared.tier.Settle(h.tenant, v.sid, v.score, bit)
}

// doubts are the pauses between comparisons of sessions whose pages have differed.
type doubts struct {
	mu    sync.Mutex
	rooms map[*evidence]bool // answers that are kept
	max   int                // of sessions and groups of rules
	list  map[string]doubt
}

type doubt struct {
	until int64 // Unix ms
	last  int64 // the last pause, in ms
}

// The pauses double from the first to the longest, in ms.
const (
	firstDoubt = 5 * 1000
	lastDoubt  = 600 * 1000
)

// pauseKey names the session and the rules of a visit.
func pauseKey(v *visit) string {
	return v.sid + strconv.Itoa(v.rule.Evidence)
}

// isPaused reports whether a session is not to be compared now.
func isPaused(d *doubts, key string, now int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now < d.list[key].until
}

// pause notes that a session's page has differed.
func pause(d *doubts, key string, now int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := 2 * d.list[key].last
	if last < firstDoubt {
		last = firstDoubt
	}
	if last > lastDoubt {
		last = lastDoubt
	}
	if d.list == nil || len(d.list) >= d.max {
		d.list = map[string]doubt{}
	}
	d.list[key] = doubt{until: now + last, last: last}
}
