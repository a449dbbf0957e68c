package keys_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/keys"
)

func TestAcceptsGzip(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "*": true, "br": false, "identity": false, "deflate, gzip": true,
		"gzip, deflate, br, zstd": true, "notgzip": false, "gzip2, br": false, "gzip;q=0": false, "gzip;q=0.000": false,
		"gzip;q=0.5": true, "gzip; q=1": true, "gzip ;q=0.1, identity;q=0.5": false, "gzip;q=0.5, identity;q=0.5": true,
		"*;q=0": false, "*;q=0, gzip": true, "gzip;q=0, *": false, "identity;q=0": false, "gzip;q=x": false, "gzip;q=2": false,
		"gzip;a=b;q=0": false, "br;q=1.0, *;q=0.1": true,
	} {
		assert.Equal(t, want, keys.AcceptsGzip([]string{accept}), accept)
	}
	assert.False(t, keys.AcceptsGzip(nil))
	assert.True(t, keys.AcceptsGzip([]string{"br", "gzip"}), "two lines are one list")
}

// TestCodingsInKeys: what origins differ by is one of two.
func TestCodingsInKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, accepts := range []string{"gzip, deflate, br, zstd", "gzip,deflate", "*", "identity", "br", "gzip;q=0", ""} {
		h := http.Header{"Accept-Encoding": {accepts}}
		seen[keys.Variant("", []string{"accept-encoding"}, h)] = true
		assert.Equal(t, map[bool]string{true: keys.Gzip, false: keys.Identity}[keys.AcceptsGzip([]string{accepts})], keys.Coding(h), accepts)
	}
	seen[keys.Variant("", []string{"accept-encoding"}, http.Header{})] = true
	assert.Len(t, seen, 2)
}

// FuzzAcceptsGzip: nobody gets gzip who has not named it, or everything.
func FuzzAcceptsGzip(f *testing.F) {
	for _, seed := range []string{"gzip", "gzip;q=0", "*;q=0.5, identity", "br, gzip;q=0.1", ";;,,=", "gzip;q=nan", "gzip;q=-1", "*,*1 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if keys.AcceptsGzip([]string{accept}) {
			lower := strings.ToLower(accept)
			if !strings.Contains(lower, "gzip") && !strings.Contains(lower, "*") {
				t.Fatalf("%q", accept)
			}
			members := strings.Split(lower, ",")
			for i, member := range members {
				name, parameters, _ := strings.Cut(member, ";")
				members[i] = name + ";q=0;" + parameters
			}
			if refused := strings.Join(members, ","); keys.AcceptsGzip([]string{refused}) {
				t.Fatalf("%q accepted", refused)
			}
		}
	})
}
