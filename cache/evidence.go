package cache

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/storage"
)

// A session in doubt is asked for with its cookies. If its answer is the page that nobody gets,
// the session is none of its own as far as pages of this rule show: it is given nobody's pages
// from then on. So it does not matter which module, script or address made the doubt, and a
// visitor without a cart comes back by their next page.
//
// Where nothing is known of a session at all, one page settles it for all rules: a cart, a
// wishlist or a user shows on each. What is known to change pages makes a session special,
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
	bit   int    // of the rules that it counts for
	limit int64  // bytes that are kept
	body  []byte // of the answer, as it came
	over  bool   // more than limit came
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
	e := &evidence{bit: v.rule.Evidence, limit: v.rule.MaxBody}
	if kind == storage.SessionBegins {
		e.bit = storage.AllRules
	}
	return e
}

// keepEvidence keeps a part of an answer.
func keepEvidence(e *evidence, p []byte) {
	if e.over || int64(len(e.body)+len(p)) > e.limit {
		e.over = true
		e.body = nil
		return
	}
	e.body = append(e.body, p...)
}

// mayShow reports whether an answer with this header may show that a session is a default one.
// What shows it for all rules is a page: it has the head of all pages.
func mayShow(t *watchedWriter, status int, header http.Header) bool {
	if status != http.StatusOK || header[odoo.ContextHeader] != nil {
		return false
	}
	kind := strings.ToLower(strings.TrimSpace(header.Get("Content-Type")))
	return t.evidence.bit != storage.AllRules || strings.HasPrefix(kind, "text/html")
}

// judgeEvidence settles a session if its own answer is what is stored for nobody.
func judgeEvidence(h *Handler, v *visit, e *evidence, stored *storage.Entry, own []byte) {
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
	h.shared.tier.Settle(h.tenant, v.sid, v.score, e.bit)
}

// doubts are the pauses between comparisons of sessions whose pages have differed.
type doubts struct {
	mu   sync.Mutex
	max  int // of sessions and groups of rules
	list map[string]doubt
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
