package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// quick answers a plain GET of a page that is ready in memory, and reports
// whether it did. It only ever does what the long way would do for the same
// request, and knows nothing of anything else: whatever needs thought goes that
// way. It is one flat function because a call costs an interpreter more than
// the work of most functions here.
func (h *Handler) quick(rw http.ResponseWriter, r *http.Request) bool {
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
	proto, host, cookie := in["X-Forwarded-Proto"], in["X-Forwarded-Host"], in["Cookie"]
	if len(proto) > 1 || len(host) > 1 || r.ContentLength != 0 || len(in["Upgrade"]) > 0 ||
		len(in["Range"]) > 0 || len(in["If-None-Match"]) > 1 || (len(in["If-Modified-Since"]) > 0 && len(in["If-None-Match"]) == 0) ||
		len(in["If-Match"]) > 0 || len(in["If-Unmodified-Since"]) > 0 || len(in["Authorization"]) > 0 ||
		len(in["X-Openerp-Session-Id"]) > 0 || len(in["X-Odoo-Database"]) > 0 {
		return false
	}
	at := r.Host + "\n" + r.URL.RequestURI()
	if len(host) > 0 {
		at = host[0] + "\n" + at
	} else {
		at = "\n" + at
	}
	if len(proto) > 0 {
		at = "GET\n" + proto[0] + "\n" + at
	} else if r.TLS == nil {
		at = "GET\n\n" + at
	} else {
		return false
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
		return false
	}
	if id.rule.ClientDirectives && (len(in["Cache-Control"]) > 0 || len(in["Pragma"]) > 0) {
		return false
	}
	if len(cookie) > 0 && (len(cookie) > 1 || strings.Contains(cookie[0], h.s.Session) || strings.Contains(cookie[0], h.s.ContextCookie)) {
		return false
	}
	if accept := in["Accept"]; len(accept) > 0 && strings.Contains(strings.ToLower(accept[0]), "text/event-stream") {
		return false
	}
	out := rw.Header()
	if id.varies {
		if near = m.nearFor(id, r); near == "" {
			return false
		}
	}
	now := time.Now().UnixMilli()
	ready := h.shared.tier.Quick(h.view, near, now)
	if ready == nil {
		return false
	}
	if now/1000 != ready.Second {
		var plain []byte
		if ready.Plain != nil {
			plain = ready.Plain.Body
		}
		ready = h.prepare(near, ready.Entry, plain, ready.Seq, now)
	}
	form := formFor(ready, in["Accept-Encoding"], out["Vary"])
	if form == nil {
		return false
	}
	values := form.Values
	if lines := in["If-None-Match"]; len(lines) > 0 {
		if lines[0] != form.Tag || form.Tag == "" {
			return false
		}
		for i, name := range form.Names {
			out[name] = values[i]
		}
		begun = true
		notModified(rw, out)
		return true
	}
	begun = true
	for i, name := range form.Names {
		out[name] = values[i]
	}
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(form.Body) // the client's connection; nobody is left to tell
	return true
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

// ready makes a page that the long way has found fresh ready for quick.
func (h *Handler) ready(v *visit) {
	id := v.id
	e := v.entry
	if v.list != nil || v.soft || e.Status != http.StatusOK || e.Life.NoCache || v.head.Epoch == 0 || len(e.Body) == 0 ||
		len(id.rule.Headers) > 0 || v.context != "" || id.campaign || h.s.Debug || h.identities.off || h.s.Session == "" || h.s.ContextCookie == "" {
		return
	}
	near := h.shared.tier.Near(h.view, v.primary)
	if near == "" {
		return
	}
	h.identities.setNear(v, near)
	var plain []byte
	if e.Plain > 0 && !policy.AcceptsGzip(v.r.Header["Accept-Encoding"]) {
		plain, _ = e.Decoded() // the answer will tell
	}
	h.prepare(near, e, plain, v.head.Seq, v.now)
}

// prepare makes an entry ready for the second that now is in. plain is its body
// decoded, nil if that is not wanted.
func (h *Handler) prepare(near string, e *storage.Entry, plain []byte, seq, now int64) *storage.Ready {
	r := &storage.Ready{Entry: e, Until: e.Life.Born + e.Life.TTL - h.earlyWindow(e), Second: now / 1000, Seq: seq}
	fields := make(http.Header, len(e.Header)+6)
	for name, lines := range e.Header {
		fields[name] = lines
	}
	fields["Age"] = []string{policy.FormatAge(age(e, now))}
	fields["Cache-Status"] = []string{h.hit(e, now, "")}
	if plain != nil {
		r.Plain = formOf(fields, plainClient, e, plain)
	}
	r.Stored = formOf(fields, zipClient, e, nil)
	h.shared.tier.Prepare(near, r)
	return r
}

// The two kinds of clients.
var (
	plainClient = &http.Request{Header: http.Header{}}
	zipClient   = &http.Request{Header: http.Header{"Accept-Encoding": []string{"gzip"}}}
)

// formOf is what a kind of client gets of an entry.
func formOf(fields http.Header, client *http.Request, e *storage.Entry, plain []byte) *storage.Form {
	own := make(http.Header, len(fields)+3)
	for name, lines := range fields {
		own[name] = lines
	}
	f := &storage.Form{}
	f.Body, _ = represent(own, client, e, plain) // decoded already
	own["Content-Length"] = []string{strconv.Itoa(len(f.Body))}
	f.Tag = own.Get("Etag")
	for name, lines := range own {
		f.Names = append(f.Names, name)
		f.Values = append(f.Values, lines)
	}
	return f
}
