package tenant

import (
	"errors"
	"strings"
)

// Capture stands in a pattern for the name of a tenant.
const Capture = "{tenant}"

// Pattern takes hosts that have the name of a tenant in one place. It is never changed.
type Pattern struct {
	before, after string
}

var errPattern = errors.New("expected a host with " + Capture + " for one of its labels or a part of one, such as " + Capture + ".shops.example")

// NewPattern reads a pattern: a host with Capture in it, once. The rest has a label of its own
// behind that: a pattern that takes every host is none.
func NewPattern(text string) (*Pattern, error) {
	before, after, found := strings.Cut(strings.TrimSpace(text), Capture)
	if !found || strings.Contains(after, Capture) || strings.ContainsAny(text, ":/*?,@") {
		return nil, errPattern
	}
	const name = "0tenant0" // a name that no host changes
	host := Host(before + name + after)
	before, after, found = strings.Cut(host, name)
	label := before[strings.LastIndexByte(before, '.')+1:]
	if !found || strings.IndexByte(after, '.') < 0 || strings.HasPrefix(label, "xn--") {
		return nil, errPattern
	}
	return &Pattern{before: before, after: after}, nil
}

// Match returns the name of the tenant in a host that Host has returned, "" if there is none.
func Match(p *Pattern, host string) string {
	if len(host) <= len(p.before)+len(p.after) || !strings.HasPrefix(host, p.before) || !strings.HasSuffix(host, p.after) {
		return ""
	}
	name := host[len(p.before) : len(host)-len(p.after)]
	if !IsName(name) || strings.IndexByte(name, '.') >= 0 {
		return ""
	}
	return name
}

// MaxName is the longest name of a tenant, in bytes.
const MaxName = 64

// IsName reports whether a tenant can have a name: it begins with a letter or a digit, and has
// none but those, dots, dashes and underscores.
func IsName(name string) bool {
	if name == "" || len(name) > MaxName || strings.ContainsAny(name[:1], "._-") {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
