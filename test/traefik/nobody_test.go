package traefik_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
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

// rawOrigin answers each request with bytes, and closes the connection.
func rawOrigin(t *testing.T, answer func(n int, path string) string) (url string, asked func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	var count atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte(answer(int(count.Add(1)), r.URL.Path)))
			}()
		}
	}()
	return "http://" + l.Addr().String(), func() int { return int(count.Load()) }
}

// TestTraefikBrokenAnswers: an answer that breaks off is never stored, whichever of Traefik's
// proxies hands it on: the fast one reports nothing but an error behind half a page.
func TestTraefikBrokenAnswers(t *testing.T) {
	stack.NeedTraefik(t)
	answers := map[string]string{
		"/chunked":  "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n<html><body>half a \r\n",
		"/length":   "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\n<html><body>half a ",
		"/css":      "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nTransfer-Encoding: chunked\r\n\r\n8\r\na{color:\r\n",
		"/to-close": "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body>half a ",
	}
	for _, flags := range [][]string{nil, {"--experimental.fastProxy=true"}} {
		t.Run(strings.Join(append([]string{"with"}, flags...), " "), func(t *testing.T) {
			url, asked := rawOrigin(t, func(_ int, path string) string { return answers[path] })
			p := stack.StartTraefik(t, stack.Routed(url, map[string]site.Options{
				"nobody.example": {"tenant": "nobody", "rules": []site.Options{{"match": site.Everything, "ttl": "60", "fill": "nobody"}}},
				"plain.example":  {"tenant": "plain", "rules": []site.Options{{"match": site.Everything, "ttl": "60"}}},
			}), flags...)
			for _, host := range []string{"nobody.example", "plain.example"} {
				for path := range answers {
					if host == "plain.example" && path == "/to-close" {
						continue // its end is that of the connection (RFC 9112 §8)
					}
					for i := 0; i < 3; i++ {
						before := asked()
						r, err := http.NewRequest(http.MethodGet, p.URL+path, nil)
						require.NoError(t, err)
						r.Host = host
						resp, err := site.PlainClient.Do(r)
						if err == nil {
							assert.NotContains(t, strings.Join(resp.Header["Cache-Status"], ", "), "; hit", "%s%s", host, path)
							resp.Body.Close()
						}
						assert.Greater(t, asked(), before, "%s%s", host, path)
					}
				}
			}
		})
	}
}

// TestTraefikFills: what a filling request is in a real Traefik: sticky cookies of its own
// service are no obstacle, a visitor who leaves leaves the page, and a filter of databases in
// front gets through.
func TestTraefikFills(t *testing.T) {
	stack.NeedTraefik(t)
	g := site.NewGate(t)
	var slow atomic.Bool
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		if slow.Load() {
			g.Behind(site.Page(site.HTMLPage("slow"), "Content-Type: text/html"))(rw, r)
			return
		}
		seen := []string{r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Odoo-Dbfilter"), r.Header.Get("Cookie"), r.Header.Get("User-Agent"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto")}
		site.Page(site.HTMLPage(strings.Join(seen, "|")), "Content-Type: text/html", "Set-Cookie: session_id="+site.SessionID(1))(rw, r)
	})
	var dynamic map[string]interface{}
	require.NoError(t, json.Unmarshal([]byte(stack.Routed(origin.URL, map[string]site.Options{"shop.example": {"tenant": "shop", "preset": "odoo", "languages": []string{"en_US"}}})), &dynamic))
	parts := dynamic["http"].(map[string]interface{})
	parts["services"] = site.Options{"origin": site.Options{"loadBalancer": site.Options{"servers": []site.Options{{"url": origin.URL}}, "sticky": site.Options{"cookie": site.Options{}}}}}
	parts["middlewares"].(map[string]interface{})["filter"] = site.Options{"headers": site.Options{"customRequestHeaders": site.Options{"X-Odoo-Dbfilter": "^shop$"}}}
	for _, router := range parts["routers"].(map[string]interface{}) {
		router.(map[string]interface{})["middlewares"] = []string{"filter", "shop-example"}
	}
	b, err := json.Marshal(dynamic)
	require.NoError(t, err)
	p := stack.StartTraefik(t, string(b))
	const host = "Host: shop.example"
	first := p.Get("/contactus", host, "Cookie: mine=1; _12345=x", "User-Agent: mine", "X-Forwarded-For: 203.0.113.9")
	assert.Contains(t, first.CacheStatus(), "stored", "sticky cookies are dropped")
	assert.Empty(t, first.Header["Set-Cookie"])
	assert.Equal(t, site.HTMLPage("192.0.2.1|^shop$||Mozilla/5.0 (odoocache)|shop.example|http"), first.Body)
	for i := 0; i < 3; i++ {
		hit := p.Get("/contactus", host)
		assert.Contains(t, hit.CacheStatus(), "; hit")
		assert.Equal(t, first.Body, hit.Body)
	}

	slow.Store(true)
	before := origin.Renders()
	ctx, leave := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/about", nil)
		r.Host = "shop.example"
		if resp, err := site.PlainClient.Do(r); err == nil {
			resp.Body.Close()
		}
	}()
	require.Eventually(t, func() bool { return origin.Renders() == before+1 }, stack.Patience, site.Tick)
	leave()
	wg.Wait()
	c := site.NewCrowd(t, g)
	c.Ask(20, p.URL+"/about", host)
	time.Sleep(300 * time.Millisecond)
	g.Open()
	for _, r := range c.All() {
		assert.Equal(t, site.HTMLPage("slow"), r.Body)
	}
	assert.Equal(t, before+1, origin.Renders(), "one render for all, though its visitor has gone")
}
