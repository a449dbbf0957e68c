package bench_test

import (
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/odoo"
	"github.com/odoocache/odoocache/test/site"
)

// mixRequests is how many requests of visitors the mix has.
const mixRequests = 10000

// TestOdooVisitMix replays a day of visitors: new ones, returning ones, bots, some
// who fill a cart, some who sign in. It prints what became of each kind's page
// views, with the reason of every miss.
func TestOdooVisitMix(t *testing.T) {
	shop := odoo.NeedOdoo(t)
	e := shop.Behind(t, site.Options{"rules": []site.Options{}, "purge": site.Options{"secret": site.TraefikSecret}})
	pages := shop.Sitemap(t)
	pages = append(pages, "/shop?page=2", "/shop?search=desk", "/shop?search=lamp", "/shop?order=list_price+asc")
	product := shop.Pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	variant := odoo.FirstVariant(t, shop, id)

	const warmUp = "warm-up"
	var mu sync.Mutex
	outcome := map[string]map[string]int{}
	note := func(kind string, r site.Reply) {
		word := "hit"
		status := r.CacheStatus()
		if !strings.Contains(status, "; hit") {
			word = regexp.MustCompile(`fwd=[a-z-]+`).FindString(status)
			if m := regexp.MustCompile(`detail=([a-z-]+)`).FindStringSubmatch(status); m != nil {
				word += " " + m[1]
			}
			if strings.Contains(status, "; stored") {
				word += " (stored)"
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if outcome[kind] == nil {
			outcome[kind] = map[string]int{}
		}
		outcome[kind][word]++
	}
	for _, path := range pages {
		note(warmUp, e.Visitor(odoo.ShopHost, odoo.BrowserLanguage).Get(path))
	}

	var left atomic.Int64
	left.Store(mixRequests)
	var wg sync.WaitGroup
	for n := 0; n < 8; n++ {
		wg.Add(1)
		go func(seed int64) {
			defer wg.Done()
			random := rand.New(rand.NewSource(seed))
			popular := rand.NewZipf(random, 1.3, 2, uint64(len(pages)-1))
			for left.Load() > 0 {
				kind := "new"
				switch p := random.Intn(100); {
				case p < 30:
					kind = "returning"
				case p < 45:
					kind = "bot"
				case p < 50:
					kind = "with a cart"
				case p < 53:
					kind = "signed in"
				}
				v := e.Visitor(odoo.ShopHost, odoo.BrowserLanguage)
				view := func(path string) {
					left.Add(-1)
					r, err := v.Send(http.MethodGet, path, "")
					if assert.NoError(t, err) {
						note(kind, r)
					}
				}
				post := func(path, params string) {
					left.Add(-1)
					body := `{"jsonrpc":"2.0","method":"call","params":` + params + `}`
					_, err := v.Send(http.MethodPost, path, body, "Content-Type: application/json", "Sec-Fetch-Site: same-origin")
					assert.NoError(t, err)
				}
				seen := fmt.Sprintf(`{"product_id":%d}`, variant)
				switch kind {
				case "returning": // with the session that a product page's script began
					post("/shop/products/recently_viewed_update", seen)
				case "with a cart":
					post("/shop/cart/add", fmt.Sprintf(`{"product_template_id":%d,"product_id":%d,"quantity":1}`, id, variant))
				case "signed in":
					left.Add(-1)
					form := url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {site.TokenPlaceholder}}
					_, err := v.Send(http.MethodPost, "/web/login", form.Encode(), "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
					assert.NoError(t, err)
				case "bot":
					v.Header.Set("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1)")
					v.Header.Del("Accept-Language")
					v.Client.Jar = nil
				}
				for i := 4 + random.Intn(8); i > 0; i-- {
					path := pages[popular.Uint64()]
					if random.Intn(8) == 0 {
						join := "?"
						if strings.Contains(path, "?") {
							join = "&"
						}
						path += join + "utm_source=mix&gclid=" + strconv.Itoa(random.Int())
					}
					view(path)
					if kind == "new" && random.Intn(6) == 0 {
						post("/shop/products/recently_viewed_update", seen)
					}
				}
			}
		}(int64(n))
	}
	wg.Wait()

	kinds := []string{"new", "returning", "bot", "with a cart", "signed in"}
	anonymous, hits := 0, 0
	var table strings.Builder
	fmt.Fprintf(&table, "\n%d addresses, %d requests\n  %-12s %7s %7s %6s  misses by reason\n", len(pages), mixRequests, "visitors", "views", "hits", "ratio")
	for _, kind := range append([]string{warmUp}, kinds...) {
		views := 0
		var misses []string
		for word, count := range outcome[kind] {
			views += count
			if word != "hit" {
				misses = append(misses, fmt.Sprintf("%d %s", count, word))
			}
		}
		sort.Strings(misses)
		hit := outcome[kind]["hit"]
		if kind == "new" || kind == "returning" || kind == "bot" {
			anonymous += views
			hits += hit
		}
		fmt.Fprintf(&table, "  %-12s %7d %7d %5.1f%%  %s\n", kind, views, hit, 100*float64(hit)/float64(views), strings.Join(misses, ", "))
	}
	ratio := 100 * float64(hits) / float64(anonymous)
	fmt.Fprintf(&table, "  anonymous page views: %d, hits %.1f%%", anonymous, ratio)
	t.Log(table.String())
	assert.GreaterOrEqual(t, ratio, 90.0, "hits of anonymous page views in percent")
}

// TestOdooBench measures Odoo directly, and the same pages through the cache. It
// takes minutes and asserts nothing: make bench-odoo.
func TestOdooBench(t *testing.T) {
	site.NeedLong(t, "bench-odoo")
	shop := odoo.NeedOdoo(t)
	memory := shop.Behind(t, nil)
	redis := shop.Replica(t, memory.Redis, site.Options{"memory": site.Options{"bytes": "0"}})
	found := shop.Pages(t)
	rows := []struct{ name, path string }{
		{"home", "/"}, {"shop", "/shop"}, {"shop, page 2", "/shop?page=2"}, {"product", found["product"]},
		{"category", found["category"]}, {"blog post", found["blog post"]},
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\nOdoo 19 directly, and through Traefik: from Redis, from memory. Milliseconds; 1 and 32 connections.\n")
	fmt.Fprintf(&table, "  %-13s %-9s %9s %9s %9s %10s %9s %9s %10s\n", "page", "from", "p50", "p99", "faster", "requests/s", "p50 (32)", "p99 (32)", "req/s (32)")
	line := func(name, from, address, path string, base float64, n int, span time.Duration) float64 {
		one := measure(t, address, path, 1, n, time.Minute)
		many := measure(t, address, path, 32, 0, span)
		faster := "1x"
		if base > 0 {
			faster = fmt.Sprintf("%.0fx", base/one.p50)
		}
		fmt.Fprintf(&table, "  %-13s %-9s %9.2f %9.2f %9s %10.0f %9.2f %9.2f %10.0f\n", name, from, one.p50, one.p99, faster, one.rate, many.p50, many.p99, many.rate)
		return one.p50
	}
	for _, row := range rows {
		if row.path == "" {
			continue
		}
		for _, e := range []*odoo.Edge{memory, redis} {
			for i := 0; i < 2; i++ {
				e.Visitor(odoo.ShopHost).Get(row.path)
			}
			require.Contains(t, e.Visitor(odoo.ShopHost).Get(row.path).CacheStatus(), "; hit", row.path)
		}
		base := line(row.name, "Odoo", shop.URL, row.path, 0, 30, 8*time.Second)
		line("", "Redis", redis.URL, row.path, base, 500, 3*time.Second)
		line("", "memory", memory.URL, row.path, base, 500, 3*time.Second)
	}

	quiet := measure(t, memory.URL, "/shop", 1, 500, time.Minute)
	stop := make(chan bool)
	var busy sync.WaitGroup
	var calls atomic.Int64
	admin := shop.Visitor(t, odoo.ShopHost)
	admin.SignIn("admin")
	for n := 0; n < 8; n++ {
		busy.Add(1)
		go func() {
			defer busy.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				body := `{"jsonrpc":"2.0","method":"call","params":{"model":"product.template","method":"search_read","args":[[]],"kwargs":{"fields":["name","list_price","qty_available"]}}}`
				if _, err := admin.Send(http.MethodPost, "/web/dataset/call_kw/product.template/search_read", body, "Content-Type: application/json"); err == nil {
					calls.Add(1)
				}
			}
		}()
	}
	time.Sleep(time.Second) // the backend is busy
	direct := measure(t, shop.URL, "/shop", 1, 10, time.Minute)
	loaded := measure(t, memory.URL, "/shop", 1, 500, time.Minute)
	close(stop)
	busy.Wait()
	fmt.Fprintf(&table, "\nWhile 8 backend users keep Odoo busy (%d calls), on the same %d processors:\n", calls.Load(), 2)
	fmt.Fprintf(&table, "  /shop from Odoo p50 %.0f ms; from the cache p50 %.2f ms, p99 %.2f ms (before: %.2f and %.2f)", direct.p50, loaded.p50, loaded.p99, quiet.p50, quiet.p99)
	t.Log(table.String())
}

// figures are of one series of requests: ms, and requests per second.
type figures struct{ p50, p99, rate float64 }

// measure sends n requests over each of some connections, or for a time if n is 0.
// Each request is one of a visitor without cookies.
func measure(t *testing.T, address, path string, connections, n int, span time.Duration) figures {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	var mu sync.Mutex
	var took []float64
	var wg sync.WaitGroup
	began := time.Now()
	for c := 0; c < connections; c++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; (n == 0 || i < n) && time.Since(began) < span; i++ {
				at := time.Now()
				req, _ := http.NewRequest(http.MethodGet, address+path, nil)
				req.Host = odoo.ShopHost
				resp, err := client.Do(req)
				if err != nil {
					continue
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err == nil && resp.StatusCode == http.StatusOK {
					mu.Lock()
					took = append(took, float64(time.Since(at).Microseconds())/1000)
					mu.Unlock()
				}
			}
		}()
	}
	wg.Wait()
	elapsed := time.Since(began).Seconds()
	require.NotEmpty(t, took, path)
	sort.Float64s(took)
	return figures{p50: took[len(took)/2], p99: took[len(took)*99/100], rate: float64(len(took)) / elapsed}
}
