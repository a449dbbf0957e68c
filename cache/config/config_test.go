package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
)

const begin = "odoocache: invalid configuration: "

// problem returns what Build says of the defaults after a change, "" if nothing.
func problem(t *testing.T, change func(c *option.Config)) string {
	t.Helper()
	c := option.Default()
	change(c)
	s, err := config.Build(c)
	if err == nil {
		require.NotNil(t, s)
		return ""
	}
	require.Nil(t, s)
	require.ErrorIs(t, err, config.ErrConfig)
	require.True(t, strings.HasPrefix(err.Error(), begin), err.Error())
	return strings.TrimPrefix(err.Error(), begin)
}

const one = "1 mistake(s): "

func build(t *testing.T, change func(c *option.Config)) *config.Settings {
	t.Helper()
	c := option.Default()
	change(c)
	s, err := config.Build(c)
	require.NoError(t, err)
	return s
}

func ruleNamed(t *testing.T, s *config.Settings, name string) *rule.Rule {
	t.Helper()
	for _, r := range s.Rules {
		if r.Name == name {
			return r
		}
	}
	require.Fail(t, "no rule "+name)
	return nil
}

func TestDefaultsAreValid(t *testing.T) {
	s := build(t, func(*option.Config) {})
	assert.Equal(t, "odoocache", s.Name)
	assert.Equal(t, "default", s.Tenant)
	assert.Equal(t, "X-Odoo-Cache", s.CacheHeader)
	assert.Equal(t, "X-Odoo-Purge", s.PurgeHeader)
	assert.Equal(t, "session_id", s.Session)
	assert.Equal(t, "/.odoocache", s.AdminPath)
	assert.True(t, s.CSRF.Complete)
	assert.False(t, s.Debug)
	assert.True(t, s.Purge.FromResponses)
	assert.Empty(t, s.Purge.Secret)
	assert.Nil(t, s.Storage.Redis)
	assert.Equal(t, int64(64<<20), s.Storage.MemoryBytes)
	assert.Equal(t, int64(1000), s.Storage.MaxStaleness)
	assert.Equal(t, int64(120000), s.Limits.FetchTimeout)
	assert.Equal(t, int64(15000), s.Limits.CoalesceWait)
	assert.Equal(t, 10000, s.Limits.Waiters)
	assert.Equal(t, 4096, s.Limits.Addresses)
	assert.True(t, s.EarlyRefresh)
	assert.Equal(t, 4, s.Compression)
	assert.Empty(t, s.Rules)
	assert.Equal(t, "-", s.Default.Name)
	assert.Equal(t, int64(4<<20), s.Default.MaxBody)
	assert.Equal(t, policy.Unset, s.Default.Terms.TTL)
	assert.Equal(t, int64(3600*1000), s.Default.Terms.Keep)
	assert.True(t, s.Default.ClientDirectives)
}

func TestPresetIsValid(t *testing.T) {
	for _, redis := range []string{"", "redis:6379"} {
		s := build(t, func(c *option.Config) { c.Preset = "odoo"; c.Redis.Address = redis })
		assert.NotEmpty(t, s.Rules)
		assert.LessOrEqual(t, int64(16<<20), ruleNamed(t, s, "odoo-assets").MaxBody, "assets of 16 MiB can be read back from Redis")
	}
}

// A preset's rules come after the operator's, and cannot be mixed up with them.
func TestOrderOfRules(t *testing.T) {
	s := build(t, func(c *option.Config) {
		c.Preset = "odoo"
		c.Rules = []option.Rule{{Name: "mine", Match: all}, {Match: all}}
	})
	assert.Equal(t, "mine", s.Rules[0].Name)
	assert.Equal(t, "rule1", s.Rules[1].Name)
	assert.Equal(t, "odoo-state-params", s.Rules[2].Name)
	assert.Equal(t, one+`rules[0].name: "odoo-pages" is the name of another rule; expected one of its own`,
		problem(t, func(c *option.Config) {
			c.Preset = "odoo"
			c.Rules = []option.Rule{{Name: "odoo-pages", Match: all}}
		}))
}

// all is a match of every request.
var all = option.Match{PathPrefixes: []string{"/"}}

// given is an option that tells if it is given.
func given(s string) *string { return &s }

// TestRulesInOrder: labels are sorted as text, so the place in the list can be another
// one than the operator wrote.
func TestRulesInOrder(t *testing.T) {
	named := func(pairs ...string) (names []string) {
		s := build(t, func(c *option.Config) {
			c.Preset = "odoo"
			for i := 0; i < len(pairs); i += 2 {
				c.Rules = append(c.Rules, option.Rule{Name: pairs[i], Order: pairs[i+1], Match: all})
			}
		})
		for _, r := range s.Rules[:len(pairs)/2] {
			names = append(names, r.Name)
		}
		assert.Equal(t, "odoo-state-params", s.Rules[len(pairs)/2].Name, "the preset's come after them")
		return names
	}
	assert.Equal(t, []string{"a", "b", "c"}, named("a", "", "b", "", "c", ""))
	assert.Equal(t, []string{"r1", "r9", "r10"}, named("r1", "1", "r10", "10", "r9", "9"))
	assert.Equal(t, []string{"a", "b", "c", "d"}, named("c", "7", "a", "5", "d", "7", "b", "5"), "equal ones keep their places")
	assert.Equal(t, []string{"first", "a", "b"}, named("a", "", "b", "", "first", "-1"))
}

// TestPatternsAreText: what a decoder would make of true is not what was meant.
func TestPatternsAreText(t *testing.T) {
	maps := map[string]func(r *option.Rule, m map[string]interface{}){
		"match.headers":  func(r *option.Rule, m map[string]interface{}) { r.Match.Headers = m },
		"match.query":    func(r *option.Rule, m map[string]interface{}) { r.Match.Query = m },
		"match.anyQuery": func(r *option.Rule, m map[string]interface{}) { r.Match.AnyQuery = m },
		"require":        func(r *option.Rule, m map[string]interface{}) { r.Require = m },
		"refuse":         func(r *option.Rule, m map[string]interface{}) { r.Refuse = m },
	}
	for path, set := range maps {
		for value, want := range map[interface{}]string{
			true: `true is a boolean; expected a regular expression: write "true", in quotes`, false: `false is a boolean; expected a regular expression: write "false", in quotes`,
			time.Time{}: `0001-01-01 00:00:00 +0000 UTC is no text; expected a regular expression, in quotes`,
			"true":      "", "": "", nil: "", 1: "", int64(7): "", uint64(7): "", 1.5: "",
		} {
			if want != "" {
				want = one + "rules[1]." + path + ".X-Y: " + want
			}
			assert.Equal(t, want, problem(t, ofRule(func(r *option.Rule) { set(r, map[string]interface{}{"X-Y": value}) })), "%s %v", path, value)
		}
		got := problem(t, ofRule(func(r *option.Rule) { set(r, map[string]interface{}{"X-Y": []interface{}{"a"}}) }))
		assert.Equal(t, one+"rules[1]."+path+".X-Y: [a] is no text; expected a regular expression, in quotes", got)
	}
	s := build(t, ofRule(func(r *option.Rule) { r.Require = map[string]interface{}{"X-N": 134217728.0, "X-F": 1.5, "X-I": 7} }))
	assert.Equal(t, []string{"1.5", "7", "134217728"}, []string{s.Rules[1].Require[0].Pattern.String(), s.Rules[1].Require[1].Pattern.String(), s.Rules[1].Require[2].Pattern.String()})
}

// TestOneMistakeOfThePreset: rules that nobody wrote have no mistakes of their own.
func TestOneMistakeOfThePreset(t *testing.T) {
	assert.Equal(t, one+`languages[1]: "fr-FR"; expected a code of Odoo such as fr_FR`, problem(t, func(c *option.Config) {
		c.Preset, c.Languages = "odoo", []string{"en_US", "fr-FR"}
	}))
	for _, name := range []string{"frontend_lang", "tz", "forum_welcome_message", "website_cookies_bar"} {
		assert.Equal(t, one+fmt.Sprintf("session.cookie: %q is a cookie that pages of Odoo depend on; expected one that only names a visitor", name),
			problem(t, func(c *option.Config) { c.Preset, c.Session.Cookie = "odoo", name }))
		assert.Equal(t, one+fmt.Sprintf("session.contextCookie: %q is a cookie that pages of Odoo depend on; expected one that only names a visitor", name),
			problem(t, func(c *option.Config) { c.Preset, c.Session.ContextCookie = "odoo", name }))
	}
	assert.Equal(t, one+`country.header: "If-Match" says nothing of a country; expected a field such as CF-IPCountry, which a proxy in front sets`,
		problem(t, func(c *option.Config) { c.Preset, c.Country.Header = "odoo", "If-Match" }))
	_, err := config.Build(withPreset(wrong()))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "preset: does not go")
	assert.NotContains(t, err.Error(), "of its rule")
}

// withPreset adds mistakes in what the preset is made with to others.
func withPreset(c *option.Config) *option.Config {
	c.Preset, c.Languages, c.Country.Header = "odoo", []string{"?", "fr-FR"}, "Cookie"
	c.Odoo = option.Odoo{
		IgnoreQuery: []string{"*", "a*b"}, BypassPaths: []string{"x", "/"}, HarmlessPaths: []string{"/shop", "?"}, Prefetch: "x", Grace: "x",
		TTL: option.OdooTTL{Home: "-1", Products: "x"},
	}
	return c
}

// TestExtensionsOfThePreset: each is in the rules that it is for, and nowhere else.
func TestExtensionsOfThePreset(t *testing.T) {
	s := build(t, func(c *option.Config) {
		c.Preset = "odoo"
		c.Odoo.IgnoreQuery, c.Odoo.BypassPaths, c.Odoo.HarmlessPaths = []string{"aff_*"}, []string{"/dealers/"}, []string{"/poll"}
		c.Odoo.Grace = "7m"
		c.Odoo.TTL = option.OdooTTL{Home: "1m", Products: "2m", Lists: "3m", Events: "4m", Forum: "5m", Pages: "6m", Images: "7m", Files: "8m", Texts: "9m"}
	})
	kinds := map[string]int64{
		"odoo-home": 1, "odoo-product": 2, "odoo-shop": 3, "odoo-shop-filter": 3, "odoo-search": 3, "odoo-events": 4, "odoo-event": 4, "odoo-event-times": 4, "odoo-forum": 5,
		"odoo-blog": 6, "odoo-courses": 6, "odoo-jobs": 6, "odoo-pages": 6, "odoo-images": 7, "odoo-shapes": 7,
		"odoo-attachments": 8, "odoo-translations": 9, "odoo-translations-hashed": 8, "odoo-manifest": 8, "odoo-assets-by-id": 8, "odoo-bundles": 8, "odoo-crawlers": 9, "odoo-favicon": 9,
	}
	for _, r := range s.Rules {
		if r.Bypass || r.Terms.TTL == policy.Unset {
			continue
		}
		assert.Equal(t, kinds[r.Name]*60*1000, r.Terms.TTL, r.Name)
		if r.Name == "odoo-translations" { // browsers ask for them with no-store
			assert.Equal(t, int64(60*60*1000), r.Terms.Grace, r.Name)
		} else if page := r.Language != nil; page {
			assert.Equal(t, int64(7*60*1000), r.Terms.Grace, r.Name)
			assert.True(t, r.Ignore.Has("aff_x") && r.Ignore.Has("gclid"), r.Name)
		} else {
			assert.Equal(t, int64(24*60*60*1000), r.Terms.Grace, r.Name)
		}
		delete(kinds, r.Name)
	}
	assert.Empty(t, kinds)
	assert.True(t, s.RefusesPrefetch)
	for path, want := range map[string]string{
		"/dealers": "odoo-bypass-paths", "/dealers/7": "odoo-bypass-paths", "/fr/dealers/7": "odoo-bypass-paths", "/francais/dealers": "odoo-bypass-paths", "/dealership": "odoo-pages",
		"/poll": "odoo-harmless-paths", "/fr/poll/7": "odoo-harmless-paths", "/polls": "odoo-pages", "/dealers?debug=1": "odoo-state-params", "/poll?access_token=1": "odoo-access-token",
		"/about-us?aff_x=AbCdEfGhIjKlMnOpQrSt": "odoo-pages", "/about-us?af_x=AbCdEfGhIjKlMnOpQrSt": "odoo-personal-values",
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		got, _ := rule.First(s.Plan, s.Default, http.MethodGet, "shop.example", r.URL.Path, r)
		assert.Equal(t, want, got.Name, path)
	}
	r := httptest.NewRequest(http.MethodPost, "/fr/poll", nil)
	got, _ := rule.First(s.Plan, s.Default, http.MethodPost, "shop.example", "/fr/poll", r)
	assert.True(t, got.Bypass && got.KeepsSession)

	long := make([]string, 201)
	for i := range long {
		long[i] = fmt.Sprintf("/p%d", i)
	}
	assert.Equal(t, one+"odoo.bypassPaths: 201 members; expected at most 200", problem(t, func(c *option.Config) { c.Preset, c.Odoo.BypassPaths = "odoo", long }))
	assert.Empty(t, problem(t, func(c *option.Config) { c.Preset, c.Odoo.BypassPaths = "odoo", long[:200] }))
	assert.Equal(t, one+`odoo.ignoreQuery[1]: "a" is listed twice`, problem(t, func(c *option.Config) { c.Preset, c.Odoo.IgnoreQuery = "odoo", []string{"a", " a"} }))
	assert.Equal(t, one+`odoo.harmlessPaths: "/a/b" does nothing, since odoo.bypassPaths takes it; expected it in one of the two`,
		problem(t, func(c *option.Config) {
			c.Preset, c.Odoo.BypassPaths, c.Odoo.HarmlessPaths = "odoo", []string{"/a"}, []string{"/a/b"}
		}))
}

// TestPatternsOfOneLine: a block of YAML ends in a line break, which nothing matches.
func TestPatternsOfOneLine(t *testing.T) {
	block := map[string]interface{}{"X-A": "^yes$\n"}
	for path, set := range map[string]func(r *option.Rule){
		"match.headers": func(r *option.Rule) { r.Match.Headers = block },
		"match.query":   func(r *option.Rule) { r.Match.Query = block },
		"require":       func(r *option.Rule) { r.Require = block },
		"refuse":        func(r *option.Rule) { r.Refuse = block },
	} {
		assert.Equal(t, one+"rules[1]."+path+`.X-A: "^yes$\n"`+notOneLine, problem(t, ofRule(set)))
	}
}

// TestNamesThatMeanSomething: no option takes a field that somebody else needs.
func TestNamesThatMeanSomething(t *testing.T) {
	for path, set := range map[string]func(c *option.Config, v string){
		"headers.cache": func(c *option.Config, v string) { c.Headers.Cache = v },
		"headers.purge": func(c *option.Config, v string) { c.Headers.Purge = v },
		"headers.edge":  func(c *option.Config, v string) { c.Headers.Edge = v },
	} {
		for _, name := range []string{
			"Set-Cookie", "cookie", "Host", "Content-Type", "content-length", "Authorization", "Vary", "Cache-Control", "Age", "ETag", "Date", "Location", "Surrogate-Key",
			"X-Forwarded-Host", "If-None-Match", "Sec-Fetch-Mode", "Cache-Status", "Accept", "Accept-Language", "X-Odoo-Dbfilter", "X-Openerp-Session-Id", "Access-Control-Allow-Origin",
		} {
			assert.Equal(t, one+fmt.Sprintf("%s: %q has a meaning of its own; expected a name that nothing else uses, such as X-Shop-Cache", path, name),
				problem(t, func(c *option.Config) { set(c, name) }))
		}
	}
}

// TestFieldsOfDatabases: a field of an operator's own comes to those that choose the database.
func TestFieldsOfDatabases(t *testing.T) {
	with := func(list ...string) []string {
		return build(t, func(c *option.Config) { c.Fill.Headers = list }).Fill.Headers
	}
	assert.Equal(t, []string{"X-Odoo-Dbfilter", "X-Odoo-Database"}, with())
	assert.Equal(t, []string{"X-Odoo-Dbfilter", "X-Odoo-Database", "X-Shop"}, with("x-shop"))
	assert.Equal(t, []string{"X-Odoo-Dbfilter", "X-Odoo-Database", "X-Shop"}, with("X-Odoo-Database", "X-Shop", "X-Odoo-Dbfilter"))
	assert.Equal(t, one+`fill.headers[1]: "x-shop" is listed twice, in another case; expected it once`, problem(t, func(c *option.Config) { c.Fill.Headers = []string{"X-Shop", "x-shop"} }))
}

