package cache

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
)

// addCookies adds Set-Cookie lines to a header whose lines may be shared.
func addCookies(header http.Header, lines []string) {
	if len(lines) > 0 {
		before := header["Set-Cookie"]
		header["Set-Cookie"] = append(before[:len(before):len(before)], lines...)
	}
}

// withCookies returns a header that sets, beside the kept cookies of the stored
// response, those that the origin set for this visitor. The header given is
// stored and stays as it is.
func withCookies(header http.Header, own []string) http.Header {
	if len(own) == 0 {
		return header
	}
	names := make([]string, 0, len(own))
	for i := 0; i < len(own); i++ {
		names = append(names, policy.CookieName(own[i]))
	}
	lines := append([]string{}, own...)
	for _, line := range header["Set-Cookie"] {
		if !hasName(names, policy.CookieName(line)) {
			lines = append(lines, line)
		}
	}
	out := make(http.Header, len(header)+1)
	copyHeader(out, header)
	out["Set-Cookie"] = lines
	return out
}

// setValue returns the value that a Set-Cookie line sets.
func setValue(line string) string {
	pair, _, _ := strings.Cut(line, ";")
	_, value, _ := strings.Cut(pair, "=")
	return strings.TrimSpace(value)
}

// setsCookie reports whether a header sets a cookie.
func setsCookie(header http.Header, name string) bool {
	for _, line := range header["Set-Cookie"] {
		if policy.CookieName(line) == name {
			return true
		}
	}
	return false
}

// setSession makes a session's cookie the only one of its name.
func setSession(header http.Header, name, id string) {
	var rest []string
	for _, line := range header["Cookie"] {
		for _, pair := range strings.Split(line, ";") {
			pair = strings.TrimSpace(pair)
			if key, _, _ := strings.Cut(pair, "="); pair != "" && strings.TrimSpace(key) != name {
				rest = append(rest, pair)
			}
		}
	}
	rest = append(rest, name+"="+id)
	header["Cookie"] = []string{strings.Join(rest, "; ")}
}

// unescaped is a Cookie field as a server reads it that undoes these escapes.
func unescaped(field string) string {
	return escapes.ReplaceAllStringFunc(field, func(s string) string {
		if n, err := strconv.ParseUint(s[1:], 8, 8); err == nil && len(s) == 4 {
			return string([]byte{byte(n)})
		}
		return s[1:]
	})
}

// escapes are those of quoted cookie values (werkzeug/http.py, parse_cookie).
var escapes = regexp.MustCompile(`\\([0-3][0-7]{2}|.)`)
