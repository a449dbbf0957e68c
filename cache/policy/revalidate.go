package policy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
)

// Conditional sets the validators of a stored response on a request to the
// origin and removes the client's own conditions (RFC 9111 §4.3.1).
func Conditional(request, stored http.Header) {
	Unconditional(request)
	if etag := stored["Etag"]; len(etag) > 0 && etag[0] != "" {
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
			modified = born - born%Second // as the client can only have seen it
		}
	}
	return modified <= since
}

// matches compares a list of entity tags weakly (RFC 9110 §8.8.3.2).
func matches(list string, etag []string) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	if len(etag) == 0 || etag[0] == "" {
		return false
	}
	want := strings.TrimPrefix(etag[0], "W/")
	for list != "" {
		var item string
		item, list = nextTag(list)
		if strings.TrimPrefix(item, "W/") == want {
			return true
		}
	}
	return false
}

// nextTag cuts the first member off a list of entity tags. Unlike in a quoted
// string a backslash in a tag is itself (RFC 9110 §8.8.3).
func nextTag(s string) (tag, rest string) {
	s = strings.TrimLeft(s, " \t,")
	from := len(s) - len(strings.TrimPrefix(s, "W/"))
	if strings.HasPrefix(s[from:], "\"") {
		// Without a closing quote: from the opening one, 0 + 1.
		from += strings.IndexByte(s[from+1:], '"') + 2
	}
	end := strings.IndexByte(s[from:], ',')
	if end < 0 {
		return strings.TrimSpace(s), ""
	}
	return strings.TrimSpace(s[:from+end]), s[from+end+1:]
}

// Validates reports whether a 304 speaks of the stored response
// (RFC 9111 §4.3.4). An entity tag that is strong on both sides decides. Else
// every validator of the 304 has to be one of the stored response; a strong tag
// that is not stored speaks of another one. A 304 without validators counts: it
// answers a condition made from this response alone, and servers such as
// Werkzeug take Last-Modified out of it.
func Validates(stored, fresh http.Header) bool {
	etag, old := fresh.Get("Etag"), stored.Get("Etag")
	if etag != "" && !strings.HasPrefix(etag, "W/") {
		return etag == old
	}
	if etag != "" && strings.TrimPrefix(etag, "W/") != strings.TrimPrefix(old, "W/") {
		return false
	}
	modified := fresh.Get("Last-Modified")
	return modified == "" || modified == stored.Get("Last-Modified")
}

// HeadMatches reports whether a 200 to HEAD may freshen a stored response to
// GET: the validators and the length that it has are those of the stored one,
// whose body has storedLength bytes. If not, the stored response is to be taken
// for stale (RFC 9111 §4.3.5). Values have to be equal as they stand: nothing
// here asks for a weak comparison.
func HeadMatches(stored, fresh http.Header, storedLength int) bool {
	if etag := fresh["Etag"]; len(etag) > 0 && etag[0] != stored.Get("Etag") {
		return false
	}
	if modified := fresh["Last-Modified"]; len(modified) > 0 && modified[0] != stored.Get("Last-Modified") {
		return false
	}
	lengths := fresh["Content-Length"]
	for i := 0; i < len(lengths); i++ {
		if lengths[i] != strconv.Itoa(storedLength) {
			return false
		}
	}
	return true
}

// bodyFields say how the stored body is to be read. The cache decided on them
// what to look for in it, and it is not replaced: so they are not, either
// (RFC 9111 §3.2: fields that the stored response depends upon).
var bodyFields = map[string]bool{
	"Content-Encoding": true, "Content-Range": true, "Content-Type": true,
}

// Freshen returns the stored header updated with the fields of a 304 or of a
// HEAD response (RFC 9111 §3.2). Neither argument is changed. Age and Date are
// always those of the new response, from which the age now counts (§4.2.3):
// without a Date of its own it was made when it came (RFC 9110 §6.6.1).
func Freshen(stored, fresh http.Header) http.Header {
	h := make(http.Header, len(stored)+len(fresh))
	for name, lines := range stored {
		h[name] = lines
	}
	delete(h, "Age")
	delete(h, "Date")
	drop := nominated(fresh["Connection"])
	for name, lines := range fresh {
		if name == "Age" || !(bodyFields[name] || hopByHop[name] || drop[name]) {
			h[name] = lines
		}
	}
	return h
}

// nominated returns the canonical names in lists of fields.
func nominated(lines []string) map[string]bool {
	names := map[string]bool{}
	for _, name := range strings.Split(strings.Join(lines, ","), ",") {
		names[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
	}
	return names
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
	drop, listed := nominated(h["Connection"]), nominated(without)
	out := make(http.Header, len(h))
	for name, lines := range h {
		if hopByHop[name] || drop[name] || listed[name] || strings.HasPrefix(name, http.TrailerPrefix) {
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
		if contains(keep, cookie.SetName(lines[i])) {
			kept = append(kept, lines[i])
		}
	}
	return kept
}
