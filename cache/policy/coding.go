package policy

import (
	"net/http"
	"strconv"
	"strings"
)

// AcceptsGzip reports whether a client would rather have a response in gzip than
// as it is (RFC 9110 §12.5.3). One that says nothing of codings gets none.
func AcceptsGzip(lines []string) bool {
	if len(lines) == 0 {
		return false
	}
	if len(lines) == 1 && strings.IndexByte(lines[0], ';') < 0 {
		return named(strings.ToLower(lines[0]))
	}
	gzip, other, identity := -1.0, -1.0, -1.0
	for _, member := range strings.Split(strings.ToLower(strings.Join(lines, ",")), ",") {
		name, parameters, _ := strings.Cut(member, ";")
		switch strings.TrimSpace(name) {
		case "gzip", "x-gzip":
			gzip = weight(parameters)
		case "*":
			other = weight(parameters)
		case "identity":
			identity = weight(parameters)
		}
	}
	if gzip < 0 {
		gzip = other
	}
	return gzip > 0 && gzip >= identity
}

// named reports whether a list without weights names gzip or everything.
func named(list string) bool {
	if !strings.Contains(list, "gzip") && !strings.Contains(list, "*") {
		return false
	}
	for list != "" {
		var name string
		name, list, _ = strings.Cut(list, ",")
		if name = strings.TrimSpace(name); name == "gzip" || name == "x-gzip" || name == "*" {
			return true
		}
	}
	return false
}

// weight reads a quality value (RFC 9110 §12.4.2). One that cannot be read is 0:
// what is not surely wanted is not sent.
func weight(parameters string) float64 {
	for _, parameter := range strings.Split(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if strings.TrimSpace(name) != "q" {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}

// MayCode reports whether a cache may put a content coding on a response: it has
// none, its origin does not choose between codings itself, and nothing in it
// forbids a transformation (RFC 9110 §7.7, RFC 9111 §5.2.2.6) or would not be true
// of the other bytes (Content-MD5; RFC 9530 §2). sole: it is stored as the only form,
// for clients of all codings, so what the origin would choose for them does not count.
func MayCode(h http.Header, sole bool) bool {
	for i := 0; i < len(uncoded); i++ {
		if len(h[uncoded[i]]) > 0 {
			return false
		}
	}
	if !sole && strings.Contains(strings.ToLower(strings.Join(h["Vary"], ",")), "accept-encoding") {
		return false
	}
	if strings.Contains(strings.ToLower(strings.Join(h["Cache-Control"], ",")), "no-transform") {
		return false
	}
	kind := strings.ToLower(strings.TrimSpace(h.Get("Content-Type")))
	kind, _, _ = strings.Cut(kind, ";")
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "+json") ||
		strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "/xml") || strings.HasSuffix(kind, "javascript") ||
		kind == "font/ttf" || kind == "font/otf" || kind == "application/wasm"
}

var uncoded = []string{"Content-Encoding", "Content-Range", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"}

// WeakTag returns the entity tag of another form of the same content: equal when
// compared weakly, and never when strongly (RFC 9110 §8.8.3.2).
func WeakTag(tag string) string {
	if strings.HasPrefix(tag, "W/") {
		return tag
	}
	return "W/" + tag
}
