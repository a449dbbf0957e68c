package policy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/policy"
)

// TestTargeted has the grammar of RFC 8941 §4.2 and the mapping of RFC 9213 §2.1.
func TestTargeted(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		ok    bool
		want  string // the same as Cache-Control
	}{
		{"integer", []string{"max-age=60"}, true, "max-age=60"},
		{"several members", []string{"max-age=60, s-maxage=5 ,\tpublic"}, true, "max-age=60, s-maxage=5, public"},
		{"several lines", []string{"max-age=60", "no-store"}, true, "max-age=60, no-store"},
		{"spaces around", []string{"  max-age=60  "}, true, "max-age=60"},
		{"leading zeros", []string{"max-age=0060"}, true, "max-age=60"},
		{"15 digits", []string{"max-age=999999999999999"}, true, "max-age=2147483648"},
		{"all times", []string{"max-age=1,s-maxage=2,stale-while-revalidate=3,stale-if-error=4"}, true, "max-age=1,s-maxage=2,stale-while-revalidate=3,stale-if-error=4"},
		{"all booleans", []string{"public,must-revalidate,proxy-revalidate,must-understand,no-store,no-cache,private"}, true, "public,must-revalidate,proxy-revalidate,must-understand,no-store,no-cache,private"},
		{"true", []string{"no-store=?1, no-cache=?1, public=?1"}, true, "no-store, no-cache, public"},
		{"false", []string{"no-store=?0, no-cache=?0, private=?0, public=?0, max-age=6"}, true, "max-age=6"},
		{"the last of two", []string{"max-age=60, max-age=10"}, true, "max-age=10"},
		{"the last of two booleans", []string{"no-store", "no-store=?0"}, true, "x"},
		{"parameters are ignored", []string{`max-age=60;a;b=1; c="x,y;z" , public;q=1.5`}, true, "max-age=60, public"},
		{"list of fields", []string{`private="x-a, x-b"`}, true, `private="x-a, x-b"`},
		{"string that is no list of fields", []string{`private="x a"`}, true, "private"},
		{"unknown directives of each type", []string{`a=1.5, b=tok/en:x, c=:aGk=:, d=("x" y;p=?0 3), e=(), f=-3, *g="\"\\", h=( 1 ), i=*, max-age=5`}, true, "max-age=5"},
		{"no registered directive", []string{"none"}, true, "x"},

		{"string for an integer is not consumed", []string{`max-age="60"`}, true, "x"},
		{"decimal for an integer is not consumed", []string{"max-age=60.5, s-maxage=7"}, true, "s-maxage=7"},
		{"negative integer is not consumed", []string{"max-age=-60"}, true, "x"},
		{"boolean for an integer is not consumed", []string{"max-age"}, true, "x"},
		{"integer for a boolean is not consumed", []string{"public=1, must-understand=1, must-revalidate=x"}, true, "x"},
		{"what forbids counts whatever its type", []string{`no-store=1, no-cache=x-a, private=("x")`}, true, "no-store, no-cache, private"},
		{"a wrong type does not hide no-store", []string{`max-age="60", no-store`}, true, "no-store"},

		{"absent", nil, false, ""},
		{"empty", []string{""}, false, ""},
		{"blank", []string{"   "}, false, ""},
		{"comma at the end", []string{"max-age=60,"}, false, ""},
		{"empty member", []string{"max-age=60,,public"}, false, ""},
		{"empty line", []string{"", "max-age=60"}, false, ""},
		{"no comma", []string{"max-age=60 public"}, false, ""},
		{"capital letter", []string{"Max-Age=60"}, false, ""},
		{"capital letter later", []string{"max-age=60, No-Store"}, false, ""},
		{"digit first", []string{"9a=60"}, false, ""},
		{"no key", []string{"=60"}, false, ""},
		{"unknown type", []string{"max-age=60, &&&"}, false, ""},
		{"space before =", []string{"max-age =60"}, false, ""},
		{"space after =", []string{"max-age= 60"}, false, ""},
		{"no value", []string{"max-age="}, false, ""},
		{"no value before a comma", []string{"max-age=, public"}, false, ""},
		{"16 digits", []string{"max-age=1000000000000000"}, false, ""},
		{"13 digits and a fraction", []string{"a=1000000000000.5"}, false, ""},
		{"4 digits of a fraction", []string{"a=1.2345"}, false, ""},
		{"no digits of a fraction", []string{"a=1."}, false, ""},
		{"minus alone", []string{"a=-"}, false, ""},
		{"plus", []string{"a=+1"}, false, ""},
		{"single quotes", []string{"a='x'"}, false, ""},
		{"string that is never closed", []string{`a="x, no-store`}, false, ""},
		{"string that is never closed in a list", []string{`a=("x`}, false, ""},
		{"something after a string", []string{`a="x"y`}, false, ""},
		{"escaped letter", []string{`a="\x"`}, false, ""},
		{"control character", []string{"a=\"\x01\""}, false, ""},
		{"beyond ASCII", []string{"a=\"\xc3\xa9\""}, false, ""},
		{"boolean of another digit", []string{"a=?2"}, false, ""},
		{"boolean cut off", []string{"a=?"}, false, ""},
		{"bytes cut off", []string{"a=:aGk="}, false, ""},
		{"bytes of another alphabet", []string{"a=:a-b:"}, false, ""},
		{"list cut off", []string{"a=(x y"}, false, ""},
		{"list without spaces", []string{`a=("x""y")`}, false, ""},
		{"list with a comma", []string{"a=(x,y)"}, false, ""},
		{"list in a list", []string{"a=((x))"}, false, ""},
		{"list with a broken parameter", []string{"a=(x;P)"}, false, ""},
		{"parameter without a name", []string{"max-age=60;"}, false, ""},
		{"parameter with a capital", []string{"max-age=60;A"}, false, ""},
		{"parameter without a value", []string{"max-age=60;a="}, false, ""},
		{"space before a parameter", []string{"max-age=60 ;a"}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, ok := policy.ParseTargeted(c.lines)
			assert.Equal(t, c.ok, ok)
			if c.ok {
				assert.Equal(t, policy.ParseDirectives([]string{c.want}), d)
			}
		})
	}
}

