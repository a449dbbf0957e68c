package config_test

import (
	"fmt"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// loop is what a plan stands for: the rules are asked one after the other. It says as
// plainly as it can what a rule takes.
func loop(rules []*rule.Rule, last *rule.Rule, method, host, path string, r *http.Request) (first *rule.Rule, byHeader bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, candidate := range rules {
		m := candidate.Match
		if !anyOrNone(m.Methods, func(s string) bool { return s == method }) ||
			!anyOrNone(m.Hosts, func(s string) bool { return s == host || s[0] == '*' && strings.HasSuffix(host, s[1:]) }) ||
			!anyOrNone(m.Prefixes, func(s string) bool {
				return path == s || strings.HasPrefix(path, strings.TrimSuffix(s, "/")+"/")
			}) ||
			m.Path != nil && !m.Path.MatchString(path) || m.PathIs != nil && !m.PathIs(path) || !loopParams(m, r.URL.RawQuery) {
			continue
		}
		if len(m.Headers) > 0 {
			byHeader = true
			if !rule.All(m.Headers, r.Header) {
				continue
			}
		}
		return candidate, byHeader
	}
	return last, byHeader
}

func anyOrNone(list []string, is func(string) bool) bool {
	for _, s := range list {
		if is(s) {
			return true
		}
	}
	return len(list) == 0
}

// loopParams reports whether a query has what a rule asks for.
func loopParams(m rule.Match, raw string) bool {
	found, any := map[int]bool{}, false
	for _, pair := range strings.Split(raw, "&") {
		if pair == "" {
			continue
		}
		name, value := keys.ParamName(pair), keys.ParamValue(pair)
		for i, f := range m.Query {
			if f.Name == name && (f.Pattern == nil || f.Pattern.MatchString(value)) {
				found[i] = true
			}
		}
		if m.NoName.Has(name) {
			continue
		}
		any = any || m.AnyName.Has(name) || m.InName && len(name) > 2048
		for _, p := range m.AnyValue {
			is := func(s string) bool { return p.Pattern.MatchString(s) && (p.Is == nil || p.Is(s)) }
			any = any || p.Names.Has(name) && (is(value) || m.InName && (len(pair) > 2048 || is(name)))
		}
	}
	return len(found) == len(m.Query) && (any || !m.Any)
}

// asIs sees that a plan finds the rule that the loop finds.
func asIs(t *testing.T, s *config.Settings, method, host, path, query string, header http.Header) *rule.Rule {
	t.Helper()
	r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: host, Header: header}
	want, wantHeader := loop(s.Rules, s.Default, method, host, path, r)
	got, gotHeader := rule.First(s.Plan, s.Default, method, host, path, r)
	if got != want || gotHeader != wantHeader {
		require.FailNow(t, "another rule", "%s %q?%q on %q with %v: %s (%t), the loop finds %s (%t)", method, path, query, host, header, got.Name, gotHeader, want.Name, wantHeader)
	}
	return got
}

// planQueries are queries that rules look at, in odd spellings, too.
var planQueries = []string{
	"", "a=1", "page=2&order=name", "debug", "debug=1", "x=1&debug=assets", "de%62ug=1", "Debug=1", "debug%zz", "&&", "=", "=debug", "a=debug", "a=&b", "debug&=1", "a+debug=1", "access_token=x",
	"token_x=1", "token_=", "token", "xtoken_=1", "attribute_values=1-2", "attribute_value=1", "utm_source=a&utm_email=b", "utm_x=3f2504e0-4f89-11d3-9a0c-0305e82c3301", "gclid=AbCdEfGhIjKlMnOpQrStUv",
	"k=AbCdEfGhIjKlMnOpQrStUv", "k=AbCdEfGhIj&l=KlMnOpQrStUv", "k=AbCdEfGhIjKlM%4eOpQrStUv", "AbCdEfGhIjKlMnOpQrStUv=k", "who=a@b", "who=a%40b", "a@b=who", "email=x", "EMAIL=x", "e%4Dail=x",
	"partner_phone=1", "x_name=1", "X_Name=1", "x_=", "x=", "my_name", "_name=1", "names=1", "my%5Fname=1", "\u212aey=1", "ema\u0130l=1", "\xff=1&email", "userEmail=1", "aX_=1", "first&name=1", "first%2dname=1", "EMAILs=1", "customer-email", "a[email]=1", "f1_name2", "lang=fr&hash=a", "hash=a&lang=", "hash=a",
	"search=donaudampfschifffahrts", "search=datenschutzerklaerung2024", "q=customizable-desk-with-lamp", "magic_key=AbCdEfGhIjKlMnOpQrStUv", "magic_key=datenschutzerklaerung", "k=Xy12-Ab_Q9zW8vU7-tS6rQ",
	"k=" + strings.Repeat("word ", 500), strings.Repeat("word ", 500) + "=1", "email=" + strings.Repeat("word ", 500),
}

