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
		len(in["Range"]) > 0 || len(in["If-None-Match"]) > 0 || len(in["If-Modified-Since"]) > 0 ||
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
	if len(out["Vary"]) > 0 { // of a middleware in front, such as compress
		return false
	}
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
		ready = h.prepare(near, ready.Entry, ready.Seq, now)
	}
	begun = true
	values := ready.Values
	for i, name := range ready.Names {
		out[name] = values[i]
	}
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(ready.Body) // the client's connection; nobody is left to tell
	return true
}

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
	h.prepare(near, e, v.head.Seq, v.now)
}

// prepare makes an entry ready for the second that now is in.
func (h *Handler) prepare(near string, e *storage.Entry, seq, now int64) *storage.Ready {
	r := &storage.Ready{Entry: e, Until: e.Life.Born + e.Life.TTL - h.earlyWindow(e), Second: now / 1000, Seq: seq, Body: e.Body}
	for name, lines := range e.Header {
		if name != "Age" && name != "Cache-Status" && name != "Content-Length" {
			r.Names = append(r.Names, name)
			r.Values = append(r.Values, lines)
		}
	}
	r.Names = append(r.Names, "Age", "Cache-Status", "Content-Length")
	r.Values = append(r.Values, []string{policy.FormatAge(age(e, now))}, []string{h.hit(e, now, "")}, []string{strconv.Itoa(len(e.Body))})
	h.shared.tier.Prepare(near, r)
	return r
}
