package bench_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/measure"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// The benchmark measures with wrk, on one machine, in rounds in which every case has
// its turn, so that what disturbs the machine disturbs all alike. What it shows are
// ratios of cases of the same round. docs/bench.json has the raw figures.

// benchCase is something to measure, and what each answer has to be: what was not
// measured as it is called is an error and no figure.
type benchCase struct {
	name  string
	base  string // the case that it is compared with
	url   string
	lines []string             // of the request's header
	lua   string               // makes each request, where they differ
	like  func(i int) []string // path and host of such a request
	fills int                  // how many of them are to be in the cache first
	via   *stack.Traefik       // whose processor time and allocations count; nil: there is none

	cache  string // part of Cache-Status; empty: there is none
	status int
	body   func(path string) string // decoded
	coded  bool                     // in gzip
	asks   bool                     // the origin gets each request; else it gets none
}

// benchSite is what is measured.
type benchSite struct {
	t      *testing.T
	p      *stack.Traefik
	large  *stack.Traefik // holds so many entries that its garbage collector would be felt by the others
	idle   *stack.Traefik // its plugin hands every request on, and does nothing else
	least  *stack.Traefik // its plugin gets a page from Redis and writes it, and does nothing else
	lone   *stack.Traefik // has one middleware, for the times that requests take
	origin *stack.Backend
	redis  *stack.RedisServer

	answers map[string]*measure.Answer // of the origin
	nginx   string                     // address, empty: not installed
	pages   map[string]string
	sent    int // samples
}

// body returns what the origin has under a path.
func (s *benchSite) body(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if path == "/zipped" {
		path = "/product"
	}
	if strings.HasPrefix(path, "/e/") {
		return strings.Repeat("entry "+path+" ", 60)
	}
	if body, found := s.pages[path]; found {
		return body
	}
	return s.pages["/product"]
}

var (
	tagCounts    = []int{1, 10, 50}
	entryCounts  = []int{100, 1000, 10000, 100000}
	ruleCounts   = []int{1, 10, 100, 200}
	tenantCounts = []int{1, 10, 100}
)

func startBenchSite(t *testing.T) *benchSite {
	pages := map[string]string{"/product": measure.Captured(t, "product-desk"), "/shop": measure.Captured(t, "shop"), "/trivial": "ok", "/image": noise(60000)}
	s := &benchSite{t: t, redis: stack.StartServer(t, "--appendonly", "no"), pages: pages}
	s.answers = s.prepared()
	s.origin = stack.NewBackend(t, s.answer)
	server := func() site.Options {
		return site.Options{"address": s.redis.Address, "timeout": "5s", "dialTimeout": "5s"}
	}
	with := func(tenant, memory string, more site.Options) site.Options {
		o := site.Options{"tenant": tenant, "redis": server(), "memory": site.Options{"bytes": memory}, "csrf": site.Options{"mode": "ignore"}, "earlyRefresh": "false"}
		for name, value := range more {
			o[name] = value
		}
		return o
	}
	const large = "1GiB"
	hosts := map[string]site.Options{
		"memory.example": with("memory", large, nil), "redis.example": with("redis", "0", nil),
		"bypass.example": with("bypass", large, site.Options{"rules": []site.Options{{"match": site.Everything, "bypass": "true"}}}),
		"slow.example":   with("slow", large, nil), "slowodoo.example": with("slowodoo", large, site.Options{"preset": "odoo"}),
		"shop.example": with("shop", large, site.Options{"preset": "odoo"}), "shopredis.example": with("shopredis", "0", site.Options{"preset": "odoo"}),
	}
	entries := map[string]site.Options{}
	for _, n := range entryCounts {
		entries[fmt.Sprintf("entries%d.example", n)] = with(fmt.Sprintf("entries%d", n), large, site.Options{"admission": site.Options{"keys": "1000000"}}) // else more pages are asked for than are remembered
	}
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("1", 63)+"7\n"), 0o400))
	hosts["sealed.example"] = with("sealed", "0", site.Options{"encryption": site.Options{"keys": []string{key}}})
	hosts["image.example"] = with("image", "0", nil)
	for i := 0; i < tenantCounts[len(tenantCounts)-1]; i++ {
		hosts[fmt.Sprintf("tenant%d.example", i)] = with(fmt.Sprintf("tenant%d", i), large, nil)
	}
	for _, n := range ruleCounts {
		var rules []site.Options
		for i := 1; i < n; i++ {
			rules = append(rules, site.Options{"match": site.Options{"pathRegexp": fmt.Sprintf("^/section-%d/", i)}, "ttl": "1m"})
		}
		rules = append(rules, site.Options{"match": site.Options{"pathPrefixes": []string{"/"}}, "ttl": "24h"})
		hosts[fmt.Sprintf("rules%d.example", n)] = with(fmt.Sprintf("rules%d", n), large, site.Options{"rules": rules})
	}
	var config map[string]map[string]map[string]interface{}
	require.NoError(t, json.Unmarshal([]byte(stack.Routed(s.origin.URL, hosts)), &config))
	for name, middlewares := range map[string][]string{"bare": nil, "slowbare": nil, "compress": {"compress"}} {
		config["http"]["routers"][name] = site.Options{"rule": "Host(`" + name + ".example`)", "service": "origin", "middlewares": middlewares, "entryPoints": []string{"web"}}
	}
	config["http"]["middlewares"]["compress"] = site.Options{"compress": site.Options{}}
	dynamic, err := json.Marshal(config)
	require.NoError(t, err)
	s.p = stack.StartTraefik(t, string(dynamic))
	s.large = stack.StartTraefik(t, stack.Routed(s.origin.URL, entries))
	s.idle = stack.StartEdited(t, func(dir string) {
		require.NoError(t, source.Edit(filepath.Join(dir, "cache"), "	tried := outcomeGoOn\n", "	if h != nil {\n		h.next.ServeHTTP(rw, r)\n		return\n	}\n	tried := outcomeGoOn\n"))
	}, stack.Routed(s.origin.URL, map[string]site.Options{"idle.example": with("idle", large, nil)}))
	s.lone = stack.StartTraefik(t, stack.Routed(s.origin.URL, map[string]site.Options{"memory.example": with("lone", "64MiB", nil), "bare.example": nil}))
	s.startLeast()
	s.startNginx()
	return s
}

