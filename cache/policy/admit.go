package policy

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
)

// Request is what admission needs to know of the request.
type Request struct {
	Method        string
	Authorization bool // it had Authorization
	Session       bool // it had a session cookie of which nothing is known
	NoStore       bool // Cache-Control: no-store
	Requested     int64
	Received      int64
	Most          int64 // ms for which anything of the response may be kept, 0: there is no bound
}

// Terms are what the configuration says about a response: the rule that took
// its request, and the limits. Durations are Unset where nothing is said.
type Terms struct {
	AppHeader    string // canonical name of the application's header, X-Odoo-Cache
	TTL          int64
	Grace        int64
	StaleIfError int64
	Keep         int64 // for responses with a validator
	Statuses     []int // empty: any that is understood
	Heuristic    bool  // freshness may be guessed from Last-Modified
	AnySession   bool  // the response does not depend on the session
	DropCookies  []string
	KeepCookies  []string
	DropPattern  *regexp.Regexp // names of further cookies to drop, nil: none
	Override     Directives     // NoStore, NoCache, Private: directives of the origin to ignore
	VaryNames    int            // most field names in Vary
}

// Admission is the answer to "may I store this?".
type Admission struct {
	Store  bool
	Reason string // why not
	Life   Life
	Fields []string // header fields that must not be stored (qualified no-cache, private)
	Vary   []string // names of the request fields that select the variant, lower case, sorted
}

