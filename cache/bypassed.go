package cache

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// hotBypass hands a request on of which it is known that the cache has no part in those of
// its key.
func hotBypass(h *Handler, rw http.ResponseWriter, r *http.Request) int {
	if r.Header["Cookie"] != nil {
		return hotNo
	}
	announce(h, r)
	passByRule(h, rw, r)
	return hotYes
}

// bypass is pass for a request of which the rule says that the cache has no part in it.
// It reports false if that is not all that counts: it may be of a session, which the
// request would make a special one.
func bypass(h *Handler, rw http.ResponseWriter, r *http.Request, id *identity) bool {
	in := r.Header
	if id.rule.KeepsSession || r.ContentLength != 0 || in["Cookie"] != nil || in["X-Openerp-Session-Id"] != nil ||
		(r.Method != http.MethodGet && r.Method != http.MethodHead) || strings.Contains(r.URL.RawQuery, "session_id") {
		return false
	}
	keepBypass(h, r)
	passByRule(h, rw, r)
	return true
}

// keepBypass remembers that the cache has no part in requests like this one.
func keepBypass(h *Handler, r *http.Request) {
	if h.s.Debug || r.Method != http.MethodGet {
		return
	}
	key := hotKey(h, r)
	if key == "" || len(key) > maxAddress {
		return
	}
	if _, known := h.bypassed.LoadOrStore(key, true); !known && atomic.AddInt64(h.bypasses, 1) > int64(h.identities.max) {
		atomic.StoreInt64(h.bypasses, 0)
		h.bypassed.Range(func(key, _ any) bool { h.bypassed.Delete(key); return true })
	}
}
