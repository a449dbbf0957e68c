package cache

import (
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/keys"
)

// lone is what is remembered of an answer that was not for others.
type lone struct {
	until  int64 // Unix ms: requests for the page do not wait for each other, and ask for themselves
	reason string
}

// refusalTime is how long, in ms, an answer that was not for others keeps requests
// for its page from waiting for each other, or from being asked as nobody: each such try
// costs a render.
const refusalTime = 60 * 1000

// streak is what is remembered of pages that the site refuses one after the other for the
// same reason, such as a cookie that is on all of them. It is of one form of their keys.
type streak struct {
	reason string
	paths  []string // that were refused, as hashes, each once and longStreak at most
	asked  int      // how often it has been looked at since it is long
}

// From longStreak refused paths on, one request in probes of a form is asked as nobody.
const (
	longStreak = 8
	probes     = 8
)

// refusedFor returns why it is not worth while to wait for the origin's answer to
// another request, or to ask as nobody, "" if it is. Of those that a long streak keeps from
// that, one in probes is let through; asks says that this one would ask now.
func refusedFor(m *identities, v *visit, asks bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, known := m.alone[v.primary]; known && v.now < r.until {
		return r.reason
	}
	if !asks || len(m.streaks) == 0 {
		return ""
	}
	s := m.streaks[keyForm(v)]
	if s == nil || len(s.paths) < longStreak {
		return ""
	}
	if s.asked++; s.asked%probes == 0 {
		return ""
	}
	return s.reason
}

// passingTime is the same where the next answer may be right: of a page that ended while it was
// made, or an answer that says nothing of the page.
const passingTime = 1000

// noteUnshareable notes for some ms that the origin's answer to one was not for others.
func noteUnshareable(m *identities, v *visit, reason string, spare int64) {
	until := nowMS() + spare
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.alone == nil || len(m.alone) >= m.max {
		m.alone = map[string]lone{}
	}
	m.alone[v.primary] = lone{until: until, reason: reason}
	if v.rule.Nobody && v.target.Query == "" && ofSite(reason) {
		lengthenStreak(m, v, reason)
	}
}

// lengthenStreak adds the path of a visit to the streak of its form. The caller holds the lock.
func lengthenStreak(m *identities, v *visit, reason string) {
	form := keyForm(v)
	s := m.streaks[form]
	if m.streaks == nil || s == nil && len(m.streaks) >= m.max {
		m.streaks = map[string]*streak{}
	}
	if s == nil || s.reason != reason {
		s = &streak{reason: reason}
		m.streaks[form] = s
	}
	path := keys.ID(v.id.path)
	if len(s.paths) < longStreak && !hasName(s.paths, path) {
		s.paths = append(s.paths, path)
	}
}

// keyForm hashes all of a visit's key but its path and query: a client that makes the rest of
// it up is in a streak of its own.
func keyForm(v *visit) string {
	of := *v.target
	of.Path, of.Query = "/", ""
	form := keys.Primary("", v.rule.Name, of, v.values)
	if v.id.passed != nil {
		form = withPassed(form, v.id.passed)
	}
	if v.context != "" && v.context != odoo.DefaultContext {
		form = keys.Extend(form, []string{"x " + v.context})
	}
	if v.consent {
		form = keys.Extend(form, []string{"consent"})
	}
	if v.list != nil {
		form = keys.Variant(form, v.list.Vary, v.r.Header)
	}
	return keys.ID(form)
}

// ofSite reports whether a refusal is for how the site answers, which its other pages may
// share. A status, a redirect, a context or a text in a page says nothing of others.
func ofSite(reason string) bool {
	switch reason {
	case policy.ReasonSetCookie, policy.ReasonPrivate, policy.ReasonNoStore, policy.ReasonNoCache, policy.ReasonNoTTL, policy.ReasonExpired,
		policy.ReasonAppNoStore, policy.ReasonAppHeader, policy.ReasonVaryStar, policy.ReasonVaryCookie, policy.ReasonVaryLimit,
		policy.ReasonHeaderLimit, policy.ReasonTrailer, policy.ReasonRequire, policy.ReasonRefuse, policy.ReasonTagSyntax, policy.ReasonTagLimit,
		policy.ReasonCoding, policy.ReasonNoEnd, policy.ReasonCSRF, policy.ReasonCountry:
		return true
	}
	return false
}

// endStreak ends the streak of the form of a page that was stored.
func endStreak(m *identities, v *visit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.streaks) > 0 {
		delete(m.streaks, keyForm(v))
	}
}
