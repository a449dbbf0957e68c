package cache

import (
	"math"
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/rule"
)

// glance is what requests with the same cookies, language and browser get of the pages of a
// rule: it spares their hits the reading of those fields. It follows from the fields alone,
// but for what is known of the session, which counts before both times. It is never changed.
type glance struct {
	values   string // begins the keys of their pages
	agrees   bool   // to optional cookies
	until    *int64 // ns after storage.Started, atomic, as licensed: see purges.Known
	licensed *int64
}

// always is a session that nothing ends: there is none.
var always = &purges.Known{Until: math.MaxInt64, License: &purges.License{Until: math.MaxInt64}}

// glanceKey holds all fields that a glance follows from.
func glanceKey(ru *rule.Rule, in http.Header) string {
	return strings.Join([]string{
		ru.Name, strings.Join(in["Cookie"], "\n"), strings.Join(in["Accept-Language"], "\n"), strings.Join(in["User-Agent"], "\n"),
	}, "\r")
}

// rememberGlance notes which pages of a rule a request gets whose sender is known. known says
// that the session is a default one. A rule that varies by other fields has no glances.
func rememberGlance(h *Handler, r *http.Request, ru *rule.Rule, values string, who *sender, known *purges.Known) {
	key := glanceKey(ru, r.Header)
	if known == nil || len(ru.Headers) > 0 || len(key) > maxAddress {
		return
	}
	_, before := h.glances.Load(key)
	h.glances.Store(key, &glance{values: values, agrees: who.agrees, until: &known.Until, licensed: &known.License.Until})
	if !before {
		bound(h.glances, h.glanced, h.identities.max)
	}
}
