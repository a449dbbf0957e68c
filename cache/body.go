package cache

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
)

// readable reports whether a type is text, in which a visitor's data may stand.
func readable(kind string) bool {
	kind = strings.ToLower(strings.TrimSpace(kind))
	return isPage(kind) || strings.HasPrefix(kind, "text/") || strings.Contains(kind, "javascript") || strings.Contains(kind, "xml")
}

// isPage reports whether a type is one in which Odoo writes pages and data. A
// response without a type may be a page: browsers guess.
func isPage(kind string) bool {
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "" || strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/json") ||
		strings.HasPrefix(kind, "application/xhtml")
}

// inflation is how much larger than the largest body a decoded one may be.
const inflation = 8

// decoded undoes a content coding. It reports false if the coding is not known
// here, is broken, or makes more than limit bytes.
func decoded(codings []string, body []byte, limit int64) ([]byte, bool) {
	coding := strings.ToLower(strings.TrimSpace(strings.Join(codings, ",")))
	switch coding {
	case "", "identity":
		return body, true
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, false
		}
		plain, err := io.ReadAll(io.LimitReader(z, limit+1))
		return plain, err == nil && int64(len(plain)) <= limit
	}
	return nil, false
}

// plainly undoes the coding that a proxy behind the cache has put on a body although it was
// asked for none. It reports false if that cannot be done.
func plainly(f *fetching, c *capture, header http.Header) bool {
	codings := header["Content-Encoding"]
	if len(codings) == 0 {
		return true
	}
	plain, ok := decoded(codings, c.body, inflation*f.v.rule.MaxBody)
	if !ok {
		return false
	}
	c.body = plain
	f.filling.ended = true
	delete(header, "Content-Encoding")
	for _, name := range ofCoding {
		delete(header, name)
	}
	if tag := header["Etag"]; len(tag) > 0 {
		header["Etag"] = []string{policy.WeakTag(tag[0])}
	}
	return true
}

// ofCoding are fields that describe a body in its coding.
var ofCoding = []string{"Content-Length", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"}

// endedWell reports whether a body without an announced length ends as its content says. Not
// every proxy reports that one has broken off. A body whose end cannot be told is taken from
// an origin that the operator calls a plain one alone.
func endedWell(f *fetching, kind string, body []byte) bool {
	if f.filling == nil || f.filling.ended {
		return true
	}
	kind = strings.ToLower(kind)
	switch {
	case strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml"):
		tail := body
		if len(tail) > pageTail {
			tail = tail[len(tail)-pageTail:]
		}
		return pageEnd.Match(tail)
	case strings.Contains(kind, "json"):
		return json.Valid(body)
	case strings.Contains(kind, "xml"):
		return bytes.HasSuffix(bytes.TrimSpace(body), []byte(">"))
	}
	return false
}

// pageEnd is how a whole page ends: with the closing tag, and white space and comments.
var pageEnd = regexp.MustCompile(`(?i)</html\s*>(?:\s|<!--(?s:.*?)-->)*$`)

// pageTail is how much of a page is looked at for its end, in bytes.
const pageTail = 1024