// prepared are the answers by path; /zipped is the product in gzip.
func (s *benchSite) prepared() map[string]*measure.Answer {
	answers := map[string]*measure.Answer{"/zipped": measure.NewAnswer(s.zipped(), "Content-Encoding: gzip")}
	for path, body := range s.pages {
		answers[path] = measure.NewAnswer(body)
	}
	answers["/image"] = measure.NewAnswer(s.pages["/image"], "Content-Type: image/webp")
	for _, n := range tagCounts {
		tags := "Surrogate-Key:"
		for i := 0; i < n; i++ {
			tags += fmt.Sprintf(" product_%d", i)
		}
		path := fmt.Sprintf("/tags-%d", n)
		answers[path] = measure.NewAnswer(s.body(path), tags)
	}
	return answers
}

// noise is a body that gzip does not make smaller, always the same.
func noise(size int) string {
	b := make([]byte, size)
	_, _ = rand.New(rand.NewSource(1)).Read(b)
	return string(b)
}

// answer is the origin.
func (s *benchSite) answer(rw http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Host, "slow") {
		time.Sleep(20 * time.Millisecond)
	}
	if r.URL.Path == beginPath {
		rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(1)+"; HttpOnly; Path=/")
		site.Page("begin", "X-Odoo-Cache: no-store")(rw, r)
		return
	}
	a := s.answers[r.URL.Path]
	if a == nil {
		a = measure.NewAnswer(s.body(r.URL.Path))
	}
	a.Write(rw)
}

// beginPath is where the origin begins a session, and always the same one.
const beginPath = "/begin"

// browserLines is what a browser sends with its second page and the following.
func browserLines() []string {
	return []string{
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
		"Accept-Encoding: gzip, deflate, br, zstd",
		"Accept-Language: en-US,en;q=0.9",
		"Cookie: frontend_lang=en_US; session_id=" + site.SessionID(1) + "; tz=Europe/Brussels; _ga=GA1.1.1460431723.1764500000; " +
			"_ga_8QZ4T1X2YK=GS2.1.s1764500000$o1$g1$t1764500321$j60$l0$h0; _fbp=fb.0.1764500000123.987654321",
		"Priority: u=0, i",
		"Referer: http://shop.example/shop",
		`Sec-Ch-Ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"`,
		"Sec-Ch-Ua-Mobile: ?0",
		`Sec-Ch-Ua-Platform: "Windows"`,
		"Sec-Fetch-Dest: document",
		"Sec-Fetch-Mode: navigate",
		"Sec-Fetch-Site: same-origin",
		"Sec-Fetch-User: ?1",
		"Upgrade-Insecure-Requests: 1",
		"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	}
}

// begin has Odoo begin the session of those lines, where the cache sees it, and makes the
// product ready for its visitor and for nobody.
func (s *benchSite) begin(hosts ...string) {
	for _, host := range hosts {
		got, err := site.Send(http.MethodGet, s.p.URL+beginPath, "", site.Fields("Host: "+host))
		require.NoError(s.t, err)
		require.Equal(s.t, site.SessionID(1), got.Session())
		for i := 0; i < 4; i++ {
			for _, lines := range [][]string{{"Accept-Encoding: gzip"}, browserLines()} {
				_, err := site.Send(http.MethodGet, s.p.URL+"/product", "", site.Fields(append([]string{"Host: " + host}, lines...)...))
				require.NoError(s.t, err)
			}
		}
	}
}

// zipped is the product in gzip, at the level of the store.
func (s *benchSite) zipped() string {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, 4)
	require.NoError(s.t, err)
	_, err = w.Write([]byte(s.pages["/product"]))
	require.NoError(s.t, err)
	require.NoError(s.t, w.Close())
	return b.String()
}

