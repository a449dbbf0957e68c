package odoo

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/poison"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// numberOf is what tells the addresses of these tests apart: Odoo 14 keeps pages by their path
// alone, and gives one with another number.
var numberOf = regexp.MustCompile(`(?:[?]|&amp;|&)v=1\d{5}`)

// ofOdoo is what of an answer of Odoo has to be the same for everybody.
func ofOdoo(r site.Reply) string {
	kind := strings.Replace(r.Header.Get("Content-Type"), "; charset=utf-8; charset=utf-8", "; charset=utf-8", 1) // Odoo 14's own page cache
	return fmt.Sprintf("%d %s %s\n%s", r.Status, kind, r.Header.Get("Location"), masked(numberOf.ReplaceAllString(viewCount.ReplaceAllString(r.Body, "$1"), "")))
}

// inParallel runs jobs as many at a time as Odoo's workers can take.
func inParallel(n int, job func(i int)) {
	const most = 4
	slots := make(chan bool, most)
	poison.Together(n, func(i int) {
		slots <- true
		defer func() { <-slots }()
		job(i)
	})
}

// poisons lets somebody odd ask Odoo for pages through the edge, and then nobody, who
// has to get what Odoo gives nobody directly.
func (o *Site) poisons(t *testing.T, paths []string, more site.Options) {
	t.Helper()
	e := o.replicaWith(t, stack.StartRedis(t), more, "--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1")
	nobody := func(target string) *poison.Request {
		q := poison.NobodyAt(target)
		q.Host = ShopHost
		return q
	}
	for _, path := range paths { // Odoo's second answer can come from its own page cache
		for i := 0; i < 4; i++ {
			_, err := nobody(path).OnWire(o.URL)
			require.NoError(t, err)
		}
	}
	directly := func(target string) (site.Reply, error) {
		q := nobody(target)
		q.Lines = []string{"X-Forwarded-Host: " + ShopHost, "X-Forwarded-Proto: http", "X-Forwarded-For: 192.0.2.1"}
		return q.OnWire(o.URL)
	}
	ways := poison.Oddities()
	var mu sync.Mutex
	var wrong, silent []string
	hits := 0
	inParallel(len(ways), func(i int) {
		n, way := 100000+i, ways[i]
		path := paths[i%len(paths)]
		mark := "?v="
		if strings.Contains(path, "?") {
			mark = "&v="
		}
		target := path + mark + strconv.Itoa(n)
		q := nobody(target)
		if way.Open && strings.HasPrefix(way.Name, "path ") { // the query stays behind
			q.Target = path
			way.Do(q, poison.MarkerOf(n, "a"))
			at, fragment, _ := strings.Cut(q.Target, "#")
			q.Target = at + mark + strconv.Itoa(n) + fragment
		} else {
			way.Do(q, poison.MarkerOf(n, "a"))
		}
		if _, err := q.OnWire(e.URL); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			mu.Lock()
			silent = append(silent, way.Name+": "+err.Error())
			mu.Unlock()
		}
		got, err := nobody(target).OnWire(e.URL)
		if !assert.NoError(t, err, target) {
			return
		}
		var direct site.Reply
		for try := 0; try < 6; try++ { // its workers remember different things
			if direct, err = directly(target); !assert.NoError(t, err, target) {
				return
			}
			if ofOdoo(direct) == ofOdoo(got) {
				break
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(got.CacheStatus(), "; hit") {
			hits++
		}
		if ofOdoo(direct) != ofOdoo(got) {
			wrong = append(wrong, fmt.Sprintf("%s, %s: %s, want %s (%s)", way.Name, target, poison.Differing(ofOdoo(got), ofOdoo(direct)), poison.Differing(ofOdoo(direct), ofOdoo(got)), got.CacheStatus()))
		} else if found := poison.Marker.FindString(got.Body + fmt.Sprint(got.Header)); found != "" {
			wrong = append(wrong, way.Name+": "+found+" at "+target)
		}
	})
	t.Logf("%d ways, %d hits of nobody, no answer to %d: %.300s", len(ways), hits, len(silent), strings.Join(silent, "; "))
	sort.Strings(wrong)
	if n := len(wrong); n > 0 {
		assert.Fail(t, fmt.Sprint(n, " answers to nobody are not Odoo's to nobody"), "%.8000s", strings.Join(wrong, "\n"))
	}
	assert.Greater(t, hits, len(ways)/3, "the cache is on")
}

// TestOdooPoison: what somebody odd sends shows in no page of Odoo that others get.
func TestOdooPoison(t *testing.T) {
	eachVersion(t, func(t *testing.T, v *version, odoo *Site) {
		home := odoo.Visitor(t, ShopHost).Get("/").Body
		odoo.poisons(t, append(v.poisoned(t, odoo), address(t, home, v.bundle), v.file, "/fr/shop"), nil)
	})
}

// TestOdooAddonPoison is TestOdooPoison with the addon.
func TestOdooAddonPoison(t *testing.T) {
	odoo := needOdooAddon(t)
	pages := odoo.Pages(t)
	var paths []string
	for _, kind := range []string{"shop", "category", "product", "search", "blog post", "contact form", "product image"} {
		paths = append(paths, pages[kind])
	}
	odoo.poisons(t, paths, nil)
}

// deceptionTime is how long a test of deception goes on.
func deceptionTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("DECEPTION_DURATION")
	if text == "" {
		return 2 * time.Minute
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "DECEPTION_DURATION")
	return d
}