// TestCookiesOfSessions: also where they have other names.
func TestCookiesOfSessions(t *testing.T) {
	renamed := func(change func(c *option.Config)) string {
		return problem(t, func(c *option.Config) {
			c.Session.Cookie, c.Session.ContextCookie = "sid", "ctx"
			change(c)
		})
	}
	for _, name := range []string{"sid", "ctx", "session_id", "odoocache_context"} {
		assert.Equal(t, one+fmt.Sprintf("fill.cookies[0]: %q is Odoo's own, or the addon's; expected one of a balancer or firewall", name),
			renamed(func(c *option.Config) { c.Preset, c.Fill.Cookies = "odoo", []string{name} }))
		assert.Equal(t, one+fmt.Sprintf("rules[1].vary.cookies[0]: %q", name)+ofOneVisitor,
			renamed(ofRule(func(r *option.Rule) { r.Vary.Cookies = []string{name} })))
		assert.Equal(t, one+fmt.Sprintf("rules[1].cookies.keep[0]: %q would hand one visitor's session to all others; expected cookies.drop", name),
			renamed(ofRule(func(r *option.Rule) { r.Cookies.Keep = []string{name} })))
	}
	assert.Equal(t, one+`rules[1].vary.cookies[0]: "frontend_lang" is what vary.languages goes by; expected one or the other`,
		problem(t, ofRule(func(r *option.Rule) {
			r.Vary = option.Vary{Cookies: []string{"frontend_lang"}, Languages: []string{"en_US", "fr_FR"}}
		})))
	assert.Empty(t, problem(t, ofRule(func(r *option.Rule) { r.Vary.Cookies = []string{"frontend_lang"} })))
}

// TestOptionsThatDoNothing: whoever gives one means something else.
func TestOptionsThatDoNothing(t *testing.T) {
	nothing := func(name string) string {
		return one + "rules[1]." + name + ": does nothing, since bypass is true and nothing is stored; expected one or the other"
	}
	rules := map[string]func(r *option.Rule){
		nothing("vary"):      func(r *option.Rule) { r.Bypass = "true"; r.Vary.Cookies = []string{"a"} },
		nothing("tags"):      func(r *option.Rule) { r.Bypass = "true"; r.Tags = []string{"a"} },
		nothing("status"):    func(r *option.Rule) { r.Bypass = "true"; r.Status = []string{"404"} },
		nothing("override"):  func(r *option.Rule) { r.Bypass = "true"; r.Override = []string{"private"} },
		nothing("cookies"):   func(r *option.Rule) { r.Bypass = "true"; r.Cookies.Drop = []string{"a"} },
		nothing("maxBody"):   func(r *option.Rule) { r.Bypass = "true"; r.MaxBody = "1MiB" },
		nothing("heuristic"): func(r *option.Rule) { r.Bypass = "true"; r.Heuristic = "true" },
		"": func(r *option.Rule) {
			r.Bypass, r.Heuristic, r.Session = "true", "false", "keep"
			r.Query.Ignore = []string{"utm_*"}
		},
		one + "rules[1].ttl: does nothing, since only answers to GET are stored; expected GET in match.methods": func(r *option.Rule) {
			r.Match.Methods, r.TTL = []string{"POST", "PUT"}, "1m"
		},
		one + "rules[1].grace: does nothing, since only answers to GET are stored; expected GET in match.methods": func(r *option.Rule) {
			r.Match.Methods, r.Grace = []string{"POST"}, "1m"
		},
		one + "rules[1].staleIfError: does nothing, since only answers to GET are stored; expected GET in match.methods": func(r *option.Rule) {
			r.Match.Methods, r.StaleIfError = []string{"POST"}, "1m"
		},
		one + "rules[1].match.anyQueryWords: does nothing without match.anyQuery; expected both":                                     func(r *option.Rule) { r.Match.AnyQueryWords = "true" },
		one + `rules[1].session: "answer" does nothing without bypass, since pages that are stored change no session; expected both`: func(r *option.Rule) { r.Session = "answer" },
		one + `rules[1].query.keep[1]: "a" is in query.ignore, too; expected one or the other`: func(r *option.Rule) {
			r.Query = option.Query{Keep: []string{"b", "a"}, Ignore: []string{"c", " a"}}
		},
	}
	for want, change := range rules {
		assert.Equal(t, want, problem(t, ofRule(change)))
	}
	for want, change := range map[string]func(c *option.Config){
		"languages: does nothing without a preset; expected preset: odoo, or vary.languages of a rule":                                        func(c *option.Config) { c.Languages = []string{"en_US"} },
		"fill.cookies: does nothing, since nothing is filled as nobody; expected preset: odoo, or fill: nobody of a rule":                     func(c *option.Config) { c.Fill.Cookies = []string{"lb"} },
		"odoo: does nothing without a preset; expected preset: odoo":                                                                          func(c *option.Config) { c.Odoo.TTL.Products = "1m" },
		"country.header: does nothing without a preset, since no rule varies by it; expected preset: odoo, or vary.headers of a rule with it": func(c *option.Config) { c.Country.Header = "CF-IPCountry" },
	} {
		assert.Equal(t, one+want, problem(t, change))
		assert.Empty(t, problem(t, func(c *option.Config) { c.Preset = "odoo"; change(c) }))
	}
	assert.Empty(t, problem(t, func(c *option.Config) {
		c.Country.Header, c.Fill.Cookies = "CF-IPCountry", []string{"lb"}
		c.Rules = []option.Rule{{Match: all, Fill: "nobody"}, {Match: all, Vary: option.Vary{Headers: []string{"cf-ipcountry"}}}}
	}))
}

// TestRuleForAll: a rule is for every request only if it says so.
func TestRuleForAll(t *testing.T) {
	for _, m := range []option.Match{{}, {Headers: map[string]interface{}{}, Methods: []string{}}} {
		assert.Equal(t, one+`rules[1].match: is empty, so the rule would take every request; expected what it is for, or pathPrefixes with / alone if it is for all`,
			problem(t, ofRule(func(r *option.Rule) { r.Match, r.Bypass = m, "true" })))
	}
	assert.Equal(t, one+`rules[1].match.path: unknown option`, problem(t, ofRule(func(r *option.Rule) { r.Match = option.Match{Unknown: map[string]interface{}{"path": "/x"}} })))
	assert.Empty(t, problem(t, ofRule(func(r *option.Rule) { r.Match = option.Match{Methods: []string{"GET"}} })))
}

// ofRule changes the second of three rules.
func ofRule(change func(r *option.Rule)) func(c *option.Config) {
	return func(c *option.Config) {
		c.Rules = []option.Rule{{Name: "a", Match: all}, {Name: "b", Match: all}, {Name: "c", Match: all}}
		change(&c.Rules[1])
	}
}

func badHost(host string) string {
	return fmt.Sprintf("rules[1].match.hosts[1]: %q; expected a host such as shop.example or *.example, without scheme, port or path", host)
}

func badPrefix(prefix string) string {
	return fmt.Sprintf("rules[1].match.pathPrefixes[1]: %q would match nothing; expected a decoded path such as /shop, which takes all below it, or match.pathRegexp", prefix)
}

const (
	everyPath = " matches every path; expected one that does not, or pathPrefixes with / alone if the rule is for all"

	noClient     = " is no client's, and may have privileges; expected an address that has none anywhere, such as 192.0.2.1"
	neverStored  = " answers one client's Range or condition, and is never stored; expected another status"
	notFilledIn  = "is a variable or a template that nobody has filled in (Traefik does not do so in its dynamic files); expected what it stands for, or an option that ends in File or Env"
	badLine      = "; expected one line of at most 64 bytes, without blanks around it"
	ofOneVisitor = " belongs to one visitor's session; expected another cookie, or bypass"
	noPath       = ", since paths begin with / and end where $ is; expected one such as ^/my_module(/|$)"
	notOneLine   = " has a line break or another control character, as a block of YAML (|) ends in one; expected one line"

	noParam     = " would match nothing; expected the name of a parameter as it is decoded, without its value"
	readByOdoo  = " takes one that opens something or changes a session in Odoo; expected one that Odoo does not read"
	readByPages = ", which pages of Odoo read; expected one that they do not read, or a rule with query.ignore"
	noOwnPath   = " would match nothing; expected a decoded path such as /my_module, which takes all below it"

	badDuration = "; expected a duration such as 10m, or whole seconds, from 0 to 68 years"
	badBool     = "; expected true or false"
	badAddress  = "; expected host:port or unix:///path"
)

