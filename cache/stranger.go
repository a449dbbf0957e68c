package cache

import (
	"net/http"

	"github.com/odoocache/odoocache/cache/policy"
)

// A request whose tenant is not known is handed on. There is nobody whose pages its answer could
// purge: that is said.

// passStranger hands such a request on, or answers it where it is meant for the cache.
func passStranger(f *Front, rw http.ResponseWriter, r *http.Request, reason string) {
	h := f.nobody
	if h.asksControl(r) {
		refuseStranger(f, rw, r, reason)
		return
	}
	if len(r.Header) > mostFields {
		tellFields(h, rw)
		return
	}
	clean(h, r)
	announce(h, r)
	delete(r.Header, h.s.EdgeHeader) // no edge that Odoo knows
	host, status := r.Host, statusForwarded(h, "bypass", 0, reason)
	handOnConnection(h, rw, r, func(header http.Header) {
		if header[h.s.PurgeHeader] != nil || header["Cache-Group-Invalidation"] != nil {
			tellLost(h, host)
		}
		setCacheStatus(h, header, status)
	})
}

// refuseStranger answers a control request of no tenant.
func refuseStranger(f *Front, rw http.ResponseWriter, r *http.Request, reason string) {
	beginControl(f.nobody, rw)
	no := &refusal{status: http.StatusNotFound, reason: reason, problem: "no tenant is known by the request (" + reason + "); expected one of tenants", field: f.fieldOf()}
	if reason == policy.ReasonTenantsUnread { // nobody can tell yet: to be sent again
		no.status = http.StatusServiceUnavailable
		no.retry = "1"
	}
	auditStranger(f.nobody, r, no)
	deny(rw, no)
}

// fieldOf names the field of a request that tells its tenant.
func (f *Front) fieldOf() string {
	if f.s.Tenants.Header != "" {
		return f.s.Tenants.Header
	}
	return "Host"
}
