package origin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/source"
)

const (
	desk  = "/shop/customizable-desk-9"
	lamp  = "/shop/furn-8888-office-lamp-6"
	write = "/web/dataset/call_kw/product.template/write"
)

var tokenRe = regexp.MustCompile(`[0-9a-f]{40}o[0-9]{10}`)

func build(t *testing.T, opts Options) *Origin {
	t.Helper()
	o, err := New(opts)
	require.NoError(t, err)
	return o
}

// do sends a request to o; header holds names and values in turn.
func do(o http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://shop.example"+target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	if h := r.Header.Get("Host"); h != "" {
		r.Host = h
	}
	w := httptest.NewRecorder()
	o.ServeHTTP(w, r)
	return w
}

// has is assert.Contains without the whole page in the message.
func has(t *testing.T, body, want string) {
	t.Helper()
	assert.True(t, strings.Contains(body, want), "the page lacks %q", want)
}

func cookie(w *httptest.ResponseRecorder, name string) *http.Cookie {
	for _, c := range w.Result().Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func withSession(id string) []string {
	return []string{"Cookie", "frontend_lang=en_US; session_id=" + id}
}

func TestCapturesLoad(t *testing.T) {
	o := build(t, Options{})
	idx := o.Index()
	assert.Equal(t, "19.0", idx.Odoo)
	assert.Len(t, o.Products(), 26)
	kinds := map[string]bool{}
	for _, p := range idx.Pages {
		kinds[p.Kind] = true
		assert.Positive(t, p.MedianMS, p.Name)
		assert.Positive(t, p.ColdMS, p.Name)
		if p.Method != http.MethodGet {
			continue
		}
		w := do(o, p.Method, p.Path, "", "Host", "127.0.0.1:8069")
		assert.Equal(t, p.Status, w.Code, p.Name)
		// As long as the capture: what is filled in is as long as what was taken
		// out, the host included.
		assert.Equal(t, p.Bytes, w.Body.Len(), p.Name)
		assert.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"), p.Name)
	}
	for _, kind := range []string{"home", "shop", "search", "category", "product", "redirect", "blog", "post", "page",
		"cart", "login", "notfound", "image", "asset", "text", "json"} {
		assert.True(t, kinds[kind], kind)
	}
	for _, opts := range []Options{{Dir: source.Path("testdata", "odoo")}, {FS: os.DirFS(source.Path("testdata", "odoo"))}} {
		assert.Equal(t, idx, build(t, opts).Index())
	}
}

func TestBadOptions(t *testing.T) {
	files := func(index, page string) Options {
		return Options{FS: fstest.MapFS{"index.json": {Data: []byte(index)}, "a.http": {Data: []byte(page)}}}
	}
	const one = `{"pages": [{"name": "a", "method": "GET", "path": "/", "kind": "notfound"}]}`
	for name, opts := range map[string]Options{
		"tokens":      {Tokens: "some"},
		"speed":       {Speed: -1},
		"no folder":   {Dir: "no-such-folder"},
		"index":       files("[", ""),
		"no 404":      files(`{}`, ""),
		"no page":     files(`{"pages": [{"name": "b"}]}`, ""),
		"status line": files(one, "hello\r\n\r\n"),
		"status":      files(one, "HTTP/1.1 OK\r\n\r\n"),
		"header line": files(one, "HTTP/1.1 200 OK\r\nhello\r\n\r\n"),
		"no end":      files(one, "HTTP/1.1 200 OK\r\nA: b\r\n"),
		"no product":  files(strings.Replace(one, "notfound", "product", 1), "HTTP/1.1 200 OK\r\n\r\nhello"),
	} {
		_, err := New(opts)
		assert.Error(t, err, name)
	}
	_, err := New(files(one, "HTTP/1.1 404 NOT FOUND\r\n\r\nhello"))
	assert.NoError(t, err)
}

func TestMarkersNeverLeak(t *testing.T) {
	for _, tokens := range []string{TokensSession, TokensNone} {
		o := build(t, Options{Tokens: tokens, AppHeaders: true})
		for _, p := range o.Index().Pages {
			body := ""
			header := []string{"X-Forwarded-Host", "a.example"}
			if p.Method == http.MethodPost {
				body, header = "{}", append(header, "Content-Type", "application/json")
			}
			w := do(o, p.Method, p.Path, body, header...)
			assert.NotContains(t, w.Body.String(), "{{", p.Name)
			assert.NotContains(t, fmt.Sprint(w.Header()), "{{", p.Name)
			assert.NotContains(t, w.Body.String(), "127.0.0.1", p.Name)
		}
	}
}

func TestSessions(t *testing.T) {
	o := build(t, Options{})
	first, second := do(o, "GET", "/", ""), do(o, "GET", "/", "")
	one, two := cookie(first, "session_id"), cookie(second, "session_id")
	require.NotNil(t, one)
	require.NotNil(t, two)
	assert.Regexp(t, `^[A-Za-z0-9_-]{84}$`, one.Value)
	assert.NotEqual(t, one.Value, two.Value)
	assert.Equal(t, 604800, one.MaxAge)
	assert.True(t, one.HttpOnly)
	assert.False(t, one.Secure)
	assert.Equal(t, "/", one.Path)
	assert.WithinDuration(t, time.Now().AddDate(1, 0, 0), one.Expires, 48*time.Hour)
	assert.Equal(t, "en_US", cookie(first, "frontend_lang").Value)

	a, b := first.Body.String(), second.Body.String()
	assert.NotEqual(t, tokenRe.FindString(a), tokenRe.FindString(b))
	assert.Equal(t, tokenRe.ReplaceAllString(a, ""), tokenRe.ReplaceAllString(b, ""), "only the tokens differ")
	assert.True(t, o.ValidToken(one.Value, tokenRe.FindString(a)))
	assert.False(t, o.ValidToken(two.Value, tokenRe.FindString(a)))

	// A well-formed session is adopted, whoever made it up; others are replaced.
	own := strings.Repeat("Ab_-", 21)
	w := do(o, "GET", "/", "", withSession(own)...)
	assert.Empty(t, w.Result().Cookies())
	assert.True(t, o.ValidToken(own, tokenRe.FindString(w.Body.String())))
	for _, bad := range []string{own[1:], own + "x", own[:83] + "!"} {
		c := cookie(do(o, "GET", "/", "", withSession(bad)...), "session_id")
		if assert.NotNil(t, c) {
			assert.NotEqual(t, bad, c.Value)
		}
	}

	// Odoo's 404 sets frontend_lang three times, an image nothing.
	assert.Len(t, do(o, "GET", "/nosuch", "").Result().Cookies(), 4)
	assert.Empty(t, do(o, "GET", "/web/image/product.template/6/image_512", "").Result().Cookies())

	// The first page of the shop changes the session, and sets the cookie again.
	w = do(o, "GET", "/shop", "", withSession(own)...)
	assert.Equal(t, own, cookie(w, "session_id").Value)
	assert.Empty(t, do(o, "GET", desk, "", withSession(own)...).Result().Cookies())
	assert.Empty(t, do(o, "GET", "/shop/page/2", "", withSession(own)...).Result().Cookies())
}

func TestTokens(t *testing.T) {
	o := build(t, Options{})
	id := newSessionID()
	now := time.Now()
	token := o.Token(id, now)
	assert.Regexp(t, `^[0-9a-f]{40}o[0-9]{10}$`, token)
	assert.True(t, o.ValidToken(id, token))
	assert.True(t, o.ValidToken(id[:42]+newSessionID()[42:], token), "only the first half counts")
	assert.False(t, o.ValidToken(newSessionID(), token))
	assert.False(t, o.ValidToken(id, o.Token(id, now.Add(-tokenLife-time.Minute))), "expired")
	assert.True(t, o.ValidToken(id, o.sign(id, "")+"o"), "no expiry")
	for _, bad := range []string{"", "o", "x", token[1:], token + "0", strings.Replace(token, "o", "", 1)} {
		assert.False(t, o.ValidToken(id, bad), bad)
	}
	assert.True(t, build(t, Options{}).ValidToken(id, token), "one secret by default")
	assert.False(t, build(t, Options{Secret: "another"}).ValidToken(id, token))

	// Every place in a page holds the session's token.
	body := do(o, "GET", "/shop", "", withSession(id)...).Body.String()
	tokens := tokenRe.FindAllString(body, -1)
	assert.Len(t, tokens, 22)
	for _, found := range tokens {
		assert.True(t, o.ValidToken(id, found))
	}

	none := do(build(t, Options{Tokens: TokensNone}), "GET", desk, "").Body.String()
	assert.Empty(t, tokenRe.FindString(none))
	has(t, none, `csrf_token: ""`)
	has(t, none, `name="csrf_token" value=""`)
}

func TestLogin(t *testing.T) {
	o := build(t, Options{AppHeaders: true})
	w := do(o, "GET", "/web/login", "")
	id, token := cookie(w, "session_id").Value, tokenRe.FindString(w.Body.String())
	post := func(id, token, password string) *httptest.ResponseRecorder {
		form := url.Values{"csrf_token": {token}, "login": {"portal"}, "password": {password}}
		return do(o, "POST", "/web/login", form.Encode(),
			append(withSession(id), "Content-Type", "application/x-www-form-urlencoded")...)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"another's token": post(newSessionID(), token, "portal"),
		"no token":        post(id, "", "portal"),
		"no session":      post("", token, "portal"),
		"no form":         do(o, "POST", "/web/login", "{}", append(withSession(id), "Content-Type", "application/json")...),
		"shop":            do(o, "POST", "/shop", ""),
		"delete":          do(o, "DELETE", "/", ""),
	} {
		assert.Equal(t, http.StatusBadRequest, w.Code, name)
		has(t, w.Body.String(), "Session expired (invalid CSRF token)")
	}

	w = post(id, token, "wrong")
	assert.Equal(t, http.StatusOK, w.Code)
	has(t, w.Body.String(), "Wrong login/password")
	assert.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
	assert.Equal(t, "no-store", w.Header().Get("X-Odoo-Cache"))

	w = post(id, token, "portal")
	assert.Equal(t, http.StatusSeeOther, w.Code)
	assert.Equal(t, "/my", w.Header().Get("Location"))
	signed := cookie(w, "session_id").Value
	assert.NotEqual(t, id[:42], signed[:42])

	w = do(o, "GET", "/shop", "", withSession(signed)...)
	assert.Equal(t, "no-store", w.Header().Get("X-Odoo-Cache"))
	has(t, w.Body.String(), `"is_public": false`)
	has(t, w.Body.String(), `"uid": 6`)
	has(t, w.Body.String(), `>portal</a>`)
	w = do(o, "GET", "/shop", "", withSession(id)...)
	assert.Equal(t, cacheControl, w.Header().Get("X-Odoo-Cache"))
	has(t, w.Body.String(), `"is_public": true`)
	has(t, w.Body.String(), `"uid": null`)

	// A multipart form works too, and a valid token makes a POST a page.
	form := "--x\r\nContent-Disposition: form-data; name=\"csrf_token\"\r\n\r\n" + token + "\r\n--x--\r\n"
	w = do(o, "POST", "/shop", form, append(withSession(id), "Content-Type", "multipart/form-data; boundary=x")...)
	assert.Equal(t, http.StatusOK, w.Code)

	assert.Equal(t, "/", do(o, "GET", "/my", "", withSession(signed)...).Header().Get("Location"))
	assert.Equal(t, "/web/login?redirect=%2Fmy", do(o, "GET", "/my", "").Header().Get("Location"))
	w = do(o, "GET", "/web/session/logout?redirect=//evil.example", "", withSession(signed)...)
	assert.Equal(t, "/odoo", w.Header().Get("Location"))
	assert.NotEqual(t, signed, cookie(w, "session_id").Value)
	has(t, do(o, "GET", "/", "", withSession(signed)...).Body.String(), `"uid": null`)
}

func TestBase(t *testing.T) {
	o := build(t, Options{})
	for _, c := range []struct {
		header []string
		want   string
	}{
		{nil, "http://shop.example"},
		{[]string{"X-Forwarded-Host", "a.example, b.example:81"}, "http://b.example:81"},
		{[]string{"X-Forwarded-Host", "a.example", "X-Forwarded-Proto", "https"}, "https://a.example"},
		{[]string{"X-Forwarded-Proto", "https"}, "http://shop.example"}, // Odoo believes it with a host only
		{[]string{"X-Forwarded-Host", `<b>"`}, "http://&lt;b&gt;&#34;"},
	} {
		body := do(o, "GET", "/contactus", "", c.header...).Body.String()
		has(t, body, `<meta property="og:url" content="`+c.want+`/contactus"/>`)
	}
	has(t, do(o, "GET", "/robots.txt", "").Body.String(), "Sitemap: http://shop.example/sitemap.xml")
	has(t, do(o, "GET", "/a/%3Cb%3E?c", "").Body.String(), `content="http://shop.example/a/%3Cb%3E"`)
}

func TestQuery(t *testing.T) {
	o := build(t, Options{})
	w := do(o, "GET", "/shop?utm_source=x&a=%3C%22", "")
	has(t, w.Body.String(), `<a href="/shop/page/2?utm_source=x&amp;a=%3C%22" class="page-link `)
	c := cookie(w, "odoo_utm_source")
	if assert.NotNil(t, c) {
		assert.Equal(t, "x", c.Value)
		assert.Equal(t, "shop.example", c.Domain)
	}
	w = do(o, "GET", "/shop?utm_source=x", "", "Cookie", "odoo_utm_source=x")
	assert.Nil(t, cookie(w, "odoo_utm_source"))
	lamps := do(o, "GET", "/shop?search=lamp", "").Body.Len()
	assert.Less(t, lamps, 60_000)
	assert.Greater(t, do(o, "GET", "/shop", "").Body.Len(), 200_000)
	// A category links its products below itself.
	w = do(o, "GET", "/shop/lamps-7/furn-8888-office-lamp-6", "")
	assert.Equal(t, http.StatusOK, w.Code)
	has(t, w.Body.String(), `"og:url" content="http://shop.example/shop/lamps-7/furn-8888-office-lamp-6"`)
	assert.Equal(t, http.StatusNotFound, do(o, "GET", "/shop/lamps-7/page-2", "").Code)
}

func TestPrices(t *testing.T) {
	o := build(t, Options{AppHeaders: true})
	before := do(o, "GET", desk, "").Body.String()
	has(t, before, `<span class="oe_currency_value">675.00</span>`)
	has(t, before, `<span class="oe_currency_value">750.00</span>`)
	has(t, before, `"price": 720.36,`)
	assert.Zero(t, PageVersion([]byte(before), 9))

	w := do(o, "POST", write, `{"id": 9, "list_price": 1799}`, "Content-Type", "application/json")
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "product.template-9, product.template", w.Header().Get("X-Odoo-Purge"))
	assert.JSONEq(t, `{"jsonrpc": "2.0", "id": null, "result": {"id": 9, "list_price": 1799, "version": 1}}`, w.Body.String())
	list, version, ok := o.Price(9)
	assert.True(t, ok)
	assert.Equal(t, 1799.0, list)
	assert.EqualValues(t, 1, version)

	for _, path := range []string{desk, "/shop"} {
		w := do(o, "GET", path, "")
		body := w.Body.String()
		has(t, body, `<span class="oe_currency_value">1,619.10</span>`)
		has(t, body, `<span class="oe_currency_value">1,799.00</span>`)
		assert.NotContains(t, body, `>675.00<`, path)
		assert.EqualValues(t, 1, PageVersion([]byte(body), 9), path)
		assert.Equal(t, strconv.Itoa(len(body)), w.Header().Get("Content-Length"), path)
	}
	has(t, do(o, "GET", desk, "").Body.String(), `"price": 1664.46,`)

	// Odoo's own call, of two products; the lamp is on five pages.
	w = do(o, "POST", write, `{"jsonrpc": "2.0", "method": "call", "id": 7, "params": {"args": [[6, 9], {"list_price": 50.5}], "kwargs": {}}}`,
		"Content-Type", "application/json")
	assert.Equal(t, "product.template-6, product.template-9, product.template", w.Header().Get("X-Odoo-Purge"))
	assert.JSONEq(t, `{"jsonrpc": "2.0", "id": 7, "result": true}`, w.Body.String())
	for _, path := range []string{lamp, "/shop", "/shop?search=lamp", "/shop/category/lamps-7"} {
		body := do(o, "GET", path, "").Body.String()
		has(t, body, `>50.50</span>`)
		has(t, body, `>45.45</span>`)
		assert.EqualValues(t, 1, PageVersion([]byte(body), 6), path)
	}
	assert.EqualValues(t, 2, PageVersion(do(o, "GET", desk, "").Body.Bytes(), 9))

	w = do(o, "POST", write, `{"id": 9999, "list_price": 1}`, "Content-Type", "application/json")
	has(t, w.Body.String(), "MissingError")
	assert.Empty(t, w.Header().Get("X-Odoo-Purge"))
	for _, bad := range []string{`{}`, `{"id": 9}`, `{"id": 9, "list_price": -1}`, `{"id": "9", "list_price": 1}`, `{"args": [[9]]}`, `{"params": {"args": [9, 2]}}`} {
		assert.Equal(t, http.StatusBadRequest, do(o, "POST", write, bad, "Content-Type", "application/json").Code, bad)
	}
	assert.Equal(t, http.StatusBadRequest, do(o, "POST", write, `{`, "Content-Type", "application/json").Code)
	assert.Equal(t, http.StatusUnsupportedMediaType, do(o, "POST", write, `a=b`).Code)
	assert.Equal(t, http.StatusMethodNotAllowed, do(o, "GET", write, "").Code)

	plain := do(build(t, Options{}), "POST", write, `{"id": 9, "list_price": 1}`, "Content-Type", "application/json")
	assert.Empty(t, plain.Header().Get("X-Odoo-Purge"))
}

