// Package rule holds compiled route rules: which requests a rule takes, and
// what it says of their responses.
//
// rule.go has what a rule is, plan.go finds the first one that takes a request, dimensions.go
// reads what it varies by.
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

	Nobody  bool   // what is stored is asked for by requests that are built from the key alone
	Country string // of Headers: the one that names the visitor's country, empty: none

	KeepsSession bool // requests of this rule leave a default session one
	MarksSession bool // a request of this rule that reaches the origin makes its session special
	ReadsSession bool // a request of this rule leaves its session as it is if its body says that it reads
	Evidence     int  // the bit of this rule's group in what is known of a session, see storage.GivesNobodys
	AnswerTells  bool // a GET of this rule puts its session in doubt if its answer leads elsewhere

	// ClientDirectives says whether Cache-Control of a request is heeded.
	ClientDirectives bool
}

// Match says which requests a rule takes. Empty lists match everything; all
// that is given must match.
type Match struct {
	Hosts    []string // folded; "*.example" takes subdomains
	Prefixes []string // of the path, at segment boundaries unless they end in /
	Path     *regexp.Regexp
	PathIs   func(path string) bool // decides on what Path matches; nil: all of it
	Methods  []string
	Headers  []Field
	Query    []Field

	Any      bool       // there is
	AnyName  keys.Names // one of these parameters,
	AnyValue []Param    // or one of those with such a value,
	InName   bool       // or with that in its name,
	NoName   keys.Names // that is not one of these
}

// Param is a set of parameters and the pattern that the value of one has to match.
type Param struct {
	Names   keys.Names
	Pattern *regexp.Regexp
	Is      func(text string) bool // decides on what Pattern matches; nil: all of it
}

// matches reports whether a name or a value is what a set of parameters is looked at for.
func matches(p *Param, text string) bool {
	return p.Pattern.MatchString(text) && (p.Is == nil || p.Is(text))
}

// Field is a named value and the pattern it has to match; nil matches any value.
type Field struct {
	Name    string
	Pattern *regexp.Regexp
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

// longPair is the length from which on a name matches where words are looked for, and a
// parameter each pattern there, without being searched: expressions take as long as the text,
// and no word is that long.
const longPair = 2048

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
		if m.InName && len(name) > longPair || m.AnyName.Has(name) || hasAnyValue(m, name, pairs[i]) {
			return true
		}
	}
	return false
}

// hasAnyValue reports whether a parameter is one of those that are looked at for their values.
func hasAnyValue(m *Match, name, pair string) bool {
	for i := 0; i < len(m.AnyValue); i++ {
		p := &m.AnyValue[i]
		if p.Names.Has(name) && (m.InName && len(pair) > longPair || matches(p, keys.ParamValue(pair)) || m.InName && matches(p, name)) {
			return true
		}
	}
	return false
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
