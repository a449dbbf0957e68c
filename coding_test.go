package odoocache_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func zip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

// TestRedisHoldsGzip: what is in Redis of a page is its gzip form, as another client of
// Redis reads it.
func TestRedisHoldsGzip(t *testing.T) {
	server := startServer(t)
	client := redis.NewClient(&redis.Options{Addr: server.address})
	defer client.Close()
	both(t, func(t *testing.T, load loader) {
		text := strings.Repeat("<p>a line of a page</p>\n", 2000)
		s := newSite(t, load, options{"redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"}},
			page(text, "Content-Type: text/html; charset=utf-8", "Cache-Control: max-age=60"))
		require.Equal(t, text, s.get("/").body)
		found, err := client.Keys(context.Background(), fmt.Sprintf("oc:{%s}:e:*", s.options["tenant"])).Result()
		require.NoError(t, err)
		require.Len(t, found, 1)
		value, err := client.Get(context.Background(), found[0]).Result()
		require.NoError(t, err)
		require.Less(t, len(value), len(text)/10)
		require.NotContains(t, value, "a line of a page")
		_, body, begins := strings.Cut(value, "\x1f\x8b") // RFC 1952 §2.3.1
		require.True(t, begins)
		require.Equal(t, text, unzip(t, "\x1f\x8b"+body))
	})
}

