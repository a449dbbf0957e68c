//go:build !race

package odoocache_test

// RaceEnabled tells if the race detector watches this process.
const RaceEnabled = false