// leastPlugin is the least that an interpreted plugin can do: for a hit from Redis one GET
// on a connection that is open, and what came is written; for /kept what has come once; for
// a miss (n=) the response is recorded, stored in gzip and written; for /trivial the response's
// header is looked at and gets a field. No key, no purge, no session, no deadline, no error is
// looked at.
const leastPlugin = `package cache

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
)

type leastConn struct {
	c net.Conn
	r *bufio.Reader
}

var leastPool = make(chan *leastConn, 64)

var leastKept = map[string][]byte{}

// leastLook is a writer that looks at the header.
type leastLook struct {
	http.ResponseWriter
}

var leastStatus = []string{"least; fwd=bypass"}

func (l *leastLook) WriteHeader(status int) {
	h := l.ResponseWriter.Header()
	if h["X-Odoo-Purge"] == nil {
		h["Cache-Status"] = leastStatus
	}
	l.ResponseWriter.WriteHeader(status)
}

func (l *leastLook) Write(p []byte) (int, error) {
	return l.ResponseWriter.Write(p)
}

var leastZips = make(chan *gzip.Writer, 64)

func leastZip() *gzip.Writer {
	if len(leastZips) > 0 {
		z := <-leastZips
		return z
	}
	z, _ := gzip.NewWriterLevel(nil, 4)
	return z
}

func leastMiss(next http.Handler, rw http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	page := rec.Body.Bytes()
	var zipped bytes.Buffer
	z := leastZip()
	z.Reset(&zipped)
	_, _ = z.Write(page)
	_ = z.Close()
	leastZips <- z
	k := leastDial()
	_, _ = k.c.Write([]byte("*3\r\n$3\r\nSET\r\n$" + strconv.Itoa(len(r.URL.RawQuery)) + "\r\n" + r.URL.RawQuery + "\r\n$" + strconv.Itoa(zipped.Len()) + "\r\n" + zipped.String() + "\r\n"))
	_, _ = k.r.ReadString('\n')
	leastPool <- k
	h := rw.Header()
	for name, lines := range rec.Header() {
		h[name] = lines
	}
	_, _ = rw.Write(page)
}

func least(next http.Handler, rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/trivial" {
		next.ServeHTTP(&leastLook{rw}, r)
		return
	}
	if r.URL.RawQuery != "" {
		leastMiss(next, rw, r)
		return
	}
	h := rw.Header()
	key := "least"
	if r.Header["Accept-Encoding"] != nil {
		key = "zippd"
		h["Content-Encoding"] = []string{"gzip"}
	}
	page := leastKept[key]
	if page == nil || r.URL.Path != "/kept" {
		page = leastGet(key)
	}
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	h["Content-Length"] = []string{strconv.Itoa(len(page))}
	_, _ = rw.Write(page)
}

func leastDial() *leastConn {
	if len(leastPool) > 0 {
		k := <-leastPool
		return k
	}
	c, _ := net.Dial("tcp", "ADDRESS")
	return &leastConn{c: c, r: bufio.NewReaderSize(c, 65536)}
}

func leastGet(key string) []byte {
	k := leastDial()
	_, _ = k.c.Write([]byte("*2\r\n$3\r\nGET\r\n$5\r\n" + key + "\r\n"))
	line, _ := k.r.ReadString('\n')
	n, _ := strconv.Atoi(line[1 : len(line)-2])
	page := make([]byte, n+2)
	_, _ = io.ReadFull(k.r, page)
	leastPool <- k
	page = page[:n]
	if leastKept[key] == nil { // the first request is alone
		leastKept[key] = page
	}
	return page
}
`

