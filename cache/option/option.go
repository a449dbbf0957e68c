// Package option holds the plugin's options as Traefik decodes them from a file, labels or
// a custom resource, and their defaults. Package config reads them.
//
// Traefik decodes weakly: a label is always a string, a YAML number may land
// in a string field. So every option is a string, a list or a map of strings.
// Options that nobody knows are collected by Traefik's decoder in Unknown. No option has the name
// that JSON has for them.
//
// Two kinds of options are no plain strings, since what a weak decoder makes of
// them hides a mistake: secrets are pointers, so that one that is given but empty
// is told from one that is not given, and patterns are values of any kind, so that
// true is told from "1".
package option

// Config are the plugin's options.
type Config struct {
	Name              string     `json:"name,omitempty"`
	Tenant            string     `json:"tenant,omitempty"`
	Tenants           Tenants    `json:"tenants,omitempty"`
	Preset            string     `json:"preset,omitempty"`
	Languages         []string   `json:"languages,omitempty"`
	Odoo              Odoo       `json:"odoo,omitempty"`
	Rules             []Rule     `json:"rules,omitempty"`
	RequestDirectives string     `json:"requestDirectives,omitempty"`
	Authorization     string     `json:"authorization,omitempty"`
	Keep              string     `json:"keep,omitempty"`
	Retention         string     `json:"retention,omitempty"`
	LogLevel          string     `json:"logLevel,omitempty"`
	Compression       string     `json:"compression,omitempty"`
	EarlyRefresh      string     `json:"earlyRefresh,omitempty"`
	Rewarm            string     `json:"rewarm,omitempty"`
	CampaignCookies   string     `json:"campaignCookies,omitempty"`
	Redis             Redis      `json:"redis,omitempty"`
	Encryption        Encryption `json:"encryption,omitempty"`
	Memory            Memory     `json:"memory,omitempty"`
	Admission         Admission  `json:"admission,omitempty"`
	Quota             Quota      `json:"quota,omitempty"`
	Purge             Purge      `json:"purge,omitempty"`
	Admin             Admin      `json:"admin,omitempty"`
	Session           Session    `json:"session,omitempty"`
	CSRF              CSRF       `json:"csrf,omitempty"`
	Fill              Fill       `json:"fill,omitempty"`
	Country           Country    `json:"country,omitempty"`
	Headers           Headers    `json:"headers,omitempty"`
	Limits            Limits     `json:"limits,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Tenants say how one middleware finds the tenant of a request. Without them it has one.
type Tenants struct {
	Hosts   []string `json:"hosts,omitempty"`
	Header  string   `json:"header,omitempty"`
	File    string   `json:"file,omitempty"`
	Redis   string   `json:"redis,omitempty"`
	Refresh string   `json:"refresh,omitempty"`
	Max     string   `json:"max,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Odoo extends preset odoo.
type Odoo struct {
	IgnoreQuery   []string `json:"ignoreQuery,omitempty"`
	BypassPaths   []string `json:"bypassPaths,omitempty"`
	HarmlessPaths []string `json:"harmlessPaths,omitempty"`
	Prefetch      string   `json:"prefetch,omitempty"`
	Grace         string   `json:"grace,omitempty"`
	TTL           OdooTTL  `json:"ttl,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// OdooTTL says how long what preset odoo caches is fresh, by kind.
type OdooTTL struct {
	Home     string `json:"home,omitempty"`
	Products string `json:"products,omitempty"`
	Lists    string `json:"lists,omitempty"`
	Events   string `json:"events,omitempty"`
	Forum    string `json:"forum,omitempty"`
	Pages    string `json:"pages,omitempty"`
	Images   string `json:"images,omitempty"`
	Files    string `json:"files,omitempty"`
	Texts    string `json:"texts,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Rule is a route rule. The first that matches a request counts.
type Rule struct {
	Name              string                 `json:"name,omitempty"`
	Order             string                 `json:"order,omitempty"`
	Match             Match                  `json:"match,omitempty"`
	Bypass            string                 `json:"bypass,omitempty"`
	TTL               string                 `json:"ttl,omitempty"`
	Grace             string                 `json:"grace,omitempty"`
	StaleIfError      string                 `json:"staleIfError,omitempty"`
	Heuristic         string                 `json:"heuristic,omitempty"`
	Override          []string               `json:"override,omitempty"`
	RequestDirectives string                 `json:"requestDirectives,omitempty"`
	Session           string                 `json:"session,omitempty"`
	Fill              string                 `json:"fill,omitempty"`
	Vary              Vary                   `json:"vary,omitempty"`
	Query             Query                  `json:"query,omitempty"`
	Cookies           Cookies                `json:"cookies,omitempty"`
	Status            []string               `json:"status,omitempty"`
	MaxBody           string                 `json:"maxBody,omitempty"`
	Require           map[string]interface{} `json:"require,omitempty"`
	Refuse            map[string]interface{} `json:"refuse,omitempty"`
	Tags              []string               `json:"tags,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Match says which requests a rule takes. All that is given must match.
type Match struct {
	Hosts         []string               `json:"hosts,omitempty"`
	PathPrefixes  []string               `json:"pathPrefixes,omitempty"`
	PathRegexp    string                 `json:"pathRegexp,omitempty"`
	Methods       []string               `json:"methods,omitempty"`
	Headers       map[string]interface{} `json:"headers,omitempty"`
	Query         map[string]interface{} `json:"query,omitempty"`
	AnyQuery      map[string]interface{} `json:"anyQuery,omitempty"`
	AnyQueryWords string                 `json:"anyQueryWords,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Vary names what a rule makes part of the key.
type Vary struct {
	Headers   []string `json:"headers,omitempty"`
	Cookies   []string `json:"cookies,omitempty"`
	Languages []string `json:"languages,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Query says which parameters count. Those that do not count leave the key and
// the request to the origin.
type Query struct {
	Keep   []string `json:"keep,omitempty"`
	Ignore []string `json:"ignore,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Cookies says what becomes of cookies that a response sets: by default they
// make it uncacheable.
type Cookies struct {
	Drop []string `json:"drop,omitempty"`
	Keep []string `json:"keep,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Redis is the shared storage. Without an address the storage is this
// process's memory.
type Redis struct {
	Address       string  `json:"address,omitempty"`
	Username      string  `json:"username,omitempty"`
	Password      *string `json:"password,omitempty"`
	PasswordFile  *string `json:"passwordFile,omitempty"`
	PasswordEnv   *string `json:"passwordEnv,omitempty"`
	Database      string  `json:"database,omitempty"`
	Timeout       string  `json:"timeout,omitempty"`
	DialTimeout   string  `json:"dialTimeout,omitempty"`
	PoolSize      string  `json:"poolSize,omitempty"`
	IdleTimeout   string  `json:"idleTimeout,omitempty"`
	MaxReplyBytes string  `json:"maxReplyBytes,omitempty"`
	PreparedBytes string  `json:"preparedBytes,omitempty"`
	TLS           TLS     `json:"tls,omitempty"`

	Sentinel Sentinel `json:"sentinel,omitempty"`
	Cluster  Cluster  `json:"cluster,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Sentinel says which sentinels tell the address of the master.
type Sentinel struct {
	Master       string   `json:"master,omitempty"`
	Addresses    []string `json:"addresses,omitempty"`
	Username     string   `json:"username,omitempty"`
	Password     *string  `json:"password,omitempty"`
	PasswordFile *string  `json:"passwordFile,omitempty"`
	PasswordEnv  *string  `json:"passwordEnv,omitempty"`
	TLS          TLS      `json:"tls,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Cluster says by which nodes a Redis Cluster is found.
type Cluster struct {
	Addresses []string `json:"addresses,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// TLS encrypts the connections to Redis, or to its sentinels.
type TLS struct {
	Enabled            string `json:"enabled,omitempty"`
	CAFile             string `json:"caFile,omitempty"`
	CertFile           string `json:"certFile,omitempty"`
	KeyFile            string `json:"keyFile,omitempty"`
	ServerName         string `json:"serverName,omitempty"`
	InsecureSkipVerify string `json:"insecureSkipVerify,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Encryption says by which keys is encrypted what Redis holds of pages. Without keys it is not.
type Encryption struct {
	Keys       []string `json:"keys,omitempty"`
	TenantKeys string   `json:"tenantKeys,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Memory is the memory tier in front of Redis, or the storage without one.
type Memory struct {
	Bytes        string `json:"bytes,omitempty"`
	MaxStaleness string `json:"maxStaleness,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Admission bounds what pages take that nobody has asked for twice.
type Admission struct {
	Bytes  string `json:"bytes,omitempty"`
	Window string `json:"window,omitempty"`
	Keys   string `json:"keys,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Quota bounds what a tenant takes of what it shares with others.
type Quota struct {
	MemoryBytes   string `json:"memoryBytes,omitempty"`
	MemoryEntries string `json:"memoryEntries,omitempty"`
	RedisBytes    string `json:"redisBytes,omitempty"`
	RedisEntries  string `json:"redisEntries,omitempty"`
	Purges        string `json:"purges,omitempty"`
	Refreshes     string `json:"refreshes,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Purge says who may purge. Without a secret and networks nobody may by
// request; purge headers in the origin's responses always count unless
// fromResponses is false. While a secret is changed, the one before it counts, too.
type Purge struct {
	Secret        *string  `json:"secret,omitempty"`
	SecretFile    *string  `json:"secretFile,omitempty"`
	SecretEnv     *string  `json:"secretEnv,omitempty"`
	Networks      []string `json:"networks,omitempty"`
	FromResponses string   `json:"fromResponses,omitempty"`
	MaxMarks      string   `json:"maxMarks,omitempty"`
	Journal       string   `json:"journal,omitempty"`

	PreviousSecret     *string `json:"previousSecret,omitempty"`
	PreviousSecretFile *string `json:"previousSecretFile,omitempty"`
	PreviousSecretEnv  *string `json:"previousSecretEnv,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Admin is the control endpoint.
type Admin struct {
	Path string `json:"path,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Session says how sessions are recognised, and how long and of how many
// something is known.
type Session struct {
	Cookie        string `json:"cookie,omitempty"`
	ContextCookie string `json:"contextCookie,omitempty"`
	TTL           string `json:"ttl,omitempty"`
	Max           string `json:"max,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// CSRF says what becomes of pages that hold a CSRF token of Odoo.
type CSRF struct {
	Mode      string `json:"mode,omitempty"`
	Path      string `json:"path,omitempty"`
	FormBytes string `json:"formBytes,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Fill says what requests are like that ask for what is stored.
type Fill struct {
	Address   string   `json:"address,omitempty"`
	Headers   []string `json:"headers,omitempty"`
	Cookies   []string `json:"cookies,omitempty"`
	Firewall  []string `json:"firewall,omitempty"`
	Abandoned string   `json:"abandoned,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Country says what pages depend on the visitor's country.
type Country struct {
	Header string `json:"header,omitempty"`
	GeoIP  string `json:"geoip,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Headers are the names of the headers by which the origin and the cache talk.
type Headers struct {
	Cache string `json:"cache,omitempty"`
	Purge string `json:"purge,omitempty"`
	Edge  string `json:"edge,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Limits bound what a request, a response or a purge may hold.
type Limits struct {
	MaxBody      string `json:"maxBody,omitempty"`
	HeaderBytes  string `json:"headerBytes,omitempty"`
	KeyBytes     string `json:"keyBytes,omitempty"`
	QueryParams  string `json:"queryParams,omitempty"`
	VaryNames    string `json:"varyNames,omitempty"`
	Variants     string `json:"variants,omitempty"`
	Tags         string `json:"tags,omitempty"`
	TagBytes     string `json:"tagBytes,omitempty"`
	PurgeItems   string `json:"purgeItems,omitempty"`
	PurgeBody    string `json:"purgeBody,omitempty"`
	EraseTime    string `json:"eraseTime,omitempty"`
	Signatures   string `json:"signatures,omitempty"`
	Refreshes    string `json:"refreshes,omitempty"`
	Evidence     string `json:"evidence,omitempty"`
	FetchTimeout string `json:"fetchTimeout,omitempty"`
	CoalesceWait string `json:"coalesceWait,omitempty"`
	Waiters      string `json:"waiters,omitempty"`
	Addresses    string `json:"addresses,omitempty"`

	RequestBytes  string `json:"requestBytes,omitempty"`
	RequestFields string `json:"requestFields,omitempty"`

	Unknown map[string]interface{} `json:"?,omitempty" mapstructure:",remain"`
}

// Default returns the options with their defaults.
func Default() *Config {
	return &Config{
		Name:              "odoocache",
		Tenant:            "default",
		Tenants:           Tenants{Refresh: "10s", Max: "2000"},
		RequestDirectives: "honor",
		Authorization:     "honor",
		Keep:              "1h",
		Retention:         "0",
		LogLevel:          "error",
		Compression:       "4",
		EarlyRefresh:      "true",
		Rewarm:            "0",
		CampaignCookies:   "true",
		Odoo: Odoo{Prefetch: "refuse", Grace: "1h", TTL: OdooTTL{
			Home: "5m", Products: "5m", Lists: "5m", Events: "5m", Forum: "5m", Pages: "15m", Images: "10m", Files: "24h", Texts: "1h",
		}},
		Redis: Redis{
			Database: "0", Timeout: "100ms", DialTimeout: "250ms",
			PoolSize: "32", IdleTimeout: "5m", MaxReplyBytes: "32MiB", PreparedBytes: "16MiB",
		},
		Memory:    Memory{Bytes: "64MiB", MaxStaleness: "1s"},
		Admission: Admission{Bytes: "64MiB", Window: "10m", Keys: "65536"},
		Quota:     Quota{MemoryBytes: "0", MemoryEntries: "0", RedisBytes: "0", RedisEntries: "0", Purges: "6000", Refreshes: "0"},
		Purge:     Purge{FromResponses: "true", MaxMarks: "10000", Journal: "1000"},
		Admin:     Admin{Path: "/.odoocache"},
		Session:   Session{Cookie: "session_id", ContextCookie: "odoocache_context", TTL: "168h", Max: "100000"},
		CSRF:      CSRF{Mode: "complete", Path: "/web/login", FormBytes: "64KiB"},
		Fill:      Fill{Address: "192.0.2.1", Abandoned: "16"},
		Country:   Country{GeoIP: "auto"},
		Headers:   Headers{Cache: "X-Odoo-Cache", Purge: "X-Odoo-Purge", Edge: "X-Odoo-Cache-Edge"},
		Limits: Limits{
			MaxBody: "4MiB", HeaderBytes: "64KiB", KeyBytes: "8KiB", QueryParams: "64",
			VaryNames: "8", Variants: "16", Tags: "1000", TagBytes: "256",
			PurgeItems: "1000", PurgeBody: "256KiB", EraseTime: "5s", Signatures: "20000", Refreshes: "16", Evidence: "64", FetchTimeout: "2m",
			CoalesceWait: "15s", Waiters: "10000", Addresses: "4096",
			RequestBytes: "16KiB", RequestFields: "128",
		},
	}
}

// AnyLanguage, alone in a rule's vary.languages, stands for languages that are not known.
const AnyLanguage = "*"
