package policy

import "strings"

// ParseTargeted reads CDN-Cache-Control, a dictionary of structured fields
// (RFC 9213 §2.1, RFC 8941 §3.2). ok is false when it is absent, empty or not
// well-formed: then it counts as not there (RFC 9213 §2.2).
func ParseTargeted(lines []string) (d Directives, ok bool) {
	d = newDirectives()
	rest := strings.TrimSpace(strings.Join(lines, ","))
	if rest == "" {
		return d, false
	}
	d.Present = true
	for {
		var item string
		item, rest = nextItem(rest)
		if !d.setStructured(strings.TrimSpace(item)) {
			return d, false
		}
		if rest == "" {
			return d, true
		}
	}
}

// setStructured takes one dictionary member: key[=value][;parameters].
func (d *Directives) setStructured(member string) bool {
	member, _ = cutOutsideQuotes(member, ';')
	name, value, hasValue := strings.Cut(strings.TrimSpace(member), "=")
	if !structuredKey(name) || (hasValue && !structuredValue(value)) {
		return false
	}
	switch name {
	case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error":
		n := delta(value, Unset)
		if n == Unset || value[0] == '"' {
			return false // an integer is expected
		}
		d.set(name, value, true)
	case "no-cache", "private":
		if value != "?0" {
			d.set(name, strings.TrimPrefix(value, "?1"), hasValue && value != "?1")
		}
	default:
		if value != "?0" {
			d.set(name, "", false)
		}
	}
	return true
}

func cutOutsideQuotes(s string, sep byte) (before, after string) {
	q := strings.IndexByte(s, '"')
	i := strings.IndexByte(s, sep)
	if i < 0 {
		return s, ""
	}
	if q >= 0 && q < i {
		end := closingQuote(s, q+1)
		if end < 0 {
			return s, ""
		}
		j := strings.IndexByte(s[end:], sep)
		if j < 0 {
			return s, ""
		}
		i = end + j
	}
	return s[:i], s[i+1:]
}

// structuredKey reports whether s is a key of RFC 8941 §3.1.2.
func structuredKey(s string) bool {
	if s == "" || strings.IndexByte("abcdefghijklmnopqrstuvwxyz*", s[0]) < 0 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.*") == ""
}

// structuredValue reports whether s could be a bare item of RFC 8941 §3.3:
// a boolean, a string, a byte sequence, a number or a token.
func structuredValue(s string) bool {
	if s == "" {
		return false
	}
	switch s[0] {
	case '?':
		return s == "?0" || s == "?1"
	case '"':
		return closingQuote(s, 1) == len(s)-1
	case ':':
		return len(s) > 1 && s[len(s)-1] == ':'
	case '(':
		return s[len(s)-1] == ')'
	}
	return !strings.ContainsAny(s, " \t\",;=&\\(){}[]<>@?")
}

// ParseSurrogate reads Surrogate-Control (Edge Architecture Specification 1.0):
// max-age=600+300 means fresh for 600 s and usable stale for another 300 s.
func ParseSurrogate(lines []string) (d Directives, ok bool) {
	if len(lines) == 0 {
		return newDirectives(), false
	}
	plain := make([]string, 0, len(lines))
	grace := Unset
	for i := 0; i < len(lines); i++ {
		rest := lines[i]
		for rest != "" {
			var item string
			item, rest = nextItem(rest)
			item, _ = cutOutsideQuotes(strings.TrimSpace(item), ';') // ;target
			if before, after, found := strings.Cut(item, "+"); found && strings.HasPrefix(item, "max-age=") {
				item = before
				grace = delta(after, 0)
			}
			plain = append(plain, item)
		}
	}
	d = ParseDirectives(plain)
	if grace > 0 {
		setOnce(&d.StaleWhileRevalidate, grace)
	}
	return d, d.NoStore || d.NoCache || d.Private || d.MaxAge != Unset || d.SharedMaxAge != Unset
}
