package policy_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/policy"
)

// Each row is one sentence of RFC 9111, of the section that it names, that a
// shared cache can keep or break by a decision of this package. Cache keys, the
// matching of Vary and invalidation are decided elsewhere.

const fresh = "Cache-Control: max-age=60"

// TestStoring has what decides whether a response is stored, and for how long
// it is fresh: sections 3, 4.1, 4.2 and the directives of responses.
func TestStoring(t *testing.T) {
	const date = "Date: Tue, 14 Nov 2023 22:13:20 GMT"
	heuristic := func(r *policy.Request, t *policy.Terms) { t.Heuristic = true }
	authorised := func(r *policy.Request, t *policy.Terms) { r.Authorization = true }
	for _, c := range []struct {
		name, section string
		status        int // 0: 200
		lines         []string
		given         func(*policy.Request, *policy.Terms)
		reason        string
		ttl           int64 // seconds, where it is stored
	}{
		{name: "GET is understood", section: "3", lines: []string{fresh}, ttl: 60},
		{name: "another method is not", section: "3", lines: []string{fresh}, reason: policy.ReasonMethod,
			given: func(r *policy.Request, _ *policy.Terms) { r.Method = http.MethodPost }},
		{name: "the body of HEAD is missing", section: "3", lines: []string{fresh}, reason: policy.ReasonMethod,
			given: func(r *policy.Request, _ *policy.Terms) { r.Method = http.MethodHead }},
		{name: "an interim status is not final", section: "3", status: 103, lines: []string{fresh}, reason: policy.ReasonStatus},
		{name: "a status beyond 599 is invalid", section: "3", status: 600, lines: []string{fresh}, reason: policy.ReasonStatus},
		{name: "206 is not understood", section: "3", status: 206, lines: []string{fresh}, reason: policy.ReasonPartial},
		{name: "304 is none to store", section: "3", status: 304, lines: []string{fresh}, reason: policy.ReasonPartial},
		{name: "final status that nobody knows", section: "3", status: 599, lines: []string{fresh}, ttl: 60},
		{name: "error with explicit freshness", section: "3", status: 500, lines: []string{fresh}, ttl: 60},
		{name: "redirect with explicit freshness", section: "3", status: 302, lines: []string{fresh}, ttl: 60},
		{name: "no-store", section: "3", lines: []string{fresh, "Cache-Control: no-store"}, reason: policy.ReasonNoStore},
		{name: "private", section: "3", lines: []string{fresh, "Cache-Control: private"}, reason: policy.ReasonPrivate},
		{name: "Expires suffices", section: "3", lines: []string{date, "Expires: " + at(60)}, ttl: 60},
		{name: "s-maxage suffices", section: "3", lines: []string{"Cache-Control: s-maxage=60"}, ttl: 60},
		{name: "nothing explicit, no guessing", section: "3", lines: []string{date}, reason: policy.ReasonNoTTL},
		{name: "neither validator nor expiration time", section: "3", given: heuristic, reason: policy.ReasonNoTTL},

		{name: "part of a body", section: "3.3", status: 206, lines: []string{fresh, "Content-Range: bytes 0-1/4"}, reason: policy.ReasonPartial},
		// RFC 9110 §14.4: the field has no meaning but with 206 and 416.
		{name: "Content-Range of a whole body", section: "3.3", lines: []string{fresh, "Content-Range: bytes 0-1/4"}, ttl: 60},
		{name: "answer to a range out of bounds", section: "3.3", status: 416, lines: []string{fresh}, reason: policy.ReasonPartial},

		{name: "Authorization", section: "3.5", lines: []string{fresh}, given: authorised, reason: policy.ReasonAuthorization},
		{name: "Authorization and public", section: "3.5", lines: []string{"Cache-Control: public, max-age=60"}, given: authorised, ttl: 60},
		{name: "Authorization and must-revalidate", section: "3.5", lines: []string{"Cache-Control: must-revalidate, max-age=60"}, given: authorised, ttl: 60},
		{name: "Authorization and s-maxage", section: "3.5", lines: []string{"Cache-Control: s-maxage=60"}, given: authorised, ttl: 60},
		{name: "Authorization and proxy-revalidate", section: "3.5", lines: []string{"Cache-Control: proxy-revalidate, max-age=60"}, given: authorised, reason: policy.ReasonAuthorization},
		{name: "Authorization and private", section: "3.5", lines: []string{"Cache-Control: public, private, max-age=60"}, given: authorised, reason: policy.ReasonPrivate},

		{name: "a star always fails to match", section: "4.1", lines: []string{fresh, "Vary: *"}, reason: policy.ReasonVaryStar},
		{name: "a star among names", section: "4.1", lines: []string{fresh, "Vary: accept, *"}, reason: policy.ReasonVaryStar},
		{name: "a star on another line", section: "4.1", lines: []string{fresh, "Vary: accept", "Vary: , *"}, reason: policy.ReasonVaryStar},

		{name: "s-maxage before max-age", section: "4.2.1", lines: []string{"Cache-Control: max-age=3600, s-maxage=60"}, ttl: 60},
		{name: "s-maxage before max-age, the other order", section: "4.2.1", lines: []string{"Cache-Control: s-maxage=60", "Cache-Control: max-age=3600"}, ttl: 60},
		{name: "longer s-maxage before max-age and Expires", section: "4.2.1", lines: []string{"Cache-Control: max-age=0, s-maxage=60", "Expires: " + at(-10)}, ttl: 60},
		{name: "max-age before Expires", section: "4.2.1", lines: []string{fresh, date, "Expires: " + at(3600)}, ttl: 60},
		{name: "Expires less Date", section: "4.2.1", lines: []string{"Date: " + at(-30), "Expires: " + at(60)}, ttl: 90},
		{name: "Expires less the time it came without Date", section: "4.2.1", lines: []string{"Expires: " + at(60)}, ttl: 60},
		{name: "Expires less the time it came with an invalid Date", section: "4.2.1", lines: []string{"Date: today", "Expires: " + at(60)}, ttl: 60},
		{name: "of two max-age the first", section: "4.2.1", lines: []string{"Cache-Control: max-age=60, max-age=3600"}, ttl: 60},
		{name: "of two max-age on two lines the first", section: "4.2.1", lines: []string{fresh, "Cache-Control: max-age=3600"}, ttl: 60},
		{name: "two Expires are stale", section: "4.2.1", lines: []string{date, "Expires: " + at(60), "Expires: " + at(60)}, reason: policy.ReasonExpired},
		{name: "no-cache restricts more than max-age", section: "4.2.1", lines: []string{fresh, "Cache-Control: no-cache"}, reason: policy.ReasonNoCache},
		{name: "max-age without a number is stale", section: "4.2.1", lines: []string{"Cache-Control: max-age=soon", "Expires: " + at(60)}, reason: policy.ReasonExpired},
		{name: "max-age without a value is stale", section: "4.2.1", lines: []string{"Cache-Control: max-age", "Expires: " + at(60)}, reason: policy.ReasonExpired},
		{name: "negative max-age is stale", section: "4.2.1", lines: []string{"Cache-Control: max-age=-60"}, reason: policy.ReasonExpired},
		{name: "fractional max-age is stale", section: "4.2.1", lines: []string{"Cache-Control: max-age=60.5"}, reason: policy.ReasonExpired},
		{name: "max-age in single quotes is stale", section: "4.2.1", lines: []string{"Cache-Control: max-age='60'"}, reason: policy.ReasonExpired},
		{name: "max-age with a letter is stale", section: "4.2.1", lines: []string{"Cache-Control: max-age=60a"}, reason: policy.ReasonExpired},
		{name: "max-age with a space before = is stale", section: "4.2.1", lines: []string{"Cache-Control: max-age =60"}, reason: policy.ReasonExpired},

		{name: "a tenth since the last modification", section: "4.2.2", given: heuristic, lines: []string{date, "Last-Modified: " + at(-600)}, ttl: 60},
		{name: "counted from the time it came without Date", section: "4.2.2", given: heuristic, lines: []string{"Last-Modified: " + at(-600)}, ttl: 60},
		{name: "a day at most", section: "4.2.2", given: heuristic, lines: []string{date, "Last-Modified: " + at(-100*86400)}, ttl: 86400},
		{name: "modified after Date", section: "4.2.2", given: heuristic, lines: []string{date, "Last-Modified: " + at(60)}, reason: policy.ReasonNoTTL},
		{name: "invalid Last-Modified", section: "4.2.2", given: heuristic, lines: []string{date, "Last-Modified: yesterday"}, reason: policy.ReasonNoTTL},
		{name: "not where max-age is given", section: "4.2.2", given: heuristic, lines: []string{date, "Last-Modified: " + at(-6000), fresh}, ttl: 60},
		{name: "not where Expires is given", section: "4.2.2", given: heuristic, lines: []string{date, "Last-Modified: " + at(-6000), "Expires: 0"}, ttl: 0},
		{name: "404 is heuristically cacheable", section: "4.2.2", status: 404, given: heuristic, lines: []string{date, "Last-Modified: " + at(-600)}, ttl: 60},
		{name: "302 is not", section: "4.2.2", status: 302, given: heuristic, lines: []string{date, "Last-Modified: " + at(-600)}, reason: policy.ReasonNoTTL},
		{name: "302 marked as cacheable is", section: "4.2.2", status: 302, given: heuristic, lines: []string{date, "Last-Modified: " + at(-600), "Cache-Control: public"}, ttl: 60},

		{name: "older than its lifetime when it came", section: "4.2.3", lines: []string{fresh, "Age: 60"}, reason: policy.ReasonExpired},
		{name: "too old by Date when it came", section: "4.2.3", lines: []string{fresh, "Date: " + at(-60)}, reason: policy.ReasonExpired},

		{name: "largest number", section: "1.2.2", lines: []string{"Cache-Control: max-age=2147483648"}, ttl: 1 << 31},
		{name: "number that is too large", section: "1.2.2", lines: []string{"Cache-Control: max-age=99999999999"}, ttl: 1 << 31},
		{name: "number that overflows", section: "1.2.2", lines: []string{"Cache-Control: max-age=99999999999999999999999999"}, ttl: 1 << 31},
		{name: "leading zeros", section: "1.2.2", lines: []string{"Cache-Control: max-age=0060"}, ttl: 60},
		{name: "Age that is too large", section: "1.2.2", lines: []string{fresh, "Age: 99999999999999999999999999"}, reason: policy.ReasonExpired},

		{name: "names in any case", section: "5.2", lines: []string{"Cache-Control: MaX-aGe=60"}, ttl: 60},
		{name: "no-store in any case", section: "5.2", lines: []string{fresh, "Cache-Control: No-StOrE"}, reason: policy.ReasonNoStore},
		{name: "quoted form of a number", section: "5.2", lines: []string{`Cache-Control: max-age="60"`}, ttl: 60},
		{name: "directive inside a quoted string", section: "5.2", lines: []string{`Cache-Control: x="max-age=3600, no-store", max-age=60`}, ttl: 60},
		{name: "escaped quote inside a quoted string", section: "5.2", lines: []string{`Cache-Control: x="\", no-store, ", max-age=60`}, ttl: 60},
		{name: "quote that is never closed hides nothing", section: "5.2", lines: []string{`Cache-Control: max-age=60, x="a, no-store`}, reason: policy.ReasonNoStore},
		{name: "empty members", section: "5.2", lines: []string{"Cache-Control: , ,max-age=60,,"}, ttl: 60},
		{name: "argument where there is none", section: "5.2", lines: []string{fresh, "Cache-Control: no-store=yes"}, reason: policy.ReasonNoStore},
		{name: "forgotten comma", section: "5.2", lines: []string{fresh, "Cache-Control: no-cache no-store must-revalidate"}, reason: policy.ReasonNoStore},
		{name: "forgotten comma before a number", section: "5.2", lines: []string{"Cache-Control: private max-age=60"}, reason: policy.ReasonPrivate},
		{name: "forgotten comma after public", section: "5.2", lines: []string{"Cache-Control: public max-age=60"}, given: authorised, reason: policy.ReasonAuthorization},
		{name: "quoted string before a quote that is never closed", section: "5.2", lines: []string{`Cache-Control: x="a, no-store"b"c, max-age=60`}, ttl: 60},
		{name: "more than anybody needs is not read", section: "5.2", lines: []string{fresh, "Cache-Control: " + strings.Repeat("a,", 2100)}, reason: policy.ReasonNoStore},
		{name: "space before =", section: "5.2", lines: []string{fresh, "Cache-Control: no-store =1"}, reason: policy.ReasonNoStore},

		{name: "max-age", section: "5.2.2.1", lines: []string{fresh}, ttl: 60},
		{name: "max-age=0 without validator", section: "5.2.2.1", lines: []string{"Cache-Control: max-age=0"}, reason: policy.ReasonExpired},
		{name: "max-age=0 and a validator", section: "5.2.2.1", lines: []string{"Cache-Control: max-age=0", `ETag: "a"`}, ttl: 0},
		{name: "must-revalidate allows what is fresh", section: "5.2.2.2", lines: []string{fresh, "Cache-Control: must-revalidate"}, ttl: 60},
		{name: "must-understand and a known status", section: "5.2.2.3", lines: []string{fresh, "Cache-Control: must-understand, no-store"}, ttl: 60},
		{name: "must-understand and an unknown status", section: "5.2.2.3", status: 599, lines: []string{fresh, "Cache-Control: must-understand, no-store"}, reason: policy.ReasonStatus},
		{name: "must-understand alone and an unknown status", section: "5.2.2.3", status: 599, lines: []string{fresh, "Cache-Control: must-understand"}, reason: policy.ReasonStatus},
		{name: "must-understand and delta encoding", section: "5.2.2.3", status: 226, lines: []string{fresh, "Cache-Control: must-understand, no-store"}, reason: policy.ReasonStatus},
		{name: "must-understand and private", section: "5.2.2.3", lines: []string{fresh, "Cache-Control: must-understand, private"}, reason: policy.ReasonPrivate},
		{name: "no-cache is of use with a validator", section: "5.2.2.4", lines: []string{fresh, "Cache-Control: no-cache", `ETag: "a"`}, ttl: 0},
		{name: "no-cache is of no use without", section: "5.2.2.4", lines: []string{fresh, "Cache-Control: no-cache"}, reason: policy.ReasonNoCache},
		{name: "qualified no-cache", section: "5.2.2.4", lines: []string{fresh, `Cache-Control: no-cache="x-a"`}, ttl: 60},
		{name: "no-cache with an empty list", section: "5.2.2.4", lines: []string{fresh, `Cache-Control: no-cache=""`}, reason: policy.ReasonNoCache},
		{name: "no-store", section: "5.2.2.5", lines: []string{"Expires: " + at(60), "Cache-Control: max-age=60, no-store"}, reason: policy.ReasonNoStore},
		{name: "no-transform is for those that transform", section: "5.2.2.6", lines: []string{fresh, "Cache-Control: no-transform"}, ttl: 60},
		{name: "private", section: "5.2.2.7", lines: []string{fresh, "Cache-Control: private"}, reason: policy.ReasonPrivate},
		{name: "qualified private", section: "5.2.2.7", lines: []string{fresh, `Cache-Control: private="x-a, x-b"`}, ttl: 60},
		{name: "qualified private as a token", section: "5.2.2.7", lines: []string{fresh, `Cache-Control: private=x-a`}, ttl: 60},
		{name: "private with what is no list", section: "5.2.2.7", lines: []string{fresh, `Cache-Control: private="x-a x-b"`}, reason: policy.ReasonPrivate},
		{name: "private with a quote that is never closed", section: "5.2.2.7", lines: []string{`Cache-Control: private="x-a, max-age=60`}, reason: policy.ReasonPrivate},
		{name: "qualified and unqualified private", section: "5.2.2.7", lines: []string{fresh, `Cache-Control: private="x-a", private`}, reason: policy.ReasonPrivate},
		{name: "proxy-revalidate does not make cacheable", section: "5.2.2.8", lines: []string{"Cache-Control: proxy-revalidate"}, reason: policy.ReasonNoTTL},
		{name: "public does not excuse no-store", section: "5.2.2.9", lines: []string{fresh, "Cache-Control: public, no-store"}, reason: policy.ReasonNoStore},
		{name: "public without freshness and guessing", section: "5.2.2.9", lines: []string{"Cache-Control: public"}, reason: policy.ReasonNoTTL},
		{name: "s-maxage overrides", section: "5.2.2.10", lines: []string{"Cache-Control: s-maxage=60, max-age=5", "Expires: " + at(7)}, ttl: 60},
		{name: "s-maxage without a number is stale", section: "5.2.2.10", lines: []string{"Cache-Control: s-maxage=x, max-age=60"}, reason: policy.ReasonExpired},
		{name: "unknown directives are ignored", section: "5.2.3", lines: []string{`Cache-Control: community="UCI", foo, max-age=60, immutable`}, ttl: 60},
		{name: "an extension does not soften private", section: "5.2.3", lines: []string{`Cache-Control: private, community="UCI", max-age=60`}, reason: policy.ReasonPrivate},

		{name: "Expires 0", section: "5.3", lines: []string{"Expires: 0"}, reason: policy.ReasonExpired},
		{name: "Expires -1", section: "5.3", lines: []string{"Expires: -1"}, reason: policy.ReasonExpired},
		{name: "Expires in the past", section: "5.3", lines: []string{date, "Expires: " + at(-1)}, reason: policy.ReasonExpired},
		{name: "Expires is Date", section: "5.3", lines: []string{date, "Expires: " + at(0)}, reason: policy.ReasonExpired},
		{name: "Expires is ignored beside max-age", section: "5.3", lines: []string{fresh, "Expires: 0"}, ttl: 60},
		{name: "Expires is ignored beside s-maxage", section: "5.3", lines: []string{"Cache-Control: s-maxage=60", "Expires: 0"}, ttl: 60},
		{name: "far future", section: "5.3", lines: []string{date, "Expires: Sun, 21 Nov 2286 04:46:39 GMT"}, ttl: 8300039599},
		{name: "Pragma in a response means nothing", section: "5.4", lines: []string{fresh, "Pragma: no-cache"}, ttl: 60},
	} {
		t.Run(c.section+"/"+c.name, func(t *testing.T) {
			r, terms, status := get(), terms(), http.StatusOK
			if c.given != nil {
				c.given(&r, &terms)
			}
			if c.status != 0 {
				status = c.status
			}
			a := policy.Admit(r, status, header(c.lines...), terms)
			assert.Equal(t, c.reason, a.Reason)
			assert.Equal(t, c.reason == "", a.Store)
			if a.Store {
				assert.Equal(t, c.ttl*second, a.Life.TTL)
			}
		})
	}
}

