package config

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// maxRules bounds what a request has to be compared with.
const maxRules = 1000

func canonical(name string) string {
	return http.CanonicalHeaderKey(strings.TrimSpace(name))
}

// defaults are what a rule takes where it says nothing itself.
type defaults struct {
	directives bool
	maxBody    int64
	terms      policy.Terms
}

func (p *problems) defaults(c *Config) defaults {
	return defaults{
		directives: p.oneOf("requestDirectives", c.RequestDirectives, "honor", "ignore") == "honor",
		maxBody:    p.size("limits.maxBody", c.Limits.MaxBody, 0),
		terms: policy.Terms{
			AppHeader:    canonical(c.Headers.Cache),
			TTL:          policy.Unset,
			Grace:        policy.Unset,
			StaleIfError: policy.Unset,
			Keep:         p.duration("keep", c.Keep, 0),
			VaryNames:    p.number("limits.varyNames", c.Limits.VaryNames, 0, 100),
		},
	}
}

// rules compiles the rules: the operator's own, then the preset's, then what
// RFC 9111 says.
func (p *problems) rules(c *Config, s *Settings) {
	all := append([]Rule{}, c.Rules...)
	switch c.Preset {
	case "":
	case "odoo":
		all = append(all, odooRules()...)
	default:
		p.add("preset", "%q; expected odoo, or nothing", c.Preset)
	}
	if len(all) > maxRules {
		p.add("rules", "%d rules; expected at most %d", len(all), maxRules)
		return
	}
	d := p.defaults(c)
	names := map[string]bool{}
	for i := 0; i < len(all); i++ {
		path := fmt.Sprintf("rules[%d].", i)
		if all[i].Name == "" {
			all[i].Name = "rule" + strconv.Itoa(i)
		}
		if names[all[i].Name] {
			p.add(path+"name", "%q is the name of an earlier rule; expected another", all[i].Name)
		}
		names[all[i].Name] = true
		s.Rules = append(s.Rules, p.rule(path, all[i], d))
	}
	s.Default = &rule.Rule{
		Name: "-", Terms: d.terms, MaxBody: d.maxBody, ClientDirectives: d.directives,
		Keep: keys.NewNames(nil), Ignore: keys.NewNames(nil),
	}
}

func (p *problems) rule(path string, c Rule, d defaults) *rule.Rule {
	p.unknown(path, c.Unknown)
	p.unknown(path+"query.", c.Query.Unknown)
	r := &rule.Rule{
		Name:             c.Name,
		Match:            p.match(path+"match.", c.Match),
		Bypass:           p.boolean(path+"bypass", c.Bypass, false),
		Terms:            p.terms(path, c, d.terms),
		MaxBody:          d.maxBody,
		Keep:             keys.NewNames(p.names(path+"query.keep", c.Query.Keep)),
		Ignore:           keys.NewNames(p.names(path+"query.ignore", c.Query.Ignore)),
		Tags:             p.names(path+"tags", c.Tags),
		Require:          p.fields(path+"require.", c.Require, true),
		Refuse:           p.fields(path+"refuse.", c.Refuse, true),
		ClientDirectives: d.directives,
	}
	if r.Bypass && (c.TTL != "" || c.Grace != "" || c.StaleIfError != "") {
		p.add(path+"bypass", "is true, but ttl, grace or staleIfError is set; expected one or the other")
	}
	p.vary(path+"vary.", c.Vary, r)
	if c.MaxBody != "" {
		r.MaxBody = p.size(path+"maxBody", c.MaxBody, 0)
	}
	if c.RequestDirectives != "" {
		r.ClientDirectives = p.oneOf(path+"requestDirectives", c.RequestDirectives, "honor", "ignore") == "honor"
	}
	return r
}

