//go:build ignore

package cache

import (
	"context"
	"net/http"
	"strconv"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// passBlindly hands on a request that could not be examined, or is not to be. Of its
// response the purge headers still count.
func passBlindly(h *Handler, rw http.ResponseWriter, v *visit, reason string) {
	c := &capture{rw: rw, header: http.Header{}}
	c.decide = func(c *capture) {
		applyPurgeHeaders(h, c.header)
		c.mode = passing
		label(h, c.header, forwarded(h, "bypass", 0, reason))
	}
	count(h, reason)
	h.markBlindly(v)
	h.next.ServeHTTP(c, v.r)
	endCapture(c)
}

// endCapture sees to it that a response without a body is decided, too.
func endCapture(c *capture) {
	if c.mode == undecided {
		c.WriteHeader(http.StatusOK)
	}
}

// label removes the headers that are addressed to the cache and adds
// Cache-Status after that of caches nearer to the origin (RFC 9211 §2).
func label(h *Handler, header http.Header, status string) {
	strip(h, header)
	header["Cache-Status"] = append(header["Cache-Status"], status)
}

// strip removes the headers that are addressed to the cache.
func strip(h *Handler, header http.Header) {
	for _, name := range h.addressed {
		delete(header, name)
	}
}

// edgeHeaders are the tag and purge headers beside those whose names are
// options.
var edgeHeaders = []string{
	"Surrogate-Key", "Xkey", "Cache-Tag", "Cache-Groups", "Cache-Group-Invalidation", "X-Odoo-Cache-Context",
}

// onlyIfCached answers a client that wants nothing of the origin (RFC 9111 §5.2.1.7).
func onlyIfCached(h *Handler, rw http.ResponseWriter) {
	count(h, policy.ReasonOnlyIfCached)
	label(h, rw.Header(), h.hitless(policy.ReasonOnlyIfCached))
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

// hitless is the Cache-Status of an answer that neither cache nor origin gave.
func (h *Handler) hitless(detail string) string {
	return h.s.Name + "; detail=" + detail
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
	stored    *storage.Entry
	plain     []byte     // its body, decoded
	filling   *fillState // nil: it is the visitor's own request
}

// upstream returns the request for the origin: the visitor's own where nothing
// can be stored; otherwise one for a whole response, or for the confirmation
// of what is stored, without the parameters that do not count.
func upstream(ctx context.Context, f *fetching) *http.Request {
	v := f.v
	stored := v.entry != nil && v.state == policy.Expired
	whole := v.r.Method == http.MethodGet && len(v.r.Header["Range"]) == 0
	rewrite := v.forward != v.r.URL.RawQuery
	if !stored && !rewrite && !(whole && conditional(v.r.Header)) {
		return v.r
	}
	out := v.r.Clone(ctx)
	if rewrite {
		out.URL.RawQuery = v.forward
		out.RequestURI = out.URL.RequestURI() // what Traefik's proxy goes by
	}
	if stored && whole {
		policy.Conditional(out.Header, v.entry.Header)
	} else if whole {
		policy.Unconditional(out.Header)
	}
	return out
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
			label(f.h, c.header, forwarded(f.h, f.v.fwd, 0, policy.ReasonPanic))
			copyHeader(c.rw.Header(), c.header)
			c.rw.WriteHeader(c.status)
			_, _ = c.rw.Write(c.body)
		}
	}()
	f.h.next.ServeHTTP(c, out)
	endCapture(c)
	f.aborted = false
}

func mayStandIn(f *fetching) bool {
	v := f.v
	return v.entry != nil && policy.StandsIn(v.entry.Life, v.now)
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

// decideByStored is decide where something is stored: the answer may be about that, or
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

// decideToPass is decide for an answer that the client gets as it comes.
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
		if v.cookie && !v.rule.KeepsSession && turns(v.r, c.status, c.header) {
			markAll(h, v) // before the visitor goes where it leads
		}
		addCookies(c.header, campaignCookies(h, v, nil))
		bear(h, v, c.status, c.header)
	}
	if c.mode == teeing {
		count(h, "stored")
		label(h, c.header, storedStatus(h, v.fwd, 0, f.admission.Life, v.reason))
		return
	}
	count(h, reasonOf(f))
	label(h, c.header, forwarded(h, v.fwd, 0, reasonOf(f)))
}

// compareHead drops the stored response of which a HEAD response shows that it
// is no longer what the origin has (RFC 9111 §4.3.5).
func compareHead(h *Handler, v *visit, header http.Header) {
	if !policy.HeadMatches(v.entry.Header, header, v.entry.Length()) {
		h.shared.tier.Remove(h.view, []string{v.entry.Key})
	}
}

// reasonOf says why the answer was not stored. What kept the storage from being
// asked goes first: it explains more.
func reasonOf(f *fetching) string {
	if f.v.reason != "" && f.v.head.Epoch == 0 {
		return f.v.reason
	}
	if f.admission.Reason != "" {
		return f.admission.Reason
	}
	return f.v.reason
}

// admit asks the policy, the rule and the limits whether a response may be
// stored.
func admit(f *fetching, status int, header http.Header, received int64) policy.Admission {
	v := f.v
	if v.head.Epoch == 0 && v.reason != "" { // nothing can be stored: the rest is not worth the time
		return policy.Admission{Reason: v.reason}
	}
	r := policy.Request{Method: http.MethodGet, Requested: f.requested, Received: received}
	if f.filling == nil {
		r.Method = v.r.Method
		r.Authorization = len(v.r.Header["Authorization"]) > 0
		r.Session = v.session
		r.NoStore = v.cc.NoStore
	}
	a := policy.Admit(r, status, header, v.rule.Terms)
	if f.filling != nil {
		a.Vary = notOurs(a.Vary, v.rule)
	}
	if a.Store {
		a.Reason = condition(f, header)
		a.Store = a.Reason == ""
	}
	if a.Store && v.head.Epoch == 0 {
		a.Store, a.Reason = false, v.reason
	}
	return a
}

// condition checks what the rule and the limits ask of the headers, and reads
// the tags.
func condition(f *fetching, header http.Header) string {
	h, v := f.h, f.v
	if len(v.rule.Require) > 0 && !rule.All(v.rule.Require, header) {
		return policy.ReasonRequire
	}
	if !v.rule.Terms.AnySession && !inContext(v, header) {
		return policy.ReasonContext
	}
	if len(v.rule.Refuse) > 0 && rule.Any(v.rule.Refuse, header) {
		return policy.ReasonRefuse
	}
	if headerBytes(header) > h.s.Limits.HeaderBytes {
		return policy.ReasonHeaderLimit
	}
	tags, err := keys.ParseTags(header, h.s.Limits.Tags)
	if err != nil {
		h.logf("%s %s: %v; the response was not stored", v.r.Method, v.r.URL.Path, err)
		return tagReason(err)
	}
	f.tags = hashTags(v, tags)
	return ""
}

func headerBytes(header http.Header) int {
	n := 0
	for name, lines := range header {
		for i := 0; i < len(lines); i++ {
			n += len(name) + len(lines[i]) + 4
		}
	}
	return n
}

// contentLength returns the announced length, -1 if there is none.
func contentLength(header http.Header) int64 {
	lines := header["Content-Length"]
	if len(lines) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
