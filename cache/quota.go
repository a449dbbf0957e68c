package cache

import (
	"net/http"
	"strconv"

	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/storage"
)

// overRate refuses a purge by request that is over the rate, nil if it is not.
func (h *Handler) overRate() *refusal {
	r := h.shared.rateOf(h.s.Tenant)
	r.mu.Lock()
	wait := r.asked.wait(h.s.Quota.Purges, storage.Ticks())
	r.mu.Unlock()
	if wait == 0 {
		return nil
	}
	count(h, "purge-rate")
	seconds := strconv.FormatInt((wait+999)/1000, 10)
	return &refusal{
		status: http.StatusTooManyRequests, reason: "rate", retry: seconds,
		problem: "more than quota.purges (" + strconv.Itoa(h.s.Quota.Purges) + ") in a minute; nothing was purged: send it again in " + seconds + " s",
	}
}

// What a tenant takes of what it shares, in the answer of the status.

type ownAnswer struct {
	Memory   heldAnswer  `json:"memory"`
	Redis    *heldAnswer `json:"redis,omitempty"` // where it is counted
	Renewing int         `json:"refreshing"`
	Quota    quotaAnswer `json:"quota"` // 0: no bound of its own
}

type heldAnswer struct {
	Entries int   `json:"entries"`
	Bytes   int64 `json:"bytes"`
	Evicted int64 `json:"evicted"`
}

type quotaAnswer struct {
	MemoryBytes   int64 `json:"memoryBytes"`
	MemoryEntries int   `json:"memoryEntries"`
	RedisBytes    int64 `json:"redisBytes"`
	RedisEntries  int   `json:"redisEntries"`
	Purges        int   `json:"purges"`
	Refreshes     int   `json:"refreshes"`
}

// ownStatus tells what the tenant takes, and what it may.
func (h *Handler) ownStatus() ownAnswer {
	q := h.s.Quota
	a := ownAnswer{
		Memory: held(h.shared.tier.Usage(h.tenant)), Renewing: flight.RefreshesOf(h.shared.flights, h.s.Tenant),
		Quota: quotaAnswer{
			MemoryBytes: q.MemoryBytes, MemoryEntries: q.MemoryEntries, RedisBytes: q.RedisBytes, RedisEntries: q.RedisEntries,
			Purges: q.Purges, Refreshes: q.Refreshes,
		},
	}
	if u, known := h.shared.tier.RemoteUsage(h.tenant); known {
		remote := held(u)
		a.Redis = &remote
	}
	return a
}

func held(u storage.Usage) heldAnswer {
	return heldAnswer{Entries: u.Entries, Bytes: u.Bytes, Evicted: u.Evicted}
}
