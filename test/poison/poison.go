// Package poison sends requests that are odd in some way, and looks for what is odd about
// them in what others get.
package poison

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// Poisoning: what one client sends shows in what others get. The tests named TestPoison…
// and FuzzPoison put an origin behind the cache that answers with everything that it was
// sent. Somebody odd asks, then nobody: a client that sends Host alone. Nobody has to get
// what nobody gets from a cache that nobody odd has asked, or what the origin tells
// nobody without any cache. Each thing that is sent odd holds a marker, by which it is
// found again in answers and in Redis.

// Request is a request as it is written on the wire, and what a proxy in front knows of it.
type Request struct {
	Method, Target, proto, Host string
	Lines                       []string // of the header, but Host and Cookie
	Cookies                     []string // joined to one field
	Body                        string
	remote                      string // address of the client
	certificate                 string // name in the client's certificate: it came by TLS
	value                       string // what a middleware in front has put into the context
	Canonical                   string // the target as Odoo routes it
}

const (
	// Host is the host name that every request is for.
	Host         = "shop.example"
	poisonRemote = "198.51.100.23:4711"
)

// NobodyAt is the request of nobody: what every client has to send, and no more.
func NobodyAt(target string) *Request {
	return &Request{Method: http.MethodGet, Target: target, proto: "HTTP/1.1", Host: Host, remote: poisonRemote, Canonical: target}
}

// BrowserLines are what a browser sends with each request.
var BrowserLines = []string{
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"Accept-Language: en-US,en;q=0.9", "Accept-Encoding: gzip, deflate, br, zstd",
	"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Upgrade-Insecure-Requests: 1",
}

// BrowserAt is the request of a browser without cookies.
func BrowserAt(target string) *Request {
	q := NobodyAt(target)
	q.Lines = append([]string{}, BrowserLines...)
	return q
}

type poisonKey struct{}

// Text is the request on the wire.
func (q *Request) Text() string {
	var b strings.Builder
	b.WriteString(q.Method + " " + q.Target + " " + q.proto + "\r\nHost: " + q.Host + "\r\n")
	for _, line := range q.Lines {
		b.WriteString(line + "\r\n")
	}
	if len(q.Cookies) > 0 {
		b.WriteString("Cookie: " + strings.Join(q.Cookies, "; ") + "\r\n")
	}
	if q.Body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(q.Body))
	}
	return b.String() + "\r\n" + q.Body
}

// Parse reads the request as a Go server does. It reports false for what no server takes.
func (q *Request) Parse() (*http.Request, bool) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(q.Text())))
	if err != nil {
		return nil, false
	}
	for name, values := range r.Header {
		for _, value := range values {
			if strings.ContainsAny(name+value, "\x00\r\n") || strings.ContainsAny(name, " \t\"(),/:;<=>?@[\\]{}") {
				return nil, false
			}
		}
	}
	r.RemoteAddr = q.remote
	if q.certificate != "" {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: q.certificate}}}}
	}
	if q.value != "" {
		r = r.WithContext(context.WithValue(r.Context(), poisonKey{}, q.value))
	}
	return r, true
}

// Ask sends a request to a handler as Traefik hands it on. It reports false for what no
// server takes.
func (q *Request) Ask(h http.Handler) (site.Reply, bool) {
	r, ok := q.Parse()
	if !ok {
		return site.Reply{}, false
	}
	rw := httptest.NewRecorder()
	site.Forwarded(h).ServeHTTP(rw, r)
	body := rw.Body.Bytes()
	if rw.Header().Get("Content-Encoding") == "gzip" {
		if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, _ = io.ReadAll(z)
		}
	}
	return site.Reply{Status: rw.Code, Header: rw.Header(), Body: string(body)}, true
}

