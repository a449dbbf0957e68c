package cache

import (
	"net/http"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// onlyIfCached answers a client that wants nothing of the origin (RFC 9111 §5.2.1.7).
func onlyIfCached(h *Handler, rw http.ResponseWriter) {
	count(h, policy.ReasonOnlyIfCached)
	setCacheStatus(h, rw.Header(), h.statusOf(policy.ReasonOnlyIfCached))
	rw.WriteHeader(http.StatusGatewayTimeout)
}

// fetch asks the origin with the visitor's own request, stores what may be stored, and
// answers. Pages that are filled as nobody never come here, see fillPage.
func fetch(h *Handler, rw http.ResponseWriter, v *visit) {
	markSessions(h, v)
	if !fetchOnce(h, rw, v) { // what is stored turned out to be useless, and is forgotten
		fetchOnce(h, rw, v)
	}
}

// fetchOnce is one request to the origin. It reports false if it has answered nothing.
func fetchOnce(h *Handler, rw http.ResponseWriter, v *visit) bool {
	f := &fetching{h: h, v: v, requested: v.now}
	c := &capture{rw: rw, header: http.Header{}, limit: v.rule.MaxBody}
	c.decide = func(c *capture) { decide(f, c) }
	v.sent = v.r.Header
	run(f, c, upstream(v.r.Context(), f))
	return finish(f, rw, c)
}

// fetching is one request to the origin on behalf of a visit.
type fetching struct {
	h         *Handler
	v         *visit
	requested int64 // Unix ms
	rendered  int64 // ms that the origin took
	admission policy.Admission
	tags      []string // hashed
	validated bool     // the origin confirmed the stored response
	standIn   bool     // the origin failed and a stale copy may be used
	aborted   bool     // the origin's answer broke off
	refused   bool     // by what its body holds
	end       ending   // of a body without a length
	stored    *storage.Entry
	plain     []byte     // its body, decoded
	filling   *fillState // nil: it is the visitor's own request
}

// run calls the origin. If its answer breaks off, Traefik panics with
// http.ErrAbortHandler. Where a stale copy may stand in and the client has seen
// nothing yet, that is the end of it; else the client gets what there is of the
// answer, and sees it break off.
func run(f *fetching, c *capture, out *http.Request) {
	f.aborted = true
	defer func() {
		if !f.aborted || c.mode == passing || c.mode == teeing {
			return
		}
		if mayStandIn(f) {
			if p := recover(); p != nil {
				f.standIn = true
				c.mode = holding
			}
			return
		}
		if c.mode == keeping && c.rw != nil {
			setCacheStatus(f.h, c.header, statusForwarded(f.h, f.v.fwd, 0, policy.ReasonPanic))
			copyHeader(c.rw.Header(), c.header)
			c.rw.WriteHeader(c.status)
			_, _ = c.rw.Write(c.body)
		}
	}()
	f.h.next.ServeHTTP(c, out)
	endCapture(c)
	f.aborted = false
}

// decide is called when status and headers of the origin's answer are known.
func decide(f *fetching, c *capture) {
	f.rendered = nowMS() - f.requested
	applyPurges(f.h, f.v, c.status, c.header)
	if f.v.entry != nil && decideByStored(f, c) {
		return
	}
	f.admission = admit(f, c.status, c.header, nowMS())
	length := contentLength(c.header)
	if f.admission.Store && length <= f.v.rule.MaxBody && (length >= 0 || !bodyAllowed(c.status)) {
		c.mode = keeping
		if length > 0 {
			c.body = make([]byte, 0, length)
		}
		return
	}
	decideToPass(f, c, length)
}

// decideByStored decides on an answer where something is stored: it may be about that, or
// worse than that. It reports whether everything is decided.
func decideByStored(f *fetching, c *capture) bool {
	v := f.v
	if c.status == http.StatusNotModified && v.r.Method == http.MethodGet && len(v.r.Header["Range"]) == 0 {
		f.validated = true
		c.mode = holding
		return true
	}
	if policy.IsError(c.status) && mayStandIn(f) {
		f.standIn = true
		c.mode = holding
		return true
	}
	if v.r.Method == http.MethodHead && c.status == http.StatusOK {
		compareHead(f.h, v, c.header)
	}
	return false
}

// decideToPass decides on an answer that the client gets as it comes.
func decideToPass(f *fetching, c *capture, length int64) {
	h, v := f.h, f.v
	c.mode = passing
	switch {
	case !f.admission.Store:
	case length > v.rule.MaxBody:
		f.admission.Store, f.admission.Reason = false, policy.ReasonTooLarge
	default:
		c.mode = teeing
	}
	if c.mode == passing && !policy.IsError(c.status) {
		unshared(h, v, reasonOf(f))
	}
	if c.rw != nil {
		if v.cookie && !v.rule.KeepsSession && odoo.RedirectsElsewhere(v.r, c.status, c.header) {
			markAll(h, v, false) // before the visitor goes where it leads
		}
		cookie.Add(c.header, campaignCookies(h, v, nil))
		noteNewSession(h, v, c.status, c.header)
	}
	if c.mode == teeing {
		count(h, "stored")
		setCacheStatus(h, c.header, storedStatus(h, v.fwd, 0, f.admission.Life, v.reason))
		return
	}
	count(h, reasonOf(f))
	setCacheStatus(h, c.header, statusForwarded(h, v.fwd, 0, reasonOf(f)))
}

// compareHead drops the stored response of which a HEAD response shows that it
// is no longer what the origin has (RFC 9111 §4.3.5).
func compareHead(h *Handler, v *visit, header http.Header) {
	if !policy.HeadMatches(v.entry.Header, header, v.entry.Length()) {
		h.shared.tier.Remove(h.tenant, []string{v.entry.Key})
	}
}
