package cache

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

// visit is what is known of one request.
type visit struct {
	r       *http.Request
	at      string // see address
	id      *identity
	rule    *rule.Rule
	target  *keys.Target
	forward string // the query for the origin
	cookie  bool   // it carries a session cookie
	whole   bool   // it is a GET for the whole page, by nobody in particular
	session bool   // of a session that may be special
	reads   bool   // its body says that it changes nothing
	had     int64  // what was known of the session before it was marked for this request
	have    int64  // and since
	score   int64  // what was known of the session before the origin is asked, see storage.KindOfScore
	sid     string // hash of the session, empty if there is none or it cannot be told
	context string // what the addon's cookie says that pages are rendered for
	agrees  bool   // to optional cookies
	consent bool   // the key says so
	locates bool   // its page is asked for with its address
	own     string // why the visitor has to ask for themselves: nobody's answer was not for others
	cc      policy.Directives

	bypass string // why the cache has no part in this request
	fwd    string // Cache-Status fwd= (RFC 9211 §2.2)

	values  []string       // of what the rule varies by
	sent    http.Header    // of the request that the origin got
	primary string         // full primary key
	list    *storage.Entry // variant list of the resource
	entry   *storage.Entry // what is stored for the request
	witness *storage.Entry // what is stored, where it is withheld from the session
	soft    bool
	head    storage.Head // position of the purge state before the origin is asked
	state   policy.State // 0: nothing stored
	reason  string       // why it is not a hit
	now     int64

	flight       *flight.Flight // of which this visit is the leader
	lock         *storage.Lock  // of the flight, nil if there is none
	waited       bool           // for another's flight, since it has looked the page up
	looked       bool           // once
	before       int64          // how many flights had landed when it did
	drops        int64          // how often something had been removed by unsafe methods when it did
	refreshEarly bool           // fresh, but to be refreshed

	storeLate  bool   // the storage did not answer, and is not asked again
	failed     bool   // examine did not come to its end
	newSession string // Set-Cookie line of a session that was begun to complete a form
}

// examine finds out what the request is to the cache, and what is stored for it.
// again says that only the latter has to be found out anew.
// If that fails by a mistake of ours, the visit is marked as failed.
func examine(h *Handler, v *visit, again bool) {
	defer func() {
		if p := recover(); p != nil {
			v.failed = true
			h.logf("%s %s: %v; the request goes to the origin", v.r.Method, h.shownPath(v.r.URL.Path), p)
		}
	}()
	if !again {
		identifyVisit(h, v)
	}
	if v.bypass == "" {
		lookup(h, v)
	}
}

// identifyVisit finds out what the request is to the cache.
func identifyVisit(h *Handler, v *visit) {
	r := v.r
	if v.at == "" {
		v.at = address(h, r)
	}
	id := identify(h, r, v.at)
	v.id = id
	v.rule = id.rule
	v.target = &id.target
	v.forward = id.forward
	v.fwd = "bypass"
	if r.Header["Cookie"] != nil {
		readCookies(h, v)
	}
	if v.bypass = bypassReason(h, v); v.bypass != "" {
		return
	}
	v.whole = r.Method == http.MethodGet && r.Header["Range"] == nil && r.Header["Authorization"] == nil
	v.primary = id.key
	if id.varies {
		sure := true
		if v.values, sure = v.rule.Dimensions(r); !sure && !v.rule.Nobody {
			v.bypass = policy.ReasonCookie // the origin would see it
			return
		}
		v.primary = keys.Extend(id.key, v.values)
	}
	if v.rule.Terms.AnySession {
		v.context = "" // what does not depend on the session is of no context
	}
	if v.context != "" {
		forContext(v)
	}
	if v.agrees && atomic.LoadInt32(&id.byConsent) != 0 {
		askConsenting(v)
	}
	if id.tooMany || len(v.primary) > h.s.Limits.KeyBytes {
		v.bypass = policy.ReasonKeyLimit
		return
	}
	if v.rule.ClientDirectives && r.Header["Cache-Control"] != nil {
		v.cc = policy.ParseDirectives(r.Header["Cache-Control"])
	}
}