// startLeast starts a Traefik with that plugin.
func (s *benchSite) startLeast() {
	client := redis.NewClient(&redis.Options{Addr: s.redis.Address})
	defer client.Close()
	require.NoError(s.t, client.Set(context.Background(), "least", s.pages["/product"], 0).Err())
	require.NoError(s.t, client.Set(context.Background(), "zippd", s.zipped(), 0).Err())
	s.least = stack.StartEdited(s.t, func(dir string) {
		file := filepath.Join(dir, "cache", "least.go")
		require.NoError(s.t, os.WriteFile(file, []byte(strings.Replace(leastPlugin, "ADDRESS", s.redis.Address, 1)), 0o600))
		require.NoError(s.t, source.Edit(filepath.Join(dir, "cache"), "	tried := outcomeGoOn\n", "	if h != nil {\n		least(h.next, rw, r)\n		return\n	}\n	tried := outcomeGoOn\n"))
	}, stack.Routed(s.origin.URL, map[string]site.Options{"least.example": {"tenant": "least"}, "slowleast.example": {"tenant": "least"}}))
	for _, lines := range []string{"Host: least.example", "Host: least.example\nAccept-Encoding: gzip"} {
		_, err := site.Send(http.MethodGet, s.least.URL+"/kept", "", site.Fields(strings.Split(lines, "\n")...))
		require.NoError(s.t, err)
	}
}