// TestStoringMarks has what a stored response is marked with.
func TestStoringMarks(t *testing.T) {
	for _, c := range []struct {
		name, section string
		lines         []string
		want          policy.Admission
	}{
		{"plain", "3", []string{fresh}, policy.Admission{}},
		{"must-revalidate", "5.2.2.2", []string{fresh, "Cache-Control: must-revalidate"}, policy.Admission{Life: policy.Life{NeverStale: true, Shared: true}}},
		{"proxy-revalidate", "5.2.2.8", []string{fresh, "Cache-Control: proxy-revalidate"}, policy.Admission{Life: policy.Life{NeverStale: true}}},
		{"s-maxage", "5.2.2.10", []string{"Cache-Control: s-maxage=60"}, policy.Admission{Life: policy.Life{NeverStale: true, Shared: true}}},
		{"public", "5.2.2.9", []string{fresh, "Cache-Control: public"}, policy.Admission{Life: policy.Life{Shared: true, Public: true}}},
		{"validator by ETag", "3", []string{fresh, `ETag: "a"`}, policy.Admission{Life: policy.Life{Keep: hour}}},
		{"validator by Last-Modified", "3", []string{fresh, "Last-Modified: " + at(-9)}, policy.Admission{Life: policy.Life{Keep: hour}}},
		{"fields of no-cache and private", "3.1", []string{fresh, `Cache-Control: no-cache="a, B", private="c"`}, policy.Admission{Fields: []string{"a", "B", "c"}}},
		{"names of Vary", "4.1", []string{fresh, "Vary: X-B, accept-language", "Vary: x-b,,X-A"}, policy.Admission{Vary: []string{"accept-language", "x-a", "x-b"}}},
	} {
		t.Run(c.section+"/"+c.name, func(t *testing.T) {
			c.want.Store, c.want.Life.TTL, c.want.Life.Born = true, 60*second, now
			assert.Equal(t, c.want, admit(terms(), c.lines...))
		})
	}
	a := admit(terms(), fresh, "Cache-Control: no-cache", `ETag: "a"`, "Cache-Control: stale-while-revalidate=9")
	assert.Equal(t, policy.Life{Born: now, NoCache: true, Keep: hour}, a.Life)
}

