package rule_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// request makes a GET of an address with "Name: value" lines.
func request(address string, lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, address, nil)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		r.Header.Add(name, strings.TrimSpace(value))
	}
	return r
}

func pattern(s string) *regexp.Regexp { return regexp.MustCompile(s) }

func TestFirst(t *testing.T) {
	for _, c := range []struct {
		name   string
		match  rule.Match
		method string
		host   string
		r      *http.Request
		want   bool
	}{
		{name: "empty takes everything", r: request("/x"), want: true},

		{name: "prefix", match: rule.Match{Prefixes: []string{"/shop"}}, r: request("/shop/1"), want: true},
		{name: "prefix itself", match: rule.Match{Prefixes: []string{"/shop"}}, r: request("/shop"), want: true},
		{name: "prefix with a query", match: rule.Match{Prefixes: []string{"/shop"}}, r: request("/shop?a=1"), want: true},
		{name: "prefix ends at a segment", match: rule.Match{Prefixes: []string{"/shop"}}, r: request("/shopping")},
		{name: "prefix that ends in a slash", match: rule.Match{Prefixes: []string{"/shop/"}}, r: request("/shop/1"), want: true},
		{name: "prefix that ends in a slash is not the path without", match: rule.Match{Prefixes: []string{"/shop/"}}, r: request("/shop")},
		{name: "prefix of the decoded path", match: rule.Match{Prefixes: []string{"/shop/cart"}}, r: request("/shop%2Fc%61rt"), want: true},
		{name: "root", match: rule.Match{Prefixes: []string{"/"}}, r: request("/x"), want: true},
		{name: "case of the path counts", match: rule.Match{Prefixes: []string{"/shop"}}, r: request("/Shop")},
		{name: "second prefix", match: rule.Match{Prefixes: []string{"/a", "/b"}}, r: request("/b"), want: true},
		{name: "longer than the path", match: rule.Match{Prefixes: []string{"/shop/cart"}}, r: request("/shop")},

		{name: "host", match: rule.Match{Hosts: []string{"shop.example"}}, host: "shop.example", r: request("/"), want: true},
		{name: "other host", match: rule.Match{Hosts: []string{"shop.example"}}, host: "blog.example", r: request("/")},
		{name: "subdomain is another host", match: rule.Match{Hosts: []string{"shop.example"}}, host: "a.shop.example", r: request("/")},
		{name: "wildcard", match: rule.Match{Hosts: []string{"*.example"}}, host: "shop.example", r: request("/"), want: true},
		{name: "wildcard takes deeper names", match: rule.Match{Hosts: []string{"*.example"}}, host: "a.shop.example", r: request("/"), want: true},
		{name: "wildcard does not take the name itself", match: rule.Match{Hosts: []string{"*.example"}}, host: "example", r: request("/")},
		{name: "wildcard keeps to labels", match: rule.Match{Hosts: []string{"*.example"}}, host: "badexample", r: request("/")},

		{name: "regexp", match: rule.Match{Path: pattern(`^/[a-z]+/static/`)}, r: request("/web/static/x.js"), want: true},
		{name: "regexp, no", match: rule.Match{Path: pattern(`^/[a-z]+/static/`)}, r: request("/web/content/x.js")},
		{name: "regexp does not see the query", match: rule.Match{Path: pattern(`static`)}, r: request("/x?static=1")},

		{name: "method", match: rule.Match{Methods: []string{"POST"}}, method: "POST", r: request("/"), want: true},
		{name: "other method", match: rule.Match{Methods: []string{"POST"}}, method: "PUT", r: request("/")},
		{name: "HEAD is GET", match: rule.Match{Methods: []string{"GET"}}, method: "HEAD", r: request("/"), want: true},
		{name: "GET is not POST", match: rule.Match{Methods: []string{"POST"}}, method: "GET", r: request("/")},

		{name: "header there", match: rule.Match{Headers: []rule.Field{{Name: "X-A"}}}, r: request("/", "X-A:"), want: true},
		{name: "header not there", match: rule.Match{Headers: []rule.Field{{Name: "X-A"}}}, r: request("/")},
		{name: "header not there, any value", match: rule.Match{Headers: []rule.Field{{Name: "X-A", Pattern: pattern(``)}}}, r: request("/")},
		{name: "header value", match: rule.Match{Headers: []rule.Field{{Name: "X-A", Pattern: pattern(`^1$`)}}}, r: request("/", "X-A: 1"), want: true},
		{name: "header other value", match: rule.Match{Headers: []rule.Field{{Name: "X-A", Pattern: pattern(`^1$`)}}}, r: request("/", "X-A: 2")},
		{name: "header lines are one value", match: rule.Match{Headers: []rule.Field{{Name: "X-A", Pattern: pattern(`^1, 2$`)}}}, r: request("/", "X-A: 1", "X-A: 2"), want: true},
		{name: "all headers", match: rule.Match{Headers: []rule.Field{{Name: "X-A"}, {Name: "X-B"}}}, r: request("/", "X-A: 1")},

		{name: "parameter there", match: rule.Match{Query: []rule.Field{{Name: "debug"}}}, r: request("/?debug"), want: true},
		{name: "parameter with a value", match: rule.Match{Query: []rule.Field{{Name: "debug"}}}, r: request("/?a=1&debug=1"), want: true},
		{name: "parameter not there", match: rule.Match{Query: []rule.Field{{Name: "debug"}}}, r: request("/?debugger=1&x=debug")},
		{name: "no query", match: rule.Match{Query: []rule.Field{{Name: "debug"}}}, r: request("/")},
		{name: "encoded name", match: rule.Match{Query: []rule.Field{{Name: "debug"}}}, r: request("/?%64ebug=1"), want: true},
		{name: "value", match: rule.Match{Query: []rule.Field{{Name: "debug", Pattern: pattern(`^1$`)}}}, r: request("/?debug=1"), want: true},
		{name: "encoded value", match: rule.Match{Query: []rule.Field{{Name: "debug", Pattern: pattern(`^a b$`)}}}, r: request("/?debug=%61+b"), want: true},
		{name: "encoded value beside a malformed escape", match: rule.Match{Query: []rule.Field{{Name: "debug", Pattern: pattern(`assets`)}}}, r: request("/?debug=%61ssets%"), want: true},
		{name: "second of a name", match: rule.Match{Query: []rule.Field{{Name: "debug", Pattern: pattern(`^1$`)}}}, r: request("/?debug=0&debug=1"), want: true},
		{name: "any parameter", match: rule.Match{Any: true, AnyName: keys.NewNames([]string{"a", "b_*"})}, r: request("/?x=1&b_c=2"), want: true},
		{name: "any parameter, encoded", match: rule.Match{Any: true, AnyName: keys.NewNames([]string{"debug"})}, r: request("/?x&&de%62ug=1"), want: true},
		{name: "any parameter, none of them", match: rule.Match{Any: true, AnyName: keys.NewNames([]string{"a", "b_*"})}, r: request("/?x=a&b=2")},
		{name: "any parameter, no query", match: rule.Match{Any: true, AnyName: keys.NewNames([]string{"*"})}, r: request("/")},
		{name: "any value", match: rule.Match{Any: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`@`)}}}, r: request("/?x=1&who=a%40b"), want: true},
		{name: "any value of a name", match: rule.Match{Any: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"w*"}), Pattern: pattern(`@`)}}}, r: request("/?x=@&who=a")},
		{name: "any value of this name", match: rule.Match{Any: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"x"}), Pattern: pattern(`@`)}}}, r: request("/?who=a&x=@"), want: true},
		{name: "in a name, which is not looked at", match: rule.Match{Any: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`@`)}}}, r: request("/?a%40b=1")},
		{name: "in a name", match: rule.Match{Any: true, InName: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`^a@b$`)}}}, r: request("/?x=1&a%40b=1"), want: true},
		{name: "in a name alone", match: rule.Match{Any: true, InName: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`@`)}}}, r: request("/?a@b"), want: true},
		{name: "in a name of some", match: rule.Match{Any: true, InName: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`@`)}}, NoName: keys.NewNames([]string{"utm_*"})}, r: request("/?utm_@=1")},
		{name: "words, a long value", match: rule.Match{Any: true, InName: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`@`)}}}, r: request("/?x=" + strings.Repeat("a", 2047)), want: true},
		{name: "words, not so long a value", match: rule.Match{Any: true, InName: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`@`)}}}, r: request("/?x=" + strings.Repeat("a", 2046))},
		{name: "words, a long value of some", match: rule.Match{Any: true, InName: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`@`)}}, NoName: keys.NewNames([]string{"utm_*"})}, r: request("/?utm_x=" + strings.Repeat("a", 2047))},
		{name: "any value but of some", match: rule.Match{Any: true, AnyValue: []rule.Param{{Names: keys.NewNames([]string{"*"}), Pattern: pattern(`@`)}}, NoName: keys.NewNames([]string{"utm_*"})}, r: request("/?utm_source=a@b&x=1")},
		{name: "all parameters", match: rule.Match{Query: []rule.Field{{Name: "a"}, {Name: "b"}}}, r: request("/?a=1")},

		{
			name:  "everything must match",
			match: rule.Match{Prefixes: []string{"/shop"}, Hosts: []string{"h"}, Methods: []string{"GET"}, Path: pattern("1"), Headers: []rule.Field{{Name: "X-A"}}, Query: []rule.Field{{Name: "a"}}},
			host:  "h", r: request("/shop/1?a", "X-A: 1"), want: true,
		},
		{name: "host matches, prefix does not", match: rule.Match{Prefixes: []string{"/shop"}, Hosts: []string{"h"}}, host: "h", r: request("/")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodGet
			}
			one, last := &rule.Rule{Match: c.match}, &rule.Rule{}
			want := last
			if c.want {
				want = one
			}
			got, byHeader := rule.First(rule.NewPlan([]*rule.Rule{one}, regexp.Compile), last, c.method, c.host, c.r.URL.Path, c.r)
			assert.Same(t, want, got)
			if len(c.match.Headers) == 0 {
				assert.False(t, byHeader)
			}
		})
	}
}