// startNginx starts nginx's own cache before the same origin, where it is installed.
func (s *benchSite) startNginx() {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return
	}
	dir, address := s.t.TempDir(), stack.FreeAddress(s.t)
	asRoot := ""
	if os.Getuid() == 0 {
		asRoot = "user root;" // else its workers may not enter the folder
	}
	conf := fmt.Sprintf(`daemon off; worker_processes 2; %[4]s pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
proxy_cache_path %[1]s/cache keys_zone=z:10m;
server { listen %[2]s; keepalive_requests 1000000; location / { proxy_pass %[3]s; proxy_cache z; proxy_cache_valid 200 1d; proxy_set_header Host bare.example; } } }`,
		dir, address, s.origin.URL, asRoot)
	require.NoError(s.t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600))
	cmd := exec.Command(path, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for i := 0; i < 200; i++ {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			s.nginx = "http://" + address
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The misses that are compared: the preset's rules are to cost nothing.
const (
	benchMiss       = "miss, origin of 20 ms"
	benchPresetMiss = "miss, preset odoo, origin of 20 ms"
)

// The hits with the preset that are compared: a session and a browser's header are to cost little.
const (
	benchNobody       = "preset odoo, hit without a cookie"
	benchVisitor      = "with a session and a browser's header"
	benchNobodyRedis  = "preset odoo, hit from Redis without a cookie"
	benchVisitorRedis = "from Redis, with a session and a browser's header"
)

// The hits from Redis that are encrypted.
const (
	benchSealed       = "hit from Redis, encrypted"
	benchSealedZipped = "hit from Redis, gzip, encrypted"
	benchImage        = "hit from Redis, image of 60 kB"
	benchSealedImage  = "hit from Redis, image of 60 kB, encrypted"
)

func (s *benchSite) cases() []benchCase {
	const bare, trivial, gz = "Traefik alone, 49 kB", "Traefik alone, trivial", "Accept-Encoding: gzip"
	hit := func(name, base, host, path string, lines ...string) benchCase {
		return benchCase{name: name, base: base, url: s.p.URL + path, lines: append([]string{"Host: " + host}, lines...), via: s.p,
			cache: "; hit", status: http.StatusOK, body: s.body, coded: len(lines) > 0 && lines[0] == gz}
	}
	passed := func(name, base, host, path, cache string, lines ...string) benchCase {
		c := hit(name, base, host, path, lines...)
		c.cache, c.asks = cache, true
		return c
	}
	first, err := site.Send(http.MethodGet, s.p.URL+"/product", "", site.Fields("Host: memory.example"))
	require.NoError(s.t, err)
	matched := hit("304", bare, "memory.example", "/product", "If-None-Match: "+first.Header.Get("Etag"))
	matched.status, matched.body = http.StatusNotModified, func(string) string { return "" }
	direct := passed("Go's server alone", bare, "bare.example", "/product", "")
	direct.url, direct.via = s.origin.URL+"/product", nil
	idle := passed("a plugin that does nothing, trivial", trivial, "idle.example", "/trivial", "")
	idle.url, idle.via = s.idle.URL+"/trivial", s.idle
	zipped := passed("Go's server alone, gzip", bare, "bare.example", "/zipped", "", gz)
	zipped.url, zipped.via = s.origin.URL+"/zipped", nil
	least := func(name, path string, lines ...string) benchCase {
		c := hit(name, bare, "least.example", path, lines...)
		c.url, c.via, c.cache = s.least.URL+path, s.least, ""
		return c
	}
	asking := func(c benchCase, base, host string) benchCase {
		c.base, c.asks, c.lines = base, true, []string{"Host: " + host}
		return c
	}
	looked := asking(least("a plugin that only looks, trivial", "/trivial"), trivial, "least.example")
	looked.cache = "fwd=bypass"
	browser := func(name, base, host string) benchCase {
		c := hit(name, base, host, "/product", browserLines()...)
		c.coded = true
		return c
	}
	s.begin("shop.example", "shopredis.example")
	const slow = "Traefik alone, origin of 20 ms"
	list := []benchCase{
		passed(bare, bare, "bare.example", "/product", ""),
		direct,
		zipped,
		hit("hit from memory", bare, "memory.example", "/product"),
		least("a plugin that only writes it", "/kept"),
		hit("hit from memory, gzip", bare, "memory.example", "/product", gz),
		least("a plugin that only writes it, gzip", "/kept", gz),
		hit("hit from Redis", bare, "redis.example", "/product"),
		hit(benchSealed, bare, "sealed.example", "/product"),
		least("a plugin that only gets it from Redis", "/product"),
		hit("hit from Redis, gzip", bare, "redis.example", "/product", gz),
		hit(benchSealedZipped, bare, "sealed.example", "/product", gz),
		least("a plugin that only gets it from Redis, gzip", "/product", gz),
		hit(benchImage, bare, "image.example", "/image"),
		hit(benchSealedImage, bare, "sealed.example", "/image"),
		matched,
		passed("Traefik's compress, 215 kB", "Traefik's compress, 215 kB", "compress.example", "/shop", "", gz),
		hit("hit from memory, 215 kB, gzip", "Traefik's compress, 215 kB", "memory.example", "/shop", gz),
		hit(benchNobody, benchNobody, "shop.example", "/product", gz),
		browser(benchVisitor, benchNobody, "shop.example"),
		hit(benchNobodyRedis, benchNobodyRedis, "shopredis.example", "/product", gz),
		browser(benchVisitorRedis, benchNobodyRedis, "shopredis.example"),
		passed(trivial, trivial, "bare.example", "/trivial", ""),
		idle,
		passed("bypass, trivial", trivial, "bypass.example", "/trivial", "fwd=bypass"),
		looked,
		passed(slow, slow, "slowbare.example", "", ""),
		passed(benchMiss, slow, "slow.example", "", "fwd=uri-miss; stored"),
		passed(benchPresetMiss, slow, "slowodoo.example", "", "fwd=uri-miss; stored"),
		asking(least("a plugin that only stores it, origin of 20 ms", ""), slow, "slowleast.example"),
	}
	for i := len(list) - 4; i < len(list); i++ {
		host := strings.TrimPrefix(list[i].lines[0], "Host: ")
		list[i].lua = measure.Counting
		list[i].like = func(n int) []string { return []string{fmt.Sprintf("/product?sample=%d", n), host} }
	}
	for _, n := range tagCounts {
		list = append(list, hit(fmt.Sprintf("%d tags", n), "1 tags", "memory.example", fmt.Sprintf("/tags-%d", n)))
	}
	for _, n := range ruleCounts {
		list = append(list, hit(fmt.Sprintf("%d rules", n), "1 rules", fmt.Sprintf("rules%d.example", n), "/product"))
	}
	for _, n := range entryCounts {
		n := n // for like
		host := fmt.Sprintf("entries%d.example", n)
		c := hit(fmt.Sprintf("%d entries", n), "100 entries", host, "")
		c.url, c.via, c.fills = s.large.URL, s.large, n
		c.lua = fmt.Sprintf(`function request() return wrk.format(nil, "/e/" .. math.random(0, %d)) end`, n-1)
		c.like = func(i int) []string { return []string{fmt.Sprintf("/e/%d", i%n), host} }
		list = append(list, c)
	}
	for _, n := range tenantCounts {
		n := n // for like
		c := hit(fmt.Sprintf("%d tenants", n), "1 tenants", "tenant0.example", "/product")
		c.fills = n
		c.lua = fmt.Sprintf(`function request() wrk.headers["Host"] = "tenant" .. math.random(0, %d) .. ".example"; return wrk.format(nil, "/product") end`, n-1)
		c.like = func(i int) []string { return []string{"/product", fmt.Sprintf("tenant%d.example", i%n)} }
		list = append(list, c)
	}
	if s.nginx != "" {
		c := hit("nginx's cache", bare, "bare.example", "/product")
		c.url, c.via, c.cache = s.nginx+"/product", nil, ""
		list = append(list, c)
	}
	return list
}

// chosen returns the cases whose names match, and what they are compared with.
func chosen(cases []benchCase, names *regexp.Regexp) []benchCase {
	needed := map[string]bool{}
	for _, c := range cases {
		if names.MatchString(c.name) {
			needed[c.name], needed[c.base] = true, true
		}
	}
	var list []benchCase
	for _, c := range cases {
		if needed[c.name] {
			list = append(list, c)
		}
	}
	return list
}

// fill puts the pages of cases that have many into the cache.
func (s *benchSite) fill(cases []benchCase) {
	var wg sync.WaitGroup
	var failed atomic.Int64
	jobs := make(chan [2]string, 64)
	for i := 0; i < 16; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for job := range jobs {
				url := s.p.URL
				if strings.HasPrefix(job[0], "entries") {
					url = s.large.URL
				}
				if r, err := site.Send(http.MethodGet, url+job[1], "", site.Fields("Host: "+job[0])); err != nil || r.Status != http.StatusOK {
					failed.Add(1)
				}
			}
		}()
	}
	for times := 0; times < 3; times++ { // the second brings the page into memory, the third makes it ready
		for _, c := range cases {
			for i := 0; i < c.fills; i++ {
				like := c.like(i)
				jobs <- [2]string{like[1], like[0]}
			}
		}
	}
	close(jobs)
	wg.Wait()
	require.Zero(s.t, failed.Load(), "requests that failed")
}

