package cache

import (
	"net/http"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// passOwn hands a visitor's own request on. Nothing of its answer is stored.
func passOwn(h *Handler, rw http.ResponseWriter, v *visit) {
	markSessions(h, v)
	reason := v.own
	if reason == "" {
		reason = ownReason(v)
	}
	count(h, reason)
	t := &watchedWriter{h: h, ResponseWriter: rw, v: v, fwd: v.fwd, reason: reason, cacheable: true}
	if v.rule.Nobody {
		t.country = watchCountry(h)
		t.evidence = lookForEvidence(h, v)
	}
	if t.evidence != nil {
		defer func() { dropEvidence(t) }()
	}
	handOn(t, v.r)
	if t.evidence != nil {
		weigh(t)
	}
}

// ownReason says why a visitor asks for themselves where nobody has been asked.
func ownReason(v *visit) string {
	switch {
	case v.reason == policy.ReasonStoreError || v.reason == policy.ReasonSession:
		return v.reason
	case v.r.Method != http.MethodGet:
		return policy.ReasonMethod
	case v.r.Header["Authorization"] != nil:
		return policy.ReasonAuthorization
	case v.r.Header["Range"] != nil:
		return policy.ReasonPartial
	case v.cc.NoStore:
		return policy.ReasonRequestNoStore
	case v.session && v.context == "" && !v.rule.Terms.AnySession:
		return policy.ReasonSession
	}
	return v.reason
}

// weigh compares a visitor's own answer, which has been sent, with nobody's. If none is stored,
// it is asked for in the background.
func weigh(t *watchedWriter) {
	h, v, e := t.h, t.v, t.evidence
	kept := wholeEvidence(h.doubts, e)
	if len(kept) == 0 {
		return
	}
	own, ok := decoded(t.ResponseWriter.Header()["Content-Encoding"], kept, inflation*e.limit)
	if !ok {
		return
	}
	if v.witness == nil {
		askForWitness(h, v, e, own)
		return
	}
	judgeEvidence(h, v, e, v.witness, own)
}

// askForWitness asks for a page as nobody, and compares it with a visitor's own answer.
func askForWitness(h *Handler, v *visit, e *evidence, own []byte) {
	if refusedFor(h.identities, v, false) != "" {
		return
	}
	inBackground(h, v, flightKey(v), "evidence", func(b *visit) {
		stored := witnessOf(h, b)
		if stored == nil { // nobody has stored it meanwhile
			fillPage(h, nil, b, nil)
			count(h, "witness")
			stored = witnessOf(h, b)
		}
		if stored != nil {
			judgeEvidence(h, v, e, stored, own)
		}
	})
}

// witnessOf returns what is stored for nobody, and fresh, nil if nothing is.
func witnessOf(h *Handler, v *visit) *storage.Entry {
	e := h.shared.tier.Lookup(h.tenant, flightKey(v)).Entry
	if e == nil || e.IsList() {
		return nil
	}
	if state, _ := policy.Reuse(e.Life, policy.Directives{}, false, nowMS()); state != policy.Fresh {
		return nil
	}
	return e
}
