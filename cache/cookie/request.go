package cookie

import (
	"net/http"
	"regexp"
	"strings"
)

// Has reports whether a request may carry a cookie. It goes by the name
// alone: a value that net/http refuses can be one that Odoo reads.
func Has(name string, req *http.Request) bool {
	return occurrences(name, req.Header["Cookie"]) > 0
}

// Only returns the value of a cookie whose name is nowhere else in the request,
// "" if there is none or it is quoted. A server that finds quotes around it sees
// no such cookie at all.
func Only(name string, req *http.Request) string {
	lines := req.Header["Cookie"]
	if occurrences(name, lines) != 1 {
		return ""
	}
	for _, pair := range strings.Split(strings.Join(lines, ";"), ";") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Value returns the value of a cookie, "" if there is none that counts. It is not
// sure where servers may disagree on what the request says.
func Value(name string, req *http.Request) (value string, sure bool) {
	value, sure = Marked(name, req)
	return value[1:], sure
}

// Marked returns the value of a cookie, after a =, or - where there is none, or none
// that counts: its name has to be there once, and its value has to be plain. Servers
// disagree on all else (RFC 6265 §5.2 against §4.1.1). It is not sure where one may see
// another value, which a quote in another cookie is enough for.
func Marked(name string, req *http.Request) (value string, sure bool) {
	lines := req.Header["Cookie"]
	switch occurrences(name, lines) {
	case 0:
		return "-", true
	case 1:
	default:
		return "-", false
	}
	field := strings.Join(lines, "; ")
	for _, pair := range strings.Split(field, ";") {
		if key, given, is := strings.Cut(pair, "="); is && strings.TrimSpace(key) == name {
			if given = strings.TrimSpace(given); plainValue.MatchString(given) {
				return "=" + given, !strings.Contains(plainQuotes.ReplaceAllString(field, ""), "=\"")
			}
		}
	}
	return "-", false
}

// plainValue is the value of a cookie that counts.
var plainValue = regexp.MustCompile(`^[A-Za-z0-9._@/+:%-]{0,64}$`)

// plainQuotes are quoted values that all servers read alike, as Odoo sets them for
// campaigns: with white space or octal escapes in them.
var plainQuotes = regexp.MustCompile(`="(?:[^";\\]|\\[0-3][0-7]{2})*" *(?:;|$)`)

// occurrences counts how often a name stands in Cookie fields, not as a part of
// another name. One inside a value counts, too: what follows a byte that only
// some servers take for white space is a name to them. Where it stands more than maxOccurrences
// times, as a part of other names or not, it counts as given twice.
func occurrences(name string, lines []string) int {
	if name == "" {
		return 0
	}
	n, all := 0, 0
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if all += strings.Count(line, name); all > maxOccurrences {
			return 2
		}
		for from := 0; from <= len(line); {
			at := strings.Index(line[from:], name)
			if at < 0 {
				break
			}
			at += from
			from = at + len(name)
			if (at == 0 || !inName(line[at-1])) && (from == len(line) || !inName(line[from])) {
				n++
			}
		}
	}
	return n
}

// maxOccurrences bounds how often a cookie's name is looked at in a request.
const maxOccurrences = 64

func inName(c byte) bool {
	return c == '_' || c == '-' || c == '.' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
}
