package cache

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
)

// TestBypassesAreBounded: whoever asks for one address after the other does not make
// what is remembered of them grow.
func TestBypassesAreBounded(t *testing.T) {
	h := &Handler{s: &config.Settings{}, identities: newIdentities(nil), bypassed: &sync.Map{}, bypasses: new(int64)}
	held := func() (n int) {
		h.bypassed.Range(func(any, any) bool { n++; return true })
		return n
	}
	for i := 0; i < 3*maxIdentities; i++ {
		r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/%d", i), nil)
		keepBypass(h, r)
		keepBypass(h, r)
		if i%1000 == 0 {
			require.LessOrEqual(t, held(), maxIdentities)
		}
	}
	require.Positive(t, held())
}
