package cache

import (
	"bufio"
	"net"
	"net/http"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
)

// A request whose tenant is not known is handed on. There is nobody whose pages its answer could
// purge: that is said.

// passStranger hands such a request on, or answers it where it is meant for the cache.
func passStranger(f *Front, rw http.ResponseWriter, r *http.Request, reason string) {
	h := f.nobody
	if isControlPath(f.s.AdminPath, r) {
		header := rw.Header()
		header.Set("Content-Type", "application/json")
		header.Set("Cache-Control", "no-store")
		header.Add("Cache-Status", f.s.Name+"; detail=control")
		status := http.StatusNotFound
		if reason == policy.ReasonTenantsUnread { // nobody can tell yet: to be sent again
			status = http.StatusServiceUnavailable
			header.Set("Retry-After", "1")
		}
		auditStranger(h, r, reason, status)
		answer(rw, status, errorAnswer{Error: "no tenant is known by the request (" + reason + "); expected one of tenants", Field: f.fieldOf()})
		return
	}
	if len(r.Header) > mostFields {
		setCacheStatus(h, rw.Header(), h.statusOf(policy.ReasonRequestLimit))
		rw.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	clean(h, r)
	if f.s.EdgeHeader != "" { // no edge that Odoo knows
		delete(r.Header, f.s.EdgeHeader)
		delete(r.Header, odoo.ContextHeader)
	}
	if f.s.DropsAuthorization {
		delete(r.Header, "Authorization")
	}
	t := &strangerWriter{ResponseWriter: rw, h: h, host: r.Host, status: statusForwarded(h, "bypass", 0, reason)}
	f.next.ServeHTTP(t, r)
	if !t.decided { // a response without a body
		(*strangerWriter).WriteHeader(t, http.StatusOK)
	}
}

// fieldOf names the field of a request that tells its tenant.
func (f *Front) fieldOf() string {
	if f.s.Tenants.Header != "" {
		return f.s.Tenants.Header
	}
	return "Host"
}

// strangerWriter is the ResponseWriter of a request of no tenant.
type strangerWriter struct {
	http.ResponseWriter

	h       *Handler
	host    string // that was asked for
	status  string
	decided bool
	flush   bool
}

// Hijack implements http.Hijacker. What is written to the connection is not seen.
func (t *strangerWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err == nil {
		t.decided = true
	}
	return conn, rw, err
}

// WriteHeader implements http.ResponseWriter.
func (t *strangerWriter) WriteHeader(status int) {
	if !t.decided && (status >= 200 || status == http.StatusSwitchingProtocols) {
		t.decided = true
		header := t.ResponseWriter.Header()
		if header[t.h.s.PurgeHeader] != nil || header["Cache-Group-Invalidation"] != nil {
			tellLost(t.h, t.host)
		}
		setCacheStatus(t.h, header, t.status)
		t.flush = header["Content-Length"] == nil && bodyAllowed(status)
	}
	t.ResponseWriter.WriteHeader(status)
	if t.flush {
		flush(t.ResponseWriter)
	}
}

// Write implements http.ResponseWriter.
func (t *strangerWriter) Write(p []byte) (int, error) {
	if !t.decided {
		(*strangerWriter).WriteHeader(t, http.StatusOK)
	}
	n, err := t.ResponseWriter.Write(p)
	if t.flush && err == nil {
		flush(t.ResponseWriter)
	}
	return n, err
}
