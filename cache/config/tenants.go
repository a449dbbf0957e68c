package config

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/tenant"
)

// TenantsSettings say how the tenant of a request is found. It is never changed.
type TenantsSettings struct {
	Patterns []*tenant.Pattern // hosts that have a tenant's name in them
	Header   string            // canonical: the field that has it, empty: the host tells
	File     string            // of a list, empty: none
	Redis    string            // the key of a hash that is a list, empty: none
	Refresh  int64             // ms: after which a list is looked at again
	Max      int               // tenants
}

// Listed reports whether there is a list: then whoever is not in it is no tenant.
func (s *TenantsSettings) Listed() bool {
	return s.File != "" || s.Redis != ""
}

// Member is a tenant of a list.
type Member struct {
	Name     string
	Hosts    []string       // as tenant.Host returns them
	Secret   string         // of its purges; empty: none of its own
	Previous string         // accepted, too; empty: none
	Kept     int64          // ms: the retention of its own, 0: that of all
	Quota    *QuotaSettings // nil: that of all
	Print    string         // another one if anything of it is

	written int  // hosts in the list
	files   bool // its secrets are in files or variables
}

// TenantList are the tenants that are known. It is never changed.
type TenantList struct {
	Names map[string]*Member // by name in lower case
	Hosts map[string]*Member
	Print string // another one if anything in it is
}

// member is a tenant as a list writes it.
type member struct {
	Hosts     []string      `json:"hosts"`
	Purge     memberSecrets `json:"purge"`
	Retention string        `json:"retention"`

	Quota json.RawMessage `json:"quota"`
}

// memberSecrets are what options have below purge, too.
type memberSecrets struct {
	Secret             *string `json:"secret"`
	SecretFile         *string `json:"secretFile"`
	SecretEnv          *string `json:"secretEnv"`
	PreviousSecret     *string `json:"previousSecret"`
	PreviousSecretFile *string `json:"previousSecretFile"`
	PreviousSecretEnv  *string `json:"previousSecretEnv"`
}

const (
	// maxList bounds a list, in bytes.
	maxList = 8 << 20
	// maxHosts bounds the hosts of one tenant.
	maxHosts = 1000
)

// tenants reads how the tenant of a request is found, nil if it is always the same.
func (p *problems) tenants(c *option.Config, s *Settings) *TenantsSettings {
	o := &c.Tenants
	p.unknown("tenants.", o.Unknown)
	t := &TenantsSettings{
		File: o.File, Redis: o.Redis,
		Refresh: p.between("tenants.refresh", o.Refresh, policy.Day),
		Max:     p.number("tenants.max", o.Max, 1, 100000),
	}
	for i := 0; i < len(o.Hosts); i++ {
		pattern, err := tenant.NewPattern(o.Hosts[i])
		if err != nil {
			p.add(at("tenants.hosts", i), "%q; %v", o.Hosts[i], err)
			continue
		}
		t.Patterns = append(t.Patterns, pattern)
	}
	if o.Header != "" {
		t.Header = p.tenantHeader(o.Header, s)
	}
	if len(o.Hosts) == 0 && o.Header == "" && !t.Listed() {
		if usual := option.Default().Tenants; o.Refresh != usual.Refresh || o.Max != usual.Max {
			p.add("tenants", "refresh or max is set, and nothing that tells the tenant; expected hosts, header, file or redis, too")
		}
		return nil
	}
	if len(o.Hosts) > 0 && o.Header != "" {
		p.add("tenants.header", "%q, but tenants.hosts is set, too; expected one of them to tell the tenant", o.Header)
	}
	if o.File != "" && o.Redis != "" {
		p.add("tenants.redis", "%q, but tenants.file is set, too; expected one list", o.Redis)
	}
	if o.Redis != "" && s.Storage.Redis == nil {
		p.add("tenants.redis", "%q, but there is no redis.address; expected one, or tenants.file", o.Redis)
	}
	if !isLine(o.Redis) || strings.ContainsAny(o.Redis, "{} ") {
		p.add("tenants.redis", "%q; expected the key of a hash, such as oc:tenants", o.Redis)
	}
	return t
}

// tenantHeader reads the name of the field that tells the tenant: one that a middleware in front
// sets, and that means nothing else.
func (p *problems) tenantHeader(name string, s *Settings) string {
	header := p.header("tenants.header", name)
	if isStandard(header) && header != "X-Odoo-Database" {
		p.add("tenants.header", "%q means something already; expected a field of a middleware in front, such as X-Tenant", name)
	}
	if header == s.CacheHeader || header == s.PurgeHeader || header == s.EdgeHeader {
		p.add("tenants.header", "%q is one of the headers by which the origin and the cache talk; expected another", name)
	}
	return header
}

