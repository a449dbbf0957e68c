package cache

import (
	"math"
	"math/rand"

	"github.com/odoocache/odoocache/cache/storage"
)

// early decides by chance whether a fresh entry is refreshed before it expires: the
// less time is left in comparison with what the origin takes, the more likely
// (XFetch: Vattani, Chierichetti, Lowenstein, Optimal Probabilistic Cache Stampede
// Prevention, VLDB 2015, with β = 1). In the first half of its life none is.
func early(e *storage.Entry, now int64) bool {
	left := e.Life.TTL - age(e, now)
	return left < earlyPart(e) && float64(left) <= -float64(e.Render)*math.Log(1-rand.Float64())
}

// earlyPart is how long before its end, in ms, an entry may be refreshed: beyond ten
// times its render time the chance is below 1 in 20000.
func earlyPart(e *storage.Entry) int64 {
	if e.Render <= 0 { // the clock may have been set back
		return 0
	}
	if part := 10 * e.Render; part < e.Life.TTL/2 {
		return part
	}
	return e.Life.TTL / 2
}

// earlyWindow returns how long before its end, in ms, an entry may be refreshed, 0 where the
// option earlyRefresh is off.
func earlyWindow(h *Handler, e *storage.Entry) int64 {
	if !h.s.EarlyRefresh {
		return 0
	}
	return earlyPart(e)
}