// TestOptions has good and bad values of each option. A string is set as it is.
func TestOptions(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	file := func(content string, path ...string) string {
		name := filepath.Join(append([]string{t.TempDir()}, path...)...)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		return name
	}
	keyFile, otherKey, sameKey := file(strings.Repeat("0f", 31)+"01\n", "key"), file(strings.Repeat("\xf0", 31)+"x", "key"), file(strings.Repeat("\x0f", 31)+"\x01", "key")
	zeroKey, large := file(strings.Repeat("\x00", 32), "key"), file(strings.Repeat("x", 2000), "key")
	folder := filepath.Dir(file(strings.Repeat("0e", 31)+"01\n", "keys", "acme"))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "bad"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "bad", "acme"), nil, 0o600))
	for _, c := range []struct {
		name string
		set  func(c *option.Config, v string)
		good []string
		bad  map[string]string // value: mistake
	}{
		{
			"name", func(c *option.Config, v string) { c.Name = v },
			[]string{"a", "Edge-1.eu", "*x", "a:b/c", strings.Repeat("a", 64)},
			map[string]string{
				strings.Repeat("a", 65):   `name: "` + strings.Repeat("a", 65) + `"; expected a token of at most 64 characters that begins with a letter, such as odoocache`,
				strings.Repeat("a", 1000): `name: "` + strings.Repeat("a", 300) + `..."; expected a token of at most 64 characters that begins with a letter, such as odoocache`,
				"a\n":                     `name: "a\n"; expected a token of at most 64 characters that begins with a letter, such as odoocache`,
				"\xff":                    `name: "\xff"; expected a token of at most 64 characters that begins with a letter, such as odoocache`,
				"":                        `name: ""; expected a token of at most 64 characters that begins with a letter, such as odoocache`,
				"1a":                      `name: "1a"; expected a token of at most 64 characters that begins with a letter, such as odoocache`,
				"a b":                     `name: "a b"; expected a token of at most 64 characters that begins with a letter, such as odoocache`,
				"a;hit":                   `name: "a;hit"; expected a token of at most 64 characters that begins with a letter, such as odoocache`,
			},
		},
		{
			"tenant", func(c *option.Config, v string) { c.Tenant = v },
			[]string{"a", "0", "Shop_1.eu-x", strings.Repeat("a", 64)},
			map[string]string{
				"":                      `tenant: ""; expected 1 to 64 letters, digits, dots, dashes or underscores`,
				"-a":                    `tenant: "-a"; expected 1 to 64 letters, digits, dots, dashes or underscores`,
				"a}:e:":                 `tenant: "a}:e:"; expected 1 to 64 letters, digits, dots, dashes or underscores`,
				"a\n":                   `tenant: "a\n"; expected 1 to 64 letters, digits, dots, dashes or underscores`,
				strings.Repeat("a", 65): `tenant: "` + strings.Repeat("a", 65) + `"; expected 1 to 64 letters, digits, dots, dashes or underscores`,
			},
		},
		{
			"retention", func(c *option.Config, v string) { c.Retention = v }, []string{"0", "24h", "3600"},
			map[string]string{"": `retention: is empty; expected a duration such as 10m, 0 for none, or no such option`, "-1s": `retention: "-1s"` + badDuration},
		},
		{
			"tenants.hosts", func(c *option.Config, v string) { c.Tenants.Hosts = []string{"{tenant}.a.example", v} }, []string{"{tenant}.b.example", "shop-{tenant}.example"},
			map[string]string{"shop.example": `tenants.hosts[1]: "shop.example"; expected a host with {tenant} for one of its labels or a part of one, such as {tenant}.shops.example`},
		},
		{
			"tenants.header", func(c *option.Config, v string) { c.Tenants.Header = v }, []string{"", "X-Tenant", "X-Odoo-Database"},
			map[string]string{
				"Cookie": `tenants.header: "Cookie" means something already; expected a field of a middleware in front, such as X-Tenant`,
				"a b":    `tenants.header: "a b"; expected the name of a header`,
			},
		},
		{
			"tenants.file", func(c *option.Config, v string) { c.Tenants.File = v }, []string{""},
			map[string]string{missing: `tenants.file: open ` + missing + `: no such file or directory; expected a readable file`},
		},
		{
			"tenants.redis", func(c *option.Config, v string) { c.Redis.Address = "redis:6379"; c.Tenants.Redis = v }, []string{"", "oc:tenants"},
			map[string]string{"a b": `tenants.redis: "a b"; expected the key of a hash, such as oc:tenants`},
		},
		{
			"tenants.refresh", func(c *option.Config, v string) { c.Tenants.Header, c.Tenants.Refresh = "X-Tenant", v }, []string{"1ms", "10s", "24h"},
			map[string]string{"0": `tenants.refresh: "0"; expected a duration from 1ms to 24h0m0s`},
		},
		{
			"tenants.max", func(c *option.Config, v string) { c.Tenants.Header, c.Tenants.Max = "X-Tenant", v }, []string{"1", "100000"},
			map[string]string{"0": `tenants.max: "0"; expected a number from 1 to 100000`},
		},
		{
			"preset", func(c *option.Config, v string) { c.Preset = v }, []string{"", "odoo"},
			map[string]string{"magento": `preset: "magento"; expected odoo, or nothing`},
		},
		{
			"languages", func(c *option.Config, v string) { c.Preset = "odoo"; c.Languages = []string{"en_US", v} }, []string{"fr_FR", "sr@latin"},
			map[string]string{"*": `languages[1]: "*"; expected a code of Odoo such as fr_FR`, "FR": `languages[1]: "FR"; expected a code of Odoo such as fr_FR`},
		},
		{
			"requestDirectives", func(c *option.Config, v string) { c.RequestDirectives = v }, []string{"honor", "ignore"},
			map[string]string{"": `requestDirectives: ""; expected one of honor, ignore`, "true": `requestDirectives: "true"; expected one of honor, ignore`},
		},
		{
			"keep", func(c *option.Config, v string) { c.Keep = v }, []string{"0", "600", "1h30m"},
			map[string]string{"": `keep: is empty; expected a duration such as 10m, 0 for none, or no such option`, "-1s": `keep: "-1s"` + badDuration, "10 minutes": `keep: "10 minutes"` + badDuration, "99999999999": `keep: "99999999999"` + badDuration},
		},
		{
			"logLevel", func(c *option.Config, v string) { c.LogLevel = v }, []string{"error", "debug"},
			map[string]string{"warn": `logLevel: "warn"; expected one of error, debug`},
		},
		{
			"redis.address", func(c *option.Config, v string) { c.Redis.Address = v },
			[]string{"", " ", "redis:6379", " redis:6379 ", "[::1]:6379", "unix:///run/redis.sock", "/run/redis.sock"},
			map[string]string{
				"redis":                                `redis.address: "redis"` + badAddress,
				":6379":                                `redis.address: ":6379"` + badAddress,
				"redis:":                               `redis.address: "redis:"` + badAddress,
				"redis:http":                           `redis.address: "redis:http"` + badAddress,
				"redis:70000":                          `redis.address: "redis:70000"` + badAddress,
				"::1":                                  `redis.address: "::1"` + badAddress + `, an IPv6 address in brackets`,
				"::1:6379":                             `redis.address: "::1:6379"` + badAddress + `, an IPv6 address in brackets`,
				"unix://":                              `redis.address: "unix://"` + badAddress,
				"unix://run/redis":                     `redis.address: "unix://run/redis"` + badAddress,
				"unix:/run/redis":                      `redis.address: "unix:/run/redis"` + badAddress,
				"redis://redis:6379":                   `redis.address: is a URL with redis://; expected "redis:6379"`,
				"redis://redis":                        `redis.address: is a URL with redis://; expected "redis:6379"`,
				"REDIS://redis/":                       `redis.address: is a URL with redis://; expected "redis:6379"`,
				"valkey://[::1]:7000/0":                `redis.address: is a URL with valkey://; expected "[::1]:7000", and redis.database: 0`,
				"rediss://redis:6380/2":                `redis.address: is a URL with rediss://; expected "redis:6380", and redis.tls.enabled: true, redis.database: 2`,
				"redis-socket:///run/r":                `redis.address: is a URL with redis-socket://; expected "/run/r"`,
				"http://redis:6379":                    `redis.address: is a URL with http://; expected host:port or unix:///path`,
				"redis://a/b":                          `redis.address: is a URL with redis://; expected host:port or unix:///path`,
				"odoo:hunter2@redis:6379":              `redis.address: holds a user or a password; expected "redis:6379", and redis.username and redis.password (or passwordFile)`,
				"redis://:hunter2hunter2@redis:6379":   `redis.address: is a URL with redis://, and holds a user or a password; expected "redis:6379", and redis.username and redis.password (or passwordFile)`,
				"rediss://u:hun@ter/2@redis.example/3": `redis.address: is a URL with rediss://, and holds a user or a password; expected "redis.example:6379", and redis.username and redis.password (or passwordFile), redis.tls.enabled: true, redis.database: 3`,
				"redis://redis:6379?password=hunter2":  `redis.address: is a URL with redis://, and holds a user or a password; expected "redis:6379", and redis.username and redis.password (or passwordFile)`,
			},
		},
		{
			"redis.username", func(c *option.Config, v string) { c.Redis.Username = v }, []string{""},
			map[string]string{"odoo": `redis.address: is empty, but a username, password or tls is set; expected host:port`},
		},
		{
			"redis.passwordFile", func(c *option.Config, v string) { c.Redis.PasswordFile = given(v) }, nil,
			map[string]string{missing: `redis.passwordFile: open ` + missing + `: no such file or directory; expected a readable file`, empty: `redis.passwordFile: "` + empty + `" is empty; expected a secret`},
		},
		{
			"encryption.keys", func(c *option.Config, v string) {
				c.Redis.Address = "redis:6379"
				c.Encryption.Keys = []string{keyFile, v}
			}, []string{otherKey, " " + otherKey + " "},
			map[string]string{
				"":      `encryption.keys[1]: is empty; expected a value, or no list at all`,
				keyFile: `encryption.keys[1]: "` + keyFile + `" is listed twice`,
				sameKey: `encryption.keys[1]: "` + sameKey + `" has the key of encryption.keys[0], too; expected each key once`,
				missing: `encryption.keys[1]: open ` + missing + `: no such file or directory; expected a readable file with a key`,
				empty:   `encryption.keys[1]: "` + empty + `" has 1 bytes; expected 32 random bytes as they are, in 64 hex digits, or in base64`,
				zeroKey: `encryption.keys[1]: "` + zeroKey + `" has 32 equal bytes; expected 32 random bytes as they are, in 64 hex digits, or in base64`,
				large:   `encryption.keys[1]: "` + large + `" has more than 1024 bytes; expected a file with a key`,
			},
		},
		{
			"encryption.tenantKeys", func(c *option.Config, v string) {
				c.Tenant, c.Redis.Address, c.Encryption = "acme", "redis:6379", option.Encryption{Keys: []string{keyFile}, TenantKeys: v}
			}, []string{"", folder},
			map[string]string{
				missing:                      `encryption.tenantKeys: "` + missing + `" is no folder that can be read; expected one with a file for each tenant`,
				keyFile:                      `encryption.tenantKeys: "` + keyFile + `" is no folder that can be read; expected one with a file for each tenant`,
				" ":                          `encryption.tenantKeys: " " begins or ends with white space; expected the path of a folder`,
				filepath.Dir(folder):         `encryption.tenantKeys: tenant acme: open ` + filepath.Join(filepath.Dir(folder), "acme") + `: no such file or directory; expected a readable file with a key`,
				filepath.Join(folder, "bad"): `encryption.tenantKeys: tenant acme: "` + filepath.Join(folder, "bad", "acme") + `" is empty; expected 32 random bytes as they are, in 64 hex digits, or in base64`,
			},
		},
		{
			"redis.passwordEnv", func(c *option.Config, v string) { c.Redis.PasswordEnv = given(v) }, nil,
			map[string]string{"ODOOCACHE_UNSET": `redis.passwordEnv: the environment variable "ODOOCACHE_UNSET" is empty or not set`},
		},
		{
			"redis.database", func(c *option.Config, v string) { c.Redis.Database = v }, []string{"0", " 0 "},
			map[string]string{"3": `redis.database: 3, but redis.address is empty; expected host:port there, or no database`, "": `redis.database: ""; expected a number from 0 to 1048576`, "-1": `redis.database: "-1"; expected a number from 0 to 1048576`, "one": `redis.database: "one"; expected a number from 0 to 1048576`},
		},
		{
			"redis.database with redis", func(c *option.Config, v string) { c.Redis.Address = "redis:6379"; c.Redis.Database = v }, []string{"0", "15", " 1 "},
			map[string]string{"x": `redis.database: "x"; expected a number from 0 to 1048576`},
		},
		{
			"redis.timeout", func(c *option.Config, v string) { c.Redis.Timeout = v }, []string{"1ms", "100ms", "1", "60s"},
			map[string]string{
				"": `redis.timeout: ""; expected a duration from 1ms to 1m0s`, "0": `redis.timeout: "0"; expected a duration from 1ms to 1m0s`,
				"10us": `redis.timeout: "10us"; expected a duration from 1ms to 1m0s`, "2m": `redis.timeout: "2m"; expected a duration from 1ms to 1m0s`,
				"fast": `redis.timeout: "fast"; expected a duration from 1ms to 1m0s`,
			},
		},
		{
			"redis.dialTimeout", func(c *option.Config, v string) { c.Redis.DialTimeout = v }, []string{"1ms", "60"},
			map[string]string{"-1s": `redis.dialTimeout: "-1s"; expected a duration from 1ms to 1m0s`},
		},
		{
			"redis.poolSize", func(c *option.Config, v string) { c.Redis.PoolSize = v }, []string{"1", "10000"},
			map[string]string{"0": `redis.poolSize: "0"; expected a number from 1 to 10000`, "10001": `redis.poolSize: "10001"; expected a number from 1 to 10000`, "1.5": `redis.poolSize: "1.5"; expected a number from 1 to 10000`},
		},
		{
			"redis.idleTimeout", func(c *option.Config, v string) { c.Redis.IdleTimeout = v }, []string{"1s", "24h"},
			map[string]string{"25h": `redis.idleTimeout: "25h"; expected a duration from 1ms to 24h0m0s`},
		},
		{
			"redis.maxReplyBytes", func(c *option.Config, v string) { c.Redis.MaxReplyBytes = v }, []string{"1MiB", "1GiB"},
			map[string]string{"1": `redis.maxReplyBytes: "1"; expected a size such as 4MiB, from 1MiB to 1GiB`, "2G": `redis.maxReplyBytes: "2G"; expected a size such as 4MiB, from 1MiB to 1GiB`},
		},
		{
			"redis.preparedBytes", func(c *option.Config, v string) { c.Redis.PreparedBytes = v }, []string{"1MiB", "1GiB"},
			map[string]string{"1": `redis.preparedBytes: "1"; expected a size such as 4MiB, from 1MiB to 1024GiB`},
		},
		{
			"redis.tls.enabled", func(c *option.Config, v string) { c.Redis.Address = "redis:6379"; c.Redis.TLS.Enabled = v }, []string{"", "true", "1", "false", "0"},
			map[string]string{"yes": `redis.tls.enabled: "yes"` + badBool},
		},
		{
			"redis.tls without redis", func(c *option.Config, v string) { c.Redis.TLS.Enabled = v }, []string{"false"},
			map[string]string{"true": `redis.address: is empty, but a username, password or tls is set; expected host:port`},
		},
		{
			"redis.tls.insecureSkipVerify", func(c *option.Config, v string) { c.Redis.TLS.InsecureSkipVerify = v }, []string{"", "false"},
			map[string]string{"maybe": `redis.tls.insecureSkipVerify: "maybe"` + badBool, "true": `redis.tls.enabled: is false, but other options of tls are set; expected true`},
		},
		{
			"redis.tls.caFile", func(c *option.Config, v string) { enableTLS(c); c.Redis.TLS.CAFile = v }, []string{""},
			map[string]string{missing: `redis.tls.caFile: open ` + missing + `: no such file or directory; expected a readable file`, empty: `redis.tls.caFile: "` + empty + `" has no certificate in PEM`},
		},
		{
			"redis.tls.certFile", func(c *option.Config, v string) { enableTLS(c); c.Redis.TLS.CertFile = v }, []string{""},
			map[string]string{empty: `redis.tls.certFile: certFile and keyFile go together; expected both or none`},
		},
		{
			"redis.tls.keyFile", func(c *option.Config, v string) { enableTLS(c); c.Redis.TLS.KeyFile = v }, []string{""},
			map[string]string{empty: `redis.tls.certFile: certFile and keyFile go together; expected both or none`},
		},
		{
			"redis.tls both halves", func(c *option.Config, v string) { enableTLS(c); c.Redis.TLS.CertFile = v; c.Redis.TLS.KeyFile = v }, []string{""},
			map[string]string{empty: `redis.tls.certFile: tls: failed to find any PEM data in certificate input; expected a certificate and its key in PEM`},
		},
		{
			"redis.tls.serverName", func(c *option.Config, v string) {
				enableTLS(c)
				c.Redis.Address = "unix:///r"
				c.Redis.TLS.ServerName = v
			}, []string{"redis"},
			map[string]string{"": `redis.tls.serverName: is empty; expected the name in the server's certificate, since redis.address has none`},
		},
		{
			"memory.bytes", func(c *option.Config, v string) { c.Memory.Bytes = v }, []string{"1MiB", "64M", "1000000000", "1GB"},
			map[string]string{
				"0": `memory.bytes: "0"; expected at least 1MiB, since there is no redis.address`, "": `memory.bytes: ""; expected a size such as 4MiB, from 0 to 1024GiB`,
				"-1": `memory.bytes: "-1"; expected a size such as 4MiB, from 0 to 1024GiB`, "64 megabytes": `memory.bytes: "64 megabytes"; expected a size such as 4MiB, from 0 to 1024GiB`,
				"2000GiB": `memory.bytes: "2000GiB"; expected a size such as 4MiB, from 0 to 1024GiB`, "1.5GiB": `memory.bytes: "1.5GiB"; expected a size such as 4MiB, from 0 to 1024GiB`,
			},
		},
		{
			"memory.bytes with redis", func(c *option.Config, v string) { c.Redis.Address = "redis:6379"; c.Memory.Bytes = v }, []string{"0", "64MiB"},
			map[string]string{"x": `memory.bytes: "x"; expected a size such as 4MiB, from 0 to 1024GiB`},
		},
		{
			"memory.maxStaleness", func(c *option.Config, v string) { c.Memory.MaxStaleness = v }, []string{"", "0", "1s"},
			map[string]string{"x": `memory.maxStaleness: "x"` + badDuration},
		},
		{
			"purge.secret", func(c *option.Config, v string) { c.Purge.Secret = given(v) }, []string{"12345678", "with a space", "${abc}defgh", "$ecret_word", "{{{{{{{{"},
			map[string]string{
				"${PURGE_SECRET}":      "purge.secret: " + notFilledIn,
				"${PURGE_SECRET:-abc}": "purge.secret: " + notFilledIn,
				"$(cat /run/secret)":   "purge.secret: " + notFilledIn,
				"{{ env \"SECRET\" }}": "purge.secret: " + notFilledIn,
				"$PURGE_SECRET":        "purge.secret: " + notFilledIn,
				"1234567":              `purge.secret: has 7 characters; expected at least 8`,
				"12345678 ":            `purge.secret: begins or ends with white space; expected what a header can carry`,
				"1234\n5678":           `purge.secret: has a line break or another control character; expected one line`,
				"12345678\n":           `purge.secret: ends in a line break; expected one line without its end (echo -n, printf)`,
				"":                     `purge.secret: is given, but empty; expected a secret, or no such option`,
			},
		},
		{
			"purge.secretFile", func(c *option.Config, v string) { c.Purge.SecretFile = given(v) }, nil,
			map[string]string{missing: `purge.secretFile: open ` + missing + `: no such file or directory; expected a readable file`, empty: `purge.secretFile: "` + empty + `" is empty; expected a secret`},
		},
		{
			"purge.secretEnv", func(c *option.Config, v string) { c.Purge.SecretEnv = given(v) }, nil,
			map[string]string{"ODOOCACHE_UNSET": `purge.secretEnv: the environment variable "ODOOCACHE_UNSET" is empty or not set`},
		},
		{
			"purge.previousSecret", func(c *option.Config, v string) {
				c.Purge.Secret, c.Purge.PreviousSecret = given("the current secret"), given(v)
			}, []string{"12345678", "with a space", "The current secret"},
			map[string]string{
				"${PURGE_SECRET}":    "purge.previousSecret: " + notFilledIn,
				"1234567":            `purge.previousSecret: has 7 characters; expected at least 8`,
				"12345678 ":          `purge.previousSecret: begins or ends with white space; expected what a header can carry`,
				"the current secret": `purge.previousSecret: is purge.secret, too; expected the one before it, or no such option`,
				"":                   `purge.previousSecret: is given, but empty; expected a secret, or no such option`,
			},
		},
		{
			"purge.previousSecretFile", func(c *option.Config, v string) {
				c.Purge.Secret, c.Purge.PreviousSecretFile = given("the current secret"), given(v)
			}, nil,
			map[string]string{missing: `purge.previousSecretFile: open ` + missing + `: no such file or directory; expected a readable file`, empty: `purge.previousSecretFile: "` + empty + `" is empty; expected a secret`},
		},
		{
			"purge.previousSecretEnv", func(c *option.Config, v string) {
				c.Purge.Secret, c.Purge.PreviousSecretEnv = given("the current secret"), given(v)
			}, nil,
			map[string]string{"ODOOCACHE_UNSET": `purge.previousSecretEnv: the environment variable "ODOOCACHE_UNSET" is empty or not set`},
		},
		{
			"purge.previousSecret alone", func(c *option.Config, v string) { c.Purge.PreviousSecret = given(v) }, nil,
			map[string]string{"the former secret": `purge.previousSecret: is given without purge.secret; expected both, or purge.secret alone`},
		},
		{
			"purge.networks", func(c *option.Config, v string) { c.Purge.Networks = []string{"10.0.0.0/8", v} }, []string{"10.1.2.3", " ::1 ", "fd00::/8", "0.0.0.0/1", "10.1.2.3/8", "::ffff:10.0.0.1"},
			map[string]string{
				"":                    `purge.networks[1]: ""; expected an address or a network such as 10.0.0.0/8`,
				"10.0.0.0/33":         `purge.networks[1]: "10.0.0.0/33"; expected an address or a network such as 10.0.0.0/8`,
				"0.0.0.0/0":           `purge.networks[1]: "0.0.0.0/0" takes every address; expected no networks, and purge.secret`,
				"::/0":                `purge.networks[1]: "::/0" takes every address; expected no networks, and purge.secret`,
				"localhost":           `purge.networks[1]: "localhost"; expected an address or a network such as 10.0.0.0/8`,
				"::ffff:10.0.0.0/104": `purge.networks[1]: "::ffff:10.0.0.0/104"; expected an address or a network such as 10.0.0.0/8`,
			},
		},
		{
			"purge.fromResponses", func(c *option.Config, v string) { c.Purge.FromResponses = v }, []string{"", "true", "0"},
			map[string]string{"on": `purge.fromResponses: "on"` + badBool},
		},
		{
			"purge.maxMarks", func(c *option.Config, v string) { c.Purge.MaxMarks = v }, []string{"100", "1000000"},
			map[string]string{"99": `purge.maxMarks: "99"; expected a number from 100 to 1000000`},
		},
		{
			"purge.journal", func(c *option.Config, v string) { c.Purge.Journal = v }, []string{"1", "100000"},
			map[string]string{"0": `purge.journal: "0"; expected a number from 1 to 100000`},
		},
		{
			"admin.path", func(c *option.Config, v string) { c.Admin.Path = v }, []string{"/x", "/x/", "/a/b", "/web/log"},
			map[string]string{"/web/login": `admin.path: "/web/login" has csrf.path in it, which Odoo answers; expected a path that Odoo does not have`, "/web/": `admin.path: "/web/" has csrf.path in it, which Odoo answers; expected a path that Odoo does not have`, "": `admin.path: ""; expected a path such as /.odoocache`, "/": `admin.path: "/"; expected a path such as /.odoocache`, "x": `admin.path: "x"; expected a path such as /.odoocache`, "/x?y": `admin.path: "/x?y"; expected a path such as /.odoocache`},
		},
		{
			"session.cookie", func(c *option.Config, v string) { c.Session.Cookie = v }, []string{"", "sid"},
			map[string]string{"\xff\xfe": `session.cookie: "\xff\xfe"; expected the name of a cookie`, "a b": `session.cookie: "a b"; expected the name of a cookie`, "a=b": `session.cookie: "a=b"; expected the name of a cookie`},
		},
		{
			"csrf.mode", func(c *option.Config, v string) { c.CSRF.Mode = v }, []string{"complete", "refuse", "ignore"},
			map[string]string{"": `csrf.mode: ""; expected one of complete, refuse, ignore`},
		},
		{
			"csrf.path", func(c *option.Config, v string) { c.CSRF.Path = v }, []string{"/web/login", "/fr/contactus"},
			map[string]string{"": `csrf.path: ""; expected a path such as /web/login`, "/a?b": `csrf.path: "/a?b"; expected a path such as /web/login`},
		},
		{
			"csrf.formBytes", func(c *option.Config, v string) { c.CSRF.FormBytes = v }, []string{"1KiB", "4MiB"},
			map[string]string{"100": `csrf.formBytes: "100"; expected a size such as 4MiB, from 1KiB to 4MiB`},
		},
		{
			"session.contextCookie", func(c *option.Config, v string) { c.Session.ContextCookie = v }, []string{"", "ctx"},
			map[string]string{"a b": `session.contextCookie: "a b"; expected the name of a cookie, another than session.cookie`, "session_id": `session.contextCookie: "session_id"; expected the name of a cookie, another than session.cookie`},
		},
		{
			"session.ttl", func(c *option.Config, v string) { c.Session.TTL = v }, []string{"1h", "8784h"},
			map[string]string{"0": `session.ttl: "0"; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"admission.bytes", func(c *option.Config, v string) { c.Admission.Bytes = v }, []string{"0", "64MiB"},
			map[string]string{"some": `admission.bytes: "some"; expected a size such as 4MiB, from 0 to 1024GiB`},
		},
		{
			"admission.window", func(c *option.Config, v string) { c.Admission.Window = v }, []string{"1s", "168h"},
			map[string]string{"0": `admission.window: "0"; expected a duration from 1ms to 168h0m0s`},
		},
		{
			"admission.keys", func(c *option.Config, v string) { c.Admission.Keys = v }, []string{"100", "10000000"},
			map[string]string{"99": `admission.keys: "99"; expected a number from 100 to 10000000`},
		},
		{
			"quota.memoryBytes", func(c *option.Config, v string) { c.Quota.MemoryBytes = v }, []string{"0", "64KiB", "1GiB"},
			map[string]string{
				"1":    `quota.memoryBytes: "1"; expected 0 for none, or at least 64KiB`,
				"some": `quota.memoryBytes: "some"; expected a size such as 4MiB, from 0 to 1024GiB`,
				"":     `quota.memoryBytes: ""; expected a size such as 4MiB, from 0 to 1024GiB`,
			},
		},
		{
			"quota.memoryEntries", func(c *option.Config, v string) { c.Quota.MemoryEntries = v }, []string{"0", "1", "100000000"},
			map[string]string{"-1": `quota.memoryEntries: "-1"; expected a number from 0 to 100000000`},
		},
		{
			"quota.redisBytes", func(c *option.Config, v string) { c.Redis.Address = "redis:6379"; c.Quota.RedisBytes = v }, []string{"0", "64KiB", "1GiB"},
			map[string]string{"1KiB": `quota.redisBytes: "1KiB"; expected 0 for none, or at least 64KiB`},
		},
		{
			"quota.redisBytes", func(c *option.Config, v string) { c.Quota.RedisBytes = v }, []string{"0"},
			map[string]string{"1GiB": `quota.redisBytes: "1GiB", and there is no Redis; expected redis.address with it, or no such option`},
		},
		{
			"quota.redisEntries", func(c *option.Config, v string) {
				c.Redis.Sentinel = option.Sentinel{Master: "m", Addresses: []string{"a:1"}}
				c.Quota.RedisEntries = v
			}, []string{"0", "1", "100000000"},
			map[string]string{"x": `quota.redisEntries: "x"; expected a number from 0 to 100000000`},
		},
		{
			"quota.redisEntries", func(c *option.Config, v string) { c.Quota.RedisEntries = v }, []string{"0"},
			map[string]string{"10": `quota.redisEntries: "10", and there is no Redis; expected redis.address with it, or no such option`},
		},
		{
			"quota.purges", func(c *option.Config, v string) { c.Quota.Purges = v }, []string{"0", "1", "1000000"},
			map[string]string{"10/m": `quota.purges: "10/m"; expected a number from 0 to 1000000`},
		},
		{
			"quota.refreshes", func(c *option.Config, v string) { c.Quota.Refreshes = v }, []string{"0", "1", "10000"},
			map[string]string{"all": `quota.refreshes: "all"; expected a number from 0 to 10000`},
		},
		{
			"session.max", func(c *option.Config, v string) { c.Session.Max = v }, []string{"100", "10000000"},
			map[string]string{"1": `session.max: "1"; expected a number from 100 to 10000000`},
		},
		{
			"headers.edge", func(c *option.Config, v string) { c.Headers.Edge = v }, []string{"", "X-Edge"},
			map[string]string{"X:": `headers.edge: "X:"; expected the name of a header`},
		},
		{
			"campaignCookies", func(c *option.Config, v string) { c.CampaignCookies = v }, []string{"", "false"},
			map[string]string{"no": `campaignCookies: "no"` + badBool},
		},
		{
			"headers.cache", func(c *option.Config, v string) { c.Headers.Cache = v }, []string{"X-A", "x-a"},
			map[string]string{"": `headers.cache: ""; expected the name of a header`, "X A": `headers.cache: "X A"; expected the name of a header`, "x-odoo-purge": `headers.purge: "X-Odoo-Purge" is the name of headers.cache, too; expected another`},
		},
		{
			"headers.purge", func(c *option.Config, v string) { c.Headers.Purge = v }, []string{"X-A"},
			map[string]string{"X-A:": `headers.purge: "X-A:"; expected the name of a header`},
		},
		{
			"limits.maxBody", func(c *option.Config, v string) { c.Limits.MaxBody = v }, []string{"0", "1GiB"},
			map[string]string{"2GiB": `limits.maxBody: "2GiB"; expected a size such as 4MiB, from 0 to 1GiB`},
		},
		{
			"limits.maxBody with redis", func(c *option.Config, v string) { c.Redis.Address = "redis:6379"; c.Limits.MaxBody = v }, []string{"31MiB"},
			map[string]string{"32MiB": `limits.maxBody: "32MiB"; expected at most 33383168 bytes, which redis.maxReplyBytes leaves for a body`},
		},
		{
			"limits.headerBytes", func(c *option.Config, v string) { c.Limits.HeaderBytes = v }, []string{"1KiB", "1MiB"},
			map[string]string{"1000": `limits.headerBytes: "1000"; expected a size such as 4MiB, from 1KiB to 1MiB`},
		},
		{
			"limits.keyBytes", func(c *option.Config, v string) { c.Limits.KeyBytes = v }, []string{"256", "1MiB"},
			map[string]string{"255": `limits.keyBytes: "255"; expected a size such as 4MiB, from 256 to 1MiB`},
		},
		{
			"limits.queryParams", func(c *option.Config, v string) { c.Limits.QueryParams = v }, []string{"1", "1000"},
			map[string]string{"1001": `limits.queryParams: "1001"; expected a number from 1 to 1000`},
		},
		{
			"limits.varyNames", func(c *option.Config, v string) { c.Limits.VaryNames = v }, []string{"0", "100"},
			map[string]string{"101": `limits.varyNames: "101"; expected a number from 0 to 100`},
		},
		{
			"limits.variants", func(c *option.Config, v string) { c.Limits.Variants = v }, []string{"1", "1000"},
			map[string]string{"0": `limits.variants: "0"; expected a number from 1 to 1000`},
		},
		{
			"limits.tags", func(c *option.Config, v string) { c.Limits.Tags = v }, []string{"1", "100000"},
			map[string]string{"0": `limits.tags: "0"; expected a number from 1 to 100000`},
		},
		{
			"limits.tagBytes", func(c *option.Config, v string) { c.Limits.TagBytes = v }, []string{"1", "8192"},
			map[string]string{"8193": `limits.tagBytes: "8193"; expected a number from 1 to 8192`},
		},
		{
			"limits.purgeItems", func(c *option.Config, v string) { c.Limits.PurgeItems = v }, []string{"1", "100000"},
			map[string]string{"0": `limits.purgeItems: "0"; expected a number from 1 to 100000`},
		},
		{
			"limits.eraseTime", func(c *option.Config, v string) { c.Limits.EraseTime = v }, []string{"1ms", "60s"},
			map[string]string{"0": `limits.eraseTime: "0"; expected a duration from 1ms to 1m0s`},
		},
		{
			"limits.purgeBody", func(c *option.Config, v string) { c.Limits.PurgeBody = v }, []string{"256", "64MiB"},
			map[string]string{"65MiB": `limits.purgeBody: "65MiB"; expected a size such as 4MiB, from 256 to 64MiB`},
		},
		{
			"limits.signatures", func(c *option.Config, v string) { c.Limits.Signatures = v }, []string{"100", "20000"},
			map[string]string{"": `limits.signatures: ""; expected a number from 100 to 10000000`, "99": `limits.signatures: "99"; expected a number from 100 to 10000000`},
		},
		{
			"limits.refreshes", func(c *option.Config, v string) { c.Limits.Refreshes = v }, []string{"1", "10000"},
			map[string]string{"0": `limits.refreshes: "0"; expected a number from 1 to 10000`},
		},
		{
			"limits.evidence", func(c *option.Config, v string) { c.Limits.Evidence = v }, []string{"0", "10000"},
			map[string]string{"10001": `limits.evidence: "10001"; expected a number from 0 to 10000`},
		},
		{
			"limits.fetchTimeout", func(c *option.Config, v string) { c.Limits.FetchTimeout = v }, []string{"1s", "24h"},
			map[string]string{"0": `limits.fetchTimeout: "0"; expected a duration from 1ms to 24h0m0s`},
		},
		{
			"limits.coalesceWait", func(c *option.Config, v string) { c.Limits.CoalesceWait = v }, []string{"0", "1m"},
			map[string]string{"": `limits.coalesceWait: is empty; expected a duration such as 10m, 0 for none, or no such option`, "soon": `limits.coalesceWait: "soon"; expected a duration such as 10m, or whole seconds, from 0 to 68 years`},
		},
		{
			"limits.waiters", func(c *option.Config, v string) { c.Limits.Waiters = v }, []string{"1", "1000000"},
			map[string]string{"0": `limits.waiters: "0"; expected a number from 1 to 1000000`},
		},
		{
			"limits.addresses", func(c *option.Config, v string) { c.Limits.Addresses = v }, []string{"1", "1000000"},
			map[string]string{"0": `limits.addresses: "0"; expected a number from 1 to 1000000`},
		},
		{
			"limits.requestBytes", func(c *option.Config, v string) { c.Limits.RequestBytes = v }, []string{"1KiB", "1MiB"},
			map[string]string{"1000": `limits.requestBytes: "1000"; expected a size such as 4MiB, from 1KiB to 1MiB`},
		},
		{
			"limits.requestFields", func(c *option.Config, v string) { c.Limits.RequestFields = v }, []string{"16", "10000"},
			map[string]string{"15": `limits.requestFields: "15"; expected a number from 16 to 10000`},
		},
		{
			"fill.address", func(c *option.Config, v string) { c.Fill.Address = v }, []string{"192.0.2.1", "2001:db8::1", "::ffff:10.0.0.1"},
			map[string]string{
				"":            `fill.address: ""; expected an IP address such as 192.0.2.1`,
				"192.0.2.1:0": `fill.address: "192.0.2.1:0"; expected an IP address such as 192.0.2.1`,
				"odoo":        `fill.address: "odoo"; expected an IP address such as 192.0.2.1`,
				"127.0.0.1":   `fill.address: "127.0.0.1"` + noClient,
				"::1":         `fill.address: "::1"` + noClient,
				"0.0.0.0":     `fill.address: "0.0.0.0"` + noClient,
				"224.0.0.1":   `fill.address: "224.0.0.1"` + noClient,
				"169.254.1.1": `fill.address: "169.254.1.1"` + noClient,
				"fe80::1%e":   `fill.address: "fe80::1%e"; expected an IP address such as 192.0.2.1`,
			},
		},
		{
			"fill.headers", func(c *option.Config, v string) { c.Fill.Headers = []string{v} }, []string{"X-Tenant", "x-odoo-dbfilter", "CF-IPCountry", "X-Requested-With"},
			map[string]string{
				"CF-Connecting-IP":  `fill.headers[0]: "CF-Connecting-IP" is what visitors send, and would make pages of one visitor; expected a field that a middleware in front sets for Odoo`,
				"X-Request-Id":      `fill.headers[0]: "X-Request-Id" is what visitors send, and would make pages of one visitor; expected a field that a middleware in front sets for Odoo`,
				"Cache-Control":     `fill.headers[0]: "Cache-Control" is for caches and connections; expected a field that a middleware in front sets for Odoo`,
				"Expect":            `fill.headers[0]: "Expect" is for caches and connections; expected a field that a middleware in front sets for Odoo`,
				"x-odoo-cache-edge": `fill.headers[0]: "x-odoo-cache-edge" is the cache's own; expected a field that a middleware in front sets for Odoo`,
				"":                  `fill.headers[0]: is empty; expected a value, or no list at all`,
				"X:":                `fill.headers[0]: "X:"; expected the name of a header`,
				"cookie":            `fill.headers[0]: "cookie" is what visitors send, and would make pages of one visitor; expected a field that a middleware in front sets for Odoo`,
				"X-Forwarded-For":   `fill.headers[0]: "X-Forwarded-For" is what visitors send, and would make pages of one visitor; expected a field that a middleware in front sets for Odoo`,
			},
		},
		{
			"authorization", func(c *option.Config, v string) { c.Authorization = v }, []string{"honor", "remove"},
			map[string]string{"": `authorization: ""; expected one of honor, remove`, "ignore": `authorization: "ignore"; expected one of honor, remove`},
		},
		{
			"fill.firewall", func(c *option.Config, v string) { c.Fill.Firewall = []string{v} }, []string{"X-Waf", "cf-mitigated", "x-amzn-waf-action"},
			map[string]string{
				"":             `fill.firewall[0]: is empty; expected a value, or no list at all`,
				"content-type": `fill.firewall[0]: "content-type" is on other answers, too; expected a field that a firewall sets on answers of its own alone, such as Cf-Mitigated`,
				"Server":       `fill.firewall[0]: "Server" is on other answers, too; expected a field that a firewall sets on answers of its own alone, such as Cf-Mitigated`,
				"a b":          `fill.firewall[0]: "a b"; expected the name of a header`,
			},
		},
		{
			"fill.cookies", func(c *option.Config, v string) { c.Preset = "odoo"; c.Fill.Cookies = []string{v} }, []string{"lb", "lb-*", "s", "session_id_of_lb"},
			map[string]string{
				"odoocache_context": `fill.cookies[0]: "odoocache_context" is Odoo's own, or the addon's; expected one of a balancer or firewall`,
				"odoo*":             `fill.cookies[0]: "odoo*" is Odoo's own, or the addon's; expected one of a balancer or firewall`,
				"frontend_lang":     `fill.cookies[0]: "frontend_lang" is Odoo's own, or the addon's; expected one of a balancer or firewall`,
				"":                  `fill.cookies[0]: is empty; expected a value, or no list at all`,
				"*":                 `fill.cookies[0]: "*"; expected the name of a cookie, which may end in *`,
				"a b":               `fill.cookies[0]: "a b"; expected the name of a cookie, which may end in *`,
				"session_id":        `fill.cookies[0]: "session_id" is Odoo's own, or the addon's; expected one of a balancer or firewall`,
				"sess*":             `fill.cookies[0]: "sess*" is Odoo's own, or the addon's; expected one of a balancer or firewall`,
			},
		},
		{
			"odoo.ignoreQuery", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.IgnoreQuery = []string{v} },
			[]string{"partner_click", "aff_*", "*_clid", "x[y]", "tok", "utm_source"},
			map[string]string{
				"":           `odoo.ignoreQuery[0]: is empty; expected a value, or no list at all`,
				"*":          `odoo.ignoreQuery[0]: "*" takes every parameter; expected the name of one, which may begin or end in *`,
				"**":         `odoo.ignoreQuery[0]: "**" takes every parameter; expected the name of one, which may begin or end in *`,
				"a*b":        `odoo.ignoreQuery[0]: "a*b" has a * in its midst; expected a name, which may begin or end in *`,
				"cid=1":      `odoo.ignoreQuery[0]: "cid=1"` + noParam,
				"?cid":       `odoo.ignoreQuery[0]: "?cid"` + noParam,
				"a b":        `odoo.ignoreQuery[0]: "a b"` + noParam,
				"a%5B":       `odoo.ignoreQuery[0]: "a%5B"` + noParam,
				"debug":      `odoo.ignoreQuery[0]: "debug"` + readByOdoo,
				"d*":         `odoo.ignoreQuery[0]: "d*"` + readByOdoo,
				"*_id":       `odoo.ignoreQuery[0]: "*_id"` + readByOdoo,
				"token_shop": `odoo.ignoreQuery[0]: "token_shop"` + readByOdoo,
				"token_s*":   `odoo.ignoreQuery[0]: "token_s*"` + readByOdoo,
				"order":      `odoo.ignoreQuery[0]: "order" takes "order"` + readByPages,
				"pp*":        `odoo.ignoreQuery[0]: "pp*" takes "ppg"` + readByPages,
			},
		},
		{
			"odoo.bypassPaths", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.BypassPaths = []string{v} },
			[]string{"/my_module", "/a/b/", "/shop/dealers", "/p\u00e4ge", "/a.b", "/web"},
			map[string]string{
				"":                  `odoo.bypassPaths[0]: is empty; expected a value, or no list at all`,
				"/":                 `odoo.bypassPaths[0]: "/" takes every path; expected one of its own, such as /my_module`,
				"//":                `odoo.bypassPaths[0]: "//" takes every path; expected one of its own, such as /my_module`,
				"a":                 `odoo.bypassPaths[0]: "a"` + noOwnPath,
				"/a/*":              `odoo.bypassPaths[0]: "/a/*"` + noOwnPath,
				"/a?b":              `odoo.bypassPaths[0]: "/a?b"` + noOwnPath,
				"^/a":               `odoo.bypassPaths[0]: "^/a"` + noOwnPath,
				"/a%20b":            `odoo.bypassPaths[0]: "/a%20b"` + noOwnPath,
				"/a//b":             `odoo.bypassPaths[0]: "/a//b"` + noOwnPath,
				"/a/../b":           `odoo.bypassPaths[0]: "/a/../b"` + noOwnPath,
				"/a;b":              `odoo.bypassPaths[0]: "/a;b"` + noOwnPath,
				"https://shop/a":    `odoo.bypassPaths[0]: "https://shop/a"` + noOwnPath,
				"/.odoocache/purge": `odoo.bypassPaths[0]: "/.odoocache/purge" is below admin.path, which the cache answers itself; expected a path of Odoo`,
			},
		},
		{
			"odoo.harmlessPaths", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.HarmlessPaths = []string{v} },
			[]string{"/my_module/poll", "/mail/data", "/shop/dealers"},
			map[string]string{
				"/":              `odoo.harmlessPaths[0]: "/" takes every path; expected one of its own, such as /my_module`,
				"x":              `odoo.harmlessPaths[0]: "x"` + noOwnPath,
				"/shop":          `odoo.harmlessPaths: "/shop" takes /shop/cart, after which pages show something else; expected a path that changes nothing`,
				"/web/login":     `odoo.harmlessPaths: "/web/login" takes /web/login, after which pages show something else; expected a path that changes nothing`,
				"/cart":          `odoo.harmlessPaths: "/cart" takes /shop/cart, after which pages show something else; expected a path that changes nothing`,
				"/shop/cart/add": `odoo.harmlessPaths: "/shop/cart/add" takes /shop/cart/add, after which pages show something else; expected a path that changes nothing`,
			},
		},
		{
			"odoo.prefetch", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.Prefetch = v }, []string{"refuse", "forward"},
			map[string]string{"": `odoo.prefetch: ""; expected one of refuse, forward`},
		},
		{
			"odoo.grace", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.Grace = v }, []string{"0", "5m"},
			map[string]string{"x": `odoo.grace: "x"` + badDuration, "": `odoo.grace: is empty; expected a duration such as 10m, 0 for none, or no such option`},
		},
		{
			"odoo.ttl.home", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Home = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.home: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.home: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"odoo.ttl.products", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Products = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.products: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.products: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"odoo.ttl.lists", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Lists = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.lists: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.lists: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"odoo.ttl.events", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Events = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.events: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.events: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"odoo.ttl.forum", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Forum = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.forum: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.forum: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"odoo.ttl.pages", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Pages = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.pages: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.pages: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"odoo.ttl.images", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Images = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.images: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.images: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"odoo.ttl.files", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Files = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.files: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.files: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"odoo.ttl.texts", func(c *option.Config, v string) { c.Preset = "odoo"; c.Odoo.TTL.Texts = v }, []string{"1s", "90", "24h"},
			map[string]string{"0": `odoo.ttl.texts: "0"; expected a duration from 1ms to 8784h0m0s`, "": `odoo.ttl.texts: ""; expected a duration from 1ms to 8784h0m0s`},
		},
		{
			"fill.abandoned", func(c *option.Config, v string) { c.Fill.Abandoned = v }, []string{"0", "10000"},
			map[string]string{"-1": `fill.abandoned: "-1"; expected a number from 0 to 10000`},
		},
		{
			"country.header", func(c *option.Config, v string) { c.Preset = "odoo"; c.Country.Header = v }, []string{"", "CF-IPCountry"},
			map[string]string{
				"X-Forwarded-For": `country.header: "X-Forwarded-For" says nothing of a country; expected a field such as CF-IPCountry, which a proxy in front sets`,
				"X:":              `country.header: "X:"; expected the name of a header`,
				"Accept-Language": `country.header: "Accept-Language" says nothing of a country; expected a field such as CF-IPCountry, which a proxy in front sets`,
			},
		},
		{
			"country.geoip", func(c *option.Config, v string) { c.Country.GeoIP = v }, []string{"auto", "true", "false"},
			map[string]string{"yes": `country.geoip: "yes"; expected one of auto, true, false`},
		},
		{
			"compression", func(c *option.Config, v string) { c.Compression = v }, []string{"0", "9"},
			map[string]string{"10": `compression: "10"; expected a number from 0 to 9`},
		},
		{
			"redis.sentinel.master", func(c *option.Config, v string) {
				c.Redis.Address = ""
				c.Redis.Sentinel.Master = v
				c.Redis.Sentinel.Addresses = []string{"s:26379"}
			}, []string{"shop"},
			map[string]string{"m\n": `redis.sentinel.master: "m\n" has a control character, or a blank around it; expected the name that the sentinels have for the master`, "": `redis.sentinel.master: is empty; expected the name that the sentinels have for the master`},
		},
		{
			"redis.sentinel.addresses", func(c *option.Config, v string) {
				c.Redis.Address = ""
				c.Redis.Sentinel.Master = "shop"
				if v != "" {
					c.Redis.Sentinel.Addresses = []string{v}
				}
				if v == "twice:1" {
					c.Redis.Sentinel.Addresses = []string{v, " " + v}
				}
			}, []string{"s:26379", " s:26379 "},
			map[string]string{
				"":                     `redis.sentinel.addresses: is empty; expected host:port of each sentinel`,
				"s":                    `redis.sentinel.addresses[0]: "s"; expected host:port`,
				"/s":                   `redis.sentinel.addresses[0]: "/s"; expected host:port`,
				"::1:1":                `redis.sentinel.addresses[0]: "::1:1"; expected host:port, an IPv6 address in brackets`,
				"redis://:hunter2@s:1": `redis.sentinel.addresses[0]: is a URL with redis://, and holds a user or a password; expected "s:1", and redis.sentinel.username and redis.sentinel.password (or passwordFile)`,
				"rediss://s:1":         `redis.sentinel.addresses[0]: is a URL with rediss://; expected "s:1", and redis.sentinel.tls.enabled: true`,
				"twice:1":              `redis.sentinel.addresses[1]: "twice:1" is listed twice`,
			},
		},
		{
			"redis.sentinel.username", func(c *option.Config, v string) { c.Redis.Sentinel.Username = v }, []string{""},
			map[string]string{"u": `redis.sentinel.addresses: is empty, but a username, password or tls is set; expected host:port of each sentinel`},
		},
		{
			"redis.sentinel.password", func(c *option.Config, v string) { c.Redis.Sentinel.Password = given(v) }, nil,
			map[string]string{"p": `redis.sentinel.addresses: is empty, but a username, password or tls is set; expected host:port of each sentinel`},
		},
		{
			"redis.sentinel.passwordFile", func(c *option.Config, v string) { c.Redis.Sentinel.PasswordFile = given(v) }, nil,
			map[string]string{"/nowhere/p": `redis.sentinel.passwordFile: open /nowhere/p: no such file or directory; expected a readable file`},
		},
		{
			"redis.sentinel.passwordEnv", func(c *option.Config, v string) { c.Redis.Sentinel.PasswordEnv = given(v) }, nil,
			map[string]string{"NOT_SET": `redis.sentinel.passwordEnv: the environment variable "NOT_SET" is empty or not set`},
		},
		{
			"redis.sentinel.tls.enabled", func(c *option.Config, v string) {
				ofSentinels(c, "")
				switch v {
				case "nobody":
					c.Redis.Sentinel = option.Sentinel{TLS: option.TLS{Enabled: "true"}}
				case "with a name":
					c.Redis.Sentinel.TLS = option.TLS{Enabled: "false", ServerName: "s"}
				default:
					c.Redis.Sentinel.TLS.Enabled = v
				}
			}, []string{"", "true", "false"},
			map[string]string{
				"maybe":       `redis.sentinel.tls.enabled: "maybe"` + badBool,
				"nobody":      `redis.sentinel.addresses: is empty, but a username, password or tls is set; expected host:port of each sentinel`,
				"with a name": `redis.sentinel.tls.enabled: is false, but other options of tls are set; expected true`,
			},
		},
		{
			"redis.sentinel.tls.caFile", func(c *option.Config, v string) { ofSentinels(c, "true"); c.Redis.Sentinel.TLS.CAFile = v }, []string{""},
			map[string]string{missing: `redis.sentinel.tls.caFile: open ` + missing + `: no such file or directory; expected a readable file`},
		},
		{
			"redis.sentinel.tls.certFile", func(c *option.Config, v string) { ofSentinels(c, "true"); c.Redis.Sentinel.TLS.CertFile = v }, []string{""},
			map[string]string{empty: `redis.sentinel.tls.certFile: certFile and keyFile go together; expected both or none`},
		},
		{
			"redis.sentinel.tls.keyFile", func(c *option.Config, v string) { ofSentinels(c, "true"); c.Redis.Sentinel.TLS.KeyFile = v }, []string{""},
			map[string]string{empty: `redis.sentinel.tls.certFile: certFile and keyFile go together; expected both or none`},
		},
		{
			"redis.sentinel.tls.serverName", func(c *option.Config, v string) { ofSentinels(c, ""); c.Redis.Sentinel.TLS.ServerName = v }, []string{""},
			map[string]string{"s": `redis.sentinel.tls.enabled: is empty, which means redis.tls, but other options of redis.sentinel.tls are set; expected it to be given, true or false`},
		},
		{
			"redis.sentinel.tls.insecureSkipVerify", func(c *option.Config, v string) { ofSentinels(c, "true"); c.Redis.Sentinel.TLS.InsecureSkipVerify = v }, []string{"", "true", "false"},
			map[string]string{"maybe": `redis.sentinel.tls.insecureSkipVerify: "maybe"` + badBool},
		},
		{
			"redis.cluster.addresses", func(c *option.Config, v string) {
				c.Redis.Address = ""
				c.Redis.Cluster.Addresses = []string{v}
				if v == "both:1" {
					c.Redis.Address = "redis:6379"
				}
				if v == "db:1" {
					c.Redis.Database = "1"
				}
			}, []string{"node:6379"},
			map[string]string{
				"node":              `redis.cluster.addresses[0]: "node"; expected host:port`,
				"rediss://node:1/0": `redis.cluster.addresses[0]: is a URL with rediss://; expected "node:1", and redis.tls.enabled: true`,
				"both:1":            `redis.address: more than one of address, sentinel and cluster is set; expected one`,
				"db:1":              `redis.database: 1; expected 0, the only one of a cluster`,
			},
		},
		{
			"rewarm", func(c *option.Config, v string) { c.Rewarm = v }, []string{"0", "1000"},
			map[string]string{"1001": `rewarm: "1001"; expected a number from 0 to 1000`},
		},
		{
			"earlyRefresh", func(c *option.Config, v string) { c.EarlyRefresh = v }, []string{"", "false"},
			map[string]string{"no": `earlyRefresh: "no"` + badBool},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range c.good {
				assert.Empty(t, problem(t, func(o *option.Config) { c.set(o, v) }), "%q", v)
			}
			for v, want := range c.bad {
				assert.Equal(t, one+want, problem(t, func(o *option.Config) { c.set(o, v) }), "%q", v)
			}
		})
	}
}