func TestAge(t *testing.T) {
	for _, c := range []struct {
		name, section string
		lines         []string
		delay         int64 // ms between request and response
		want          int64 // age in ms when the response came
	}{
		{"none", "4.2.3", nil, 0, 0},
		{"age_value", "4.2.3", []string{"Age: 30"}, 0, 30 * second},
		{"response_delay", "4.2.3", nil, 1500, 1500},
		{"corrected_age_value counts from the request", "4.2.3", []string{"Age: 30"}, 1500, 31500},
		{"apparent_age", "4.2.3", []string{"Date: " + at(-40)}, 0, 40 * second},
		{"the larger of both: Age", "4.2.3", []string{"Date: " + at(-40), "Age: 50"}, 0, 50 * second},
		{"the larger of both: Date", "4.2.3", []string{"Date: " + at(-40), "Age: 30"}, 2000, 40 * second},
		{"a negative apparent_age is zero", "4.2.3", []string{"Date: " + at(40)}, 0, 0},
		{"a negative delay is zero", "4.2.3", []string{"Age: 30"}, -5000, 30 * second},
		{"invalid Date", "4.2.3", []string{"Date: now"}, 0, 0},
		{"the first line", "5.1", []string{"Age: 20", "Age: 0"}, 0, 20 * second},
		{"the first member", "5.1", []string{"Age: 20, 0"}, 0, 20 * second},
		{"the first member is 0", "5.1", []string{"Age: 0, 20"}, 0, 0},
		{"the first is invalid", "5.1", []string{"Age: x, 20"}, 0, 0},
		{"no number", "5.1", []string{"Age: abc"}, 0, 0},
		{"negative", "5.1", []string{"Age: -20"}, 0, 0},
		{"fraction", "5.1", []string{"Age: 20.0"}, 0, 0},
		{"quoted", "5.1", []string{`Age: "20"`}, 0, 0},
		{"parameter", "5.1", []string{"Age: 20;a=b"}, 0, 0},
		{"empty", "5.1", []string{"Age:"}, 0, 0},
		{"largest", "1.2.2", []string{"Age: 2147483649"}, 0, 1 << 31 * second},
	} {
		t.Run(c.section+"/"+c.name, func(t *testing.T) {
			r := get()
			r.Requested -= c.delay
			h := header(append(c.lines, "Cache-Control: max-age=4000000000", "Cache-Control: stale-if-error=60")...)
			a := policy.Admit(r, http.StatusOK, h, terms())
			assert.True(t, a.Store, a.Reason)
			assert.Equal(t, c.want, a.Life.Age(now))
			assert.Equal(t, c.want+7, a.Life.Age(now+7), "resident_time")
		})
	}
}

