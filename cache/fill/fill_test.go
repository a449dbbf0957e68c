package fill_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/fill"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// TestNothingHereSeesAVisitor: no function of the package is given a request or a response
// writer, and no type of it holds one. So what one client has sent cannot get into what is
// stored for all.
func TestNothingHereSeesAVisitor(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	looked := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		code, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Empty(t, visitors(t, string(code)), path)
		looked++
	}
	require.Equal(t, 1, looked)
	assert.Equal(t, []string{"f takes http.Request"}, visitors(t, "package x\nfunc f(r *http.Request) {}"))
	assert.Equal(t, []string{"f takes http.Request"}, visitors(t, "package x\nfunc f(list ...*http.Request) {}"))
	assert.Equal(t, []string{"f takes http.Request"}, visitors(t, "package x\nfunc f(get func() *http.Request) {}"))
	assert.Equal(t, []string{"a type holds http.Request"}, visitors(t, "package x\ntype p struct{ r []*http.Request }"))
	assert.Equal(t, []string{"a type holds http.ResponseWriter"}, visitors(t, "package x\ntype p struct{ rw http.ResponseWriter }"))
	assert.Empty(t, visitors(t, "package x\nfunc f(h http.Header) *http.Request { return nil }"))
}

// visitors returns where code could see a visitor.
func visitors(t *testing.T, code string) (found []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", code, 0)
	require.NoError(t, err)
	in := func(n ast.Node, what string) {
		if n == nil {
			return
		}
		ast.Inspect(n, func(n ast.Node) bool {
			s, is := n.(*ast.SelectorExpr)
			if !is {
				return true
			}
			if x, is := s.X.(*ast.Ident); is && x.Name == "http" && (s.Sel.Name == "Request" || s.Sel.Name == "ResponseWriter") {
				found = append(found, what+" http."+s.Sel.Name)
			}
			return true
		})
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			in(d.Type.Params, d.Name.Name+" takes")
		case *ast.GenDecl:
			if d.Tok == token.TYPE {
				in(d, "a type holds")
			}
		}
	}
	return found
}

func options() *fill.Options {
	return &fill.Options{EdgeHeader: "X-Odoo-Cache-Edge", Edge: []string{"token"}, Address: "192.0.2.1:0"}
}

// TestRequest: all that a filling request has.
func TestRequest(t *testing.T) {
	french := keys.NewLanguages([]string{"en_US", "fr_FR"})
	everywhere := func(more http.Header) http.Header {
		h := http.Header{
			"User-Agent": {"Mozilla/5.0 (odoocache)"}, "Accept": {"*/*"}, "Accept-Encoding": {"identity"},
			"X-Forwarded-Host": {"shop.example"}, "X-Forwarded-Proto": {"https"}, "X-Odoo-Cache-Edge": {"token"}, "X-Disable-Tracking": {"1"}, "X-Odoo-Cache-Context": {"0"},
		}
		for name, lines := range more {
			h[name] = lines
		}
		return h
	}
	target := keys.Target{Scheme: "https", Host: "shop.example", Path: "/shop"}
	for _, c := range []struct {
		name string
		page fill.Page
		uri  string
		host string
		want http.Header
	}{
		{"a file", fill.Page{Rule: &rule.Rule{}, Target: target}, "/shop", "shop.example", everywhere(nil)},
		{
			"behind another proxy", fill.Page{Rule: &rule.Rule{}, Target: keys.Target{Scheme: "https", Host: "odoo:8069", Forwarded: "shop.example", Path: "/caf%C3%A9", Query: "a=1&b=%20"}},
			"/caf%C3%A9?a=1&b=%20", "odoo:8069", everywhere(nil),
		},
		{"an empty query", fill.Page{Rule: &rule.Rule{}, Target: keys.Target{Scheme: "https", Host: "shop.example", Path: "/shop", Query: keys.EmptyQuery}}, "/shop?", "shop.example", everywhere(nil)},
		{
			"a page in French, of one who agrees to cookies", fill.Page{Rule: &rule.Rule{Language: &french}, Target: target, Values: []string{"l fr_FR"}, Consent: true}, "/shop", "shop.example",
			everywhere(http.Header{"Accept-Language": {"fr-FR"}, "Cookie": {`frontend_lang=fr_FR; website_cookies_bar={"required": true, "optional": true}`}}),
		},
		{
			"in none of the shop's languages", fill.Page{Rule: &rule.Rule{Language: &french}, Target: target, Values: []string{"l "}}, "/shop", "shop.example",
			everywhere(http.Header{"Accept-Language": {"qaa-ZZ"}}),
		},
		{
			"for a robot", fill.Page{Rule: &rule.Rule{Language: &french}, Target: target, Values: []string{"l en_US bot"}}, "/shop", "shop.example",
			everywhere(http.Header{"Accept-Language": {"en-US"}, "Cookie": {"frontend_lang=en_US"}, "User-Agent": {"Mozilla/5.0 (compatible; odoocache-bot)"}}),
		},
		{
			"by cookies and fields", fill.Page{
				Rule: &rule.Rule{Headers: []string{"x-country", "x-b"}, Cookies: []string{"tz", "c"}}, Target: target,
				Values: []string{"h x-country=FR", "h x-b-", "c tz=Europe/Brussels", "c c-"},
			}, "/shop", "shop.example",
			everywhere(http.Header{"X-Country": {"FR"}, "Cookie": {"tz=Europe/Brussels"}}),
		},
		{
			"by what was learned, of a context, past a filter of databases", fill.Page{
				Rule: &rule.Rule{}, Target: target, Names: []string{"origin", "x-absent"},
				Varied: http.Header{"Origin": {"https://a.example"}, "Cookie": {"session_id=abc"}, "Authorization": {"x"}},
				Passed: http.Header{"X-Odoo-Dbfilter": {"^a$"}}, Context: "a-context.signed-so",
			}, "/shop", "shop.example",
			everywhere(http.Header{"Origin": {"https://a.example"}, "X-Odoo-Dbfilter": {"^a$"}, "X-Odoo-Cache-Context": {"a-context.signed-so"}}),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := fill.Request(context.Background(), &c.page, options())
			assert.Equal(t, http.MethodGet, r.Method)
			assert.Equal(t, c.uri, r.RequestURI)
			assert.Equal(t, c.uri, r.URL.RequestURI())
			assert.Equal(t, c.host, r.Host)
			assert.Equal(t, c.want, r.Header)
			assert.Equal(t, "192.0.2.1:0", r.RemoteAddr)
			assert.Nil(t, r.TLS)
			assert.Zero(t, r.ContentLength)
		})
	}
}