func enableTLS(c *option.Config) {
	c.Redis.Address = "redis:6379"
	c.Redis.TLS.Enabled = "true"
}

// TestRuleOptions has the same of a rule's options.
func TestRuleOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(r *option.Rule, v string)
		good []string
		bad  map[string]string
	}{
		{
			"name", func(r *option.Rule, v string) { r.Name = v }, []string{"", "x", "Shop pages", "\u00e9t\u00e9", strings.Repeat("a", 64)},
			map[string]string{
				"a\nb":                  `rules[1].name: "a\nb"` + badLine,
				"a\tb":                  `rules[1].name: "a\tb"` + badLine,
				"x\u0085y":              `rules[1].name: "x\u0085y"` + badLine,
				"x\u2028y":              `rules[1].name: "x\u2028y"` + badLine,
				"x\xffy":                `rules[1].name: "x\xffy"` + badLine,
				" x":                    `rules[1].name: " x"` + badLine,
				"  ":                    `rules[1].name: "  "` + badLine,
				strings.Repeat("a", 65): `rules[1].name: "` + strings.Repeat("a", 65) + `"` + badLine,
				"a":                     `rules[1].name: "a" is the name of another rule; expected one of its own`,
				"-":                     `rules[1].name: "-" is the name of another rule; expected one of its own`,
			},
		},
		{
			"bypass", func(r *option.Rule, v string) { r.Bypass = v }, []string{"", "true", "false", "1", "0"},
			map[string]string{"yes": `rules[1].bypass: "yes"` + badBool},
		},
		{
			"bypass with ttl", func(r *option.Rule, v string) { r.TTL = "1m"; r.Bypass = v }, []string{"false"},
			map[string]string{"true": `rules[1].bypass: is true, but ttl, grace or staleIfError is set; expected one or the other`},
		},
		{
			"ttl", func(r *option.Rule, v string) { r.TTL = v }, []string{"", "0", "600", "10m", " 1h30m "},
			map[string]string{"-1": `rules[1].ttl: "-1"` + badDuration, "1d": `rules[1].ttl: "1d"` + badDuration, "true": `rules[1].ttl: "true"` + badDuration},
		},
		{
			"grace", func(r *option.Rule, v string) { r.Grace = v }, []string{"", "1h"},
			map[string]string{"x": `rules[1].grace: "x"` + badDuration},
		},
		{
			"staleIfError", func(r *option.Rule, v string) { r.StaleIfError = v }, []string{"", "24h"},
			map[string]string{"24h,": `rules[1].staleIfError: "24h,"` + badDuration},
		},
		{
			"heuristic", func(r *option.Rule, v string) { r.Heuristic = v }, []string{"", "1"},
			map[string]string{"10%": `rules[1].heuristic: "10%"` + badBool},
		},
		{
			"override", func(r *option.Rule, v string) { r.Override = []string{"private", v} }, []string{"no-store", " no-cache "},
			map[string]string{" private": `rules[1].override[1]: "private" is listed twice`, "": `rules[1].override[1]: ""; expected no-store, no-cache or private`, "must-revalidate": `rules[1].override[1]: "must-revalidate"; expected no-store, no-cache or private`},
		},
		{
			"order", func(r *option.Rule, v string) { r.Order = v }, []string{"", "0", "10", "-5", " 7 "},
			map[string]string{"first": `rules[1].order: "first"; expected a number from -1000000 to 1000000`, "1.5": `rules[1].order: "1.5"; expected a number from -1000000 to 1000000`},
		},
		{
			"requestDirectives", func(r *option.Rule, v string) { r.RequestDirectives = v }, []string{"", "honor", "ignore"},
			map[string]string{"no": `rules[1].requestDirectives: "no"; expected one of honor, ignore`},
		},
		{
			"session", func(r *option.Rule, v string) { r.Session = v }, []string{"", "bypass", "ignore", "keep", "mark"},
			map[string]string{"share": `rules[1].session: "share"; expected one of answer, bypass, ignore, keep, mark, reads`},
		},
		{
			"fill", func(r *option.Rule, v string) { r.Fill = v }, []string{"", "nobody", "visitor"},
			map[string]string{"session": `rules[1].fill: "session"; expected one of nobody, visitor`},
		},
		{
			"status", func(r *option.Rule, v string) { r.Status = []string{"200", v} }, []string{"404", " 301 "},
			map[string]string{
				"206": `rules[1].status[1]: 206` + neverStored, "304": `rules[1].status[1]: 304` + neverStored, "416": `rules[1].status[1]: 416` + neverStored,
				" 200": `rules[1].status[1]: 200 is listed twice`,
				"":     `rules[1].status[1]: ""; expected a number from 200 to 599`, "2xx": `rules[1].status[1]: "2xx"; expected a number from 200 to 599`, "100": `rules[1].status[1]: "100"; expected a number from 200 to 599`},
		},
		{
			"maxBody", func(r *option.Rule, v string) { r.MaxBody = v }, []string{"", "0", "64kB", "16MiB", "1G"},
			map[string]string{"16 Mb": `rules[1].maxBody: "16 Mb"; expected a size such as 4MiB, from 0 to 1GiB`, "9223372036854775807K": `rules[1].maxBody: "9223372036854775807K"; expected a size such as 4MiB, from 0 to 1GiB`, "18014398509481985K": `rules[1].maxBody: "18014398509481985K"; expected a size such as 4MiB, from 0 to 1GiB`},
		},
		{
			"tags", func(r *option.Rule, v string) { r.Tags = []string{"page", v} }, []string{"a b", strings.Repeat("a", 256)},
			map[string]string{
				"a\nb":                   `rules[1].tags[1]: "a\nb" is no tag that a purge can name; expected one line of at most limits.tagBytes, 256 bytes`,
				strings.Repeat("a", 257): `rules[1].tags[1]: "` + strings.Repeat("a", 257) + `" is no tag that a purge can name; expected one line of at most limits.tagBytes, 256 bytes`,
				"":                       `rules[1].tags[1]: is empty; expected a value, or no list at all`, " page": `rules[1].tags[1]: "page" is listed twice`},
		},
		{
			"require", func(r *option.Rule, v string) { r.Require = map[string]interface{}{v: "*"} }, []string{"x-a"},
			map[string]string{"x a": `rules[1].require.x a: "x a"; expected the name of a header`},
		},
		{
			"refuse", func(r *option.Rule, v string) { r.Refuse = map[string]interface{}{"X-A": v} }, []string{"", "*", "^a$"},
			map[string]string{"(": "rules[1].refuse.X-A: error parsing regexp: missing closing ): `(`; expected a regular expression (RE2)"},
		},
		{
			"match.hosts", func(r *option.Rule, v string) { r.Match.Hosts = []string{"a.example", v} }, []string{"*.example", "Shop.example", "shop.example.", "[::1]", "127.0.0.1", "xn--shp-vna.example", "a_b"},
			map[string]string{
				"":                    `rules[1].match.hosts[1]: is empty; expected a value, or no list at all`,
				"https://x/":          `rules[1].match.hosts[1]: "https://x/"; expected a host such as shop.example or *.example, without scheme, port or path`,
				"shop.*":              `rules[1].match.hosts[1]: "shop.*"; expected a host such as shop.example or *.example, without scheme, port or path`,
				"a.example:8443":      badHost("a.example:8443"),
				"Host(`x`)":           badHost("Host(`x`)"),
				"`a.example`":         badHost("`a.example`"),
				"a.example b.example": badHost("a.example b.example"),
				"a.example/shop":      badHost("a.example/shop"),
				"^a.example$":         badHost("^a.example$"),
				"*":                   badHost("*"),
				"*example":            badHost("*example"),
				"a..example":          badHost("a..example"),
				"1":                   badHost("1"),
				"sh\u00f6p.example":   badHost("sh\u00f6p.example"),
				"::1":                 badHost("::1"),
				"x.org,y.org":         `rules[1].match.hosts[1]: "x.org,y.org"; expected a host such as shop.example or *.example, without scheme, port or path`,
			},
		},
		{
			"match.pathPrefixes", func(r *option.Rule, v string) { r.Match.PathPrefixes = []string{"/a", v} }, []string{" /shop ", "/b/", "/sh\u00f6p & co", "/c++", "/.well-known", "/a.b"},
			map[string]string{
				"": `rules[1].match.pathPrefixes[1]: is empty; expected a value, or no list at all`, "shop": `rules[1].match.pathPrefixes[1]: "shop"; expected a path that begins with /`,
				"1":            `rules[1].match.pathPrefixes[1]: "1"; expected a path that begins with /`,
				"/":            `rules[1].match.pathPrefixes[1]: "/" takes every path, so the others say nothing; expected it alone, or not at all`,
				"/dealers/*":   badPrefix("/dealers/*"),
				"/shop?page=2": badPrefix("/shop?page=2"),
				"/a%20b":       badPrefix("/a%20b"),
				"/(fr|de)/my":  badPrefix("/(fr|de)/my"),
				"/my$":         badPrefix("/my$"),
				"/{lang}/my":   badPrefix("/{lang}/my"),
				"/my`":         badPrefix("/my`"),
				"/m\ny":        badPrefix("/m\ny"),
				"//my":         `rules[1].match.pathPrefixes[1]: "//my" would match nothing; expected a path without empty and dot segments`,
				"/a/../my":     `rules[1].match.pathPrefixes[1]: "/a/../my" would match nothing; expected a path without empty and dot segments`,
			},
		},
		{
			"match.pathRegexp", func(r *option.Rule, v string) { r.Match = option.Match{PathRegexp: v} }, []string{
				"^/a", "/a", "^(/[^/]+)?/set_region(/|$)", "^(?:/fr)?/a", "\\.xml$", "^/.+", "^/[^.]*$", "^(?i:/My_Module)$", "(?m)^/a$", `^/a\b`, "^/(a|b)?c", "^.shop", "^[^a]shop",
				"[ ]a", "^/$", "^$|^/a", "^(?:a|/b)", "^/a$|^b", "^/100%$", "a=1", "\u00e9",
			},
			map[string]string{
				"":   `rules[1].match: is empty, so the rule would take every request; expected what it is for, or pathPrefixes with / alone if it is for all`,
				".*": `rules[1].match.pathRegexp: ".*"` + everyPath, "^/a|": `rules[1].match.pathRegexp: "^/a|"` + everyPath, "(/a)?": `rules[1].match.pathRegexp: "(/a)?"` + everyPath, "*": "rules[1].match.pathRegexp: error parsing regexp: missing argument to repetition operator: `*`; expected a regular expression (RE2)",
				"1":                  `rules[1].match.pathRegexp: "1" is what becomes of a boolean; expected a regular expression of a path`,
				"^shop/":             `rules[1].match.pathRegexp: "^shop/" would match nothing` + noPath,
				"^(my_module|other)": `rules[1].match.pathRegexp: "^(my_module|other)" would match nothing` + noPath,
				"(?m)^my_module":     `rules[1].match.pathRegexp: "(?m)^my_module" would match nothing` + noPath,
				"(?i)^my_module":     `rules[1].match.pathRegexp: "(?i)^my_module" would match nothing` + noPath,
				"^[a-z]+/x":          `rules[1].match.pathRegexp: "^[a-z]+/x" would match nothing` + noPath,
				"/a$/b":              `rules[1].match.pathRegexp: "/a$/b" would match nothing; expected ^ at its beginning and $ at its end alone`,
				"/a^/b":              `rules[1].match.pathRegexp: "/a^/b" would match nothing; expected ^ at its beginning and $ at its end alone`,
				"^/a#b":              `rules[1].match.pathRegexp: "^/a#b" would match nothing` + noPath,
				"^$":                 `rules[1].match.pathRegexp: "^$" would match nothing` + noPath,
				`^/a\n`:              `rules[1].match.pathRegexp: "^/a\\n" would match nothing` + noPath,
				"^/my_module(/|$)\n": `rules[1].match.pathRegexp: "^/my_module(/|$)\n"` + notOneLine,
				"^/a\tb":             `rules[1].match.pathRegexp: "^/a\tb"` + notOneLine,
				" ^/my_module":       `rules[1].match.pathRegexp: " ^/my_module" would match nothing; expected ^ at its beginning and $ at its end alone`,
				"^/my_module$ ":      `rules[1].match.pathRegexp: "^/my_module$ " would match nothing; expected ^ at its beginning and $ at its end alone`,
				" /my_module":        `rules[1].match.pathRegexp: " /my_module" begins or ends with a blank; expected a regular expression without, or [ ] for a blank that is meant`,
				"^/my%20module":      `rules[1].match.pathRegexp: "^/my%20module" would match nothing, since paths are matched decoded; expected the character that the escape stands for`,
				"^/my_module?x=1$":   `rules[1].match.pathRegexp: "^/my_module?x=1$" would match nothing, since a path has no query; expected match.query`,
				"^/":                 `rules[1].match.pathRegexp: "^/"` + everyPath,
				"/":                  `rules[1].match.pathRegexp: "/"` + everyPath,
				".+":                 `rules[1].match.pathRegexp: ".+"` + everyPath,
				"^/.*":               `rules[1].match.pathRegexp: "^/.*"` + everyPath,
				"^/.*$":              `rules[1].match.pathRegexp: "^/.*$"` + everyPath,
				"^(/[^/]*)+$":        `rules[1].match.pathRegexp: "^(/[^/]*)+$"` + everyPath,
				`^/shop\?page=`:      `rules[1].match.pathRegexp: "^/shop\\?page=" would match nothing, since a path has no query; expected match.query`,
				"a(?!b)":             "rules[1].match.pathRegexp: error parsing regexp: invalid or unsupported Perl syntax: `(?!`; expected a regular expression (RE2)"},
		},
		{
			"match.methods", func(r *option.Rule, v string) { r.Match.Methods = []string{"POST", v} }, []string{"get", "PURGE", "VERSION-CONTROL"},
			map[string]string{"1": `rules[1].match.methods[1]: "1"; expected a method such as GET`, "*": `rules[1].match.methods[1]: "*"; expected a method such as GET`, "G T": `rules[1].match.methods[1]: "G T"; expected a method such as GET`, "HEAD": `rules[1].match.methods[1]: "HEAD" goes with GET, which takes it; expected GET`},
		},
		{
			"match.methods with GET", func(r *option.Rule, v string) { r.Match.Methods = []string{"GET", v} }, []string{"HEAD"},
			map[string]string{"": `rules[1].match.methods[1]: is empty; expected a value, or no list at all`},
		},
		{
			"match.headers", func(r *option.Rule, v string) { r.Match.Headers = map[string]interface{}{v: ""} }, []string{"x-a"},
			map[string]string{"X-*": `rules[1].match.headers.X-*: "X-*"; expected the name of a header`, "": `rules[1].match.headers.: ""; expected the name of a header`, "Host": `rules[1].match.headers.Host: is no header field here; expected match.hosts`},
		},
		{
			"match.query", func(r *option.Rule, v string) { r.Match.Query = map[string]interface{}{v: ""} }, []string{"debug", "a b"},
			map[string]string{"utm_*": `rules[1].match.query.utm_*: is no name of a parameter; expected one in full, or match.anyQuery`, "": `rules[1].match.query: has an empty name; expected that of a parameter`},
		},
		{
			"match.anyQuery", func(r *option.Rule, v string) { r.Match.AnyQuery = map[string]interface{}{v: ""} }, []string{"debug", "a b", "utm_*", "*"},
			map[string]string{"a*b": `rules[1].match.anyQuery.a*b: has a * in its midst; expected a name, which may begin or end in *`, "": `rules[1].match.anyQuery: has an empty name; expected that of a parameter`},
		},
		{
			"match.anyQueryWords", func(r *option.Rule, v string) {
				r.Match.AnyQueryWords = v
				r.Match.AnyQuery = map[string]interface{}{"a": ""}
			}, []string{"", "true", "0"},
			map[string]string{"yes": `rules[1].match.anyQueryWords: "yes"` + badBool},
		},
		{
			"match.anyQuery pattern", func(r *option.Rule, v string) { r.Match.AnyQuery = map[string]interface{}{"*": v} }, []string{"", "*", "^1$", `a\nb`, "(?m)^a$\\n^b"},
			map[string]string{"^yes$\n": `rules[1].match.anyQuery.*: "^yes$\n"` + notOneLine, "^yes$ ": `rules[1].match.anyQuery.*: "^yes$ " would match nothing; expected ^ at its beginning and $ at its end alone`, "(": "rules[1].match.anyQuery.*: error parsing regexp: missing closing ): `(`; expected a regular expression (RE2)"},
		},
		{
			"vary.headers", func(r *option.Rule, v string) { r.Vary.Headers = []string{"x-a", v} }, []string{"X-B"},
			map[string]string{
				"Cookie":            `rules[1].vary.headers[1]: "Cookie" would make an entry for each visitor; expected vary.cookies with names`,
				"Host":              `rules[1].vary.headers[1]: "Host" is part of every key; expected another header`,
				"X-Forwarded-Proto": `rules[1].vary.headers[1]: "X-Forwarded-Proto" is part of every key; expected another header`,
				"X-Forwarded-For":   `rules[1].vary.headers[1]: "X-Forwarded-For" would make an entry for each visitor or request; expected another header`,
				"CF-Connecting-IP":  `rules[1].vary.headers[1]: "CF-Connecting-IP" would make an entry for each visitor or request; expected another header`,
				"If-None-Match":     `rules[1].vary.headers[1]: "If-None-Match" is for caches and connections; expected another header`,
				"Range":             `rules[1].vary.headers[1]: "Range" is for caches and connections; expected another header`,
				"X-A":               `rules[1].vary.headers[1]: "X-A" is listed twice, in another case; expected it once`,
				"x-a":               `rules[1].vary.headers[1]: "x-a" is listed twice`,
				"authorization":     `rules[1].vary.headers[1]: "authorization" would put credentials into the key; expected another header`,
				"x b":               `rules[1].vary.headers[1]: "x b"; expected the name of a header`,
				"":                  `rules[1].vary.headers[1]: is empty; expected a value, or no list at all`,
			},
		},
		{
			"vary.cookies", func(r *option.Rule, v string) { r.Vary.Cookies = []string{"a", v} }, []string{"pricelist"},
			map[string]string{"session_id": `rules[1].vary.cookies[1]: "session_id"` + ofOneVisitor, "odoocache_context": `rules[1].vary.cookies[1]: "odoocache_context"` + ofOneVisitor, "session_*": `rules[1].vary.cookies[1]: "session_*"; expected the name of a cookie`, "b=1": `rules[1].vary.cookies[1]: "b=1"; expected the name of a cookie`},
		},
		{
			"vary.languages", func(r *option.Rule, v string) { r.Vary.Languages = []string{"en_US", v} }, []string{"fr_FR", "es_419", "sr@latin", "eo", "kab_DZ"},
			map[string]string{"*": `rules[1].vary.languages[1]: "*"; expected a code of Odoo such as fr_FR`, "fr-FR": `rules[1].vary.languages[1]: "fr-FR"; expected a code of Odoo such as fr_FR`, "French": `rules[1].vary.languages[1]: "French"; expected a code of Odoo such as fr_FR`},
		},
		{
			"query.keep", func(r *option.Rule, v string) { r.Query.Keep = []string{"a", v} }, []string{"b*"},
			map[string]string{"a*b": `rules[1].query.keep[1]: "a*b" has a * in its midst; expected a name, which may begin or end in *`, "a": `rules[1].query.keep[1]: "a" is listed twice`},
		},
		{
			"query.ignore", func(r *option.Rule, v string) { r.Query.Ignore = []string{"a", v} }, []string{"utm_*"},
			map[string]string{"": `rules[1].query.ignore[1]: is empty; expected a value, or no list at all`},
		},
		{
			"cookies.drop", func(r *option.Rule, v string) { r.Cookies.Drop = []string{"a", v} }, []string{"session_id"},
			map[string]string{"a b": `rules[1].cookies.drop[1]: "a b"; expected the name of a cookie`},
		},
		{
			"cookies.keep", func(r *option.Rule, v string) { r.Cookies.Drop = []string{"a"}; r.Cookies.Keep = []string{"b", v} }, []string{"frontend_lang"},
			map[string]string{
				"session_id": `rules[1].cookies.keep[1]: "session_id" would hand one visitor's session to all others; expected cookies.drop`,
				"a":          `rules[1].cookies.keep[1]: "a" is in cookies.drop, too; expected one or the other`,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range c.good {
				assert.Empty(t, problem(t, ofRule(func(r *option.Rule) { c.set(r, v) })), "%q", v)
			}
			for v, want := range c.bad {
				assert.Equal(t, one+want, problem(t, ofRule(func(r *option.Rule) { c.set(r, v) })), "%q", v)
			}
		})
	}
}

