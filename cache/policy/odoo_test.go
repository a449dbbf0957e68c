package policy_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/policy"
)

func TestApp(t *testing.T) {
	times := func(ttl, grace, sie int64) policy.App {
		return policy.App{Present: true, TTL: ttl, Grace: grace, StaleIfError: sie, End: unset}
	}
	no := times(unset, unset, unset)
	no.NoStore = true
	ends := times(600*second, unset, unset)
	ends.End = 25 * second
	alone := policy.App{TTL: unset, Grace: unset, StaleIfError: unset, End: 1500}
	for _, c := range []struct {
		name  string
		lines []string
		want  policy.App
	}{
		{"public", []string{"public"}, times(unset, unset, unset)},
		{"times", []string{"public, ttl=600, grace=3600, sie=86400"}, times(600*second, hour, 24*hour)},
		{"several lines", []string{"public", "ttl=600"}, times(600*second, unset, unset)},
		{"units", []string{"public, ttl=10m, grace=1h30m, sie=1.5s"}, times(600*second, 5400*second, 1500)},
		{"in any case, with spaces", []string{" PUBLIC ,TTL = 600,"}, times(600*second, unset, unset)},
		{"swr is grace", []string{"public, swr=5"}, times(unset, 5*second, unset)},
		{"zero", []string{"public, ttl=0"}, times(0, unset, unset)},
		{"an end", []string{"public, ttl=600, end=25"}, ends},
		{"an end alone", []string{"end=1.5s"}, alone},
		{"no-store", []string{"no-store"}, no},
		{"other words for it", []string{"no-cache"}, no},
		{"private", []string{"private"}, no},
		{"no", []string{"no"}, no},
		{"no-store beats public", []string{"public, no-store"}, no},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := policy.ParseApp(c.lines)
			assert.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	absent, err := policy.ParseApp(nil)
	assert.NoError(t, err)
	assert.False(t, absent.Present)
}

func TestAppErrors(t *testing.T) {
	for _, c := range []struct{ name, line string }{
		{"unknown word", "public, foo"},
		{"misspelt", "publik, ttl=5"},
		{"neither public nor no-store", "ttl=600"},
		{"empty", ""},
		{"only commas", ",,"},
		{"value of public", "public=0"},
		{"empty value of public", "public="},
		{"value of no-store", "no-store=false"},
		{"time without value", "public, ttl"},
		{"time with an empty value", "public, ttl="},
		{"negative", "public, ttl=-1"},
		{"negative duration", "public, ttl=-1m"},
		{"not a number", "public, grace=long"},
		{"fraction without unit", "public, grace=1.5"},
		{"too long", "public, sie=99999999999"},
		{"too long with a unit", "public, sie=9999999h"},
		{"too large for a number", "public, sie=99999999999999999999999"},
		{"given twice", "public, ttl=5, ttl=600"},
		{"given twice by two names", "public, swr=5, grace=5"},
		{"an end without value", "end"},
		{"an end that is negative", "end=-1"},
		{"an end twice", "end=1, end=2"},
		{"an end with times", "end=5, ttl=600"},
		{"semicolons", "public; ttl=5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := policy.ParseApp([]string{c.line})
			assert.ErrorIs(t, err, policy.ErrSyntax)
			a := admit(terms(), fresh, "X-Odoo-Cache: "+c.line)
			assert.Equal(t, policy.Admission{Reason: policy.ReasonAppHeader}, a, "what was not understood must not be stored")
		})
	}
}