func TestFormatPrice(t *testing.T) {
	for want, v := range map[string]float64{"0.00": 0, "7.50": 7.5, "799.00": 799, "1,799.00": 1799, "12,345.68": 12345.678, "1,000,000.00": 1e6} {
		assert.Equal(t, want, formatPrice(v))
	}
}

func TestAppHeaders(t *testing.T) {
	o := build(t, Options{AppHeaders: true})
	tags := func(path string) []string {
		return strings.Fields(do(o, "GET", path, "").Header().Get("Surrogate-Key"))
	}
	assert.Equal(t, []string{"product.template-9", "website-1"}, tags(desk))
	assert.Subset(t, tags("/shop"), []string{"product.template", "product.template-9", "product.template-6", "website-1"})
	assert.Len(t, tags("/shop"), 23)
	assert.Equal(t, []string{"product.template", "product.public.category-7", "product.template-6", "website-1"}, tags("/shop/category/lamps-7"))
	assert.Equal(t, []string{"blog.post-7", "website-1"}, tags("/blog/astronomy-2/beyond-the-eye-7"))
	assert.Equal(t, []string{"product.template-6"}, tags("/web/image/product.template/6/image_512"))
	for path, want := range map[string]string{
		"/": cacheControl, "/shop": cacheControl, "/contactus": cacheControl, "/blog": cacheControl, "/robots.txt": cacheControl,
		"/web/login": "no-store", "/shop/cart": "no-store", "/nosuch": "", "/shop/9": "", "/web/image/product.template/6/image_512": "",
	} {
		assert.Equal(t, want, do(o, "GET", path, "").Header().Get("X-Odoo-Cache"), path)
	}
	h := do(build(t, Options{}), "GET", "/shop", "").Header()
	assert.Empty(t, h.Get("X-Odoo-Cache"))
	assert.Empty(t, h.Get("Surrogate-Key"))
}