// TestEveryOptionIsTested walks the options: a new one needs a row above.
func TestEveryOptionIsTested(t *testing.T) {
	b, err := os.ReadFile("config_test.go")
	require.NoError(t, err)
	var walk func(t *testing.T, path string, typ reflect.Type)
	walk = func(t *testing.T, path string, typ reflect.Type) {
		for i := 0; i < typ.NumField(); i++ {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Name == "Unknown":
				assert.Equal(t, ",remain", f.Tag.Get("mapstructure"), path)
			case f.Type.Kind() == reflect.Struct:
				walk(t, path+name+".", f.Type)
			case path+name == "rules":
				walk(t, "", f.Type.Elem())
			case path+name != "redis.password": // TestSecrets
				assert.Contains(t, string(b), `"`+path+name+`", func(`)
			}
		}
	}
	walk(t, "", reflect.TypeOf(option.Config{}))
}

func TestTooManyRules(t *testing.T) {
	assert.Equal(t, one+`rules: 1001 rules; expected at most 1000`, problem(t, func(c *option.Config) { c.Rules = make([]option.Rule, 1001) }))
	assert.Empty(t, problem(t, func(c *option.Config) { c.Rules = repeated(option.Rule{Match: all}, 1000) }))
}

func repeated(r option.Rule, n int) []option.Rule {
	list := make([]option.Rule, n)
	for i := range list {
		list[i] = r
	}
	return list
}

