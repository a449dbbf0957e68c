package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"sort"
	"strings"
	"time"
)

// walk goes through the demonstration and prints what happens.
type walk struct {
	stage  *stage
	out    io.Writer
	failed int
}

// page is one of the pages that are shown.
type page struct {
	name, path string
}

var pages = []page{
	{"home", "/"},
	{"shop", "/shop"},
	{"shop, page 2", "/shop/page/2"},
	{"search", "/shop?search=lamp"},
	{"category", "/shop/category/lamps-7"},
	{"product", "/shop/customizable-desk-9"},
	{"blog post", "/blog/astronomy-2/beyond-the-eye-7"},
	{"image", "/web/image/product.template/6/image_512"},
}

const product = "/shop/customizable-desk-9"

func (w *walk) printf(format string, args ...interface{}) {
	fmt.Fprintf(w.out, format, args...)
}

// check prints whether a step went as it should.
func (w *walk) check(ok bool, what string) {
	mark := "ok   "
	if !ok {
		mark = "WRONG"
		w.failed++
	}
	w.printf("  %s  %s\n", mark, what)
}

func (w *walk) introduce() {
	w.printf("odoocache: pages of an Odoo 19 shop, rendered at Odoo's speed, through Traefik\n\n")
	w.printf("  origin   %s  (captured pages, each with its measured render time)\n", w.stage.originURL)
	w.printf("  Traefik  %s  (stock Traefik, the plugin interpreted)\n", w.stage.cachedURL)
	w.printf("  storage  %s\n", w.stage.storage)
}

const rounds = 40

// speed measures each page: straight from the origin, the first time through
// the cache, and again and again.
func (w *walk) speed() {
	w.printf("\nHow long a new visitor waits, in milliseconds (hits: median of %d)\n\n", rounds)
	w.printf("  %-13s %10s %11s %8s %8s", "page", "from Odoo", "first time", "hit", "faster")
	if w.stage.redisURL != "" {
		w.printf(" %17s", "without memory")
	}
	w.printf("   %s\n", "Cache-Status of the hit")
	for _, p := range pages {
		w.row(p)
	}
	login, err := get(w.stage.cachedURL + "/web/login")
	again, err2 := get(w.stage.cachedURL + "/web/login")
	w.printf("\n")
	w.check(err == nil && err2 == nil && strings.Contains(again.status9211(), "detail=") && !strings.Contains(again.status9211(), "hit"),
		"the login page is not cached: "+login.status9211())
	w.check(again.session() != "" && login.session() != again.session(),
		"each visitor of it gets a session of their own")
}

func (w *walk) row(p page) {
	direct := w.median(5, w.stage.originURL+p.path)
	first, err := get(w.stage.cachedURL + p.path)
	stored := err == nil && strings.Contains(first.status9211(), "stored")
	hit := w.median(rounds, w.stage.cachedURL+p.path)
	w.printf("  %-13s %10s %11s %8s %7.0fx", p.name, millis(direct), millis(first.took), millis(hit), float64(direct)/float64(hit))
	if w.stage.redisURL != "" {
		_, _ = get(w.stage.redisURL + p.path)
		redis := w.median(rounds, w.stage.redisURL+p.path)
		w.printf(" %8s %7.0fx", millis(redis), float64(direct)/float64(redis))
	}
	again, err := get(w.stage.cachedURL + p.path)
	w.printf("   %s\n", again.status9211())
	if !stored || err != nil || !strings.Contains(again.status9211(), "; hit") || again.body != first.body {
		w.check(false, p.name+": stored and answered again, the same byte for byte; the first answer said "+first.status9211())
	}
}

