package site

import (
	"os"
	"strconv"
	"testing"
)

// Long reports whether LONG=1 asks for what takes minutes: every fault of a list,
// figures that go into docs/.
func Long() bool {
	return os.Getenv("LONG") != ""
}

// NeedLong skips a test that takes minutes, unless it is asked for. The target of make
// that asks for it is named.
func NeedLong(t testing.TB, target string) {
	t.Helper()
	if !Long() {
		t.Skipf("takes minutes: make %s, or LONG=1", target)
	}
}

// FromEnv is a number from the environment, or what is taken without one.
func FromEnv(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}
