package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/tenant"
	"github.com/odoocache/odoocache/keys"
)

// Settings are valid options, parsed. Those of middlewares that differ in what is a tenant's own
// alone have the same rules, expressions and lists. So nothing of them is ever changed.
type Settings struct {
	Tenant    string        // its own, with Key, Purge.Secret and Purge.Previous
	Key       []byte        // from encryption.tenantKeys, nil: there are none
	keyFolder string        // of encryption.tenantKeys, where Tenants finds the tenant
	quota     option.Quota  // as it was given, from which a tenant of a list departs
	Edge      []string      // the value of EdgeHeader, which follows from the secrets
	Quota     QuotaSettings // its own, too

	Retention int64 // ms: nothing of an answer is kept for longer, 0: as long as it is of use

	Tenants *TenantsSettings // how the tenant of a request is found, nil: it is Tenant
	List    *TenantList      // those that are known when the middleware is made, nil: none has to be

	Name           string
	Rules          []*rule.Rule
	Plan           *rule.Plan // of the rules
	Default        *rule.Rule // for requests that no rule takes: RFC 9111 alone
	CacheHeader    string     // canonical
	PurgeHeader    string
	Session        string         // name of the session cookie, empty: none
	SessionPattern *regexp.Regexp // finds its values in Cookie fields
	ContextCookie  string         // empty: none
	CSRF           CSRFSettings
	EdgeHeader     string // canonical, empty: none
	Compression    int    // gzip level of stored text, 0: none
	EarlyRefresh   bool
	Rewarm         int  // pages after a purge
	Campaigns      bool // set the cookies of campaign parameters that are left out
	AdminPath      string
	Debug          bool
	Fill           FillSettings
	Country        CountrySettings
	Purge          PurgeSettings
	Limits         LimitSettings
	Storage        StorageSettings

	DropsAuthorization bool // of requests: it is a middleware's in front
	RefusesPrefetch    bool // of what could change a session

	Prepared *Once // what the handler makes of what is shared
}

// FillSettings say what requests are like that ask for what is stored.
type FillSettings struct {
	Address   string   // host:port that the origin takes for the client's
	Headers   []string // canonical names of fields that middlewares in front set for the origin, X-Odoo-Database among them
	Firewall  []string // canonical names of response fields by which firewalls mark answers of their own
	Abandoned int      // most that go on without the visitor they began for
}

// CountrySettings say what pages depend on the visitor's country.
type CountrySettings struct {
	Header string // lower case: request field with the country, empty: none
	Known  bool   // GeoIP is not to be found out
	GeoIP  bool   // Odoo has a database of countries, if that is known
}

// CSRFSettings say what becomes of pages with CSRF tokens, and of their forms.
type CSRFSettings struct {
	Tokens    bool   // are stored as they are
	Complete  bool   // are taken out, and put into forms
	Path      string // of a page that holds a token
	FormBytes int    // of a form that are looked at
}

// PurgeSettings say who may purge.
type PurgeSettings struct {
	Secret        string
	Previous      string // accepted, too, while Secret takes its place; empty: none
	Networks      []netip.Prefix
	FromResponses bool
}

// LimitSettings are the bounds of one request.
type LimitSettings struct {
	HeaderBytes  int
	KeyBytes     int
	QueryParams  int
	Variants     int
	Tags         keys.Limits
	Purge        keys.Limits
	PurgeBody    int64
	EraseTime    int64 // ms
	Signatures   int   // that are remembered
	Refreshes    int
	Evidence     int
	FetchTimeout int64 // ms
	CoalesceWait int64 // ms; 0: requests do not wait for each other
	Waiters      int
	Addresses    int

	RequestBytes  int // of a target, a field
	RequestFields int // fields, lines of one, members of one
}

// StorageSettings say what the entries are kept in. Middlewares with equal
// settings share one storage.
type StorageSettings struct {
	Redis           *resp.Options // nil: memory alone
	Cluster         []string      // addresses of nodes, where it is a cluster
	MemoryBytes     int64
	PreparedBytes   int64
	MaxStaleness    int64 // ms
	MaxMarks        int
	Journal         int
	SessionTTL      int64 // ms
	Sessions        int
	AdmissionBytes  int64 // 0: no bound
	AdmissionWindow int64 // ms
	AdmissionKeys   int
	Encryption      EncryptionSettings
	Place           string // where the server is
	Called          string // the same for messages
	Fingerprint     string // equal for equal settings, without secrets
}

// EncryptionSettings say by which keys is encrypted what Redis holds of pages.
type EncryptionSettings struct {
	Keys  [][]byte // the first one writes, all read; none: nothing is encrypted
	Apart bool     // each tenant has one of its own besides
	Files []string // with the keys
}