// bypassReason returns why the cache has no part in a request, whatever is stored.
func bypassReason(h *Handler, v *visit) string {
	r := v.r
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		v.fwd = "method"
		return policy.ReasonMethod
	case v.rule.Bypass:
		return policy.ReasonRule
	case acceptsEvents(r):
		return policy.ReasonEventStream
	case r.Header["X-Openerp-Session-Id"] != nil:
		return policy.ReasonSessionHeader
	case v.id.odd || v.target.Path == "" || v.target.Path[0] != '/':
		return policy.ReasonTarget
	case r.ContentLength != 0:
		return policy.ReasonBody
	case r.Header["If-Match"] != nil || r.Header["If-Unmodified-Since"] != nil:
		return policy.ReasonPrecondition
	}
	return ""
}

// askConsenting adds to a visit's key that the visitor has agreed to optional cookies.
func askConsenting(v *visit) {
	v.consent = true
	v.primary = keys.Extend(v.primary, []string{"consent"})
}

// forConsent reports whether a response of everybody is for this visitor, too. Where it is
// one that differs for those who agree to optional cookies, and the visitor does, their key
// is another one from now on.
func forConsent(h *Handler, v *visit, e *storage.Entry) bool {
	if !v.agrees || v.consent || !hasName(e.Tags, consentTag) {
		return true
	}
	atomic.StoreInt32(&v.id.byConsent, 1)
	askConsenting(v)
	return false
}

// consentTag is borne by what differs for visitors who agree to optional cookies.
var consentTag = keys.HashTag("c", "consent")

// forContext adds to a visit's key what the addon says that pages are rendered for.
func forContext(v *visit) {
	if v.context == odoo.PrivateContext {
		v.bypass = policy.ReasonContext
	} else if v.context != odoo.DefaultContext {
		v.primary = keys.Extend(v.primary, []string{"x " + v.context})
	}
}

// lookup asks the storage, and decides whether what it has may be used.
func lookup(h *Handler, v *visit) {
	v.fwd = "uri-miss"
	v.drops = h.shared.dropped.count.Load()
	if v.storeLate {
		v.reason = policy.ReasonStoreError
		return
	}
	if h.openUntil.Load() != 0 {
		if v.reason = tier.NotAsked(h.tenant); v.reason != "" {
			return
		}
	}
	find(h, v)
	if v.agrees && v.entry != nil && !forConsent(h, v, v.entry) {
		v.entry = nil
		v.list = nil
		v.soft = false
		find(h, v)
	}
	if v.entry != nil {
		decideReuse(h, v, v.entry)
	}
}

// decideReuse decides whether what is stored may be used.
func decideReuse(h *Handler, v *visit, e *storage.Entry) {
	v.state, v.reason = policy.Reuse(e.Life, v.cc, v.soft, v.now)
	if reason := withheld(v, e); reason != "" {
		if reason == policy.ReasonSession && v.state == policy.Fresh {
			v.witness = e
		}
		v.state, v.reason, v.fwd = 0, reason, "request"
		v.entry = nil
		if reason == policy.ReasonRedirect {
			v.own = reason
		}
		return
	}
	located := v.rule.Country != "" && hasName(e.Tags, countryTag) // a refresh has no visitor's address
	if v.state == policy.Stale && located {
		v.state = policy.Expired
	}
	if v.state == policy.Fresh && h.s.EarlyRefresh && !located {
		v.refreshEarly = early(e, v.now)
	}
	if v.state == policy.Expired {
		v.fwd = "stale"
		if strings.HasPrefix(v.reason, "request-") {
			v.fwd = "request"
		}
	}
}

// withheld returns why a stored response is not for this visitor.
func withheld(v *visit, e *storage.Entry) string {
	if v.session && v.context == "" && !v.rule.Terms.AnySession && (v.rule.Nobody || !e.Life.Public) {
		return policy.ReasonSession
	}
	if len(v.r.Header["Authorization"]) > 0 && !e.Life.Shared {
		return policy.ReasonAuthorization
	}
	if e.Status >= 300 && e.Status < 400 && v.rule.Nobody && v.forward != v.r.URL.RawQuery {
		return policy.ReasonRedirect // its parameters go with the visitor, as far as Odoo says where
	}
	return ""
}

