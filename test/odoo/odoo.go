// Package odoo is what tests have of a real Odoo: visitors who come to it directly, or
// through Traefik with the plugin.
package odoo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// The tests named TestOdoo… run against a real Odoo 19 that test/odoo/19/up has
// brought up ("make test-odoo" does both). They skip without it. What its
// database holds is in test/odoo/19/setup.py: two websites, two languages, and
// the demo data of shop, blog, events, forum, contact form and newsletter.
//
//	odoo := NeedOdoo(t)              // the Odoo without our addon; needOdooAddon: with it
//	e := odoo.behind(t, nil)         // Redis, and Traefik with preset odoo in front of it
//	v := e.visitor(ShopHost)         // a new visitor, with cookies of its own, through the cache
//	v.get("/shop").cacheStatus()
//	w := odoo.visitor(t, ShopHost)   // one who comes to Odoo directly
//	w.signIn("admin")                // w.call then reaches models
//	w.call("product.template", "write", []interface{}{ids(9), options{"list_price": 5}}, nil)
//
// All tests use one Odoo. So a test puts back what it changes (t.Cleanup), or
// makes records of its own, and each has a tenant and a Redis of its own.

// The websites of the test database (test/odoo/19/setup.py).
const (
	ShopHost   = "shop.localhost"
	secondHost = "second.localhost" // asks for consent to cookies
)

// Site is a running Odoo with one database.
type Site struct {
	URL       string // of its HTTP workers
	websocket string // of the process that serves the bus
	bus       string // path of the bus
	db        string
	log       string
}

// NeedOdoo returns the Odoo without our addon.
func NeedOdoo(t *testing.T) *Site {
	t.Helper()
	return odooFrom(t, "ODOO")
}

// needOdooAddon returns the Odoo that has our addon.
func needOdooAddon(t *testing.T) *Site {
	t.Helper()
	return odooFrom(t, "ODOO_ADDON")
}

// odooFrom reads what test/odoo/19/up has printed.
func odooFrom(t *testing.T, prefix string) *Site {
	t.Helper()
	o := &Site{
		URL: os.Getenv(prefix), websocket: os.Getenv(prefix + "_WEBSOCKET"),
		bus: "/websocket", db: os.Getenv(prefix + "_DB"), log: os.Getenv(prefix + "_LOG"),
	}
	if o.URL == "" {
		t.Skip(prefix + " names no running Odoo; make test-odoo does")
	}
	return o
}

// Edge is a Traefik process with the plugin in front of Odoo, and its Redis.
type Edge struct {
	*stack.Traefik
	odoo  *Site
	Redis *stack.RedisServer
}

// odooTenant is the tenant of every edge; each has a Redis of its own.
const odooTenant = "odoo"

// Behind starts Redis and one Traefik with preset odoo in front of this Odoo, as an
// operator sets it up: the bus goes to its own process, everything else to the
// HTTP workers, the plugin is on both. More options may be given; TraefikSecret allows
// purges.
func (o *Site) Behind(t *testing.T, more site.Options) *Edge {
	t.Helper()
	server := stack.StartRedis(t)
	return o.Replica(t, server, more)
}

// Replica starts one more Traefik in front of this Odoo with the same Redis.
func (o *Site) Replica(t *testing.T, server *stack.RedisServer, more site.Options) *Edge {
	t.Helper()
	return o.replicaWith(t, server, more)
}

// replicaWith is replica with more flags of Traefik.
func (o *Site) replicaWith(t *testing.T, server *stack.RedisServer, more site.Options, flags ...string) *Edge {
	t.Helper()
	plugin := site.Options{
		"tenant": odooTenant, "preset": "odoo", "languages": []string{"en_US", "fr_FR"}, "purge": site.Options{"secret": site.TraefikSecret},
		"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
	}
	for name, value := range more {
		plugin[name] = value
	}
	service := func(url string) site.Options {
		return site.Options{"loadBalancer": site.Options{"servers": []site.Options{{"url": url}}}}
	}
	router := func(rule, service string) site.Options {
		return site.Options{"rule": rule, "service": service, "middlewares": []string{"cache"}, "entryPoints": []string{"web"}}
	}
	dynamic, err := json.Marshal(site.Options{"http": site.Options{
		"routers":     site.Options{"odoo": router("PathPrefix(`/`)", "odoo"), "websocket": router("PathPrefix(`"+o.bus+"`)", "websocket")},
		"services":    site.Options{"odoo": service(o.URL), "websocket": service(o.websocket)},
		"middlewares": site.Options{"cache": site.Options{"plugin": site.Options{"odoocache": plugin}}},
	}})
	require.NoError(t, err)
	return &Edge{Traefik: stack.StartTraefik(t, string(dynamic), flags...), odoo: o, Redis: server}
}

