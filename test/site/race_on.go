//go:build race

package site

// RaceEnabled tells if the race detector watches this process.
const RaceEnabled = true
