package cache

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// Text is stored in gzip, once, and sent so to clients that take it. Others get
// it decoded. What a visitor's request got in a coding of the origin stays as it is. A
// filling request asks for no coding, and one that it gets all the same is undone: such
// a page gets its coding here, also where the origin would have chosen one itself.

// codedFrom is the size in bytes from which a body is worth a coding.
const codedFrom = 1024

// writers are gzip writers to use again: each holds several hundred kilobytes.
var (
	writersMu sync.Mutex
	writers   = map[int][]*gzip.Writer{} // by level
)

// maxWriters bounds those of each level.
const maxWriters = 4

// compressed returns a body in gzip, nil if that is not a tenth smaller.
func compressed(body []byte, level int) []byte {
	var w *gzip.Writer
	writersMu.Lock()
	if n := len(writers[level]); n > 0 {
		w = writers[level][n-1]
		writers[level] = writers[level][:n-1]
	}
	writersMu.Unlock()
	var out bytes.Buffer
	out.Grow(len(body) / 4)
	if w == nil {
		w, _ = gzip.NewWriterLevel(&out, level) // the level has been checked
	} else {
		w.Reset(&out)
	}
	_, err := w.Write(body)
	if err == nil {
		err = w.Close()
	}
	writersMu.Lock()
	if len(writers[level]) < maxWriters {
		writers[level] = append(writers[level], w)
	}
	writersMu.Unlock()
	if err != nil || out.Len() > len(body)*9/10 {
		return nil
	}
	return trimmed(out.Bytes())
}

// finishEntry gives a new entry what it lacks: an entity tag, and the coding that
// it is stored in. filled: a filling request has brought it.
func finishEntry(h *Handler, e *storage.Entry, filled bool) {
	if e.Status == http.StatusOK && len(e.Header["Etag"]) == 0 {
		sum := sha256.Sum256(e.Body)
		e.Tag = `"oc-` + hex.EncodeToString(sum[:10]) + `"`
	}
	if h.s.Compression == 0 || len(e.Body) < codedFrom || !policy.MayCode(e.Header, filled) {
		return
	}
	if z := compressed(e.Body, h.s.Compression); z != nil {
		e.Plain = int64(len(e.Body))
		e.Body = z
	}
}

// represent chooses the form of an entry that a client gets, sets the fields of
// header that depend on it, and returns the body. plain is the decoded body if
// that is at hand. It reports false if the body cannot be decoded.
func represent(header http.Header, r *http.Request, e *storage.Entry, plain []byte) ([]byte, bool) {
	tag := e.Tag
	if lines := header["Etag"]; len(lines) > 0 {
		tag = lines[0]
	}
	if e.Plain == 0 {
		if tag != "" {
			header["Etag"] = []string{tag}
		}
		return e.Body, true
	}
	addVary(header)
	if len(r.Header["Range"]) == 0 && keys.AcceptsGzip(r.Header["Accept-Encoding"]) {
		header["Content-Encoding"] = []string{"gzip"}
		if tag != "" {
			header["Etag"] = []string{policy.WeakTag(tag)}
		}
		return e.Body, true
	}
	if tag != "" {
		header["Etag"] = []string{tag}
	}
	if plain != nil {
		return plain, true
	}
	plain, err := e.Decoded()
	return plain, err == nil
}

// trimmed returns a slice without room to spare: what grew while it was captured
// is kept for long, and counted by its length.
func trimmed(b []byte) []byte {
	if cap(b)-len(b) < len(b)/16 {
		return b
	}
	return append(make([]byte, 0, len(b)), b...)
}