func TestAgeField(t *testing.T) {
	for _, c := range []struct {
		name, section string
		ms            int64
		want          string
	}{
		{"whole seconds", "5.1", 59999, "59"},
		{"zero", "5.1", 0, "0"},
		{"never negative", "5.1", -5000, "0"},
		{"not above what can be represented", "1.2.2", 1 << 50, "2147483648"},
	} {
		t.Run(c.section+"/"+c.name, func(t *testing.T) {
			assert.Equal(t, c.want, policy.FormatAge(c.ms))
		})
	}
	assert.Equal(t, int64(0), policy.Life{Born: now + 1}.Age(now), "a clock that was set back")
}

// TestReuse has sections 4 and 4.2 and the directives of requests.
func TestReuse(t *testing.T) {
	plain := policy.Life{Born: now, TTL: 60 * second}
	grace := policy.Life{Born: now, TTL: 60 * second, Grace: 30 * second}
	never := policy.Life{Born: now, TTL: 60 * second, NeverStale: true}
	noCache := policy.Life{Born: now, NoCache: true, Keep: hour}
	for _, c := range []struct {
		name, section string
		life          policy.Life
		age           int64 // seconds
		request       string
		state         policy.State
		reason        string
	}{
		{"fresh", "4", plain, 59, "", policy.Fresh, ""},
		{"no-cache", "4", noCache, 0, "", policy.Expired, policy.ReasonNoCache},
		{"no-cache although stale ones are accepted", "5.2.2.4", noCache, 0, "max-stale", policy.Expired, policy.ReasonNoCache},
		{"the lifetime has to be greater than the age", "4.2", plain, 60, "", policy.Expired, policy.ReasonExpired},
		{"stale", "4.2", plain, 61, "", policy.Expired, policy.ReasonExpired},
		{"stale and permitted by the origin", "4.2.4", grace, 60, "", policy.Stale, policy.ReasonExpired},
		{"no longer permitted", "4.2.4", grace, 90, "", policy.Expired, policy.ReasonExpired},
		{"max-age not reached", "5.2.1.1", plain, 29, "max-age=30", policy.Fresh, ""},
		{"max-age reached", "5.2.1.1", plain, 30, "max-age=30", policy.Fresh, ""},
		{"max-age exceeded", "5.2.1.1", plain, 31, "max-age=30", policy.Expired, policy.ReasonRequestMaxAge},
		{"max-age=0 is a reload", "5.2.1.1", plain, 0, "max-age=0", policy.Expired, policy.ReasonRequestMaxAge},
		{"max-age that cannot be read", "5.2.1.1", plain, 1, "max-age=x", policy.Expired, policy.ReasonRequestMaxAge},
		{"max-age wants nothing stale", "5.2.1.1", grace, 70, "max-age=100", policy.Expired, policy.ReasonRequestMaxAge},
		{"max-age with max-stale takes it", "5.2.1.1", grace, 70, "max-age=100, max-stale", policy.Stale, policy.ReasonExpired},
		{"max-age does not freshen", "5.2.1.1", plain, 70, "max-age=100", policy.Expired, policy.ReasonExpired},
		{"max-stale with a value", "5.2.1.2", plain, 70, "max-stale=10", policy.Fresh, ""},
		{"max-stale exceeded", "5.2.1.2", plain, 71, "max-stale=10", policy.Expired, policy.ReasonExpired},
		{"max-stale of any age", "5.2.1.2", plain, 1 << 30, "max-stale", policy.Fresh, ""},
		{"max-stale and must-revalidate", "5.2.2.2", never, 61, "max-stale", policy.Expired, policy.ReasonExpired},
		{"must-revalidate and fresh", "5.2.2.2", never, 59, "", policy.Fresh, ""},
		{"min-fresh", "5.2.1.3", plain, 50, "min-fresh=10", policy.Fresh, ""},
		{"min-fresh too long", "5.2.1.3", plain, 51, "min-fresh=10", policy.Expired, policy.ReasonRequestMinFresh},
		{"min-fresh wants nothing stale", "5.2.1.3", grace, 70, "min-fresh=1", policy.Expired, policy.ReasonRequestMinFresh},
		{"no-cache", "5.2.1.4", plain, 0, "no-cache", policy.Expired, policy.ReasonRequestNoCache},
		{"no-store does not apply to what is stored", "5.2.1.5", plain, 0, "no-store", policy.Fresh, ""},
		{"no-transform", "5.2.1.6", plain, 0, "no-transform", policy.Fresh, ""},
		{"only-if-cached", "5.2.1.7", plain, 0, "only-if-cached", policy.Fresh, ""},
		{"unknown directives", "5.2.3", plain, 0, "foo, bar=1", policy.Fresh, ""},
	} {
		t.Run(c.section+"/"+c.name, func(t *testing.T) {
			var d policy.Directives
			if c.request != "" {
				d = policy.ParseDirectives([]string{c.request})
			}
			state, reason := policy.Reuse(c.life, d, false, now+c.age*second)
			assert.Equal(t, c.state, state)
			assert.Equal(t, c.reason, reason)
		})
	}
}

