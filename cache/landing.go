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
	if v.flight == nil && !v.rule.Nobody {
		return
	}
	noteUnshareable(h.identities, v, reason)
	if v.flight == nil {
		return
	}
	flight.Land(h.shared.flights, v.flight, flight.Landing{Refused: true, Reason: reason})
	elsewhere := int64(refusedTime)
	if reason == policy.ReasonEnded {
		elsewhere = 0 // the next answer is right
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
