package storage

import (
	"math/rand"
	"time"
)

// newEpoch returns the name of a new purge state: random, larger than any
// sequence number and exact as a double, which is what Redis keeps scores as.
func newEpoch() int64 {
	return 1<<50 + rand.Int63n(1<<50)
}

func nowMS() int64 {
	return time.Now().UnixMilli()
}

// Started is a time before all that is measured against it: what has passed since then
// only goes forward, whatever the clock is set to.
var Started = time.Now()

// startedMS is Started in Unix ms, as the clock was then.
var startedMS = Started.UnixMilli()

// ticks is a time in ms that only goes forward, unlike nowMS: after a step of
// the clock backwards, what is known of a purge state must not count as
// current for longer, nor a breaker stay open.
func ticks() int64 {
	return startedMS + time.Since(Started).Milliseconds()
}
