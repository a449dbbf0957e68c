package storage

import (
	"math/rand"
	"time"
)

// NewEpoch returns the name of a new purge state: random, larger than any
// sequence number and exact as a double, which is what Redis keeps scores as.
func NewEpoch() int64 {
	return 1<<50 + rand.Int63n(1<<50)
}

// NowMS is the time in Unix ms.
func NowMS() int64 {
	return time.Now().UnixMilli()
}

// Started is a time before all that is measured against it: what has passed since then
// only goes forward, whatever the clock is set to.
var Started = time.Now()

// StartedMS is Started in Unix ms, as the clock was then.
var StartedMS = Started.UnixMilli()

// Ticks is a time in ms that only goes forward, unlike NowMS: after a step of
// the clock backwards, what is known of a purge state must not count as
// current for longer, nor a breaker stay open.
func Ticks() int64 {
	return StartedMS + time.Since(Started).Milliseconds()
}
