package odoo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// The tests of this file drive a headless Chromium, by the program in
// test/browser. They do what visitors do (open, click, type), with the scripts of
// Odoo's pages running.

// browser is a running Chromium.
type browser struct {
	t      *testing.T
	client *rpc.Client
	tabs   []*browserTab
}

// browserTab is a tab of it, on a website behind an edge.
type browserTab struct {
	b      *browser
	t      *testing.T
	number int
	base   string // of the website, with the edge's port
	seen   []browserResponse
	errors []string
}

// browserResponse is what the browser got for a request.
type browserResponse struct {
	Method, URL, Type string
	Status            int
	FromBrowser       bool
	Body              string // of the request
	Header            map[string]string
}

// get returns a field of the header, whose names may be in any case.
func (r browserResponse) get(name string) string {
	for n, value := range r.Header {
		if strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}

func (r browserResponse) String() string {
	return fmt.Sprintf("%s %s: %d, Cache-Status: %s, Set-Cookie: %q", r.Method, r.URL, r.Status, r.get("Cache-Status"), r.get("Set-Cookie"))
}

// startBrowser builds the program and starts Chromium.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && chromium == "" {
			chromium = path
		}
	}
	if chromium == "" {
		t.Skip("there is no chromium on the PATH; make test-odoo installs it on Debian")
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "browser"), ".")
	build.Dir = source.Path("test", "browser")
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)

	program := exec.Command(filepath.Join(dir, "browser"), "-chromium", chromium)
	var said bytes.Buffer
	program.Stderr = &said
	in, err := program.StdinPipe()
	require.NoError(t, err)
	out, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	b := &browser{t: t, client: jsonrpc.NewClient(duplex{out, in})}
	t.Cleanup(func() {
		b.client.Close()
		_ = program.Wait()
		if t.Failed() && said.Len() > 0 {
			t.Logf("the browser said:\n%s", stack.Tail(said.String(), 20))
		}
	})
	return b
}

// duplex is the program's output and input.
type duplex struct {
	io.Reader
	io.WriteCloser
}

// tab opens a new tab. A profile is a browser of its own: it shares cookies with
// other tabs of the same profile only.
func (b *browser) tab(t *testing.T, e *Edge, profile string) *browserTab {
	t.Helper()
	p := &browserTab{b: b, t: t, base: "http://" + hostAt(e)}
	require.NoError(t, b.client.Call("Browser.NewTab", profile, &p.number))
	b.tabs = append(b.tabs, p)
	t.Cleanup(func() {
		p.look()
		assert.Empty(t, p.errors, "scripts of the pages run without errors")
		if t.Failed() {
			for _, r := range p.seen {
				if r.Type == "Document" || r.Method != "GET" { //nolint:usestdlibvars // what the browser calls it
					t.Logf("tab %d of %s: %s", p.number, profile, r)
				}
			}
		}
	})
	return p
}

// hostAt returns the shop's host as a browser sends it: with the edge's port.
func hostAt(e *Edge) string {
	return ShopHost + e.URL[strings.LastIndex(e.URL, ":"):]
}

// do asks the browser to do something in this tab.
func (p *browserTab) do(method string, what site.Options, result interface{}) {
	p.t.Helper()
	args := site.Options{"Tab": p.number}
	for name, value := range what {
		args[name] = value
	}
	err := p.b.client.Call("Browser."+method, args, result)
	p.look()
	require.NoError(p.t, err, "%s %v", method, what)
}

// look notes what has happened in the tab.
func (p *browserTab) look() {
	var log struct {
		Responses []browserResponse
		Errors    []string
	}
	if err := p.b.client.Call("Browser.Log", site.Options{"Tab": p.number}, &log); err != nil {
		p.errors = append(p.errors, err.Error())
		return
	}
	p.seen = append(p.seen, log.Responses...)
	p.errors = append(p.errors, log.Errors...)
}

// open goes to a page, and returns the response that the page is.
func (p *browserTab) open(path string) browserResponse {
	p.t.Helper()
	p.do("Open", site.Options{"URL": p.base + path}, nil)
	return p.document()
}