// A body that Redis would take but never give back is a mistake.
func TestMaxBodyFitsReply(t *testing.T) {
	assert.Equal(t, one+`rules[0].maxBody: "40MiB"; expected at most 33383168 bytes, which redis.maxReplyBytes leaves for a body`,
		problem(t, func(c *option.Config) {
			c.Redis.Address = "redis:6379"
			c.Rules = []option.Rule{{MaxBody: "40MiB", Match: all}}
		}))
	s := build(t, func(c *option.Config) {
		c.Redis.Address = "redis:6379"
		c.Redis.MaxReplyBytes = "8MiB"
		c.Preset = "odoo"
	})
	assert.Less(t, ruleNamed(t, s, "odoo-assets").MaxBody, int64(8<<20), "a preset's rule gives way")
}

// wrong is a configuration with mistakes of every kind.
func wrong() *option.Config {
	unknown := func(prefix string) map[string]interface{} {
		return map[string]interface{}{prefix + "3": 1, prefix + "1": "x", prefix + "2": nil, prefix + "4": true}
	}
	c := option.Default()
	c.Unknown = unknown("top")
	c.Name, c.Tenant, c.Preset, c.Keep = "a b", "", "shop", "-1h"
	c.RequestDirectives, c.LogLevel = "sometimes", "loud"
	c.Redis = option.Redis{
		Database: "first", Timeout: "soon", DialTimeout: "0", PoolSize: "many", IdleTimeout: "", MaxReplyBytes: "lots", PreparedBytes: "1MiB",
		PasswordFile: given("/nowhere/secret"), TLS: option.TLS{CertFile: "/nowhere/cert", Enabled: "true", Unknown: unknown("tls")},
		Unknown: unknown("redis"), Address: "redis", Sentinel: option.Sentinel{TLS: option.TLS{Enabled: "yes", Unknown: unknown("stls")}},
	}
	c.CampaignCookies = "perhaps"
	c.EarlyRefresh = "perhaps"
	c.Rewarm = "all"
	c.Compression = "brotli"
	c.Memory = option.Memory{Bytes: "0.5G", MaxStaleness: "x", Unknown: unknown("memory")}
	c.Purge = option.Purge{
		Secret: given("correct horse"), SecretEnv: given("X"), PreviousSecret: given("short"), Networks: []string{"10.0.0.0/8", "10.0.0.0/99"}, FromResponses: "oui",
		MaxMarks: "1", Journal: "0", Unknown: unknown("purge"),
	}
	c.Admin = option.Admin{Path: "admin", Unknown: unknown("admin")}
	c.Session = option.Session{Cookie: "a;b", ContextCookie: "c d", TTL: "x", Max: "1", Unknown: unknown("session")}
	c.CSRF = option.CSRF{Mode: "edge", Path: "x", FormBytes: "1", Unknown: unknown("csrf")}
	c.Headers = option.Headers{Cache: "", Purge: "X:", Edge: "Y:", Unknown: unknown("headers")}
	c.Limits = option.Limits{MaxBody: "big", Tags: "-1", CoalesceWait: "soon", Unknown: unknown("limits")}
	c.Odoo = option.Odoo{
		IgnoreQuery: []string{"*"}, BypassPaths: []string{"x"}, HarmlessPaths: []string{"/shop"}, Prefetch: "x", Grace: "x",
		TTL: option.OdooTTL{Home: "0", Products: "x", Unknown: unknown("ttl")}, Unknown: unknown("odoo"),
	}
	c.Rules = []option.Rule{
		{Name: "same"},
		{Name: "same", Bypass: "true", TTL: "10m"},
		{
			TTL: "-10m", Grace: "x", StaleIfError: "1 day", Heuristic: "perhaps", Override: []string{"no-transform"},
			Session: "share", Status: []string{"OK", "99"}, MaxBody: "-1", Tags: []string{"a", "a"}, RequestDirectives: "x",
			Require: map[string]interface{}{"b ad": "", "X-A": "["}, Refuse: map[string]interface{}{"": "*"},
			Match: option.Match{
				Hosts: []string{"http://x"}, PathPrefixes: []string{"x"}, PathRegexp: "(", Methods: []string{"G:T"},
				Headers: map[string]interface{}{"a b": ""}, Query: map[string]interface{}{"q": "*+"}, Unknown: unknown("match"),
			},
			Vary:    option.Vary{Headers: []string{"Cookie"}, Cookies: []string{"="}, Languages: []string{"?"}, Unknown: unknown("vary")},
			Query:   option.Query{Keep: []string{""}, Unknown: unknown("query")},
			Cookies: option.Cookies{Keep: []string{"x,y"}, Unknown: unknown("cookies")},
			Unknown: unknown("rule"),
		},
	}
	return c
}

