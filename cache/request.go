package cache

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/fill"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/keys"
)

// upstream returns the request for the origin: the visitor's own where nothing
// can be stored; otherwise one for a whole response, or for the confirmation
// of what is stored, without the parameters that do not count, and in one of the two codings
// that keys know.
func upstream(ctx context.Context, f *fetching) *http.Request {
	v := f.v
	stored := v.entry != nil && v.state == policy.Expired
	whole := v.r.Method == http.MethodGet && len(v.r.Header["Range"]) == 0
	rewrite := v.forward != v.r.URL.RawQuery
	recode := v.whole && otherCoding(v.r.Header)
	if !stored && !rewrite && !recode && !(whole && conditional(v.r.Header)) {
		return v.r
	}
	out := v.r.Clone(ctx)
	if rewrite {
		out.URL.RawQuery = v.forward
		out.RequestURI = out.URL.RequestURI() // what Traefik's proxy goes by
	}
	if recode {
		out.Header["Accept-Encoding"] = []string{keys.Coding(v.r.Header)}
	}
	if stored && whole {
		policy.Conditional(out.Header, v.entry.Header)
	} else if whole {
		policy.Unconditional(out.Header)
	}
	return out
}

// otherCoding reports whether a client takes codings in another wording than a key has.
func otherCoding(h http.Header) bool {
	lines := h["Accept-Encoding"]
	return len(lines) != 1 || lines[0] != keys.Coding(h)
}

// asNobody returns the request that asks for a visit's page.
func asNobody(ctx context.Context, h *Handler, v *visit) *http.Request {
	return fill.Request(ctx, pageOf(v), &fill.Options{EdgeHeader: h.s.EdgeHeader, Edge: h.s.Edge, Address: h.s.Fill.Address})
}

// pageOf returns what the key of a visit holds.
func pageOf(v *visit) *fill.Page {
	p := &fill.Page{Rule: v.rule, Target: *v.target, Values: v.values, Passed: v.id.passed, Consent: v.consent, Zipped: atomic.LoadInt32(&v.id.zipped) != 0}
	if v.context != odoo.DefaultContext {
		p.Context = v.context
	}
	if v.list != nil {
		p.Names = v.list.Vary
		p.Varied = v.r.Header // of which those names alone are read, which are part of the key
	}
	return p
}

// ownContext is one that does not end with a visitor. Of the visitor's it has only what the
// proxy asks for to report an answer that breaks off: by the rest of it Traefik tells
// connections apart that a client has signed in on, and keeps an access log.
func ownContext(ctx context.Context) context.Context {
	return context.WithValue(context.Background(), http.ServerContextKey, ctx.Value(http.ServerContextKey))
}