// TestPlanOfThePreset: for all routes of the real Odoos, in languages, with
// parameters and with any method.
func TestPlanOfThePreset(t *testing.T) {
	s := build(t, func(c *option.Config) { c.Preset, c.Languages = "odoo", []string{"en_US", "fr_FR"} })
	seen := map[string]bool{}
	pages := []string{"/slides", "/jobs", "/web/content/638-1bfd234/1/web.assets_frontend.css", "/web/assets/638-1bfd234/web.assets_frontend.css", "/web/static/a.js", "/x/Xy12AbQ9", "/Katalog2024", "/datenschutzerklaerung", "/return", "/a/return", "/return/7", "/mail/action"}
	for _, folder := range []string{"odoo", "odoo14"} {
		text, err := os.ReadFile("../../testdata/" + folder + "/preset.txt")
		require.NoError(t, err)
		for _, line := range strings.Split(string(text), "\n") {
			if line = strings.TrimPrefix(line, "\t"); strings.HasPrefix(line, "/") {
				pages = append(pages, line)
			}
		}
	}
	require.Greater(t, len(pages), 500)
	for i, page := range pages {
		if testing.Short() && i%9 > 0 { // with the race detector, which slows expressions down
			continue
		}
		for _, before := range []string{"", "/fr", "/francais"} {
			for _, after := range []string{"", "/", "/page/2"} {
				path := before + page + after
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "get", ""} {
					seen[asIs(t, s, method, "shop.example", path, "", nil).Name] = true
				}
				for j := i % 7; j < len(planQueries); j += 7 {
					seen[asIs(t, s, "GET", "shop.example", path, planQueries[j], nil).Name] = true
				}
			}
		}
	}
	for _, query := range planQueries { // of these rules each is looked at
		seen[asIs(t, s, "GET", "shop.example", "/website/translations", query, nil).Name] = true
		seen[asIs(t, s, "GET", "shop.example", "/fr/website/translations/8b9a1f2", query, nil).Name] = true
		seen[asIs(t, s, "GET", "shop.example", "/shop", query, nil).Name] = true
		seen[asIs(t, s, "GET", "shop.example", "/about-us", query, nil).Name] = true
		seen[asIs(t, s, "GET", "shop.example", "/fr/return", query, nil).Name] = true
		asIs(t, s, "POST", "shop.example", "/shop/cart/quantity", query, nil)
	}
	for _, r := range s.Rules {
		require.True(t, seen[r.Name] || testing.Short(), "no case for %s", r.Name)
	}
}

// TestPlanOfAnyRules: with rules of all kinds, in any order, and paths made of what they
// look at.
func TestPlanOfAnyRules(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	pick := func(list []string) string { return list[random.Intn(len(list))] }
	some := func(list []string) []string {
		if random.Intn(3) > 0 {
			return nil
		}
		return list[:1+random.Intn(len(list))]
	}
	words := []string{"shop", "Shop", "cart", "fr", "web", "assets", "a-1", "1", "static", "", "é", "\xff", "\n", "image", "my", "8b9a1f2", "AbCdEfGhIjKlMnOpQrStUv", ".", "x@y.z"}
	n := 300
	if testing.Short() {
		n = 30
	}
	for i := 0; i < n; i++ {
		s := build(t, func(c *option.Config) {
			if i%3 == 0 {
				c.Preset = "odoo"
			}
			for j := 0; j < 12; j++ {
				r := option.Rule{Name: fmt.Sprintf("r%d", j)}
				r.Match.PathPrefixes = some([]string{"/shop", "/shop/", "/", "/é", "/fr/shop/cart"}[random.Intn(5):])
				r.Match.Hosts = some([]string{"a.example", "*.example"})
				r.Match.Methods = some([]string{"GET", "POST", "PATCH"}[random.Intn(3):])
				if random.Intn(2) == 0 {
					r.Match.PathRegexp = pick([]string{"^/shop", "shop", "^/[a-z]+$", "(?i)^/SHOP", "^a|b", "^/(?:fr/)?shop(?:/|$)", "(?m)^$", "a-[0-9]", "^", `^/\pL+$`, "(?s)^/.$", "^(?:/x{900})?"})
				}
				if random.Intn(4) == 0 {
					r.Match.Headers = map[string]interface{}{"X-A": pick([]string{"", "^1$"})}
				}
				if random.Intn(4) == 0 {
					r.Match.Query = map[string]interface{}{pick([]string{"a", "debug", "x"}): pick([]string{"", "1", "^$"})}
				}
				if random.Intn(3) == 0 {
					r.Match.AnyQuery = map[string]interface{}{pick([]string{"debug", "x*", "*_name", "*a*", "a=b", "a&b", "*", "k", "email"}): "", pick([]string{"*", "who", "k*"}): pick([]string{"@", "^.$", `\d`, "x|", "[A-Z]{3}", "(?i)A"})}
					r.Match.AnyQueryWords = pick([]string{"", "true"})
					r.Query.Ignore = some([]string{"utm_*", "debug", "*_email"})
				}
				alone := option.Default()
				alone.Rules = []option.Rule{r}
				if _, err := config.Build(alone); err == nil { // some match all, or none, by mistake
					c.Rules = append(c.Rules, r)
				}
			}
			require.NotEmpty(t, c.Rules)
		})
		for j := 0; j < 200; j++ {
			path := ""
			for n := random.Intn(5); n >= 0; n-- {
				path += pick([]string{"/", "/", "/", "", "-"}) + pick(words)
			}
			asIs(t, s, pick([]string{"GET", "GET", "HEAD", "POST", "PATCH", "DELETE"}), pick([]string{"a.example", "b.example", "example", "c"}), path, pick(planQueries),
				[]http.Header{nil, {"X-A": {"1"}}, {"X-A": {"2"}}}[random.Intn(3)])
		}
	}
}

// FuzzPlan: for the preset, and whatever comes.
func FuzzPlan(f *testing.F) {
	c := option.Default()
	c.Preset = "odoo"
	s, err := config.Build(c)
	if err != nil {
		f.Fatal(err)
	}
	for i, query := range planQueries {
		f.Add("GET", []string{"/shop/desk-9", "/web/assets/1/8b9a1f2/a.css", "/fr/my", "/x/Xy12AbQ9", "/event/fair-3/register"}[i%5], query)
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		asIs(t, s, method, "shop.example", path, query, nil)
	})
}
