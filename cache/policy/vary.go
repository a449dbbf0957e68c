package policy

import (
	"net/http"
	"sort"
	"strings"
)

// varyLines returns the lines of Vary. A coded response was chosen by
// Accept-Encoding, whether its origin says so or not: a client that cannot
// decode it must not get it (RFC 9110 §12.5.3).
func varyLines(h http.Header) []string {
	lines := h["Vary"]
	if coding := h["Content-Encoding"]; len(coding) > 0 && !strings.EqualFold(coding[0], "identity") {
		lines = append(lines[:len(lines):len(lines)], "accept-encoding")
	}
	return lines
}

// Varies returns the request fields by which a response differs, in lower case and sorted,
// whatever its status; or why the response is for no other request (RFC 9111 §4.1).
func Varies(h http.Header, t Terms) (names []string, reason string) {
	if h["Vary"] == nil && h["Content-Encoding"] == nil {
		return nil, ""
	}
	return varyOf(varyLines(h), t.VaryNames)
}

// varyOf reads the lines of Vary into sorted lower-case names, or returns why
// the response cannot be stored (RFC 9111 §4.1).
func varyOf(lines []string, limit int) (names []string, reason string) {
	if len(lines) == 0 {
		return nil, ""
	}
	seen := map[string]bool{}
	for _, name := range strings.Split(strings.ToLower(strings.Join(lines, ",")), ",") {
		name = strings.TrimSpace(name)
		if name == "" || seen[name] {
			continue
		}
		if name == "*" {
			return nil, ReasonVaryStar
		}
		if name == "cookie" {
			return nil, ReasonVaryCookie
		}
		seen[name] = true
		names = append(names, name)
	}
	if len(names) > limit {
		return nil, ReasonVaryLimit
	}
	sort.Strings(names)
	return names, ""
}