// ReadTenants returns what is in the file of a list: names and what they stand for.
func ReadTenants(s *Settings) ([]string, error) {
	file := s.Tenants.File
	text, whole, err := readAtMost(file, maxList)
	if err != nil {
		return nil, fmt.Errorf("%w; expected a readable file", err)
	}
	if !whole {
		return nil, fmt.Errorf("%q has more than %d bytes; expected a list of tenants", file, maxList)
	}
	if strings.HasPrefix(text, "\ufeff") {
		return nil, fmt.Errorf("%q begins with a byte order mark; expected what comes after it", file)
	}
	return pairsOf(text)
}

var errListForm = errors.New(`expected a JSON object of tenants, such as {"acme": {"hosts": ["acme.example"], "purge": {"secretFile": "/run/secrets/acme"}}}`)

// pairsOf takes a JSON object apart: names and what they stand for, in order. What is there
// twice stays so.
func pairsOf(text string) ([]string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	first, err := d.Token()
	if err != nil || first != json.Delim('{') {
		return nil, errListForm
	}
	var pairs []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%v; %w", err, errListForm)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%v; %w", err, errListForm)
		}
		pairs = append(pairs, fmt.Sprint(name), string(value))
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%v; %w", err, errListForm)
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // it is never wrapped
		return nil, fmt.Errorf("there is more behind it; %w", errListForm)
	}
	return pairs, nil
}

// listTenants makes a list of names and what they stand for, in JSON. It returns all mistakes.
func listTenants(pairs []string, s *Settings) (*TenantList, []string) {
	l := &TenantList{Names: map[string]*Member{}, Hosts: map[string]*Member{}}
	p := &problems{}
	if len(pairs) == 0 {
		p.add("tenants", "the list is empty; expected a tenant")
		return nil, p.list
	}
	if len(pairs)/2 > s.Tenants.Max {
		p.add("tenants", "%d of them; expected at most tenants.max, which is %d", len(pairs)/2, s.Tenants.Max)
		return nil, p.list
	}
	secrets := map[string]string{} // whose they are
	prints := make([]string, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		m := p.member(pairs[i], pairs[i+1], s)
		if m == nil {
			continue
		}
		p.enter(l, m, s)
		for _, secret := range []string{m.Secret, m.Previous} {
			if secret == "" {
				continue
			}
			if whose := secrets[secret]; whose != "" && whose != m.Name {
				p.add(m.Name+".purge", "has a secret of %s; expected one of its own", whose)
			}
			if secret == s.Purge.Secret || secret == s.Purge.Previous {
				p.add(m.Name+".purge", "has the secret from which those of others follow (purge.secret); expected one of its own, or none")
			}
			secrets[secret] = m.Name
		}
		prints = append(prints, m.Print)
	}
	sort.Strings(prints)
	l.Print = printOf(prints)
	if len(p.list) > 0 {
		return nil, p.list
	}
	return l, nil
}

// enter puts a tenant into a list, by its name and its hosts.
func (p *problems) enter(l *TenantList, m *Member, s *Settings) {
	name := strings.ToLower(m.Name)
	if other := l.Names[name]; other != nil {
		p.add(m.Name, "is there twice, as %s, too; expected one", other.Name)
		return
	}
	l.Names[name] = m
	if m.written == 0 && s.Tenants.Header == "" && len(s.Tenants.Patterns) == 0 {
		p.add(m.Name+".hosts", "is empty, and nothing else tells the tenant; expected its hosts, or tenants.hosts or tenants.header")
	}
	for i := 0; i < len(m.Hosts); i++ {
		if other := l.Hosts[m.Hosts[i]]; other != nil && other != m {
			p.add(at(m.Name+".hosts", i), "%q is one of %s, too; expected one tenant for a host", m.Hosts[i], other.Name)
			continue
		}
		l.Hosts[m.Hosts[i]] = m
	}
}