// median asks several times, each time as a new visitor.
func (w *walk) median(n int, address string) time.Duration {
	var times []time.Duration
	for i := 0; i < n; i++ {
		if got, err := get(address); err == nil {
			times = append(times, got.took)
		}
	}
	if len(times) == 0 {
		return 0
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return times[len(times)/2]
}

// purgeByHeader changes a price as Odoo's backend does. The answer to that
// request carries the purge.
func (w *walk) purgeByHeader() {
	w.printf("\nA price changes: Odoo answers the write with X-Odoo-Purge, and the cache drops what shows it\n\n")
	before, _ := get(w.stage.cachedURL + product)
	w.printf("         the product page says %s, %s\n", priceOf(before.body), before.status9211())
	write, err := send(http.MethodPost, w.stage.cachedURL+"/web/dataset/call_kw/product.template/write", `{"id": 9, "list_price": 799}`, nil)
	w.check(err == nil && write.status == http.StatusOK && write.header.Get("X-Odoo-Purge") == "",
		"the write was answered, and its purge header kept from the client")
	after, _ := get(w.stage.cachedURL + product)
	w.check(priceOf(after.body) != priceOf(before.body) && strings.Contains(after.status9211(), "fwd="),
		fmt.Sprintf("the next visitor sees %s, %s", priceOf(after.body), after.status9211()))
	list, _ := get(w.stage.cachedURL + "/shop")
	w.check(strings.Contains(list.status9211(), "fwd=") && strings.Contains(list.body, "799.00"), "so does the product list: "+list.status9211())
	post, _ := get(w.stage.cachedURL + "/blog/astronomy-2/beyond-the-eye-7")
	w.check(strings.Contains(post.status9211(), "; hit"), "the blog post does not show it and stays: "+post.status9211())
	again, _ := get(w.stage.cachedURL + product)
	w.check(strings.Contains(again.status9211(), "; hit") && again.body == after.body, "and the new page is a hit: "+again.status9211())
}

// purgeByRequest does what an operator does with curl.
func (w *walk) purgeByRequest() {
	w.printf("\nAn operator purges by request\n\n")
	authorised := http.Header{"Authorization": {"Bearer " + secret}}
	denied, _ := send("PURGE", w.stage.cachedURL+"/shop", "", nil)
	w.check(denied.status == http.StatusForbidden, fmt.Sprintf("PURGE /shop without the secret: %d", denied.status))
	one, _ := send("PURGE", w.stage.cachedURL+"/shop", "", authorised)
	got, _ := get(w.stage.cachedURL + "/shop")
	w.check(one.status == http.StatusOK && strings.Contains(got.status9211(), "fwd="), "PURGE /shop: "+strings.TrimSpace(one.body))
	all, _ := send(http.MethodPost, w.stage.cachedURL+"/.odoocache/purge", `{"all": true}`, authorised)
	dropped := true
	for _, p := range pages {
		got, err := get(w.stage.cachedURL + p.path)
		dropped = dropped && err == nil && strings.Contains(got.status9211(), "fwd=")
	}
	w.check(all.status == http.StatusOK && dropped, "everything: "+strings.TrimSpace(all.body))
}

func (w *walk) invite() {
	w.printf("\nLeft running. Try, and end with Ctrl-C:\n\n")
	w.printf("  curl -sD- -o /dev/null %s/shop\n", w.stage.cachedURL)
	w.printf("  curl -X PURGE -H 'Authorization: Bearer %s' %s/shop\n", secret, w.stage.cachedURL)
	w.printf("  curl -H 'Authorization: Bearer %s' %s/.odoocache/status\n", secret, w.stage.cachedURL)
}

var price = regexp.MustCompile(`class="oe_currency_value">([0-9,.]+)<`)

func priceOf(body string) string {
	if m := price.FindStringSubmatch(body); m != nil {
		return "$ " + m[1]
	}
	return "no price"
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

// answer is what a client gets.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

func (a answer) status9211() string {
	return a.header.Get("Cache-Status")
}

// session returns the session that an answer sets.
func (a answer) session() string {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == "session_id" {
			return c.Value
		}
	}
	return ""
}

// client keeps connections, follows nothing and knows where *.localhost is.
var client = &http.Client{
	Transport: &http.Transport{
		DialContext:        dialLocal,
		DisableCompression: true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       30 * time.Second,
}

func get(address string) (answer, error) {
	return send(http.MethodGet, address, "", nil)
}

func send(method, address, body string, header http.Header) (answer, error) {
	req, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b), took: time.Since(start)}, err
}

// dialLocal dials *.localhost on the loopback, which not every resolver does.
func dialLocal(ctx context.Context, network, address string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