func TestRequestDirectives(t *testing.T) {
	d := policy.ParseDirectives([]string{"no-store, only-if-cached", "min-fresh=5"})
	assert.True(t, d.Present && d.NoStore && d.OnlyIfCached)
	assert.Equal(t, 5*second, d.MinFresh)
	assert.Equal(t, unset, d.MaxStale)
	assert.False(t, policy.ParseDirectives(nil).Present)

	r := get()
	r.NoStore = true // 5.2.1.5
	a := policy.Admit(r, http.StatusOK, header(fresh, "X-Odoo-Cache: public, ttl=9"), terms())
	assert.Equal(t, policy.Admission{Reason: policy.ReasonRequestNoStore}, a)
}

func TestSoftPurge(t *testing.T) {
	life := policy.Life{Born: now, TTL: 60 * second, Grace: 30 * second}
	for _, c := range []struct {
		name    string
		grace   int64
		age     int64
		request string
		state   policy.State
	}{
		{"may be served while it is refreshed", 30 * second, 1, "", policy.Stale},
		{"also when it is stale anyway", 30 * second, 89, "", policy.Stale},
		{"not after its grace", 30 * second, 90, "", policy.Expired},
		{"not without grace", 0, 1, "", policy.Expired},
		{"not for a client that accepts stale ones", 0, 1, "max-stale", policy.Expired},
		{"not for a client that wants nothing stale", 30 * second, 1, "max-age=50", policy.Expired},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := life
			l.Grace = c.grace
			var d policy.Directives
			if c.request != "" {
				d = policy.ParseDirectives([]string{c.request})
			}
			state, reason := policy.Reuse(l, d, true, now+c.age*second)
			assert.Equal(t, c.state, state)
			assert.Equal(t, policy.ReasonPurged, reason)
		})
	}
}

func TestRetention(t *testing.T) {
	l := policy.Life{Born: now, TTL: 60 * second}
	assert.Equal(t, 50*second, l.Retention(now+10*second))
	l.Grace, l.StaleIfError, l.Keep = 10*second, 20*second, 5*second
	assert.Equal(t, 80*second, l.Retention(now), "the longest of the three")
	l.Keep = 30 * second
	assert.Equal(t, 90*second, l.Retention(now))
	l.Grace = 40 * second
	assert.Equal(t, 100*second, l.Retention(now))
}