// ErrConfig is wrapped by the error of Build.
var ErrConfig = errors.New("odoocache: invalid configuration")

var (
	statusName = regexp.MustCompile("^[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*$") // a token of RFC 8941 §3.3.4
	tokenName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")            // RFC 9110 §5.6.2
)

// maxName bounds the names that are in keys and in Cache-Status, in bytes. The table of hits
// has thousands of texts that begin with the one in Cache-Status.
const maxName = 64

// Build checks the options and returns them parsed, or one error that names
// every mistake. What others have made of the same options is shared.
func Build(c *option.Config) (*Settings, error) {
	p := &problems{}
	print := fingerprintOf(c)
	s := shared(print)
	if s == nil {
		s = made(p, c, print)
	}
	own := *s
	own.Tenant = c.Tenant
	if !tenant.IsName(c.Tenant) {
		badTenant(p, c.Tenant)
	}
	own.Quota = quotaOf(p, c)
	if c.Encryption.TenantKeys != "" {
		p.ownKey(&own, &c.Encryption)
	}
	own.Purge.Secret = purgeSecret(p, &c.Purge)
	if givesPrevious(&c.Purge) {
		own.Purge.Previous = p.previousSecret(&c.Purge, own.Purge.Secret)
	}
	own.Edge = announced(&own.Purge)
	if own.Tenants != nil {
		p.listed(&own, c)
	}
	if len(p.list) > 0 {
		return nil, mistakes(p)
	}
	return &own, nil
}

// What a middleware needs whose options are known stands apart from the rest: an interpreter
// pays for all of a function that it calls.

func badTenant(p *problems, name string) {
	p.add("tenant", "%q; expected 1 to 64 letters, digits, dots, dashes or underscores", name)
}

func mistakes(p *problems) error {
	return fmt.Errorf("%w: %d mistake(s): %s", ErrConfig, len(p.list), strings.Join(p.list, "; "))
}

// made reads options that nobody had, and keeps what they make if they have no mistakes, and
// files are what they were.
func made(p *problems, c *option.Config, print string) *Settings {
	s := p.settings(c)
	if len(p.list) == 0 && fingerprintOf(c) == print {
		s = share(print, s)
	}
	return s
}

// settings reads all but what is a tenant's own.
func (p *problems) settings(c *option.Config) *Settings {
	p.unknown("", c.Unknown)
	s := &Settings{
		Name: c.Name, Session: c.Session.Cookie, Prepared: &Once{},
		CacheHeader: p.ownHeader("headers.cache", c.Headers.Cache),
		PurgeHeader: p.ownHeader("headers.purge", c.Headers.Purge),
	}
	p.unknown("headers.", c.Headers.Unknown)
	if s.CacheHeader == s.PurgeHeader && s.CacheHeader != "" {
		p.add("headers.purge", "%q is the name of headers.cache, too; expected another", c.Headers.Purge)
	}
	if !statusName.MatchString(c.Name) || len(c.Name) > maxName {
		p.add("name", "%q; expected a token of at most %d characters that begins with a letter, such as odoocache", c.Name, maxName)
	}
	p.unknown("session.", c.Session.Unknown)
	if c.Session.Cookie != "" && !isName(c.Session.Cookie) {
		p.add("session.cookie", "%q; expected the name of a cookie", c.Session.Cookie)
	}
	session := c.Session.Cookie
	if !isName(session) { // reported, or there is none
		session = ""
	}
	s.SessionPattern, _ = expression(`(?:^|[^A-Za-z0-9_.-])` + regexp.QuoteMeta(session) + `[^A-Za-z0-9_-]*([A-Za-z0-9_-]{32,128})`)
	s.ContextCookie = c.Session.ContextCookie
	if s.ContextCookie != "" && (!isName(s.ContextCookie) || s.ContextCookie == s.Session) {
		p.add("session.contextCookie", "%q; expected the name of a cookie, another than session.cookie", s.ContextCookie)
	}
	s.CSRF = p.csrf(c.CSRF)
	if c.Headers.Edge != "" {
		s.EdgeHeader = p.ownHeader("headers.edge", c.Headers.Edge)
	}
	s.Compression = p.number("compression", c.Compression, 0, 9)
	s.Rewarm = p.number("rewarm", c.Rewarm, 0, 1000)
	s.EarlyRefresh = p.boolean("earlyRefresh", c.EarlyRefresh, true)
	s.Campaigns = p.boolean("campaignCookies", c.CampaignCookies, true)
	p.unknown("admin.", c.Admin.Unknown)
	s.AdminPath = strings.TrimSuffix(c.Admin.Path, "/")
	if len(s.AdminPath) < 2 || !isPlainPath(s.AdminPath) {
		p.add("admin.path", "%q; expected a path such as /.odoocache", c.Admin.Path)
	} else if c.CSRF.Path == s.AdminPath || strings.HasPrefix(c.CSRF.Path, s.AdminPath+"/") {
		p.add("admin.path", "%q has csrf.path in it, which Odoo answers; expected a path that Odoo does not have", c.Admin.Path)
	}
	s.DropsAuthorization = p.oneOf("authorization", c.Authorization, "honor", "remove") == "remove"
	s.Debug = p.oneOf("logLevel", c.LogLevel, "error", "debug") == "debug"
	s.Fill = p.fill(c)
	s.Country = p.country(c.Country)
	s.Purge = p.purge(c.Purge)
	s.Limits = p.limits(c)
	s.Storage = p.storage(c)
	s.Retention = p.needed("retention", c.Retention)
	s.Tenants = p.tenants(c, s)
	p.rules(c, s, p.extension(c))
	if len(p.list) == 0 {
		s.Plan = rule.NewPlan(s.Rules, expression)
	}
	return s
}

