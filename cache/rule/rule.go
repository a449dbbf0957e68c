// Package rule holds compiled route rules: which requests a rule takes, and
// what it says of their responses.
package rule

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/keys"
)

// Rule is a compiled route rule. The first that matches a request counts.
type Rule struct {
	Name   string
	Match  Match
	Bypass bool

	Terms    policy.Terms
	MaxBody  int64 // bytes of a body that is stored
	Keep     keys.Names
	Ignore   keys.Names
	Tags     []string
	Require  []Field // response header fields that must be there
	Refuse   []Field // response header fields that must not be there
	Headers  []string
	Cookies  []string
	Language *keys.Languages // nil: not part of the key

	KeepsSession bool // requests of this rule leave a default session one
	MarksSession bool // a request of this rule that reaches the origin makes its session special

	Nobody bool // filled by requests that are built from the key

	// ClientDirectives says whether Cache-Control of a request is heeded.
	ClientDirectives bool
}

// Match says which requests a rule takes. Empty lists match everything; all
// that is given must match.
type Match struct {
	Hosts    []string // folded; "*.example" takes subdomains
	Prefixes []string // of the path, at segment boundaries unless they end in /
	Path     *regexp.Regexp
	Methods  []string
	Headers  []Field
	Query    []Field

	Any      bool       // there is
	AnyName  keys.Names // one of these parameters,
	AnyValue []Field    // or one that matches a field, whose name may end in *,
	NoName   keys.Names // and that is not one of these
}

// Field is a named value and the pattern it has to match; nil matches any value.
type Field struct {
	Name    string
	Pattern *regexp.Regexp
}

// First returns the first rule that takes a request, seen as one with the
// given method, or last. byHeader reports whether that depends on the request's header.
func First(rules []*Rule, last *Rule, method, host string, r *http.Request) (first *Rule, byHeader bool) {
	path := r.URL.Path
	for i := 0; i < len(rules); i++ {
		m := &rules[i].Match
		if !takes(m, method, host, path, r) {
			continue
		}
		if len(m.Headers) > 0 {
			byHeader = true
			if !All(m.Headers, r.Header) {
				continue
			}
		}
		return rules[i], byHeader
	}
	return last, byHeader
}

// takes reports whether a rule takes a request of an address, whatever its header.
func takes(m *Match, method, host, path string, r *http.Request) bool {
	if len(m.Prefixes) > 0 && !hasPrefix(m.Prefixes, path) {
		return false
	}
	if len(m.Hosts) > 0 && !hasHost(m.Hosts, host) {
		return false
	}
	if m.Path != nil && !m.Path.MatchString(path) {
		return false
	}
	if len(m.Methods) > 0 && !hasMethod(m.Methods, method) {
		return false
	}
	return (len(m.Query) == 0 || hasParams(m.Query, r.URL.RawQuery)) &&
		(!m.Any || hasAnyParam(m, r.URL.RawQuery))
}

// hasPrefix matches /shop with /shop and /shop/1, not with /shopping.
func hasPrefix(prefixes []string, path string) bool {
	for i := 0; i < len(prefixes); i++ {
		p := prefixes[i]
		if strings.HasPrefix(path, p) &&
			(len(path) == len(p) || p[len(p)-1] == '/' || path[len(p)] == '/') {
			return true
		}
	}
	return false
}

func hasHost(hosts []string, host string) bool {
	for i := 0; i < len(hosts); i++ {
		if hosts[i] == host || (strings.HasPrefix(hosts[i], "*.") && strings.HasSuffix(host, hosts[i][1:])) {
			return true
		}
	}
	return false
}

// hasMethod takes HEAD where GET is asked for: they are one resource.
func hasMethod(methods []string, method string) bool {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := 0; i < len(methods); i++ {
		if methods[i] == method {
			return true
		}
	}
	return false
}

// hasParams reports whether a raw query has all the parameters.
func hasParams(fields []Field, raw string) bool {
	pairs := strings.Split(raw, "&")
	for i := 0; i < len(fields); i++ {
		if !hasParam(fields[i], pairs) {
			return false
		}
	}
	return true
}

func hasParam(f Field, pairs []string) bool {
	for i := 0; i < len(pairs); i++ {
		if pairs[i] == "" || keys.ParamName(pairs[i]) != f.Name {
			continue
		}
		if f.Pattern == nil || f.Pattern.MatchString(keys.ParamValue(pairs[i])) {
			return true
		}
	}
	return false
}

// hasAnyParam reports whether a raw query has one of the parameters.
func hasAnyParam(m *Match, raw string) bool {
	if raw == "" {
		return false
	}
	pairs := strings.Split(raw, "&")
	for i := 0; i < len(pairs); i++ {
		if pairs[i] == "" {
			continue
		}
		name := keys.ParamName(pairs[i])
		if m.NoName.Has(name) {
			continue
		}
		if m.AnyName.Has(name) {
			return true
		}
		for j := 0; j < len(m.AnyValue); j++ {
			if named(m.AnyValue[j].Name, name) && m.AnyValue[j].Pattern.MatchString(keys.ParamValue(pairs[i])) {
				return true
			}
		}
	}
	return false
}

// named reports whether a name is the wanted one, which may end in *.
func named(want, name string) bool {
	return want == name || (strings.HasSuffix(want, "*") && strings.HasPrefix(name, want[:len(want)-1]))
}

// All reports whether a header has every field. Names are canonical.
func All(fields []Field, h http.Header) bool {
	for i := 0; i < len(fields); i++ {
		if !hasField(fields[i], h) {
			return false
		}
	}
	return true
}