func TestDates(t *testing.T) {
	const ms = 784111777000 // 6 Nov 1994 08:49:37
	for _, c := range []struct {
		name, section string
		lines         []string
		want          int64 // 0: invalid
	}{
		{"IMF-fixdate", "5.3", []string{"Sun, 06 Nov 1994 08:49:37 GMT"}, ms},
		{"obsolete RFC 850", "5.3", []string{"Sunday, 06-Nov-94 08:49:37 GMT"}, ms},
		{"RFC 850, this century", "5.3", []string{"Thursday, 18-Aug-50 02:01:18 GMT"}, 2544400878000},
		{"RFC 850, the epoch is past", "5.3", []string{"Thursday, 01-Jan-70 00:00:01 GMT"}, 1000},
		{"asctime", "5.3", []string{"Sun Nov  6 08:49:37 1994"}, ms},
		{"weekday in another case", "4.2", []string{"SUN, 06 Nov 1994 08:49:37 GMT"}, ms},
		{"month in another case", "4.2", []string{"Sun, 06 nOV 1994 08:49:37 GMT"}, ms},
		{"zone in another case", "4.2", []string{"Sun, 06 Nov 1994 08:49:37 gMT"}, ms},
		{"UTC", "4.2", []string{"Sun, 06 Nov 1994 08:49:37 UTC"}, 0},
		{"another zone", "4.2", []string{"Sun, 06 Nov 1994 08:49:37 CET"}, 0},
		{"an offset", "4.2", []string{"Sun, 06 Nov 1994 08:49:37 +0000"}, 0},
		{"no zone", "4.2", []string{"Sun, 06 Nov 1994 08:49:37"}, 0},
		{"two-digit year", "5.3", []string{"Sun, 06 Nov 94 08:49:37 GMT"}, 0},
		{"no comma", "5.3", []string{"Sun 06 Nov 1994 08:49:37 GMT"}, 0},
		{"runs of spaces", "5.3", []string{"Sun, 06  Nov  1994 08:49:37 GMT"}, 0},
		{"dashes and four digits", "5.3", []string{"Sun, 06-Nov-1994 08:49:37 GMT"}, 0},
		{"periods", "5.3", []string{"Sun, 06 Nov 1994 08.49.37 GMT"}, 0},
		{"one-digit hour", "5.3", []string{"Sun, 06 Nov 1994 8:49:37 GMT"}, 0},
		{"one-digit hour, RFC 850", "5.3", []string{"Sunday, 06-Nov-94 8:49:37 GMT"}, 0},
		{"one-digit day", "5.3", []string{"Sun, 6 Nov 1994 08:49:37 GMT"}, 0},
		{"hour 24", "5.3", []string{"Sun, 06 Nov 1994 24:49:37 GMT"}, 0},
		{"0", "5.3", []string{"0"}, 0},
		{"empty", "5.3", []string{""}, 0},
		{"two lines", "4.2.1", []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"}, 0},
		{"no line", "5.3", nil, 0},
	} {
		t.Run(c.section+"/"+c.name, func(t *testing.T) {
			got, ok := policy.ParseDate(c.lines)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.want != 0, ok)
		})
	}
}

// TestStoredHeader has section 3.1.
func TestStoredHeader(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"unknown fields are kept", []string{"X-New: 1", "X-New: 2", "Content-Foo: a"}, []string{"X-New: 1", "X-New: 2", "Content-Foo: a"}},
		{"fields of the connection", []string{"Connection: close", "Keep-Alive: 5", "Transfer-Encoding: chunked", "Upgrade: h2c", "TE: x", "Proxy-Connection: x", "A: 1"}, []string{"A: 1"}},
		{"what Connection names", []string{"Connection: x-a, X-B", "Connection: x-c", "X-A: 1", "X-B: 1", "X-C: 1", "X-D: 1"}, []string{"X-D: 1"}},
		{"fields of the proxy's configuration", []string{"Proxy-Authenticate: x", "Proxy-Authentication-Info: x", "Proxy-Authorization: x"}, nil},
		{"trailers are discarded", []string{"Trailer: X-Sum", http.TrailerPrefix + "X-Sum: 1"}, nil},
		{"fields that are written anew", []string{"Age: 5", "Content-Length: 3", "Cache-Status: x; hit"}, nil},
		{"named by qualified directives", []string{"X-Secret: 1", "X-Other: 1"}, []string{"X-Other: 1"}},
		{"cookies", []string{"Set-Cookie: lang=fr; Path=/", "Set-Cookie: session_id=1", "Set-Cookie: lang2=fr"}, []string{"Set-Cookie: lang=fr; Path=/"}},
		{"only cookies to drop", []string{"Set-Cookie: session_id=1"}, nil},
	} {
		t.Run("3.1/"+c.name, func(t *testing.T) {
			h := header(c.lines...)
			got := policy.StoredHeader(h, []string{"x-secret"}, []string{"lang"})
			assert.Equal(t, header(c.want...), got)
			assert.Equal(t, header(c.lines...), h, "the argument was changed")
		})
	}
	lines := make([]string, 1, 4)
	stored := policy.StoredHeader(http.Header{"A": lines}, nil, nil)
	assert.Equal(t, 1, cap(stored["A"]), "appending must not write into the origin's lines")
}

// TestFreshen has section 3.2.
func TestFreshen(t *testing.T) {
	for _, c := range []struct {
		name                string
		stored, fresh, want []string
	}{
		{"stored fields stay", []string{"A: 1", "B: 1"}, []string{"B: 2"}, []string{"A: 1", "B: 2"}},
		{"new fields are added", []string{"A: 1"}, []string{"Content-Foo: 2"}, []string{"A: 1", "Content-Foo: 2"}},
		{"all lines are replaced", []string{"A: 1", "A: 2"}, []string{"A: 3"}, []string{"A: 3"}},
		{"freshness", []string{fresh}, []string{"Cache-Control: max-age=5", "Expires: 0"}, []string{"Cache-Control: max-age=5", "Expires: 0"}},
		{"ETag", []string{`ETag: "a"`}, []string{`ETag: W/"a"`}, []string{`ETag: W/"a"`}},
		{"Content-Length stays", []string{"Content-Length: 36"}, []string{"Content-Length: 10"}, []string{"Content-Length: 36"}},
		{"what the stored body depends on", []string{"Content-Type: text/css", "Content-Encoding: gzip"}, []string{"Content-Type: text/html", "Content-Encoding: br", "Content-Range: x"}, []string{"Content-Type: text/css", "Content-Encoding: gzip"}},
		{"fields that are not stored", []string{"X-A: 1"}, []string{"Connection: x-a", "X-A: 2", "Transfer-Encoding: chunked", "Proxy-Authenticate: x"}, []string{"X-A: 1"}},
		{"Age and Date are new", []string{"Age: 9", "Date: " + at(-900)}, []string{"Age: 1", "Date: " + at(0)}, []string{"Age: 1", "Date: " + at(0)}},
		{"Age and Date of old do not count", []string{"Age: 9", "Date: " + at(-900), "A: 1"}, nil, []string{"A: 1"}},
	} {
		t.Run("3.2/"+c.name, func(t *testing.T) {
			stored, fresh := header(c.stored...), header(c.fresh...)
			assert.Equal(t, header(c.want...), policy.Freshen(stored, fresh))
			assert.Equal(t, header(c.stored...), stored, "the argument was changed")
			assert.Equal(t, header(c.fresh...), fresh, "the argument was changed")
		})
	}
	merged := policy.Freshen(header("Date: "+at(-900), fresh), http.Header{})
	a := policy.Admit(get(), http.StatusOK, merged, terms())
	assert.Equal(t, int64(0), a.Life.Age(now), "4.2.3: the age counts from the validation")
}