// click clicks on the first visible element that a CSS selector finds.
func (p *browserTab) click(selector string) {
	p.t.Helper()
	p.do("Click", site.Options{"Selector": selector}, nil)
}

// fill types a text into a field.
func (p *browserTab) fill(selector, text string) {
	p.t.Helper()
	p.do("Type", site.Options{"Selector": selector, "Text": text}, nil)
}

// wait waits until an expression in JavaScript is true.
func (p *browserTab) wait(script string) {
	p.t.Helper()
	p.do("Wait", site.Options{"Script": script}, nil)
}

// text returns the string that an expression in JavaScript has as its value.
func (p *browserTab) text(script string) string {
	p.t.Helper()
	var value json.RawMessage
	p.do("Eval", site.Options{"Script": script}, &value)
	var text string
	require.NoError(p.t, json.Unmarshal(value, &text), "%s: %s", script, value)
	return text
}

// document returns the response that the tab's page is.
func (p *browserTab) document() browserResponse {
	p.t.Helper()
	return p.last("Document", "")
}

// last returns the last response of a type whose address has a part, but for
// redirects.
func (p *browserTab) last(kind, part string) browserResponse {
	p.t.Helper()
	for i := len(p.seen) - 1; i >= 0; i-- {
		if r := p.seen[i]; r.Type == kind && strings.Contains(r.URL, part) && (r.Status < 300 || r.Status > 399) {
			return r
		}
	}
	require.FailNow(p.t, "no response", "%s %s in %v", kind, part, p.seen)
	return browserResponse{}
}

// cookies returns the cookies of the tab's profile.
func (p *browserTab) cookies() map[string]string {
	p.t.Helper()
	values := map[string]string{}
	p.do("Cookies", nil, &values)
	return values
}

// screenshot returns the upper part of the page.
func (p *browserTab) screenshot() image.Image {
	p.t.Helper()
	var b []byte
	p.do("Screenshot", site.Options{"Height": 2400}, &b)
	picture, err := png.Decode(bytes.NewReader(b))
	require.NoError(p.t, err)
	return picture
}

// badge returns the number in the cart that a visitor sees in the header, or "".
func (p *browserTab) badge() string {
	p.t.Helper()
	return p.text(`[...document.querySelectorAll("header .my_cart_quantity")].filter((e) => e.checkVisibility()).map((e) => e.textContent.trim()).join()`)
}

// header returns what a visitor reads in the header of the page.
func (p *browserTab) header() string {
	p.t.Helper()
	return p.text(`document.querySelector("header").innerText`)
}

// waitBadge waits for a number in the header.
func (p *browserTab) waitBadge(number string) {
	p.t.Helper()
	p.wait(`[...document.querySelectorAll("header .my_cart_quantity")].filter((e) => e.checkVisibility()).map((e) => e.textContent.trim()).join() === "` + number + `"`)
}

// signIn signs in with the form behind the link in the header.
func (p *browserTab) signIn(user string) {
	p.t.Helper()
	p.click(`header a[href*="/web/login"]`)
	p.fill("#login", user)
	p.fill("#password", user)
	p.click(".oe_login_form button[type=submit]")
	p.wait(`location.pathname.startsWith("/my")`)
}

// signOut signs out by the menu in the header.
func (p *browserTab) signOut() {
	p.t.Helper()
	p.click(`header .dropdown:has(#o_logout) > .dropdown-toggle`)
	p.click("#o_logout")
	p.wait(`location.pathname === "/"`)
}

// contact fills the form of /contactus in and sends it.
func (p *browserTab) contact(subject string) {
	p.t.Helper()
	form := "#contactus_form "
	p.fill(form+"[name=name]", "Ann Browser")
	p.fill(form+"[name=email_from]", "ann@shop.example")
	p.fill(form+"[name=subject]", subject)
	p.fill(form+"[name=description]", "Is it there?")
	p.click(form + ".s_website_form_send")
	p.wait(`location.pathname === "/contactus-thank-you"`)
}

