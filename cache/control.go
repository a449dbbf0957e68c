package cache

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"

	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// SecretHeader carries the purge secret where Authorization is in use for
// something else.
const SecretHeader = "X-Odoocache-Secret"

// ModeHeader says how a purge request is to be carried out: soft (or stale), or hard,
// which is what none says.
const ModeHeader = "X-Odoocache-Purge-Mode"

// purgeRequest is the JSON body of a purge request.
type purgeRequest struct {
	Tags     []string `json:"tags"`
	Paths    []string `json:"paths"`
	Prefixes []string `json:"prefixes"`
	All      bool     `json:"all"`
	Soft     bool     `json:"soft"`
}

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

// errorAnswer is the body of a refused control request.
type errorAnswer struct {
	Error string `json:"error"`
	Field string `json:"field,omitempty"`
}

// serveControl answers PURGE requests and those to the control endpoint. None
// of them reaches the origin.
func (h *Handler) serveControl(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Add("Cache-Status", h.s.Name+"; detail=control")
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
	case r.URL.Path == h.s.AdminPath+"/status":
		h.serveStatus(rw, r)
	default:
		answer(rw, http.StatusNotFound, errorAnswer{Error: "no such endpoint; there are " + h.s.AdminPath + "/purge and " + h.s.AdminPath + "/status"})
	}
}

// deny answers a request that is not carried out.
func deny(rw http.ResponseWriter, no *refusal) {
	if no.status == http.StatusServiceUnavailable {
		rw.Header().Set("Retry-After", "60")
	}
	if no.status == http.StatusMethodNotAllowed {
		rw.Header().Set("Allow", "POST, PURGE")
	}
	answer(rw, no.status, errorAnswer{Error: no.problem, Field: no.field})
}

func answer(rw http.ResponseWriter, status int, body interface{}) {
	b, err := json.Marshal(body)
	if err != nil {
		status = http.StatusInternalServerError
		b = []byte(`{"error":"the answer could not be written"}`)
	}
	rw.WriteHeader(status)
	_, _ = rw.Write(append(b, '\n'))
}

// purgeAddress handles PURGE /path: this address on this host, with all its
// variants, and with every query if it has none.
func (h *Handler) purgeAddress(rw http.ResponseWriter, r *http.Request, who authority) {
	soft, no := mode(r)
	target := keys.TargetOf(r)
	o := purgeOrder{soft: soft, paths: []string{h.purgeAddressOf(&visit{r: r, target: &target})}}
	h.execute(rw, r, who, &o, no)
}

// mode reads ModeHeader. One that says anything but one mode is refused: a purge is not
// carried out by half.
func mode(r *http.Request) (soft bool, no *refusal) {
	words := strings.Fields(strings.ReplaceAll(strings.Join(r.Header[ModeHeader], ","), ",", " "))
	soft = len(words) > 0 && words[0] != "hard"
	for i := 0; i < len(words); i++ {
		word := words[i]
		if (word != "soft" && word != "stale" && word != "hard") || (word != "hard") != soft {
			return false, &refusal{status: http.StatusBadRequest, reason: "mode", problem: "expected soft or hard", field: ModeHeader}
		}
	}
	return soft, nil
}

// purgeByRequest handles the purge endpoint.
func (h *Handler) purgeByRequest(rw http.ResponseWriter, r *http.Request, who authority) {
	var o purgeOrder
	no := h.readOrder(&o, r)
	h.execute(rw, r, who, &o, no)
}

// readOrder reads the items of a request: in the purge header, in a JSON body, or in both.
func (h *Handler) readOrder(o *purgeOrder, r *http.Request) *refusal {
	if r.Method != http.MethodPost && r.Method != "PURGE" {
		return &refusal{status: http.StatusMethodNotAllowed, reason: "method", problem: "expected POST or PURGE"}
	}
	soft, no := mode(r)
	if no != nil {
		return no
	}
	*o = parsePurgeHeader(r.Header[h.s.PurgeHeader])
	o.soft = o.soft || soft
	body, no := h.bodyOf(r)
	if no != nil {
		return no
	}
	if len(strings.TrimSpace(string(body))) > 0 {
		return o.addJSON(body)
	}
	return nil
}

// unprintable is what no tag and no address can have: it cannot be sent in a header.
func unprintable(c rune) bool {
	return unicode.IsControl(c) || c == '\u2028' || c == '\u2029'
}

// addJSON adds what a JSON body asks for.
func (o *purgeOrder) addJSON(body []byte) *refusal {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return badItems("body", "expected a JSON object with tags, paths, prefixes, all and soft: "+err.Error())
	}
	var p purgeRequest
	for name, raw := range fields {
		var err error
		switch name {
		case "tags":
			err = json.Unmarshal(raw, &p.Tags)
		case "paths":
			err = json.Unmarshal(raw, &p.Paths)
		case "prefixes":
			err = json.Unmarshal(raw, &p.Prefixes)
		case "all":
			err = json.Unmarshal(raw, &p.All)
		case "soft":
			err = json.Unmarshal(raw, &p.Soft)
		default:
			err = errUnknownField
		}
		if err != nil {
			return badItems(name, err.Error())
		}
	}
	parts := []string{"tags", "paths", "prefixes"}
	lists := [][]string{p.Tags, p.Paths, p.Prefixes}
	for i := 0; i < len(parts); i++ {
		for j := 0; j < len(lists[i]); j++ {
			if strings.IndexFunc(lists[i][j], unprintable) >= 0 {
				return badItems(parts[i], "an item has a line break or another control character")
			}
		}
	}
	for i := 0; i < len(p.Tags); i++ {
		if tag := strings.TrimSpace(p.Tags[i]); tag == "*" { // as in the header
			o.all = true
		} else {
			o.tags = append(o.tags, tag)
		}
	}
	for i := 0; i < len(p.Prefixes); i++ {
		o.prefixes = append(o.prefixes, strings.TrimSuffix(p.Prefixes[i], "*"))
	}
	o.paths = append(o.paths, p.Paths...)
	o.all = o.all || p.All
	o.soft = o.soft || p.Soft
	return nil
}

var errUnknownField = errors.New("unknown field; expected tags, paths, prefixes, all or soft")

// badItems refuses what cannot be understood.
func badItems(field, problem string) *refusal {
	return &refusal{status: http.StatusBadRequest, reason: "items", problem: problem, field: field}
}

// marksOf returns the marks that carry an order out, or why there are none.
func (h *Handler) marksOf(o *purgeOrder) ([]string, *refusal) {
	if o.empty() {
		return nil, &refusal{status: http.StatusBadRequest, reason: "nothing", problem: "nothing to purge; expected tags, paths, prefixes or all", field: "body"}
	}
	if o.items() > h.s.Limits.Purge.Tags {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, reason: "too-many", problem: "more items than limits.purgeItems", field: "items"}
	}
	members, err := o.members(h.s.Limits.Purge)
	if err != nil {
		part, problem, _ := strings.Cut(err.Error(), ": ")
		return nil, badItems(part, problem)
	}
	return members, nil
}

// execute carries out an order, unless it was refused already, and answers with what was done.
func (h *Handler) execute(rw http.ResponseWriter, r *http.Request, who authority, o *purgeOrder, no *refusal) {
	var members []string
	if no == nil {
		members, no = h.marksOf(o)
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

// listed makes an empty list an empty list in JSON, too.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
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
	Memory   memoryAnswer     `json:"memory"`
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