func TestFirstMatchWins(t *testing.T) {
	cart := &rule.Rule{Name: "cart", Match: rule.Match{Prefixes: []string{"/shop/cart"}}}
	shop := &rule.Rule{Name: "shop", Match: rule.Match{Prefixes: []string{"/shop"}}}
	again := &rule.Rule{Name: "again", Match: rule.Match{Prefixes: []string{"/shop"}}}
	last := &rule.Rule{Name: "last"}
	rules := rule.NewPlan([]*rule.Rule{cart, shop, again}, regexp.Compile)
	for path, want := range map[string]*rule.Rule{"/shop/cart": cart, "/shop/1": shop, "/": last} {
		got, _ := rule.First(rules, last, http.MethodGet, "", path, request(path))
		assert.Same(t, want, got, path)
	}
	got, _ := rule.First(rule.NewPlan(nil, regexp.Compile), last, http.MethodGet, "", "/", request("/"))
	assert.Same(t, last, got)
}

func TestAllAndAny(t *testing.T) {
	h := http.Header{"X-A": {"1"}, "X-B": {"2", "3"}}
	a, b := rule.Field{Name: "X-A", Pattern: pattern("^1$")}, rule.Field{Name: "X-B"}
	not, no := rule.Field{Name: "X-A", Pattern: pattern("^2$")}, rule.Field{Name: "X-C"}
	for _, c := range []struct {
		name     string
		fields   []rule.Field
		all, any bool
	}{
		{"none", nil, true, false},
		{"both", []rule.Field{a, b}, true, true},
		{"one", []rule.Field{a, no}, false, true},
		{"other value", []rule.Field{not}, false, false},
		{"neither", []rule.Field{not, no}, false, false},
		{"lines are one value", []rule.Field{{Name: "X-B", Pattern: pattern("^2, 3$")}}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.all, rule.All(c.fields, h))
			assert.Equal(t, c.any, rule.Any(c.fields, h))
		})
	}
}

