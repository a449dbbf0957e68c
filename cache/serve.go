package cache

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
)

// ServeHTTP implements http.Handler. Read this first.
//
// An empty path is "/" here (RFC 9110 §4.2.3). An opaque target is in no table: it does not
// begin with a slash.
func (h *Handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	tried := outcomeGoOn
	if r.Method == http.MethodGet && r.ContentLength == 0 {
		fields := &strings.Builder{} // of the request's header that may decide on its answer
		_ = r.Header.WriteSubset(fields, h.ignoredFields)
		key := strings.Join([]string{h.prefix, r.Host, r.URL.RequestURI(), fields.String()}, "\n")
		if x, found := h.table.Load(key); found {
			p, _ := x.(*readyPage)
			if p.varies {
				tried = answerVisitor(h, rw, r, key, p)
			} else if p.remote {
				tried = answerFromRedis(h, rw, r, key, p)
			} else {
				tried = answerFromMemory(h, rw, r, key, p)
			}
		} else {
			tried = notInTable(h, rw, r, key)
		}
	}
	if tried != outcomeDone {
		serve(h, rw, r, tried == outcomeLate)
	}
}

// serve is the long way, which every kind of request can take. late is true if the
// storage was asked and did not answer.
func serve(h *Handler, rw http.ResponseWriter, r *http.Request, late bool) {
	if r.ContentLength < 0 && bodiless(r) {
		h.ServeHTTP(rw, r)
		return
	}
	if r.Method == "PURGE" || strings.HasPrefix(r.URL.Path, h.s.AdminPath) && h.isControl(r.URL.Path) {
		h.serveControl(rw, r)
		return
	}
	if len(r.Header) > mostFields {
		refuseFields(h, rw)
		return
	}
	over := clean(h, r)
	announce(h, r)
	if h.s.Debug {
		defer func() { h.trace(rw, r) }() // a deferred method call of ours may be dropped by the interpreter
	}
	if r.Header["Upgrade"] != nil && h.upgrade(rw, r, over) {
		return
	}
	if over {
		passBlindly(h, rw, &visit{r: r}, policy.ReasonRequestLimit)
		return
	}
	at := address(h, r)
	if id := knownIdentity(h.identities, at); id != nil && id.rule.Bypass && !id.odd && passBypass(h, rw, r, id) {
		return
	}
	serveVisit(h, rw, &visit{r: r, at: at, now: nowMS(), storeLate: late})
}

// bodiless reports whether a GET that does not say so has no body, and notes it there. HTTP/3
// requests say nothing of their length, nor do those of HTTP/2 that end in a frame of their own.
// What is read of a body is put back.
func bodiless(r *http.Request) bool {
	if r.ProtoMajor < 2 || r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header["Content-Length"] != nil || r.Body == nil {
		return false
	}
	first := make([]byte, 1)
	n, err := io.ReadFull(r.Body, first)
	if n == 0 && err == io.EOF {
		r.Body = http.NoBody
		r.ContentLength = 0
		return true
	}
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(first[:n]), r.Body)) // an error comes again
	return false
}

// serveVisit answers a request for which the storage may have to be asked.
func serveVisit(h *Handler, rw http.ResponseWriter, v *visit) {
	examine(h, v, false)
	if v.failed {
		passBlindly(h, rw, v, policy.ReasonInternal)
		return
	}
	if v.bypass != "" {
		pass(h, rw, v)
		return
	}
	switch v.state {
	case policy.Fresh:
		if v.refreshEarly {
			h.refresh(v)
		}
		makeReady(h, v)
		deliver(h, rw, v)
	case policy.Stale:
		h.refresh(v)
		deliver(h, rw, v)
	default:
		if v.head.Epoch == 0 && v.reason != "" && !v.cc.OnlyIfCached {
			if v.lock != nil {
				defer func() { giveBack(h, v.lock) }()
			}
			passUnstored(h, rw, v)
			return
		}
		coalesce(h, rw, v)
	}
}

// trace writes what became of a request to Traefik's log. The query is left out: it may
// be personal.
func (h *Handler) trace(rw http.ResponseWriter, r *http.Request) {
	status := "" // of this cache: those of others are the origin's words
	lines := rw.Header()["Cache-Status"]
	for i := 0; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], h.s.Name+";") {
			status = lines[i]
		}
	}
	writeDebug("odoocache: tenant " + h.s.Tenant + ": " + r.Method + " " + r.Host + h.shownPath(r.URL.EscapedPath()) + ": " + status)
}
