//go:build race

package odoocache_test

const raceEnabled = true
