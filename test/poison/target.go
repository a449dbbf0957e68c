package poison

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// Target is a kind of address that preset odoo, or a rule of one's own before it,
// stores.
type Target struct {
	Name   string
	Page   func(n int) string
	Rules  []site.Options
	Origin http.HandlerFunc
	More   site.Options
}

const weekPublic = "Cache-Control: public, max-age=604800"

// Immutable is what Odoo says of files whose address changes with them.
const Immutable = "Cache-Control: public, max-age=31536000, immutable"

// NumberedPage makes addresses of a pattern; N is the number.
func NumberedPage(pattern string) func(n int) string {
	return func(n int) string { return strings.ReplaceAll(pattern, "N", fmt.Sprint(n)) }
}

// ownRule is one before those of the preset.
func ownRule(more site.Options) []site.Options {
	r := site.Options{"name": "own", "match": site.Options{"pathPrefixes": []string{"/own"}}, "ttl": "60s"}
	for name, value := range more {
		r[name] = value
	}
	return []site.Options{r}
}

// Targets are the kinds of addresses.
var Targets = []Target{
	{Name: "page", Page: NumberedPage("/pN"), Origin: Echo(site.HTMLText)},
	{Name: "product", Page: NumberedPage("/shop/lamp-N"), Origin: Echo(site.HTMLText)},
	{Name: "page in French", Page: NumberedPage("/fr/pN"), Origin: Echo(site.HTMLText)},
	{Name: "page that says it is public", Page: NumberedPage("/pN"), Origin: Echo(site.HTMLText, "Cache-Control: public, max-age=600")},
	{Name: "page of the addon", Page: NumberedPage("/pN"), Origin: Echo(site.HTMLText, "X-Odoo-Cache: public, ttl=600", "X-Odoo-Cache-Context: 0", "Surrogate-Key: all")},
	{Name: "page with Vary", Page: NumberedPage("/pN"), Origin: Echo(site.HTMLText, "Vary: Accept-Encoding, X-Country, Accept")},
	{Name: "page, languages not known", Page: NumberedPage("/pN"), Origin: Echo(site.HTMLText), More: site.Options{"languages": []string{}}},
	{Name: "page, one language", Page: NumberedPage("/pN"), Origin: Echo(site.HTMLText), More: site.Options{"languages": []string{"en_US"}}},
	{Name: "pages of events, by time zone", Page: NumberedPage("/event/fair-N/agenda"), Origin: Echo(site.HTMLText)},
	{Name: "static file", Page: NumberedPage("/web/static/src/pN.css"), Origin: Echo("text/css", weekPublic)},
	{Name: "bundle", Page: NumberedPage("/web/assets/1/abcdefN/web.assets_frontend.min.js"), Origin: Echo("text/javascript", Immutable)},
	{Name: "bundle of Odoo 16", Page: NumberedPage("/web/assets/N-abcdef1/web.assets_frontend.min.js"), Origin: Echo("text/javascript", Immutable)},
	{Name: "bundle of Odoo 14", Page: NumberedPage("/web/content/N-1bfd234/1/web.assets_frontend.css"), Origin: Echo("text/css", Immutable)},
	{Name: "image", Page: NumberedPage("/web/image/product.template/N/image_512"), Origin: Echo("image/png", "Cache-Control: private, no-cache")},
	{Name: "image of Odoo 16", Page: NumberedPage("/web/image/product.template/N/image_512"), Origin: Echo("image/png", Immutable)},
	{Name: "attachment", Page: NumberedPage("/web/image/N-abcdef12/name.webp"), Origin: Echo("image/webp", Immutable)},
	{Name: "translations", Page: NumberedPage("/website/translations?hash=hN&lang=en_US"), Origin: Echo("application/json", Immutable)},
	{Name: "own rule", Page: NumberedPage("/own/pN"), Rules: ownRule(nil), Origin: Echo(site.HTMLText)},
	{Name: "own rule, public", Page: NumberedPage("/own/pN"), Rules: ownRule(nil), Origin: Echo(site.HTMLText, "Cache-Control: public, max-age=600")},
	{Name: "own rule without sessions", Page: NumberedPage("/own/pN"), Rules: ownRule(site.Options{"session": "ignore", "cookies": site.Options{"drop": []string{"session_id"}}}), Origin: Echo(site.HTMLText)},
	{Name: "own rule that varies", Page: NumberedPage("/own/pN"), Rules: ownRule(site.Options{"vary": site.Options{"headers": []string{"X-Country"}, "cookies": []string{"zone"}, "languages": []string{"en_US", "fr_FR"}}}), Origin: Echo(site.HTMLText)},
}

// Poisoned starts a target.
func (k Target) Poisoned(t *testing.T, load site.Loader, o site.Options) *Site {
	t.Helper()
	all := site.Options{"preset": "odoo", "languages": []string{"en_US", "fr_FR"}}
	if k.Rules != nil {
		all["rules"] = k.Rules
	}
	for _, more := range []site.Options{k.More, o} {
		for name, value := range more {
			all[name] = value
		}
	}
	return newSite(t, load, all, k.Page, k.Origin)
}

// Odd is the request of who is odd in some ways, for a page of its own.
func (p *Site) Odd(n int, base func(string) *Request, ways ...Oddity) *Request {
	q := base(p.Page(n))
	q.Canonical = q.Target
	for i, way := range ways {
		way.Do(q, MarkerOf(n, "ab"[i:i+1]))
	}
	return q
}

// Together asks for many things at once, and returns when all is answered.
func Together(n int, ask func(i int)) {
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

// OriginAnswers changes what the cache's origin answers.
func (p *Site) OriginAnswers(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// Status is what the status endpoint tells.
type Status struct {
	Waiting    int            `json:"waiting"`
	Refreshing int            `json:"refreshing"`
	Counters   map[string]int `json:"counters"`
}

// Status asks the status endpoint of the cache.
func (p *Site) Status() (s Status) {
	require.NoError(p.T, json.Unmarshal([]byte(p.Manage(p.Handler, http.MethodGet, "status", "")), &s))
	return s
}

// Quiet waits until nothing is asked of the origin any more.
func (p *Site) Quiet() {
	p.T.Helper()
	last, since := int64(-1), time.Now()
	require.Eventually(p.T, func() bool {
		if n := p.Renders.Load(); n != last || p.Status().Refreshing > 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	}, time.Minute, 20*time.Millisecond)
}

// OwnPages lets nobody fill the page of each who is odd, also as the odd one spells it, if
// a server takes that.
func (p *Site) OwnPages(odd []*Request) {
	for _, q := range odd {
		NobodyAt(q.Canonical).Ask(p.Handler)
	}
}

// LineOfOddity tells what is odd about a request.
func (q *Request) LineOfOddity() string {
	return fmt.Sprintf("%.80q", strings.Join(append([]string{q.Method, q.Target}, append(q.Lines, q.Cookies...)...), " "))
}
