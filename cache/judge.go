//go:build ignore

package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/fill"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// A page of a rule that says so is filled as nobody: the request that asks Odoo for it is
// built from the key alone (package fill). So the answer is the same whoever it was that
// missed it, and is given to all who wait. A visitor for whom nobody's page is not right,
// or whose page turns out to be none for everybody, asks for themselves with their own
// request, of which nothing is stored.

// fills reports whether a visit may be answered with what is asked for as nobody.
func fills(v *visit) bool {
	in := v.r.Header
	return v.r.Method == http.MethodGet && in["Range"] == nil && in["Authorization"] == nil && !v.cc.NoStore &&
		(!v.session || v.context != "" || v.rule.Terms.AnySession)
}

// passOwn hands a visitor's own request on. Nothing of its answer is stored.
func passOwn(h *Handler, rw http.ResponseWriter, v *visit) {
	markSessions(h, v)
	reason := v.own
	if reason == "" {
		reason = ownReason(v)
	}
	count(h, reason)
	t := &tap{h: h, ResponseWriter: rw, v: v, fwd: v.fwd, reason: reason, cacheable: true}
	if v.rule.Nobody {
		t.country = watchCountry(h)
	}
	through(t, v.r)
}

// ownReason says why a visitor asks for themselves where nobody has been asked.
func ownReason(v *visit) string {
	switch {
	case v.reason == policy.ReasonStoreError || v.reason == policy.ReasonSession:
		return v.reason
	case v.r.Method != http.MethodGet:
		return policy.ReasonMethod
	case v.r.Header["Authorization"] != nil:
		return policy.ReasonAuthorization
	case v.r.Header["Range"] != nil:
		return policy.ReasonPartial
	case v.cc.NoStore:
		return policy.ReasonRequestNoStore
	case v.session && v.context == "" && !v.rule.Terms.AnySession:
		return policy.ReasonSession
	}
	return v.reason
}

// fillState is what belongs to a request that is built from a key.
type fillState struct {
	cancel  func()
	ctx     context.Context
	timer   *time.Timer
	stop    func() bool     // ends the watch over the visitor
	visitor context.Context // of the visitor it was begun for, nil: there is none
	rw      http.ResponseWriter

	solo    bool   // its answer has outgrown its bound, and goes to its visitor alone
	given   bool   // its answer is not stored, and is for all who wait
	passing bool   // its answer says nothing of the page
	refused string // why its answer is for nobody
	ended   bool   // its body was in a coding that tells its end
	late    int32  // atomic: it took longer than limits.fetchTimeout
	located bool   // it was sent with the visitor's address
}

// pageOf returns what the key of a visit holds.
func pageOf(v *visit) *fill.Page {
	p := &fill.Page{Rule: v.rule, Target: *v.target, Values: v.values, Passed: v.id.passed, Consent: v.consent}
	if v.context != defaultContext {
		p.Context = v.context
	}
	if v.list != nil {
		p.Names = v.list.Vary
		p.Varied = v.r.Header // of which those names alone are read, which are part of the key
	}
	return p
}

// asNobody returns the request that asks for a visit's page.
func asNobody(ctx context.Context, h *Handler, v *visit) *http.Request {
	return fill.Request(ctx, pageOf(v), &fill.Options{EdgeHeader: h.s.EdgeHeader, Edge: h.s.Edge, Address: h.s.Fill.Address})
}

// ownContext is one that does not end with a visitor. Of the visitor's it has only what the
// proxy asks for to report an answer that breaks off: by the rest of it Traefik tells
// connections apart that a client has signed in on, and keeps an access log.
func ownContext(ctx context.Context) context.Context {
	return context.WithValue(context.Background(), http.ServerContextKey, ctx.Value(http.ServerContextKey))
}

// fillPage asks for a visit's page as nobody, stores it, and answers. It reports false if
// it has answered nothing: then v.own says why the visitor has to ask for themselves, or
// what their page depends on has been learned, and it is another one.
func fillPage(h *Handler, rw http.ResponseWriter, v *visit, fl *flight) bool {
	if v.head.Epoch == 0 { // nothing could be stored
		v.own = v.reason
		return false
	}
	g := &fillState{rw: rw}
	if fl == nil {
		fl = loneFlight()
	}
	beginFilling(h, g, fl, v.r.Context())
	defer func() { endFilling(h, g, fl) }()
	f := &fetching{h: h, v: v, requested: v.now, filling: g}
	c := &capture{rw: rw, header: http.Header{}, limit: v.rule.MaxBody}
	c.decide = func(c *capture) { judge(f, c) }
	c.outgrown = func(c *capture) { outgrowBegun(f, c) }
	out := asNobody(g.ctx, h, v)
	locate(h, f, out)
	if v.entry != nil && v.state == policy.Expired {
		policy.Conditional(out.Header, v.entry.Header)
	}
	v.sent = out.Header
	runFilling(f, c, out)
	return finishFilling(f, rw, c)
}

