package odoo

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// The tests named TestReplay… ("make replay") let visitors come to a shop that has what shops
// have: live chat, reviews, comments, courses, jobs, a cookies bar. They print which of the
// documents that the browser asked for were hits, and why the others were none. Traefik and
// the preset are as an operator has them. Pages are stored as other visitors leave them: they
// have been asked for before each visit.

// visits are what visitors do.
type visits struct {
	odoo *Site
	e    *Edge
	p    shopPages
}

// replayed is one kind of visit.
type replayed struct {
	name string
	make func(v *replayTab)

	// The fraction of hits that is expected without and with the addon. 0: it is only shown.
	plain, addon float64
}

// shopPages are addresses of the test database.
type shopPages struct {
	products, posts, lists                                []string
	category, forum, question, event, course, lesson, job string
}

func findPages(t *testing.T, o *Site) shopPages {
	t.Helper()
	sitemap := o.Visitor(t, ShopHost).Get("/sitemap.xml").Body
	p := shopPages{
		category: address(t, sitemap, `/shop/category/[^/]+-\d+`),
		forum:    address(t, sitemap, `/forum/help-\d+`),
		question: address(t, sitemap, `/forum/[^/]+-\d+/[^/]+-\d+`),
		event:    address(t, sitemap, `/event/[^/]+-\d+`),
		course:   address(t, sitemap, `/slides/[^/]+-\d+`),
		lesson:   address(t, sitemap, `/slides/slide/[^/]+-\d+`),
		job:      address(t, sitemap, `/jobs/[^/]+-\d+`),
		products: addresses(sitemap, `/shop/[^/]+-\d+`),
		posts:    addresses(sitemap, `/blog/[^/]+-\d+/[^/]+-\d+`),
		lists:    []string{"/", "/shop", "/shop/page/2", "/blog", "/about-us", "/contactus", "/event", "/forum/all", "/slides", "/jobs", "/partners", "/terms"},
	}
	require.Greater(t, len(p.products), 5)
	require.Greater(t, len(p.posts), 3)
	return p
}

// all returns every page that the visits come by.
func (p shopPages) all() []string {
	all := append([]string{}, p.lists...)
	all = append(all, p.products[:6]...)
	all = append(all, p.posts[:3]...)
	return append(all, p.category, p.forum, p.question, p.event, p.course, p.lesson, p.job, "/slides/all", "/contactus-thank-you")
}

// on is the second half of a visit: twelve pages.
func (p shopPages) on() []string {
	return []string{"/", "/shop", p.products[1], p.category, "/blog", p.posts[0], "/about-us", p.products[2], "/contactus", "/shop/page/2", p.products[3], "/"}
}

