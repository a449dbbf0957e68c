// Package cookie reads and writes the fields Cookie and Set-Cookie as servers do, who do not
// agree: where two may see different values, it says so. request.go has Cookie, set.go Set-Cookie.
package cookie

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Add adds Set-Cookie lines to a header whose lines may be shared.
func Add(header http.Header, lines []string) {
	if len(lines) > 0 {
		before := header["Set-Cookie"]
		header["Set-Cookie"] = append(before[:len(before):len(before)], lines...)
	}
}

// With returns a header that sets, beside the kept cookies of the stored
// response, those that the origin set for this visitor. The header given is
// stored and stays as it is.
func With(header http.Header, own []string) http.Header {
	if len(own) == 0 {
		return header
	}
	names := make([]string, 0, len(own))
	for i := 0; i < len(own); i++ {
		names = append(names, SetName(own[i]))
	}
	lines := append([]string{}, own...)
	for _, line := range header["Set-Cookie"] {
		if !has(names, SetName(line)) {
			lines = append(lines, line)
		}
	}
	out := make(http.Header, len(header)+1)
	for name, values := range header {
		out[name] = values
	}
	out["Set-Cookie"] = lines
	return out
}

// SetValue returns the value that a Set-Cookie line sets.
func SetValue(line string) string {
	pair, _, _ := strings.Cut(line, ";")
	_, value, _ := strings.Cut(pair, "=")
	return strings.TrimSpace(value)
}

// Sets reports whether a header sets a cookie.
func Sets(header http.Header, name string) bool {
	for _, line := range header["Set-Cookie"] {
		if SetName(line) == name {
			return true
		}
	}
	return false
}

// Replace makes a cookie of a request the only one of its name.
func Replace(header http.Header, name, value string) {
	var rest []string
	for _, line := range header["Cookie"] {
		for _, pair := range strings.Split(line, ";") {
			pair = strings.TrimSpace(pair)
			if key, _, _ := strings.Cut(pair, "="); pair != "" && strings.TrimSpace(key) != name {
				rest = append(rest, pair)
			}
		}
	}
	rest = append(rest, name+"="+value)
	header["Cookie"] = []string{strings.Join(rest, "; ")}
}

// Unescaped is a Cookie field as a server reads it that undoes the escapes of quoted values.
func Unescaped(field string) string {
	return escapes.ReplaceAllStringFunc(field, func(s string) string {
		if n, err := strconv.ParseUint(s[1:], 8, 8); err == nil && len(s) == 4 {
			return string([]byte{byte(n)})
		}
		return s[1:]
	})
}

// escapes are those of quoted cookie values (werkzeug/http.py, parse_cookie).
var escapes = regexp.MustCompile(`\\([0-3][0-7]{2}|.)`)

// SetName returns the name that a Set-Cookie line sets.
func SetName(line string) string {
	pair, _, _ := strings.Cut(line, ";")
	name, _, _ := strings.Cut(pair, "=")
	return strings.TrimSpace(name)
}

func has(list []string, name string) bool {
	for i := 0; i < len(list); i++ {
		if list[i] == name {
			return true
		}
	}
	return false
}
