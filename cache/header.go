package cache

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/odoo"
)

// setCacheStatus removes the headers that are addressed to the cache and adds
// Cache-Status after that of caches nearer to the origin (RFC 9211 §2).
func setCacheStatus(h *Handler, header http.Header, status string) {
	removeEdgeHeaders(h, header)
	header["Cache-Status"] = append(header["Cache-Status"], status)
}

// removeEdgeHeaders removes the headers that are addressed to the cache.
func removeEdgeHeaders(h *Handler, header http.Header) {
	for _, name := range h.addressed {
		delete(header, name)
	}
}

// edgeHeaders are the tag and purge headers beside those whose names are
// options.
var edgeHeaders = []string{
	"Surrogate-Key", "Xkey", "Cache-Tag", "Cache-Groups", "Cache-Group-Invalidation", "X-Odoo-Cache-Context",
}

// announce makes of a client's request that of this edge: it tells the origin, and rules, that
// the cache is there, and takes away what the edge alone is told. What a client says of the
// cache does not count.
func announce(h *Handler, r *http.Request) {
	if h.s.EdgeHeader != "" {
		r.Header[h.s.EdgeHeader] = h.s.Edge
	}
	if r.Header[odoo.ContextHeader] != nil && h.s.EdgeHeader != "" {
		delete(r.Header, odoo.ContextHeader)
	}
	if h.s.DropsAuthorization {
		delete(r.Header, "Authorization")
	}
}

// acceptsEvents reports whether a request asks for an event stream, which has
// no end to wait for.
func acceptsEvents(r *http.Request) bool {
	accept := r.Header["Accept"]
	return len(accept) > 0 && strings.Contains(strings.ToLower(accept[0]), "text/event-stream")
}

func conditional(h http.Header) bool {
	return len(h["If-None-Match"]) > 0 || len(h["If-Modified-Since"]) > 0
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// notModified answers 304 without the fields that describe a body
// (RFC 9110 §15.4.5).
func notModified(rw http.ResponseWriter, header http.Header) {
	delete(header, "Content-Type")
	delete(header, "Content-Length")
	delete(header, "Content-Encoding")
	delete(header, "Content-Range")
	rw.WriteHeader(http.StatusNotModified)
}

func unsafeMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return false
	}
	return true
}

func carriesTags(header http.Header) bool {
	return len(header["Surrogate-Key"])+len(header["Xkey"])+len(header["Cache-Tag"])+len(header["Cache-Groups"]) > 0
}

// addVary adds Accept-Encoding to a Vary whose lines may be shared.
func addVary(header http.Header) {
	before := header["Vary"]
	if !strings.Contains(strings.ToLower(strings.Join(before, ",")), "accept-encoding") {
		header["Vary"] = append(before[:len(before):len(before)], "Accept-Encoding")
	}
}

// copyHeader sets the fields of from in to. The lines are shared: entries are
// never changed, and their slices have no room to append to.
func copyHeader(to, from http.Header) {
	for name, lines := range from {
		if before := to[name]; len(before) > 0 && name == "Vary" { // of a middleware in front, such as compress
			lines = append(before[:len(before):len(before)], lines...)
		}
		to[name] = lines
	}
}

func headerBytes(header http.Header) int {
	n := 0
	for name, lines := range header {
		for i := 0; i < len(lines); i++ {
			n += len(name) + len(lines[i]) + 4
		}
	}
	return n
}

// contentLength returns the announced length, -1 if there is none.
func contentLength(header http.Header) int64 {
	lines := header["Content-Length"]
	if len(lines) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func hasName(list []string, name string) bool {
	for i := 0; i < len(list); i++ {
		if list[i] == name {
			return true
		}
	}
	return false
}

// flush sends what has been written on to the client. The interpreter would not let
// the origin find a Flush method: responses of unknown length are flushed after every
// write instead.
func flush(rw http.ResponseWriter) {
	if f, ok := rw.(http.Flusher); ok {
		f.Flush()
	}
}