// TestConditional has section 4.3.1.
func TestConditional(t *testing.T) {
	const modified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"
	for _, c := range []struct {
		name                  string
		request, stored, want []string
	}{
		{"entity tag", []string{"A: 1"}, []string{`ETag: "a"`}, []string{"A: 1", `If-None-Match: "a"`}},
		{"weak entity tag", nil, []string{`ETag: W/"a"`}, []string{`If-None-Match: W/"a"`}},
		{"date", nil, []string{modified}, []string{"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"}},
		{"both", nil, []string{modified, `ETag: "a"`}, []string{"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", `If-None-Match: "a"`}},
		{"the client's own are replaced", []string{`If-None-Match: "x"`, "If-Modified-Since: x", "If-Match: x", "If-Unmodified-Since: x", "If-Range: x", "Range: bytes=0-1"}, []string{`ETag: "a"`}, []string{`If-None-Match: "a"`}},
		{"nothing to ask by", []string{`If-None-Match: "x"`}, []string{"Date: " + at(0)}, nil},
		{"empty entity tag", nil, []string{"ETag:"}, nil},
	} {
		t.Run("4.3.1/"+c.name, func(t *testing.T) {
			request := header(c.request...)
			policy.Conditional(request, header(c.stored...))
			assert.Equal(t, header(c.want...), request)
		})
	}
}

// TestNotModified has section 4.3.2, and RFC 9110 §13.1.2, §13.1.3 and §13.2.2.
func TestNotModified(t *testing.T) {
	since := func(seconds int64) string { return "If-Modified-Since: " + at(seconds) }
	for _, c := range []struct {
		name            string
		request, stored []string
		want            bool
	}{
		{"no condition", nil, []string{`ETag: "a"`}, false},
		{"entity tag", []string{`If-None-Match: "a"`}, []string{`ETag: "a"`}, true},
		{"another entity tag", []string{`If-None-Match: "b"`}, []string{`ETag: "a"`}, false},
		{"no entity tag stored", []string{`If-None-Match: "a"`}, nil, false},
		{"empty entity tag stored", []string{"If-None-Match:  , "}, []string{"ETag:"}, false},
		{"any", []string{"If-None-Match: *"}, nil, true},
		{"a quoted star is a tag", []string{`If-None-Match: "*"`}, []string{`ETag: "a"`}, false},
		{"in a list", []string{`If-None-Match: "x", "a" ,"y"`}, []string{`ETag: "a"`}, true},
		{"on a second line", []string{`If-None-Match: "x"`, `If-None-Match: "a"`}, []string{`ETag: "a"`}, true},
		{"comma inside a tag", []string{`If-None-Match: "x,y", "a,b"`}, []string{`ETag: "a,b"`}, true},
		{"tag that is never closed", []string{`If-None-Match: "x, "a"`}, []string{`ETag: "x`}, false},
		{"unquoted tag that is never closed", []string{`If-None-Match: "x, a`}, []string{"ETag: a"}, true},
		{"empty weak tag", []string{`If-None-Match: W/, W/"a"`}, []string{`ETag: "a"`}, true},
		{"part of a tag", []string{`If-None-Match: "x,"a"`}, []string{`ETag: "a"`}, false},
		{"backslash inside a tag", []string{`If-None-Match: "x\", "a"`}, []string{`ETag: "a"`}, true},
		{"weak and strong", []string{`If-None-Match: W/"a"`}, []string{`ETag: "a"`}, true},
		{"strong and weak", []string{`If-None-Match: "a"`}, []string{`ETag: W/"a"`}, true},
		{"weak in a list", []string{`If-None-Match: W/"x,", W/"a"`}, []string{`ETag: W/"a"`}, true},
		{"the mark of weakness has its case", []string{`If-None-Match: w/"a"`}, []string{`ETag: W/"a"`}, false},
		{"a tag has its case", []string{`If-None-Match: "A"`}, []string{`ETag: "a"`}, false},
		{"obs-text", []string{"If-None-Match: \"\xfc\""}, []string{"ETag: \"\xfc\""}, true},
		{"unquoted as stored", []string{"If-None-Match: x, a"}, []string{"ETag: a"}, true},
		{"If-None-Match goes first: yes", []string{`If-None-Match: "a"`, since(-99)}, []string{`ETag: "a"`, "Last-Modified: " + at(0)}, true},
		{"If-None-Match goes first: no", []string{`If-None-Match: "b"`, since(99)}, []string{`ETag: "a"`, "Last-Modified: " + at(0)}, false},
		{"not modified since", []string{since(0)}, []string{"Last-Modified: " + at(0)}, true},
		{"modified since", []string{since(-1)}, []string{"Last-Modified: " + at(0)}, false},
		{"Date in place of Last-Modified", []string{since(0)}, []string{"Date: " + at(0)}, true},
		{"Date is later", []string{since(-1)}, []string{"Date: " + at(0)}, false},
		{"when it came in place of Date", []string{since(0)}, nil, true},
		{"it came later", []string{since(-1)}, nil, false},
		{"invalid date", []string{"If-Modified-Since: yesterday"}, []string{"Last-Modified: " + at(-9)}, false},
		{"two dates", []string{since(0), since(0)}, []string{"Last-Modified: " + at(-9)}, false},
		{"conditions for the origin alone", []string{`If-Match: "a"`, "If-Unmodified-Since: " + at(0)}, []string{`ETag: "a"`}, false},
	} {
		t.Run("4.3.2/"+c.name, func(t *testing.T) {
			assert.Equal(t, c.want, policy.NotModified(header(c.request...), header(c.stored...), now+900))
		})
	}
}

