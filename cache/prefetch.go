package cache

import (
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/policy"
)

// A browser may ask for a page before its visitor has followed a link (Sec-Purpose: prefetch,
// https://fetch.spec.whatwg.org/#sec-purpose-header). Of an order, a checkout or a link that
// signs out that is a request of theirs like any other: Odoo would do it, and their session
// would be in doubt or special, though they never went there. Such a request is refused. The
// browser then asks again if they do go there.

// refusesPrefetch answers a visit that bypasses, is a prefetch and could change its
// session. It reports false if the visit is none.
func refusesPrefetch(h *Handler, rw http.ResponseWriter, v *visit) bool {
	lines := v.r.Header["Sec-Purpose"]
	if !h.s.RefusesPrefetch || len(lines) == 0 || v.r.Method != http.MethodGet || !strings.HasPrefix(strings.ToLower(lines[0]), "prefetch") || !changesSession(v) {
		return false
	}
	count(h, policy.ReasonPrefetch)
	rw.Header()["Cache-Control"] = []string{"no-store"}
	setCacheStatus(h, rw.Header(), h.statusOf(policy.ReasonPrefetch))
	rw.WriteHeader(http.StatusServiceUnavailable)
	return true
}