func TestCoding(t *testing.T) {
	const zipped, plain = "Accept-Encoding: gzip, deflate, br", "Accept-Encoding: identity"
	html := []string{"Content-Type: text/html; charset=utf-8", "Cache-Control: max-age=600"}
	both(t, func(t *testing.T, load loader) {
		t.Run("each client gets the form that it takes", func(t *testing.T) {
			for _, first := range []string{zipped, plain} {
				s := newSite(t, load, nil, page(text, html...))
				s.get("/", first)
				for i := 0; i < 4; i++ { // the first hits go another way than the later ones
					z := s.get("/", zipped)
					require.Equal(t, "gzip", z.header.Get("Content-Encoding"), z.cacheStatus())
					require.Equal(t, text, unzip(t, z.body))
					require.Equal(t, fmt.Sprint(len(z.body)), z.header.Get("Content-Length"))
					require.Less(t, len(z.body), len(text)/5)
					for _, accept := range []string{plain, "Accept-Encoding:", "Accept-Encoding: gzip;q=0", "Accept-Encoding: br, zstd"} {
						p := s.get("/", accept)
						require.Empty(t, p.header["Content-Encoding"], accept)
						require.Equal(t, text, p.body)
						require.Equal(t, "W/"+p.header.Get("Etag"), z.header.Get("Etag"), "one content, two forms")
						require.Equal(t, []string{"Accept-Encoding"}, p.header["Vary"])
						require.Equal(t, p.header["Vary"], z.header["Vary"])
					}
				}
				require.Equal(t, 1, s.renders())
			}
		})
		t.Run("the first answer has the form of the later ones", func(t *testing.T) {
			s := newSite(t, load, nil, page(text, html...))
			miss, hit := s.get("/", zipped), s.get("/", zipped)
			require.Contains(t, miss.cacheStatus(), "; stored")
			assert.Equal(t, miss.body, hit.body)
			for _, name := range []string{"Etag", "Vary", "Content-Encoding", "Content-Length", "Content-Type"} {
				assert.Equal(t, hit.header[name], miss.header[name], name)
			}
		})
		t.Run("conditions", func(t *testing.T) {
			s := newSite(t, load, nil, page(text, html...))
			s.get("/")
			tag := s.get("/", plain).header.Get("Etag")
			require.Regexp(t, `^"oc-[0-9a-f]{20}"$`, tag)
			for i := 0; i < 3; i++ {
				for _, c := range []struct {
					accept, condition string
					status            int
				}{
					{plain, tag, 304}, {zipped, "W/" + tag, 304}, {zipped, tag, 304}, {plain, `"x", W/` + tag, 304}, {plain, "*", 304},
					{plain, `"x"`, 200}, {zipped, `"oc-"`, 200},
				} {
					got := s.get("/", c.accept, "If-None-Match: "+c.condition)
					require.Equal(t, c.status, got.status, "%v", c)
					require.Contains(t, got.cacheStatus(), "; hit")
					if c.status == 304 {
						require.Empty(t, got.body)
						require.Empty(t, got.header["Content-Encoding"])
						require.Empty(t, got.header["Content-Type"])
						require.Equal(t, tag, strings.TrimPrefix(got.header.Get("Etag"), "W/"))
						require.Equal(t, []string{"Accept-Encoding"}, got.header["Vary"])
					}
				}
			}
		})
		t.Run("ranges are of the plain form", func(t *testing.T) {
			s := newSite(t, load, nil, page(text, html...))
			tag := s.get("/", plain).header.Get("Etag")
			got := s.get("/", zipped, "Range: bytes=3-9")
			assert.Equal(t, http.StatusPartialContent, got.status)
			assert.Equal(t, text[3:10], got.body)
			assert.Equal(t, fmt.Sprintf("bytes 3-9/%d", len(text)), got.header.Get("Content-Range"))
			assert.Equal(t, http.StatusPartialContent, s.get("/", "Range: bytes=3-9", "If-Range: "+tag).status)
			assert.Equal(t, http.StatusOK, s.get("/", "Range: bytes=3-9", "If-Range: W/"+tag).status, "weak tags do not do for ranges")
		})
		t.Run("HEAD", func(t *testing.T) {
			s := newSite(t, load, nil, page(text, html...))
			s.get("/")
			z, p := s.do(http.MethodHead, "/", "", zipped), s.do(http.MethodHead, "/", "", plain)
			assert.Equal(t, "gzip", z.header.Get("Content-Encoding"))
			assert.Equal(t, fmt.Sprint(len(text)), p.header.Get("Content-Length"))
			assert.Equal(t, 1, s.renders())
		})
		t.Run("what is not coded", func(t *testing.T) {
			for name, answer := range map[string]http.HandlerFunc{
				"an image":             page(text, "Content-Type: image/png", "Cache-Control: max-age=600"),
				"no type":              page(text, "Content-Type:", "Cache-Control: max-age=600"),
				"no-transform":         page(text, "Content-Type: text/css", "Cache-Control: max-age=600, no-transform"),
				"a digest":             page(text, "Content-Type: text/css", "Cache-Control: max-age=600", "Content-Digest: sha-256=:x:"),
				"small":                page("small", html...),
				"an origin that codes": page(text, append([]string{"Vary: Accept-Encoding"}, html...)...),
			} {
				s := newSite(t, load, nil, answer)
				s.get("/", zipped)
				got := s.get("/", zipped)
				assert.Contains(t, got.cacheStatus(), "; hit", name)
				assert.Empty(t, got.header["Content-Encoding"], name)
				assert.NotEmpty(t, got.header["Etag"], name)
			}
			s := newSite(t, load, options{"compression": "0"}, page(text, html...))
			s.get("/", zipped)
			assert.Equal(t, text, s.get("/", zipped).body)
		})
		t.Run("an origin's own codings are kept apart", func(t *testing.T) {
			s := newSite(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
				lines := append([]string{"Vary: Accept-Encoding"}, html...)
				switch accept := r.Header.Get("Accept-Encoding"); {
				case strings.Contains(accept, "br"):
					page("brotli", "Vary: Accept-Encoding", "Content-Encoding: br", "Content-Type: text/css", "Cache-Control: max-age=600")(rw, r)
				case strings.Contains(accept, "gzip"):
					page(zip(text), append(lines, "Content-Encoding: gzip")...)(rw, r)
				default:
					page(text, lines...)(rw, r)
				}
			})
			for i := 0; i < 3; i++ {
				require.Equal(t, "brotli", s.get("/", "Accept-Encoding: br").body)
				require.Equal(t, text, unzip(t, s.get("/", "Accept-Encoding: gzip").body))
				require.Equal(t, text, s.get("/", plain).body)
			}
			require.Equal(t, 3, s.renders())
		})
		t.Run("the origin's entity tag is kept, and ours is not shown to it", func(t *testing.T) {
			s := newSite(t, load, nil, page(text, append([]string{`Etag: "its"`}, "Content-Type: text/css", "Cache-Control: max-age=600")...))
			s.get("/")
			assert.Equal(t, `"its"`, s.get("/", plain).header.Get("Etag"))
			assert.Equal(t, `W/"its"`, s.get("/", zipped).header.Get("Etag"))
			assert.Equal(t, 304, s.get("/", zipped, `If-None-Match: W/"its"`).status)
			s.get("/", "Cache-Control: no-cache")
			assert.Equal(t, `"its"`, s.request().Header.Get("If-None-Match"))

			s = newSite(t, load, nil, page(text, html...))
			s.get("/")
			s.get("/", "Cache-Control: no-cache")
			assert.Empty(t, s.request().Header["If-None-Match"])
		})
		t.Run("the origin confirms: both forms stay", func(t *testing.T) {
			s := newSite(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-None-Match") != "" {
					rw.Header().Set("Etag", `"its"`)
					rw.WriteHeader(http.StatusNotModified)
					return
				}
				page(text, append([]string{`Etag: "its"`}, html...)...)(rw, r)
			})
			s.get("/")
			for i := 0; i < 2; i++ {
				assert.Equal(t, text, unzip(t, s.get("/", zipped, "Cache-Control: no-cache").body))
				assert.Equal(t, text, s.get("/", plain).body)
			}
		})
	})
}
