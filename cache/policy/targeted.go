package policy

import "strings"

// ParseTargeted reads CDN-Cache-Control, a dictionary of structured fields
// (RFC 9213 §2.1, RFC 8941 §3.2). ok is false when it is absent, empty or not
// well-formed: then it counts as not there (RFC 9213 §2.1).
func ParseTargeted(lines []string) (d Directives, ok bool) {
	d = newDirectives()
	values, valid := dictionary(strings.Join(lines, ","))
	if !valid || len(values) == 0 {
		return d, false
	}
	d.Present = true
	for i := 0; i < len(responseNames); i++ {
		if value, found := values[responseNames[i]]; found {
			d.setStructured(responseNames[i], value)
		}
	}
	return d, true
}

// responseNames are the directives of responses that this cache implements.
var responseNames = []string{
	"no-store", "no-cache", "private", "public", "must-revalidate", "proxy-revalidate", "must-understand",
	"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error",
}

// setStructured takes one directive. A value of another type than the
// directive has is not consumed (RFC 9213 §2.1), unless the directive forbids
// something: then it counts in its strictest form.
func (d *Directives) setStructured(name, value string) {
	switch name {
	case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error":
		if strings.Trim(value, digits) == "" {
			d.set(name, value, true)
		}
	case "no-cache", "private":
		if value != "?0" {
			d.set(name, value, value[0] == '"')
		}
	case "no-store":
		d.NoStore = value != "?0"
	default:
		if value == "?1" {
			d.set(name, "", false)
		}
	}
}

// dictionary parses a dictionary of structured fields into its keys and the
// text of their values, without parameters. Of a key given twice the last value
// counts (RFC 8941 §4.2.2).
func dictionary(s string) (values map[string]string, ok bool) {
	values = map[string]string{}
	rest := strings.Trim(s, " ")
	for rest != "" {
		end := span(rest, keyChars)
		key, value := rest[:end], "?1"
		if !structuredKey(key) {
			return nil, false
		}
		rest = rest[end:]
		if strings.HasPrefix(rest, "=") {
			rest = rest[1:]
			end = memberValue(rest)
			if end < 0 {
				return nil, false
			}
			value, rest = rest[:end], rest[end:]
		}
		end = parameters(rest)
		if end < 0 {
			return nil, false
		}
		values[key] = value
		rest = strings.TrimLeft(rest[end:], " \t")
		if rest == "" {
			return values, true
		}
		if rest[0] != ',' {
			return nil, false
		}
		rest = strings.TrimLeft(rest[1:], " \t")
		if rest == "" {
			return nil, false // a comma at the end
		}
	}
	return values, true
}

const keyChars = "abcdefghijklmnopqrstuvwxyz0123456789_-.*"

// structuredKey reports whether a run of keyChars is a key (RFC 8941 §3.1.2).
func structuredKey(s string) bool {
	return s != "" && strings.IndexByte("abcdefghijklmnopqrstuvwxyz*", s[0]) >= 0
}

// span returns how many bytes at the beginning of s are among chars.
func span(s, chars string) int {
	return len(s) - len(strings.TrimLeft(s, chars))
}

// memberValue returns the length of the item or inner list that s begins with,
// or -1.
func memberValue(s string) int {
	if strings.HasPrefix(s, "(") {
		return innerList(s)
	}
	return bareItem(s)
}

// innerList returns the length of a member such as "(a b;c=1)", -1 if it is none (RFC 8941 §4.2.1.2).
func innerList(s string) int {
	n := 1
	for {
		spaces := span(s[n:], " ")
		n += spaces
		if n == len(s) {
			return -1
		}
		if s[n] == ')' {
			return n + 1
		}
		if spaces == 0 && n > 1 {
			return -1
		}
		item := bareItem(s[n:])
		if item < 0 {
			return -1
		}
		n += item
		more := parameters(s[n:])
		if more < 0 {
			return -1
		}
		n += more
	}
}

