package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// What became of quick.
const (
	quickNo   = 0
	quickYes  = 1
	quickLate = 2 // Redis did not answer in time, and is not to be asked again for this request
)

// quick answers a plain GET of a page that is ready, in memory or in Redis. It only ever does what the long way would do for the same
// request, and knows nothing of anything else: whatever needs thought goes that
// way. It is one flat function because a call costs an interpreter more than
// the work of most functions here.
func (h *Handler) quick(rw http.ResponseWriter, r *http.Request) int {
	begun := false
	defer func() {
		if p := recover(); p != nil {
			if begun {
				panic(p) // the client's connection
			}
			h.logf("%s %s: %v; it goes the long way", r.Method, r.URL.Path, p)
		}
	}()
	in := r.Header
	cookie := in["Cookie"]
	at := plainAddress(r, in)
	if at == "" {
		return quickNo
	}
	m := h.identities
	near := ""
	m.mu.Lock()
	id := m.byAddress[at]
	if id != nil {
		near = id.near
	}
	m.mu.Unlock()
	if near == "" {
		return quickNo
	}
	if id.rule.ClientDirectives && (len(in["Cache-Control"]) > 0 || len(in["Pragma"]) > 0) {
		return quickNo
	}
	session, asks := "", false
	if len(cookie) > 0 && (len(cookie) > 1 || strings.Contains(cookie[0], h.s.Session) || strings.Contains(cookie[0], h.s.ContextCookie)) {
		known := false
		if session, asks, known = h.quickSession(r, id); !known {
			return quickNo
		}
	}
	if accept := in["Accept"]; len(accept) > 0 && strings.Contains(strings.ToLower(accept[0]), "text/event-stream") {
		return quickNo
	}
	out := rw.Header()
	if id.varies {
		if near = m.nearFor(id, r, session); near == "" {
			return quickNo
		}
	}
	if asks {
		if known, late := h.shared.tier.QuickSession(h.view, keys.SessionID(session)); !known {
			return outcome(late)
		}
	}
	now := time.Now().UnixMilli()
	ready := h.shared.tier.Quick(h.view, near, now)
	var stored []byte
	if ready == nil {
		late := false
		if ready, stored, late = h.shared.tier.QuickRemote(h.view, near, now); ready == nil {
			return outcome(late)
		}
	}
	if now/1000 != ready.Second {
		ready = h.prepareAgain(near, ready, now)
	}
	form := formFor(ready, in["Accept-Encoding"], out["Vary"])
	if form == nil {
		return quickNo
	}
	values := form.Values
	conditions := in["If-None-Match"]
	if len(conditions) > 0 && (conditions[0] != form.Tag || form.Tag == "") {
		return quickNo
	}
	body := form.Body
	if stored != nil && len(conditions) == 0 {
		if body = bodyOf(ready, form, stored); body == nil {
			return quickNo
		}
	}
	begun = true
	for i, name := range form.Names {
		out[name] = values[i]
	}
	if len(conditions) > 0 {
		notModified(rw, out)
		return quickYes
	}
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(body) // the client's connection; nobody is left to tell
	return quickYes
}

// outcome is that of a request for which nothing is ready.
func outcome(late bool) int {
	if late {
		return quickLate
	}
	return quickNo
}

// plainAddress is address for a GET without anything that takes thought, "" for
// any other.
func plainAddress(r *http.Request, in http.Header) string {
	proto, host := in["X-Forwarded-Proto"], in["X-Forwarded-Host"]
	if len(proto) > 1 || len(host) > 1 || r.ContentLength != 0 || len(in["Upgrade"]) > 0 ||
		len(in["Range"]) > 0 || len(in["If-None-Match"]) > 1 || (len(in["If-Modified-Since"]) > 0 && len(in["If-None-Match"]) == 0) ||
		len(in["If-Match"]) > 0 || len(in["If-Unmodified-Since"]) > 0 || len(in["Authorization"]) > 0 ||
		len(in["X-Openerp-Session-Id"]) > 0 || len(in["X-Odoo-Database"]) > 0 {
		return ""
	}
	at := r.Host + "\n" + r.URL.RequestURI()
	if len(host) > 0 {
		at = host[0] + "\n" + at
	} else {
		at = "\n" + at
	}
	if len(proto) > 0 {
		return "GET\n" + proto[0] + "\n" + at
	}
	if r.TLS != nil {
		return ""
	}
	return "GET\n\n" + at
}

// formFor returns the form of a page that a client gets, nil if that is not at hand.
// vary is what a middleware in front has set, such as compress: pages that do not
// set the same go the long way.
func formFor(ready *storage.Ready, accept, vary []string) *storage.Form {
	coded := ready.Entry.Plain > 0
	if len(vary) > 0 && (!coded || len(vary) > 1 || vary[0] != "Accept-Encoding") {
		return nil
	}
	if !coded {
		return ready.Stored
	}
	if len(accept) == 1 && accept[0] == usualCodings || policy.AcceptsGzip(accept) {
		return ready.Stored
	}
	return ready.Plain
}

