package config

import "time"

// MaxKept and those below are for tests.
const MaxKept = maxKept

// Kept returns how many settings are kept.
func Kept() int {
	keptMu.Lock()
	defer keptMu.Unlock()
	return len(kept)
}

// Sweep drops those that have not been asked for since a time.
func Sweep(since time.Time) { sweep(since) }

// Forget drops all.
func Forget() {
	keptMu.Lock()
	defer keptMu.Unlock()
	kept = map[string]*keptSettings{}
}

// Made returns the bytes of all texts that expressions and sets are kept of, and their limit.
func Made() (bytes, limit int) {
	madeMu.Lock()
	defer madeMu.Unlock()
	for text := range expressions {
		bytes += len(text)
	}
	for text := range sets {
		bytes += len(text)
	}
	return bytes, maxMade
}