var (
	wrkRate = regexp.MustCompile(`Requests/sec: +([0-9.]+)`)
	wrkP    = regexp.MustCompile(`(?m)^ +(50|99)% +([0-9.]+)(us|ms|s)`)
)

// sample sends a request of a case and says what is wrong with the answer.
func (s *benchSite) sample(c benchCase, i int) error {
	url, lines := c.url, c.lines
	path := strings.TrimPrefix(url, "http://"+strings.SplitN(url, "/", 4)[2])
	if c.like != nil {
		like := c.like(i)
		path, lines = like[0], append([]string{"Host: " + like[1]}, lines[1:]...)
		url = strings.Join(strings.SplitN(url, "/", 4)[:3], "/") + path
	}
	got, err := site.Send(http.MethodGet, url, "", site.Fields(lines...))
	if err != nil {
		return err
	}
	return c.wrong(got, path)
}

// wrong says why an answer is not one of the case.
func (c benchCase) wrong(got site.Reply, path string) error {
	status := got.CacheStatus()
	switch {
	case got.Status != c.status:
		return fmt.Errorf("%s: status %d", c.name, got.Status)
	case c.cache == "" && status != "" || !strings.Contains(status, c.cache):
		return fmt.Errorf("%s: Cache-Status %q", c.name, status)
	case c.coded != (got.Header.Get("Content-Encoding") == "gzip"):
		return fmt.Errorf("%s: Content-Encoding %q", c.name, got.Header.Get("Content-Encoding"))
	}
	body := got.Body
	if c.coded {
		plain, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		b, err := io.ReadAll(plain)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		body = string(b)
	}
	if body != c.body(path) {
		return fmt.Errorf("%s: a body of %d bytes that is not that of %s", c.name, len(body), path)
	}
	return nil
}

// samples sends requests of a case over 16 connections: to warm up, and to see that
// all answers are what they should be.
func (s *benchSite) samples(c benchCase, n int) {
	s.t.Helper()
	from := s.sent
	s.sent += n
	errs := make(chan error, 16)
	for w := 0; w < 16; w++ {
		go func(w int) {
			var err error
			for i := from + w; i < from+n && err == nil; i += 16 {
				err = s.sample(c, i)
			}
			errs <- err
		}(w)
	}
	for w := 0; w < 16; w++ {
		require.NoError(s.t, <-errs)
	}
}

// warmUp is how many requests go before each measurement.
const warmUp = 320

// measured is what one measurement came to.
type measured struct {
	rate, p50, p99 float64 // a second; ms
	cpu            float64 // of Traefik, ms a request
	alloc          float64 // by Traefik, kB a request
}