func (p *problems) match(path string, c Match) rule.Match {
	p.unknown(path, c.Unknown)
	m := rule.Match{
		Hosts:    p.names(path+"hosts", c.Hosts),
		Prefixes: p.names(path+"pathPrefixes", c.PathPrefixes),
		Headers:  p.fields(path+"headers.", c.Headers, true),
		Query:    p.fields(path+"query.", c.Query, false),
	}
	for i := 0; i < len(m.Hosts); i++ {
		m.Hosts[i] = keys.FoldHost(m.Hosts[i])
		if strings.ContainsAny(strings.TrimPrefix(m.Hosts[i], "*."), "*/ ") {
			p.add(fmt.Sprintf("%shosts[%d]", path, i), "%q; expected a host such as shop.example or *.example", c.Hosts[i])
		}
	}
	for i := 0; i < len(m.Prefixes); i++ {
		if m.Prefixes[i][0] != '/' {
			p.add(fmt.Sprintf("%spathPrefixes[%d]", path, i), "%q; expected a path that begins with /", m.Prefixes[i])
		}
	}
	if c.PathRegexp != "" {
		m.Path = p.pattern(path+"pathRegexp", c.PathRegexp)
	}
	for _, name := range p.names(path+"methods", c.Methods) {
		method := strings.ToUpper(name)
		if !tokenName.MatchString(method) {
			p.add(path+"methods", "%q; expected a method such as GET", name)
		}
		m.Methods = append(m.Methods, method)
	}
	return m
}

// fields reads a map of names and patterns; an empty pattern or * matches any value.
func (p *problems) fields(path string, m map[string]string, header bool) []rule.Field {
	var fields []rule.Field
	for _, name := range sortedKeys(m) {
		f := rule.Field{Name: name}
		if header {
			f.Name = p.header(path+name, name)
		}
		if pattern := m[name]; pattern != "" && pattern != "*" {
			f.Pattern = p.pattern(path+name, pattern)
		}
		fields = append(fields, f)
	}
	return fields
}

func (p *problems) vary(path string, c Vary, r *rule.Rule) {
	p.unknown(path, c.Unknown)
	r.Cookies = p.names(path+"cookies", c.Cookies)
	for _, name := range p.names(path+"headers", c.Headers) {
		if strings.EqualFold(name, "cookie") {
			p.add(path+"headers", "%q would make an entry for each visitor; expected vary.cookies with names", name)
		}
		r.Headers = append(r.Headers, strings.ToLower(p.header(path+"headers", name)))
	}
	if languages := p.names(path+"languages", c.Languages); len(languages) > 0 {
		l := keys.NewLanguages(languages)
		r.Language = &l
	}
}

// terms reads what a rule says of responses; t are the defaults.
func (p *problems) terms(path string, c Rule, t policy.Terms) policy.Terms {
	p.unknown(path+"cookies.", c.Cookies.Unknown)
	t.TTL = p.duration(path+"ttl", c.TTL, policy.Unset)
	t.Grace = p.duration(path+"grace", c.Grace, policy.Unset)
	t.StaleIfError = p.duration(path+"staleIfError", c.StaleIfError, policy.Unset)
	t.Heuristic = p.boolean(path+"heuristic", c.Heuristic, false)
	t.DropCookies = p.names(path+"cookies.drop", c.Cookies.Drop)
	t.KeepCookies = p.names(path+"cookies.keep", c.Cookies.Keep)
	if c.Session != "" {
		t.AnySession = p.oneOf(path+"session", c.Session, "bypass", "ignore") == "ignore"
	}
	for i := 0; i < len(c.Status); i++ {
		t.Statuses = append(t.Statuses, p.number(fmt.Sprintf("%sstatus[%d]", path, i), c.Status[i], 200, 599))
	}
	for i := 0; i < len(c.Override); i++ {
		switch strings.TrimSpace(c.Override[i]) {
		case "no-store":
			t.Override.NoStore = true
		case "no-cache":
			t.Override.NoCache = true
		case "private":
			t.Override.Private = true
		default:
			p.add(fmt.Sprintf("%soverride[%d]", path, i), "%q; expected no-store, no-cache or private", c.Override[i])
		}
	}
	return t
}