// deceived is a visitor of whom others are to learn nothing.
type deceived struct {
	*Visitor
	name    string
	secrets []string
}

// personalSigns are in a page that was rendered for somebody.
var personalSigns = regexp.MustCompile(`"is_public": ?false|"is_website_user": ?false| data-order-id="\d+"|"uid": ?[1-9]`)

// victims are a guest with a cart, a user of the portal with one, and an employee, and
// what tells of each.
func (e *Edge) victims(t *testing.T, fill func(v *Visitor)) []*deceived {
	t.Helper()
	admin := e.odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	var list []*deceived
	for _, user := range []string{"", "portal", "demo"} {
		v := &deceived{Visitor: e.Visitor(ShopHost, BrowserLanguage), name: "a guest"}
		if user != "" {
			v.name = "the user " + user
			v.SignIn(user)
			users := admin.read("res.users", []interface{}{[]interface{}{"login", "=", user}}, "partner_id")
			require.Len(t, users, 1)
			partner := int(users[0]["partner_id"].([]interface{})[0].(float64))
			for i, field := range []string{"street", "phone"} { // a name may be an author's
				secret := fmt.Sprintf("5550%d%d Secret Lane %s", partner, i, user)
				admin.change("res.partner", partner, field, secret)
				v.secrets = append(v.secrets, secret)
			}
		}
		fill(v.Visitor)
		v.secrets = append(v.secrets, v.cookie("session_id"))
		list = append(list, v)
	}
	orders := admin.read("sale.order", []interface{}{[]interface{}{"state", "=", "draft"}, []interface{}{"website_id", "!=", false}}, "name", "access_token")
	for _, v := range list {
		for _, o := range orders {
			for _, name := range []string{"name", "access_token"} {
				if text, ok := o[name].(string); ok && len(text) > 4 {
					v.secrets = append(v.secrets, text)
				}
			}
		}
	}
	return list
}

// deceives walks addresses in all spellings, as the victims and then as nobody. Nobody
// gets what is a victim's.
func (e *Edge) deceives(t *testing.T, own, examples []string, fill func(v *Visitor)) {
	t.Helper()
	type walk struct {
		example string
		way     poison.Spelling
	}
	var walks, rest []walk
	for _, way := range poison.Spellings {
		for _, example := range own {
			walks = append(walks, walk{example, way})
		}
		for _, example := range examples {
			rest = append(rest, walk{example, way})
		}
	}
	seed := time.Now().UnixNano()
	random := rand.New(rand.NewSource(seed))
	random.Shuffle(len(walks), func(i, j int) { walks[i], walks[j] = walks[j], walks[i] })
	random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	walks = append(walks, rest...)
	people := e.victims(t, fill)
	var mu sync.Mutex
	tokens := map[string]bool{}
	var wrong []string
	done, until := 0, time.Now().Add(deceptionTime(t))
	inParallel(len(walks), func(i int) {
		if time.Now().After(until) {
			return
		}
		w, v := walks[i], people[i%len(people)]
		mark := "?v=" + strconv.Itoa(i)
		if strings.Contains(w.example, "?") {
			mark = "&v=" + strconv.Itoa(i)
		}
		target := w.way.Of(w.example) + mark
		cookies := v.Client.Jar.Cookies(&url.URL{Scheme: "http", Host: ShopHost, Path: "/"})
		ask := func(method, target string, mine bool) (site.Reply, error) {
			q := poison.BrowserAt(target)
			q.Method, q.Host = method, ShopHost
			if mine {
				for _, c := range cookies {
					if c.Name == "session_id" && (i/len(people))%4 == 3 { // where Odoo 14 looks, too, as WSGI names it
						q.Lines = append(q.Lines, "X_Openerp_Session_Id: "+c.Value)
						continue
					}
					q.Cookies = append(q.Cookies, c.Name+"="+c.Value)
				}
			}
			return q.OnWire(e.URL)
		}
		if w.way.Head {
			_, _ = ask(http.MethodHead, target, true)
		}
		given, err := ask(http.MethodGet, target, true)
		if err != nil {
			return // no server takes it
		}
		mu.Lock()
		for _, token := range tokenValue.FindAllString(given.Body, -1) {
			tokens[token] = true
		}
		done++
		mu.Unlock()
		for _, other := range []string{target, poison.RoutedAs(target)} {
			got, err := ask(http.MethodGet, other, false)
			if err != nil {
				continue
			}
			if found := e.tells(got, v, tokens, &mu); found != "" && !e.toldAnyway(other, found) {
				mu.Lock()
				wrong = append(wrong, fmt.Sprintf("%s, %s: nobody gets %q at %s (%s; the visitor: %s)", v.name, w.way.Name, found, other, got.CacheStatus(), given.CacheStatus()))
				mu.Unlock()
			}
		}
	})
	t.Logf("%d of %d addresses, seed %d", done, len(walks), seed)
	sort.Strings(wrong)
	if n := len(wrong); n > 0 {
		assert.Fail(t, fmt.Sprint(n, " answers to nobody are somebody's"), "%.8000s", strings.Join(wrong, "\n"))
	}
	assert.Greater(t, done, len(own)*len(poison.Spellings)/4)
}