// usualCodings is what the current browsers send in Accept-Encoding over TLS.
const usualCodings = "gzip, deflate, br, zstd"

// quickSession returns the session that a request with cookies of sessions or
// contexts is of, and whether it has to be known as a default one. known is false
// if that takes more thought.
func (h *Handler) quickSession(r *http.Request, id *identity) (session string, asks, known bool) {
	if len(r.Header["Cookie"]) > 1 || hasName(id.rule.Cookies, h.s.Session) || hasName(id.rule.Cookies, h.s.ContextCookie) {
		return "", false, false
	}
	asks = !id.rule.Terms.AnySession
	if strings.Contains(r.Header["Cookie"][0], h.s.ContextCookie) {
		if value, sure := rule.CookieValue(h.s.ContextCookie, r); !sure || value != defaultContext {
			return "", false, false
		}
		asks = false // the addon has said what its pages are rendered for
	}
	if !strings.Contains(r.Header["Cookie"][0], h.s.Session) {
		return "", false, true
	}
	session = rule.OnlyValue(h.s.Session, r)
	return session, asks, sessionID.MatchString(session)
}

// bodyOf returns the body of a form of a page whose body has just come from Redis,
// nil if it cannot be decoded.
func bodyOf(ready *storage.Ready, form *storage.Form, stored []byte) []byte {
	if form == ready.Stored {
		return stored
	}
	e := &storage.Entry{Body: stored, Plain: ready.Entry.Plain}
	body, _ := e.Decoded() // nil with an error
	return body
}

// ready makes a page that the long way has found fresh ready for quick.
func (h *Handler) ready(v *visit) {
	id := v.id
	e := v.entry
	if v.list != nil || v.soft || e.Status != http.StatusOK || e.Life.NoCache || v.head.Epoch == 0 || len(e.Body) == 0 ||
		len(id.rule.Headers) > 0 || (v.context != "" && v.context != defaultContext) || id.campaign || h.s.Debug || h.identities.off || h.s.Session == "" || h.s.ContextCookie == "" {
		return
	}
	near := h.shared.tier.Near(h.view, v.primary)
	if near == "" {
		return
	}
	session := ""
	if v.sid != "" {
		session = rule.OnlyValue(h.s.Session, v.r)
	}
	h.identities.setNear(v, near, session)
	var plain []byte
	if e.Plain > 0 && !policy.AcceptsGzip(v.r.Header["Accept-Encoding"]) {
		plain, _ = e.Decoded() // the answer will tell
	}
	h.prepare(near, v, plain)
}

// prepare makes a visit's entry ready for the second that it is in. plain is its body
// decoded, nil if that is not wanted.
func (h *Handler) prepare(near string, v *visit, plain []byte) {
	e := v.entry
	r := &storage.Ready{
		Entry: e, Until: e.Life.Born + e.Life.TTL - h.earlyWindow(e), Second: v.now / 1000, Seq: v.head.Seq, Recipe: h.recipe(v),
	}
	h.fill(r, len(e.Body), plain, v.now)
	h.shared.tier.Prepare(near, r)
}

// prepareAgain makes what was ready ready for another second.
func (h *Handler) prepareAgain(near string, before *storage.Ready, now int64) *storage.Ready {
	r := before.Again(now / 1000)
	var plain []byte
	if before.Plain != nil {
		plain = before.Plain.Body
		if plain == nil { // it is made when it is needed
			plain = []byte{}
		}
	}
	h.fill(r, before.Bytes(), plain, now)
	h.shared.tier.Prepare(near, r)
	return r
}

// fill makes the forms of a page whose body has size bytes as it is stored.
func (h *Handler) fill(r *storage.Ready, size int, plain []byte, now int64) {
	e := r.Entry
	fields := make(http.Header, len(e.Header)+6)
	for name, lines := range e.Header {
		fields[name] = lines
	}
	fields["Age"] = []string{policy.FormatAge(age(e, now))}
	fields["Cache-Status"] = []string{h.hit(e, now, "")}
	if plain != nil {
		r.Plain = formOf(fields, plainClient, e, plain, int(e.Plain))
	}
	r.Stored = formOf(fields, zipClient, e, nil, size)
}

// The two kinds of clients.
var (
	plainClient = &http.Request{Header: http.Header{}}
	zipClient   = &http.Request{Header: http.Header{"Accept-Encoding": []string{"gzip"}}}
)

// formOf is what a kind of client gets of an entry.
func formOf(fields http.Header, client *http.Request, e *storage.Entry, plain []byte, size int) *storage.Form {
	own := make(http.Header, len(fields)+3)
	for name, lines := range fields {
		own[name] = lines
	}
	f := &storage.Form{}
	f.Body, _ = represent(own, client, e, plain) // decoded already
	own["Content-Length"] = []string{strconv.Itoa(size)}
	f.Tag = own.Get("Etag")
	for name, lines := range own {
		f.Names = append(f.Names, name)
		f.Values = append(f.Values, lines)
	}
	return f
}
