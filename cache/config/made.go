package config

import (
	"fmt"
	"regexp"
	"sync"

	"github.com/odoocache/odoocache/keys"
)

// Expressions and sets of names that options have made, by their texts. Those of the preset
// are nearly all of what rules take in time and memory, and are the same whatever the other
// options are. Both are never changed, so whoever needs one again gets the same.
var (
	madeMu      sync.Mutex
	expressions = map[string]*regexp.Regexp{}
	sets        = map[string]keys.Names{}
	madeBytes   int // of the texts
)

// maxMade bounds the texts, in bytes; beyond, all of it is forgotten. The preset has 21 kB, which
// take 1.7 MB.
const maxMade = 256 << 10

// expression compiles a regular expression, or returns the one of the same text.
func expression(text string) (*regexp.Regexp, error) {
	madeMu.Lock()
	re := expressions[text]
	madeMu.Unlock()
	if re != nil {
		return re, nil
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	madeMu.Lock()
	defer madeMu.Unlock()
	if known := expressions[text]; known != nil {
		return known, nil
	}
	makeRoom(len(text))
	expressions[text] = re
	return re, nil
}

// nameSet makes a set of names, or of words, or returns the one of the same list.
func nameSet(list []string, words bool) keys.Names {
	text := fmt.Sprintf("%t %q", words, list)
	madeMu.Lock()
	defer madeMu.Unlock()
	n, found := sets[text]
	if found {
		return n
	}
	if words {
		n = keys.NewWordNames(list)
	} else {
		n = keys.NewNames(list)
	}
	makeRoom(len(text))
	sets[text] = n
	return n
}

// makeRoom counts a text in. The caller holds the lock.
func makeRoom(size int) {
	if madeBytes+size > maxMade {
		expressions = map[string]*regexp.Regexp{}
		sets = map[string]keys.Names{}
		madeBytes = 0
	}
	madeBytes += size
}