// TestAllMistakesAreReported: in one error, always in the same order.
func TestAllMistakesAreReported(t *testing.T) {
	_, err := config.Build(wrong())
	require.ErrorIs(t, err, config.ErrConfig)
	text := err.Error()
	for _, path := range []string{
		"top1", "top2", "top3", "top4", "name", "tenant", "preset", "keep", "requestDirectives", "logLevel",
		"redis.redis1", "redis.address", "redis.database", "redis.timeout", "redis.dialTimeout", "redis.poolSize", "redis.idleTimeout",
		"redis.maxReplyBytes", "redis.passwordFile", "redis.tls.tls4", "redis.sentinel.tls.stls1", "redis.sentinel.tls.enabled", "redis.tls.certFile",
		"memory.memory2", "memory.bytes", "memory.maxStaleness",
		"purge.purge3", "purge.secret", "purge.previousSecret", "purge.networks[1]", "purge.fromResponses", "purge.maxMarks", "purge.journal",
		"admin.admin1", "admin.path", "session.session1", "session.cookie", "session.contextCookie", "session.ttl", "session.max", "csrf.csrf1", "csrf.mode", "csrf.path", "csrf.formBytes",
		"headers.headers1", "headers.cache", "headers.purge", "headers.edge", "compression", "earlyRefresh", "rewarm", "campaignCookies", "limits.limits1", "limits.maxBody", "limits.headerBytes", "limits.keyBytes",
		"limits.queryParams", "limits.varyNames", "limits.variants", "limits.tags", "limits.tagBytes", "limits.purgeItems", "limits.purgeBody", "limits.eraseTime",
		"limits.signatures", "limits.refreshes", "limits.fetchTimeout", "limits.coalesceWait", "limits.waiters",
		"odoo.odoo1", "odoo.ttl.ttl2", "odoo.ignoreQuery[0]", "odoo.bypassPaths[0]", "odoo.harmlessPaths", "odoo.prefetch", "odoo.grace", "odoo.ttl.home", "odoo.ttl.products", "odoo.ttl.texts",
		"rules[1].name", "rules[1].bypass", "rules[2].ttl", "rules[2].grace", "rules[2].staleIfError", "rules[2].heuristic", "rules[2].override[0]",
		"rules[2].session", "rules[2].status[0]", "rules[2].status[1]", "rules[2].maxBody", "rules[2].tags[1]", "rules[2].requestDirectives",
		"rules[2].require.b ad", "rules[2].require.X-A", "rules[2].refuse.", "rules[2].rule1",
		"rules[2].match.match1", "rules[2].match.hosts[0]", "rules[2].match.pathPrefixes[0]", "rules[2].match.pathRegexp", "rules[2].match.methods[0]",
		"rules[2].match.headers.a b", "rules[2].match.query.q",
		"rules[2].vary.vary1", "rules[2].vary.headers[0]", "rules[2].vary.cookies[0]", "rules[2].vary.languages[0]",
		"rules[2].query.query1", "rules[2].query.keep[0]", "rules[2].cookies.cookies1", "rules[2].cookies.keep[0]",
	} {
		assert.Regexp(t, `[;)]?[ :]`+regexp.QuoteMeta(path)+": ", text)
	}
	assert.Equal(t, 4*18, strings.Count(text, ": unknown option"))
	count, _, _ := strings.Cut(strings.TrimPrefix(text, begin), " ")
	n, err := strconv.Atoi(count)
	require.NoError(t, err)
	assert.Greater(t, n, 4*18+60)
	assert.NotContains(t, text, "correct horse")

	for i := 0; i < 50; i++ {
		_, again := config.Build(wrong())
		require.EqualError(t, again, text)
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(file, []byte("from the file\r\n"), 0o600))
	t.Setenv("ODOOCACHE_TEST_SECRET", "from the environment")
	t.Setenv("ODOOCACHE_TEST_LINE", "from the environment\n")
	t.Setenv("ODOOCACHE_TEST_URN", "urn:k8s:secret:odoocache:purge")
	t.Setenv("ODOOCACHE_TEST_EMPTY", "")
	holding := func(text string) *string {
		name := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return &name
	}
	long := *holding(strings.Repeat("x", 65537))
	const (
		unresolved = "begins with urn:, so it is a reference that nobody has resolved (Traefik does so for a Middleware in Kubernetes alone); expected what it refers to"
		lineEnd    = "ends in a line break; expected one line without its end (echo -n, printf)"
		control    = "has a line break or another control character; expected one line"
		inLine     = "has a line break or a NUL in it; expected one line"
	)
	for _, c := range []struct {
		name             string
		value, file, env *string
		want             string
		problem          string // with %s for the option's path
		password         string // what a password of Redis is, where that is another thing
	}{
		{name: "none"},
		{name: "value", value: given("a secret value"), want: "a secret value"},
		{name: "file, without its line end", file: given(file), want: "from the file"},
		{name: "environment", env: given("ODOOCACHE_TEST_SECRET"), want: "from the environment"},
		{name: "value and file", value: given("a secret value"), file: given(file), problem: "%[1]s%[2]s: more than one of %[2]s, %[2]sFile and %[2]sEnv is set; expected one"},
		{name: "file and environment", file: given(file), env: given("X"), problem: "%[1]s%[2]s: more than one of %[2]s, %[2]sFile and %[2]sEnv is set; expected one"},
		{name: "value, and an empty file", value: given("a secret value"), file: given(""), problem: "%[1]s%[2]sFile: is given, but empty; expected the path of a file, or no such option"},
		{name: "file with one line end", file: holding("from the file\n"), want: "from the file"},
		{name: "file with two line ends", file: holding("from the file\n\n"), problem: "%[1]s%[2]sFile: " + lineEnd, password: "from the file"},
		{name: "file with half a line end", file: holding("from the file\r"), problem: "%[1]s%[2]sFile: " + lineEnd, password: "from the file"},
		{name: "file of two lines", file: holding("from the\nfile\n"), problem: "%[1]s%[2]sFile: " + control, password: inLine},
		{name: "file with a byte order mark", file: holding("\ufefffrom the file\n"), problem: "%[1]s%[2]sFile: begins with a byte order mark; expected what comes after it"},
		{name: "file with a reference", file: holding("urn:k8s:secret:odoocache:purge"), problem: "%[1]s%[2]sFile: " + unresolved},
		{name: "value with a line end", value: given("a secret value\n"), problem: "%[1]s%[2]s: " + lineEnd, password: "a secret value"},
		{name: "value with a carriage return", value: given("a secret value\r\n"), problem: "%[1]s%[2]s: " + lineEnd, password: "a secret value"},
		{name: "value with a line break", value: given("a secret\nvalue"), problem: "%[1]s%[2]s: " + control, password: inLine},
		{name: "value with NUL", value: given("a secret\x00value"), problem: "%[1]s%[2]s: " + control, password: inLine},
		{name: "a reference", value: given("urn:k8s:secret:odoocache:purge"), problem: "%[1]s%[2]s: " + unresolved},
		{name: "a reference after a blank", value: given(" URN:k8s:secret:odoocache:purge"), problem: "%[1]s%[2]s: " + unresolved},
		{name: "a variable in a file", file: holding("${PURGE_SECRET}\n"), problem: "%[1]s%[2]sFile: " + notFilledIn},
		{name: "a reference in capitals", value: given("URN:k8s:secret:odoocache:purge"), problem: "%[1]s%[2]s: " + unresolved},
		{name: "an empty value", value: given(""), problem: "%[1]s%[2]s: is given, but empty; expected a secret, or no such option"},
		{name: "an empty file name", file: given(""), problem: "%[1]s%[2]sFile: is given, but empty; expected the path of a file, or no such option"},
		{name: "an empty variable name", env: given(""), problem: "%[1]s%[2]sEnv: is given, but empty; expected the name of an environment variable, or no such option"},
		{name: "environment with a line end", env: given("ODOOCACHE_TEST_LINE"), problem: "%[1]s%[2]sEnv: " + lineEnd, password: "from the environment"},
		{name: "environment with a reference", env: given("ODOOCACHE_TEST_URN"), problem: "%[1]s%[2]sEnv: " + unresolved},
		{name: "environment that is empty", env: given("ODOOCACHE_TEST_EMPTY"), problem: `%[1]s%[2]sEnv: the environment variable "ODOOCACHE_TEST_EMPTY" is empty or not set`},
		{name: "value with a tab", value: given("a\tsecret value"), problem: "%[1]s%[2]s: " + control, password: "a\tsecret value"},
		{name: "odd characters", value: given(`"'#$%&\{}[] é`), want: `"'#$%&\{}[] é`},
		{name: "file of line ends", file: holding("\n\n"), problem: "%[1]s%[2]sFile: " + lineEnd, password: "has nothing but line breaks; expected a password"},
		{name: "file that is too long", file: given(long), problem: `%[1]s%[2]sFile: "` + long + `" has more than 65536 bytes; expected a secret`},
		{name: "a directory", file: given(dir), problem: "%[1]s%[2]sFile: read " + dir + ": is a directory; expected a readable file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			purge := func(o *option.Config) { o.Purge.Secret, o.Purge.SecretFile, o.Purge.SecretEnv = c.value, c.file, c.env }
			previous := func(o *option.Config) {
				o.Purge.Secret = given("the current secret")
				o.Purge.PreviousSecret, o.Purge.PreviousSecretFile, o.Purge.PreviousSecretEnv = c.value, c.file, c.env
			}
			redis := func(o *option.Config) {
				o.Redis.Address = "redis:6379"
				o.Redis.Password, o.Redis.PasswordFile, o.Redis.PasswordEnv = c.value, c.file, c.env
			}
			sentinel := func(o *option.Config) {
				o.Redis.Sentinel = option.Sentinel{Master: "m", Addresses: []string{"a:1"}, Password: c.value, PasswordFile: c.file, PasswordEnv: c.env}
			}
			if c.problem != "" {
				if name := c.value; name != nil && *name != "" && c.file == nil { // what goes with a secret comes from where it does
					assert.Equal(t, one+fmt.Sprintf(c.problem, "redis.", "username"), problem(t, func(o *option.Config) { o.Redis.Address, o.Redis.Username = "redis:6379", *name }))
				}
				assert.Equal(t, one+fmt.Sprintf(c.problem, "purge.", "secret"), problem(t, purge))
				assert.Equal(t, one+fmt.Sprintf(c.problem, "purge.", "previousSecret"), problem(t, previous))
				if is := c.password; is != "" && !strings.Contains(is, "; expected") {
					assert.Equal(t, is, build(t, redis).Storage.Redis.Password)
					assert.Equal(t, is, build(t, sentinel).Storage.Redis.Sentinels.Password)
					return
				}
				want := c.problem
				if c.password != "" {
					before, _, _ := strings.Cut(want, ": ")
					want = before + ": " + c.password
				}
				assert.Equal(t, one+fmt.Sprintf(want, "redis.", "password"), problem(t, redis))
				assert.Equal(t, one+fmt.Sprintf(want, "redis.sentinel.", "password"), problem(t, sentinel))
				return
			}
			assert.Equal(t, c.want, build(t, sentinel).Storage.Redis.Sentinels.Password)
			assert.Equal(t, c.want, build(t, purge).Purge.Secret)
			assert.Equal(t, c.want, build(t, previous).Purge.Previous)
			s := build(t, redis)
			assert.Equal(t, c.want, s.Storage.Redis.Password)
			if c.want != "" {
				assert.NotContains(t, s.Storage.Fingerprint, c.want)
			}
		})
	}
}

