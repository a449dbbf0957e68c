package traefik_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// websocketAccept is the answer to a key (RFC 6455 §4.2.2).
func websocketAccept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// writeFrame sends a text frame (RFC 6455 §5.2), masked as a client's must be.
func writeFrame(w io.Writer, masked bool, payload []byte) error {
	frame := []byte{0x81, 0}
	if len(payload) < 126 {
		frame[1] = byte(len(payload))
	} else {
		frame[1] = 126
		frame = binary.BigEndian.AppendUint16(frame, uint16(len(payload)))
	}
	body := append([]byte{}, payload...)
	if masked {
		mask := []byte{1, 2, 3, 4}
		frame[1] |= 0x80
		frame = append(frame, mask...)
		for i := range body {
			body[i] ^= mask[i%4]
		}
	}
	_, err := w.Write(append(frame, body...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		long := make([]byte, 2)
		if _, err := io.ReadFull(r, long); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint16(long))
	}
	mask := make([]byte, 4)
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask); err != nil {
			return nil, err
		}
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(r, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return payload, err
}

func echoWebSocket(rw http.ResponseWriter, r *http.Request) {
	accept := websocketAccept(r.Header.Get("Sec-WebSocket-Key"))
	c, buffered := site.Hijack(rw)
	defer c.Close()
	_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept)
	for {
		payload, err := readFrame(buffered)
		if err != nil || writeFrame(c, false, payload) != nil {
			return
		}
	}
}

// big is the size of what must pass in constant memory, growth what it may cost.
const (
	big    = 200 << 20
	growth = 60 << 10 // kB
)

// pattern is a reader of endless bytes that do not repeat within a buffer.
type pattern struct{ n uint64 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := 0; i+8 <= len(b); i += 8 {
		p.n = p.n*6364136223846793005 + 1442695040888963407
		binary.LittleEndian.PutUint64(b[i:], p.n)
	}
	return len(b) &^ 7, nil
}

func bigBody() io.Reader {
	return io.LimitReader(bufio.NewReaderSize(&pattern{}, 1<<16), big)
}

var bigDigest = sync.OnceValue(func() string {
	hash := sha256.New()
	_, _ = io.Copy(hash, bigBody())
	return hex.EncodeToString(hash.Sum(nil))
})

func digestOf(r io.Reader) (digest string, n int64, err error) {
	hash := sha256.New()
	n, err = io.Copy(hash, r)
	return hex.EncodeToString(hash.Sum(nil)), n, err
}

// streamer is an origin that sends a part, and the next only when it is told to.
type streamer struct {
	next chan struct{}
}