// measure lets wrk ask for some seconds.
func (s *benchSite) measure(c benchCase, seconds, round int) (m measured) {
	args := []string{"-t2", "-c16", fmt.Sprintf("-d%ds", seconds), "--latency"}
	for _, line := range c.lines {
		args = append(args, "-H", line)
	}
	if c.lua != "" {
		script := filepath.Join(s.t.TempDir(), "requests.lua")
		text := c.lua
		if c.lua == measure.Counting {
			text = fmt.Sprintf(measure.Counting, 0, time.Now().UnixNano()+int64(round))
		}
		require.NoError(s.t, os.WriteFile(script, []byte(text), 0o600))
		args = append(args, "-s", script)
	}
	s.samples(c, warmUp)
	asked := s.origin.Renders()
	cpu, allocated := c.via.Used()
	out, err := exec.Command("wrk", append(args, c.url)...).CombinedOutput()
	require.NoError(s.t, err, "%s", out)
	cpuAfter, allocatedAfter := c.via.Used()
	asked = s.origin.Renders() - asked
	s.samples(c, 16)
	require.NotRegexp(s.t, measure.WrkErrors, string(out), c.name)
	figures, count := wrkRate.FindSubmatch(out), measure.WrkRequests.FindSubmatch(out)
	require.NotNil(s.t, figures, "%s", out)
	require.NotNil(s.t, count, "%s", out)
	requests, _ := strconv.ParseFloat(string(count[1]), 64)
	if c.asks {
		require.GreaterOrEqual(s.t, float64(asked), requests, "%s: the origin did not get each request", c.name)
	} else {
		require.Zero(s.t, asked, "%s: the origin got requests", c.name)
	}
	m.rate, _ = strconv.ParseFloat(string(figures[1]), 64)
	for _, p := range wrkP.FindAllSubmatch(out, -1) {
		ms, _ := strconv.ParseFloat(string(p[2]), 64)
		switch string(p[3]) {
		case "us":
			ms /= 1000
		case "s":
			ms *= 1000
		}
		if string(p[1]) == "50" {
			m.p50 = ms
		} else {
			m.p99 = ms
		}
	}
	m.cpu, m.alloc = (cpuAfter-cpu)/requests, (allocatedAfter-allocated)/requests
	return m
}

// benchTimes is something of which is measured how long requests take.
type benchTimes struct {
	name    string // of the case
	address string
	host    string
	hit     bool
}

func (s *benchSite) times() []benchTimes {
	lone := strings.TrimPrefix(s.lone.URL, "http://")
	return []benchTimes{
		{"hit from memory", lone, "memory.example", true},
		{"Traefik alone, 49 kB", lone, "bare.example", false},
		{"Go's server alone", strings.TrimPrefix(s.origin.URL, "http://"), "bare.example", false},
	}
}

// steady sends requests for the product at a fixed rate over 16 connections, each at its
// time whatever became of the others, and returns how long they took from that time on:
// who has to wait for a connection has waited. (wrk knows no rate.)
func (s *benchSite) steady(b benchTimes, rate float64, seconds int) (p50, p99 float64) {
	n := int(rate * float64(seconds))
	took := make([]float64, n)
	start := time.Now().Add(50 * time.Millisecond)
	at := func(i int) time.Time { return start.Add(time.Duration(float64(i) / rate * float64(time.Second))) }
	next := make(chan int, n)
	for i := 0; i < n; i++ {
		next <- i
	}
	close(next)
	errs := make(chan error, 16)
	for w := 0; w < 16; w++ {
		go func() {
			ask, err := b.asker(len(s.pages["/product"]))
			for i := range next {
				if err != nil {
					break
				}
				time.Sleep(time.Until(at(i)))
				err = ask()
				took[i] = time.Since(at(i)).Seconds() * 1000
			}
			errs <- err
		}()
	}
	for w := 0; w < 16; w++ {
		require.NoError(s.t, <-errs)
	}
	sort.Float64s(took)
	return took[n/2], took[n*99/100]
}

// highest returns the rate at which what sends for steady is answered at most, over 16
// connections: it takes more of the machine than wrk.
func (s *benchSite) highest(b benchTimes, seconds int) float64 {
	var asked atomic.Int64
	errs := make(chan error, 16)
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	for w := 0; w < 16; w++ {
		go func() {
			ask, err := b.asker(len(s.pages["/product"]))
			for err == nil && time.Now().Before(until) {
				err = ask()
				asked.Add(1)
			}
			errs <- err
		}()
	}
	for w := 0; w < 16; w++ {
		require.NoError(s.t, <-errs)
	}
	return float64(asked.Load()) / float64(seconds)
}

// asker opens a connection and returns what sends a request for the product over it and
// reads an answer of so many bytes, with little work: what that takes is missing to
// Traefik.
func (b benchTimes) asker(length int) (ask func() error, err error) {
	c, err := net.Dial("tcp", b.address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
	request := []byte("GET /product HTTP/1.1\r\nHost: " + b.host + "\r\n\r\n")
	r := bufio.NewReaderSize(c, 1<<16)
	return func() error {
		if _, err := c.Write(request); err != nil {
			return err
		}
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return err
			}
			head += string(line)
		}
		if !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, fmt.Sprintf("\r\nContent-Length: %d\r\n", length)) || b.hit != strings.Contains(head, "; hit") {
			return fmt.Errorf("not a hit of %d bytes: %s", length, head)
		}
		_, err := r.Discard(length)
		return err
	}, nil
}

