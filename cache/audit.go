package cache

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/odoocache/odoocache/cache/storage"
)

// Who has purged what is in the log: a line for each purge by request that is carried out or
// kept, and for each that is refused, as far as there is room. Nothing in it is anybody's secret
// or query, and nothing of a request that shows no key but its addresses.

// auditPurge writes what became of a purge.
func auditPurge(h *Handler, r *http.Request, who authority, o *purgeOrder, result string) {
	writeError("odoocache: tenant " + h.s.Tenant + ": purge " + result + askedBy(r, who) + h.ordered(o))
}

// auditRefusal writes why a control request was refused. o is nil if nobody has looked at it.
func auditRefusal(h *Handler, r *http.Request, who authority, o *purgeOrder, no *refusal) {
	more, speak := h.shared.refusals.take(h.s.Tenant+" "+who.key, storage.Ticks())
	if !speak {
		return
	}
	line := refusalLine(h, r, "tenant "+h.s.Tenant, who, no)
	if o != nil {
		line += h.ordered(o)
	}
	writeRefusal(line, more)
}

// auditStranger writes that a control request of no tenant was refused.
func auditStranger(h *Handler, r *http.Request, no *refusal) {
	if more, speak := h.shared.refusals.take("", storage.Ticks()); speak {
		writeRefusal(refusalLine(h, r, "no tenant", authority{key: keyNone, by: shown(r)}, no), more)
	}
}

func refusalLine(h *Handler, r *http.Request, whose string, who authority, no *refusal) string {
	return "odoocache: " + whose + ": purge refused reason=" + no.reason + " status=" + strconv.Itoa(no.status) + " at=" + h.endpoint(r) + askedBy(r, who)
}

// writeRefusal writes a line, with the number of those that were not written before it.
func writeRefusal(line string, more int64) {
	if more > 0 {
		line += " more=" + strconv.FormatInt(more, 10)
	}
	writeError(line)
}

// tellLost writes that an answer has asked for a purge that is nobody's.
func tellLost(h *Handler, host string) {
	if _, speak := h.shared.refusals.take(" lost", storage.Ticks()); speak {
		writeError("odoocache: an answer purges, but its tenant is not known by the request (host " + h.shownItem(host) + "), so nothing is purged; see tenants")
	}
}

// endpoint names what a control request is sent to, in words of the code's.
func (h *Handler) endpoint(r *http.Request) string {
	switch r.URL.Path {
	case h.s.AdminPath + "/purge":
		return "purge"
	case h.s.AdminPath + "/erase":
		return "erase"
	case h.s.AdminPath + "/status":
		return "status"
	}
	if h.isControl(r.URL.Path) {
		return "nothing"
	}
	return "address"
}

// askedBy says who has asked, from where and how. Of X-Forwarded-For Traefik leaves what a proxy
// says that it trusts (forwardedHeaders.trustedIPs): the last addresses are those next to it.
func askedBy(r *http.Request, who authority) string {
	method := "other"
	if r.Method == "PURGE" || r.Method == http.MethodPost || r.Method == http.MethodGet || r.Method == http.MethodHead {
		method = r.Method
	}
	from := "unknown"
	if addr, err := addressIn(r.RemoteAddr); err == nil {
		from = addr.String()
	}
	text := " key=" + who.key + " by=" + who.by + " method=" + method + " from=" + from
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	if len(hops) > mostShown {
		hops = hops[len(hops)-mostShown:]
	}
	var forwarded []string
	for i := 0; i < len(hops); i++ {
		if addr, err := addressIn(strings.TrimSpace(hops[i])); err == nil {
			forwarded = append(forwarded, addr.String())
		}
	}
	if len(forwarded) > 0 {
		text += " forwarded=" + strings.Join(forwarded, ",")
	}
	return text
}

// ordered says what an order is of: how, how much, and the first of each kind.
func (h *Handler) ordered(o *purgeOrder) string {
	return " mode=" + o.kind() + " all=" + strconv.FormatBool(o.all) +
		" tags=" + h.someOf(o.tags) + " paths=" + h.someOf(o.paths) + " prefixes=" + h.someOf(o.prefixes)
}

// mostShown is how many items of a kind are shown, and addresses.
const mostShown = 3

// someOf is how many items there are, and the first of them.
func (h *Handler) someOf(items []string) string {
	text := strconv.Itoa(len(items))
	for i := 0; i < len(items) && i < mostShown; i++ {
		if i == 0 {
			text += ":"
		} else {
			text += ","
		}
		text += h.shownItem(items[i])
	}
	if len(items) > mostShown {
		text += ",…"
	}
	return text
}

// refusals bound how many lines of refused requests there are: some at once and then one in a
// while, for each tenant and key, and for all together. So a stranger neither fills the log, nor
// hides there what somebody with a key does.
type refusals struct {
	mu  sync.Mutex
	all allowance
	of  map[string]*allowance // by tenant and key: no more than there are middlewares, times four
}

// allowance is how many lines may be written.
type allowance struct {
	used  int
	since int64 // ms: when one less was used
	quiet int64 // lines that were not written
}

const (
	refusalsAtOnce    = 10    // of a tenant and key
	refusalsEach      = 10000 // ms for one more
	allRefusalsAtOnce = 100
	allRefusalsEach   = 1000
)

// take reports whether a line may be written, and how many were not since the last one. now is
// in ms, of a clock that nobody sets.
func (b *refusals) take(of string, now int64) (quiet int64, speak bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[string]*allowance{}
	}
	a := b.of[of]
	if a == nil {
		a = &allowance{since: now}
		b.of[of] = a
	}
	a.refill(now, refusalsEach)
	b.all.refill(now, allRefusalsEach)
	if a.used >= refusalsAtOnce || b.all.used >= allRefusalsAtOnce {
		a.quiet++
		return 0, false
	}
	quiet = a.quiet
	a.quiet = 0
	a.used++
	b.all.used++
	return quiet, true
}

// refill gives back what the time since has earned.
func (a *allowance) refill(now, each int64) {
	if n := (now - a.since) / each; n > 0 {
		a.since += n * each
		if n > int64(a.used) {
			n = int64(a.used)
		}
		a.used -= int(n)
	}
}
