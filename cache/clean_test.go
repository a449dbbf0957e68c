package cache

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
)

func cleaner() *Handler {
	s := &config.Settings{Session: "session_id", ContextCookie: "odoocache_context"}
	s.Limits.RequestFields, s.Limits.RequestBytes, s.Limits.QueryParams = 128, 16<<10, 64
	return &Handler{s: s, identities: newIdentities(10), counting: countingFields(s)}
}

// TestCrowdedFields: members are counted over all lines of a field, before any of them is
// looked at.
func TestCrowdedFields(t *testing.T) {
	many := func(part string, n int) string { return strings.Repeat(part, n) }
	for _, c := range []struct {
		name, field string
		lines       []string
		over        bool
	}{
		{"a browser's", "Accept-Language", []string{"fr-BE,fr;q=0.9,en;q=0.8"}, false},
		{"none", "Cookie", []string{}, false},
		{"cookies", "Cookie", []string{"a=b" + many("; a=b", 127)}, false},
		{"too many cookies", "Cookie", []string{"a=b" + many("; a=b", 128)}, true},
		{"commas in a cookie", "Cookie", []string{"a=[1" + many(",1", 1000) + "]; b=c"}, false},
		{"empty cookies", "Cookie", []string{many(";", 128)}, true},
		{"cookies of the second line", "Cookie", []string{"a=b", "a=b" + many("; a=b", 128)}, true},
		{"cookies of all lines", "Cookie", []string{many(";", 60), many(";", 60), many(";", 60)}, true},
		{"lines of cookies", "Cookie", strings.Split("a"+many(" a", 128), " "), true},
		{"few lines of cookies", "Cookie", strings.Split("a"+many(" a", 99), " "), false},
		{"languages", "Accept-Language", []string{"a" + many(",a", 127)}, false},
		{"too many languages", "Accept-Language", []string{"a" + many(",a", 128)}, true},
		{"parameters", "Accept-Encoding", []string{"gzip" + many(";a", 128)}, true},
		{"members and parameters", "Accept-Encoding", []string{"gzip" + many(",*;q", 64)}, true},
		{"members of all lines", "If-None-Match", []string{many(",", 60), many(",", 60), many(",", 60)}, true},
		{"ranges", "Range", []string{"bytes=0-0" + many(",1-1", 128)}, true},
		{"what nobody reads today", "X-Tomorrow", []string{many("a,", 128)}, true},
		{"a long text", "User-Agent", []string{many("x", 10000)}, false},
		{"a text that is too long", "User-Agent", []string{many("x", 16<<10+1)}, true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header[c.field] = c.lines
		require.Equal(t, c.over, clean(cleaner(), r), c.name)
	}
	h := cleaner()
	h.s.Limits.RequestFields, h.s.Limits.RequestBytes = 10000, 1<<10
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("User-Agent", many("x", 1<<10+1))
	require.True(t, clean(h, r), "fewer bytes than fields")
}

// TestCrowdedCookieOnTheShortWay: that way reads cookies before clean has been asked.
func TestCrowdedCookieOnTheShortWay(t *testing.T) {
	for n, known := range map[int]bool{127: true, 128: false} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		field := "a=b" + strings.Repeat(";", n)
		r.Header["Cookie"] = []string{field}
		require.Equal(t, known, senderOf(cleaner(), r, field) != nil, n)
	}
}

// TestOddNamesAmongManyFields: with too many fields none of them is folded to see whether
// it may be taken for another.
func TestOddNamesAmongManyFields(t *testing.T) {
	for fields, kept := range map[int]bool{100: true, 200: false} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		mine, session := "X_Mine", "X_Openerp_Session_Id"
		r.Header[mine], r.Header[session] = []string{"1"}, []string{"1"}
		for i := 0; i < fields; i++ {
			r.Header.Set(fmt.Sprint("X-", i), "1")
		}
		require.Equal(t, !kept, clean(cleaner(), r))
		require.Equal(t, kept, r.Header[mine] != nil)
		require.Nil(t, r.Header[session])
		require.Len(t, r.Header["X-1"], 1)
	}
}
