package rule

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/keys"
)

// Plan is a list of rules, arranged so that the first that takes a request is found
// with few calls: an interpreter pays for each of them. What it leaves out for a
// request takes no such request; what is left is asked one by one, in order.
type Plan struct {
	get   []step            // for GET and HEAD
	named map[string][]step // for the other methods that rules name
	rest  []step            // for methods that no rule names
}

// step is some rules that follow each other. Each check is one that any request
// passes that one of them takes.
type step struct {
	path  *regexp.Regexp // matches the path; nil: any may do
	query bool           // there is a query
	plain *regexp.Regexp // matches the query, if that is without escapes; nil: any may do
	rules []*Rule
	more  []bool // by rule: it says more of addresses than its methods and an expression for the path
}

// maxJoined bounds the expressions that are joined into one, in bytes of their text:
// those of Go that have 2048 instructions at most share the memory that they work in.
const maxJoined = 2000

// Compiler compiles a regular expression, as regexp.Compile does. Many plans have the same ones.
type Compiler func(text string) (*regexp.Regexp, error)

// NewPlan arranges rules.
func NewPlan(rules []*Rule, compile Compiler) *Plan {
	p := &Plan{named: map[string][]step{}, get: steps(rules, http.MethodGet, compile), rest: steps(rules, "", compile)}
	for i := 0; i < len(rules); i++ {
		methods := rules[i].Match.Methods
		for j := 0; j < len(methods); j++ {
			if methods[j] != http.MethodGet && p.named[methods[j]] == nil {
				p.named[methods[j]] = steps(rules, methods[j], compile)
			}
		}
	}
	return p
}

// steps arranges the rules that a request with a method may be taken by.
func steps(rules []*Rule, method string, compile Compiler) []step {
	var list []step
	var open []*Rule // rules of the step that is not complete
	length := 0      // of their expressions
	for i := 0; i < len(rules); i++ {
		m := &rules[i].Match
		if len(m.Methods) > 0 && !hasString(m.Methods, method) {
			continue
		}
		path := pathText(m)
		joins := strings.HasPrefix(path, "^") // what may match anywhere is slow in company
		if !joins || length+len(path) > maxJoined {
			list = closed(list, open, compile)
			open = nil
			length = 0
		}
		open = append(open, rules[i])
		length += len(path)
		if !joins {
			length = maxJoined
		}
	}
	return closed(list, open, compile)
}

// closed adds a step of some rules, if there are any.
func closed(list []step, rules []*Rule, compile Compiler) []step {
	if len(rules) == 0 {
		return list
	}
	s := step{rules: rules}
	text := make([]string, 0, len(rules))
	for i := 0; i < len(rules); i++ {
		m := &rules[i].Match
		text = append(text, pathText(m))
		s.more = append(s.more, len(m.Prefixes) > 0 || len(m.Hosts) > 0 || m.PathIs != nil || needsQuery(m))
	}
	if len(rules) > 1 {
		s.path, _ = compile("(?:" + strings.Join(text, ")|(?:") + ")")
		return append(list, s)
	}
	m := &rules[0].Match
	s.path = m.Path
	s.query = needsQuery(m)
	s.plain = plainQuery(m, compile)
	return append(list, s)
}

// pathText returns a regular expression that matches the paths that a rule takes,
// "" if it may take any.
func pathText(m *Match) string {
	if m.Path != nil {
		return m.Path.String()
	}
	if len(m.Prefixes) == 0 {
		return ""
	}
	list := make([]string, 0, len(m.Prefixes))
	for i := 0; i < len(m.Prefixes); i++ {
		list = append(list, regexp.QuoteMeta(strings.ToValidUTF8(m.Prefixes[i], "\uFFFD")))
	}
	return "^(?:" + strings.Join(list, "|") + ")"
}

// needsQuery reports whether a rule takes no request without a query.
func needsQuery(m *Match) bool {
	return len(m.Query) > 0 || m.Any
}

// plainQuery returns what matches each query without escapes that a rule takes, nil if
// it may take any.
func plainQuery(m *Match, compile Compiler) *regexp.Regexp {
	if !m.Any {
		return nil
	}
	var text []string
	if !m.AnyName.Empty() {
		text = append(text, keys.InQuery(m.AnyName))
	}
	for i := 0; i < len(m.AnyValue); i++ {
		pattern := m.AnyValue[i].Pattern.String()
		if strings.ContainsAny(pattern, `^$\`) {
			return nil // what it finds in a value may not be found in the query
		}
		if !hasString(text, pattern) { // each once: Go has a slow way for large expressions
			text = append(text, pattern)
		}
	}
	re, _ := compile("(?:" + strings.Join(text, ")|(?:") + ")")
	return re
}

func hasString(list []string, s string) bool {
	for i := 0; i < len(list); i++ {
		if list[i] == s {
			return true
		}
	}
	return false
}

// First returns the first rule that takes a request, seen as one with the given
// method and path, or last. byHeader reports whether that depends on the request's header.
func First(p *Plan, last *Rule, method, host, path string, r *http.Request) (first *Rule, byHeader bool) {
	list := p.get
	if method != http.MethodGet && method != http.MethodHead { // they are one resource
		list = stepsFor(p, method)
	}
	raw := r.URL.RawQuery
	for i := 0; i < len(list); i++ {
		s := &list[i]
		if s.path != nil && !s.path.MatchString(path) ||
			s.query && (raw == "" || s.plain != nil && len(raw) <= longPair && !s.plain.MatchString(raw) && !strings.ContainsAny(raw, "%+")) {
			continue
		}
		rule, header := firstOf(s, host, path, raw, r)
		if byHeader = byHeader || header; rule != nil {
			return rule, byHeader
		}
	}
	return last, byHeader
}

func stepsFor(p *Plan, method string) []step {
	if list := p.named[method]; list != nil {
		return list
	}
	return p.rest
}

// firstOf returns the first rule of a step that takes a request, or nil.
func firstOf(s *step, host, path, raw string, r *http.Request) (first *Rule, byHeader bool) {
	for i := 0; i < len(s.rules); i++ {
		rule := s.rules[i]
		m := &rule.Match
		if m.Path != nil && !m.Path.MatchString(path) || s.more[i] && !takes(m, host, path, raw) {
			continue
		}
		if len(m.Headers) > 0 {
			byHeader = true
			if !All(m.Headers, r.Header) {
				continue
			}
		}
		return rule, byHeader
	}
	return nil, byHeader
}

// takes reports whether a rule takes a request of an address, as far as its method, its
// header and the expression for its path do not say otherwise.
func takes(m *Match, host, path, raw string) bool {
	return (m.PathIs == nil || m.PathIs(path)) &&
		(len(m.Prefixes) == 0 || hasPrefix(m.Prefixes, path)) &&
		(len(m.Hosts) == 0 || hasHost(m.Hosts, host)) &&
		(len(m.Query) == 0 || hasParams(m.Query, raw)) &&
		(!m.Any || hasAnyParam(m, raw))
}