// heard is everything that an origin can know of a request. Names of fields are folded as
// WSGI does it (PEP 3333, from CGI): Odoo cannot tell _ from -.
func heard(r *http.Request) string {
	fields := map[string][]string{}
	for name, values := range r.Header {
		name = "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		fields[name] = append(fields[name], values...)
	}
	if own := fields["HTTP_IF_NONE_MATCH"]; len(own) == 1 && own[0] == OwnTag {
		delete(fields, "HTTP_IF_NONE_MATCH") // the cache asks whether its copy is current
	}
	lines := make([]string, 0, len(fields)+4)
	for name, values := range fields {
		sort.Strings(values)
		lines = append(lines, name+"="+strings.Join(values, ","))
	}
	sort.Strings(lines)
	remote, _, _ := strings.Cut(r.RemoteAddr, ":")
	head := []string{
		"METHOD=" + r.Method, "URI=" + r.RequestURI, "PATH=" + r.URL.Path, "ESCAPED=" + r.URL.EscapedPath(), "QUERY=" + r.URL.RawQuery,
		"HOST=" + r.Host, "REMOTE=" + remote, "PROTO=" + r.Proto, fmt.Sprint("LENGTH=", r.ContentLength),
	}
	if r.TLS != nil {
		head = append(head, "TLS="+r.TLS.PeerCertificates[0].Subject.CommonName)
	}
	if value, _ := r.Context().Value(poisonKey{}).(string); value != "" {
		head = append(head, "CONTEXT="+value)
	}
	return strings.Join(append(head, lines...), "\n")
}

// OwnTag is the tag of every page of an echo that has one.
const OwnTag = `"own"`

// seenField is the field of a response with what the origin was told.
const seenField = "X-Seen"

// Echo answers with everything that it was told, in the body and in a field.
func Echo(contentType string, lines ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		text := heard(r)
		for name, values := range site.Fields(lines...) {
			rw.Header()[name] = values
		}
		rw.Header().Set("Content-Type", contentType)
		rw.Header().Set(seenField, strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return '|'
			}
			return c
		}, text))
		if r.Method == http.MethodPost {
			rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(int(site.Tenants.Add(1)))+"; Path=/")
		}
		if tag := rw.Header().Get("Etag"); tag != "" && r.Header.Get("If-None-Match") == tag {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		text = "<html><body><pre>" + text + "</pre></body></html>"
		rw.Header().Set("Content-Length", fmt.Sprint(len(text)))
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(rw, text)
		}
	}
}

// Shown is what of an answer tells what the origin was told.
func Shown(r site.Reply) string {
	return fmt.Sprintf("%d %s %s\n%s\n%s", r.Status, r.Header.Get("Content-Type"), r.Header.Get("Location"), strings.ReplaceAll(r.Header.Get(seenField), "|", "\n"), r.Body)
}

// Differing are the lines of a text that are not in another, short.
func Differing(got, want string) string {
	have := map[string]bool{}
	for _, line := range strings.Split(want, "\n") {
		have[line] = true
	}
	var list []string
	for _, line := range strings.Split(got, "\n") {
		if !have[line] && len(list) < 3 {
			if len(line) > 160 {
				line = line[:160] + "…"
			}
			list = append(list, line)
		}
	}
	return strings.Join(list, " / ")
}

// Marker is what a thing that is sent odd holds: a number of six digits and the side of a pair.
var Marker = regexp.MustCompile(`zq[0-9]{6}[ab]`)

// MarkerOf returns a marker by its number and side.
func MarkerOf(n int, side string) string { return fmt.Sprintf("zq%d%s", n, side) }

// Site is what is poisoned: a cache before an echo, and the same again that nobody
// odd asks.
type Site struct {
	T        *testing.T
	Page     func(n int) string
	Origin   http.HandlerFunc
	Tenant   string
	Handler  http.Handler
	Control  http.Handler
	Renders  atomic.Int64 // by the cache
	mu       sync.Mutex
	answer   http.HandlerFunc // of the cache's origin
	Failures []string
	Cases    int
	Refused  int // cases that no server takes
	Hits     int // answers to nobody from the cache
}

// newSite starts both with the same options.
func newSite(t *testing.T, load site.Loader, o site.Options, page func(n int) string, origin http.HandlerFunc) *Site {
	t.Helper()
	p := &Site{T: t, Page: page, Origin: origin, answer: origin, Tenant: fmt.Sprintf("poison%d", site.Tenants.Add(1))}
	with := func(tenant string) site.Options {
		all := site.Options{"tenant": tenant, "purge": site.Options{"networks": []string{"127.0.0.1"}}, "limits": site.Options{"refreshes": "10000"}, "memory": site.Options{"bytes": "256MiB"}}
		for name, value := range o {
			all[name] = value
		}
		return all
	}
	var err error
	p.Handler, err = load(context.Background(), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p.Renders.Add(1)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(rw, r)
	}), with(p.Tenant))
	require.NoError(t, err)
	p.Control, err = load(context.Background(), origin, with(p.Tenant+"c"))
	require.NoError(t, err)
	return p
}