func (s visits) list() []replayed {
	p := s.p
	return []replayed{
		{name: "reading", plain: 1, addon: 1, make: func(v *replayTab) {
			v.open("/", "/shop", p.products[0], p.category, p.products[1], "/blog", p.posts[0], p.posts[1], "/about-us", "/shop/page/2", "/contactus", "/")
		}},
		{name: "campaign landing", plain: 1, addon: 1, make: func(v *replayTab) {
			v.open(p.products[0] + "?utm_source=ads&utm_medium=cpc&utm_campaign=spring&gclid=Cj0KCQiAabcdefghijklmnopqrstuv12345678")
			v.open(p.on()...)
		}},
		{name: "buying", addon: 0.95, make: func(v *replayTab) {
			v.open("/", "/shop", p.products[0])
			v.click("#add_to_cart")
			v.waitBadge("1")
			v.open("/shop/cart", "/shop", p.products[1])
			v.click("#add_to_cart")
			v.waitBadge("2")
			v.open("/shop/cart", "/shop/checkout", "/")
			v.open(p.on()...)
		}},
		{name: "an empty cart", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/", "/shop/cart")
			v.open(p.on()...)
		}},
		{name: "wishlist", make: func(v *replayTab) {
			v.open("/", "/shop", p.products[0])
			v.press("#product_details .o_add_wishlist_dyn")
			v.open("/shop/wishlist")
			v.open(p.on()...)
		}},
		{name: "live chat", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/")
			v.wait(deep + `(".o-livechat-LivechatButton")`)
			v.open(p.on()...)
		}},
		{name: "live chat, opened", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/", "/shop")
			v.press(".o-livechat-LivechatButton")
			v.wait(deep + `(".o-mail-ChatWindow")`)
			v.open(p.on()...)
		}},
		{name: "live chat, written in", make: func(v *replayTab) {
			v.open("/", "/shop")
			v.press(".o-livechat-LivechatButton")
			v.wait(deep + `(".o-mail-Composer-input")`)
			v.text(`(() => {
				const input = ` + deep + `(".o-mail-Composer-input");
				input.focus();
				input.value = "Is it there?";
				input.dispatchEvent(new InputEvent("input", { bubbles: true }));
				input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
				return "";
			})()`)
			v.wait(deep + `(".o-mail-Message")`)
			v.open(p.on()...)
		}},
		{name: "reviews", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/shop")
			for _, product := range p.products[:4] {
				v.open(product)
				v.click(".o_product_page_reviews_title")
				v.wait(deep + `(".o-mail-Message")`)
				v.press(".o-mail-Thread button.btn-link")
			}
			v.open(p.on()...)
		}},
		{name: "comments", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/blog")
			for _, post := range p.posts[:3] {
				v.open(post)
				v.text(`document.querySelector("#o_wblog_post_comments").scrollIntoView(), ""`)
				v.wait(deep + `(".o-mail-Message")`)
			}
			v.open(p.on()...)
		}},
		{name: "forum", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/", "/forum", p.question, p.forum, "/forum/all")
			v.open(p.on()...)
		}},
		{name: "events", make: func(v *replayTab) {
			v.open("/", "/event", p.event)
			v.open(p.on()...)
		}},
		{name: "courses", make: func(v *replayTab) {
			v.open("/", "/slides", "/slides/all", p.course, p.lesson)
			v.open(p.on()...)
		}},
		{name: "jobs", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/", "/jobs", p.job)
			v.open(p.on()...)
		}},
		{name: "partners", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/", "/partners", "/terms")
			v.open(p.on()...)
		}},
		{name: "look at the sign-in page", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/", "/web/login", "/web/signup")
			v.open(p.on()...)
		}},
		{name: "first contact at sign-in", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/web/login")
			v.open(p.on()...)
		}},
		{name: "signed in and out", make: func(v *replayTab) {
			v.open("/", "/shop")
			before := len(v.seen)
			v.signIn("portal")
			v.open("/", "/shop", p.products[0], "/my", "/")
			v.signOut()
			for i := before; i < len(v.seen); i++ {
				// Up to the page that signing out leads to.
				v.own[i] = !strings.Contains(v.seen[i].URL, "/web/session/logout")
				if !v.own[i] {
					break
				}
			}
			v.open(p.on()...)
		}},
		{name: "contact form", make: func(v *replayTab) {
			v.open("/", "/contactus")
			v.contact(fmt.Sprint("Replay ", time.Now().UnixNano()))
			v.open(p.on()...)
		}},
		{name: "prefetched pages", plain: 0.9, addon: 0.95, make: func(v *replayTab) {
			v.open("/")
			for _, path := range []string{"/shop/cart", "/web/login", "/shop/wishlist", p.products[4]} {
				v.text(fmt.Sprintf(`(() => { const link = document.createElement("link"); link.rel = "prefetch"; link.href = %q; document.head.append(link); return "" })()`, path))
			}
			v.wait("true")
			v.open(p.on()...)
		}},
		{name: "cookies bar accepted", make: func(v *replayTab) {
			v.base = strings.Replace(v.base, ShopHost, secondHost, 1)
			v.open("/", "/shop")
			v.click("#cookies-consent-all")
			v.open(p.on()...)
		}},
		{name: "returning, with a session from before the cache", plain: 0.9, addon: 0.9, make: func(v *replayTab) {
			through := v.base
			v.base = strings.Replace(v.base, v.base[strings.LastIndex(v.base, ":"):], s.odoo.URL[strings.LastIndex(s.odoo.URL, ":"):], 1)
			v.open(p.products[0])
			require.NotEmpty(v.t, v.cookies()["session_id"], "Odoo begins a session")
			v.base = through
			v.open(p.on()...)
		}},
	}
}

