package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/policy"
)

// TestStale has RFC 5861 §3 and §4, who may allow stale answers, and who may
// forbid them (RFC 9111 §4.2.4).
func TestStale(t *testing.T) {
	const swr = "Cache-Control: max-age=60, stale-while-revalidate=10, stale-if-error=20"
	plain, operator, ruled, ruledOnly := terms(), terms(), terms(), terms()
	operator.Grace, operator.StaleIfError = 100*second, 200*second
	ruled.TTL, ruled.Grace, ruled.StaleIfError = 60*second, 100*second, 200*second
	ruledOnly.TTL = 60 * second
	silent := operator
	silent.Grace, silent.StaleIfError = 0, 0
	for _, c := range []struct {
		name       string
		terms      policy.Terms
		lines      []string
		grace, sie int64
	}{
		{"nobody allows it", plain, []string{fresh}, 0, 0},
		{"the origin allows it", plain, []string{swr}, 10, 20},
		{"the origin by CDN-Cache-Control", plain, []string{"CDN-Cache-Control: max-age=60, stale-while-revalidate=10, stale-if-error=20", fresh}, 10, 20},
		{"times that cannot be read", plain, []string{fresh, "Cache-Control: stale-while-revalidate=x, stale-if-error"}, 0, 0},
		{"the rule allows it", operator, []string{fresh}, 100, 200},
		{"the rule over the origin", operator, []string{swr}, 100, 200},
		{"the rule forbids it", silent, []string{swr}, 0, 0},
		{"the application over the rule", operator, []string{swr, "X-Odoo-Cache: public, grace=1, sie=2"}, 1, 2},
		{"the application forbids it", operator, []string{swr, "X-Odoo-Cache: public, grace=0, sie=0"}, 0, 0},
		{"the application for one of both", operator, []string{swr, "X-Odoo-Cache: public, grace=1"}, 1, 200},
		{"must-revalidate forbids it", operator, []string{swr, "Cache-Control: must-revalidate"}, 0, 0},
		{"proxy-revalidate forbids it", operator, []string{swr, "Cache-Control: proxy-revalidate"}, 0, 0},
		{"s-maxage forbids it", operator, []string{swr, "Cache-Control: s-maxage=60"}, 0, 0},
		{"must-revalidate under a rule that says nothing of it", ruledOnly, []string{swr, "Cache-Control: must-revalidate"}, 0, 0},
		{"must-revalidate under a rule that does", ruled, []string{swr, "Cache-Control: must-revalidate"}, 100, 200},
		{"s-maxage went with its lifetime", ruledOnly, []string{swr, "Cache-Control: s-maxage=5"}, 10, 20},
		{"must-revalidate and the application", plain, []string{"Cache-Control: must-revalidate, max-age=60", "X-Odoo-Cache: public, grace=1, sie=2"}, 1, 2},
		{"must-revalidate and an application that says nothing of it", plain, []string{swr, "Cache-Control: must-revalidate", "X-Odoo-Cache: public, ttl=60"}, 0, 0},
		{"no-cache forbids it, also under a rule", ruled, []string{swr, "Cache-Control: no-cache", `ETag: "a"`}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := admit(c.terms, c.lines...)
			assert.True(t, a.Store, a.Reason)
			assert.Equal(t, c.grace*second, a.Life.Grace, "grace")
			assert.Equal(t, c.sie*second, a.Life.StaleIfError, "stale-if-error")
			end := a.Life.TTL + now
			state, _ := policy.Reuse(a.Life, policy.Directives{}, false, end)
			assert.Equal(t, c.grace > 0, state == policy.Stale)
			assert.Equal(t, c.sie > 0, policy.StandsIn(a.Life, end))
		})
	}
}

// TestMaxStaleAndMustRevalidate: a client's word does not lift the origin's ban,
// whoever set the lifetime (RFC 9111 §5.2.2.2).
func TestMaxStaleAndMustRevalidate(t *testing.T) {
	ruled := terms()
	ruled.TTL = 60 * second
	d := policy.ParseDirectives([]string{"max-stale"})
	for _, c := range []struct {
		name  string
		terms policy.Terms
		lines []string
		state policy.State
	}{
		{"must-revalidate", terms(), []string{fresh, "Cache-Control: must-revalidate"}, policy.Expired},
		{"under a rule", ruled, []string{fresh, "Cache-Control: must-revalidate"}, policy.Expired},
		{"by the application", terms(), []string{"Cache-Control: must-revalidate", "X-Odoo-Cache: public, ttl=60"}, policy.Expired},
		{"not forbidden", terms(), []string{fresh}, policy.Fresh},
		{"not forbidden under a rule", ruled, []string{"Cache-Control: s-maxage=5"}, policy.Fresh},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, _ := policy.Reuse(admit(c.terms, c.lines...).Life, d, false, now+61*second)
			assert.Equal(t, c.state, state)
		})
	}
}

func TestStandsIn(t *testing.T) {
	life := policy.Life{Born: now, TTL: 60 * second, StaleIfError: 20 * second}
	noCache := life
	noCache.NoCache = true
	for _, c := range []struct {
		name string
		life policy.Life
		age  int64
		want bool
	}{
		{"fresh", life, 59, true},
		{"within", life, 79, true},
		{"beyond", life, 80, false},
		{"not allowed", policy.Life{Born: now, TTL: 60 * second}, 1, false},
		{"no-cache", noCache, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, policy.StandsIn(c.life, now+c.age*second))
		})
	}
}

func TestIsError(t *testing.T) {
	errors := map[int]bool{500: true, 502: true, 503: true, 504: true}
	for status := 100; status < 600; status++ {
		assert.Equal(t, errors[status], policy.IsError(status), status)
	}
}
