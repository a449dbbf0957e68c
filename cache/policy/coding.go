package policy

import (
	"net/http"
	"strings"
)

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