// TestReplay: what visitors do in a shop with all that shops have, without the addon.
func TestReplay(t *testing.T) {
	odoo := NeedOdoo(t)
	stack.NeedTraefik(t)
	replayAll(t, odoo, odoo.Behind(t, nil), func(r replayed) float64 { return r.plain })
}

// TestReplayAddon: the same with the addon.
func TestReplayAddon(t *testing.T) {
	needOdooAddon(t)
	stack.NeedTraefik(t)
	odoo, e, _ := withAddon(t)
	replayAll(t, odoo, e, func(r replayed) float64 { return r.addon })
}

func replayAll(t *testing.T, o *Site, e *Edge, expected func(r replayed) float64) {
	b := startBrowser(t)
	c := option.Default()
	c.Preset, c.Languages = "odoo", []string{"en_US", "fr_FR"}
	rules, err := config.Build(c)
	require.NoError(t, err)
	s := visits{odoo: o, e: e, p: findPages(t, o)}
	list := s.list()

	cold := replay(t, b, e, rules, list[0])
	fmt.Printf("\n  %-50s %9s %9s %8s  %s\n", t.Name()+": documents that may be hits", "hits", "fraction", "at least", "of other requests")
	cold.print("reading, of an empty cache", 0)
	for _, r := range list {
		warmUp(t, e, s.p.all())
		t.Run(r.name, func(t *testing.T) {
			c := replay(t, b, e, rules, r)
			c.print(r.name, expected(r)) // at once: a run takes minutes
			assert.GreaterOrEqual(t, c.fraction(), expected(r))
		})
	}
}

// replay lets a visitor come, and counts.
func replay(t *testing.T, b *browser, e *Edge, rules *config.Settings, r replayed) count {
	t.Helper()
	v := &replayTab{browserTab: b.tab(t, e, fmt.Sprint(r.name, time.Now().UnixNano())), own: map[int]bool{}}
	r.make(v)
	v.look()
	return v.result(rules)
}

// warmUp stores pages as others leave them: they are asked for until they are hits.
func warmUp(t *testing.T, e *Edge, pages []string) {
	t.Helper()
	port := strings.TrimPrefix(hostAt(e), ShopHost)
	for _, host := range []string{ShopHost, secondHost} {
		for _, path := range pages {
			for i := 0; i < 3; i++ {
				r := e.Visitor(host+port, BrowserLanguage).Get(path)
				if strings.Contains(r.CacheStatus(), "; hit") || !strings.Contains(r.CacheStatus(), "; stored") {
					break
				}
			}
		}
	}
}

// replayTab is a visitor's tab.
type replayTab struct {
	*browserTab
	own map[int]bool // what was got while signed in, by its place in seen
}

// open goes to pages, one after the other.
func (v *replayTab) open(paths ...string) {
	v.t.Helper()
	for _, path := range paths {
		v.browserTab.open(path)
	}
}

// deep finds an element wherever it is: Odoo has live chat and comments in shadow trees.
const deep = `((selector) => {
	const roots = [document];
	for (const root of roots) {
		const found = [...root.querySelectorAll(selector)].find((e) => e.checkVisibility());
		if (found) return found;
		for (const e of root.querySelectorAll("*")) if (e.shadowRoot) roots.push(e.shadowRoot);
	}
	return null;
})`

// press clicks on an element wherever it is, by script.
func (v *replayTab) press(selector string) {
	v.t.Helper()
	v.wait(fmt.Sprintf("%s(%q)", deep, selector))
	v.text(fmt.Sprintf("%s(%q).click() ?? ''", deep, selector))
	v.wait("true")
}

