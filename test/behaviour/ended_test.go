package behaviour_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// wire is an origin that answers with bytes, and closes its connections.
func wire(t *testing.T, answer func(r *http.Request) string) *url.URL {
	t.Helper()
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, _ := site.Hijack(rw)
		_, _ = c.Write([]byte(answer(r)))
		c.Close()
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

// behindProxy hands requests on by Go's proxy, as Traefik does, and answers what breaks off as
// Traefik does: with a panic.
func behindProxy(load site.Loader, to *url.URL) site.Loader {
	return func(ctx context.Context, _ http.Handler, o site.Options) (http.Handler, error) {
		return load(ctx, httputil.NewSingleHostReverseProxy(to), o)
	}
}

// TestEndsByConnection: an answer of a type that does not tell its end is stored if the proxy
// kept its connection, so that the end of its framing was read; not if the answer ends with
// the connection.
func TestEndsByConnection(t *testing.T) {
	const css = "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\n"
	for _, c := range []struct {
		name, answer string
		stored       bool
	}{
		{"chunked", css + "Transfer-Encoding: chunked\r\n\r\n7\r\na{b:c}\n\r\n0\r\n\r\n", true},
		{"chunked, and then closed", css + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n7\r\na{b:c}\n\r\n0\r\n\r\n", false},
		{"up to the end of the connection", css + "\r\na{b:c}\n", false},
		{"of HTTP/1.0", strings.Replace(css, "1.1", "1.0", 1) + "\r\na{b:c}\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				asked := 0
				to := wire(t, func(*http.Request) string { asked++; return c.answer })
				s := site.New(t, behindProxy(load, to), asNobody(nil), nil)
				first := s.Get("/a.css")
				assert.Equal(t, "a{b:c}\n", first.Body)
				before := asked
				next := s.Get("/a.css")
				assert.Equal(t, "a{b:c}\n", next.Body)
				if c.stored {
					assert.Contains(t, first.CacheStatus(), "stored")
					assert.Contains(t, next.CacheStatus(), "; hit")
					assert.Equal(t, 1, asked)
				} else {
					assert.Contains(t, first.CacheStatus(), "detail=no-end")
					assert.Equal(t, before+1, asked)
				}
			})
		})
	}
}

// TestEndsInGzip: what does not tell its end is asked for in gzip, which does.
func TestEndsInGzip(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		var accepted []string
		s := site.New(t, load, asNobody(site.Options{"ttl": "1s", "grace": "1h"}), func(rw http.ResponseWriter, r *http.Request) {
			accepted = append(accepted, r.Header.Get("Accept-Encoding"))
			rw.Header().Set("Content-Type", "text/css")
			if r.Header.Get("Accept-Encoding") != "gzip" {
				fmt.Fprint(rw, "a{b:c}\n")
				_ = http.NewResponseController(rw).Flush()
				return
			}
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			fmt.Fprint(z, "a{b:c}\n")
			_ = z.Close()
		})
		for i := 0; i < 3; i++ {
			got := s.Get("/a.css", "Accept-Encoding: br")
			assert.Equal(t, "a{b:c}\n", got.Body)
			assert.Empty(t, got.Header["Content-Encoding"])
			assert.Contains(t, got.CacheStatus(), []string{"stored", "; hit", "; hit"}[i])
		}
		assert.Equal(t, []string{"identity", "gzip"}, accepted)
		time.Sleep(1100 * time.Millisecond)
		s.Get("/a.css") // which is refreshed
		require.Eventually(t, func() bool { return s.Renders() == 3 }, site.WaitFor, site.Tick)
		assert.Equal(t, "gzip", s.Request().Header.Get("Accept-Encoding"), "it is known by now")
	})
}
