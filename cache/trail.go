package cache

import (
	"net/http"
	"regexp"
	"sync"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// A module may post with each page, such as a counter of visits does. If each of these posts
// puts the session in doubt, its visitor has no hit. So what is unknown is learned, too, from two
// witnesses that have to agree.
//
// Odoo is one: it sets the cookie of the session in each answer to a request that has
// changed it (odoo/http.py, Request._save_session; older versions set it always, and are never
// believed). The pages are the other: a route is trusted once evidence has settled some
// sessions that it had put in doubt. From then on an answer without the cookie takes its
// mark back. Now and then it is left, so that evidence is found again, and one page that
// differs ends the trust.
//
// Nothing of that is kept beyond this process. What is known to change pages is never trusted.

const (
	trustAfter = 3  // sessions that were settled
	trustProbe = 16 // one mark in so many is left
	trustPause = 600 * 1000
	longTrail  = 4 // routes of one doubt
)

// trails are the routes that put sessions in doubt, and what was found out of them.
type trails struct {
	mu     sync.Mutex
	max    int // of sessions, and of routes
	routes map[string]*trail
	trust  map[string]*trust
}

// trail is what has put a session in doubt.
type trail struct {
	routes []string
	judged bool // evidence has settled it
}

// trust is what is known of a route.
type trust struct {
	settled int
	asked   int
	barred  int64 // until, Unix ms
}

// routeOf names the route of a request, as a hash: a client makes up how long its host and its
// path are. Records are told by numbers, which are left out.
func routeOf(v *visit) string {
	return keys.ID(v.r.Method + " " + v.target.Host + digits.ReplaceAllString(v.id.path, "0"))
}

var digits = regexp.MustCompile(`[0-9]+`)

// changedNothing reports whether an answer shows that its request has not changed the session
// that it has put in doubt. Then the doubt is taken back.
func changedNothing(h *Handler, v *visit, status int, header http.Header) bool {
	if v.have%4 != storage.ScoreDoubted || v.id == nil || v.id.odd || len(v.id.path) > maxAddress {
		return false
	}
	route := routeOf(v)
	if status >= http.StatusInternalServerError || passingStatus(status) || cookie.Sets(header, h.s.Session) || policy.CookieLeft(header["Set-Cookie"], v.rule.Terms) {
		leaveTrail(h.trails, v.sid, "")
		return false
	}
	if !isTrusted(h.trails, route, nowMS()) {
		leaveTrail(h.trails, v.sid, route)
		return false
	}
	h.shared.tier.Restore(h.tenant, v.sid, v.had, v.have)
	return true
}

// isTrusted reports whether a route may be believed now.
func isTrusted(m *trails, route string, now int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.trust[route]
	if t == nil || t.settled < trustAfter || now < t.barred {
		return false
	}
	t.asked++
	return t.asked%trustProbe != 0
}

// leaveTrail notes that a route has put a session in doubt. An empty route stands for one of
// which evidence says nothing.
func leaveTrail(m *trails, session, route string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.routes[session]
	if t == nil || t.judged {
		if m.routes == nil || len(m.routes) >= m.max {
			m.routes = map[string]*trail{}
		}
		t = &trail{}
		m.routes[session] = t
	}
	if len(t.routes) <= longTrail && !hasName(t.routes, route) {
		t.routes = append(t.routes, route)
	}
}

// judgeTrail notes what evidence has shown of a session, for the routes that had put it in doubt.
// If one of them is not known, it shows nothing of the others.
func judgeTrail(m *trails, session string, same bool, now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.routes[session]
	if t == nil || len(t.routes) > longTrail || same && (t.judged || hasName(t.routes, "")) {
		return
	}
	t.judged = true
	for i := 0; i < len(t.routes); i++ {
		judgeRoute(m, t.routes[i], same, now)
	}
	if !same {
		delete(m.routes, session)
	}
}

// judgeRoute notes what evidence has shown of a route. The caller holds the lock.
func judgeRoute(m *trails, route string, same bool, now int64) {
	t := m.trust[route]
	if t == nil {
		if m.trust == nil || len(m.trust) >= m.max {
			m.trust = map[string]*trust{}
		}
		t = &trust{}
		m.trust[route] = t
	}
	if same {
		t.settled++
		return
	}
	t.settled = 0
	t.barred = now + trustPause
}
