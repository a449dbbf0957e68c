package cookie_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/cookie"
)

// A session that Odoo may see must be seen, however it is written.
func TestHas(t *testing.T) {
	for _, c := range []struct {
		name  string
		field string
		want  bool
	}{
		{"alone", "session_id=abc", true},
		{"among others", "a=1; session_id=abc; b=2", true},
		{"empty", "session_id=", true},
		{"no value", "session_id", true},
		{"escaped value", `session_id="\141bc"`, true},
		{"refused value", "session_id=a\\b", true},
		{"space before the equals sign", "session_id =abc", true},
		{"odd white space", "a=1;\xa0session_id=abc", true},
		{"no space", "a=1;session_id=abc", true},
		{"another name that ends in it", "visitor_session_id=abc", false},
		{"another name that begins with it", "session_id2=abc", false},
		{"after another name that holds it", "x_session_id=1; session_id=abc", true},
		{"another name", "a=1", false},
		{"none", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, cookie.Has("session_id", request("/", "Cookie: "+c.field)))
		})
	}
	assert.False(t, cookie.Has("session_id", request("/")))
	assert.False(t, cookie.Has("", request("/", "Cookie: =1")))
}

// TestANameTooOften: a name that stands in a request more often than is looked at
// counts as given twice, over all lines, and whatever it is a part of.
func TestANameTooOften(t *testing.T) {
	for n, want := range map[int]string{60: "v", 64: "", 2000: ""} {
		r := request("/", "Cookie: a=v", "Cookie: "+strings.Repeat("xa ", n/2), "Cookie: "+strings.Repeat("xa ", n-n/2))
		require.Equal(t, want, cookie.Only("a", r), n)
		value, sure := cookie.Value("a", r)
		require.Equal(t, want, value)
		require.Equal(t, want != "", sure)
		require.True(t, cookie.Has("a", r))
	}
}

func TestSetName(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"plain", "a=1", "a"},
		{"attributes", "a=1; Path=/; HttpOnly", "a"},
		{"spaces", " a = 1", "a"},
		{"= in the value", "a=b=c", "a"},
		{"semicolon before =", "a; b=c", "a"},
		{"no value", "a", "a"},
		{"no name", "=1", ""},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, cookie.SetName(c.line)) })
	}
}

// request is one for a path, with header lines.
func request(target string, lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
	}
	return r
}
