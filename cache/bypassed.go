package cache

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// passKnownBypass hands on a request whose key is known to bypass.
func passKnownBypass(h *Handler, rw http.ResponseWriter, r *http.Request) outcome {
	if r.Header["Cookie"] != nil || r.Header["Sec-Purpose"] != nil {
		return outcomeGoOn
	}
	announce(h, r)
	passByRule(h, rw, r)
	return outcomeDone
}

// passBypass hands on a request of a rule that bypasses, without examining it. It reports false
// where a session may have to be marked first.
func passBypass(h *Handler, rw http.ResponseWriter, r *http.Request, id *identity) bool {
	in := r.Header
	if id.rule.KeepsSession || id.rule.AnswerTells || r.ContentLength != 0 || in["Cookie"] != nil || in["X-Openerp-Session-Id"] != nil || in["Sec-Purpose"] != nil ||
		(r.Method != http.MethodGet && r.Method != http.MethodHead) || strings.Contains(r.URL.RawQuery, "session_id") {
		return false
	}
	rememberBypass(h, r)
	passByRule(h, rw, r)
	return true
}

// rememberBypass remembers that requests like this one bypass.
func rememberBypass(h *Handler, r *http.Request) {
	if h.s.Debug || r.Method != http.MethodGet {
		return
	}
	key := tableKey(h, r)
	if key == "" || len(key) > maxAddress {
		return
	}
	if _, known := h.bypassed.LoadOrStore(key, true); !known {
		bound(h.bypassed, h.bypasses, h.identities.max)
	}
}

// bound counts one more of what is remembered, and forgets all of it beyond a number: what is
// forgotten is found out again, and whoever makes keys up makes room for others.
func bound(m *sync.Map, count *int64, most int) {
	if atomic.AddInt64(count, 1) > int64(most) {
		atomic.StoreInt64(count, 0)
		m.Range(func(key, _ any) bool { m.Delete(key); return true })
	}
}