// beginFilling gives a filling request a life of its own: it ends after limits.fetchTimeout.
func beginFilling(h *Handler, g *fillState, fl *flight, visitor context.Context) {
	g.ctx, g.cancel = context.WithCancel(ownContext(visitor))
	g.timer = time.AfterFunc(time.Duration(h.s.Limits.FetchTimeout)*time.Millisecond, func() {
		atomic.StoreInt32(&g.late, 1)
		g.cancel()
	})
	if g.rw == nil {
		return
	}
	g.visitor = visitor
	h.shared.ends(fl, g.cancel)
	g.stop = context.AfterFunc(visitor, func() { h.shared.orphaned(fl, h.s.Fill.Abandoned) })
}

// endFilling gives back what beginFilling has begun, and lands the flight, unless it has
// landed.
func endFilling(h *Handler, g *fillState, fl *flight) {
	if g.stop != nil {
		g.stop()
		land(h.shared, fl, landing{})
	}
	g.timer.Stop()
	g.cancel()
}

// runFilling calls the origin. If its answer breaks off, Traefik panics with
// http.ErrAbortHandler.
func runFilling(f *fetching, c *capture, out *http.Request) {
	f.aborted = true
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			f.h.logf("%s: %v", f.v.id.path, p)
		}
	}()
	f.h.next.ServeHTTP(c, out)
	endCapture(c)
	f.aborted = c.broken
}

// judge is called when status and header of the origin's answer to nobody are known.
func judge(f *fetching, c *capture) {
	h, v, g := f.h, f.v, f.filling
	f.rendered = nowMS() - f.requested
	applyPurgeHeaders(h, c.header)
	c.mode = holding
	if g.ctx.Err() != nil { // this is the proxy's word for that
		g.passing = true
		return
	}
	if c.status == http.StatusNotModified && v.entry != nil {
		f.validated = true
		return
	}
	if (policy.IsError(c.status) || passingStatus(c.status)) && mayStandIn(f) {
		f.standIn = true
		return
	}
	if passingStatus(c.status) {
		g.passing = true
		f.admission.Reason = policy.ReasonStatus
		return
	}
	f.admission = admit(f, c.status, c.header, nowMS())
	length := contentLength(c.header)
	switch {
	case f.admission.Store || givable(h, v, c.status, c.header):
		if g.given = !f.admission.Store; g.given {
			names, reason := policy.Varies(c.header, v.rule.Terms)
			if reason != "" {
				refuse(f, reason)
				return
			}
			f.admission.Vary = notOurs(names, v.rule)
		}
		if length > c.limit {
			outgrow(f, c)
			return
		}
		c.mode = keeping
		if length > 0 {
			c.body = make([]byte, 0, length)
		}
	default:
		refuse(f, refusalOf(f, c))
		if length < 0 || length > drained {
			c.mode = cutting
		}
	}
}

// drained is the longest body, in bytes, of an answer for nobody that is read to its end,
// which spares its connection.
const drained = 64 << 10

// passingStatus reports whether a status says nothing of a page: the origin was too slow or
// had too much to do, or a proxy in between gave up.
func passingStatus(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status == statusClientClosedRequest
}

// statusClientClosedRequest is what nginx and Traefik log of a request whose client has gone.
const statusClientClosedRequest = 499

// refusalOf says why an answer is for nobody.
func refusalOf(f *fetching, c *capture) string {
	if c.status >= 300 && c.status < 400 && f.admission.Reason == policy.ReasonStatus {
		return policy.ReasonRedirect
	}
	return reasonOf(f)
}

// refuse notes that nobody's answer is not for others, before anybody who waits is told.
func refuse(f *fetching, reason string) {
	f.filling.refused = reason
	f.v.own = reason
	gone(f)
	unshared(f.h, f.v, reason)
}

// gone drops what is stored of a page whose new answer is not to be stored: that is what the
// origin has now.
func gone(f *fetching) {
	if f.v.entry != nil {
		f.h.shared.tier.Remove(f.h.view, []string{f.v.entry.Key})
	}
}