func (p *problems) csrf(c option.CSRF) CSRFSettings {
	p.unknown("csrf.", c.Unknown)
	mode := p.oneOf("csrf.mode", c.Mode, "complete", "refuse", "ignore")
	s := CSRFSettings{
		Tokens: mode == "ignore", Complete: mode == "complete", Path: c.Path,
		FormBytes: int(p.size("csrf.formBytes", c.FormBytes, 1<<10, 1<<22)),
	}
	if !isPlainPath(c.Path) {
		p.add("csrf.path", "%q; expected a path such as /web/login", c.Path)
	}
	return s
}

func (p *problems) purge(c option.Purge) PurgeSettings {
	p.unknown("purge.", c.Unknown)
	s := PurgeSettings{FromResponses: p.boolean("purge.fromResponses", c.FromResponses, true)}
	for i := 0; i < len(c.Networks); i++ {
		text := strings.TrimSpace(c.Networks[i])
		network, err := parseNetwork(text)
		if err != nil {
			p.add(at("purge.networks", i), "%q; expected an address or a network such as 10.0.0.0/8", text)
			continue
		}
		if network.Bits() == 0 {
			p.add(at("purge.networks", i), "%q takes every address; expected no networks, and purge.secret", text)
			continue
		}
		s.Networks = append(s.Networks, network)
	}
	return s
}

// errMapped refuses networks such as ::ffff:10.0.0.0/104: a client's address is
// compared in its IPv4 form.
var errMapped = errors.New("an IPv4 network in IPv6 form")