func TestBenchmark(t *testing.T) {
	site.NeedLong(t, "bench")
	rounds, seconds := site.FromEnv("BENCH_ROUNDS", benchRounds), site.FromEnv("BENCH_SECONDS", 2)
	stack.NeedTraefik(t)
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Fatal("wrk is missing: apt-get install wrk")
	}
	names, err := regexp.Compile(os.Getenv("BENCH_CASES"))
	require.NoError(t, err)
	s := startBenchSite(t)
	for _, host := range []string{"memory.example", "redis.example", "sealed.example", "rules1.example", "rules10.example", "rules100.example", "rules200.example"} {
		for _, path := range []string{"/product", "/shop", "/tags-1", "/tags-10", "/tags-50"} {
			for i := 0; i < 3; i++ {
				for _, accept := range []string{"gzip", ""} {
					_, err := site.Send(http.MethodGet, s.p.URL+path, "", site.Fields("Host: "+host, "Accept-Encoding: "+accept))
					require.NoError(t, err)
				}
			}
		}
	}
	for i := 0; i < 3; i++ {
		for _, host := range []string{"image.example", "sealed.example"} {
			_, err := site.Send(http.MethodGet, s.p.URL+"/image", "", site.Fields("Host: "+host))
			require.NoError(t, err)
		}
		_, err := site.Send(http.MethodGet, s.lone.URL+"/product", "", site.Fields("Host: memory.example"))
		require.NoError(t, err)
	}
	all := s.cases()
	cases := chosen(all, names)
	require.NotEmpty(t, cases, "no case has such a name: %s", names)
	t.Log("filling the cache")
	s.fill(cases)
	report := s.report(rounds, seconds, cases)
	report.partly = len(cases) < len(all)
	for round := 0; round < rounds; round++ {
		t.Logf("round %d of %d", round+1, rounds)
		for i, c := range cases {
			report.Cases[i].add(s.measure(c, seconds, round))
		}
		if len(report.find("hit from memory").Rate) == 0 { // not chosen
			continue
		}
		for i, b := range s.times() {
			rate := 0.7 * s.highest(b, seconds)
			p50, p99 := s.steady(b, rate, seconds)
			if round == 0 {
				report.Loads = append(report.Loads, &benchLoad{Case: b.name})
			}
			l := report.Loads[i]
			l.Rate, l.P50, l.P99 = append(l.Rate, rate), append(l.P50, p50), append(l.P99, p99)
		}
	}
	report.compare()
	for page, key := range map[string]string{"product": "/product", "shop": "/shop"} {
		report.Bytes[page] = s.stored(key)
	}
	fmt.Print(report.table())
	fmt.Print(report.verdicts())
	where, err := report.write()
	require.NoError(t, err)
	fmt.Println("written: " + where)
}

// stored returns how many bytes the largest entries of tenant redis have, by page.
func (s *benchSite) stored(path string) int {
	most := map[string]int{"/product": 0, "/shop": 0}
	for _, key := range s.redis.Entries("redis") {
		n, _ := strconv.Atoi(s.redis.Must("STRLEN " + key))
		if n > most["/shop"] {
			most["/product"], most["/shop"] = most["/shop"], n
		} else if n > most["/product"] {
			most["/product"] = n
		}
	}
	return most[path]
}

func (s *benchSite) report(rounds, seconds int, cases []benchCase) *benchReport {
	r := &benchReport{
		Date: time.Now().UTC().Format("2006-01-02"), Cores: runtime.NumCPU(), Go: runtime.Version(), Rounds: rounds, Seconds: seconds,
		Machine: "unknown", Bytes: map[string]int{},
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(b); m != nil {
			r.Machine = string(m[1])
		}
	}
	if out, err := exec.Command(stack.NeedTraefik(s.t), "version").Output(); err == nil {
		if m := regexp.MustCompile(`Version: +(\S+)`).FindSubmatch(out); m != nil {
			r.Traefik = string(m[1])
		}
	}
	if b, err := os.ReadFile(source.Path("test", "stack", "traefik", "go.mod")); err == nil && r.Traefik == "dev" { // built by test/stack/traefik/build
		if m := regexp.MustCompile(`traefik/v3 v(\S+)`).FindSubmatch(b); m != nil {
			r.Traefik = string(m[1])
		}
	}
	if out, err := exec.Command("nginx", "-v").CombinedOutput(); err == nil && s.nginx != "" {
		_, version, _ := strings.Cut(strings.TrimSpace(string(out)), "nginx/")
		r.Nginx = version
	}
	for _, line := range strings.Split(s.redis.Must("INFO server"), "\n") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			r.Redis = v
		}
	}
	for _, c := range cases {
		r.Cases = append(r.Cases, &benchResult{Case: c.name, Base: c.base})
	}
	return r
}