// TestAppEnd: a page that will be wrong at an instant is neither fresh nor served stale
// from then on, whoever gave it its times. It still stands in for an error.
func TestAppEnd(t *testing.T) {
	ruled := terms()
	ruled.TTL, ruled.Grace, ruled.StaleIfError = 600*second, hour, 24*hour
	for _, c := range []struct {
		name            string
		terms           policy.Terms
		lines           []string
		ttl, grace, sie int64
	}{
		{"before the rule's lifetime is over", ruled, []string{"X-Odoo-Cache: end=25"}, 25, 0, 86400},
		{"before the rule's grace is over", ruled, []string{"X-Odoo-Cache: end=700"}, 600, 100, 86400},
		{"after both", ruled, []string{"X-Odoo-Cache: end=4200"}, 600, 3600, 86400},
		{"before the application's", terms(), []string{"X-Odoo-Cache: public, ttl=600, grace=60, sie=5, end=610"}, 600, 10, 5},
		{"before the origin's", terms(), []string{"Cache-Control: max-age=60, stale-while-revalidate=60", "X-Odoo-Cache: end=30"}, 30, 0, 0},
		{"counted from the request, not from the age", terms(), []string{"Cache-Control: max-age=60", "Age: 20", "X-Odoo-Cache: end=30"}, 50, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := admit(c.terms, c.lines...)
			assert.True(t, a.Store, a.Reason)
			assert.Equal(t, [3]int64{c.ttl * second, c.grace * second, c.sie * second}, [3]int64{a.Life.TTL, a.Life.Grace, a.Life.StaleIfError})
		})
	}
	capped := admit(ruled, "X-Odoo-Cache: end=25").Life
	asked := policy.ParseDirectives([]string{"max-stale=1000"})
	state, _ := policy.Reuse(capped, asked, false, now+26*second)
	assert.Equal(t, policy.Expired, state, "not for a client that takes stale answers either")
	state, _ = policy.Reuse(capped, asked, false, now+24*second)
	assert.Equal(t, policy.Fresh, state)
	assert.Equal(t, policy.Admission{Reason: policy.ReasonEnded}, withoutLife(admit(ruled, "X-Odoo-Cache: end=0")))
	late := get()
	late.Received = now + 2*second
	assert.Equal(t, policy.ReasonEnded, policy.Admit(late, 200, header("X-Odoo-Cache: end=2"), ruled).Reason, "it ended while it was made")
	assert.True(t, policy.Admit(late, 200, header("X-Odoo-Cache: end=2.5s"), ruled).Store)
	assert.Equal(t, policy.ReasonExpired, admit(terms(), "Cache-Control: max-age=0", "X-Odoo-Cache: end=0").Reason)
	for reason, line := range map[string]string{policy.ReasonNoStore: "no-store", policy.ReasonPrivate: "private"} {
		assert.Equal(t, reason, admit(ruled, "Cache-Control: "+line, "X-Odoo-Cache: end=25").Reason, "an end allows nothing")
	}
}

// withoutLife leaves of an admission what does not depend on times.
func withoutLife(a policy.Admission) policy.Admission {
	a.Life = policy.Life{}
	return a
}

func TestDuration(t *testing.T) {
	for _, c := range []struct {
		name, s string
		want    int64 // -1: an error
	}{
		{"seconds", "600", 600 * second},
		{"spaces", " 600 ", 600 * second},
		{"unit", "90s", 90 * second},
		{"milliseconds", "250ms", 250},
		{"less than a millisecond", "1us", 0},
		{"longest", "2147483648", 1 << 31 * second},
		{"longer", "2147483649", -1},
		{"negative", "-1", -1},
		{"empty", "", -1},
		{"word", "never", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := policy.ParseDuration(c.s)
			assert.Equal(t, c.want == -1, err != nil)
			if err == nil {
				assert.Equal(t, c.want, got)
			} else {
				assert.ErrorIs(t, err, policy.ErrSyntax)
			}
		})
	}
}

// TestPrecedence: X-Odoo-Cache, the rule, CDN-Cache-Control,
// Surrogate-Control, Cache-Control.
func TestPrecedence(t *testing.T) {
	const (
		app       = "X-Odoo-Cache: public, ttl=1"
		cdn       = "CDN-Cache-Control: max-age=3"
		surrogate = "Surrogate-Control: max-age=4"
		sMaxage   = "Cache-Control: s-maxage=5"
		maxAge    = "Cache-Control: max-age=6"
	)
	expires := "Expires: " + at(7)
	ruled := terms()
	ruled.TTL = 2 * second
	for _, c := range []struct {
		name  string
		terms policy.Terms
		lines []string
		ttl   int64
	}{
		{"the application over all", ruled, []string{app, cdn, surrogate, sMaxage, maxAge, expires}, 1},
		{"the rule over the origin", ruled, []string{cdn, surrogate, sMaxage, maxAge, expires}, 2},
		{"the rule where the application gives no time", ruled, []string{"X-Odoo-Cache: public", cdn}, 2},
		{"the rule over max-age=0", ruled, []string{"Cache-Control: max-age=0, s-maxage=0", "Expires: 0"}, 2},
		{"CDN-Cache-Control", terms(), []string{cdn, surrogate, sMaxage, maxAge, expires}, 3},
		{"CDN-Cache-Control where the application gives no time", terms(), []string{"X-Odoo-Cache: public", cdn, maxAge}, 3},
		{"Surrogate-Control", terms(), []string{surrogate, sMaxage, maxAge, expires}, 4},
		{"s-maxage", terms(), []string{sMaxage, maxAge, expires}, 5},
		{"max-age", terms(), []string{maxAge, expires}, 6},
		{"Expires", terms(), []string{expires}, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := admit(c.terms, c.lines...)
			assert.True(t, a.Store, a.Reason)
			assert.Equal(t, c.ttl*second, a.Life.TTL)
		})
	}
}