func TestDimensions(t *testing.T) {
	french := keys.NewLanguages([]string{"en_US", "fr_FR"})
	for _, c := range []struct {
		name   string
		rule   rule.Rule
		r      *http.Request
		want   []string
		unsure bool
	}{
		{"none", rule.Rule{}, request("/", "X-A: 1", "Cookie: a=1"), nil, false},
		{"header", rule.Rule{Headers: []string{"x-a"}}, request("/", "X-A: 1 , 2"), []string{"h x-a=1,2"}, false},
		{"header absent", rule.Rule{Headers: []string{"x-a"}}, request("/"), []string{"h x-a-"}, false},
		{"header empty", rule.Rule{Headers: []string{"x-a"}}, request("/", "X-A:"), []string{"h x-a="}, false},
		{"cookie", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: b=2; a=1"), []string{"c a=1"}, false},
		{"cookie absent", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: aa=1; b-a=2"), []string{"c a-"}, false},
		{"cookie empty", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: a="), []string{"c a="}, false},
		{"cookie in another line", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: b=2", "Cookie: a=1"), []string{"c a=1"}, false},
		{"cookie twice", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: a=1; a=2"), []string{"c a-"}, true},
		{"cookie twice in two lines", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: a=1", "Cookie: a=2"), []string{"c a-"}, true},
		{"cookie with a quoted value", rule.Rule{Cookies: []string{"a"}}, request("/", `Cookie: a="1"`), []string{"c a-"}, true},
		{"cookie that may be inside a quoted one", rule.Rule{Cookies: []string{"a"}}, request("/", `Cookie: b="x; a=1; c="`), []string{"c a=1"}, true},
		{"cookie that net/http refuses", rule.Rule{Cookies: []string{"a"}}, request("/", `Cookie: a=\061`), []string{"c a-"}, true},
		{"cookie after odd white space", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: b=1;\xa0a=2"), []string{"c a-"}, true},
		{"a quote in another cookie", rule.Rule{Cookies: []string{"a"}}, request("/", `Cookie: prefs="{\"b\":1}"; a=1`), []string{"c a=1"}, true},
		{"cookie that is long", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: a="+strings.Repeat("x", 65)), []string{"c a-"}, true},
		{"cookie with odd bytes", rule.Rule{Cookies: []string{"a"}}, request("/", "Cookie: a=x|y"), []string{"c a-"}, true},
		{"a language and a quote in another cookie", rule.Rule{Language: &french}, request("/", `Cookie: prefs="{\"a\":1}"; frontend_lang=fr_FR`), []string{"l fr_FR"}, true},
		{"a language that is malformed", rule.Rule{Language: &french}, request("/", "Accept-Language: fr;q=x"), []string{"l en_US"}, true},
		{"JSON in another cookie", rule.Rule{Cookies: []string{"a"}}, request("/", `Cookie: website_cookies_bar={"required":true}; a=1`), []string{"c a=1"}, false},
		{"language by header", rule.Rule{Language: &french}, request("/", "Accept-Language: fr-BE"), []string{"l fr_FR"}, false},
		{"language by header in two lines", rule.Rule{Language: &french}, request("/", "Accept-Language: fr;q=0.5", "Accept-Language: en"), []string{"l en_US"}, false},
		{"language by cookie", rule.Rule{Language: &french}, request("/", "Accept-Language: en", "Cookie: frontend_lang=fr_FR"), []string{"l fr_FR"}, false},
		{"language by none", rule.Rule{Language: &french}, request("/"), []string{"l en_US"}, false},
		{"language by two cookies", rule.Rule{Language: &french}, request("/", "Cookie: frontend_lang=fr_FR; frontend_lang=en_US"), []string{"l en_US"}, true},
		{"language of a bot", rule.Rule{Language: &french}, request("/", "Accept-Language: fr", "User-Agent: Googlebot/2.1"), []string{"l fr_FR bot"}, false},
		{"a bot that asks for none", rule.Rule{Language: &french}, request("/", "User-Agent: Googlebot/2.1"), []string{"l en_US bot"}, false},
		{
			"all, in the order of the rule", rule.Rule{Headers: []string{"x-b", "x-a"}, Cookies: []string{"b", "a"}, Language: &french},
			request("/", "X-A: 1", "X-B: 2", "Cookie: a=3; b=4", "Accept-Language: fr"),
			[]string{"h x-b=2", "h x-a=1", "c b=4", "c a=3", "l fr_FR"}, false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, sure := c.rule.Dimensions(c.r)
			assert.Equal(t, c.want, got)
			assert.Equal(t, !c.unsure, sure)
			// A request that is built from the parts has them, and no more.
			header, cookies, robot := rule.Asking(&c.rule, got)
			again := request("/")
			again.Header = header
			if len(cookies) > 0 {
				header["Cookie"] = []string{strings.Join(cookies, "; ")}
			}
			if robot {
				header["User-Agent"] = []string{"bot"}
			}
			same, sure := c.rule.Dimensions(again)
			assert.Equal(t, got, same)
			assert.True(t, sure)
		})
	}
}

// A cookie's value is never taken for a header's, however it is chosen.
func TestDimensionsAreLabelled(t *testing.T) {
	r := &rule.Rule{Headers: []string{"a"}, Cookies: []string{"a"}}
	byHeader, _ := r.Dimensions(request("/", "A: 1"))
	byCookie, _ := r.Dimensions(request("/", "Cookie: a=1"))
	assert.NotEqual(t, byHeader, byCookie)
	for _, h := range byHeader {
		for _, c := range byCookie {
			assert.NotEqual(t, h, c)
		}
	}
	for _, value := range []string{"", "-", "?", "=", "h a=1", "c a=1", "?a=1; a=2", `"`, "1, 2"} {
		got, _ := r.Dimensions(request("/", "A: "+value, "Cookie: a="+value))
		assert.Equal(t, "h a="+strings.ReplaceAll(value, ", ", ","), got[0])
		assert.Equal(t, "c a", got[1][:3], "a cookie's part begins as no header's does")
	}
}

// TestAlternatives: what a page is stored under for anybody is among what it may be stored
// under for one who differs in nothing but the language.
func TestAlternatives(t *testing.T) {
	l := keys.NewLanguages([]string{"en_US", "fr_FR"})
	ru := &rule.Rule{Headers: []string{"x-currency"}, Cookies: []string{"colour"}, Language: &l}
	request := func(colour, cookie, accept, agent string) *http.Request {
		r := &http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"Cookie": {"colour=" + colour}}}
		if cookie != "" {
			r.Header.Add("Cookie", "frontend_lang="+cookie)
		}
		if accept != "" {
			r.Header.Set("Accept-Language", accept)
		}
		r.Header.Set("User-Agent", agent)
		return r
	}
	for _, mine := range []*http.Request{request("red", "", "", ""), request("red", "fr_FR", "", "Googlebot"), request("red", "", "de", "")} {
		for _, cookie := range []string{"", "en_US", "fr_FR", "fr_BE", "de_DE"} {
			for _, accept := range []string{"", "fr", "en-GB,en;q=0.5", "de-DE"} {
				for _, agent := range []string{"", "Mozilla", "Googlebot"} {
					red, _ := ru.Dimensions(request("red", cookie, accept, agent))
					blue, _ := ru.Dimensions(request("blue", cookie, accept, agent))
					require.Contains(t, ru.Alternatives(mine), red)
					require.NotContains(t, ru.Alternatives(mine), blue)
				}
			}
		}
	}
	require.Equal(t, [][]string{nil}, (&rule.Rule{}).Alternatives(request("red", "", "", "")))
	unknown := keys.UnknownLanguages()
	require.Len(t, (&rule.Rule{Language: &unknown}).Alternatives(request("red", "", "fr", "")), 2, "nobody says which there are")
}
