package cache

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// SecretHeader carries the purge secret where Authorization is in use for
// something else.
const SecretHeader = "X-Odoocache-Secret"

// purgeAnswer tells what a purge request has done.
type purgeAnswer struct {
	Tenant   string   `json:"tenant"`
	Kind     string   `json:"kind"` // hard or soft
	All      bool     `json:"all"`
	Tags     []string `json:"tags"`
	Paths    []string `json:"paths"`
	Prefixes []string `json:"prefixes"`
	Sequence int64    `json:"sequence"` // number of the purge in its tenant
}

// serveControl answers PURGE requests and those to the control endpoint. None
// of them reaches the origin.
func (h *Handler) serveControl(rw http.ResponseWriter, r *http.Request) {
	beginControl(h, rw)
	who, no := h.authorise(r)
	if no != nil {
		count(h, "purge-denied")
		auditRefusal(h, r, who, nil, no)
		deny(rw, no)
		return
	}
	switch {
	case r.Method == "PURGE" && !h.isControl(r.URL.Path):
		h.purgeAddress(rw, r, who)
	case r.URL.Path == h.s.AdminPath+"/purge":
		h.purgeByRequest(rw, r, who)
	case r.URL.Path == h.s.AdminPath+"/erase":
		h.eraseByRequest(rw, r, who)
	case r.URL.Path == h.s.AdminPath+"/status":
		h.serveStatus(rw, r)
	default:
		answer(rw, http.StatusNotFound, errorAnswer{Error: "no such endpoint; there are " + h.s.AdminPath + "/purge, /erase and /status"})
	}
}

// purgeAddress handles PURGE /path: this address on this host, with all its
// variants, and with every query if it has none.
func (h *Handler) purgeAddress(rw http.ResponseWriter, r *http.Request, who authority) {
	soft, no := mode(r)
	target := keys.TargetOf(r)
	o := purgeOrder{soft: soft, paths: []string{h.purgeAddressOf(&visit{r: r, target: &target})}}
	h.execute(rw, r, who, &o, no)
}

// purgeByRequest handles the purge endpoint.
func (h *Handler) purgeByRequest(rw http.ResponseWriter, r *http.Request, who authority) {
	var o purgeOrder
	no := h.readOrder(&o, r)
	h.execute(rw, r, who, &o, no)
}

// execute carries out an order, unless it was refused already, and answers with what was done.
func (h *Handler) execute(rw http.ResponseWriter, r *http.Request, who authority, o *purgeOrder, no *refusal) {
	var members []string
	if no == nil {
		members, no = h.marksOf(o)
	}
	if no == nil {
		no = h.overRate()
	}
	if no != nil {
		auditRefusal(h, r, who, o, no)
		deny(rw, no)
		return
	}
	count(h, "purge")
	head, err := h.purge(storage.Purge{Soft: o.soft, All: o.all, Members: members})
	if err != nil {
		auditPurge(h, r, who, o, "queued reason=storage")
		rw.Header().Set("Retry-After", "1")
		answer(rw, http.StatusServiceUnavailable, errorAnswer{Error: err.Error()})
		return
	}
	auditPurge(h, r, who, o, "done sequence="+strconv.FormatInt(head.Seq, 10))
	done := purgeAnswer{
		Tenant: h.s.Tenant, Kind: o.kind(), All: o.all, Tags: listed(o.tags), Paths: listed(o.paths),
		Prefixes: listed(o.prefixes), Sequence: head.Seq,
	}
	answer(rw, http.StatusOK, done)
}

// statusAnswer is the state of the cache as this process sees it.
type statusAnswer struct {
	Tenant   string           `json:"tenant"`
	Storage  string           `json:"storage"` // redis or memory
	Breaker  string           `json:"breaker"` // closed or open
	Pending  int              `json:"pendingPurges"`
	Sequence int64            `json:"sequence"`
	Waiting  int              `json:"waiting"`    // requests that wait for another's answer
	Renews   int              `json:"refreshing"` // pages in the background
	Own      ownAnswer        `json:"own"`        // of the tenant
	Memory   memoryAnswer     `json:"memory"`     // of all tenants
	Redis    *redisAnswer     `json:"redis,omitempty"`
	Counters map[string]int64 `json:"counters"`
}

type memoryAnswer struct {
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
	Evicted int64 `json:"evicted"`
}

type redisAnswer struct {
	Open    int64 `json:"open"`
	Idle    int64 `json:"idle"`
	Waiting int64 `json:"waiting"`
	Dials   int64 `json:"dials"`
}

// serveStatus answers with the tenant's counters and the state of the storage.
func (h *Handler) serveStatus(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		rw.Header().Set("Allow", "GET, HEAD")
		answer(rw, http.StatusMethodNotAllowed, errorAnswer{Error: "expected GET"})
		return
	}
	sh := h.shared
	a := statusAnswer{
		Tenant: h.s.Tenant, Storage: "memory", Breaker: "closed",
		Pending: h.tenant.Pending(), Sequence: h.tenant.Head().Seq, Counters: map[string]int64{},
	}
	if sh.sieve != nil {
		a.Memory = memoryAnswer{Entries: sh.sieve.Len(), Bytes: sh.sieve.Bytes(), Evicted: sh.sieve.Evicted()}
	}
	if remote := sh.tier.Remote(); remote != nil {
		s := remote.Stats()
		a.Storage = "redis"
		a.Redis = &redisAnswer{Open: s.Open, Idle: s.Idle, Waiting: s.Waiting, Dials: s.Dials}
	}
	if h.tenant.Open() {
		a.Breaker = "open"
	}
	a.Own = h.ownStatus()
	a.Waiting, a.Renews = flight.Waiting(sh.flights)
	sh.mu.Lock()
	for name, n := range sh.counters {
		if word := strings.TrimPrefix(name, h.s.Tenant+" "); word != name {
			a.Counters[word] = n
		}
	}
	sh.mu.Unlock()
	if n := atomic.LoadInt64(h.tenant.Served); n > 0 {
		a.Counters["hit"] += n
	}
	if n := atomic.LoadInt64(h.tenant.Bypassed); n > 0 {
		a.Counters[policy.ReasonRule] += n
	}
	answer(rw, http.StatusOK, a)
}
