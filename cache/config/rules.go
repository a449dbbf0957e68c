package config

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// maxRules bounds what a request has to be compared with.
const maxRules = 1000

// defaultName is the name of the rule that takes what no other does. Names are
// part of the keys, so no other rule may have it.
const defaultName = "-"

func canonical(name string) string {
	return http.CanonicalHeaderKey(strings.TrimSpace(name))
}

// defaults are what a rule takes where it says nothing itself.
type defaults struct {
	directives bool
	maxBody    int64
	preset     bool           // the rule is not the operator's own
	fits       int64          // largest body that can be read back from Redis
	session    string         // name of the session cookie
	country    string         // lower case: request field with the visitor's country
	nobody     bool           // rules that say nothing are filled as nobody
	dropped    *regexp.Regexp // cookies of the infrastructure
	terms      policy.Terms
}

func (p *problems) defaults(c *Config, s *Settings) defaults {
	return defaults{
		session:    s.Session,
		country:    s.Country.Header,
		nobody:     c.Preset != "",
		dropped:    p.infrastructure(c.Fill),
		fits:       largestBody(s),
		directives: p.oneOf("requestDirectives", c.RequestDirectives, "honor", "ignore") == "honor",
		maxBody:    p.size("limits.maxBody", c.Limits.MaxBody, 0, 1<<30),
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

// largestBody is what of a reply of Redis is left beside key, header and tags. A
// larger body could be written, but never read.
func largestBody(s *Settings) int64 {
	if s.Storage.Redis == nil {
		return 1 << 30
	}
	most := int64(s.Storage.Redis.MaxReply - s.Limits.HeaderBytes - s.Limits.KeyBytes - 32*s.Limits.Tags.Tags - 1<<16)
	if most < 0 {
		return 0
	}
	return most
}

func hasString(list []string, s string) bool {
	for i := 0; i < len(list); i++ {
		if list[i] == s {
			return true
		}
	}
	return false
}

// rules compiles the rules: the operator's own, then the preset's, then what
// RFC 9111 says.
func (p *problems) rules(c *Config, s *Settings) {
	languages := p.languages("languages", c.Languages)
	all := append([]Rule{}, c.Rules...)
	switch c.Preset {
	case "":
	case "odoo":
		all = append(all, odooRules(languages, c.Country.Header)...)
	default:
		p.add("preset", "%q; expected odoo, or nothing", c.Preset)
	}
	if len(all) > maxRules {
		p.add("rules", "%d rules; expected at most %d", len(all), maxRules)
		return
	}
	d := p.defaults(c, s)
	if d.maxBody > d.fits {
		p.add("limits.maxBody", "%q; expected at most %d bytes, which redis.maxReplyBytes leaves for a body", c.Limits.MaxBody, d.fits)
	}
	names := map[string]bool{defaultName: true}
	for i := len(c.Rules); i < len(all); i++ {
		names[all[i].Name] = true
	}
	for i := 0; i < len(all); i++ {
		path := at("rules", i) + "."
		if all[i].Name == "" {
			all[i].Name = "rule" + strconv.Itoa(i)
		}
		if i < len(c.Rules) && names[all[i].Name] {
			p.add(path+"name", "%q is the name of another rule; expected one of its own", all[i].Name)
		}
		names[all[i].Name] = true
		d.preset = i >= len(c.Rules)
		s.Rules = append(s.Rules, p.rule(path, all[i], d))
	}
	s.Default = &rule.Rule{
		Name: defaultName, Terms: d.terms, MaxBody: d.maxBody, ClientDirectives: d.directives,
		Keep: keys.NewNames(nil), Ignore: keys.NewNames(nil),
	}
	asNobody(s.Default, d, d.nobody)
}

// asNobody says of a rule how what is stored is asked for.
func asNobody(r *rule.Rule, d defaults, nobody bool) {
	if r.Nobody = nobody; nobody {
		r.Terms.DropPattern = d.dropped
	}
}

func (p *problems) rule(path string, c Rule, d defaults) *rule.Rule {
	p.unknown(path, c.Unknown)
	p.unknown(path+"query.", c.Query.Unknown)
	r := &rule.Rule{
		Name:             c.Name,
		Match:            p.match(path+"match.", c.Match),
		Bypass:           p.boolean(path+"bypass", c.Bypass, false),
		Terms:            p.terms(path, c, d),
		MaxBody:          d.maxBody,
		Keep:             p.params(path+"query.keep", c.Query.Keep, d.preset),
		Ignore:           p.params(path+"query.ignore", c.Query.Ignore, d.preset),
		Tags:             p.names(path+"tags", c.Tags),
		Require:          p.fields(path+"require.", c.Require, true),
		Refuse:           p.fields(path+"refuse.", c.Refuse, true),
		ClientDirectives: d.directives,
	}
	r.Match.NoName = r.Ignore
	if r.Bypass && (c.TTL != "" || c.Grace != "" || c.StaleIfError != "") {
		p.add(path+"bypass", "is true, but ttl, grace or staleIfError is set; expected one or the other")
	}
	if c.Session != "" {
		word := p.oneOf(path+"session", c.Session, "bypass", "ignore", "keep", "mark")
		r.KeepsSession = word == "keep" || word == "ignore"
		r.MarksSession = word == "mark"
	}
	nobody := d.nobody
	if c.Fill != "" {
		nobody = p.oneOf(path+"fill", c.Fill, "nobody", "visitor") == "nobody"
	}
	asNobody(r, d, nobody)
	p.vary(path+"vary.", c.Vary, r)
	r.Country = countryOf(r.Headers, d.country)
	if c.MaxBody != "" {
		r.MaxBody = p.size(path+"maxBody", c.MaxBody, 0, 1<<30)
	}
	if r.MaxBody > d.fits {
		if c.MaxBody != "" && !d.preset {
			p.add(path+"maxBody", "%q; expected at most %d bytes, which redis.maxReplyBytes leaves for a body", c.MaxBody, d.fits)
		}
		r.MaxBody = d.fits
	}
	if c.RequestDirectives != "" {
		r.ClientDirectives = p.oneOf(path+"requestDirectives", c.RequestDirectives, "honor", "ignore") == "honor"
	}
	return r
}

// params reads a list of parameters. Rules of a preset share theirs, which are long: each
// is read once.
func (p *problems) params(path string, list []string, preset bool) keys.Names {
	if !preset {
		return keys.NewNames(p.names(path, list))
	}
	text := strings.Join(list, "\n")
	n, found := p.sets[text]
	if !found {
		n = keys.NewNames(p.names(path, list))
		p.sets[text] = n
	}
	return n
}

func (p *problems) match(path string, c Match) rule.Match {
	p.unknown(path, c.Unknown)
	m := rule.Match{
		Hosts:    p.names(path+"hosts", c.Hosts),
		Prefixes: p.names(path+"pathPrefixes", c.PathPrefixes),
		Headers:  p.fields(path+"headers.", c.Headers, true),
		Query:    p.fields(path+"query.", c.Query, false),
	}
	m.Any = len(c.AnyQuery) > 0
	m.AnyName, m.AnyValue = p.anyQuery(path+"anyQuery.", c.AnyQuery, p.boolean(path+"anyQueryFold", c.AnyQueryFold, false))
	for i := 0; i < len(m.Hosts); i++ {
		if strings.ContainsAny(strings.TrimPrefix(m.Hosts[i], "*."), "*/, ") {
			p.add(at(path+"hosts", i), "%q; expected a host such as shop.example or *.example", c.Hosts[i])
		}
		m.Hosts[i] = keys.FoldHost(m.Hosts[i])
	}
	for i := 0; i < len(m.Prefixes); i++ {
		if m.Prefixes[i] != "" && m.Prefixes[i][0] != '/' {
			p.add(at(path+"pathPrefixes", i), "%q; expected a path that begins with /", m.Prefixes[i])
		}
	}
	if c.PathRegexp != "" {
		m.Path = p.pattern(path+"pathRegexp", c.PathRegexp)
	}
	head, get := -1, false
	m.Methods = p.names(path+"methods", c.Methods)
	for i := 0; i < len(m.Methods); i++ {
		m.Methods[i] = strings.ToUpper(m.Methods[i])
		switch {
		case m.Methods[i] == http.MethodHead:
			head = i
		case m.Methods[i] == http.MethodGet:
			get = true
		case m.Methods[i] != "" && !tokenName.MatchString(m.Methods[i]):
			p.add(at(path+"methods", i), "%q; expected a method such as GET", c.Methods[i])
		}
	}
	if head >= 0 && !get {
		p.add(at(path+"methods", head), "%q goes with GET, which takes it; expected GET", c.Methods[head])
	}
	return m
}

// anyQuery reads a map of names of parameters, which may begin or end in *, and patterns.
func (p *problems) anyQuery(path string, m map[string]string, fold bool) (set keys.Names, params []rule.Param) {
	var list []string
	fields := p.fields(path, m, false)
	for i := 0; i < len(fields); i++ {
		if fields[i].Pattern == nil {
			list = append(list, fields[i].Name)
		} else {
			params = append(params, rule.Param{Names: paramNames([]string{fields[i].Name}, fold), Pattern: fields[i].Pattern})
		}
	}
	return paramNames(list, fold), params
}

func paramNames(list []string, fold bool) keys.Names {
	if fold {
		return keys.NewFoldedNames(list)
	}
	return keys.NewNames(list)
}

// fields reads a map of names and patterns; an empty pattern or * matches any value.
func (p *problems) fields(path string, m map[string]string, header bool) []rule.Field {
	var fields []rule.Field
	for _, name := range sortedKeys(m) {
		f := rule.Field{Name: name}
		if header && strings.EqualFold(name, "host") {
			p.add(path+name, "is no header field here; expected match.hosts")
		}
		if header {
			f.Name = p.header(path+name, name)
		}
		if !header && name == "" {
			p.add(strings.TrimSuffix(path, "."), "has an empty name; expected that of a parameter")
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
	r.Cookies = p.cookieNames(path+"cookies", c.Cookies)
	headers := p.names(path+"headers", c.Headers)
	for i := 0; i < len(headers); i++ {
		if strings.EqualFold(headers[i], "cookie") {
			p.add(at(path+"headers", i), "%q would make an entry for each visitor; expected vary.cookies with names", headers[i])
		}
		if strings.EqualFold(headers[i], "authorization") {
			p.add(at(path+"headers", i), "%q would put credentials into the key; expected another header", headers[i])
		}
		if headers[i] != "" {
			r.Headers = append(r.Headers, strings.ToLower(p.header(at(path+"headers", i), headers[i])))
		}
	}
	if len(c.Languages) == 1 && c.Languages[0] == anyLanguage {
		l := keys.UnknownLanguages()
		r.Language = &l
	} else if languages := p.languages(path+"languages", c.Languages); len(languages) > 0 {
		l := keys.NewLanguages(languages)
		r.Language = &l
	}
}

// countryOf returns the one of a rule's fields that names the visitor's country, empty if
// there is none.
func countryOf(headers []string, named string) string {
	for i := 0; i < len(headers); i++ {
		if headers[i] == named || strings.Contains(headers[i], "country") {
			return headers[i]
		}
	}
	return ""
}

// anyLanguage stands for languages that are not known.
const anyLanguage = "*"

func (p *problems) languages(path string, list []string) []string {
	languages := p.names(path, list)
	for i := 0; i < len(languages); i++ {
		if languages[i] != "" && !languageCode.MatchString(languages[i]) {
			p.add(at(path, i), "%q; expected a code of Odoo such as fr_FR", languages[i])
		}
	}
	return languages
}

// languageCode is the shape of the codes in res.lang: fr_FR, es_419, sr@latin.
var languageCode = regexp.MustCompile(`^[a-z]{2,3}(_[A-Z]{2}|_[0-9]{3})?(@[A-Za-z]+)?$`)

func (p *problems) cookieNames(path string, list []string) []string {
	names := p.names(path, list)
	for i := 0; i < len(names); i++ {
		if names[i] != "" && !tokenName.MatchString(names[i]) {
			p.add(at(path, i), "%q; expected the name of a cookie", names[i])
		}
	}
	return names
}

// terms reads what a rule says of responses.
func (p *problems) terms(path string, c Rule, d defaults) policy.Terms {
	t := d.terms
	p.unknown(path+"cookies.", c.Cookies.Unknown)
	t.TTL = p.duration(path+"ttl", c.TTL, policy.Unset)
	t.Grace = p.duration(path+"grace", c.Grace, policy.Unset)
	t.StaleIfError = p.duration(path+"staleIfError", c.StaleIfError, policy.Unset)
	t.Heuristic = p.boolean(path+"heuristic", c.Heuristic, false)
	t.DropCookies = p.cookieNames(path+"cookies.drop", c.Cookies.Drop)
	t.KeepCookies = p.cookieNames(path+"cookies.keep", c.Cookies.Keep)
	for i := 0; i < len(t.KeepCookies); i++ {
		if name := t.KeepCookies[i]; name != "" && name == d.session {
			p.add(at(path+"cookies.keep", i), "%q would hand one visitor's session to all others; expected cookies.drop", name)
		} else if hasString(t.DropCookies, name) {
			p.add(at(path+"cookies.keep", i), "%q is in cookies.drop, too; expected one or the other", name)
		}
	}
	t.AnySession = c.Session == "ignore"
	for i := 0; i < len(c.Status); i++ {
		t.Statuses = append(t.Statuses, p.number(at(path+"status", i), c.Status[i], 200, 599))
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
			p.add(at(path+"override", i), "%q; expected no-store, no-cache or private", c.Override[i])
		}
	}
	return t
}