func TestCart(t *testing.T) {
	o := build(t, Options{AppHeaders: true})
	w := do(o, "POST", "/shop/cart/add", `{"params": {"product_id": 13, "quantity": 2}}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusOK, w.Code)
	has(t, w.Body.String(), `"cart_quantity":2`)
	has(t, w.Body.String(), `Customizable Desk`)
	id := cookie(w, "session_id").Value
	do(o, "POST", "/shop/cart/add", `{}`, append(withSession(id), "Content-Type", "application/json")...)
	w = do(o, "GET", "/", "", withSession(id)...)
	assert.Equal(t, "no-store", w.Header().Get("X-Odoo-Cache"))
	assert.Equal(t, 2, strings.Count(w.Body.String(), `rounded-pill " data-order-id="38">3</sup>`))
	assert.NotContains(t, do(o, "GET", "/", "").Body.String(), "data-order-id")
	w = do(o, "POST", "/shop/cart/quantity", `{}`, append(withSession(id), "Content-Type", "application/json")...)
	assert.JSONEq(t, `{"jsonrpc": "2.0", "id": null, "result": 3}`, w.Body.String())
	w = do(o, "POST", "/shop/products/recently_viewed_update", `{"params": {}}`, "Content-Type", "application/json")
	assert.JSONEq(t, `{"jsonrpc": "2.0", "id": null, "result": {}}`, w.Body.String())
	assert.Equal(t, http.StatusBadRequest, do(o, "POST", "/shop/cart/add", `{"quantity": 0}`, "Content-Type", "application/json").Code)
	long := `{"a": "` + strings.Repeat("x", maxBody) + `"}`
	assert.Equal(t, http.StatusRequestEntityTooLarge, do(o, "POST", "/shop/cart/add", long, "Content-Type", "application/json").Code)
}

func TestSessionsAreBounded(t *testing.T) {
	o := build(t, Options{})
	for i := 0; i < maxSessions+10; i++ {
		o.sessions[strconv.Itoa(i)] = &session{}
	}
	do(o, "GET", "/shop", "")
	assert.LessOrEqual(t, len(o.sessions), maxSessions)
}

func TestOverTheWire(t *testing.T) {
	for _, keep := range []bool{false, true} {
		o := build(t, Options{KeepAlive: keep})
		srv := httptest.NewServer(o)
		get := func(method, path, header, value string) *http.Response {
			r, err := http.NewRequest(method, srv.URL+path, nil)
			require.NoError(t, err)
			r.Header.Set(header, value)
			res, err := http.DefaultTransport.RoundTrip(r)
			require.NoError(t, err)
			t.Cleanup(func() { res.Body.Close() })
			return res
		}
		res := get("GET", "/shop", "Accept", "*/*")
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.EqualValues(t, len(body), res.ContentLength)
		assert.Empty(t, res.TransferEncoding)
		assert.Equal(t, !keep, res.Close)
		has(t, string(body), srv.URL+"/shop")

		head := get("HEAD", "/shop", "Accept", "*/*")
		assert.Equal(t, res.ContentLength, head.ContentLength)
		assert.Equal(t, res.Header.Values("Content-Type"), head.Header.Values("Content-Type"))

		const image = "/web/image/product.template/6/image_512"
		res = get("GET", image, "Accept", "*/*")
		etag := res.Header.Get("Etag")
		assert.NotEmpty(t, etag)
		body, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, "image/png", http.DetectContentType(body))
		modified, err := http.ParseTime(res.Header.Get("Last-Modified"))
		require.NoError(t, err)
		assert.True(t, modified.Before(time.Now()))
		assert.Equal(t, http.StatusNotModified, get("GET", image, "If-None-Match", etag).StatusCode)
		assert.Equal(t, http.StatusPartialContent, get("GET", image, "Range", "bytes=0-9").StatusCode)
		srv.Close()
	}
}