// Manage sends a request to the control endpoint of a cache.
func (p *Site) Manage(h http.Handler, method, path, body string) string {
	p.T.Helper()
	q := NobodyAt("/.odoocache/" + path)
	q.Method, q.Body, q.remote = method, body, "127.0.0.1:1"
	r, ok := q.Ask(h)
	require.True(p.T, ok)
	require.Equal(p.T, http.StatusOK, r.Status, r.Body)
	return r.Body
}

// expected are the answers that nobody may get: that of the cache that nobody odd has
// asked, and the origin's own.
func (p *Site) expected(q *Request) []string {
	var list []string
	if r, ok := q.Ask(p.Control); ok {
		list = append(list, Shown(r))
	}
	announced := func(rw http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Odoo-Cache-Edge", "odoocache")
		p.Origin(rw, r)
	}
	if r, ok := q.Ask(http.HandlerFunc(announced)); ok {
		list = append(list, Shown(r))
	}
	return list
}

// others is what is asked once somebody odd has: nobody and a browser at the page's proper
// address; nobody as the odd one has spelled it, and so with the parameters sorted and
// without those that hold a marker.
func others(odd *Request) []*Request {
	list := []*Request{NobodyAt(odd.Canonical), BrowserAt(odd.Canonical)}
	seen := map[string]bool{odd.Canonical: true}
	for _, target := range []string{sortedTarget(odd.Target, true), sortedTarget(odd.Target, false), odd.Target} {
		if !seen[target] {
			seen[target] = true
			list = append(list, NobodyAt(target))
		}
	}
	return list
}

// sortedTarget is a target with its parameters in the order of their names. clean says that
// those with a marker are left out.
func sortedTarget(target string, clean bool) string {
	at, query, found := strings.Cut(target, "?")
	if !found || strings.Contains(query, "#") {
		return target
	}
	var pairs []string
	for _, pair := range strings.Split(query, "&") {
		if pair != "" && !(clean && Marker.MatchString(pair)) {
			pairs = append(pairs, pair)
		}
	}
	name := func(pair string) string {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			return plain
		}
		return name
	}
	sort.SliceStable(pairs, func(i, j int) bool { return name(pairs[i]) < name(pairs[j]) })
	if len(pairs) == 0 {
		return at
	}
	return at + "?" + strings.Join(pairs, "&")
}

// Check asks as others do, and notes what they get of the odd one.
func (p *Site) Check(what string, odd *Request) {
	p.T.Helper()
	for _, q := range others(odd) {
		got, ok := q.Ask(p.Handler)
		if !ok {
			continue
		}
		p.Judge(what, q, got, !Marker.MatchString(q.Target))
	}
}

// Judge compares an answer to nobody with those that nobody may get. clean says that the
// address holds no marker.
func (p *Site) Judge(what string, q *Request, got site.Reply, clean bool) {
	if strings.Contains(got.CacheStatus(), "; hit") {
		p.Hits++
	}
	text := Shown(got)
	want := p.expected(q)
	for _, one := range want {
		if text == one {
			if clean {
				if found := Marker.FindString(fmt.Sprint(got.Header)); found != "" {
					p.Fail("%s | %s in a field of %s", what, found, q.Target)
				}
			}
			return
		}
	}
	p.Fail("%s | at %s nobody gets %s (%s)", what, q.Target, Differing(text, strings.Join(want, "\n")), got.CacheStatus())
}

// Fail notes what is wrong; Report tells it.
func (p *Site) Fail(format string, args ...interface{}) {
	p.Failures = append(p.Failures, fmt.Sprintf(format, args...))
}

// Miss lets somebody odd ask for a page that nobody has asked for, and looks at it.
func (p *Site) Miss(what string, odd *Request) {
	p.T.Helper()
	p.Cases++
	if _, ok := odd.Ask(p.Handler); !ok {
		p.Refused++
		return
	}
	p.Check(what, odd)
}