// loneFlight is that of a request that nobody waits for.
func loneFlight() *flight {
	return &flight{}
}

// givable reports whether an answer that is not stored may be given to all who wait for it:
// it is nobody's, and says that there is no page, that the origin fails, or where the page is.
func givable(h *Handler, v *visit, status int, header http.Header) bool {
	if policy.CookieLeft(header["Set-Cookie"], v.rule.Terms) || headerBytes(header) > h.s.Limits.HeaderBytes || len(header["Trailer"]) > 0 {
		return false
	}
	switch {
	case status == http.StatusNotFound || status == http.StatusGone || status >= 500:
		return true
	case status == http.StatusMovedPermanently || status == http.StatusFound || status == http.StatusSeeOther ||
		status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect:
		return leadsHome(v, header.Get("Location"))
	}
	return false
}

// leadsHome reports whether a redirect leads to the page's own address, to it in another
// language, or to another page of its module that is no higher up. One that goes up, or
// follows on parameters, may be of an address that changes something for its visitor.
func leadsHome(v *visit, location string) bool {
	to, err := v.r.URL.Parse(location)
	if err != nil || location == "" || to.User != nil || to.Opaque != "" {
		return false
	}
	if to.Host != "" && keys.FoldHost(to.Host) != keys.FoldHost(purgeHost(v.target)) {
		return false
	}
	from, there := barePath(v.id.path), barePath(to.Path)
	return from == there || module(from) != "" && module(from) == module(there) &&
		v.target.Query == "" && strings.Count(there, "/") >= strings.Count(from, "/")
}