// Whatever else is wrong, a secret does not get into a log.
func TestSecretsAreNotInErrors(t *testing.T) {
	c := wrong()
	c.Purge = option.Purge{Secret: given("s3cret\n"), PreviousSecret: given(" f0rmer-s3cret ")}
	c.Redis.Password, c.Redis.PasswordFile = given("hunter2hunter2"), nil
	c.Redis.Address = "redis://:pa55word@redis:6379?password=pa55word"
	_, err := config.Build(c)
	require.Error(t, err)
	for _, secret := range []string{"s3cret", "f0rmer", "hunter2", "pa55word"} {
		assert.NotContains(t, err.Error(), secret)
	}
	assert.Contains(t, err.Error(), "purge.secret: ends in a line break")
}

// Traefik's decoder is weak: YAML's true becomes "1", numbers become strings,
// and labels with commas become lists whose members keep their spaces.
func TestWeaklyDecodedValues(t *testing.T) {
	s := build(t, func(c *option.Config) {
		c.Redis = option.Redis{
			Address: "redis:6379", Database: "3", Timeout: "1", DialTimeout: "2", PoolSize: "8", IdleTimeout: "600", MaxReplyBytes: "33554432", PreparedBytes: "16777216",
			TLS: option.TLS{Enabled: "1", InsecureSkipVerify: "0"},
		}
		c.Purge.FromResponses = "0"
		c.Purge.Networks = []string{"10.0.0.0/8", " 192.168.0.1"}
		c.Keep = "3600"
		c.Limits.MaxBody = "1048576"
		c.Rules = []option.Rule{
			{Bypass: "1", Match: option.Match{Hosts: []string{"a.example", " B.example"}, Methods: []string{"get", " post"}}},
			{
				Match: all, TTL: "600", Grace: "3600", StaleIfError: "86400", Heuristic: "1", Bypass: "0", Status: []string{"200", " 404"},
				Override: []string{"private", " no-store"}, Tags: []string{"a", " b"},
				Vary: option.Vary{Headers: []string{"X-A", " X-B"}, Cookies: []string{"c", " d"}, Languages: []string{"en_US", " fr_FR"}},
			},
		}
	})
	r := s.Storage.Redis
	assert.Equal(t, 3, r.DB)
	assert.Equal(t, time.Second, r.Timeout)
	assert.Equal(t, 2*time.Second, r.DialTimeout)
	assert.Equal(t, 8, r.PoolSize)
	assert.Equal(t, 10*time.Minute, r.IdleTimeout)
	assert.Equal(t, 32<<20, r.MaxReply)
	require.NotNil(t, r.TLS)
	assert.Equal(t, "redis", r.TLS.ServerName)
	assert.False(t, r.TLS.InsecureSkipVerify)
	assert.False(t, s.Purge.FromResponses)
	assert.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.0.1/32")}, s.Purge.Networks)
	assert.Equal(t, int64(1<<20), s.Default.MaxBody)

	assert.True(t, s.Rules[0].Bypass)
	assert.Equal(t, []string{"a.example", "b.example"}, s.Rules[0].Match.Hosts)
	assert.Equal(t, []string{"GET", "POST"}, s.Rules[0].Match.Methods)
	assert.False(t, s.Rules[1].Bypass)
	terms := s.Rules[1].Terms
	assert.Equal(t, []int64{600000, 3600000, 86400000, 3600000}, []int64{terms.TTL, terms.Grace, terms.StaleIfError, terms.Keep})
	assert.True(t, terms.Heuristic)
	assert.Equal(t, []int{200, 404}, terms.Statuses)
	assert.True(t, terms.Override.NoStore && terms.Override.Private && !terms.Override.NoCache)
	assert.Equal(t, []string{"a", "b"}, s.Rules[1].Tags)
	assert.Equal(t, []string{"x-a", "x-b"}, s.Rules[1].Headers)
	assert.Equal(t, []string{"c", "d"}, s.Rules[1].Cookies)
	code, _ := s.Rules[1].Language.Pick("fr_FR", "")
	assert.Equal(t, "fr_FR", code)
}

func TestRedisAddress(t *testing.T) {
	s := build(t, func(c *option.Config) { c.Redis.Address = " redis:6379 " })
	assert.Equal(t, []string{"tcp", "redis:6379"}, []string{s.Storage.Redis.Network, s.Storage.Redis.Address})
	assert.Nil(t, s.Storage.Redis.TLS)
	s = build(t, func(c *option.Config) { c.Redis.Address = "unix:///run/redis.sock" })
	assert.Equal(t, []string{"unix", "/run/redis.sock"}, []string{s.Storage.Redis.Network, s.Storage.Redis.Address})
	s = build(t, func(c *option.Config) { enableTLS(c); c.Redis.Address = " redis:6379 " })
	assert.Equal(t, "redis", s.Storage.Redis.TLS.ServerName)
}

// TestFingerprint changes each option of the storage alone. It walks the
// structs, so that a new option cannot be forgotten: it is missing below.
func TestFingerprint(t *testing.T) {
	cert, key := certificate(t)
	base := func() *option.Config {
		c := option.Default()
		c.Redis.Address = "redis:6379"
		c.Redis.Password = given("hunter2hunter2")
		c.Redis.TLS = option.TLS{Enabled: "true", CAFile: cert, CertFile: cert, KeyFile: key, ServerName: "a", InsecureSkipVerify: "false"}
		return c
	}
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("another password"), 0o600))
	t.Setenv("ODOOCACHE_TEST_PASSWORD", "a third password")
	otherCert, otherKey := copyOf(t, cert), copyOf(t, key)
	values := map[string]string{
		"Redis.Address": "redis:6380", "Redis.Username": "u", "Redis.Password": "hunter3hunter3", "Redis.PasswordFile": file,
		"Redis.PasswordEnv": "ODOOCACHE_TEST_PASSWORD", "Redis.Database": "1", "Redis.Timeout": "50ms", "Redis.DialTimeout": "50ms",
		"Redis.PoolSize": "9", "Redis.IdleTimeout": "9s", "Redis.MaxReplyBytes": "33MiB", "Redis.PreparedBytes": "17MiB",
		"Redis.TLS.Enabled": "false", "Redis.TLS.CAFile": otherCert, "Redis.TLS.CertFile": otherCert, "Redis.TLS.KeyFile": otherKey,
		"Redis.TLS.ServerName": "b", "Redis.TLS.InsecureSkipVerify": "true",
		"Memory.Bytes": "63MiB", "Memory.MaxStaleness": "2s",
		"Purge.MaxMarks": "9999", "Purge.Journal": "999",
	}
	notStorage := map[string]bool{
		"Purge.Secret": true, "Purge.SecretFile": true, "Purge.SecretEnv": true, "Purge.FromResponses": true,
		"Purge.PreviousSecret": true, "Purge.PreviousSecretFile": true, "Purge.PreviousSecretEnv": true,
	}
	seen := map[string]string{fingerprint(t, base()): "the base"}
	done := 0
	var walk func(path string, v func(*option.Config) reflect.Value)
	walk = func(path string, v func(*option.Config) reflect.Value) {
		for i := 0; i < v(base()).NumField(); i++ {
			i := i
			name := path + v(base()).Type().Field(i).Name
			field := func(c *option.Config) reflect.Value { return v(c).Field(i) }
			switch field(base()).Kind() {
			case reflect.Struct:
				if name != "Redis.Sentinel" { // below: it goes without an address
					walk(name+".", field)
				}
				continue
			case reflect.Map, reflect.Slice: // Unknown, purge.networks
				continue
			}
			if notStorage[name] {
				continue
			}
			value, found := values[name]
			require.True(t, found, "%s has no other value in this test", name)
			c := base()
			if strings.HasPrefix(name, "Redis.Password") {
				c.Redis.Password = nil
			}
			if name == "Redis.TLS.Enabled" {
				c.Redis.TLS = option.TLS{}
			}
			if f := field(c); f.Kind() == reflect.Ptr {
				f.Set(reflect.ValueOf(given(value)))
			} else {
				f.SetString(value)
			}
			print := fingerprint(t, c)
			assert.Empty(t, seen[print], "%s", name)
			seen[print] = name
			done++
		}
	}
	for _, name := range []string{"Redis", "Memory", "Purge"} {
		name := name
		walk(name+".", func(c *option.Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByName(name) })
	}
	assert.Len(t, values, done)

	t.Run("sentinels and clusters", func(t *testing.T) {
		for name, change := range map[string]func(c *option.Config){
			"master":    func(c *option.Config) { c.Redis.Sentinel.Master = "other" },
			"addresses": func(c *option.Config) { c.Redis.Sentinel.Addresses = []string{"other:1"} },
			"username":  func(c *option.Config) { c.Redis.Sentinel.Username = "other" },
			"password":  func(c *option.Config) { c.Redis.Sentinel.Password = given("other") },
			"tls":       func(c *option.Config) { c.Redis.Sentinel.TLS.Enabled = "false" },
			"tls of their own": func(c *option.Config) {
				c.Redis.Sentinel.TLS = option.TLS{Enabled: "true", CAFile: otherCert}
			},
			"nothing": func(c *option.Config) {},
			"cluster": func(c *option.Config) {
				c.Redis.Sentinel = option.Sentinel{}
				c.Redis.Cluster.Addresses = []string{"a:1"}
			},
			"another cluster": func(c *option.Config) {
				c.Redis.Sentinel = option.Sentinel{}
				c.Redis.Cluster.Addresses = []string{"b:1"}
			},
		} {
			c := base()
			c.Redis.Address = ""
			c.Redis.Sentinel = option.Sentinel{Master: "shop", Addresses: []string{"s:1"}}
			change(c)
			print := fingerprint(t, c)
			assert.Empty(t, seen[print], "%s", name)
			seen[print] = name
		}
	})

	t.Run("equal for equal settings", func(t *testing.T) {
		c := base()
		c.Rules = []option.Rule{{TTL: "1m", Match: all}}
		c.Tenant, c.Name, c.Purge.Secret = "other", "other", given("long enough")
		assert.Equal(t, fingerprint(t, base()), fingerprint(t, c))
	})
	t.Run("a renewed certificate is another storage", func(t *testing.T) {
		before := fingerprint(t, base())
		pem, err := os.ReadFile(cert)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(cert, append(pem, '\n'), 0o600))
		assert.NotEqual(t, before, fingerprint(t, base()))
	})
	t.Run("a password that is rotated in its file is of the same storage", func(t *testing.T) {
		in := func(c *option.Config) {
			c.Redis.Address = ""
			c.Redis.Password, c.Redis.PasswordFile = nil, &file
			c.Redis.Sentinel = option.Sentinel{Master: "shop", Addresses: []string{"s:1"}, PasswordFile: &file}
		}
		c := base()
		in(c)
		before := fingerprint(t, c)
		require.NoError(t, os.WriteFile(file, []byte("rotated"), 0o600))
		c = base()
		in(c)
		assert.Equal(t, before, fingerprint(t, c))
	})
	t.Run("no secret in clear", func(t *testing.T) {
		s := fingerprint(t, base())
		assert.NotContains(t, s, "hunter2")
		assert.Regexp(t, "^[0-9a-f]{64}$", s)
	})
}

func fingerprint(t *testing.T, c *option.Config) string {
	t.Helper()
	s, err := config.Build(c)
	require.NoError(t, err)
	return s.Storage.Fingerprint
}

func copyOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.WriteFile(name, b, 0o600))
	return name
}

// certificate writes a certificate and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600))
	return certFile, keyFile
}

func FuzzSize(f *testing.F) {
	for _, seed := range []string{"0", "64MiB", "1 GB", "-1", "9223372036854775807K", "1.5M", "B", " 7 kB ", "+1", "0x10", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := option.Default()
		c.Limits.MaxBody = text
		s, err := config.Build(c)
		if err != nil {
			assert.Contains(t, err.Error(), "limits.maxBody: ")
			return
		}
		got := s.Default.MaxBody
		assert.True(t, got >= 0 && got <= 1<<30, "%d", got)
		digits := strings.TrimLeft(strings.TrimSpace(text), "+-0123456789")
		n, ok := new(big.Int).SetString(strings.TrimSuffix(strings.TrimSpace(text), digits), 10)
		require.True(t, ok)
		factor := map[string]int64{
			"": 1, "B": 1, "K": 1 << 10, "KiB": 1 << 10, "M": 1 << 20, "MiB": 1 << 20, "G": 1 << 30, "GiB": 1 << 30,
			"kB": 1000, "KB": 1000, "MB": 1000000, "GB": 1000000000,
		}[strings.TrimSpace(digits)]
		assert.Equal(t, new(big.Int).Mul(n, big.NewInt(factor)).Int64(), got)
	})
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"", "0", "600", "10m", "1h30m", "-1", "-1s", "1e9", "99999999999999999999", "2562047h47m16s", " 5 ", "1µs", "+1h", "NaN"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := option.Default()
		c.Rules = []option.Rule{{TTL: text, Match: all}}
		s, err := config.Build(c)
		if err != nil {
			assert.Contains(t, err.Error(), "rules[0].ttl: ")
			return
		}
		got := s.Rules[0].Terms.TTL
		switch d, errD := time.ParseDuration(strings.TrimSpace(text)); {
		case text == "":
			assert.Equal(t, policy.Unset, got)
		case errD == nil && d != 0:
			assert.Equal(t, int64(d/time.Millisecond), got)
		default:
			n, errN := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if errD != nil {
				require.NoError(t, errN)
			}
			assert.Equal(t, n*1000, got)
		}
	})
}

// ofSentinels sets what goes before options of TLS to sentinels.
func ofSentinels(c *option.Config, enabled string) {
	c.Redis.Address = ""
	c.Redis.Sentinel = option.Sentinel{Master: "shop", Addresses: []string{"s:26379"}, TLS: option.TLS{Enabled: enabled}}
}

// TestSentinelTLS: the connections to sentinels are as those to servers, unless they have
// options of their own.
func TestSentinelTLS(t *testing.T) {
	for _, servers := range []string{"true", "false"} {
		for _, sentinels := range []string{"", "true", "false"} {
			o := build(t, func(c *option.Config) {
				c.Redis.TLS.Enabled = servers
				c.Redis.Sentinel = option.Sentinel{Master: "shop", Addresses: []string{"s:1"}, TLS: option.TLS{Enabled: sentinels}}
				if servers == "true" {
					c.Redis.TLS.ServerName = "server"
				}
				if sentinels == "true" {
					c.Redis.Sentinel.TLS.ServerName = "sentinel"
				}
			}).Storage.Redis
			assert.Equal(t, servers == "true", o.TLS != nil)
			switch got := o.Sentinels.TLS; {
			case sentinels == "false" || sentinels == "" && servers == "false":
				assert.Nil(t, got)
			case sentinels == "":
				assert.Equal(t, "server", got.ServerName)
			default:
				assert.Equal(t, "sentinel", got.ServerName)
			}
		}
	}
}
