package bench_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// nullWriter takes a response and keeps nothing of its body.
type nullWriter struct {
	header http.Header
	status int
}

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(status int)      { w.status = status }

// BenchmarkHit measures a hit from memory without a network: what the plugin
// itself costs, compiled and as Traefik runs it.
func BenchmarkHit(b *testing.B) {
	for _, mode := range []struct {
		name string
		load site.Loader
	}{{"compiled", site.Compiled}, {"interpreted", site.Interpreted}} {
		for _, preset := range []string{"", "odoo"} {
			b.Run(mode.name+"/preset="+preset, func(b *testing.B) {
				origin := site.Page(strings.Repeat("x", 49000), "X-Odoo-Cache: public, ttl=600", "Content-Type: text/html", "Surrogate-Key: a b c d e",
					"X-Content-Type-Options: nosniff", "X-Frame-Options: SAMEORIGIN", "Server: Werkzeug", "Date: Mon, 23 Nov 2026 05:00:00 GMT")
				h, err := mode.load(context.Background(), origin, site.Options{"tenant": "bench" + preset + mode.name, "preset": preset})
				require.NoError(b, err)
				r := site.BrowserRequest("/shop/customizable-desk-9")
				for i := 0; i < 2; i++ {
					h.ServeHTTP(&nullWriter{header: http.Header{}}, r)
				}
				w := &nullWriter{header: http.Header{}}
				h.ServeHTTP(w, r)
				require.Contains(b, w.header.Get("Cache-Status"), "; hit")
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; i++ {
					h.ServeHTTP(&nullWriter{header: http.Header{}}, r)
				}
			})
		}
	}
}