// TestOdooBrowser: what visitors do with a browser works through the cache, without
// the addon.
func TestOdooBrowser(t *testing.T) {
	odoo := NeedOdoo(t)
	stack.NeedTraefik(t)
	b := startBrowser(t)
	e := odoo.Behind(t, nil)
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	browse(t, b, odoo, e, admin, false)
}

// TestOdooBrowserAddon: the same with the addon. Visitors with a cart get pages
// from the cache, too.
func TestOdooBrowserAddon(t *testing.T) {
	needOdooAddon(t)
	stack.NeedTraefik(t)
	b := startBrowser(t)
	odoo, e, admin := withAddon(t)
	browse(t, b, odoo, e, admin, true)
}

func browse(t *testing.T, b *browser, odoo *Site, e *Edge, admin *Visitor, addon bool) {
	product := odoo.Pages(t)["product"]
	opportunity := opportunityPage(t, admin)
	if addon {
		settled(t, admin) // what the addon purges for it comes after the answer
	}
	pages := []string{"/", "/shop", product, "/contactus", "/newsletter", opportunity}
	unique := func(what string) string { return fmt.Sprintf("%s %d", what, time.Now().UnixNano()) }
	warm := func() {
		for _, path := range pages {
			for i := 0; ; i++ {
				r := e.Visitor(hostAt(e), BrowserLanguage).Get(path)
				if strings.Contains(r.CacheStatus(), "; hit") {
					break
				}
				require.Less(t, i, 5, "%s: %d %s", path, r.Status, r.CacheStatus())
			}
		}
	}
	warm()
	assertHit := func(t *testing.T, r browserResponse) {
		t.Helper()
		assert.Contains(t, r.get("Cache-Status"), "; hit", r.String())
		assert.NotContains(t, r.get("Set-Cookie"), "session_id", r.String())
	}

	t.Run("a new visitor gets pages from the cache, and no session with them", func(t *testing.T) {
		v := b.tab(t, e, "new "+t.Name())
		assertHit(t, v.open("/"))
		assertHit(t, v.open("/shop"))
		for _, r := range v.seen {
			// Their texts, which scripts ask for once in a browser's life, without a hash.
			if !strings.Contains(r.URL, "/website/translations?hash=&") {
				assert.NotContains(t, r.get("Set-Cookie"), "session_id", r.String())
			}
		}
		assert.Equal(t, "en_US", v.cookies()["frontend_lang"])
		// As visitors go on: by the link. The product's page has scripts that
		// begin a session; pages still come from the cache.
		v.click(`#products_grid a[href*="` + product + `"], .oe_product a[href*="/shop/"]`)
		v.wait(`document.querySelector("#add_to_cart")`)
		for _, path := range []string{product, "/", "/shop", product} {
			assertHit(t, v.open(path))
			assert.Empty(t, v.badge(), path)
			assert.Contains(t, v.header(), "Sign in", path)
		}
		for _, r := range v.seen {
			assert.Less(t, r.Status, 400, r.String())
			if strings.Contains(r.get("Cache-Status"), "; hit") {
				assert.NotContains(t, r.get("Set-Cookie"), "session_id", r.String())
			}
		}
	})

	t.Run("a visitor fills a cart, and sees the number in it on every page", func(t *testing.T) {
		v := b.tab(t, e, "cart "+t.Name())
		other := b.tab(t, e, "other "+t.Name())
		assertHit(t, v.open(product))
		v.click("#add_to_cart")
		v.waitBadge("1")
		for _, path := range []string{"/", "/shop", product} {
			r := v.open(path)
			assert.Equal(t, "1", v.badge(), "%s", r)
			if addon {
				assertHit(t, r)
			} else {
				assert.Contains(t, r.get("Cache-Status"), "detail=session", r.String())
			}
			r = other.open(path)
			assertHit(t, r)
			assert.Empty(t, other.badge(), "another visitor's cart on %s", r)
		}
		v.click(`header a[href$="/shop/cart"]`)
		v.wait(`location.pathname === "/shop/cart"`)
		assert.NotContains(t, v.document().get("Cache-Status"), "; hit")
		v.click("#cart_products .css_quantity a:has(.oi-plus)")
		v.waitBadge("2")
		v.open("/")
		assert.Equal(t, "2", v.badge())
		v.open("/shop/cart")
		v.click("#cart_products .js_delete_product:not(.o_add_wishlist)")
		v.waitBadge("")
		for _, path := range []string{"/", product} {
			r := v.open(path)
			assert.Empty(t, v.badge(), "%s", r)
		}
	})

	t.Run("the contact form of a page from the cache", func(t *testing.T) {
		v := b.tab(t, e, "contact "+t.Name())
		subject := unique("Contact")
		assertHit(t, v.open("/contactus"))
		v.contact(subject)
		assert.Contains(t, v.last("Fetch", "/website/form/").get("Cache-Status"), "csrf-completed")
		assert.Len(t, admin.read("mail.mail", []interface{}{[]interface{}{"subject", "=", subject}}, "id"), 1, "the mail of the form")
	})

	t.Run("a form that makes an opportunity, on a page from the cache", func(t *testing.T) {
		v := b.tab(t, e, "lead "+t.Name())
		name := unique("Opportunity")
		assertHit(t, v.open(opportunity))
		v.fill("main [name=contact_name]", "Ann Browser")
		v.fill("main [name=email_from]", "ann@shop.example")
		v.fill("main [name=name]", name)
		v.click("main .s_website_form_send")
		v.wait(`location.pathname === "/contactus-thank-you"`)
		leads := admin.read("crm.lead", []interface{}{[]interface{}{"name", "=", name}}, "contact_name", "email_from")
		if assert.Len(t, leads, 1) {
			assert.Equal(t, "Ann Browser", leads[0]["contact_name"])
			assert.Equal(t, "ann@shop.example", leads[0]["email_from"])
		}
	})

	t.Run("the newsletter", func(t *testing.T) {
		v := b.tab(t, e, "news "+t.Name())
		address := strings.ToLower(strings.ReplaceAll(unique("news"), " ", "")) + "@shop.example"
		assertHit(t, v.open("/newsletter"))
		v.fill("main .js_subscribe_value", address)
		v.click("main .js_subscribe_btn")
		v.wait(`document.querySelector("main .js_subscribed_wrap").checkVisibility()`)
		assert.Len(t, admin.read("mailing.contact", []interface{}{[]interface{}{"email", "=", address}}, "id"), 1)
		other := b.tab(t, e, "other news "+t.Name())
		assertHit(t, other.open("/newsletter"))
		other.wait(`document.querySelector("main .js_subscribe_value").checkVisibility()`)
		assert.Empty(t, other.text(`document.querySelector("main .js_subscribe_value").value`))
	})

	t.Run("signing in and out", func(t *testing.T) {
		const name = "Joel Willis"
		v := b.tab(t, e, "login "+t.Name())
		assertHit(t, v.open("/"))
		v.signIn("portal")
		for _, path := range []string{"/", "/shop", product, "/contactus"} {
			r := v.open(path)
			assert.Contains(t, v.header(), name, r.String())
			assert.NotContains(t, r.get("Cache-Status"), "; hit")
			other := e.Visitor(hostAt(e), BrowserLanguage).Get(path)
			assert.NotContains(t, other.Body, name)
		}
		v.signOut()
		for _, path := range []string{"/", "/shop", product, "/contactus"} {
			r := v.open(path)
			assert.Contains(t, v.header(), "Sign in", r.String())
			assert.NotContains(t, v.text("document.documentElement.outerHTML"), name, r.String())
			if addon {
				assertHit(t, r)
			}
		}
		r := v.open("/my")
		assert.Contains(t, r.URL, "/web/login", "signed out: %s", r)
	})

	t.Run("the language", func(t *testing.T) {
		v := b.tab(t, e, "language "+t.Name())
		assertHit(t, v.open("/shop"))
		switchTo := func(code string) {
			t.Helper()
			v.click("header .js_language_selector button")
			v.click("header .js_change_lang[data-url_code=" + code + "]")
			v.wait(`document.documentElement.lang.startsWith("` + code + `")`)
		}
		switchTo("fr")
		assert.Equal(t, "/fr/shop", v.text("location.pathname"))
		for i := 0; i < 2; i++ { // stored, then hit
			for _, path := range []string{"/", "/shop", "/contactus", product} {
				r := v.open(path)
				assert.Contains(t, r.URL, "/fr", "%s", path)
				assert.Equal(t, "fr-FR", v.text("document.documentElement.lang"), r.String())
				assert.Contains(t, v.header(), "Contactez-nous", r.String())
			}
		}
		// What scripts ask for has no language in its address.
		v.click("#add_to_cart")
		v.waitBadge("1")
		assert.Equal(t, "fr_FR", v.cookies()["frontend_lang"])
		v.open("/") // away from the message that lies over the header
		switchTo("en")
		for _, path := range []string{"/", "/shop", "/contactus", product} {
			r := v.open(path)
			assert.NotContains(t, r.URL, "/fr", "%s", path)
			assert.Contains(t, v.header(), "Contact Us", r.String())
		}
	})

	t.Run("a second browser sees nothing of the first", func(t *testing.T) {
		first := b.tab(t, e, "first "+t.Name())
		first.open(product)
		first.click("#add_to_cart")
		first.waitBadge("1")
		first.open("/") // away from the message that lies over the header
		first.signIn("portal")
		first.click("header .js_language_selector button")
		first.click("header .js_change_lang[data-url_code=fr]")
		first.wait(`document.documentElement.lang.startsWith("fr")`)
		assert.Contains(t, first.header(), "Joel Willis")
		second := b.tab(t, e, "second "+t.Name())
		for _, path := range pages {
			first.open(path)
			r := second.open(path)
			assertHit(t, r)
			assert.Empty(t, second.badge(), path)
			assert.Contains(t, second.header(), "Sign in", path)
			assert.Equal(t, "en-US", second.text("document.documentElement.lang"), path)
			assert.NotContains(t, second.text("document.documentElement.outerHTML"), "Joel Willis", path)
		}
		second.open("/shop/cart")
		assert.Empty(t, second.text(`[...document.querySelectorAll("#cart_products .o_cart_product")].map((e) => e.innerText).join()`))
		// Leaves Odoo as it was: the user's cart is kept for the next time.
		first.open("/shop/cart")
		first.click("#cart_products .js_delete_product:not(.o_add_wishlist)")
		first.waitBadge("")
	})

	t.Run("a form that was open before its visitor signed in", func(t *testing.T) {
		old := b.tab(t, e, "tabs "+t.Name())
		assertHit(t, old.open("/contactus"))
		tab := b.tab(t, e, "tabs "+t.Name())
		tab.open("/")
		tab.signIn("portal")
		subject := unique("From before")
		old.contact(subject)
		assert.Contains(t, old.last("Fetch", "/website/form/").get("Cache-Status"), "csrf-completed")
		assert.Len(t, admin.read("mail.mail", []interface{}{[]interface{}{"subject", "=", subject}}, "id"), 1)
		assert.Contains(t, old.header(), "Joel Willis", "the page after the form")
		tab.open("/my")
		assert.Equal(t, "/my", tab.text("location.pathname"), "still signed in")
	})

	// An edge that keeps nothing, and of which the addon is not told.
	direct := odoo.Replica(t, e.Redis, site.Options{
		"tenant": "direct", "headers": site.Options{"edge": ""},
		"rules": []site.Options{{"name": "all", "match": site.Options{"pathPrefixes": []string{"/"}}, "bypass": true}},
	})
	t.Run("pages from the cache look like those of Odoo", func(t *testing.T) {
		warm()
		cached, uncached := b.tab(t, e, "cached "+t.Name()), b.tab(t, direct, "uncached "+t.Name())
		for _, path := range pages {
			assertHit(t, cached.open(path))
			assert.NotContains(t, uncached.open(path).get("Cache-Status"), "; hit")
			requireSamePicture(t, uncached.screenshot(), cached.screenshot(), path)
		}
	})
	t.Run("pages look the same with a cart", func(t *testing.T) {
		warm()
		cached, uncached := b.tab(t, e, "cached "+t.Name()), b.tab(t, direct, "uncached "+t.Name())
		for _, v := range []*browserTab{cached, uncached} {
			v.open(product)
			v.click("#add_to_cart")
			v.waitBadge("1")
		}
		for _, path := range []string{"/", "/shop", product, "/contactus", "/shop/cart"} {
			r := cached.open(path)
			if addon && path != "/shop/cart" {
				assertHit(t, r)
			}
			uncached.open(path)
			requireSamePicture(t, uncached.screenshot(), cached.screenshot(), path)
		}
	})
}