// count is what became of a visit.
type count struct {
	hits, documents int // of those that may be hits
	others          int // documents that may not
	partHits, parts int // of what pages load
	misses          []miss
}

// miss is a document that could have been a hit, and the last request before that may have
// changed the session.
type miss struct{ document, since string }

func (c count) fraction() float64 {
	if c.documents == 0 {
		return 0
	}
	return float64(c.hits) / float64(c.documents)
}

func (c count) print(name string, expected float64) {
	least := ""
	if expected > 0 {
		least = fmt.Sprintf("%.2f", expected)
	}
	fmt.Printf("  %-50s %3d of %2d %9.2f %8s  %d of %d hits, %d documents of one's own\n", name, c.hits, c.documents, c.fraction(), least, c.partHits, c.parts, c.others)
	since := ""
	for _, m := range c.misses {
		if m.since != since {
			since = m.since
			fmt.Printf("      since %s\n", since)
		}
		fmt.Printf("      %s\n", m.document)
	}
}

// ownDocuments are a visitor's own: cart, checkout, account, sign-in, the switch of the language.
var ownDocuments = regexp.MustCompile(`^/(?:fr/)?(?:shop/(?:cart|checkout|address|payment|confirmation|extra_info|wishlist)|my|web/(?:login|signup|reset_password|session)|website/lang)(?:/|$)`)

// result counts what a visitor got.
func (v *replayTab) result(rules *config.Settings) count {
	var c count
	changed := "" // the last request that may have changed the session
	for i, r := range v.seen {
		u, err := url.Parse(r.URL)
		require.NoError(v.t, err)
		status := r.get("Cache-Status")
		if r.FromBrowser || "http://"+u.Host != v.base {
			continue
		}
		hit, document := strings.Contains(status, "; hit"), r.Type == "Document" && (r.Status < 300 || r.Status > 399)
		switch {
		case document && (r.Method != http.MethodGet || v.own[i] || ownDocuments.MatchString(u.Path)):
			c.others++
		case document && hit:
			c.documents++
			c.hits++
		case document:
			c.documents++
			c.misses = append(c.misses, miss{fmt.Sprintf("%s %s: %d, %s", r.Method, u.RequestURI(), r.Status, status), changed})
		default:
			c.parts++
			if hit {
				c.partHits++
			}
		}
		if effect := effectOn(rules, r, u); effect != "" {
			changed = fmt.Sprintf("%s %s (%s) %.100s", r.Method, u.RequestURI(), effect, r.Body)
		}
	}
	return c
}

// effectOn says what the preset takes a request for that reached Odoo: its session may be special, or in
// doubt, since. It is empty if the session is as it was.
func effectOn(s *config.Settings, r browserResponse, u *url.URL) string {
	if strings.Contains(r.get("Cache-Status"), "; hit") {
		return ""
	}
	req := httptest.NewRequest(r.Method, u.RequestURI(), nil)
	taken, _ := rule.First(s.Plan, s.Default, r.Method, ShopHost, u.Path, req)
	switch {
	case taken.KeepsSession, taken.ReadsSession && odoo.OnlyReads(u.Path, []byte(r.Body)):
		return ""
	case taken.MarksSession:
		return "special by " + taken.Name
	case r.Method != http.MethodGet || taken.Bypass:
		return "in doubt by " + taken.Name
	case r.Status >= 300 && r.Status <= 399:
		return "a redirect of " + taken.Name
	}
	return ""
}

// backendUsers are as many as click in the backend in TestReplaySaturated.
const backendUsers = 8