// bareItem returns the length of the item that s begins with, or -1
// (RFC 8941 §4.2.3.1).
func bareItem(s string) int {
	if s == "" {
		return -1
	}
	switch {
	case strings.HasPrefix(s, "?0") || strings.HasPrefix(s, "?1"):
		return 2
	case s[0] == '"':
		return structuredString(s)
	case s[0] == ':':
		n := 1 + span(s[1:], "+/="+digits+letters)
		if n < len(s) && s[n] == ':' {
			return n + 1
		}
	case s[0] == '-' || strings.IndexByte(digits, s[0]) >= 0:
		return structuredNumber(s)
	case s[0] == '*' || strings.IndexByte(letters, s[0]) >= 0:
		return span(s, ":/"+tokenChars)
	}
	return -1
}

// structuredString returns the length of a string, -1 if it is none: printable ASCII, in which only
// quotes and backslashes are escaped (RFC 8941 §3.3.3).
func structuredString(s string) int {
	end := closingQuote(s, 1)
	if end < 0 {
		return -1
	}
	for i := 1; i < end; i++ {
		if s[i] < ' ' || s[i] > '~' {
			return -1
		}
		if s[i] != '\\' {
			continue
		}
		i++
		if s[i] != '"' && s[i] != '\\' {
			return -1
		}
	}
	return end + 1
}

// structuredNumber returns the length of an integer of at most 15 digits or a decimal
// of at most 12 and 3, -1 if it is none (RFC 8941 §3.3.1, §3.3.2).
func structuredNumber(s string) int {
	n := 0
	if s[0] == '-' {
		n = 1
	}
	whole := span(s[n:], digits)
	n += whole
	if n == len(s) || s[n] != '.' {
		if whole == 0 || whole > 15 {
			return -1
		}
		return n
	}
	fraction := span(s[n+1:], digits)
	if whole == 0 || whole > 12 || fraction == 0 || fraction > 3 {
		return -1
	}
	return n + 1 + fraction
}

// parameters returns the length of the parameters that s begins with, or -1
// (RFC 8941 §4.2.3.2). They have no meaning here (RFC 9213 §2.1).
func parameters(s string) int {
	n := 0
	for n < len(s) && s[n] == ';' {
		n++
		n += span(s[n:], " ")
		key := span(s[n:], keyChars)
		if !structuredKey(s[n : n+key]) {
			return -1
		}
		n += key
		if n < len(s) && s[n] == '=' {
			value := bareItem(s[n+1:])
			if value < 0 {
				return -1
			}
			n += 1 + value
		}
	}
	return n
}

// ParseSurrogate reads Surrogate-Control (Edge Architecture Specification 1.0):
// max-age=600+300 means fresh for 600 s and usable stale for another 300 s. A
// directive with a target (max-age=60;name) is for another surrogate, as this
// one has no name; what it forbids counts all the same.
func ParseSurrogate(lines []string) (d Directives, ok bool) {
	plain := make([]string, 0, len(lines))
	grace := Unset
	for i := 0; i < len(lines); i++ {
		list := members(lines[i])
		for j := 0; j < len(list); j++ {
			item, target := cutOutsideQuotes(strings.TrimSpace(list[j]), ';')
			item = strings.TrimSpace(item)
			if strings.HasPrefix(strings.ToLower(item), "max-age=") {
				if target != "" {
					continue
				}
				before, after, _ := strings.Cut(item, "+")
				item = before
				setOnce(&grace, delta(after))
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

// cutOutsideQuotes is strings.Cut at the first sep that is in no quoted string.
func cutOutsideQuotes(s string, sep byte) (before, after string) {
	from := 0
	for {
		i := strings.IndexAny(s[from:], "\""+string(rune(sep)))
		if i < 0 {
			return s, ""
		}
		i += from
		if s[i] == sep {
			return s[:i], s[i+1:]
		}
		end := closingQuote(s, i+1)
		if end < 0 {
			return s, ""
		}
		from = end + 1
	}
}
