package keys

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// ErrTag is wrapped by errors about the syntax of tags, addresses and lists.
var ErrTag = errors.New("keys: tags")

// ErrTagLimit is wrapped by errors about the number and length of tags.
var ErrTagLimit = errors.New("keys: tag limit")

// TagHashLen is the length of a hashed tag.
const TagHashLen = 22

// Tenant is the tag that every entry of a tenant carries.
const Tenant = "*"

// HashTag returns the identity of a tag: 128 bits of its SHA-256 in base64.
// kind keeps the name spaces apart: 't' a tag of the application, 'p' a path
// with any query, 'u' a path with its query, '*' the whole tenant.
func HashTag(kind, value string) string {
	sum := sha256.Sum256([]byte(kind + ":" + value))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// URLTags returns the hashed tags under which a page can be purged by its
// address: on this host and on any host of the tenant, with and without its
// query. host is folded, path decoded, query normalised. An empty query is none.
func URLTags(host, path, query string) []string {
	tags := []string{HashTag("p", path), HashTag("p", host+path)}
	if query != "" && query != EmptyQuery {
		query = strings.ReplaceAll(query, "#", "%23") // of an address it would be the fragment
		tags = append(tags, HashTag("u", path+"?"+query), HashTag("u", host+path+"?"+query))
	}
	return tags
}

// FoldHost lower-cases a host and removes its port and the dot of the root, for
// rules and purging: a purge of shop.example takes shop.example:8443 and
// shop.example. with it. Of a list, as proxies make of X-Forwarded-Host, the last
// counts, which is the one that Odoo believes.
func FoldHost(host string) string {
	if i := strings.LastIndexByte(host, ','); i >= 0 {
		host = strings.TrimSpace(host[i+1:])
	}
	host = strings.ToLower(host)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	return strings.TrimSuffix(host, ".")
}

// PathTag returns the hashed tag that a purge of an address marks. address is
// "/path", "/path?query", "//host/path" or "https://host/path". Without a query
// every query of that path is meant, without a host every host of the tenant.
func PathTag(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Path == "" || u.Path[0] != '/' {
		return "", fmt.Errorf("%w: %q is no path; expected /path, //host/path or a URL", ErrTag, address)
	}
	where := FoldHost(u.Host) + u.Path
	query, _, more := Query(u.RawQuery, false, Names{}, Names{}, 1000)
	if more {
		return "", fmt.Errorf("%w: the query of the path has too many parameters", ErrTag)
	}
	if query == "" {
		return HashTag("p", where), nil
	}
	return HashTag("u", where+"?"+query), nil
}

// PrefixOf returns the prefix that a purge of "/prefix", "//host/prefix" or a URL
// means: of the decoded path, with the folded host before it if one is given.
func PrefixOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Path == "" || u.Path[0] != '/' || u.RawQuery != "" {
		return "", fmt.Errorf("%w: %q is no prefix; expected /path, //host/path or a URL without query", ErrTag, address)
	}
	return FoldHost(u.Host) + u.Path, nil
}

// Limits bound what a tag header may hold.
type Limits struct {
	Tags  int // most tags of a page or of a purge
	Bytes int // longest tag
}

// ParseTags reads the tags of a response, each header in its own grammar:
// Surrogate-Key and xkey by white space (xkey also by commas), Cache-Tag by
// commas, Cache-Groups as a list of strings (RFC 9875 §2). The tags come back
// unhashed, without duplicates. An error means that the page cannot be purged
// as the application expects, and so must not be stored.
func ParseTags(h map[string][]string, l Limits) ([]string, error) {
	s := tagSet{seen: map[string]bool{}, limits: l}
	for _, line := range h["Surrogate-Key"] {
		s.addAll(strings.Fields(line))
	}
	for _, line := range h["Xkey"] {
		s.addAll(strings.Fields(strings.ReplaceAll(line, ",", " ")))
	}
	for _, line := range h["Cache-Tag"] {
		s.addAll(strings.Split(line, ","))
	}
	if lines := h["Cache-Groups"]; len(lines) > 0 {
		groups, err := ParseStrings(strings.Join(lines, ","))
		if err != nil {
			return nil, fmt.Errorf("Cache-Groups: %w", err)
		}
		s.addAll(groups)
	}
	return s.list, s.err
}

type tagSet struct {
	list   []string
	seen   map[string]bool
	limits Limits
	err    error
}

func (s *tagSet) addAll(tags []string) {
	for i := 0; i < len(tags) && s.err == nil; i++ {
		tag := strings.TrimSpace(tags[i])
		if tag == "" || s.seen[tag] {
			continue
		}
		if len(s.list) >= s.limits.Tags {
			s.err = fmt.Errorf("%w: more than %d tags", ErrTagLimit, s.limits.Tags)
			return
		}
		if s.err = checkTag(tag, s.limits.Bytes); s.err != nil {
			return
		}
		s.seen[tag] = true
		s.list = append(s.list, tag)
	}
}

// controls are the control characters of ASCII.
const controls = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"

// checkTag accepts printable ASCII and bytes of UTF-8: what an application can
// put into a header and name again in a purge.
func checkTag(tag string, limit int) error {
	if len(tag) > limit {
		return fmt.Errorf("%w: a tag of %d bytes; at most %d are allowed", ErrTagLimit, len(tag), limit)
	}
	if strings.ContainsAny(tag, controls) || strings.ContainsRune(tag, utf8.RuneError) { // or bytes that are no UTF-8
		return fmt.Errorf("%w: %q has a control character", ErrTag, tag)
	}
	return nil
}

// ParseStrings reads a list of strings (RFC 8941 §3.1): "a", "b". Parameters of
// a member are ignored, anything but a string is refused.
func ParseStrings(s string) ([]string, error) {
	var list []string
	s = strings.TrimSpace(s)
	for s != "" {
		if s[0] != '"' {
			return nil, fmt.Errorf("%w: %q; expected a list of quoted strings", ErrTag, s)
		}
		end := 1
		for end < len(s) && s[end] != '"' {
			if s[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(s) {
			return nil, fmt.Errorf("%w: %q has no closing quote", ErrTag, s)
		}
		item, err := unquote(s[1:end])
		if err != nil {
			return nil, err
		}
		list = append(list, item)
		rest := afterParameters(strings.TrimSpace(s[end+1:]))
		if rest == "" {
			break
		}
		if rest[0] != ',' {
			return nil, fmt.Errorf("%w: %q; expected a comma", ErrTag, rest)
		}
		s = strings.TrimSpace(rest[1:])
		if s == "" {
			return nil, fmt.Errorf("%w: a list ends in a comma", ErrTag)
		}
	}
	return list, nil
}

// unquote takes the escapes out of a string: of a quote and of a backslash,
// nothing else can be escaped (RFC 8941 §3.3.3).
func unquote(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	out := ""
	for i := strings.IndexByte(s, '\\'); i >= 0; i = strings.IndexByte(s, '\\') {
		if s[i+1] != '"' && s[i+1] != '\\' {
			return "", fmt.Errorf("%w: %q has an escape that is none", ErrTag, s)
		}
		out += s[:i] + s[i+1:i+2]
		s = s[i+2:]
	}
	return out + s, nil
}

// afterParameters returns what follows the parameters of a member of a list: a
// comma in a quoted value does not end them.
func afterParameters(s string) string {
	if !strings.HasPrefix(s, ";") {
		return s
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == ',' && !quoted:
			return s[i:]
		}
	}
	return ""
}