// opportunityPage makes a page with a form as editors do whose "Action" is "Create an
// Opportunity" (website_crm), and returns its path.
func opportunityPage(t *testing.T, admin *Visitor) string {
	t.Helper()
	field := func(name, kind string) string {
		return `<div class="mb-3 col-12 s_website_form_field s_website_form_required" data-type="` + kind + `" data-name="Field">
			<label class="s_website_form_label" for="of-` + name + `"><span class="s_website_form_label_content">` + name + `</span></label>
			<input id="of-` + name + `" type="` + kind + `" class="form-control s_website_form_input" name="` + name + `" required=""/></div>`
	}
	key := "test-opportunity-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	arch := `<t t-name="website.` + key + `"><t t-call="website.layout"><div id="wrap" class="oe_structure oe_empty">
		<section class="s_website_form" data-vcss="001" data-snippet="s_website_form"><div class="container">
		<form action="/website/form/" method="post" enctype="multipart/form-data" class="o_mark_required" data-mark="*"
			data-model_name="crm.lead" data-success-mode="redirect" data-success-page="/contactus-thank-you"><div class="s_website_form_rows row">` +
		field("contact_name", "text") + field("email_from", "email") + field("name", "text") +
		`<div class="mb-0 py-2 col-12 s_website_form_submit" data-name="Submit Button">
			<a href="#" role="button" class="btn btn-primary s_website_form_send">Submit</a><span id="s_website_form_result"></span></div>
		</div></form></div></section></div></t></t>`
	website := admin.read("website", []interface{}{[]interface{}{"domain", "ilike", ShopHost}}, "id")
	require.Len(t, website, 1)
	view := admin.create("ir.ui.view", site.Options{
		"name": key, "key": "website." + key, "type": "qweb", "arch": arch, "website_id": website[0]["id"],
	})
	page := admin.create("website.page", site.Options{
		"url": "/" + key, "view_id": view, "website_id": website[0]["id"], "is_published": true,
	})
	t.Cleanup(func() {
		admin.call("website.page", "unlink", []interface{}{ids(page)}, nil)
	})
	return "/" + key
}

// requireSamePicture fails where two pictures differ. Text is not always smoothed
// in the same way, so a slight difference of color does not count.
func requireSamePicture(t *testing.T, want, got image.Image, what string) {
	t.Helper()
	const slight = 16 << 8 // of 65535
	differ, box := 0, image.Rectangle{}
	if want.Bounds() == got.Bounds() {
		for y := want.Bounds().Min.Y; y < want.Bounds().Max.Y; y++ {
			for x := want.Bounds().Min.X; x < want.Bounds().Max.X; x++ {
				r1, g1, b1, _ := want.At(x, y).RGBA()
				r2, g2, b2, _ := got.At(x, y).RGBA()
				if apart(r1, r2) > slight || apart(g1, g2) > slight || apart(b1, b2) > slight {
					differ++
					box = box.Union(image.Rect(x, y, x+1, y+1))
				}
			}
		}
		if differ == 0 {
			return
		}
	}
	dir, err := os.MkdirTemp("", "odoocache-screenshots-")
	require.NoError(t, err)
	for name, picture := range map[string]image.Image{"odoo.png": want, "cache.png": got} {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, picture))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600))
	}
	assert.Fail(t, "pictures differ", "%s: %v and %v, %d pixels, within %v; see %s", what, want.Bounds(), got.Bounds(), differ, box, dir)
}

func apart(a, b uint32) uint32 {
	if a > b {
		return a - b
	}
	return b - a
}
