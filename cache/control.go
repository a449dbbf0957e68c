package cache

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
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

// isControl reports whether a path is one of the control endpoint.
func (h *Handler) isControl(path string) bool {
	return path == h.s.AdminPath || strings.HasPrefix(path, h.s.AdminPath+"/")
}

// serveControl answers PURGE requests and those to the control endpoint. None
// of them reaches the origin.
func (h *Handler) serveControl(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Add("Cache-Status", h.s.Name+"; detail=control")
	if no := h.unauthorised(r); no != nil {
		count(h, "purge-denied")
		if no.status == http.StatusServiceUnavailable {
			header.Set("Retry-After", "60")
		}
		answer(rw, no.status, errorAnswer{Error: no.problem, Field: no.field})
		return
	}
	switch {
	case r.Method == "PURGE" && !h.isControl(r.URL.Path):
		h.purgeAddress(rw, r)
	case r.URL.Path == h.s.AdminPath+"/purge":
		h.purgeByRequest(rw, r)
	case r.URL.Path == h.s.AdminPath+"/status":
		h.serveStatus(rw, r)
	default:
		answer(rw, http.StatusNotFound, errorAnswer{Error: "no such endpoint; there are " + h.s.AdminPath + "/purge and " + h.s.AdminPath + "/status"})
	}
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

// unauthorised returns why a control request is refused, nil if it is not. All that is
// configured must hold; where nothing is, nobody may.
func (h *Handler) unauthorised(r *http.Request) *refusal {
	s := h.s.Purge
	problem := ""
	switch {
	case s.Secret == "" && len(s.Networks) == 0:
		problem = "purging by request is not enabled; set purge.secret or purge.networks"
	case s.Secret == "" && len(r.Header["Origin"]) > 0:
		problem = "a page in a browser asks, and purge.networks alone does not tell whose; set purge.secret"
	case len(s.Networks) > 0 && !inNetworks(s.Networks, r.RemoteAddr):
		problem = "the address of the client is not in purge.networks"
	case s.Secret == "":
	case len(r.Header[SignatureHeader]) > 0:
		return h.refuseSignature(r.Header[SignatureHeader], r)
	case !sameSecret(s.Secret, givenSecret(r)):
		problem = "the secret is missing or wrong; send Authorization: Bearer, " + SecretHeader + " or " + SignatureHeader
	}
	if problem == "" {
		return nil
	}
	return &refusal{status: http.StatusForbidden, problem: problem}
}

func inNetworks(networks []netip.Prefix, remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for i := 0; i < len(networks); i++ {
		if networks[i].Contains(addr) {
			return true
		}
	}
	return false
}

func givenSecret(r *http.Request) string {
	if s := r.Header.Get(SecretHeader); s != "" {
		return s
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// sameSecret compares in constant time, whatever the lengths.
func sameSecret(want, given string) bool {
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// purgeAddress handles PURGE /path: this address on this host, with all its
// variants, and with every query if it has none.
func (h *Handler) purgeAddress(rw http.ResponseWriter, r *http.Request) {
	soft, ok := mode(rw, r)
	if !ok {
		return
	}
	target := keys.TargetOf(r)
	h.execute(rw, purgeOrder{soft: soft, paths: []string{h.purgeAddressOf(&visit{r: r, target: &target})}})
}

// mode reads ModeHeader. It answers a request that says anything but one mode, and then
// reports false: a purge is not carried out by half.
func mode(rw http.ResponseWriter, r *http.Request) (soft, ok bool) {
	words := strings.Fields(strings.ReplaceAll(strings.Join(r.Header[ModeHeader], ","), ",", " "))
	soft = len(words) > 0 && words[0] != "hard"
	for i := 0; i < len(words); i++ {
		word := words[i]
		if (word != "soft" && word != "stale" && word != "hard") || (word != "hard") != soft {
			answer(rw, http.StatusBadRequest, errorAnswer{Error: "expected soft or hard", Field: ModeHeader})
			return false, false
		}
	}
	return soft, true
}

// purgeByRequest handles the purge endpoint: items in the purge header, in a
// JSON body, or in both.
func (h *Handler) purgeByRequest(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost && r.Method != "PURGE" {
		rw.Header().Set("Allow", "POST, PURGE")
		answer(rw, http.StatusMethodNotAllowed, errorAnswer{Error: "expected POST or PURGE"})
		return
	}
	soft, ok := mode(rw, r)
	if !ok {
		return
	}
	o := parsePurgeHeader(r.Header[h.s.PurgeHeader])
	o.soft = o.soft || soft
	body, err := io.ReadAll(io.LimitReader(r.Body, h.s.Limits.PurgeBody+1))
	if err != nil {
		answer(rw, http.StatusBadRequest, errorAnswer{Error: "the body could not be read", Field: "body"})
		return
	}
	if int64(len(body)) > h.s.Limits.PurgeBody {
		answer(rw, http.StatusRequestEntityTooLarge, errorAnswer{Error: "the body is larger than limits.purgeBody", Field: "body"})
		return
	}
	if len(strings.TrimSpace(string(body))) > 0 {
		if problem := o.addJSON(body); problem != nil {
			answer(rw, http.StatusBadRequest, problem)
			return
		}
	}
	h.execute(rw, o)
}

// unprintable is what no tag and no address can have: it cannot be sent in a header.
func unprintable(c rune) bool {
	return unicode.IsControl(c) || c == '\u2028' || c == '\u2029'
}

// addJSON adds what a JSON body asks for.
func (o *purgeOrder) addJSON(body []byte) *errorAnswer {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return &errorAnswer{Error: "expected a JSON object with tags, paths, prefixes, all and soft: " + err.Error(), Field: "body"}
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
			return &errorAnswer{Error: err.Error(), Field: name}
		}
	}
	parts := []string{"tags", "paths", "prefixes"}
	lists := [][]string{p.Tags, p.Paths, p.Prefixes}
	for i := 0; i < len(parts); i++ {
		for j := 0; j < len(lists[i]); j++ {
			if strings.IndexFunc(lists[i][j], unprintable) >= 0 {
				return &errorAnswer{Error: "an item has a line break or another control character", Field: parts[i]}
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

// execute carries out an order and answers with what was done.
func (h *Handler) execute(rw http.ResponseWriter, o purgeOrder) {
	if o.empty() {
		answer(rw, http.StatusBadRequest, errorAnswer{Error: "nothing to purge; expected tags, paths, prefixes or all", Field: "body"})
		return
	}
	if o.items() > h.s.Limits.Purge.Tags {
		answer(rw, http.StatusRequestEntityTooLarge, errorAnswer{Error: "more items than limits.purgeItems", Field: "items"})
		return
	}
	members, err := o.members(h.s.Limits.Purge)
	if err != nil {
		part, problem, _ := strings.Cut(err.Error(), ": ")
		answer(rw, http.StatusBadRequest, errorAnswer{Error: problem, Field: part})
		return
	}
	count(h, "purge")
	head, err := h.purge(storage.Purge{Soft: o.soft, All: o.all, Members: members})
	if err != nil {
		rw.Header().Set("Retry-After", "1")
		answer(rw, http.StatusServiceUnavailable, errorAnswer{Error: err.Error()})
		return
	}
	done := purgeAnswer{
		Tenant: h.s.Tenant, Kind: "hard", All: o.all, Tags: listed(o.tags), Paths: listed(o.paths),
		Prefixes: listed(o.prefixes), Sequence: head.Seq,
	}
	if o.soft {
		done.Kind = "soft"
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
