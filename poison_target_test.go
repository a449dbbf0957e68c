package odoocache_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// poisonTarget is a kind of address that preset odoo, or a rule of one's own before it,
// stores.
type poisonTarget struct {
	name   string
	page   func(n int) string
	rules  []options
	origin http.HandlerFunc
	more   options
}

const weekPublic = "Cache-Control: public, max-age=604800"

const immutable = "Cache-Control: public, max-age=31536000, immutable"

func numberedPage(pattern string) func(n int) string {
	return func(n int) string { return strings.ReplaceAll(pattern, "N", fmt.Sprint(n)) }
}

// ownRule is one before those of the preset.
func ownRule(more options) []options {
	r := options{"name": "own", "match": options{"pathPrefixes": []string{"/own"}}, "ttl": "60s"}
	for name, value := range more {
		r[name] = value
	}
	return []options{r}
}

var poisonTargets = []poisonTarget{
	{name: "page", page: numberedPage("/pN"), origin: echo(htmlText)},
	{name: "product", page: numberedPage("/shop/lamp-N"), origin: echo(htmlText)},
	{name: "page in French", page: numberedPage("/fr/pN"), origin: echo(htmlText)},
	{name: "page that says it is public", page: numberedPage("/pN"), origin: echo(htmlText, "Cache-Control: public, max-age=600")},
	{name: "page of the addon", page: numberedPage("/pN"), origin: echo(htmlText, "X-Odoo-Cache: public, ttl=600", "X-Odoo-Cache-Context: 0", "Surrogate-Key: all")},
	{name: "page with Vary", page: numberedPage("/pN"), origin: echo(htmlText, "Vary: Accept-Encoding, X-Country, Accept")},
	{name: "page, languages not known", page: numberedPage("/pN"), origin: echo(htmlText), more: options{"languages": []string{}}},
	{name: "page, one language", page: numberedPage("/pN"), origin: echo(htmlText), more: options{"languages": []string{"en_US"}}},
	{name: "pages of events, by time zone", page: numberedPage("/event/fair-N/agenda"), origin: echo(htmlText)},
	{name: "static file", page: numberedPage("/web/static/src/pN.css"), origin: echo("text/css", weekPublic)},
	{name: "bundle", page: numberedPage("/web/assets/1/abcdefN/web.assets_frontend.min.js"), origin: echo("text/javascript", immutable)},
	{name: "bundle of Odoo 16", page: numberedPage("/web/assets/N-abcdef1/web.assets_frontend.min.js"), origin: echo("text/javascript", immutable)},
	{name: "bundle of Odoo 14", page: numberedPage("/web/content/N-1bfd234/1/web.assets_frontend.css"), origin: echo("text/css", immutable)},
	{name: "image", page: numberedPage("/web/image/product.template/N/image_512"), origin: echo("image/png", "Cache-Control: private, no-cache")},
	{name: "image of Odoo 16", page: numberedPage("/web/image/product.template/N/image_512"), origin: echo("image/png", immutable)},
	{name: "attachment", page: numberedPage("/web/image/N-abcdef12/name.webp"), origin: echo("image/webp", immutable)},
	{name: "translations", page: numberedPage("/website/translations?hash=hN&lang=en_US"), origin: echo("application/json", immutable)},
	{name: "own rule", page: numberedPage("/own/pN"), rules: ownRule(nil), origin: echo(htmlText)},
	{name: "own rule, public", page: numberedPage("/own/pN"), rules: ownRule(nil), origin: echo(htmlText, "Cache-Control: public, max-age=600")},
	{name: "own rule without sessions", page: numberedPage("/own/pN"), rules: ownRule(options{"session": "ignore", "cookies": options{"drop": []string{"session_id"}}}), origin: echo(htmlText)},
	{name: "own rule that varies", page: numberedPage("/own/pN"), rules: ownRule(options{"vary": options{"headers": []string{"X-Country"}, "cookies": []string{"zone"}, "languages": []string{"en_US", "fr_FR"}}}), origin: echo(htmlText)},
}

// poisoned starts a target.
func (k poisonTarget) poisoned(t *testing.T, load loader, o options) *poisonedSite {
	t.Helper()
	all := options{"preset": "odoo", "languages": []string{"en_US", "fr_FR"}}
	if k.rules != nil {
		all["rules"] = k.rules
	}
	for _, more := range []options{k.more, o} {
		for name, value := range more {
			all[name] = value
		}
	}
	return newPoisoned(t, load, all, k.page, k.origin)
}

// odd is the request of who is odd in some ways, for a page of its own.
func (p *poisonedSite) odd(n int, base func(string) *oddRequest, ways ...oddity) *oddRequest {
	q := base(p.page(n))
	q.canonical = q.target
	for i, way := range ways {
		way.do(q, markerOf(n, "ab"[i:i+1]))
	}
	return q
}

// together asks for many things at once, and returns when all is answered.
func together(n int, ask func(i int)) {
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			ask(i)
		}(i)
	}
	wg.Wait()
}

// originAnswers changes what the cache's origin answers.
func (p *poisonedSite) originAnswers(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

type poisonStatus struct {
	Waiting    int            `json:"waiting"`
	Refreshing int            `json:"refreshing"`
	Counters   map[string]int `json:"counters"`
}

func (p *poisonedSite) status() (s poisonStatus) {
	require.NoError(p.t, json.Unmarshal([]byte(p.manage(p.h, http.MethodGet, "status", "")), &s))
	return s
}

// quiet waits until nothing is asked of the origin any more.
func (p *poisonedSite) quiet() {
	p.t.Helper()
	last, since := int64(-1), time.Now()
	require.Eventually(p.t, func() bool {
		if n := p.renders.Load(); n != last || p.status().Refreshing > 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	}, time.Minute, 20*time.Millisecond)
}

// ownPages lets nobody fill the page of each who is odd, also as the odd one spells it, if
// a server takes that.
func (p *poisonedSite) ownPages(odd []*oddRequest) {
	for _, q := range odd {
		nobodyAt(q.canonical).ask(p.h)
	}
}

// lineOfOddity tells what is odd about a request.
func (q *oddRequest) lineOfOddity() string {
	return fmt.Sprintf("%.80q", strings.Join(append([]string{q.method, q.target}, append(q.lines, q.cookies...)...), " "))
}