// heuristicStatus reports whether a status may be cached without explicit
// freshness (RFC 9110 §15.1).
func heuristicStatus(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// understood reports whether the cache knows what a status asks of it
// (RFC 9111 §3). 206 and 304 have been refused before; 226 would take delta
// encoding (RFC 3229).
func understood(status int) bool {
	return http.StatusText(status) != "" && status != http.StatusIMUsed
}

// Admit decides whether a response may be stored for others (RFC 9111 §3).
// The conditions stand in the order of the RFC; privacy goes before freshness.
func Admit(r Request, status int, h http.Header, t Terms) Admission {
	app := App{TTL: Unset, Grace: Unset, StaleIfError: Unset, End: Unset}
	if lines := h[t.AppHeader]; lines != nil {
		var err error
		if app, err = ParseApp(lines); err != nil {
			return refuse(ReasonAppHeader)
		}
	}
	targeted := false
	d := newDirectives()
	if h["Cache-Control"] != nil || h["Cdn-Cache-Control"] != nil || h["Surrogate-Control"] != nil {
		d, targeted = responseDirectives(h)
	}
	if reason := refusal(r, status, h, t, app, d); reason != "" {
		return refuse(reason)
	}
	a := Admission{Fields: d.Fields}
	if h["Vary"] != nil || h["Content-Encoding"] != nil {
		if a.Vary, a.Reason = varyOf(varyLines(h), t.VaryNames); a.Reason != "" {
			return a
		}
	}
	a.Life, a.Reason = lifeOf(r, status, h, t, said{app: app, d: d, targeted: targeted})
	a.Store = a.Reason == ""
	return a
}

func refuse(reason string) Admission {
	return Admission{Reason: reason}
}

// responseDirectives returns the directives that count for this cache: those
// targeted at it before Cache-Control (RFC 9213 §2.2).
func responseDirectives(h http.Header) (d Directives, targeted bool) {
	if lines := h["Cdn-Cache-Control"]; len(lines) > 0 {
		if d, targeted = ParseTargeted(lines); targeted {
			return d, true
		}
	}
	if lines := h["Surrogate-Control"]; len(lines) > 0 {
		if d, targeted = ParseSurrogate(lines); targeted {
			return d, true
		}
	}
	return ParseDirectives(h["Cache-Control"]), false
}

// refusal returns why a response must not be stored whatever its freshness.
func refusal(r Request, status int, h http.Header, t Terms, app App, d Directives) string {
	switch {
	case r.Method != http.MethodGet:
		return ReasonMethod
	case status == http.StatusPartialContent || status == http.StatusNotModified:
		return ReasonPartial
	case status == http.StatusRequestedRangeNotSatisfiable:
		return ReasonPartial // what one client's Range was answered with
	case status < 200 || status > 599 || (d.MustUnderstand && !understood(status)): // §5.2.2.3
		return ReasonStatus
	case len(t.Statuses) > 0 && !hasStatus(t.Statuses, status):
		return ReasonStatus
	case app.NoStore:
		return ReasonAppNoStore
	case r.NoStore:
		return ReasonRequestNoStore
	case d.NoStore && !d.MustUnderstand && !app.Present && !t.Override.NoStore:
		return ReasonNoStore
	case d.Private && !app.Present && !t.Override.Private:
		return ReasonPrivate
	case r.Authorization && !shared(d) && !app.Present:
		return ReasonAuthorization
	case r.Session && !d.Public && !t.AnySession:
		return ReasonSession
	case CookieLeft(h["Set-Cookie"], t) || len(h["Set-Cookie2"]) > 0:
		return ReasonSetCookie
	case len(h["X-Accel-Redirect"]) > 0 || len(h["X-Sendfile"]) > 0:
		return ReasonSendfile
	case len(h["Trailer"]) > 0:
		return ReasonTrailer
	case strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/event-stream"):
		return ReasonEventStream
	}
	return ""
}

func hasStatus(list []int, status int) bool {
	for i := 0; i < len(list); i++ {
		if list[i] == status {
			return true
		}
	}
	return false
}

// shared reports whether a response to a request with Authorization may be
// used for others (RFC 9111 §3.5).
func shared(d Directives) bool {
	return d.Public || d.MustRevalidate || d.SharedMaxAge != Unset
}

// CookieLeft reports whether a response sets a cookie that the terms neither
// drop nor keep. RFC 9111 §7.3 leaves cookies to the cache; replaying one to
// another visitor hands over a session.
func CookieLeft(lines []string, t Terms) bool {
	for i := 0; i < len(lines); i++ {
		name := cookie.SetName(lines[i])
		if !contains(t.DropCookies, name) && !contains(t.KeepCookies, name) && (t.DropPattern == nil || !t.DropPattern.MatchString(name)) {
			return true
		}
	}
	return false
}

func contains(list []string, s string) bool {
	for i := 0; i < len(list); i++ {
		if list[i] == s {
			return true
		}
	}
	return false
}

// said is what a response says of its life.
type said struct {
	app      App
	d        Directives
	targeted bool // d are of CDN-Cache-Control
}

// lifeOf computes how long the response lives: by the application's header,
// else by the rule, else by the origin's directives, else by a guess where the
// rule allows one.
func lifeOf(r Request, status int, h http.Header, t Terms, s said) (Life, string) {
	app, d := s.app, s.d
	l := Life{
		Grace: 0, Keep: 0, Shared: shared(d), Public: d.Public,
		NeverStale: d.MustRevalidate || d.ProxyRevalidate || d.SharedMaxAge != Unset,
	}
	validator := len(h["Etag"]) > 0 || len(h["Last-Modified"]) > 0
	ruled := false
	switch {
	case app.TTL != Unset:
		l.own(r, h, app.TTL, d)
	case d.NoCache && !app.Present && !t.Override.NoCache:
		l.NoCache = true
		l.TTL = 0
		l.Born = r.Received - age0(h, r.Requested, r.Received)
	case t.TTL != Unset && (heuristicStatus(status) || hasStatus(t.Statuses, status)):
		l.own(r, h, t.TTL, d)
		ruled = true
	default:
		l.ofOrigin(r, h, s, t.Heuristic && (heuristicStatus(status) || d.Public))
	}
	if l.TTL == Unset {
		return l, ReasonNoTTL
	}
	l.stale(t, app, d, ruled)
	if app.End != Unset && l.endBy(r.Requested+app.End) && l.TTL+l.Grace <= l.Age(r.Received) {
		return l, ReasonEnded
	}
	if validator {
		l.Keep = t.Keep
	}
	if r.Most > 0 {
		l = Capped(l, r.Most)
	}
	switch {
	case l.NoCache && !validator:
		return l, ReasonNoCache
	case l.TTL == 0 && !validator:
		return l, ReasonExpired
	case l.Retention(r.Received) <= 0:
		return l, ReasonExpired
	}
	return l, ""
}

// own gives a life by the word of the operator or the application. Its age
// counts from the request, plus the Age that a cache behind this one reports;
// the origin's clock plays no part. What s-maxage implies goes with the lifetime
// it gave; must-revalidate stays (RFC 9111 §5.2.2.2: "in all circumstances").
func (l *Life) own(r Request, h http.Header, ttl int64, d Directives) {
	l.TTL = ttl
	l.Born = r.Requested - ageValue(h["Age"])
	l.NeverStale = d.MustRevalidate || d.ProxyRevalidate
}

// stale sets how long the response may be used after its freshness. Where the
// origin forbids stale answers, only the application, or a rule that set the
// lifetime itself, can allow them, and only by saying so.
func (l *Life) stale(t Terms, app App, d Directives, ruled bool) {
	grace, sie := Unset, Unset
	if !l.NeverStale {
		grace, sie = d.StaleWhileRevalidate, d.StaleIfError
	}
	if !l.NeverStale || ruled {
		grace, sie = first(t.Grace, grace), first(t.StaleIfError, sie)
	}
	grace, sie = first(app.Grace, grace), first(app.StaleIfError, sie)
	if l.NoCache { // §5.2.2.4: also by caches configured to send stale responses
		return
	}
	if grace > 0 {
		l.Grace = grace
	}
	if sie > 0 {
		l.StaleIfError = sie
	}
}

// endBy sees to it that the response is neither fresh nor served stale from an instant on, in
// Unix ms: its content is wrong from then on. In place of an error it still stands. It reports
// whether that takes anything from its life.
func (l *Life) endBy(instant int64) bool {
	left := instant - l.Born
	if left < 0 {
		left = 0
	}
	if l.TTL+l.Grace <= left {
		return false
	}
	if l.TTL > left {
		l.TTL = left
	}
	l.Grace = left - l.TTL
	l.NeverStale = true // a client's max-stale does not change that
	return true
}

// first returns a, or b where a is not given.
func first(a, b int64) int64 {
	if a != Unset {
		return a
	}
	return b
}

// ofOrigin sets how long a response lives by the origin's own words, or by a guess.
func (l *Life) ofOrigin(r Request, h http.Header, s said, guess bool) {
	l.TTL = lifetime(h, s.d, s.targeted, r.Received)
	l.Born = r.Received - age0(h, r.Requested, r.Received)
	if l.TTL == Unset && guess {
		l.TTL = heuristicLifetime(h, r.Received)
	}
}