// TestOverrides: what the origin forbids stays forbidden under a rule's ttl
// unless the rule names it, and gives way to the application.
func TestOverrides(t *testing.T) {
	noStore, noCache, private := policy.Directives{NoStore: true}, policy.Directives{NoCache: true}, policy.Directives{Private: true}
	for _, c := range []struct {
		name, control string
		override      policy.Directives
		reason        string
	}{
		{"no-store", "no-store", policy.Directives{}, policy.ReasonNoStore},
		{"no-store named", "no-store", noStore, ""},
		{"no-store, another named", "no-store", private, policy.ReasonNoStore},
		{"private", "private", policy.Directives{}, policy.ReasonPrivate},
		{"private named", "private", private, ""},
		{"private, another named", "private", noCache, policy.ReasonPrivate},
		{"no-cache", "no-cache", policy.Directives{}, policy.ReasonNoCache},
		{"no-cache named", "no-cache", noCache, ""},
		{"no-cache, another named", "no-cache", noStore, policy.ReasonNoCache},
		{"two, one named", "private, no-store", noStore, policy.ReasonPrivate},
	} {
		t.Run(c.name, func(t *testing.T) {
			ruled := terms()
			ruled.TTL = 60 * second
			ruled.Override = c.override
			for _, field := range []string{"Cache-Control: ", "CDN-Cache-Control: ", "Surrogate-Control: "} {
				a := admit(ruled, field+c.control)
				assert.Equal(t, c.reason, a.Reason, field)
				assert.Equal(t, c.reason == "", a.Store, field)
				assert.False(t, a.Life.NoCache && a.Store)
				a = admit(ruled, field+c.control, "X-Odoo-Cache: public")
				assert.True(t, a.Store, "the application wins: %s", a.Reason)
				assert.Equal(t, 60*second, a.Life.TTL)
			}
		})
	}
	ruled := terms()
	ruled.TTL = 60 * second
	ruled.Override = policy.Directives{NoStore: true, NoCache: true, Private: true}
	for _, reason := range []string{"X-Odoo-Cache: no-store", "X-Odoo-Cache: public, no-store"} {
		assert.Equal(t, policy.ReasonAppNoStore, admit(ruled, reason, "Cache-Control: public, max-age=9").Reason)
	}
	a := admit(ruled, `Cache-Control: private="x-a"`)
	assert.Equal(t, []string{"x-a"}, a.Fields, "fields of one user are never stored")
}

func TestRuleStatuses(t *testing.T) {
	ruled := terms()
	ruled.TTL, ruled.Statuses = 60*second, []int{200, 302}
	for _, c := range []struct {
		name   string
		status int
		lines  []string
		reason string
	}{
		{"named", 200, nil, ""},
		{"named, not heuristically cacheable", 302, nil, ""},
		{"not named", 404, nil, policy.ReasonStatus},
		{"not named, with explicit freshness", 404, []string{fresh}, policy.ReasonStatus},
		{"not named, by the application", 404, []string{"X-Odoo-Cache: public, ttl=5"}, policy.ReasonStatus},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.reason, policy.Admit(get(), c.status, header(c.lines...), ruled).Reason)
		})
	}
	ruled.Statuses = nil
	assert.Equal(t, policy.ReasonNoTTL, policy.Admit(get(), 500, header(), ruled).Reason, "a rule's ttl is not for errors")
}

// TestRuleAge: the age under a rule's or the application's ttl counts from the
// request; the origin's clock plays no part.
func TestRuleAge(t *testing.T) {
	ruled := terms()
	ruled.TTL = 60 * second
	r := get()
	r.Requested -= 2 * second
	for _, c := range []struct {
		name  string
		terms policy.Terms
		lines []string
		age   int64
	}{
		{"rule", ruled, []string{"Date: " + at(-3000)}, 2},
		{"rule and Age", ruled, []string{"Date: " + at(-3000), "Age: 30"}, 32},
		{"application", terms(), []string{"X-Odoo-Cache: public, ttl=60", "Date: " + at(3000)}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := policy.Admit(r, http.StatusOK, header(c.lines...), c.terms)
			assert.True(t, a.Store, a.Reason)
			assert.Equal(t, c.age*second, a.Life.Age(now))
		})
	}
}