// tells returns what an answer to nobody tells of a victim.
func (e *Edge) tells(r site.Reply, v *deceived, tokens map[string]bool, mu *sync.Mutex) string {
	text := r.Body + fmt.Sprint(r.Header)
	if found := personalSigns.FindString(text); found != "" {
		return found
	}
	for _, secret := range v.secrets {
		if secret != "" && strings.Contains(text, secret) {
			return secret
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, token := range tokenValue.FindAllString(text, -1) {
		if tokens[token] {
			return token
		}
	}
	return ""
}

// toldAnyway reports whether Odoo tells everybody at this address.
func (e *Edge) toldAnyway(target, what string) bool {
	for _, at := range []string{target, poison.RoutedAs(target)} {
		q := poison.NobodyAt(at)
		q.Host, q.Lines = ShopHost, append([]string{"X-Forwarded-Host: " + ShopHost}, poison.BrowserLines...)
		if r, err := q.OnWire(e.odoo.URL); err == nil && strings.Contains(r.Body+fmt.Sprint(r.Header), what) {
			return true
		}
	}
	return false
}

// ownAddresses are where Odoo shows visitors what is theirs, and some where it does not.
var ownAddresses = []string{
	"/my", "/my/home", "/my/orders", "/my/account", "/my/invoices", "/my/security", "/shop/cart", "/shop/checkout", "/shop/address", "/shop/payment", "/shop/confirmation",
	"/shop/wishlist", "/web/session/get_session_info", "/web/login", "/odoo", "/shop", "/contactus", "/blog", "/", "/profile/users", "/web/image/res.users/2/avatar_128",
}

// unwalked are addresses whose visit ends a session, or changes what others see.
var unwalked = regexp.MustCompile(`logout|/web/database|/website/(?:force|reset|add|configurator|publish)|/debug|/odoo/debug|/web/become|/payment/`)

func walkable(list []string) []string {
	var rest []string
	for _, path := range list {
		if !unwalked.MatchString(path) {
			rest = append(rest, path)
		}
	}
	return rest
}

// TestOdooDeception: nobody gets a visitor's page, however its address is spelled.
func TestOdooDeception(t *testing.T) {
	eachVersion(t, func(t *testing.T, v *version, odoo *Site) {
		product, fill := v.cart(t, odoo)
		odoo.Behind(t, nil).deceives(t, append([]string{product}, ownAddresses...), walkable(poison.OdooExamples(t, v.folder+"/preset.txt")), func(v *Visitor) {
			v.Get(product)
			fill(v)
		})
	})
}

// TestOdooAddonDeception is TestOdooDeception with the addon, which says what pages are
// rendered for.
func TestOdooAddonDeception(t *testing.T) {
	odoo, e, _ := withAddon(t)
	product := odoo.Pages(t)["product"]
	id, err := strconv.Atoi(product[strings.LastIndex(product, "-")+1:])
	require.NoError(t, err)
	e.deceives(t, append([]string{product}, ownAddresses...), walkable(poison.OdooExamples(t, "testdata/odoo/preset.txt")), func(v *Visitor) {
		v.Get(product)
		v.rpc("/shop/cart/add", site.Options{"product_template_id": id, "product_id": addonVariant(t, odoo, id), "quantity": 3})
	})
}
