package policy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/odoocache/odoocache/cache/policy"
)

// checkDirectives fails on durations that are neither Unset nor sane.
func checkDirectives(t *testing.T, d policy.Directives) {
	t.Helper()
	for _, ms := range []int64{d.MaxAge, d.SharedMaxAge, d.StaleWhileRevalidate, d.StaleIfError, d.MaxStale, d.MinFresh} {
		if ms != unset && (ms < 0 || ms > 1<<31*second) {
			t.Fatalf("duration %d in %+v", ms, d)
		}
	}
}

// checkAdmission checks what holds for each answer of Admit, whatever the
// response.
func checkAdmission(t *testing.T, a policy.Admission) {
	t.Helper()
	if a.Store == (a.Reason != "") {
		t.Fatalf("store %v with reason %q", a.Store, a.Reason)
	}
	if !a.Store {
		return
	}
	l := a.Life
	if l.TTL < 0 || l.Grace < 0 || l.StaleIfError < 0 || l.Keep < 0 || l.Retention(now) <= 0 {
		t.Fatalf("life %+v", l)
	}
	for _, at := range []int64{now - hour, now, l.Born + l.TTL - 1, l.Born + l.TTL, l.Born + l.TTL + l.Grace, l.Born + 1<<50} {
		checkReuse(t, l, at)
	}
}

func checkReuse(t *testing.T, l policy.Life, at int64) {
	t.Helper()
	for _, request := range []string{"", "max-age=5", "min-fresh=5", "no-cache", "max-stale=5", "max-stale"} {
		var d policy.Directives
		if request != "" {
			d = policy.ParseDirectives([]string{request})
		}
		for _, soft := range []bool{false, true} {
			state, reason := policy.Reuse(l, d, soft, at)
			if (state == policy.Fresh) == (reason != "") {
				t.Fatalf("state %d with reason %q: %+v", state, reason, l)
			}
			stale := l.Age(at) >= l.TTL
			switch {
			case state == policy.Fresh && (l.NoCache || soft):
				t.Fatalf("fresh in spite of no-cache or a purge: %+v", l)
			case state == policy.Fresh && stale && !strings.HasPrefix(request, "max-stale"):
				t.Fatalf("fresh with age %d: %+v, request %q", l.Age(at), l, request)
			case state == policy.Fresh && stale && l.NeverStale:
				t.Fatalf("stale in spite of must-revalidate: %+v, request %q", l, request)
			case state == policy.Stale && l.Age(at) >= l.TTL+l.Grace:
				t.Fatalf("stale beyond grace: %+v", l)
			}
		}
	}
}

func FuzzDirectives(f *testing.F) {
	for _, s := range []string{
		"max-age=60", "public, s-maxage=5, stale-while-revalidate=7", `private="a, b", no-cache="c`, "max-age=99999999999999999999",
		`x="\", no-store"`, "must-understand,no-store", "no-cache no-store", "max-age =5", "max-stale", ",,=,\"", "s-maxage=-1, max-age=1.5",
	} {
		f.Add(s, "Sun, 06 Nov 1994 08:49:37 GMT", "5")
	}
	f.Fuzz(func(t *testing.T, control, expires, age string) {
		checkDirectives(t, policy.ParseDirectives([]string{control}))
		surrogate, _ := policy.ParseSurrogate([]string{control})
		checkDirectives(t, surrogate)
		for _, extra := range []string{"", `"a"`} {
			h := http.Header{"Cache-Control": {control}, "Expires": {expires}, "Age": {age}}
			if extra != "" {
				h["Etag"] = []string{extra}
			}
			guessed, ruled := terms(), terms()
			guessed.Heuristic = true
			ruled.TTL, ruled.Grace, ruled.StaleIfError = 60*second, 9*second, 9*second
			for _, terms := range []policy.Terms{terms(), guessed, ruled} {
				checkAdmission(t, policy.Admit(get(), http.StatusOK, h, terms))
				checkForbidden(t, h, control, terms)
			}
		}
	})
}

// checkForbidden adds to a Cache-Control what forbids storing: on a line of its
// own and at the end of the line.
func checkForbidden(t *testing.T, h http.Header, control string, terms policy.Terms) {
	t.Helper()
	before := policy.ParseDirectives([]string{control})
	for _, word := range []string{"no-store", "private"} {
		if word == "no-store" && before.MustUnderstand {
			continue // RFC 9111 §5.2.2.3: it takes the force of no-store away
		}
		for _, lines := range [][]string{{control, word}, {word, control}, {control + ", " + word}, {word + "," + control}} {
			forbidden := h.Clone()
			forbidden["Cache-Control"] = lines
			if a := policy.Admit(get(), http.StatusOK, forbidden, terms); a.Store {
				t.Fatalf("%q is stored: %+v", lines, a)
			}
		}
	}
}