func parseNetwork(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		network, err := netip.ParsePrefix(text)
		if err == nil && network.Addr().Is4In6() {
			err = errMapped
		}
		return network, err
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

func (p *problems) limits(c *option.Config) LimitSettings {
	l := c.Limits
	p.unknown("limits.", l.Unknown)
	tagBytes := p.number("limits.tagBytes", l.TagBytes, 1, 8192)
	return LimitSettings{
		HeaderBytes:  int(p.size("limits.headerBytes", l.HeaderBytes, 1<<10, 1<<20)),
		KeyBytes:     int(p.size("limits.keyBytes", l.KeyBytes, 256, 1<<20)),
		QueryParams:  p.number("limits.queryParams", l.QueryParams, 1, 1000),
		Variants:     p.number("limits.variants", l.Variants, 1, 1000),
		Tags:         keys.Limits{Tags: p.number("limits.tags", l.Tags, 1, 100000), Bytes: tagBytes},
		Purge:        keys.Limits{Tags: p.number("limits.purgeItems", l.PurgeItems, 1, 100000), Bytes: tagBytes},
		PurgeBody:    p.size("limits.purgeBody", l.PurgeBody, 256, 1<<26),
		EraseTime:    p.between("limits.eraseTime", l.EraseTime, 60*policy.Second),
		Signatures:   p.number("limits.signatures", l.Signatures, 100, 10000000),
		Refreshes:    p.number("limits.refreshes", l.Refreshes, 1, 10000),
		Evidence:     p.number("limits.evidence", l.Evidence, 0, 10000),
		FetchTimeout: p.between("limits.fetchTimeout", l.FetchTimeout, policy.Day),
		CoalesceWait: p.needed("limits.coalesceWait", l.CoalesceWait),
		Waiters:      p.number("limits.waiters", l.Waiters, 1, 1000000),
		Addresses:    p.number("limits.addresses", l.Addresses, 1, 1000000),

		RequestBytes:  int(p.size("limits.requestBytes", l.RequestBytes, 1<<10, 1<<20)),
		RequestFields: p.number("limits.requestFields", l.RequestFields, 16, 10000),
	}
}

func (p *problems) storage(c *option.Config) StorageSettings {
	p.unknown("memory.", c.Memory.Unknown)
	s := StorageSettings{
		MemoryBytes:  p.size("memory.bytes", c.Memory.Bytes, 0, 1<<40),
		MaxStaleness: p.duration("memory.maxStaleness", c.Memory.MaxStaleness, 1000),
		MaxMarks:     p.number("purge.maxMarks", c.Purge.MaxMarks, 100, 1000000),
		Journal:      p.number("purge.journal", c.Purge.Journal, 1, 100000),
		SessionTTL:   p.between("session.ttl", c.Session.TTL, 366*policy.Day),
		Sessions:     p.number("session.max", c.Session.Max, 100, 10000000),
		Redis:        p.redis(c.Redis),
	}
	s.Encryption = p.encryption(c.Encryption, s.Redis != nil)
	p.unknown("admission.", c.Admission.Unknown)
	s.AdmissionBytes = p.size("admission.bytes", c.Admission.Bytes, 0, 1<<40)
	s.AdmissionWindow = p.between("admission.window", c.Admission.Window, 7*policy.Day)
	s.AdmissionKeys = p.number("admission.keys", c.Admission.Keys, 100, 10000000)
	s.PreparedBytes = p.size("redis.preparedBytes", c.Redis.PreparedBytes, 1<<20, 1<<40)
	if s.Redis != nil {
		s.Cluster = trimmed(c.Redis.Cluster.Addresses)
	}
	if s.Redis == nil && s.MemoryBytes < 1<<20 {
		p.add("memory.bytes", "%q; expected at least 1MiB, since there is no redis.address", c.Memory.Bytes)
	}
	address := strings.TrimSpace(c.Redis.Address)
	if s.Redis != nil && address != "" {
		address = s.Redis.Address // a socket is written in two ways
	}
	s.Place = strings.Join([]string{
		address, c.Redis.Database, c.Redis.Sentinel.Master,
		strings.Join(c.Redis.Sentinel.Addresses, ","), strings.Join(c.Redis.Cluster.Addresses, ","),
	}, " ")
	s.Fingerprint = fingerprint(c, s)
	s.Called = called(s)
	return s
}

// fingerprint identifies a storage. Secrets enter it hashed, and certificates
// with their content: a renewed one makes another storage. A file with a password enters it
// by its name alone, since the client reads it again.
func fingerprint(c *option.Config, s StorageSettings) string {
	r := c.Redis
	secret := ""
	if s.Redis != nil {
		secret = secretOf(s.Redis.Password, r.PasswordFile)
	}
	parts := []string{
		r.Address, r.Username, secret, r.Database, r.Timeout, r.DialTimeout, r.PoolSize, r.IdleTimeout, r.MaxReplyBytes, r.PreparedBytes,
		c.Memory.Bytes, c.Memory.MaxStaleness, c.Purge.MaxMarks, c.Purge.Journal,
		c.Session.TTL, c.Session.Max, c.Admission.Bytes, c.Admission.Window, c.Admission.Keys,
		r.Sentinel.Master, strings.Join(r.Sentinel.Addresses, ","), r.Sentinel.Username, strings.Join(r.Cluster.Addresses, ","),
	}
	if s.Redis != nil && s.Redis.Sentinels != nil {
		parts = append(parts, secretOf(s.Redis.Sentinels.Password, r.Sentinel.PasswordFile))
	}
	parts = append(parts, c.Encryption.TenantKeys)
	for i := 0; i < len(s.Encryption.Keys); i++ {
		parts = append(parts, string(s.Encryption.Keys[i]))
	}
	for _, t := range []option.TLS{r.TLS, r.Sentinel.TLS} {
		parts = append(parts, t.Enabled, t.ServerName, t.InsecureSkipVerify)
		for _, file := range []string{t.CAFile, t.CertFile, t.KeyFile} {
			content := []byte{}
			if file != "" {
				content, _ = os.ReadFile(file) // a mistake that tls has reported
			}
			parts = append(parts, file, string(content))
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// called names a storage by what decides on where the pages are.
func called(s StorageSettings) string {
	o := s.Redis
	switch {
	case o == nil:
		return "this process's memory (" + strconv.FormatInt(s.MemoryBytes, 10) + " bytes)"
	case len(s.Cluster) > 0:
		return "the Redis Cluster of " + strings.Join(s.Cluster, ", ")
	case o.Sentinels != nil:
		return "the Redis that sentinels call " + o.Sentinels.Master + " (" + strings.Join(o.Sentinels.Addresses, ", ") + "), database " + strconv.Itoa(o.DB)
	}
	return "Redis at " + o.Address + ", database " + strconv.Itoa(o.DB)
}

// secretOf is what a fingerprint has of a password: the name of its file, if there is one.
func secretOf(password string, file *string) string {
	if file != nil {
		return "in " + *file
	}
	return password
}