// find looks the entry up, by way of the variant list if there is one.
func find(h *Handler, v *visit) {
	w := &tier.Wanted{Key: v.primary}
	if v.sid != "" && v.context == "" && !v.rule.Terms.AnySession && v.rule.Nobody {
		w.Session = v.sid
	}
	if atomic.LoadInt32(&v.id.varied) != 0 {
		if w.List = listOf(h.identities, v); w.List != nil { // what it led to when it was last seen
			w.Key = keys.Variant(v.primary, w.List.Entry.Vary, v.r.Header)
		}
	}
	if w.List == nil && w.Session == "" && mayLock(h, v) {
		w.Lock = &storage.Lock{ID: keys.ID(v.primary), Token: h.shared.token}
		w.LockTTL = h.s.Limits.CoalesceWait
		v.before = h.shared.flights.Landings.Load()
	}
	f := h.shared.tier.Find(h.tenant, w)
	v.looked = true
	if w.Session != "" {
		v.score = f.Score
		v.session = !storage.GivesNobodys(f.Score, v.rule.Evidence, v.now)
	}
	if w.List != nil {
		noteListed(h, v, f)
	}
	if w.Lock != nil {
		noteLocked(v, w.Lock, f)
	}
	if f.Entry != nil {
		f = findListed(h, v, f)
	}
	v.reason = f.Reason
	v.head = f.Head
	v.soft = f.Soft
}

// findListed takes over what was found. Of a variant list that is the variant which it leads to.
func findListed(h *Handler, v *visit, f *tier.Found) *tier.Found {
	if f.Entry.IsList() {
		v.list = f.Entry
		setList(h.identities, v, h.shared.tier.Remember(f.Entry))
		f = h.shared.tier.FindVariant(h.tenant, f.Entry, keys.Variant(v.primary, f.Entry.Vary, v.r.Header))
		if f.Entry == nil && f.Reason == "" {
			v.fwd = "vary-miss"
		}
	}
	if f.Entry != nil && !f.Entry.IsList() {
		v.entry = f.Entry
		if v.list != nil {
			useVariant(h.identities, keys.ID(f.Entry.Key))
		}
	}
	return f
}

// noteListed notes whether the list of a page's variants is as it was.
func noteListed(h *Handler, v *visit, f *tier.Found) {
	v.list = f.List
	if v.list != nil && f.Entry == nil && f.Reason == "" {
		v.fwd = "vary-miss"
	}
	if v.list == nil && f.Entry != nil && !f.Entry.IsList() { // it varies no more
		setList(h.identities, v, nil)
	}
}

// noteLocked notes whether the lock was claimed for a page that is not there.
func noteLocked(v *visit, l *storage.Lock, f *tier.Found) {
	if f.Locked || f.Reason == policy.ReasonStoreError { // then the claim may still be heard
		v.lock = l
	} else if f.Entry != nil || f.Reason == policy.ReasonPurged {
		atomic.StoreInt32(&v.id.found, 1)
	}
}

// variantKey is the key of the variant of a visit's page that its request selects.
func variantKey(v *visit) string {
	return keys.Variant(v.primary, v.list.Vary, v.r.Header)
}

// mayLock reports whether a visit is likely to be the first one for its page, and of one
// that others would wait for. One that was found before is looked up without the lock,
// which costs another exchange where it is there.
func mayLock(h *Handler, v *visit) bool {
	return !v.looked && h.shared.tier.Shared() && !v.id.byHeader && len(v.at) <= maxAddress && atomic.LoadInt32(&v.id.found) == 0 &&
		isShareable(h, v) && refusedFor(h.identities, v, false) == ""
}

// isShareable reports whether the request is one whose answer may be for others, too.
func isShareable(h *Handler, v *visit) bool {
	return v.whole && !v.cc.Present && h.s.Limits.CoalesceWait > 0 && (!v.session || v.rule.Nobody && fills(v))
}

// fills reports whether a visit may be answered with what is asked for as nobody.
func fills(v *visit) bool {
	return v.whole && !v.cc.NoStore && (!v.session || v.context != "" || v.rule.Terms.AnySession)
}
