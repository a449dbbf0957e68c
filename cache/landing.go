package cache

import (
	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// landed tells those who wait for a visit's flight what was stored.
func landed(h *Handler, v *visit, e *storage.Entry) {
	if v.flight != nil {
		flight.Land(h.shared.flights, v.flight, flight.Landing{Entry: e})
	}
}

// unshared tells those who wait for a visit's flight, here and elsewhere, that the
// answer is not for them, and that they need not wait for the next one either.
func unshared(h *Handler, v *visit, reason string) {
	spare := int64(refusalTime)
	if reason == policy.ReasonEnded {
		spare = passingTime
	}
	unsharedFor(h, v, reason, spare)
}

// unsharedOnce notes the same of an answer that says nothing of the page: it broke off, was late, or
// somebody in between refused it. Those who wait ask for themselves, and the next ones try again.
func unsharedOnce(h *Handler, v *visit, reason string) {
	unsharedFor(h, v, reason, passingTime)
}

// unsharedFor notes it for some ms.
func unsharedFor(h *Handler, v *visit, reason string, spare int64) {
	if v.flight == nil && !v.rule.Nobody {
		return
	}
	noteUnshareable(h.identities, v, reason, spare)
	if v.flight == nil {
		return
	}
	flight.Land(h.shared.flights, v.flight, flight.Landing{Refused: true, Reason: reason})
	elsewhere := int64(refusedTime)
	if spare == passingTime {
		elsewhere = 0 // the next answer may be right
	}
	h.shared.tier.Unlock(h.tenant, v.lock, elsewhere)
}

// flightKey is the full key under which the answer is expected to be stored.
func flightKey(v *visit) string {
	if v.list != nil {
		return variantKey(v)
	}
	return v.primary
}

// loneFlight is that of a request that nobody waits for.
func loneFlight() *flight.Flight {
	return &flight.Flight{}
}