// Report fails the test with what was found, the first of it.
func (p *Site) Report() {
	p.T.Helper()
	p.T.Logf("%d cases, %d of them taken by no server; %d answers to others from the cache", p.Cases, p.Refused, p.Hits)
	n := len(p.Failures)
	if n == 0 {
		return
	}
	seen := map[string]bool{}
	var first, kinds []string
	for _, f := range p.Failures {
		kind, _, _ := strings.Cut(f, " | ")
		if seen[kind] {
			continue
		}
		seen[kind] = true
		kinds = append(kinds, kind)
		if len(first) < 30 {
			first = append(first, f)
		}
	}
	assert.Fail(p.T, fmt.Sprintf("%d answers of others show what somebody odd has sent, in %d of %d cases", n, len(kinds), p.Cases),
		"%s\nall cases: %.6000s", strings.Join(first, "\n"), strings.Join(kinds, "; "))
}

// RedisValues returns everything that a Redis holds: keys and values, and what of it is gzip
// also decoded.
func RedisValues(t *testing.T, o *goredis.Options) map[string]string {
	t.Helper()
	c := goredis.NewClient(o)
	defer c.Close()
	ctx := context.Background()
	all := map[string]string{}
	keys := c.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		kind, err := c.Type(ctx, key).Result()
		require.NoError(t, err)
		var text string
		switch kind {
		case "string":
			text, err = c.Get(ctx, key).Result()
		case "hash":
			var m map[string]string
			m, err = c.HGetAll(ctx, key).Result()
			text = fmt.Sprint(m)
		case "zset":
			var list []string
			list, err = c.ZRange(ctx, key, 0, -1).Result()
			text = strings.Join(list, "\n")
		case "list":
			var list []string
			list, err = c.LRange(ctx, key, 0, -1).Result()
			text = strings.Join(list, "\n")
		case "set":
			var list []string
			list, err = c.SMembers(ctx, key).Result()
			text = strings.Join(list, "\n")
		case "none":
			continue
		default:
			require.Fail(t, "a type that this test cannot read", kind)
		}
		if err != goredis.Nil {
			require.NoError(t, err)
		}
		for at := strings.Index(text, "\x1f\x8b"); at >= 0; {
			if z, err := gzip.NewReader(strings.NewReader(text[at:])); err == nil {
				z.Multistream(false)
				plain, _ := io.ReadAll(z)
				text += "\n" + string(plain)
				break
			}
			next := strings.Index(text[at+2:], "\x1f\x8b")
			if next < 0 {
				break
			}
			at += 2 + next
		}
		all[key] = text
	}
	require.NoError(t, keys.Err())
	return all
}

// CleanRedis fails where a Redis holds a marker that is not part of an address, or in a field
// of fill.headers: those choose the database, as a host does.
func (p *Site) CleanRedis(o *goredis.Options, names, inAddresses map[string]string) {
	p.T.Helper()
	all := RedisValues(p.T, o)
	require.NotEmpty(p.T, all)
	for key, text := range all {
		seen := map[string]bool{}
		for _, found := range Marker.FindAllString(key+"\n"+text, -1) {
			if name := names[found]; strings.Contains(name, "X-Odoo-Database: ") || strings.Contains(name, "X-Odoo-Dbfilter: ") {
				continue
			}
			if inAddresses[found] == "" && !seen[found] {
				seen[found] = true
				at := strings.Index(text, found)
				p.Fail("in Redis, %s | %s in %.60s: %.80q", names[found], found, key, text[max(0, at-40):min(len(text), at+40)])
			}
		}
	}
}

// RoutedAs is a target as Odoo routes it: decoded once, slashes joined, dot segments
// removed. The query stays.
func RoutedAs(target string) string {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return target
	}
	clean := path.Clean("/" + strings.ReplaceAll(u.Path, "\\", "/"))
	if strings.HasSuffix(u.Path, "/") && clean != "/" {
		clean += "/"
	}
	out := (&url.URL{Path: clean}).EscapedPath()
	if u.RawQuery != "" {
		out += "?" + u.RawQuery
	}
	return out
}

// OnWire sends a request as it is written to a server, and reads one answer.
func (q *Request) OnWire(address string) (site.Reply, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		return site.Reply{}, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return site.Reply{}, err
	}
	if _, err := io.WriteString(c, q.Text()); err != nil {
		return site.Reply{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: q.Method})
	if err != nil {
		return site.Reply{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return site.Reply{Status: resp.StatusCode, Header: resp.Header}, nil
	}
	body, err := io.ReadAll(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" && err == nil {
		z, failed := gzip.NewReader(bytes.NewReader(body))
		if failed == nil {
			body, err = io.ReadAll(z)
		}
	}
	return site.Reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, err
}
