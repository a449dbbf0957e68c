package config

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// maxRules bounds what a request has to be compared with.
const maxRules = 1000

// defaultName is the name of the rule that takes what no other does. Names are
// part of the keys, so no other rule may have it.
const defaultName = "-"

// defaults are what a rule takes where it says nothing itself.
type defaults struct {
	directives bool
	maxBody    int64
	preset     bool           // the rule is not the operator's own
	fits       int64          // largest body that can be read back from Redis
	tagBytes   int            // of the longest tag that a purge can name
	sessions   []string       // names of cookies that belong to one visitor's session
	country    string         // lower case: request field with the visitor's country
	nobody     bool           // rules that say nothing are filled as nobody
	dropped    *regexp.Regexp // cookies of the infrastructure
	terms      policy.Terms
}

func (p *problems) defaults(c *option.Config, s *Settings) defaults {
	return defaults{
		tagBytes:   s.Limits.Tags.Bytes,
		sessions:   p.sessionsOf(c),
		country:    s.Country.Header,
		nobody:     c.Preset != "",
		dropped:    p.infrastructure(c.Fill, c.Session),
		fits:       largestBody(s),
		directives: p.oneOf("requestDirectives", c.RequestDirectives, "honor", "ignore") == "honor",
		maxBody:    p.size("limits.maxBody", c.Limits.MaxBody, 0, 1<<30),
		terms: policy.Terms{
			AppHeader:    canonical(c.Headers.Cache),
			TTL:          policy.Unset,
			Grace:        policy.Unset,
			StaleIfError: policy.Unset,
			Keep:         p.needed("keep", c.Keep),
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

// rules compiles the rules: the operator's own, then the preset's as own extends it, then
// what RFC 9111 says.
func (p *problems) rules(c *option.Config, s *Settings, own option.Odoo) {
	mistakes := len(p.list)
	languages := p.languages("languages", c.Languages)
	if len(p.list) > mistakes { // reported; the preset's rules need not repeat it
		languages = nil
	}
	all := append([]option.Rule{}, c.Rules...)
	switch c.Preset {
	case "":
	case "odoo":
		all = append(all, odoo.Rules(languages, s.Country.Header, own)...)
		s.RefusesPrefetch = own.Prefetch == "refuse"
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
		if len(all[i].Name) > maxName || !isLine(all[i].Name) {
			p.add(path+"name", "%q; expected one line of at most %d bytes, without blanks around it", all[i].Name, maxName)
		}
		names[all[i].Name] = true
		d.preset = i >= len(c.Rules)
		if !d.preset {
			s.Rules = append(s.Rules, p.rule(path, all[i], d))
			continue
		}
		unseen := &problems{trusted: true}
		s.Rules = append(s.Rules, unseen.rule("", all[i], d))
		if len(unseen.list) > 0 { // of an option that the rule was made with, or against
			p.add("preset", "does not go with the other options: %s of its rule %s", unseen.list[0], all[i].Name)
			break
		}
	}
	p.uselessWithoutNobody(c, s)
	p.inOrder(c.Rules, s.Rules)
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

// evidenceBit returns the bit of a rule in what evidence has shown of a session, see
// storage.GivesNobodys. Rules of the operator share those that the preset leaves.
func evidenceBit(name string, preset bool) int {
	for i := 0; i < len(odoo.EvidenceGroups) && preset; i++ {
		if odoo.EvidenceGroups[i] == name {
			return i + 1
		}
	}
	if preset {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	first := len(odoo.EvidenceGroups) + 1
	return first + int(h.Sum32()%uint32(storage.EvidenceBits-first))
}

// maxOrder is the largest number that a rule can be put in order by.
const maxOrder = 1000000

// inOrder sorts the operator's rules by their option order, those that are equal by
// their places. It is for providers that do not keep the order of a list: labels are
// sorted as text, so that rules[10] comes before rules[9].
func (p *problems) inOrder(own []option.Rule, rules []*rule.Rule) {
	if len(rules) < len(own) {
		return
	}
	orders := make([]int, len(own))
	for i := 0; i < len(own); i++ {
		orders[i] = i
		if own[i].Order != "" {
			orders[i] = p.number(at("rules", i)+".order", own[i].Order, -maxOrder, maxOrder)
		}
	}
	for i := 1; i < len(own); i++ { // an insertion sort, which is stable
		for j := i; j > 0 && orders[j] < orders[j-1]; j-- {
			orders[j], orders[j-1] = orders[j-1], orders[j]
			rules[j], rules[j-1] = rules[j-1], rules[j]
		}
	}
}

func (p *problems) rule(path string, c option.Rule, d defaults) *rule.Rule {
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
	for i := 0; i < len(r.Tags); i++ {
		if len(r.Tags[i]) > d.tagBytes || !isLine(r.Tags[i]) {
			p.add(at(path+"tags", i), "%q is no tag that a purge can name; expected one line of at most limits.tagBytes, %d bytes", r.Tags[i], d.tagBytes)
		}
	}
	if r.Bypass && (c.TTL != "" || c.Grace != "" || c.StaleIfError != "") {
		p.add(path+"bypass", "is true, but ttl, grace or staleIfError is set; expected one or the other")
	}
	p.useless(path, c, r)
	if c.Session != "" {
		word := p.oneOf(path+"session", c.Session, "answer", "bypass", "ignore", "keep", "mark", "reads")
		r.KeepsSession = word == "keep" || word == "ignore"
		r.MarksSession = word == "mark"
		r.ReadsSession = word == "reads"
		r.AnswerTells = word == "answer"
	}
	nobody := d.nobody
	if c.Fill != "" {
		nobody = p.oneOf(path+"fill", c.Fill, "nobody", "visitor") == "nobody"
	}
	asNobody(r, d, nobody)
	r.Evidence = evidenceBit(r.Name, d.preset)
	p.vary(path+"vary.", c.Vary, r, d.sessions)
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

// useless reports options of a rule that do nothing beside its others.
func (p *problems) useless(path string, c option.Rule, r *rule.Rule) {
	if r.Bypass {
		given := []string{"vary", "tags", "status", "override", "cookies", "maxBody", "heuristic"}
		is := []bool{
			len(c.Vary.Headers)+len(c.Vary.Cookies)+len(c.Vary.Languages) > 0, len(c.Tags) > 0, len(c.Status) > 0, len(c.Override) > 0,
			len(c.Cookies.Drop)+len(c.Cookies.Keep) > 0, c.MaxBody != "", r.Terms.Heuristic,
		}
		for i := 0; i < len(given); i++ {
			if is[i] {
				p.add(path+given[i], "does nothing, since bypass is true and nothing is stored; expected one or the other")
			}
		}
	} else if len(r.Match.Methods) > 0 && !hasString(r.Match.Methods, http.MethodGet) && (c.TTL != "" || c.Grace != "" || c.StaleIfError != "") {
		name := "ttl"
		if c.TTL == "" {
			name = "grace"
		}
		if c.TTL+c.Grace == "" {
			name = "staleIfError"
		}
		p.add(path+name, "does nothing, since only answers to GET are stored; expected GET in match.methods")
	}
	if c.Session == "answer" && !r.Bypass {
		p.add(path+"session", "%q does nothing without bypass, since pages that are stored change no session; expected both", c.Session)
	}
	if words, _ := strconv.ParseBool(strings.TrimSpace(c.Match.AnyQueryWords)); words && len(c.Match.AnyQuery) == 0 {
		p.add(path+"match.anyQueryWords", "does nothing without match.anyQuery; expected both")
	}
	for i := 0; i < len(c.Query.Keep); i++ {
		if name := strings.TrimSpace(c.Query.Keep[i]); name != "" && hasString(trimmed(c.Query.Ignore), name) {
			p.add(at(path+"query.keep", i), "%q is in query.ignore, too; expected one or the other", name)
		}
	}
}

// uselessWithoutNobody reports options of requests that are built from the key, where no
// rule asks so, and none varies by the country.
func (p *problems) uselessWithoutNobody(c *option.Config, s *Settings) {
	if c.Preset != "" {
		return
	}
	if len(c.Languages) > 0 {
		p.add("languages", "does nothing without a preset; expected preset: odoo, or vary.languages of a rule")
	}
	nobody, country := false, false
	for i := 0; i < len(s.Rules); i++ {
		nobody = nobody || s.Rules[i].Nobody
		country = country || hasString(s.Rules[i].Headers, s.Country.Header)
	}
	if !nobody && len(c.Fill.Cookies) > 0 {
		p.add("fill.cookies", "does nothing, since nothing is filled as nobody; expected preset: odoo, or fill: nobody of a rule")
	}
	if !country && s.Country.Header != "" {
		p.add("country.header", "does nothing without a preset, since no rule varies by it; expected preset: odoo, or vary.headers of a rule with it")
	}
}

// params reads a list of parameters. Those of the preset, which are long, have no mistakes.
func (p *problems) params(path string, list []string, preset bool) keys.Names {
	if !preset {
		list = p.parameters(path, list)
	}
	return nameSet(list, false)
}

func (p *problems) match(path string, c option.Match) rule.Match {
	p.unknown(path, c.Unknown)
	if len(c.Hosts)+len(c.PathPrefixes)+len(c.PathRegexp)+len(c.Methods)+len(c.Headers)+len(c.Query)+len(c.AnyQuery)+len(c.Unknown) == 0 {
		p.add(strings.TrimSuffix(path, "."), "is empty, so the rule would take every request; expected what it is for, or pathPrefixes with / alone if it is for all")
	}
	m := rule.Match{
		Hosts:    p.names(path+"hosts", c.Hosts),
		Prefixes: p.names(path+"pathPrefixes", c.PathPrefixes),
		Headers:  p.fields(path+"headers.", c.Headers, true),
		Query:    p.fields(path+"query.", c.Query, false),
	}
	for i := 0; i < len(m.Query); i++ {
		if strings.Contains(m.Query[i].Name, "*") {
			p.add(path+"query."+m.Query[i].Name, "is no name of a parameter; expected one in full, or match.anyQuery")
		}
	}
	words := p.boolean(path+"anyQueryWords", c.AnyQueryWords, false)
	m.InName = words
	m.Any = len(c.AnyQuery) > 0
	m.AnyName, m.AnyValue = p.anyQuery(path+"anyQuery.", c.AnyQuery, words)
	for i := 0; i < len(m.Hosts); i++ {
		host := keys.FoldHost(m.Hosts[i])
		if m.Hosts[i] != "" && (!isHost(host) || strings.TrimSuffix(strings.ToLower(m.Hosts[i]), ".") != host) {
			p.add(at(path+"hosts", i), "%q; expected a host such as shop.example or *.example, without scheme, port or path", c.Hosts[i])
		}
		m.Hosts[i] = host
	}
	p.prefixes(path+"pathPrefixes", m.Prefixes)
	if c.PathRegexp != "" {
		m.Path = p.pathPattern(path+"pathRegexp", c.PathRegexp)
		if p.trusted && c.PathRegexp == odoo.MayBePersonalPath {
			m.PathIs = odoo.IsPersonalPath
		}
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
		case m.Methods[i] != "" && !methodName.MatchString(m.Methods[i]):
			p.add(at(path+"methods", i), "%q; expected a method such as GET", c.Methods[i])
		}
	}
	if head >= 0 && !get {
		p.add(at(path+"methods", head), "%q goes with GET, which takes it; expected GET", c.Methods[head])
	}
	return m
}

// methodName is what a method that rules can ask for looks like: 1 and * are tokens,
// too (RFC 9110 §9.1), but nobody's method.
var methodName = regexp.MustCompile(`^[A-Z][A-Z_-]*$`)

// hostName is a folded name, perhaps with subdomains, as it stands in a Host field:
// names in other scripts stand there in their ASCII form.
var hostName = regexp.MustCompile(`^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// onlyDigits is the last part of no name (RFC 3696 §2).
var onlyDigits = regexp.MustCompile(`(^|\.)[0-9]+$`)

func isHost(host string) bool {
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil {
		return ip.Is4() == (host[0] != '[')
	}
	return hostName.MatchString(host) && !onlyDigits.MatchString(host)
}

// notInPrefix are characters that make something else of a path that is to be taken as
// it stands: patterns of other tools, queries, escapes.
const notInPrefix = "*?#%^$|(){}[]<>\\`\""

// prefixes checks paths that begin what a rule takes: decoded ones, as they stand.
func (p *problems) prefixes(path string, list []string) {
	for i := 0; i < len(list); i++ {
		prefix := list[i]
		switch {
		case prefix == "":
		case prefix[0] != '/':
			p.add(at(path, i), "%q; expected a path that begins with /", prefix)
		case prefix == "/" && len(list) > 1:
			p.add(at(path, i), "%q takes every path, so the others say nothing; expected it alone, or not at all", prefix)
		case strings.ContainsAny(prefix, notInPrefix) || strings.IndexFunc(prefix, unicode.IsControl) >= 0:
			p.add(at(path, i), "%q would match nothing; expected a decoded path such as /shop, which takes all below it, or match.pathRegexp", prefix)
		case strings.Contains(prefix, "//") || dotSegment.MatchString(prefix):
			p.add(at(path, i), "%q would match nothing; expected a path without empty and dot segments", prefix)
		}
	}
}

// isPlainPath reports whether a path is one that requests can have, as it stands.
func isPlainPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsAny(path, notInPrefix+" ") && strings.IndexFunc(path, unicode.IsControl) < 0 &&
		!strings.Contains(path, "//") && !dotSegment.MatchString(path)
}

var dotSegment = regexp.MustCompile(`/\.{1,2}(/|$)`)

// anyQuery reads a map of names of parameters, which may end in *, those of a preset begin
// with it, too, and patterns.
func (p *problems) anyQuery(path string, m map[string]interface{}, words bool) (set keys.Names, params []rule.Param) {
	var list []string
	fields := p.fields(path, m, false)
	for i := 0; i < len(fields); i++ {
		if inMidst(fields[i].Name) {
			p.add(path+fields[i].Name, "has a * in its midst; expected a name, which may begin or end in *")
		}
		if fields[i].Pattern == nil {
			list = append(list, fields[i].Name)
		} else {
			param := rule.Param{Names: nameSet([]string{fields[i].Name}, words), Pattern: fields[i].Pattern}
			if p.trusted && param.Pattern.String() == odoo.MayBePersonalValue {
				param.Is = odoo.IsPersonalValue
			}
			params = append(params, param)
		}
	}
	return nameSet(list, words), params
}

// parameters is names for parameters, which may end in *.
func (p *problems) parameters(path string, list []string) []string {
	names := p.names(path, list)
	for i := 0; i < len(names); i++ {
		if inMidst(names[i]) {
			p.add(at(path, i), "%q has a * in its midst; expected a name, which may begin or end in *", names[i])
		}
	}
	return names
}

// inMidst reports whether a name has a * that stands for nothing: one may begin it, and
// one end it.
func inMidst(name string) bool {
	return strings.Contains(strings.TrimPrefix(strings.TrimSuffix(name, "*"), "*"), "*")
}

// fields reads a map of names and patterns; an empty pattern or * matches any value.
func (p *problems) fields(path string, m map[string]interface{}, header bool) []rule.Field {
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
		if pattern := p.patternText(path+name, m[name]); pattern != "" && pattern != "*" {
			f.Pattern = p.pattern(path+name, pattern)
		}
		fields = append(fields, f)
	}
	return fields
}

// patternText returns the text of a pattern. Only text is one: what true was meant to
// match cannot be told. A number matches its digits.
func (p *problems) patternText(path string, value interface{}) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		p.add(path, "%t is a boolean; expected a regular expression: write \"%t\", in quotes", v, v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int, int64, uint64:
		return fmt.Sprint(v)
	default:
		p.add(path, "%v is no text; expected a regular expression, in quotes", v)
	}
	return "*"
}

func (p *problems) vary(path string, c option.Vary, r *rule.Rule, sessions []string) {
	p.unknown(path, c.Unknown)
	r.Cookies = p.cookieNames(path+"cookies", c.Cookies)
	for i := 0; i < len(r.Cookies); i++ {
		if hasString(sessions, r.Cookies[i]) {
			p.add(at(path+"cookies", i), "%q belongs to one visitor's session; expected another cookie, or bypass", r.Cookies[i])
		} else if r.Cookies[i] == odoo.LanguageCookie && len(c.Languages) > 0 {
			p.add(at(path+"cookies", i), "%q is what vary.languages goes by; expected one or the other", r.Cookies[i])
		}
	}
	headers := p.names(path+"headers", c.Headers)
	seen := map[string]bool{}
	for i := 0; i < len(headers); i++ {
		if headers[i] == "" {
			continue
		}
		place := at(path+"headers", i)
		name := p.header(place, headers[i])
		switch {
		case name == "Cookie":
			p.add(place, "%q would make an entry for each visitor; expected vary.cookies with names", headers[i])
		case name == "Authorization":
			p.add(place, "%q would put credentials into the key; expected another header", headers[i])
		case hasString(keyFields, name):
			p.add(place, "%q is part of every key; expected another header", headers[i])
		case hasString(singleFields, name):
			p.add(place, "%q would make an entry for each visitor or request; expected another header", headers[i])
		case hasString(hopFields, name) || strings.HasPrefix(name, "If-"):
			p.add(place, "%q is for caches and connections; expected another header", headers[i])
		case seen[name] && !hasString(headers[:i], headers[i]): // else names has said so
			p.add(place, "%q is listed twice, in another case; expected it once", headers[i])
		}
		seen[name] = true
		r.Headers = append(r.Headers, strings.ToLower(name))
	}
	if len(c.Languages) == 1 && c.Languages[0] == option.AnyLanguage {
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
		if names[i] != "" && !isName(names[i]) {
			p.add(at(path, i), "%q; expected the name of a cookie", names[i])
		}
	}
	return names
}

// terms reads what a rule says of responses.
func (p *problems) terms(path string, c option.Rule, d defaults) policy.Terms {
	t := d.terms
	p.unknown(path+"cookies.", c.Cookies.Unknown)
	t.TTL = p.duration(path+"ttl", c.TTL, policy.Unset)
	t.Grace = p.duration(path+"grace", c.Grace, policy.Unset)
	t.StaleIfError = p.duration(path+"staleIfError", c.StaleIfError, policy.Unset)
	t.Heuristic = p.boolean(path+"heuristic", c.Heuristic, false)
	t.DropCookies = p.cookieNames(path+"cookies.drop", c.Cookies.Drop)
	t.KeepCookies = p.cookieNames(path+"cookies.keep", c.Cookies.Keep)
	for i := 0; i < len(t.KeepCookies); i++ {
		if name := t.KeepCookies[i]; hasString(d.sessions, name) {
			p.add(at(path+"cookies.keep", i), "%q would hand one visitor's session to all others; expected cookies.drop", name)
		} else if hasString(t.DropCookies, name) {
			p.add(at(path+"cookies.keep", i), "%q is in cookies.drop, too; expected one or the other", name)
		}
	}
	t.AnySession = c.Session == "ignore"
	for i := 0; i < len(c.Status); i++ {
		status := p.number(at(path+"status", i), c.Status[i], 200, 599)
		if status == http.StatusPartialContent || status == http.StatusNotModified || status == http.StatusRequestedRangeNotSatisfiable {
			p.add(at(path+"status", i), "%d answers one client's Range or condition, and is never stored; expected another status", status)
		}
		for j := 0; j < len(t.Statuses); j++ {
			if t.Statuses[j] == status && strings.TrimSpace(c.Status[j]) == strings.TrimSpace(c.Status[i]) {
				p.add(at(path+"status", i), "%d is listed twice", status)
			}
		}
		t.Statuses = append(t.Statuses, status)
	}
	seen := map[string]bool{}
	for i := 0; i < len(c.Override); i++ {
		word := strings.TrimSpace(c.Override[i])
		switch word {
		case "no-store":
			t.Override.NoStore = true
		case "no-cache":
			t.Override.NoCache = true
		case "private":
			t.Override.Private = true
		default:
			p.add(at(path+"override", i), "%q; expected no-store, no-cache or private", c.Override[i])
			continue
		}
		if seen[word] {
			p.add(at(path+"override", i), "%q is listed twice", word)
		}
		seen[word] = true
	}
	return t
}