// FuzzRequest: a filling request has the key that it was built from.
func FuzzRequest(f *testing.F) {
	f.Add("/shop//a%20b?b=2&a=1", "fr-BE,fr;q=0.9", "frontend_lang=fr_FR; tz=Europe/Paris", "Googlebot", "FR", "shop.example")
	f.Add("/", "", `website_cookies_bar={"optional": true}; tz="x`, "", "", "shop.example:8443")
	f.Add("/?", "*", "tz=a; tz=b", "curl", " a , b ", "")
	languages := keys.NewLanguages([]string{"en_US", "en_GB", "fr_FR", "sr@latin"})
	ru := &rule.Rule{Headers: []string{"x-country"}, Cookies: []string{"tz"}, Language: &languages}
	key := func(r *http.Request) (string, *fill.Page, bool) {
		path, sure := keys.RoutedPath(r.URL)
		target := keys.TargetOf(r)
		target.Path = keys.EscapePath(path)
		more := false
		target.Query, _, more = keys.Query(r.URL.RawQuery, r.URL.ForceQuery, keys.NewNames(nil), keys.NewNames(nil), 64)
		values, _ := ru.Dimensions(r)
		return keys.Extend(keys.Primary("t", "r", target, nil), values), &fill.Page{Rule: ru, Target: target, Values: values}, sure && !more && strings.HasPrefix(path, "/")
	}
	f.Fuzz(func(t *testing.T, uri, accept, cookie, agent, country, host string) {
		u, err := url.ParseRequestURI(uri)
		if err != nil || !strings.HasPrefix(uri, "/") || strings.ContainsAny(accept+cookie+agent+country+host, "\r\n\x00") {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: u, Host: host, Header: http.Header{}}
		for name, value := range map[string]string{"Accept-Language": accept, "Cookie": cookie, "User-Agent": agent, "X-Country": strings.TrimSpace(country)} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		want, page, ok := key(r)
		if !ok {
			return
		}
		out := fill.Request(context.Background(), page, options())
		again, err := url.ParseRequestURI(out.RequestURI)
		require.NoError(t, err)
		got, _, ok := key(&http.Request{Method: out.Method, URL: again, Host: out.Host, Header: out.Header})
		require.True(t, ok)
		require.Equal(t, want, got)
	})
}