// TestValidates has section 4.3.4.
func TestValidates(t *testing.T) {
	const before, after = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Last-Modified: Sun, 06 Nov 1994 08:49:38 GMT"
	for _, c := range []struct {
		name          string
		stored, fresh []string
		want          bool
	}{
		{"the same strong tag", []string{`ETag: "a"`}, []string{`ETag: "a"`}, true},
		{"another strong tag", []string{`ETag: "a"`}, []string{`ETag: "b"`}, false},
		{"a strong tag where none is stored", []string{before}, []string{`ETag: "a"`, before}, false},
		{"a strong tag where a weak one is stored", []string{`ETag: W/"a"`}, []string{`ETag: "a"`}, false},
		{"one strong validator suffices", []string{`ETag: "a"`, before}, []string{`ETag: "a"`, after}, true},
		{"the same weak tag", []string{`ETag: W/"a"`}, []string{`ETag: W/"a"`}, true},
		{"a weak tag for a strong one", []string{`ETag: "a"`}, []string{`ETag: W/"a"`}, true},
		{"another weak tag", []string{`ETag: W/"a"`}, []string{`ETag: W/"b"`}, false},
		{"a weak tag where none is stored", []string{before}, []string{`ETag: W/"a"`}, false},
		{"the same weak tag, another date", []string{`ETag: W/"a"`, before}, []string{`ETag: W/"a"`, after}, false},
		{"the same date", []string{before}, []string{before}, true},
		{"another date", []string{before}, []string{after}, false},
		{"a date where none is stored", []string{`ETag: "a"`}, []string{before}, false},
		{"the date of one that has a tag, too", []string{`ETag: "a"`, before}, []string{before}, true},
		{"the tag of one that has a date, too", []string{`ETag: "a"`, before}, []string{`ETag: "a"`}, true},
		{"no validators on either side", nil, nil, true},
		{"no validators in the 304", []string{`ETag: "a"`, before}, nil, true},
	} {
		t.Run("4.3.4/"+c.name, func(t *testing.T) {
			assert.Equal(t, c.want, policy.Validates(header(c.stored...), header(c.fresh...)))
		})
	}
}

// TestHeadMatches has section 4.3.5.
func TestHeadMatches(t *testing.T) {
	const before, after = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Last-Modified: Sun, 06 Nov 1994 08:49:38 GMT"
	for _, c := range []struct {
		name          string
		stored, fresh []string
		want          bool
	}{
		{"everything agrees", []string{`ETag: "a"`, before}, []string{`ETag: "a"`, before, "Content-Length: 5"}, true},
		{"another tag", []string{`ETag: "a"`}, []string{`ETag: "b"`, "Content-Length: 5"}, false},
		{"a weak tag for a strong one", []string{`ETag: "a"`}, []string{`ETag: W/"a"`}, false},
		{"a tag that is not stored", nil, []string{`ETag: "a"`}, false},
		{"an empty tag where one is stored", []string{`ETag: "a"`}, []string{"ETag:"}, false},
		{"another date", []string{before}, []string{after}, false},
		{"the same tag, another date", []string{`ETag: "a"`, before}, []string{`ETag: "a"`, after}, false},
		{"a date that is not stored", nil, []string{before}, false},
		{"validators that were not received do not count", []string{`ETag: "a"`, before}, []string{"Content-Length: 5"}, true},
		{"another length", []string{`ETag: "a"`}, []string{`ETag: "a"`, "Content-Length: 6"}, false},
		{"a length that cannot be read", nil, []string{"Content-Length: five"}, false},
		{"two lengths", nil, []string{"Content-Length: 5", "Content-Length: 6"}, false},
		{"the same length twice", nil, []string{"Content-Length: 5", "Content-Length: 5"}, true},
		{"the length is that of the body", []string{"Content-Length: 9"}, []string{"Content-Length: 5"}, true},
		{"nothing that could differ", []string{"A: 1"}, []string{"A: 2"}, true},
	} {
		t.Run("4.3.5/"+c.name, func(t *testing.T) {
			assert.Equal(t, c.want, policy.HeadMatches(header(c.stored...), header(c.fresh...), 5))
		})
	}
}

// TestHeuristicStatuses has the statuses of RFC 9110 §15.1 that may be cached
// without explicit freshness, or by the time that a rule gives.
func TestHeuristicStatuses(t *testing.T) {
	cacheable := map[int]bool{200: true, 203: true, 204: true, 300: true, 301: true, 308: true, 404: true, 405: true, 410: true, 414: true, 501: true}
	ruled := terms()
	ruled.TTL = 60 * second
	guessed := terms()
	guessed.Heuristic = true
	for status := 200; status < 600; status++ {
		t.Run("4.2.2/"+strconv.Itoa(status), func(t *testing.T) {
			h := header("Last-Modified: " + at(-600))
			assert.Equal(t, cacheable[status], policy.Admit(get(), status, h, guessed).Store)
			assert.Equal(t, cacheable[status], policy.Admit(get(), status, h, ruled).Store)
		})
	}
}

// TestLongFields: what a client sends is read in one pass. Each of these takes
// minutes if a step of it looks at all that follows.
func TestLongFields(t *testing.T) {
	const n = 1 << 17
	for _, c := range []struct{ name, value string }{
		{"commas", strings.Repeat(",", n)},
		{"names", strings.Repeat("a,", n)},
		{"escaped quotes", strings.Repeat(`\",`, n)},
		{"opening quotes", strings.Repeat(`"a,`, n)},
		{"weak tags", strings.Repeat(`W/"a",`, n)},
		{"weak marks", strings.Repeat(`W/,`, n)},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.True(t, policy.ParseDirectives([]string{c.value}).NoStore)
			policy.ParseSurrogate([]string{c.value})
			policy.ParseTargeted([]string{c.value})
			assert.False(t, policy.NotModified(http.Header{"If-None-Match": {c.value}}, header(`ETag: "b"`), now))
		})
	}
}

// TestCapped: nothing is of use beyond the cap, and what is shorter stays as it is.
func TestCapped(t *testing.T) {
	for _, c := range []struct{ life, want policy.Life }{
		{policy.Life{TTL: 50, Grace: 100, StaleIfError: 10, Keep: 60}, policy.Life{TTL: 50, Grace: 50, StaleIfError: 10, Keep: 50}},
		{policy.Life{TTL: 500, Grace: 100, Keep: 60}, policy.Life{TTL: 100}},
		{policy.Life{TTL: 10, Grace: 20, StaleIfError: 30, Keep: 40}, policy.Life{TTL: 10, Grace: 20, StaleIfError: 30, Keep: 40}},
	} {
		got := policy.Capped(c.life, 100)
		assert.Equal(t, c.want, got)
		assert.LessOrEqual(t, got.Retention(0), int64(100))
	}
}
