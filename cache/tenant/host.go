package tenant

import (
	"strings"
	"unicode/utf8"

	"github.com/odoocache/odoocache/keys"
)

// maxHost is the longest name of a host, in bytes (RFC 1035 §2.3.4, less its own lengths).
const maxHost = 253

// Host returns the one spelling of all those of a host: in lower case, without a port, the dot
// of the root and a www before it, in the letters of DNS. It is "" for what is no name of a host
// and no address.
func Host(host string) string {
	if len(host) > 4*maxHost || !utf8.ValidString(host) {
		return ""
	}
	name := keys.FoldHost(host)
	if strings.IndexByte(name, ':') >= 0 {
		return address(name)
	}
	if !isASCII(name) {
		name = inDNS(name)
	}
	for strings.HasPrefix(name, "www.") && strings.IndexByte(name[4:], '.') > 0 {
		name = name[4:]
	}
	if len(name) > maxHost || !isHost(name) {
		return ""
	}
	return name
}

// address returns an IPv6 address as it is, in its brackets.
func address(host string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if len(inner) != len(host)-2 || strings.Trim(inner, "0123456789abcdef:.") != "" {
		return ""
	}
	return host
}

// isHost reports whether a name has labels of letters, digits, dashes and underscores, and nothing
// else.
func isHost(name string) bool {
	if name == "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c >= 'a' && c <= 'z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