// TestReplaySaturated: while users of the backend take all that Odoo has, a visitor of a shop with
// live chat still gets pages in a hit's time.
func TestReplaySaturated(t *testing.T) {
	odoo := NeedOdoo(t)
	stack.NeedTraefik(t)
	e := odoo.Behind(t, nil)
	b := startBrowser(t)
	p := findPages(t, odoo)
	warmUp(t, e, p.all())
	paths := []string{"/", "/shop", p.products[0], "/about-us", p.category, "/blog"}

	visit := func(name string) (took []time.Duration) {
		t.Helper()
		v := b.tab(t, e, name)
		for _, path := range paths {
			// Who waits for the page does not wait for what its scripts ask Odoo for.
			v.do("Go", site.Options{"URL": v.base + path}, nil)
			var end float64
			require.Eventually(t, func() bool {
				v.do("Eval", site.Options{"Script": `location.href === "` + v.base + path + `" ? performance.getEntriesByType("navigation")[0].responseEnd : 0`}, &end)
				return end > 0
			}, stack.Patience, 20*time.Millisecond, path)
			r := v.document()
			require.Contains(t, r.get("Cache-Status"), "; hit", r.String())
			took = append(took, time.Duration(end*float64(time.Millisecond)))
		}
		return took
	}
	own := func(times int) (took []time.Duration) {
		v := odoo.Visitor(t, ShopHost, BrowserLanguage)
		v.Get("/shop")
		for i := 0; i < times; i++ {
			for _, path := range paths {
				began := time.Now()
				require.Equal(t, http.StatusOK, v.Get(path).Status, path)
				took = append(took, time.Since(began))
			}
		}
		return took
	}
	visit("first") // the browser itself is warm, and what pages load is stored
	idle, ownIdle := visit("idle"), own(2)

	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var clicks atomic.Int64
	defer func() { stop(); wg.Wait() }()
	for n := 0; n < backendUsers; n++ {
		user := e.Visitor(ShopHost)
		user.SignIn("admin")
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ctx.Err() == nil; i++ {
				call := []string{
					`{"model":"product.template","method":"web_search_read","args":[],"kwargs":{"domain":[],"specification":{"display_name":{},"list_price":{},"qty_available":{}},"limit":80}}`,
					`{"model":"sale.order","method":"web_search_read","args":[],"kwargs":{"domain":[],"specification":{"display_name":{},"amount_total":{},"partner_id":{"fields":{"display_name":{}}}},"limit":80}}`,
					`{"model":"crm.lead","method":"web_search_read","args":[],"kwargs":{"domain":[],"specification":{"display_name":{},"stage_id":{"fields":{"display_name":{}}}},"limit":80}}`,
				}[i%3]
				r, err := user.Send(http.MethodPost, "/web/dataset/call_kw", `{"jsonrpc":"2.0","method":"call","id":1,"params":`+call+`}`, "Content-Type: application/json")
				if assert.NoError(t, err) && assert.Equal(t, http.StatusOK, r.Status) && assert.NotContains(t, r.Body, `"error"`) {
					clicks.Add(1)
				}
			}
		}()
	}
	time.Sleep(3 * time.Second)
	began, before := time.Now(), clicks.Load()
	busy := visit("busy")
	ownBusy := own(1)
	rate := float64(clicks.Load()-before) / time.Since(began).Seconds()

	t.Logf(`
  a page of %d, from its request to its last byte        median   longest
  hit, Odoo idle                                     %8.0f ms %6.0f ms
  hit, %d users in the backend (%.0f clicks/s)           %8.0f ms %6.0f ms
  Odoo's own page, idle                              %8.0f ms %6.0f ms
  Odoo's own page at that time                       %8.0f ms %6.0f ms
`, len(paths), ms(median(idle)), ms(longest(idle)), backendUsers, rate, ms(median(busy)), ms(longest(busy)),
		ms(median(ownIdle)), ms(longest(ownIdle)), ms(median(ownBusy)), ms(longest(ownBusy)))
	assert.Less(t, median(busy), median(ownIdle), "less than Odoo takes when nobody else is there")
	assert.Less(t, median(busy)*4, median(ownBusy))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func sorted(list []time.Duration) []time.Duration {
	list = append([]time.Duration{}, list...)
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}

func median(list []time.Duration) time.Duration { return sorted(list)[len(list)/2] }

func longest(list []time.Duration) time.Duration { return sorted(list)[len(list)-1] }
