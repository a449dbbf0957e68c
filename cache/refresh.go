package cache

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
)

// refresh asks the origin in the background for a newer copy of a stale entry:
// one at a time for each key, and not more at once than limits.refreshes. The
// visitor's request is over before it is done, so it has a context of its own.
func (h *Handler) refresh(v *visit) {
	key := v.entry.Key
	if v.r.Method != http.MethodGet || !h.shared.begin(key, h.s.Limits.Refreshes) {
		return
	}
	// Of the visitor's context only what the proxy asks for to report an answer
	// that breaks off: Traefik's access log keeps a map in it, which is not for
	// two requests at a time.
	base := context.WithValue(context.Background(), http.ServerContextKey, v.r.Context().Value(http.ServerContextKey))
	ctx, cancel := context.WithTimeout(base, time.Duration(h.s.Limits.FetchTimeout)*time.Millisecond)
	b := *v
	b.r = anonymous(v.r.Clone(ctx), v.rule)
	b.state, b.fwd, b.now = policy.Expired, "stale", nowMS()
	b.cc = policy.Directives{}
	b.cookie = false // the request has no cookie of a session
	b.session = false
	b.sid = ""
	go func() {
		defer cancel()
		defer func() { h.shared.end(key) }() // the interpreter drops a deferred call of a method of ours here
		defer func() {
			if p := recover(); p != nil {
				h.count(policy.ReasonPanic)
				if p != http.ErrAbortHandler {
					h.logf("refresh of %s: %v", b.r.URL.Path, p)
				}
			}
		}()
		h.refetch(&b)
	}()
}

// refetch is fetch without a client.
func (h *Handler) refetch(v *visit) {
	f := &fetching{h: h, v: v, requested: nowMS()}
	c := &capture{header: http.Header{}, limit: v.rule.MaxBody}
	c.decide = func(c *capture) { f.decide(c) }
	f.run(c, f.upstream(v.r.Context()))
	f.finish(nil, c)
	if f.withdrawn(c) {
		h.shared.tier.Remove(h.view, []string{v.entry.Key})
	}
	h.count("refresh")
}

// withdrawn reports whether the origin's answer to a refresh says that the
// stored response is not to be used any more: another one has taken its place,
// and that may not be stored. An error leaves the stale copy its grace.
func (f *fetching) withdrawn(c *capture) bool {
	return !f.aborted && !f.standIn && !f.validated && !f.admission.Store &&
		f.v.head.Epoch != 0 && c.status >= 200 && c.status < 500
}

// anonymous takes everything out of a request that speaks of one visitor. What
// the rule varies by stays: it is what the entry is for.
func anonymous(r *http.Request, ru *rule.Rule) *http.Request {
	cookies := r.Cookies()
	for name := range r.Header {
		if hasName(ru.Headers, strings.ToLower(name)) {
			continue
		}
		switch name {
		case "Authorization", "Cookie", "Cache-Control", "Pragma", "Referer":
			delete(r.Header, name)
		}
		if strings.HasPrefix(name, "If-") || name == "Range" {
			delete(r.Header, name)
		}
	}
	for i := 0; i < len(cookies); i++ {
		if hasName(ru.Cookies, cookies[i].Name) || (ru.Language != nil && cookies[i].Name == rule.LanguageCookie) {
			r.AddCookie(cookies[i])
		}
	}
	return r
}

func hasName(list []string, name string) bool {
	for i := 0; i < len(list); i++ {
		if list[i] == name {
			return true
		}
	}
	return false
}