func TestCookies(t *testing.T) {
	for _, c := range []struct {
		name       string
		lines      []string
		drop, keep []string
		reason     string
	}{
		{"none", nil, nil, nil, ""},
		{"one that nobody names", []string{"Set-Cookie: session_id=1; Path=/"}, nil, nil, policy.ReasonSetCookie},
		{"dropped", []string{"Set-Cookie: session_id=1; Path=/"}, []string{"session_id"}, nil, ""},
		{"kept", []string{"Set-Cookie: lang=fr"}, nil, []string{"lang"}, ""},
		{"one of two", []string{"Set-Cookie: lang=fr", "Set-Cookie: cart=1"}, []string{"session_id"}, []string{"lang"}, policy.ReasonSetCookie},
		{"another case", []string{"Set-Cookie: Session_Id=1"}, []string{"session_id"}, nil, policy.ReasonSetCookie},
		{"a longer name", []string{"Set-Cookie: session_id2=1"}, []string{"session_id"}, nil, policy.ReasonSetCookie},
		{"without a name", []string{"Set-Cookie: =1"}, []string{"session_id"}, nil, policy.ReasonSetCookie},
		{"empty", []string{"Set-Cookie:"}, []string{"session_id"}, nil, policy.ReasonSetCookie},
		{"Set-Cookie2", []string{"Set-Cookie2: session_id=1"}, []string{"session_id"}, nil, policy.ReasonSetCookie},
		{"the application does not excuse it", []string{"Set-Cookie: a=1", "X-Odoo-Cache: public, ttl=5"}, nil, nil, policy.ReasonSetCookie},
		{"public does not excuse it", []string{"Set-Cookie: a=1", "Cache-Control: public"}, nil, nil, policy.ReasonSetCookie},
	} {
		t.Run(c.name, func(t *testing.T) {
			terms := terms()
			terms.TTL, terms.DropCookies, terms.KeepCookies = 60*second, c.drop, c.keep
			a := admit(terms, c.lines...)
			assert.Equal(t, c.reason, a.Reason)
			stored := policy.StoredHeader(header(c.lines...), nil, c.keep)
			for _, line := range stored["Set-Cookie"] {
				assert.Contains(t, c.keep, cookie.SetName(line))
			}
		})
	}
}

func TestSessions(t *testing.T) {
	for _, c := range []struct {
		name   string
		lines  []string
		any    bool
		reason string
	}{
		{"unknown session", []string{fresh}, false, policy.ReasonSession},
		{"the response says public", []string{"Cache-Control: public, max-age=60"}, false, ""},
		{"public in CDN-Cache-Control", []string{"CDN-Cache-Control: public, max-age=60"}, false, ""},
		{"public behind CDN-Cache-Control", []string{"CDN-Cache-Control: max-age=60", "Cache-Control: public"}, false, policy.ReasonSession},
		{"the rule does not ask for the session", []string{fresh}, true, ""},
		{"public of the application is for its context alone", []string{"X-Odoo-Cache: public, ttl=60"}, false, policy.ReasonSession},
	} {
		t.Run(c.name, func(t *testing.T) {
			terms := terms()
			terms.AnySession = c.any
			r := get()
			r.Session = true
			a := policy.Admit(r, http.StatusOK, header(c.lines...), terms)
			assert.Equal(t, c.reason, a.Reason)
		})
	}
}

func TestBodiesThatAreNone(t *testing.T) {
	for _, c := range []struct{ name, line, reason string }{
		{"X-Accel-Redirect", "X-Accel-Redirect: /f", policy.ReasonSendfile},
		{"X-Sendfile", "X-Sendfile: /f", policy.ReasonSendfile},
		{"trailers", "Trailer: X-Sum", policy.ReasonTrailer},
		{"event stream", "Content-Type: Text/Event-Stream; charset=utf-8", policy.ReasonEventStream},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.reason, admit(terms(), fresh, c.line).Reason)
			assert.Equal(t, c.reason, admit(terms(), "X-Odoo-Cache: public, ttl=5", c.line).Reason)
		})
	}
}

func TestVaryLimits(t *testing.T) {
	terms := terms()
	terms.VaryNames = 2
	for _, c := range []struct{ name, vary, reason string }{
		{"at the limit", "a, b", ""},
		{"repeated names count once", "a, A, b, b", ""},
		{"over the limit", "a, b, c", policy.ReasonVaryLimit},
		{"cookie", "a, Cookie", policy.ReasonVaryCookie},
		{"star goes first", "a, b, c, *", policy.ReasonVaryStar},
		{"the application does not excuse it", "*", policy.ReasonVaryStar},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.reason, admit(terms, fresh, "X-Odoo-Cache: public", "Vary: "+c.vary).Reason)
		})
	}
}
