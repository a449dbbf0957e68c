package keys

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// Prefix begins every key that this cache writes to Redis.
const Prefix = "oc:"

// Target is where a request goes, as the origin will see it. Odoo echoes
// scheme and host in og:url, robots.txt and sitemap.xml, so both are part of
// the identity of a page.
type Target struct {
	Scheme    string
	Host      string // the Host field
	Forwarded string // X-Forwarded-Host where it differs: Odoo believes it in proxy_mode
	Path      string // as sent, still escaped
	Query     string // normalised, see Query
}

// TargetOf reads the target of a request, without its query.
func TargetOf(r *http.Request) Target {
	t := Target{Scheme: "http", Host: r.Host, Path: r.URL.EscapedPath()}
	if r.TLS != nil {
		t.Scheme = "https"
	}
	if proto := r.Header["X-Forwarded-Proto"]; len(proto) > 0 {
		t.Scheme = strings.Join(proto, ",")
	}
	if host := r.Header["X-Forwarded-Host"]; len(host) > 0 {
		if forwarded := strings.Join(host, ","); forwarded != r.Host {
			t.Forwarded = forwarded
		}
	}
	return t
}

// Primary returns the primary key. Each part is preceded by its length, so
// that no two lists of parts give the same key; a variant key goes on with a
// letter where a part would have a digit.
func Primary(tenant, rule string, t Target, dimensions []string) string {
	key := part(tenant) + part(rule) + part(t.Scheme) + part(t.Host) + part(t.Forwarded) + part(t.Path) + part(t.Query)
	return Extend(key, dimensions)
}

// Extend adds dimensions to a primary key that has none.
func Extend(primary string, dimensions []string) string {
	for i := 0; i < len(dimensions); i++ {
		primary += part(dimensions[i])
	}
	return primary
}

func part(s string) string {
	return strconv.Itoa(len(s)) + ":" + s
}

// Variant returns the key of the variant that a request selects: the primary
// key, and the value of each field that Vary names. names are lower case and
// sorted. Values are compared as RFC 9111 §4.1 allows: lines combined, white
// space around commas removed, the case of languages and codings folded. A
// value with a quote stays as it is: there white space may be content.
func Variant(primary string, names []string, h http.Header) string {
	key := primary + "v"
	for i := 0; i < len(names); i++ {
		key += part(names[i]) + part(FieldValue(names[i], h))
	}
	return key
}

// FieldValue returns the normalised value of a request field, with a mark that
// tells an absent field from an empty one. Of Accept-Encoding it is Coding.
func FieldValue(name string, h http.Header) string {
	if name == "accept-encoding" {
		return "=" + Coding(h)
	}
	lines := h[http.CanonicalHeaderKey(name)]
	if len(lines) == 0 {
		return "-"
	}
	value := strings.Join(lines, ",")
	if strings.IndexByte(value, '"') >= 0 {
		return "=" + value
	}
	if strings.IndexByte(value, ',') >= 0 || strings.IndexByte(value, ' ') >= 0 {
		members := strings.Split(value, ",")
		for i := 0; i < len(members); i++ {
			members[i] = strings.TrimSpace(members[i])
		}
		value = strings.Join(members, ",")
	}
	if strings.HasPrefix(name, "accept-") {
		value = strings.ReplaceAll(strings.ToLower(value), " ", "")
	}
	return "=" + value
}

// ID returns the hashed identity of a key: 43 characters of URL-safe base64.
func ID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Entry returns the Redis key of the entry with the identity id. The braces
// make all keys of a tenant share one slot of a Redis Cluster.
func Entry(tenant, id string) string {
	return Prefix + "{" + tenant + "}:e:" + id
}

// Lock returns the Redis key of the lock of an entry.
func Lock(tenant, id string) string {
	return Prefix + "{" + tenant + "}:l:" + id
}

// Nonce returns the Redis key of what a signature was used with.
func Nonce(tenant, id string) string {
	return Prefix + "{" + tenant + "}:n:" + id
}

// Marks returns the Redis key of a tenant's purge marks.
func Marks(tenant string) string {
	return Prefix + "{" + tenant + "}:marks"
}

// Ledger returns the Redis key of what a tenant's entries take, where that is counted.
func Ledger(tenant string) string {
	return Prefix + "{" + tenant + "}:ledger"
}

// Run returns the Redis key of the server's run that a tenant's marks are of.
func Run(tenant string) string {
	return Prefix + "{" + tenant + "}:run"
}

// Sessions returns the Redis key of what is known of a tenant's sessions.
func Sessions(tenant string) string {
	return Prefix + "{" + tenant + "}:sessions"
}

// Changes returns the Redis key of those of a tenant's sessions that have changed of late.
func Changes(tenant string) string {
	return Prefix + "{" + tenant + "}:changes"
}

// SessionID returns the hashed identity of a session: its id lets one sign in.
func SessionID(id string) string {
	return ID("session " + id)
}
