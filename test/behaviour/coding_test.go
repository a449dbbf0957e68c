package behaviour_test

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

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
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
	server := stack.StartServer(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer client.Close()
	site.Both(t, func(t *testing.T, load site.Loader) {
		text := strings.Repeat("<p>a line of a page</p>\n", 2000)
		s := site.New(t, load, site.Options{"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}},
			site.Page(text, "Content-Type: text/html; charset=utf-8", "Cache-Control: max-age=60"))
		require.Equal(t, text, s.Get("/").Body)
		found, err := client.Keys(context.Background(), fmt.Sprintf("oc:{%s}:e:*", s.Options["tenant"])).Result()
		require.NoError(t, err)
		require.Len(t, found, 1)
		value, err := client.Get(context.Background(), found[0]).Result()
		require.NoError(t, err)
		require.Less(t, len(value), len(text)/10)
		require.NotContains(t, value, "a line of a page")
		_, body, begins := strings.Cut(value, "\x1f\x8b") // RFC 1952 §2.3.1
		require.True(t, begins)
		require.Equal(t, text, site.Unzip(t, "\x1f\x8b"+body))
	})
}

func TestCoding(t *testing.T) {
	const zipped, plain = "Accept-Encoding: gzip, deflate, br", "Accept-Encoding: identity"
	html := []string{"Content-Type: text/html; charset=utf-8", "Cache-Control: max-age=600"}
	site.Both(t, func(t *testing.T, load site.Loader) {
		t.Run("each client gets the form that it takes", func(t *testing.T) {
			for _, first := range []string{zipped, plain} {
				s := site.New(t, load, nil, site.Page(site.Text, html...))
				s.Get("/", first)
				for i := 0; i < 4; i++ { // the first hits go another way than the later ones
					z := s.Get("/", zipped)
					require.Equal(t, "gzip", z.Header.Get("Content-Encoding"), z.CacheStatus())
					require.Equal(t, site.Text, site.Unzip(t, z.Body))
					require.Equal(t, fmt.Sprint(len(z.Body)), z.Header.Get("Content-Length"))
					require.Less(t, len(z.Body), len(site.Text)/5)
					for _, accept := range []string{plain, "Accept-Encoding:", "Accept-Encoding: gzip;q=0", "Accept-Encoding: br, zstd"} {
						p := s.Get("/", accept)
						require.Empty(t, p.Header["Content-Encoding"], accept)
						require.Equal(t, site.Text, p.Body)
						require.Equal(t, "W/"+p.Header.Get("Etag"), z.Header.Get("Etag"), "one content, two forms")
						require.Equal(t, []string{"Accept-Encoding"}, p.Header["Vary"])
						require.Equal(t, p.Header["Vary"], z.Header["Vary"])
					}
				}
				require.Equal(t, 1, s.Renders())
			}
		})
		t.Run("the first answer has the form of the later ones", func(t *testing.T) {
			s := site.New(t, load, nil, site.Page(site.Text, html...))
			miss, hit := s.Get("/", zipped), s.Get("/", zipped)
			require.Contains(t, miss.CacheStatus(), "; stored")
			assert.Equal(t, miss.Body, hit.Body)
			for _, name := range []string{"Etag", "Vary", "Content-Encoding", "Content-Length", "Content-Type"} {
				assert.Equal(t, hit.Header[name], miss.Header[name], name)
			}
		})
		t.Run("conditions", func(t *testing.T) {
			s := site.New(t, load, nil, site.Page(site.Text, html...))
			s.Get("/")
			tag := s.Get("/", plain).Header.Get("Etag")
			require.Regexp(t, `^"oc-[0-9a-f]{20}"$`, tag)
			for i := 0; i < 3; i++ {
				for _, c := range []struct {
					accept, condition string
					status            int
				}{
					{plain, tag, 304}, {zipped, "W/" + tag, 304}, {zipped, tag, 304}, {plain, `"x", W/` + tag, 304}, {plain, "*", 304},
					{plain, `"x"`, 200}, {zipped, `"oc-"`, 200},
				} {
					got := s.Get("/", c.accept, "If-None-Match: "+c.condition)
					require.Equal(t, c.status, got.Status, "%v", c)
					require.Contains(t, got.CacheStatus(), "; hit")
					if c.status == 304 {
						require.Empty(t, got.Body)
						require.Empty(t, got.Header["Content-Encoding"])
						require.Empty(t, got.Header["Content-Type"])
						require.Equal(t, tag, strings.TrimPrefix(got.Header.Get("Etag"), "W/"))
						require.Equal(t, []string{"Accept-Encoding"}, got.Header["Vary"])
					}
				}
			}
		})
		t.Run("ranges are of the plain form", func(t *testing.T) {
			s := site.New(t, load, nil, site.Page(site.Text, html...))
			tag := s.Get("/", plain).Header.Get("Etag")
			got := s.Get("/", zipped, "Range: bytes=3-9")
			assert.Equal(t, http.StatusPartialContent, got.Status)
			assert.Equal(t, site.Text[3:10], got.Body)
			assert.Equal(t, fmt.Sprintf("bytes 3-9/%d", len(site.Text)), got.Header.Get("Content-Range"))
			assert.Equal(t, http.StatusPartialContent, s.Get("/", "Range: bytes=3-9", "If-Range: "+tag).Status)
			assert.Equal(t, http.StatusOK, s.Get("/", "Range: bytes=3-9", "If-Range: W/"+tag).Status, "weak tags do not do for ranges")
		})
		t.Run("HEAD", func(t *testing.T) {
			s := site.New(t, load, nil, site.Page(site.Text, html...))
			s.Get("/")
			z, p := s.Do(http.MethodHead, "/", "", zipped), s.Do(http.MethodHead, "/", "", plain)
			assert.Equal(t, "gzip", z.Header.Get("Content-Encoding"))
			assert.Equal(t, fmt.Sprint(len(site.Text)), p.Header.Get("Content-Length"))
			assert.Equal(t, 1, s.Renders())
		})
		t.Run("what is not coded", func(t *testing.T) {
			for name, answer := range map[string]http.HandlerFunc{
				"an image":             site.Page(site.Text, "Content-Type: image/png", "Cache-Control: max-age=600"),
				"no type":              site.Page(site.Text, "Content-Type:", "Cache-Control: max-age=600"),
				"no-transform":         site.Page(site.Text, "Content-Type: text/css", "Cache-Control: max-age=600, no-transform"),
				"a digest":             site.Page(site.Text, "Content-Type: text/css", "Cache-Control: max-age=600", "Content-Digest: sha-256=:x:"),
				"small":                site.Page("small", html...),
				"an origin that codes": site.Page(site.Text, append([]string{"Vary: Accept-Encoding"}, html...)...),
			} {
				s := site.New(t, load, nil, answer)
				s.Get("/", zipped)
				got := s.Get("/", zipped)
				assert.Contains(t, got.CacheStatus(), "; hit", name)
				assert.Empty(t, got.Header["Content-Encoding"], name)
				assert.NotEmpty(t, got.Header["Etag"], name)
			}
			s := site.New(t, load, site.Options{"compression": "0"}, site.Page(site.Text, html...))
			s.Get("/", zipped)
			assert.Equal(t, site.Text, s.Get("/", zipped).Body)
		})
		t.Run("an origin is asked in the codings that keys know", func(t *testing.T) {
			s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
				lines := append([]string{"Vary: Accept-Encoding"}, html...)
				switch accept := r.Header.Get("Accept-Encoding"); {
				case strings.Contains(accept, "br"):
					site.Page("brotli", "Vary: Accept-Encoding", "Content-Encoding: br", "Content-Type: text/css", "Cache-Control: max-age=600")(rw, r)
				case strings.Contains(accept, "gzip"):
					site.Page(zip(site.Text), append(lines, "Content-Encoding: gzip")...)(rw, r)
				default:
					site.Page(site.Text, lines...)(rw, r)
				}
			})
			for i := 0; i < 3; i++ {
				require.Equal(t, site.Text, s.Get("/", "Accept-Encoding: br").Body, "asked for in a coding that keys know")
				require.Equal(t, site.Text, site.Unzip(t, s.Get("/", "Accept-Encoding: gzip").Body))
				require.Equal(t, site.Text, s.Get("/", plain).Body)
			}
			require.Equal(t, 2, s.Renders())
		})
		t.Run("the origin's entity tag is kept, and ours is not shown to it", func(t *testing.T) {
			s := site.New(t, load, nil, site.Page(site.Text, append([]string{`Etag: "its"`}, "Content-Type: text/css", "Cache-Control: max-age=600")...))
			s.Get("/")
			assert.Equal(t, `"its"`, s.Get("/", plain).Header.Get("Etag"))
			assert.Equal(t, `W/"its"`, s.Get("/", zipped).Header.Get("Etag"))
			assert.Equal(t, 304, s.Get("/", zipped, `If-None-Match: W/"its"`).Status)
			s.Get("/", "Cache-Control: no-cache")
			assert.Equal(t, `"its"`, s.Request().Header.Get("If-None-Match"))

			s = site.New(t, load, nil, site.Page(site.Text, html...))
			s.Get("/")
			s.Get("/", "Cache-Control: no-cache")
			assert.Empty(t, s.Request().Header["If-None-Match"])
		})
		t.Run("the origin confirms: both forms stay", func(t *testing.T) {
			s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-None-Match") != "" {
					rw.Header().Set("Etag", `"its"`)
					rw.WriteHeader(http.StatusNotModified)
					return
				}
				site.Page(site.Text, append([]string{`Etag: "its"`}, html...)...)(rw, r)
			})
			s.Get("/")
			for i := 0; i < 2; i++ {
				assert.Equal(t, site.Text, site.Unzip(t, s.Get("/", zipped, "Cache-Control: no-cache").Body))
				assert.Equal(t, site.Text, s.Get("/", plain).Body)
			}
		})
	})
}