// member reads one tenant of a list, nil if it is none.
func (p *problems) member(name, text string, s *Settings) *Member {
	if !tenant.IsName(name) {
		p.add("tenants", "%q; expected a name of 1 to 64 letters, digits, dots, dashes or underscores", name)
		return nil
	}
	var own member
	if err := decodeMember(text, &own); err != nil {
		p.add(name, "%v; expected an object with hosts, retention, quota and purge, which has secret, secretFile or secretEnv", err)
		return nil
	}
	m := &Member{Name: name, written: len(own.Hosts)}
	q := &problems{}
	if len(own.Hosts) > maxHosts {
		q.add("hosts", "%d of them; expected at most %d", len(own.Hosts), maxHosts)
		own.Hosts = nil
	}
	for i := 0; i < len(own.Hosts); i++ {
		host := tenant.Host(strings.TrimSpace(own.Hosts[i]))
		if host == "" || strings.ContainsAny(own.Hosts[i], ",/@") {
			q.add(at("hosts", i), "%q; expected the name of a host, such as shop.example", own.Hosts[i])
			continue
		}
		if !hasString(m.Hosts, host) { // shop.example and www.shop.example are one
			m.Hosts = append(m.Hosts, host)
		}
	}
	secrets := option.Purge{
		Secret: own.Purge.Secret, SecretFile: own.Purge.SecretFile, SecretEnv: own.Purge.SecretEnv,
		PreviousSecret: own.Purge.PreviousSecret, PreviousSecretFile: own.Purge.PreviousSecretFile, PreviousSecretEnv: own.Purge.PreviousSecretEnv,
	}
	if own.Retention != "" {
		if m.Kept = q.duration("retention", own.Retention, 0); m.Kept == 0 && len(q.list) == 0 {
			q.add("retention", "%q; expected a duration above 0, or no such option", own.Retention)
		}
	}
	if len(own.Quota) > 0 {
		m.Quota = q.ownQuota(string(own.Quota), s)
	}
	m.files = secrets.SecretFile != nil || secrets.SecretEnv != nil || secrets.PreviousSecretFile != nil || secrets.PreviousSecretEnv != nil
	m.Secret = purgeSecret(q, &secrets)
	if givesPrevious(&secrets) {
		m.Previous = q.previousSecret(&secrets, m.Secret)
	}
	for i := 0; i < len(q.list); i++ {
		p.list = append(p.list, name+"."+q.list[i])
	}
	m.Print = printOf(append([]string{m.Name, m.Secret, m.Previous, strconv.FormatInt(m.Kept, 10), string(own.Quota)}, m.Hosts...))
	return m
}

// ownQuota reads what of the middleware's quota is another one for a tenant.
func (p *problems) ownQuota(text string, s *Settings) *QuotaSettings {
	c := &option.Config{Quota: s.quota}
	if err := decodeStrictly(text, &c.Quota); err != nil {
		p.add("quota", "%v; expected an object with options of quota, each a text, such as {\"memoryBytes\": \"16MiB\"}", err)
		return nil
	}
	if s.Storage.Redis != nil {
		c.Redis.Address = s.Storage.Called // there is one
	}
	q := p.quota(c)
	return &q
}

var errMember = errors.New("is no JSON object")

// decodeMember reads an object that has each of its fields once, and nothing behind it.
func decodeMember(text string, own *member) error {
	pairs, err := pairsOf(text)
	if err != nil {
		return errMember
	}
	for i := 0; i < len(pairs); i += 2 {
		for j := 0; j < i; j += 2 {
			if pairs[i] == pairs[j] {
				return fmt.Errorf("%s is there twice", pairs[i])
			}
		}
	}
	return decodeStrictly(text, own)
}

// decodeStrictly reads an object that has no other fields than a type of ours. What it says of a
// mistake has no name of that.
func decodeStrictly(text string, into interface{}) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return plainly(err)
	}
	return nil
}

// typeMismatch is what JSON says of a value of another type.
var typeMismatch = regexp.MustCompile(`cannot unmarshal (\w+)(?: \S+)? into Go (?:struct field \w*\.([a-zA-Z.]+) of type|value)`)

// plainly returns an error without the names of types of ours.
func plainly(err error) error {
	if m := typeMismatch.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s is a JSON %s", m[2], m[1])
	}
	return err
}

// printOf is another one for another list of texts.
func printOf(list []string) string {
	text := &bytes.Buffer{}
	for i := 0; i < len(list); i++ {
		text.WriteString(strconv.Quote(list[i]))
	}
	sum := sha256.Sum256(text.Bytes())
	return hex.EncodeToString(sum[:])
}

// For returns the settings of one tenant: those that all share, with its name and its secrets.
// One without a secret of its own has one that follows from the middleware's, see TenantSecret. It
// returns an error where the key of a tenant's own cannot be read.
func (s *Settings) For(m *Member) (*Settings, error) {
	own := *s
	if s.keyFolder != "" {
		key, problem := readKey(filepath.Join(s.keyFolder, m.Name))
		if problem != "" {
			return nil, fmt.Errorf("encryption.tenantKeys: tenant %s: %s", m.Name, problem)
		}
		own.Key = key
	}
	own.Tenant = m.Name
	own.Tenants = nil
	own.List = nil
	if m.Kept > 0 && (own.Retention == 0 || m.Kept < own.Retention) {
		own.Retention = m.Kept
	}
	if m.Quota != nil {
		own.Quota = *m.Quota
	}
	own.Purge.Secret = m.Secret
	own.Purge.Previous = m.Previous
	if m.Secret == "" {
		own.Purge.Secret = TenantSecret(s.Purge.Secret, m.Name)
		own.Purge.Previous = TenantSecret(s.Purge.Previous, m.Name)
	}
	own.Edge = announced(&own.Purge)
	return &own, nil
}

// TenantSecret is the secret of a tenant that follows from one that stands for all: HMAC-SHA256
// of the name under it, in hexadecimal digits. So one tenant's tells nothing of another's. It is
// "" where there is none.
func TenantSecret(all, name string) string {
	if all == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(all))
	mac.Write([]byte("odoocache tenant " + strings.ToLower(name)))
	return hex.EncodeToString(mac.Sum(nil))
}
