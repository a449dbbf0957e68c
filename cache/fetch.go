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

// passBlindly hands on a request that could not be examined. Of its response the
// purge headers still count.
func passBlindly(h *Handler, rw http.ResponseWriter, v *visit) {
	c := &capture{rw: rw, header: http.Header{}}
	c.decide = func(c *capture) {
		applyPurgeHeaders(h, c.header)
		c.mode = passing
		label(h, c.header, forwarded(h, "bypass", 0, policy.ReasonInternal))
	}
	count(h, policy.ReasonInternal)
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

// fetch asks the origin, stores what may be stored, and answers.
func fetch(h *Handler, rw http.ResponseWriter, v *visit) {
	if v.cc.OnlyIfCached { // RFC 9111 §5.2.1.7
		count(h, policy.ReasonOnlyIfCached)
		label(h, rw.Header(), h.hitless(policy.ReasonOnlyIfCached))
		rw.WriteHeader(http.StatusGatewayTimeout)
		return
	}
	v.visitor = namesVisitor(h, v.r)
	if asksAsNobody(v) {
		if stores(h.identities, v.id, v.now) {
			done, failed := fetchAnonymously(h, rw, v)
			if done {
				return
			}
			if !failed {
				unshared(h, v)
				noteRefused(h.identities, v.id, v.now)
			}
		}
		v.session = true // what the session gets is not for others
		v.entry = nil
		v.state = 0
	}
	markSessions(h, v)
	f := &fetching{h: h, v: v, requested: v.now}
	c := &capture{rw: rw, header: http.Header{}, limit: v.rule.MaxBody}
	c.decide = func(c *capture) { decide(f, c) }
	run(f, c, upstream(v.r.Context(), f))
	finish(f, rw, c)
}

// asksAsNobody reports whether the visitor is to be asked for as nobody in
// particular: the session is a default one, or there is none but another cookie
// that names them. Then the origin is asked without it: so nothing that was done
// to it, noticed or not, can reach others.
func asksAsNobody(v *visit) bool {
	return (v.sid != "" || v.visitor) && !v.session && v.context == "" && v.r.Method == http.MethodGet
}

// fetchAnonymously is fetch without the visitor's session. It is not done, and
// has answered nothing, if the response is not one for everybody: then the
// visitor has to ask with the session. failed says that it was an error, or that it could not
// be stored this time: that tells nothing of the page.
func fetchAnonymously(h *Handler, rw http.ResponseWriter, v *visit) (done, failed bool) {
	mine := v.r
	cookie, visitor := v.cookie, v.visitor
	v.r = h.withoutSession(mine)
	v.cookie = false
	v.visitor = false
	f := &fetching{h: h, v: v, requested: v.now, whole: true}
	c := &capture{rw: rw, header: http.Header{}, limit: v.rule.MaxBody}
	c.decide = func(c *capture) {
		decide(f, c)
		if c.mode == passing {
			c.mode = holding
		}
	}
	run(f, c, upstream(v.r.Context(), f))
	done = f.standIn || f.validated && policy.Validates(v.entry.Header, c.header) || c.mode == keeping && keepFetched(f, c) == ""
	if done {
		finish(f, rw, c)
	}
	v.r = mine
	v.cookie = cookie
	v.visitor = visitor
	return done, f.aborted || policy.IsError(c.status) || passes(f.refusal)
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
	stored    *storage.Entry
	plain     []byte // its body, decoded
	whole     bool   // the client gets nothing before the response is stored
	kept      bool   // it was tried to store it
	refusal   string // why it was not
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
	if f.admission.Store && length <= f.v.rule.MaxBody && (length >= 0 || f.whole || !bodyAllowed(c.status)) {
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
		unshared(h, v)
	}
	if c.rw != nil && !f.whole {
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
	a := policy.Admit(policy.Request{
		Method:        v.r.Method,
		Authorization: len(v.r.Header["Authorization"]) > 0,
		Session:       (v.session || v.visitor) && !agrees(v, header),
		NoStore:       v.cc.NoStore,
		Requested:     f.requested,
		Received:      received,
	}, status, header, v.rule.Terms)
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
	if (len(header["X-Odoo-Cache-Context"]) > 0 || v.context != "") && !v.rule.Terms.AnySession && !agrees(v, header) {
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