// module is the first segment of a bare path.
func module(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// outgrow lets an answer that is larger than what is kept go to its visitor alone, as it
// comes, with the session that its tokens are of. A visitor who has a session keeps it: they
// ask for themselves, unless the answer does not depend on sessions. Others are told at once.
func outgrow(f *fetching, c *capture) {
	h, v, g := f.h, f.v, f.filling
	unshared(h, v, policy.ReasonTooLarge)
	f.admission.Store, f.admission.Reason = false, policy.ReasonTooLarge
	v.own = policy.ReasonTooLarge
	if c.status < 500 {
		gone(f)
	}
	if g.rw == nil || !meant(f) || knownByCountry(h) && !g.located ||
		v.cookie && !v.rule.Terms.AnySession { // else the tokens are of another session than the visitor's
		g.refused = policy.ReasonTooLarge
		c.mode = cutting
		return
	}
	if v.cookie { // which stays the visitor's
		delete(c.header, "Set-Cookie")
	}
	g.solo = true
	g.timer.Stop()
	context.AfterFunc(g.visitor, g.cancel)
	count(h, policy.ReasonTooLarge)
	bear(h, v, c.status, c.header)
	label(h, c.header, forwarded(h, v.fwd, 0, policy.ReasonTooLarge))
	c.mode = passing
}

// outgrowBegun is outgrow for an answer of which a part has been kept.
func outgrowBegun(f *fetching, c *capture) {
	outgrow(f, c)
	if c.mode != passing {
		return
	}
	copyHeader(c.rw.Header(), c.header)
	c.flush = true
	c.rw.WriteHeader(c.status)
	_, c.failed = c.rw.Write(c.body)
}

// finishFilling stores and answers when the origin is done. See fillPage.
func finishFilling(f *fetching, rw http.ResponseWriter, c *capture) bool {
	h, v, g := f.h, f.v, f.filling
	switch {
	case g.solo:
		if f.aborted {
			panic(http.ErrAbortHandler) // the client sees it break off, as it did
		}
		return true
	case g.refused != "": // it may have been cut off for that
		count(h, g.refused)
		return false
	case f.standIn || (f.aborted || g.passing) && mayStandIn(f):
		f.deliverStale(rw, c)
		return true
	case (f.aborted || g.passing) && atomic.LoadInt32(&g.late) != 0:
		return giveTimeout(f, rw)
	case (f.aborted || g.passing) && g.visitor != nil && g.visitor.Err() != nil: // it was ended with its visitor
		rw.WriteHeader(statusClientClosedRequest)
		return true
	case f.aborted || g.passing:
		if v.own = f.admission.Reason; v.own == "" {
			v.own = policy.ReasonPanic
		}
		unshared(h, v, v.own)
		return false
	case f.validated:
		return f.deliverValidated(rw, c)
	}
	if g.given {
		if c.status < 500 {
			gone(f)
		}
		e := givenEntry(f, c)
		if e == nil {
			return refuseGiven(f, c)
		}
		if reason := withheld(v, e); rw != nil && (reason != "" || !meant(f)) {
			if v.own = reason; reason == "" {
				v.own = reasonOf(f)
			}
			tell(f, e, reasonOf(f))
			return false
		}
		return give(f, rw, e, reasonOf(f))
	}
	reason := storeFetched(f, c, c.status, storedHeader(f, c.header))
	if reason == "" {
		shared(h.identities, v)
		count(h, "stored")
		return deliverFilled(f, rw)
	}
	count(h, reason)
	switch {
	case reason == reasonLocate:
		v.locates = true
		return false // asked again with the visitor's address
	case f.stored != nil && passes(reason): // it could not be written, or a purge has passed
		if !meant(f) {
			v.own = reason
			return false
		}
		return give(f, rw, f.stored, reason)
	case reason == policy.ReasonCountry && g.located: // of this visitor's address
		v.own = reason
		return false
	case reason == policy.ReasonPanic || reason == policy.ReasonTruncated: // of this answer
		v.own = reason
		unshared(h, v, reason)
		return false
	case reason == policy.ReasonPersonal:
		h.logf("%s: a page that was asked for as nobody has a sign of a visitor; it was not stored, and this should not be possible", v.id.path)
	}
	refuse(f, reason)
	return false
}

// deliverFilled answers with what has just been stored. It reports false if that is not what
// the visitor gets: what the answer depends on has been learned from it.
func deliverFilled(f *fetching, rw http.ResponseWriter) bool {
	h, v := f.h, f.v
	if rw == nil {
		return true
	}
	e := f.stored
	if !forConsent(h, v, e) || e.Key != flightKey(v) {
		v.entry = nil
		v.list = listIn(v, e)
		v.state = 0
		return false
	}
	sendFilled(h, rw, v, e, f.plain, storedStatus(h, v.fwd, 0, e.Life, v.reason))
	return true
}

// meant reports whether an answer that is not stored is for the visitor who has asked, by
// the fields that it differs by.
func meant(f *fetching) bool {
	v, names := f.v, f.admission.Vary
	return len(names) == 0 || keys.Variant("", names, v.r.Header) == keys.Variant("", names, v.sent)
}

// listIn returns the visit's variant list if an entry is one of its variants.
func listIn(v *visit, e *storage.Entry) *storage.Entry {
	if v.list != nil && e.Key != v.primary {
		return v.list
	}
	return nil
}

// sendFilled answers with a page that has just come from the origin. plain is its decoded
// body if that is at hand.
func sendFilled(h *Handler, rw http.ResponseWriter, v *visit, e *storage.Entry, plain []byte, status string) {
	header := rw.Header()
	copyHeader(header, e.Header)
	if lines := campaignCookies(h, v, e); len(lines) > 0 {
		addCookies(header, lines)
	}
	label(h, header, status)
	body, _ := represent(header, v.r, e, plain)
	sendBody(rw, v.r, e.Status, header, body, e.Life.Born)
}

// tell gives those who wait what is not stored, and says by which fields it differs. What
// was asked for with the visitor's address is for the visitor alone: it may show that.
func tell(f *fetching, e *storage.Entry, reason string) {
	if v := f.v; v.flight != nil && !f.filling.located {
		l := landing{given: e, reason: reason, vary: f.admission.Vary}
		if len(l.vary) > 0 {
			l.variant = keys.Variant("", l.vary, v.sent)
		}
		land(f.h.shared, v.flight, l)
	}
}

// give answers all who wait with what is not stored.
func give(f *fetching, rw http.ResponseWriter, e *storage.Entry, reason string) bool {
	h, v := f.h, f.v
	tell(f, e, reason)
	if rw != nil {
		sendFilled(h, rw, v, e, f.plain, forwarded(h, v.fwd, 0, reason))
	}
	return true
}

// refuseGiven is give for an answer whose tokens are of a session that no visitor has.
func refuseGiven(f *fetching, c *capture) bool {
	if f.v.own = policy.ReasonCSRF; c.status < 500 { // else nothing is remembered
		refuse(f, policy.ReasonCSRF)
	}
	count(f.h, policy.ReasonCSRF)
	return false
}

// givenEntry is what all who wait for an answer get that is not stored. It is nil if nobody
// could use the tokens in it.
func givenEntry(f *fetching, c *capture) *storage.Entry {
	v := f.v
	header := storedHeader(f, c.header)
	body := c.body
	if plainly(f, c, header) {
		body = c.body
		if found := tokens(body); len(found) > 0 && !f.h.s.CSRF.Tokens {
			if !f.h.s.CSRF.Complete {
				return nil
			}
			body = withPlaceholders(body, found)
		}
	}
	f.plain = body
	return &storage.Entry{
		Tenant: f.h.s.Tenant, Key: flightKey(v), Host: keys.FoldHost(purgeHost(v.target)), Path: v.id.path,
		Epoch: v.head.Epoch, Seq: v.head.Seq, Tags: givenTags(f, c.header), Life: policy.Life{Born: f.requested},
		Status: c.status, Header: header, Body: body,
	}
}

// givenTags are by what a purge tells that an answer is not to be given any more.
func givenTags(f *fetching, header http.Header) []string {
	tags, _ := keys.ParseTags(header, f.h.s.Limits.Tags) // what can be read of them
	return hashTags(f.v, tags)
}

// giveTimeout answers all who wait for a page that takes too long.
func giveTimeout(f *fetching, rw http.ResponseWriter) bool {
	v := f.v
	count(f.h, policy.ReasonTimeout)
	f.plain = []byte("Gateway Timeout")
	return give(f, rw, &storage.Entry{
		Tenant: f.h.s.Tenant, Key: flightKey(v), Host: keys.FoldHost(purgeHost(v.target)), Path: v.id.path,
		Epoch: v.head.Epoch, Seq: v.head.Seq, Tags: hashTags(v, nil), Life: policy.Life{Born: f.requested},
		Status: http.StatusGatewayTimeout, Header: http.Header{"Content-Type": []string{"text/plain; charset=utf-8"}, "Cache-Control": []string{"no-store"}}, Body: f.plain,
	}, policy.ReasonTimeout)
}

// notOurs returns of the fields that answers differ by those that are not the filling
// request's own, or part of the key already.
func notOurs(names []string, ru *rule.Rule) []string {
	var rest []string
	for i := 0; i < len(names); i++ {
		switch names[i] {
		case "accept", "accept-encoding", "user-agent", "x-forwarded-host", "x-forwarded-proto", "host":
		case "accept-language":
			if ru.Language == nil {
				rest = append(rest, names[i])
			}
		default:
			if !hasName(ru.Headers, names[i]) {
				rest = append(rest, names[i])
			}
		}
	}
	return rest
}

// plainly undoes the coding that a proxy behind the cache has put on a body although it was
// asked for none. It reports false if that cannot be done.
func plainly(f *fetching, c *capture, header http.Header) bool {
	codings := header["Content-Encoding"]
	if len(codings) == 0 {
		return true
	}
	plain, ok := decoded(codings, c.body, inflation*f.v.rule.MaxBody)
	if !ok {
		return false
	}
	c.body = plain
	f.filling.ended = true
	delete(header, "Content-Encoding")
	for _, name := range ofCoding {
		delete(header, name)
	}
	if tag := header["Etag"]; len(tag) > 0 {
		header["Etag"] = []string{policy.WeakTag(tag[0])}
	}
	return true
}

// ofCoding are fields that describe a body in its coding.
var ofCoding = []string{"Content-Length", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"}

// pageEnd is how a whole page ends: with the closing tag, and white space and comments.
var pageEnd = regexp.MustCompile(`(?i)</html\s*>(?:\s|<!--(?s:.*?)-->)*$`)

// pageTail is how much of a page is looked at for its end, in bytes.
const pageTail = 1024

// endedWell reports whether a body without an announced length ends as its content says. Not
// every proxy reports that one has broken off. A body whose end cannot be told is taken from
// an origin that the operator calls a plain one alone.
func endedWell(f *fetching, kind string, body []byte) bool {
	if f.filling == nil || f.filling.ended {
		return true
	}
	kind = strings.ToLower(kind)
	switch {
	case strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml"):
		tail := body
		if len(tail) > pageTail {
			tail = tail[len(tail)-pageTail:]
		}
		return pageEnd.Match(tail)
	case strings.Contains(kind, "json"):
		return json.Valid(body)
	case strings.Contains(kind, "xml"):
		return bytes.HasSuffix(bytes.TrimSpace(body), []byte(">"))
	}
	return false
}
