//go:build ignore

package cache

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/fill"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// Handler answers requests from the cache of one tenant.
type Handler struct {
	s      *config.Settings
	next   http.Handler
	shared *Shared
	view   *storage.View

	away       *atomic.Int64 // 0: the storage may be asked; else storage.Away tells
	identities *identities
	serial     int64 // by which Shared finds it, 0: it does not

	table  *sync.Map // of *hotPage, by hotKey
	prefix string    // of its keys: other handlers have rules of their own

	bypassed *sync.Map // keys of requests that the cache has no part in, at most limits.addresses
	bypasses *int64    // about how many, atomic
	byRule   []string  // Cache-Status of their answers
	hit      string    // what that of a hit begins with
	hits     []string  // the same, by the seconds that are left
	ages     []string  // Age by seconds

	addressed []string        // header fields of responses that are meant for the cache
	passing   []string        // fields of requests that middlewares in front set for the origin
	telling   []string        // fields of requests that decide on what the table answers with
	usual     map[string]bool // fields of requests that have no part in it
	counting  map[string]bool // folded names of fields that count, see clean
}

// New returns a handler in front of next. It dials nothing. When ctx ends, it is
// taken for replaced: requests are still answered, nothing else is done.
func New(ctx context.Context, s *config.Settings, next http.Handler, shared *Shared) *Handler {
	h := &Handler{s: s, next: next, shared: shared, view: shared.tier.View(s.Tenant), identities: newIdentities(s.Limits.Addresses)}
	h.passing = s.Fill.Headers
	h.telling = append(append([]string{}, telling...), s.Fill.Headers...)
	h.usual = usualFor(h.telling)
	h.counting = countingFields(s)
	h.addressed = append([]string{s.CacheHeader, s.PurgeHeader}, edgeHeaders...)
	h.away = h.view.OpenUntil()
	h.table = shared.tier.Hot()
	h.bypassed = &sync.Map{}
	h.bypasses = new(int64)
	h.hit = h.s.Name + "; hit; ttl="
	h.ages = numbered("") // first: there may be no room after the others
	h.hits = numbered(h.hit)
	h.byRule = []string{forwarded(h, "bypass", 0, policy.ReasonRule)}
	h.prefix = strconv.FormatInt(shared.number(), 36)
	if s.Rewarm > 0 {
		h.serial = shared.enlist(ctx, func(r *http.Request) {
			h.ask(r, func(rw http.ResponseWriter, r *http.Request) { serve(h, rw, r, false) })
		})
	}
	return h
}

// ServeHTTP implements http.Handler. Read this first.
//
// An empty path is "/" here (RFC 9110 §4.2.3). An opaque target is in no table: it does not
// begin with a slash.
func (h *Handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	tried := hotNo
	if r.Method == http.MethodGet && r.ContentLength == 0 {
		fields := &strings.Builder{} // of the request's header that may decide on its answer
		_ = r.Header.WriteSubset(fields, h.usual)
		key := strings.Join([]string{h.prefix, r.Host, r.URL.RequestURI(), fields.String()}, "\n")
		if x, found := h.table.Load(key); found {
			p, _ := x.(*hotPage)
			if p.remote {
				tried = hotRemote(h, rw, r, key, p)
			} else {
				tried = hot(h, rw, r, key, p)
			}
		} else {
			tried = notInTable(h, rw, r, key)
		}
	}
	if tried != hotYes {
		serve(h, rw, r, tried == hotLate)
	}
}

// serve is the long way, which every kind of request can take. late is true if the
// storage was asked and did not answer.
func serve(h *Handler, rw http.ResponseWriter, r *http.Request, late bool) {
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
	if id := known(h.identities, at); id != nil && id.rule.Bypass && !id.odd && bypass(h, rw, r, id) {
		return
	}
	serveVisit(h, rw, &visit{r: r, at: at, now: nowMS(), late: late})
}

// announce tells the origin, and rules, that the cache is there. What a client says of that
// does not count.
func announce(h *Handler, r *http.Request) {
	if h.s.EdgeHeader != "" {
		r.Header[h.s.EdgeHeader] = h.s.Edge
	}
	if r.Header[fill.ContextHeader] != nil && h.s.EdgeHeader != "" {
		delete(r.Header, fill.ContextHeader)
	}
}

// serveVisit is serve for what the storage may have to be asked for.
func serveVisit(h *Handler, rw http.ResponseWriter, v *visit) {
	examine(h, v)
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
		if v.early {
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
		collapse(h, rw, v)
	}
}

// upgrade hands a request for another protocol on, so that its answer can take the
// connection over. The origin is not told of the cache: in the answer that does so a purge
// would not be seen in time, so it has to be sent as a request.
func (h *Handler) upgrade(rw http.ResponseWriter, r *http.Request, over bool) bool {
	reason := transparent(r)
	if reason == "" {
		return false
	}
	if over {
		h.markBlindly(&visit{r: r})
	} else {
		h.markTransparent(r)
	}
	if h.s.EdgeHeader != "" {
		delete(r.Header, h.s.EdgeHeader)
	}
	rw.Header().Add("Cache-Status", forwarded(h, "bypass", 0, reason))
	count(h, reason)
	t := &hijackable{h: h, ResponseWriter: rw}
	h.next.ServeHTTP(t, r)
	if !t.decided { // a response without a body
		(*hijackable).WriteHeader(t, http.StatusOK)
	}
	applyPurgeHeaders(h, rw.Header()) // of an answer that took the connection over
	return true
}

// trace writes what became of a request to Traefik's log. The query is left out: it may
// be personal.
func (h *Handler) trace(rw http.ResponseWriter, r *http.Request) {
	status := strings.Join(rw.Header()["Cache-Status"], ", ")
	writeDebug("odoocache: tenant " + h.s.Tenant + ": " + r.Method + " " + r.Host + r.URL.EscapedPath() + ": " + status)
}

// transparent names requests whose answer must reach the client through
// Traefik's own writer: a change of protocol takes the connection over. Only a
// GET or CONNECT asks for one; any other answer may carry a purge.
func transparent(r *http.Request) string {
	lines := r.Header["Upgrade"]
	if len(lines) == 0 || (r.Method != http.MethodGet && r.Method != http.MethodConnect) {
		return ""
	}
	if r.Method == http.MethodConnect || strings.EqualFold(strings.TrimSpace(lines[0]), "websocket") {
		return policy.ReasonUpgrade
	}
	delete(r.Header, "Upgrade") // nobody has to heed it (RFC 9110 §7.8)
	return ""
}
