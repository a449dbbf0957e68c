package cache

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
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
	if !isCoded(codings) {
		return body, true
	}
	plain, _, ok := unzipped(codings, body, limit)
	return plain, ok
}

// isCoded reports whether a body is in another form than its own.
func isCoded(codings []string) bool {
	coding := codingOf(codings)
	return coding != "" && coding != "identity"
}

func codingOf(codings []string) string {
	return strings.ToLower(strings.TrimSpace(strings.Join(codings, ",")))
}

// unzipped undoes gzip. sure says that the body is one member of it alone (RFC 1952 §2.2): one
// of several could have been cut off between two of them.
func unzipped(codings []string, body []byte, limit int64) (plain []byte, sure, ok bool) {
	if coding := codingOf(codings); coding != "gzip" && coding != "x-gzip" {
		return nil, false, false
	}
	in := bytes.NewReader(body)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, false, false
	}
	z.Multistream(false)
	plain, err = io.ReadAll(io.LimitReader(z, limit+1))
	sure = in.Len() == 0
	if err == nil && !sure {
		_, _ = in.Seek(0, io.SeekStart)
		if err = z.Reset(in); err == nil { // which takes all members
			plain, err = io.ReadAll(io.LimitReader(z, limit+1))
		}
	}
	return plain, sure, err == nil && int64(len(plain)) <= limit
}

// plainly undoes the coding that a proxy behind the cache has put on a body although it was
// asked for none. It reports false if that cannot be done.
func plainly(f *fetching, c *capture, header http.Header) bool {
	codings := header["Content-Encoding"]
	if len(codings) == 0 {
		return true
	}
	if isCoded(codings) {
		plain, sure, ok := unzipped(codings, c.body, inflation*f.v.rule.MaxBody)
		if !ok {
			return false
		}
		c.body = plain
		f.filling.ended = sure
	}
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