// Any reports whether a header has one of the fields.
func Any(fields []Field, h http.Header) bool {
	for i := 0; i < len(fields); i++ {
		if hasField(fields[i], h) {
			return true
		}
	}
	return false
}

func hasField(f Field, h http.Header) bool {
	lines, found := h[f.Name]
	if f.Pattern == nil || !found {
		return found
	}
	return f.Pattern.MatchString(strings.Join(lines, ", "))
}

// Dimensions returns what the rule varies by, as parts of the primary key.
func (r *Rule) Dimensions(req *http.Request) []string {
	if len(r.Headers) == 0 && len(r.Cookies) == 0 && r.Language == nil {
		return nil
	}
	parts := make([]string, 0, len(r.Headers)+len(r.Cookies)+1)
	for i := 0; i < len(r.Headers); i++ {
		parts = append(parts, "h "+r.Headers[i]+keys.FieldValue(r.Headers[i], req.Header))
	}
	for i := 0; i < len(r.Cookies); i++ {
		value, _ := cookie(r.Cookies[i], req)
		parts = append(parts, "c "+r.Cookies[i]+value)
	}
	if r.Language != nil {
		parts = append(parts, "l "+language(r.Language, req))
	}
	return parts
}

// Alternatives returns what Dimensions returns for a request, and for others that differ
// from it in their language alone. One list of no parts stands for a rule that varies by
// nothing.
func (r *Rule) Alternatives(req *http.Request) [][]string {
	own := r.Dimensions(req)
	all := [][]string{own}
	if r.Language == nil {
		return all
	}
	last := len(own) - 1
	others := []string{""}
	codes := r.Language.Codes()
	for i := 0; i < len(codes); i++ {
		others = append(others, codes[i], codes[i]+forBots)
	}
	for i := 0; i < len(others); i++ {
		if part := "l " + others[i]; part != own[last] {
			all = append(all, append(own[:last:last], part))
		}
	}
	return all
}

// forBots ends the language of a bot, which Odoo does not send elsewhere.
const forBots = " bot"

// LanguageCookie is the cookie in which Odoo keeps a visitor's language
// (addons/http_routing/models/ir_http.py).
const LanguageCookie = "frontend_lang"

// language returns the language that Odoo gives an unprefixed URL. It sends
// nobody but bots to a page that is not in the visitor's language.
func language(l *keys.Languages, req *http.Request) string {
	value, sure := cookie(LanguageCookie, req)
	if !sure {
		return value
	}
	picked := l.Pick(value[1:], strings.Join(req.Header["Accept-Language"], ","))
	if picked != "" && bots.MatchString(req.UserAgent()) {
		return picked + forBots
	}
	return picked
}

// bots are the user agents that Odoo does not redirect by language, in any of
// its versions (addons/http_routing/models/ir_http.py, is_a_bot).
var bots = regexp.MustCompile(`(?i)bot|crawl|slurp|spider|curl|wget|facebookexternalhit|whatsapp|trendsmapresolver|pinterest|instagram|google-pagerenderer|preview`)

// cookie returns the value of a cookie, after a =, or - where there is none.
// Servers disagree on a name that is given twice, and on quotes, backslashes
// and odd bytes (RFC 6265 §5.2 against §4.1.1). So a request with one of these is
// identified by its whole Cookie field, after a ?, and not sure.
func cookie(name string, req *http.Request) (value string, sure bool) {
	lines := req.Header["Cookie"]
	n := occurrences(name, lines)
	if n == 0 {
		return "-", true
	}
	c, err := req.Cookie(name)
	field := strings.Join(lines, "; ")
	if n > 1 || err != nil || (strings.Contains(field, "=\"") &&
		(strings.Contains(field, name+"=\"") || strings.Contains(plainQuotes.ReplaceAllString(field, ""), "=\""))) {
		return "?" + field, false
	}
	return "=" + c.Value, true
}

// CookieValue returns the value of a cookie, "" if there is none. It is not sure
// where servers may disagree on what the request says.
func CookieValue(name string, req *http.Request) (value string, sure bool) {
	value, sure = cookie(name, req)
	if !sure {
		return "", false
	}
	return value[1:], true
}

// plainQuotes are quoted values that all servers read alike, as Odoo sets them for
// campaigns: with white space or octal escapes in them.
var plainQuotes = regexp.MustCompile(`="(?:[^";\\]|\\[0-3][0-7]{2})*" *(?:;|$)`)

// OnlyValue returns the value of a cookie whose name is nowhere else in the request,
// "" if there is none or it is quoted. A server that finds quotes around it sees
// no such cookie at all.
func OnlyValue(name string, req *http.Request) string {
	lines := req.Header["Cookie"]
	if occurrences(name, lines) != 1 {
		return ""
	}
	for _, pair := range strings.Split(strings.Join(lines, ";"), ";") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// HasCookie reports whether a request may carry a cookie. It goes by the name
// alone: a value that net/http refuses can be one that Odoo reads.
func HasCookie(name string, req *http.Request) bool {
	return occurrences(name, req.Header["Cookie"]) > 0
}

// occurrences counts how often a name stands in Cookie fields, not as a part of
// another name. One inside a value counts, too: what follows a byte that only
// some servers take for white space is a name to them.
func occurrences(name string, lines []string) int {
	if name == "" {
		return 0
	}
	n := 0
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		for from := 0; from <= len(line); {
			at := strings.Index(line[from:], name)
			if at < 0 {
				break
			}
			at += from
			from = at + len(name)
			if (at == 0 || !inName(line[at-1])) && (from == len(line) || !inName(line[from])) {
				n++
			}
		}
	}
	return n
}

func inName(c byte) bool {
	return c == '_' || c == '-' || c == '.' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
}