func TestRenders(t *testing.T) {
	o := build(t, Options{})
	var wg sync.WaitGroup
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			for j := 0; j < 10; j++ {
				do(o, "GET", "/shop?n="+strconv.Itoa(j), "")
				do(o, "POST", write, `{"id": 9, "list_price": `+strconv.Itoa(j)+`}`, "Content-Type", "application/json")
				do(o, "GET", desk, "", withSession(strings.Repeat(strconv.Itoa(i), 84))...)
			}
		}(i)
	}
	wg.Wait()
	assert.EqualValues(t, 80, o.Renders("/shop"))
	assert.EqualValues(t, 80, o.Renders(desk))
	assert.EqualValues(t, 240, o.TotalRenders())
	assert.Zero(t, o.Renders("/never"))
	_, version, _ := o.Price(9)
	assert.EqualValues(t, 80, version)
}

func TestSpeed(t *testing.T) {
	took := func(o *Origin, path string) time.Duration {
		begin := time.Now()
		do(o, "GET", path, "")
		return time.Since(begin)
	}
	o := build(t, Options{Speed: 0.5})
	for _, p := range o.Index().Pages {
		if p.Name == "shop" {
			want := time.Duration(p.MedianMS / 2 * float64(time.Millisecond))
			assert.GreaterOrEqual(t, took(o, "/shop"), want)
		}
	}
	assert.GreaterOrEqual(t, took(build(t, Options{MinSleep: 40 * time.Millisecond}), "/robots.txt"), 40*time.Millisecond)

	// One worker answers one after the other.
	o = build(t, Options{MinSleep: 30 * time.Millisecond, Workers: 1})
	begin := time.Now()
	var wg sync.WaitGroup
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); do(o, "GET", "/", "") }()
	}
	wg.Wait()
	assert.GreaterOrEqual(t, time.Since(begin), 90*time.Millisecond)
}

// A render sees the prices of its beginning, as a transaction in Odoo does.
func TestRenderSeesItsBeginning(t *testing.T) {
	o := build(t, Options{MinSleep: 800 * time.Millisecond})
	page := make(chan []byte)
	go func() { page <- do(o, "GET", desk, "").Body.Bytes() }()
	require.Eventually(t, func() bool { return o.Renders(desk) == 1 }, time.Second, time.Millisecond)
	time.Sleep(300 * time.Millisecond)
	o.SetPrice(9, 10)
	assert.Zero(t, PageVersion(<-page, 9))
	assert.EqualValues(t, 1, PageVersion(do(o, "GET", desk, "").Body.Bytes(), 9))
}

func TestGoneClient(t *testing.T) {
	o := build(t, Options{Workers: 1})
	o.workers <- struct{}{} // busy
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/", nil),
		httptest.NewRequest(http.MethodPost, write, strings.NewReader(`{"id": 9, "list_price": 1}`)),
	} {
		r.Header.Set("Content-Type", "application/json")
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		w := httptest.NewRecorder()
		o.ServeHTTP(w, r.WithContext(ctx))
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	}
	_, version, _ := o.Price(9)
	assert.Zero(t, version)
}