// TestTargetedResponses has RFC 9213 §2.2 and §3.1.
func TestTargetedResponses(t *testing.T) {
	for _, c := range []struct {
		name   string
		lines  []string
		reason string
		ttl    int64
	}{
		{"before Cache-Control", []string{"CDN-Cache-Control: max-age=5", fresh}, "", 5},
		{"Cache-Control is ignored", []string{"CDN-Cache-Control: max-age=5", "Cache-Control: no-store, private"}, "", 5},
		{"Expires is ignored", []string{"CDN-Cache-Control: max-age=5", "Expires: 0"}, "", 5},
		{"Expires does not help out", []string{"CDN-Cache-Control: public", "Expires: " + at(60)}, policy.ReasonNoTTL, 0},
		{"no-store for this cache", []string{"CDN-Cache-Control: no-store, max-age=5", fresh}, policy.ReasonNoStore, 0},
		{"private for this cache", []string{"CDN-Cache-Control: private", fresh}, policy.ReasonPrivate, 0},
		{"no-cache for this cache", []string{"CDN-Cache-Control: no-cache, max-age=5", fresh}, policy.ReasonNoCache, 0},
		{"no directive at all", []string{"CDN-Cache-Control: none", fresh}, policy.ReasonNoTTL, 0},
		{"a wrong type does not fall back", []string{`CDN-Cache-Control: max-age="5"`, fresh}, policy.ReasonNoTTL, 0},
		{"empty falls back", []string{"CDN-Cache-Control:", fresh}, "", 60},
		{"malformed falls back", []string{"CDN-Cache-Control: max-age=5,", fresh}, "", 60},
		{"malformed falls back to no-store", []string{"CDN-Cache-Control: max-age=5, &", "Cache-Control: no-store"}, policy.ReasonNoStore, 0},
		{"malformed falls back to Surrogate-Control", []string{"CDN-Cache-Control: &", "Surrogate-Control: max-age=7", fresh}, "", 7},
		{"before Surrogate-Control", []string{"CDN-Cache-Control: max-age=5", "Surrogate-Control: max-age=7"}, "", 5},
		{"age counts", []string{"CDN-Cache-Control: max-age=5", "Age: 5"}, policy.ReasonExpired, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := admit(terms(), c.lines...)
			assert.Equal(t, c.reason, a.Reason)
			if assert.Equal(t, c.reason == "", a.Store) && a.Store {
				assert.Equal(t, c.ttl*second, a.Life.TTL)
			}
		})
	}
}

// TestSurrogate has Surrogate-Control of the Edge Architecture Specification.
func TestSurrogate(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		ok    bool
		want  string // the same as Cache-Control
	}{
		{"max-age", []string{"max-age=600"}, true, "max-age=600"},
		{"freshness extension", []string{"max-age=600+300"}, true, "max-age=600, stale-while-revalidate=300"},
		{"in any case", []string{"Max-Age=600+300, NO-STORE"}, true, "max-age=600, stale-while-revalidate=300, no-store"},
		{"extension of 0", []string{"max-age=600+0"}, true, "max-age=600"},
		{"extension that cannot be read", []string{"max-age=600+x"}, true, "max-age=600"},
		{"age that cannot be read", []string{"max-age=x+300"}, true, "max-age=0, stale-while-revalidate=300"},
		{"of two the first", []string{"max-age=600", "max-age=10+300"}, true, "max-age=600"},
		{"explicit stale-while-revalidate goes first", []string{"max-age=600+300, stale-while-revalidate=5"}, true, "max-age=600, stale-while-revalidate=5"},
		{"no-store", []string{`no-store, content="ESI/1.0"`}, true, "no-store"},
		{"quoted strings", []string{`content="ESI/1.0, max-age=5;x", max-age=600`}, true, `content="a", max-age=600`},
		{"lifetime of another surrogate", []string{"max-age=5;other, max-age=600+1 ; other, max-age=7"}, true, "max-age=7"},
		{"ban for another surrogate", []string{"max-age=600, no-store;other"}, true, "max-age=600, no-store"},
		{"quote that is never closed", []string{`content="x, no-store`}, true, "no-store"},
		{"nothing about storing", []string{`content="ESI/1.0"`}, false, ""},
		{"all for another surrogate", []string{"max-age=5;other"}, false, ""},
		{"empty", []string{""}, false, ""},
		{"absent", nil, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, ok := policy.ParseSurrogate(c.lines)
			assert.Equal(t, c.ok, ok)
			if c.ok {
				assert.Equal(t, policy.ParseDirectives([]string{c.want}), d)
			}
		})
	}
	a := admit(terms(), "Surrogate-Control: max-age=600+300", "Cache-Control: private, max-age=5", "Expires: 0")
	assert.Equal(t, policy.Life{Born: now, TTL: 600 * second, Grace: 300 * second}, a.Life)
	a = admit(terms(), `Surrogate-Control: content="ESI/1.0"`, strings.ToLower(fresh))
	assert.Equal(t, 60*second, a.Life.TTL)
}
