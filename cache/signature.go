package cache

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// SignatureHeader carries a signature with a purge secret in place of the
// secret itself: t=<Unix seconds>,n=<nonce>,v2=<hex HMAC-SHA256>.
//
// It is over these lines, with a line break after each, and the body: odoocache-v2,
// the time, the nonce, the tenant, the host in lower case, the method, the request
// target, the values of ModeHeader and of the purge header, each joined by commas.
// So it holds for one request to one tenant of one host, and all that says what the
// request does is in it. It is taken once.
const SignatureHeader = "X-Odoocache-Signature"

// maxSignatureAge is how far, in seconds, the time of a signature may be from
// this machine's.
const maxSignatureAge = 300

// signatureGrammar has the parts of a signature in the one order in which they may be.
var signatureGrammar = regexp.MustCompile(`^t=([0-9]{1,11}), ?n=([A-Za-z0-9_-]{16,64}), ?v2=([0-9a-f]{64})$`)

// refusal says why a control request is refused.
type refusal struct {
	status  int
	reason  string // one word of the code's, for the log
	problem string // for whoever has asked
	field   string
	retry   string // seconds until it may be sent again, empty: nothing is known of that
}

func forbidden(reason, problem string) *refusal {
	return &refusal{status: http.StatusForbidden, reason: reason, problem: problem}
}

// checkSignature returns which key the signature of a request is of, and what is wrong with it:
// nil if it is right and has not been used before. It reads the body, and puts it back.
func (h *Handler) checkSignature(lines []string, r *http.Request) (key string, no *refusal) {
	parts := signatureGrammar.FindStringSubmatch(lines[0])
	if parts == nil || len(lines) > 1 {
		return keyNone, forbidden("signature-format", SignatureHeader+
			" cannot be read; expected t=<Unix seconds>,n=<nonce, 16 to 64 letters, digits, - or _>,v2=<hex HMAC-SHA256>")
	}
	at, _ := strconv.ParseInt(parts[1], 10, 64)
	now := nowMS() / 1000
	if age := now - at; age > maxSignatureAge || age < -maxSignatureAge {
		return keyNone, forbidden("signature-time", "the signature is too old or from the future; expected the time within "+strconv.Itoa(maxSignatureAge)+" s")
	}
	body, no := h.bodyOf(r)
	if no != nil {
		return keyNone, no
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum, _ := hex.DecodeString(parts[3])
	key = h.signedBy(h.signed(r, parts[1], parts[2], body), sum)
	if key == keyNone {
		return keyNone, forbidden("signature-wrong", "the signature is wrong")
	}
	return key, h.useNonce(parts[2], at+maxSignatureAge-now)
}

// bodyOf reads the body of a control request.
func (h *Handler) bodyOf(r *http.Request) ([]byte, *refusal) {
	body, err := io.ReadAll(io.LimitReader(r.Body, h.s.Limits.PurgeBody+1))
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, reason: "body", problem: "the body could not be read", field: "body"}
	}
	if int64(len(body)) > h.s.Limits.PurgeBody {
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, reason: "too-large", problem: "the body is larger than limits.purgeBody", field: "body"}
	}
	return body, nil
}

// signed is what the signature of a request is of.
func (h *Handler) signed(r *http.Request, at, nonce string, body []byte) []byte {
	target := keys.TargetOf(r)
	head := strings.Join([]string{
		"odoocache-v2", at, nonce, h.s.Tenant, strings.ToLower(purgeHost(&target)), r.Method, r.URL.RequestURI(),
		strings.Join(r.Header[ModeHeader], ","), strings.Join(r.Header[h.s.PurgeHeader], ","), "",
	}, "\n")
	return append([]byte(head), body...)
}

// signedBy returns which secret makes a sum of a message. An empty one is no secret.
func (h *Handler) signedBy(message, sum []byte) string {
	s := h.s.Purge
	if s.Secret != "" && hmac.Equal(sumOf(s.Secret, message), sum) {
		return keyCurrent
	}
	if s.Previous != "" && hmac.Equal(sumOf(s.Previous, message), sum) {
		return keyPrevious
	}
	return keyNone
}

func sumOf(secret string, message []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(message)
	return mac.Sum(nil)
}

// useNonce takes a nonce whose signature is right and holds for left seconds more, once: in
// this process, and through the storage in all that share it. Where the storage does not
// answer this process alone decides. It is taken once whichever secret has signed: two secrets do not
// make two of it.
func (h *Handler) useNonce(nonce string, left int64) *refusal {
	id := keys.HashTag("n", nonce)
	ttl := left*1000 + nonceMargin
	switch nonces.take(h.s.Tenant, id, h.s.Limits.Signatures, storage.Ticks()) {
	case nonceUsed:
		return forbidden("signature-used", usedBefore)
	case nonceFull:
		return &refusal{status: http.StatusServiceUnavailable, reason: "signatures-full", problem: "more signatures than limits.signatures hold at this time, so it cannot be told if this one was used before; send the request again later, or with the secret"}
	}
	if !h.shared.tier.Once(h.tenant, id, ttl) {
		return forbidden("signature-used", usedBefore)
	}
	return nil
}

const usedBefore = "the signature was used before; expected a new nonce for each request"

// nonceMargin is for how many ms longer than its signature holds a nonce is remembered:
// clocks are set.
const nonceMargin = 60000

// What became of a nonce.
const (
	nonceTaken = 0
	nonceUsed  = 1
	nonceFull  = 2
)

// nonceMemory remembers nonces for twice the age of a signature at least: those of two
// generations, of which the older goes at once. No reload loses them, and no unexpired one
// makes room for another.
type nonceMemory struct {
	mu      sync.Mutex
	tenants map[string]*nonceGenerations
}

type nonceGenerations struct {
	began int64 // ms, of the young
	young map[string]bool
	old   map[string]bool
}

var nonces = &nonceMemory{tenants: map[string]*nonceGenerations{}}

// take notes a nonce of a tenant, unless it is known, or limit are. now is in ms, of a clock
// that nobody sets.
func (m *nonceMemory) take(tenant, id string, limit int, now int64) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.tenants[tenant]
	if g == nil {
		g = &nonceGenerations{began: now, young: map[string]bool{}, old: map[string]bool{}}
		m.tenants[tenant] = g
	}
	g.age(now)
	if g.young[id] || g.old[id] {
		return nonceUsed
	}
	if len(g.young)+len(g.old) >= limit {
		return nonceFull
	}
	g.young[id] = true
	return nonceTaken
}

// generation is how long, in ms, nonces are added to one generation: longer than one of
// them has to be remembered.
const generation = 2*maxSignatureAge*1000 + nonceMargin

// age lets the old generation go when the young one is old enough that nothing in the
// former can hold.
func (g *nonceGenerations) age(now int64) {
	past := now - g.began
	if past < generation {
		return
	}
	g.old = g.young
	g.young = map[string]bool{}
	if past >= 2*generation {
		g.old = map[string]bool{}
	}
	g.began = now
}
