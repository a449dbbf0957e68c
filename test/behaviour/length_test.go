package behaviour_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestRequestsThatTellNoLength: a GET by HTTP/3 does not say that it has no body. It is a hit
// like any other; one that has a body reaches Odoo with all of it.
func TestRequestsThatTellNoLength(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		got := ""
		h, err := load(context.Background(), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			got = r.Method + " " + string(b)
			site.Page("a page")(rw, r)
		}), site.Merge(asNobody(nil), site.Options{"tenant": "lengths" + strings.ReplaceAll(t.Name(), "/", "-")}))
		require.NoError(t, err)
		ask := func(method, path, body string, major int) string {
			r := httptest.NewRequest(method, "https://shop.example"+path, io.NopCloser(strings.NewReader(body)))
			r.ContentLength, r.ProtoMajor, r.ProtoMinor = -1, major, 0
			r.Header = site.Fields("X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example")
			rw := httptest.NewRecorder()
			h.ServeHTTP(rw, r)
			assert.Equal(t, http.StatusOK, rw.Code)
			return rw.Header().Get("Cache-Status")
		}
		for _, major := range []int{3, 2} {
			path := map[int]string{2: "/two", 3: "/three"}[major]
			assert.Contains(t, ask("GET", path, "", major), "stored")
			for i := 0; i < 3; i++ {
				got = ""
				assert.Contains(t, ask("GET", path, "", major), "; hit")
				assert.Contains(t, ask("HEAD", path, "", major), "; hit")
				assert.Empty(t, got)
			}
			assert.Contains(t, ask("GET", path, "a form", major), "detail=request-body")
			assert.Equal(t, "GET a form", got)
			assert.Contains(t, ask("POST", path, "a form", major), "detail=method")
			assert.Equal(t, "POST a form", got)
		}
		assert.Contains(t, ask("GET", "/three", "", 1), "detail=request-body", "chunked, of which nobody waits for the end")
	})
}