// stored returns how many responses Redis holds.
func (e *Edge) stored() int {
	e.T.Helper()
	return len(e.Redis.Entries(odooTenant))
}

// purge sends a purge request, and requires that it is carried out.
func (e *Edge) purge(host, path string, lines ...string) {
	e.T.Helper()
	r, err := site.Send("PURGE", e.URL+path, "", site.Fields(append([]string{"Host: " + host, site.WithKey}, lines...)...))
	require.NoError(e.T, err)
	require.Equal(e.T, http.StatusOK, r.Status, r.Body)
}

// Visitor is a browser without scripts: it keeps cookies, and follows redirects
// only when told so. It always speaks to one host name.
type Visitor struct {
	t      *testing.T
	host   string
	Client *http.Client
	Header http.Header // sent with every request, below what the request says itself
	odoo   *Site
}

// Visitor returns a new visitor of a website who comes through the cache.
func (e *Edge) Visitor(host string, lines ...string) *Visitor {
	return newVisitor(e.T, e.odoo, e.URL, host, lines...)
}

// Visitor returns a new visitor of a website who comes to Odoo directly.
func (o *Site) Visitor(t *testing.T, host string, lines ...string) *Visitor {
	return newVisitor(t, o, o.URL, host, lines...)
}

func newVisitor(t *testing.T, o *Site, address, host string, lines ...string) *Visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	address = strings.TrimPrefix(address, "http://")
	transport := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &Visitor{
		t: t, host: host, Header: site.Fields(lines...), odoo: o,
		Client: &http.Client{
			Transport: transport, Jar: jar, Timeout: 2 * time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Send sends a request and does not fail the test, so that goroutines can use it.
func (v *Visitor) Send(method, path, body string, lines ...string) (site.Reply, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://"+v.host+path, reader)
	if err != nil {
		return site.Reply{}, err
	}
	for name, values := range v.Header {
		req.Header[name] = values
	}
	for name, values := range site.Fields(lines...) {
		req.Header[name] = values
	}
	resp, err := v.Client.Do(req)
	if err != nil {
		return site.Reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return site.Reply{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}, err
}

func (v *Visitor) do(method, path, body string, lines ...string) site.Reply {
	v.t.Helper()
	r, err := v.Send(method, path, body, lines...)
	require.NoError(v.t, err, "%s %s", method, path)
	return r
}

// Get sends a GET.
func (v *Visitor) Get(path string, lines ...string) site.Reply {
	v.t.Helper()
	return v.do(http.MethodGet, path, "", lines...)
}

// follow is get that goes where redirects within the host lead.
func (v *Visitor) follow(path string, lines ...string) site.Reply {
	v.t.Helper()
	for i := 0; i < 5; i++ {
		r := v.Get(path, lines...)
		if r.Status < 300 || r.Status > 399 {
			return r
		}
		to, err := url.Parse(r.Header.Get("Location"))
		require.NoError(v.t, err)
		path = to.RequestURI()
	}
	require.FailNow(v.t, "too many redirects", path)
	return site.Reply{}
}

// post sends a form. A browser says where it comes from: Origin, and the header
// Sec-Fetch-Site.
func (v *Visitor) post(path string, form url.Values, lines ...string) site.Reply {
	v.t.Helper()
	own := []string{"Content-Type: application/x-www-form-urlencoded", "Origin: http://" + v.host, "Sec-Fetch-Site: same-origin"}
	return v.do(http.MethodPost, path, form.Encode(), append(own, lines...)...)
}

// cookie returns the value of a cookie of this visitor, or "".
func (v *Visitor) cookie(name string) string {
	for _, c := range v.Client.Jar.Cookies(&url.URL{Scheme: "http", Host: v.host, Path: "/"}) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// setCookie gives this visitor a cookie.
func (v *Visitor) setCookie(name, value string) {
	v.Client.Jar.SetCookies(&url.URL{Scheme: "http", Host: v.host, Path: "/"}, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// SignIn signs a user in by the form, as a browser does: admin, demo and portal have
// their names as passwords.
func (v *Visitor) SignIn(user string) {
	v.t.Helper()
	form := v.Get("/web/login")
	r := v.post("/web/login", url.Values{"login": {user}, "password": {user}, "csrf_token": {csrfToken(v.t, form.Body)}})
	require.Equal(v.t, http.StatusSeeOther, r.Status, "%s signs in", user)
}

// rpcAnswer is what Odoo answers to JSON-RPC.
type rpcAnswer struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
		Data    struct {
			Name    string `json:"name"`
			Message string `json:"message"`
		} `json:"data"`
	} `json:"error"`
}

// rpc calls a JSON-RPC route as Odoo's scripts do. The reply is returned for its headers.
func (v *Visitor) rpc(path string, params site.Options) (json.RawMessage, site.Reply) {
	v.t.Helper()
	body, err := json.Marshal(site.Options{"jsonrpc": "2.0", "method": "call", "id": 1, "params": params})
	require.NoError(v.t, err)
	r := v.do(http.MethodPost, path, string(body), "Content-Type: application/json", "Origin: http://"+v.host, "Sec-Fetch-Site: same-origin")
	var answer rpcAnswer
	require.NoError(v.t, json.Unmarshal([]byte(r.Body), &answer), "%s answers %d: %.300s", path, r.Status, r.Body)
	if answer.Error != nil {
		require.FailNow(v.t, "JSON-RPC "+path, "%s %s: %s", answer.Error.Message, answer.Error.Data.Name, answer.Error.Data.Message)
	}
	return answer.Result, r
}

// call calls a method of a model as the web client does; the visitor has to be
// signed in. Through the cache, the reply is one of those that carry purges.
func (v *Visitor) call(model, method string, args []interface{}, kwargs site.Options) (json.RawMessage, site.Reply) {
	v.t.Helper()
	if kwargs == nil {
		kwargs = site.Options{}
	}
	return v.rpc("/web/dataset/call_kw/"+model+"/"+method, site.Options{"model": model, "method": method, "args": args, "kwargs": kwargs})
}

// ids are the records that a method of a model is called on.
func ids(list ...int) []int { return list }

// write changes records.
func (v *Visitor) write(model string, ids []int, values site.Options) site.Reply {
	v.t.Helper()
	_, r := v.call(model, "write", []interface{}{ids, values}, nil)
	return r
}

// create makes a record and returns its id.
func (v *Visitor) create(model string, values site.Options) int {
	v.t.Helper()
	result, _ := v.call(model, "create", []interface{}{[]site.Options{values}}, nil)
	var made []int
	require.NoError(v.t, json.Unmarshal(result, &made), "%s", result)
	require.Len(v.t, made, 1)
	return made[0]
}

// read returns some fields of the records that a domain finds.
func (v *Visitor) read(model string, domain []interface{}, names ...string) []map[string]interface{} {
	v.t.Helper()
	if domain == nil {
		domain = []interface{}{}
	}
	result, _ := v.call(model, "search_read", []interface{}{domain, names}, nil)
	var records []map[string]interface{}
	require.NoError(v.t, json.Unmarshal(result, &records), "%s", result)
	return records
}

// change writes one value and puts the old one back when the test has ended.
func (v *Visitor) change(model string, id int, name string, value interface{}) site.Reply {
	v.t.Helper()
	old := v.read(model, []interface{}{[]interface{}{"id", "=", id}}, name)
	require.Len(v.t, old, 1)
	v.t.Cleanup(func() { v.write(model, ids(id), site.Options{name: old[0][name]}) })
	return v.write(model, ids(id), site.Options{name: value})
}

// cron lets a scheduled action of Odoo run Python once, outside any request, and
// waits for its end. "env" is there; what it changes is committed.
func (v *Visitor) cron(code string) {
	v.t.Helper()
	models := v.read("ir.model", []interface{}{[]interface{}{"model", "=", "ir.cron"}}, "id")
	id := v.create("ir.cron", site.Options{
		"name": "test " + v.t.Name(), "model_id": models[0]["id"], "state": "code", "code": code,
		"interval_number": 1, "interval_type": "months", "active": true,
	})
	v.t.Cleanup(func() { v.call("ir.cron", "unlink", []interface{}{ids(id)}, nil) })
	require.Eventually(v.t, func() bool {
		r := v.read("ir.cron", []interface{}{[]interface{}{"id", "=", id}}, "lastcall", "failure_count")
		return len(r) == 1 && r[0]["lastcall"] != false
	}, time.Minute, 100*time.Millisecond, "the scheduled action runs; see %s", v.odoo.log)
}

// tokenValue is a CSRF token (odoo/http.py, Request.csrf_token): an HMAC-SHA1, "o"
// and the time at which it ends.
var tokenValue = regexp.MustCompile(`[0-9a-f]{40}o[0-9]{10}`)

// tokenPlace is where a page has its token: in the script at its top (web.layout;
// in single quotes where Odoo has it from its own page cache) and in forms.
var tokenPlace = regexp.MustCompile(`(csrf_token:\s*|name="csrf_token"\s+(?:type="hidden"\s+)?value=)["'][^"']*["']`)

// csrfToken returns the token of a page.
func csrfToken(t *testing.T, body string) string {
	t.Helper()
	place := tokenPlace.FindString(body)
	require.NotEmpty(t, place, "a CSRF token in %.300s", body)
	return strings.Trim(place[strings.IndexAny(place, `"'`)+len(`"`)-1:], `"'=`)
}

// masked is a body without what differs between two visitors: their tokens.
func masked(body string) string {
	body = tokenPlace.ReplaceAllString(body, `${1}"TOKEN"`)
	return tokenValue.ReplaceAllString(body, "TOKEN")
}

// requireSame fails where two pages differ in more than tokens, and shows the
// first lines that do.
func requireSame(t *testing.T, want, got, what string) {
	t.Helper()
	want, got = masked(want), masked(got)
	if want == got {
		return
	}
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var shown []string
	for i := 0; i < len(a) && i < len(b) && len(shown) < 6; i++ {
		if a[i] != b[i] {
			shown = append(shown, fmt.Sprintf("line %d\n- %.300s\n+ %.300s", i+1, strings.TrimSpace(a[i]), strings.TrimSpace(b[i])))
		}
	}
	require.FailNow(t, what, "%d and %d bytes, %d and %d lines\n%s", len(want), len(got), len(a), len(b), strings.Join(shown, "\n"))
}

// address finds the first link in a page that a pattern matches as a whole.
func address(t *testing.T, body, pattern string) string {
	t.Helper()
	found := addresses(body, pattern)
	require.NotEmpty(t, found, "a link like %s", pattern)
	return found[0]
}

var link = regexp.MustCompile(`(?:href|src)="([^"]+)"|<loc>[a-z]+://[^/<]+([^<]*)</loc>`)

// addresses returns the links of a page, or of a sitemap, that a pattern matches
// as a whole, each once.
func addresses(body, pattern string) []string {
	whole := regexp.MustCompile(`^(?:` + pattern + `)$`)
	var found []string
	seen := map[string]bool{}
	for _, m := range link.FindAllStringSubmatch(body, -1) {
		path := strings.ReplaceAll(m[1]+m[2], "&amp;", "&")
		if whole.MatchString(path) && !seen[path] {
			seen[path] = true
			found = append(found, path)
		}
	}
	return found
}

// odooPages are the kinds of public pages, and where one of each is found: a path, or
// a pattern for a link in a page.
var odooPages = []struct{ kind, path, in string }{
	{"home", "/", ""},
	{"shop", "/shop", ""},
	{"shop, second page", "/shop/page/2", ""},
	{"search", "/shop?search=lamp", ""},
	{"category", `/shop/category/[^/]+-\d+`, "/sitemap.xml"},
	{"product", `/shop/[^/]+-\d+`, "/sitemap.xml"},
	{"product, short address", "/shop/9", ""}, // 301
	{"blogs", "/blog", ""},
	{"blog", `/blog/[^/]+-\d+`, "/sitemap.xml"},
	{"blog post", `/blog/[^/]+-\d+/[^/]+-\d+`, "/sitemap.xml"},
	{"feed", `/blog/[^/]+-\d+/feed`, "/sitemap.xml"},
	{"events", "/event", ""},
	{"event, short address", `/event/[^/]+-\d+`, "/sitemap.xml"},
	{"event", `/event/[^/]+-\d+/register`, "/event"},
	{"forums", "/forum", ""},
	{"forum", `/forum/[^/]+-\d+`, "/sitemap.xml"},
	{"question", `/forum/[^/]+-\d+/[^/]+-\d+`, "/sitemap.xml"},
	{"members", "/profile/users", ""},
	{"terms", "/terms", ""},
	{"contact form", "/contactus", ""},
	{"newsletter form", "/newsletter", ""},
	{"password", "/members", ""}, // 403
	{"not found", "/no-such-page", ""},
	{"product image", `/web/image/product\.(template|product)/[^"]+`, "/shop"},
	{"favicon", `/web/image/website/\d+/favicon[^"]*`, "/"},
	{"robots", "/robots.txt", ""},
	{"sitemap", "/sitemap.xml", ""},
}

// Pages returns the path of a page of each kind of this Odoo, without language.
func (o *Site) Pages(t *testing.T) map[string]string {
	t.Helper()
	bodies := map[string]string{}
	linking := func(path string) string {
		if bodies[path] == "" {
			r := o.Visitor(t, ShopHost).Get(path)
			require.Equal(t, http.StatusOK, r.Status, path)
			bodies[path] = r.Body
		}
		return bodies[path]
	}
	found := map[string]string{}
	for _, p := range odooPages {
		found[p.kind] = p.path
		if p.in != "" {
			found[p.kind] = address(t, linking(p.in), p.path)
		}
	}
	return found
}

// upgrade opens a WebSocket and returns the connection and the answer to the
// handshake.
func upgrade(t *testing.T, base, host, path string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(stack.Patience)))
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", path, host)
	fmt.Fprintf(&b, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://%s\r\n\r\n", host)
	_, err = c.Write(b.Bytes())
	require.NoError(t, err)
	buffered := bufio.NewReader(c)
	resp, err := http.ReadResponse(buffered, nil)
	require.NoError(t, err)
	return c, buffered, resp
}

// cartCount is what the header of a page says of the cart.
var cartCount = regexp.MustCompile(`<sup[^>]*my_cart_quantity[^>]*>\s*(\d*)\s*</sup>`)

// FirstVariant returns the id of a product's first variant.
func FirstVariant(t *testing.T, odoo *Site, template int) int {
	if id, known := variants.Load(template); known {
		return id.(int)
	}
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	found := admin.read("product.product", []interface{}{[]interface{}{"product_tmpl_id", "=", template}}, "id")
	require.NotEmpty(t, found)
	id := int(found[0]["id"].(float64))
	variants.Store(template, id)
	return id
}

// BrowserLanguage is what most visitors' browsers send; without a language each
// visitor's first page would be another than their second.
const BrowserLanguage = "Accept-Language: en-US,en;q=0.9"

// Sitemap returns the paths that the site tells robots of.
func (o *Site) Sitemap(t *testing.T) []string {
	t.Helper()
	var paths []string
	body := o.Visitor(t, ShopHost).Get("/sitemap.xml").Body
	for _, m := range regexp.MustCompile(`<loc>([^<]+)</loc>`).FindAllStringSubmatch(body, -1) {
		u, err := url.Parse(m[1])
		require.NoError(t, err)
		if u.Path == "" {
			u.Path = "/"
		}
		if !strings.HasPrefix(u.Path, "/fr") {
			paths = append(paths, u.RequestURI())
		}
	}
	require.Greater(t, len(paths), 20)
	return paths
}

var variants sync.Map
