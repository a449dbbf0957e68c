package policy

import (
	"net/http"
	"strings"
)

// Conditional sets the validators of a stored response on a request to the
// origin and removes the client's own conditions (RFC 9111 §4.3.1).
func Conditional(request, stored http.Header) {
	Unconditional(request)
	if etag := stored["Etag"]; len(etag) > 0 {
		request["If-None-Match"] = []string{etag[0]}
	}
	if modified := stored["Last-Modified"]; len(modified) > 0 {
		request["If-Modified-Since"] = []string{modified[0]}
	}
}

// Unconditional removes the conditions and ranges of a request, so that the
// origin answers with a whole response.
func Unconditional(request http.Header) {
	delete(request, "If-None-Match")
	delete(request, "If-Modified-Since")
	delete(request, "If-Match")
	delete(request, "If-Unmodified-Since")
	delete(request, "If-Range")
	delete(request, "Range")
}

// NotModified reports whether a client's conditions on a stored 200 are to be
// answered with 304 (RFC 9111 §4.3.2, RFC 9110 §13.2.2). born is when the
// response came, for one without Last-Modified and Date.
func NotModified(request, stored http.Header, born int64) bool {
	if lines := request["If-None-Match"]; len(lines) > 0 { // goes before If-Modified-Since
		return matches(strings.Join(lines, ","), stored["Etag"])
	}
	since, ok := ParseDate(request["If-Modified-Since"])
	if !ok {
		return false
	}
	modified, ok := ParseDate(stored["Last-Modified"])
	if !ok {
		if modified, ok = ParseDate(stored["Date"]); !ok {
			modified = born
		}
	}
	return modified <= since
}

// matches compares a list of entity tags weakly (RFC 9110 §8.8.3.2).
func matches(list string, etag []string) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	if len(etag) == 0 {
		return false
	}
	want := strings.TrimPrefix(etag[0], "W/")
	for list != "" {
		var item string
		item, list = nextItem(list)
		if strings.TrimPrefix(strings.TrimSpace(item), "W/") == want {
			return true
		}
	}
	return false
}

// Validates reports whether a 304 speaks of the stored response: its
// validators, where it has any, are those that were stored (RFC 9111 §4.3.4).
func Validates(stored, fresh http.Header) bool {
	if etag := fresh["Etag"]; len(etag) > 0 && len(stored["Etag"]) > 0 {
		return strings.TrimPrefix(etag[0], "W/") == strings.TrimPrefix(stored["Etag"][0], "W/")
	}
	if modified := fresh["Last-Modified"]; len(modified) > 0 && len(stored["Last-Modified"]) > 0 {
		return modified[0] == stored["Last-Modified"][0]
	}
	return true
}

// bodyFields describe the stored body, which a 304 does not replace
// (RFC 9111 §3.2).
var bodyFields = map[string]bool{
	"Content-Encoding": true, "Content-Length": true, "Content-Range": true,
	"Content-Type": true, "Etag": true,
}

// Freshen returns the stored header updated with the fields of a 304 or of a
// HEAD response (RFC 9111 §3.2). Neither argument is changed.
func Freshen(stored, fresh http.Header) http.Header {
	h := make(http.Header, len(stored)+len(fresh))
	for name, lines := range stored {
		h[name] = lines
	}
	for name, lines := range fresh {
		if !bodyFields[name] {
			h[name] = lines
		}
	}
	return h
}

// hopByHop are fields of one connection, never stored (RFC 9110 §7.6.1), and
// those that this cache writes itself.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true,
	"Proxy-Authentication-Info": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
	"Age": true, "Cache-Status": true, "Content-Length": true,
}

// StoredHeader returns the fields of h that may be stored (RFC 9111 §3.1):
// without those of the connection, those that Connection names, those in
// without, and every cookie that is not in keepCookies.
func StoredHeader(h http.Header, without, keepCookies []string) http.Header {
	drop := map[string]bool{}
	for _, list := range [][]string{h["Connection"], without} {
		for _, name := range strings.Split(strings.Join(list, ","), ",") {
			drop[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	out := make(http.Header, len(h))
	for name, lines := range h {
		if hopByHop[name] || drop[name] || strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		if name == "Set-Cookie" {
			lines = keptCookies(lines, keepCookies)
			if len(lines) == 0 {
				continue
			}
		}
		out[name] = lines[:len(lines):len(lines)]
	}
	return out
}

func keptCookies(lines, keep []string) []string {
	var kept []string
	for i := 0; i < len(lines); i++ {
		if contains(keep, CookieName(lines[i])) {
			kept = append(kept, lines[i])
		}
	}
	return kept
}
