package cache

import (
	"bytes"
	"net/http"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/storage"
)

// watchedWriter is the ResponseWriter of a response that the cache only looks at: on its way to
// the client it is read for purges, and labelled. Its header is the client's.
//
// What is embedded is called without the interpreter.
type watchedWriter struct {
	http.ResponseWriter

	h       *Handler
	v       *visit // nil: one of a rule that bypasses, without a session
	fwd     string
	reason  string
	decided bool
	flush   bool

	cacheable bool // by its rule

	country *country // to be told if the body shows one, nil: nothing is

	changes  bool      // its request may have changed the session, which is to be marked again
	evidence *evidence // of the session, nil: none is looked for
}

// WriteHeader implements http.ResponseWriter.
func (t *watchedWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		if t.decided {
			return
		}
		t.decided = true
		if t.v == nil {
			passedByRule(t, status)
		} else {
			passed(t, status)
		}
	}
	t.ResponseWriter.WriteHeader(status)
	if t.flush { // a stream has begun, even if its first event is yet to come
		flush(t.ResponseWriter)
	}
}

// Write implements http.ResponseWriter.
func (t *watchedWriter) Write(p []byte) (int, error) {
	if !t.decided {
		(*watchedWriter).WriteHeader(t, http.StatusOK)
	}
	if t.country != nil {
		watch(t, p)
	}
	if t.evidence != nil {
		keepEvidence(t, p)
	}
	n, err := t.ResponseWriter.Write(p)
	if t.flush && err == nil {
		flush(t.ResponseWriter)
	}
	return n, err
}

// watch looks for the visitor's country in a part of a page, up to the end of its head.
func watch(t *watchedWriter, p []byte) {
	own := odoo.Head(p)
	if bytes.Contains(own, odoo.CountrySign) {
		learnCountries(t.h, t.country)
		t.country = nil
	}
	if len(own) < len(p) {
		t.country = nil
	}
}

// passed is called when status and headers of a response are known.
func passed(t *watchedWriter, status int) {
	h := t.h
	header := t.ResponseWriter.Header()
	if (t.cacheable || t.v.rule.AnswerTells) && t.v.cookie && !t.v.rule.KeepsSession && odoo.RedirectsElsewhere(t.v.r, status, header) {
		markAll(h, t.v, false) // before the visitor goes where it leads
	}
	if t.changes {
		t.changes = false
		if !changedNothing(h, t.v, status, header) {
			markSessions(h, t.v)
		}
	}
	if t.evidence != nil && (!mayShow(status, header) || contentLength(header) > t.evidence.limit) {
		dropEvidence(t)
	}
	passedFor(h, t.v, status, header)
	if t.country != nil && (header[odoo.ContextHeader] != nil || !isPage(header.Get("Content-Type"))) {
		t.country = nil // the addon goes by the country itself
	}
	setCacheStatus(h, header, statusForwarded(h, t.fwd, 0, t.reason))
	t.flush = header["Content-Length"] == nil && bodyAllowed(status)
}

// passedFor does what depends on who has asked.
func passedFor(h *Handler, v *visit, status int, header http.Header) {
	applyPurges(h, v, status, header)
	if v.score != 0 && v.session && header[odoo.ContextHeader] != nil {
		heedContext(h, v, status, header)
	}
	if v.newSession != "" && !cookie.Sets(header, h.s.Session) {
		cookie.Add(header, []string{v.newSession})
	}
	noteNewSession(h, v, status, header)
}

// heedContext notes what the addon says of a session: it has looked, and found a default one.
// What Odoo itself says goes before all that was seen.
func heedContext(h *Handler, v *visit, status int, header http.Header) {
	lines := header[odoo.ContextHeader]
	if len(lines) == 1 && lines[0] == odoo.DefaultContext && !changesSession(v) && (v.rule.KeepsSession || !odoo.RedirectsElsewhere(v.r, status, header)) {
		h.shared.tier.Settle(h.tenant, v.sid, v.score, storage.AllRules)
	}
}

// handOn hands a request on, and watches its response.
func handOn(t *watchedWriter, r *http.Request) {
	t.h.next.ServeHTTP(t, r)
	if !t.decided { // a response without a body
		(*watchedWriter).WriteHeader(t, http.StatusOK)
	}
}

// passedByRule is called when the header of a bypassed answer is known, where nothing depends on
// who has asked. It is kept short, since each such request needs it.
func passedByRule(t *watchedWriter, status int) {
	h := t.h
	header := t.ResponseWriter.Header()
	for _, name := range h.addressed {
		if header[name] != nil {
			applyPurgeHeaders(h, header)
			removeEdgeHeaders(h, header)
			break
		}
	}
	if header["Cache-Status"] == nil {
		header["Cache-Status"] = h.byRule
	} else {
		header["Cache-Status"] = append(header["Cache-Status"], h.byRule[0])
	}
	if header["Content-Length"] == nil {
		t.flush = bodyAllowed(status)
	}
}

// passByRule hands a request on that a rule bypasses.
func passByRule(h *Handler, rw http.ResponseWriter, r *http.Request) {
	atomic.AddInt64(h.tenant.Bypassed, 1)
	handOn(&watchedWriter{h: h, ResponseWriter: rw}, r)
}

// pass hands a request on that the cache has no part in. Its response is
// watched for purges: Odoo's answers to changes are POSTs.
func pass(h *Handler, rw http.ResponseWriter, v *visit) {
	if v.r.Header["Sec-Purpose"] != nil && refusesPrefetch(h, rw, v) {
		return
	}
	if v.rule.ReadsSession {
		readCall(v)
	}
	changes := markSessions(h, v)
	out := v.r
	if h.s.CSRF.Complete && unsafeMethod(v.r.Method) {
		done := ""
		if out, done = h.complete(v); done != "" {
			v.bypass = done
		}
	}
	count(h, v.bypass)
	t := &watchedWriter{h: h, ResponseWriter: rw, v: v, fwd: v.fwd, reason: v.bypass, changes: changes && v.r.Header["Cookie"] != nil}
	if t.changes {
		defer func() { markUnanswered(t) }()
	}
	handOn(t, out)
}

// markUnanswered marks the sessions of a request again that broke off without an answer.
func markUnanswered(t *watchedWriter) {
	if t.changes {
		t.h.markBlindly(t.v)
	}
}

// passUnstored hands a request on whose answer cannot be stored, because the storage does not
// answer: what decides on storing is not worth its time.
func passUnstored(h *Handler, rw http.ResponseWriter, v *visit) {
	markSessions(h, v)
	count(h, v.reason)
	handOn(&watchedWriter{h: h, ResponseWriter: rw, v: v, fwd: v.fwd, reason: v.reason, cacheable: true}, v.r)
}

// passBlindly hands on a request that could not be examined, or is not to be. Of its
// response the purge headers still count.
func passBlindly(h *Handler, rw http.ResponseWriter, v *visit, reason string) {
	c := &capture{rw: rw, header: http.Header{}}
	c.decide = func(c *capture) {
		applyPurgeHeaders(h, c.header)
		c.mode = passing
		setCacheStatus(h, c.header, statusForwarded(h, "bypass", 0, reason))
	}
	count(h, reason)
	h.markBlindly(v)
	h.next.ServeHTTP(c, v.r)
	endCapture(c)
}
