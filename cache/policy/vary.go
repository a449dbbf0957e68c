package policy

import (
	"sort"
	"strings"
)

// varyOf reads the lines of Vary into sorted lower-case names, or returns why
// the response cannot be stored (RFC 9111 §4.1).
func varyOf(lines []string, most int) (names []string, reason string) {
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
	if len(names) > most {
		return nil, ReasonVaryLimit
	}
	sort.Strings(names)
	return names, ""
}