func (s *streamer) serve(rw http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(rw).Flush
	for i := 0; i < 5; i++ {
		if i > 0 {
			select {
			case <-s.next:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = fmt.Fprintf(rw, "data: %d\n\n", i)
		_ = flush()
	}
}

// TestTraefikTransparent: what is not cached passes as it is.
func TestTraefikTransparent(t *testing.T) {
	server := stack.StartRedis(t)
	var answer atomic.Value
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) { answer.Load().(http.HandlerFunc)(rw, r) })
	answers := func(f http.HandlerFunc) { answer.Store(f) }
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"": {"tenant": "shop", "redis": site.Options{"address": server.Address}}}))
	request := func(t *testing.T, method, path string, body io.Reader, lines ...string) *http.Request {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		t.Cleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, method, p.URL+path, body)
		require.NoError(t, err)
		r.Header = site.Fields(lines...)
		return r
	}

	t.Run("WebSocket", func(t *testing.T) {
		answers(echoWebSocket)
		c, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(stack.Patience)))
		key := base64.StdEncoding.EncodeToString([]byte("sixteen bytes..."))
		_, err = fmt.Fprintf(c, "GET /websocket HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nOrigin: https://shop.example\r\n\r\n", key)
		require.NoError(t, err)
		buffered := bufio.NewReader(c)
		resp, err := http.ReadResponse(buffered, nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		assert.Equal(t, websocketAccept(key), resp.Header.Get("Sec-WebSocket-Accept"))
		assert.Equal(t, []string{"odoocache; fwd=bypass; detail=upgrade"}, resp.Header["Cache-Status"])
		for _, payload := range []string{"hello", "", strings.Repeat("x", 60000), "bye"} {
			require.NoError(t, writeFrame(c, true, []byte(payload)))
			echo, err := readFrame(buffered)
			require.NoError(t, err)
			require.Equal(t, payload, string(echo))
		}
	})

	t.Run("streams", func(t *testing.T) {
		for _, test := range []struct {
			name    string
			header  []string // of the response
			request []string
			stored  bool
		}{
			{"event stream", []string{"Content-Type: text/event-stream"}, []string{"Accept: text/event-stream"}, false},
			{"event stream that was not asked for", []string{"Content-Type: text/event-stream", "Cache-Control: max-age=60"}, nil, false},
			{"unknown length, not stored", []string{"Content-Type: text/plain"}, nil, false},
			{"unknown length, stored", []string{"Content-Type: text/plain", "Cache-Control: max-age=60"}, nil, true},
		} {
			t.Run(test.name, func(t *testing.T) {
				s := &streamer{next: make(chan struct{})}
				answers(func(rw http.ResponseWriter, r *http.Request) {
					for name, values := range site.Fields(test.header...) {
						rw.Header()[name] = values
					}
					s.serve(rw, r)
				})
				path := "/stream/" + strings.ReplaceAll(strings.ReplaceAll(test.name, " ", "-"), ",", "")
				resp, err := site.PlainClient.Do(request(t, http.MethodGet, path, nil, test.request...))
				require.NoError(t, err)
				defer resp.Body.Close()
				lines := bufio.NewReader(resp.Body)
				for i := 0; i < 5; i++ {
					line, err := lines.ReadString('\n')
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintf("data: %d\n", i), line)
					_, _ = lines.ReadString('\n')
					if i < 4 {
						s.next <- struct{}{} // only now is the next event produced
					}
				}
				_, err = lines.ReadByte()
				require.Equal(t, io.EOF, err)
				if test.stored {
					r, err := site.Send(http.MethodGet, p.URL+path, "", site.Fields())
					require.NoError(t, err)
					assert.Contains(t, r.CacheStatus(), "; hit;")
					assert.Equal(t, "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n", r.Body)
				}
			})
		}
	})

	t.Run("large bodies", func(t *testing.T) {
		want := bigDigest()
		upload := func(rw http.ResponseWriter, r *http.Request) {
			digest, n, err := digestOf(r.Body)
			_, _ = fmt.Fprintln(rw, digest, n, err, r.ContentLength)
		}
		download := func(length bool) http.HandlerFunc {
			return func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Cache-Control", "max-age=60")
				if length {
					rw.Header().Set("Content-Length", strconv.Itoa(big))
				}
				_, _ = io.Copy(rw, bigBody())
			}
		}
		answers(site.Page("warm"))
		p.Get("/warm") // what the first request allocates is not the body's
		for _, length := range []bool{true, false} {
			t.Run(fmt.Sprintf("upload, length known %t", length), func(t *testing.T) {
				answers(upload)
				grown := p.Peak(func() {
					r := request(t, http.MethodPost, "/upload", bigBody())
					announced := int64(-1)
					if length {
						r.ContentLength = big
						announced = big
					}
					resp, err := site.PlainClient.Do(r)
					require.NoError(t, err)
					defer resp.Body.Close()
					b, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					assert.Equal(t, fmt.Sprintln(want, big, nil, announced), string(b))
				})
				t.Logf("grew by %d kB", grown)
				assert.Less(t, grown, growth)
			})
			t.Run(fmt.Sprintf("download, length known %t", length), func(t *testing.T) {
				answers(download(length))
				grown := p.Peak(func() {
					resp, err := site.PlainClient.Do(request(t, http.MethodGet, fmt.Sprintf("/download/%t", length), nil))
					require.NoError(t, err)
					defer resp.Body.Close()
					digest, n, err := digestOf(resp.Body)
					require.NoError(t, err)
					assert.Equal(t, want, digest)
					assert.EqualValues(t, big, n)
				})
				t.Logf("grew by %d kB", grown)
				assert.Less(t, grown, growth)
			})
		}
		for _, key := range server.Entries("shop") {
			assert.NotContains(t, server.Must("GET "+key), "/download/")
		}
	})

	t.Run("ranges", func(t *testing.T) {
		body := strings.Repeat("0123456789", 100)
		answers(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.Header().Set("Content-Type", "text/plain")
			rw.Header().Set("Etag", `"e"`)
			http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(body))
		})
		check := func(path string) {
			for _, test := range []struct {
				lines  []string
				status int
				body   string
				part   string
			}{
				{[]string{"Range: bytes=2-5"}, 206, "2345", "bytes 2-5/1000"},
				{[]string{"Range: bytes=-3"}, 206, "789", "bytes 997-999/1000"},
				{[]string{"Range: bytes=1000-"}, 416, "invalid range: failed to overlap\n", "bytes */1000"},
				{[]string{"Range: bytes=2-5", `If-Range: "e"`}, 206, "2345", "bytes 2-5/1000"},
				{[]string{"Range: bytes=2-5", `If-Range: "f"`}, 200, body, ""},
			} {
				r := p.Get(path, test.lines...)
				assert.Equal(t, test.status, r.Status, "%s %v", path, test.lines)
				assert.Equal(t, test.body, r.Body, "%s %v", path, test.lines)
				assert.Equal(t, test.part, r.Header.Get("Content-Range"), "%s %v", path, test.lines)
				if test.status < 400 {
					assert.Equal(t, strconv.Itoa(len(test.body)), r.Header.Get("Content-Length"))
				}
			}
		}
		asked := origin.Renders()
		check("/range/uncached")
		assert.GreaterOrEqual(t, origin.Renders()-asked, 4, "a part is asked of the origin")
		assert.Contains(t, p.Get("/range/cached").CacheStatus(), "; stored;")
		asked = origin.Renders()
		check("/range/cached")
		assert.Equal(t, asked, origin.Renders(), "a part is cut out of the stored page")
	})

	t.Run("HEAD", func(t *testing.T) {
		methods := make(chan string, 10)
		answers(func(rw http.ResponseWriter, r *http.Request) {
			methods <- r.Method
			site.Page("hello", "Cache-Control: max-age=60", `Etag: "e"`)(rw, r)
		})
		first := p.Do(http.MethodHead, "/head", "")
		assert.Equal(t, "HEAD", <-methods)
		assert.Equal(t, "5", first.Header.Get("Content-Length"))
		assert.Equal(t, "odoocache; fwd=uri-miss; detail=method", first.CacheStatus())
		p.Get("/head")
		assert.Equal(t, "GET", <-methods)
		hit := p.Do(http.MethodHead, "/head", "")
		assert.Contains(t, hit.CacheStatus(), "; hit;")
		assert.Equal(t, "5", hit.Header.Get("Content-Length"))
		assert.Equal(t, `"e"`, hit.Header.Get("Etag"))
		assert.Empty(t, hit.Body)
		assert.Empty(t, methods)
	})

	t.Run("early hints", func(t *testing.T) {
		answers(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Link", "</style.css>; rel=preload")
			rw.WriteHeader(http.StatusEarlyHints)
			rw.Header().Set("Link", "</other.css>; rel=preload")
			site.Page("hello", "Cache-Control: "+r.URL.Query().Get("cc"))(rw, r)
		})
		for _, control := range []string{"max-age=60", "no-store"} {
			var hints []string
			r := request(t, http.MethodGet, "/hints?cc="+control, nil)
			r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
					hints = append(hints, fmt.Sprintf("%d%v", status, header["Link"]))
					return nil
				},
			}))
			resp, err := site.PlainClient.Do(r)
			require.NoError(t, err)
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			assert.Equal(t, []string{"103[</style.css>; rel=preload]"}, hints)
			assert.Equal(t, 200, resp.StatusCode)
			assert.Equal(t, "hello", string(b))
			assert.Equal(t, []string{"</other.css>; rel=preload"}, resp.Header["Link"])
		}
	})

	t.Run("errors", func(t *testing.T) {
		answers(func(rw http.ResponseWriter, r *http.Request) {
			status, _ := strconv.Atoi(r.URL.Query().Get("status"))
			rw.Header().Set("X-Reason", "because")
			rw.Header().Set("Content-Type", "text/html")
			rw.WriteHeader(status)
			_, _ = fmt.Fprintf(rw, "<p>%d</p>", status)
		})
		for _, status := range []int{400, 401, 403, 404, 410, 418, 429, 500, 502, 503, 504} {
			for i := 0; i < 2; i++ {
				asked := origin.Renders()
				r := p.Get(fmt.Sprintf("/error?status=%d", status))
				assert.Equal(t, status, r.Status)
				assert.Equal(t, fmt.Sprintf("<p>%d</p>", status), r.Body)
				assert.Equal(t, "because", r.Header.Get("X-Reason"))
				assert.Equal(t, asked+1, origin.Renders())
			}
		}
	})

	t.Run("trailers", func(t *testing.T) {
		for _, announced := range []bool{true, false} {
			for _, control := range []string{"no-store", "max-age=60"} {
				answers(func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("Cache-Control", control)
					name := http.TrailerPrefix + "X-Sum"
					if announced {
						rw.Header().Set("Trailer", "X-Sum")
						name = "X-Sum"
					}
					_, _ = io.WriteString(rw, "hello")
					_ = http.NewResponseController(rw).Flush()
					rw.Header().Set(name, "42")
				})
				path := fmt.Sprintf("/trailers/%t/%s", announced, control)
				for i := 0; i < 2; i++ {
					resp, err := site.PlainClient.Do(request(t, http.MethodGet, path, nil))
					require.NoError(t, err)
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					require.NoError(t, err)
					assert.Equal(t, "hello", string(b))
					if i == 0 || announced {
						assert.Equal(t, http.Header{"X-Sum": {"42"}}, resp.Trailer, path)
					}
				}
			}
		}
	})

	t.Run("broken off", func(t *testing.T) {
		for name, head := range map[string]string{
			"length":  "Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 500),
			"chunked": "Transfer-Encoding: chunked\r\n\r\n1f4\r\n" + strings.Repeat("x", 500) + "\r\n",
		} {
			for _, control := range []string{"max-age=60", "no-store"} {
				t.Run(name+" "+control, func(t *testing.T) {
					answers(func(rw http.ResponseWriter, _ *http.Request) {
						c, _ := site.Hijack(rw)
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nCache-Control: "+control+"\r\n"+head)
						c.Close()
					})
					path := "/broken/" + name + "/" + control
					stored := len(server.Entries("shop"))
					for i := 0; i < 2; i++ {
						asked := origin.Renders()
						resp, err := site.PlainClient.Do(request(t, http.MethodGet, path, nil))
						if err == nil {
							_, err = io.ReadAll(resp.Body)
							resp.Body.Close()
						}
						assert.Error(t, err, "the client can tell that the page is not whole")
						assert.Greater(t, origin.Renders(), asked)
					}
					assert.Len(t, server.Entries("shop"), stored)
					answers(site.Page("whole", "Cache-Control: max-age=60"))
					assert.Equal(t, "whole", p.Get(path).Body)
				})
			}
		}
	})

	t.Run("HTTP/2", func(t *testing.T) {
		body := bytes.Repeat([]byte("0123456789abcdef"), 5000)
		answers(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				b, _ := io.ReadAll(r.Body)
				_, _ = rw.Write(b)
				return
			}
			site.Page(string(body), "Cache-Control: max-age=60")(rw, r)
		})
		client := stack.SecureClient()
		for _, want := range []string{"; stored;", "; hit;"} {
			resp, err := client.Get(p.TLS + "/h2")
			require.NoError(t, err)
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			assert.Equal(t, "HTTP/2.0", resp.Proto)
			assert.Contains(t, resp.Header.Get("Cache-Status"), want)
			assert.True(t, bytes.Equal(body, b))
		}
		resp, err := client.Post(p.TLS+"/h2/echo", "application/octet-stream", bytes.NewReader(body))
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(body, b))
	})
}

// TestTraefikStreamsBeginAtOnce: a browser's EventSource opens when the headers
// come, which may be long before the first event.
func TestTraefikStreamsBeginAtOnce(t *testing.T) {
	stack.NeedTraefik(t)
	for _, lines := range [][]string{{"Accept: text/event-stream"}, nil} {
		gate := make(chan struct{})
		origin := stack.NewBackend(t, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/event-stream")
			rw.(http.Flusher).Flush()
			<-gate
			_, _ = io.WriteString(rw, "data: 1\n\n")
		})
		p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"": {}}))
		r, err := http.NewRequest(http.MethodGet, p.URL+"/events", nil)
		require.NoError(t, err)
		r.Header = site.Fields(lines...)
		ctx, cancel := context.WithTimeout(context.Background(), stack.Patience)
		defer cancel()
		resp, err := site.PlainClient.Do(r.WithContext(ctx)) // returns when the headers are there
		if err != nil {
			close(gate)
			require.NoError(t, err, "the headers waited for the first event")
		}
		close(gate)
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		assert.Equal(t, "data: 1\n\n", string(b))
	}
}