func FuzzTargeted(f *testing.F) {
	for _, s := range []string{
		"max-age=60", "max-age=60;a=b, no-store", `private="a, b"`, "max-age=999999999999999", "a=(x y;z=1), b=:aGk=:, c=?0",
		`a=("x`, `a="\`, "max-age=60,", "no-store=?0", "a=1.5, b=-3", ",", "=", ";", "?", "a=(", "a=:",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := policy.ParseTargeted([]string{s})
		checkDirectives(t, d)
		h := http.Header{"Cdn-Cache-Control": {s}, "Cache-Control": {"no-store"}}
		a := policy.Admit(get(), http.StatusOK, h, terms())
		checkAdmission(t, a)
		if a.Store && !ok {
			t.Fatalf("%q counts although it is malformed", s)
		}
		if !ok {
			return
		}
		for _, word := range []string{"no-store", "private"} {
			if word == "no-store" && d.MustUnderstand {
				continue
			}
			h["Cdn-Cache-Control"] = []string{s, word}
			if a := policy.Admit(get(), http.StatusOK, h, terms()); a.Store {
				t.Fatalf("%q with %s is stored", s, word)
			}
		}
		// What is well-formed stays so, and means the same, inside a longer field.
		again, ok := policy.ParseTargeted([]string{"a", s, "zz;p=1"})
		if !ok || again.NoStore != d.NoStore || again.MaxAge != d.MaxAge {
			t.Fatalf("%q means something else inside a longer field", s)
		}
	})
}

func FuzzApp(f *testing.F) {
	for _, s := range []string{
		"public", "no-store", "public, ttl=600, grace=1h, sie=1d", "public,ttl=-1", "public=0", "ttl=5", "", ",", "public, ttl=9223372036854775807",
		"public, ttl=2562047h", "PUBLIC,TTL=+5", "public,ttl=1e9", "end=25", "public, end=0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		app, err := policy.ParseApp([]string{s})
		if err == nil {
			for _, ms := range []int64{app.TTL, app.Grace, app.StaleIfError, app.End} {
				if ms != unset && (ms < 0 || ms > 1<<31*second) {
					t.Fatalf("%q has duration %d", s, ms)
				}
			}
		}
		h := http.Header{"X-Odoo-Cache": {s}, "Cache-Control": {"max-age=60"}}
		a := policy.Admit(get(), http.StatusOK, h, terms())
		checkAdmission(t, a)
		if a.Store && (err != nil || app.NoStore) {
			t.Fatalf("%q is stored: %v, %+v", s, err, app)
		}
		h["X-Odoo-Cache"] = []string{s, "no-store"}
		if policy.Admit(get(), http.StatusOK, h, terms()).Store {
			t.Fatalf("%q with no-store is stored", s)
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "0", "-1", "", " gmt",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0000 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 gmt", "aaaaaaaaaaaaaaaaaaaa gmt",
	} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, date, expires, modified string) {
		ms, ok := policy.ParseDate([]string{date})
		if !ok && ms != 0 {
			t.Fatalf("%q is invalid and %d", date, ms)
		}
		if ok {
			again, ok := policy.ParseDate([]string{at((ms - now) / second)})
			if !ok || again != ms {
				t.Fatalf("%q is %d, written anew %d", date, ms, again)
			}
		}
		guessed := terms()
		guessed.Heuristic = true
		for _, h := range []http.Header{
			{"Date": {date}, "Expires": {expires}},
			{"Date": {date}, "Last-Modified": {modified}},
			{"Date": {date}, "Last-Modified": {modified}, "Cache-Control": {"max-age=60"}},
		} {
			a := policy.Admit(get(), http.StatusOK, h, guessed)
			checkAdmission(t, a)
			if a.Store && a.Life.Born > now {
				t.Fatalf("born in the future: %+v", a.Life)
			}
		}
		policy.NotModified(http.Header{"If-Modified-Since": {date}, "If-None-Match": {expires}}, http.Header{"Etag": {modified}}, now)
	})
}
