package origin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// maxBody bounds the body of a request.
const maxBody = 10 << 20

// cacheControl is what the addon says of a page that is the same for all.
const cacheControl = "public, ttl=600, grace=3600, sie=86400"

// ServeHTTP answers as Odoo would.
func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.count(r.URL.Path)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	v := o.visit(r)
	if f := o.rpc(r.URL.Path); f != nil {
		o.serveRPC(w, r, v, f)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
	default:
		if !o.ValidToken(v.sid, formToken(r)) || v.fresh {
			o.badToken(w, r, v)
			return
		}
		if r.URL.Path == "/web/login" {
			o.login(w, r, v)
			return
		}
	}
	switch r.URL.Path {
	case "/web/session/logout":
		o.forget(v)
		o.redirect(w, r, v, local(r.URL.Query().Get("redirect"), "/odoo"))
		return
	case "/my", "/my/home":
		to := "/"
		if v.login == "" {
			to = "/web/login?redirect=" + url.QueryEscape(r.URL.RequestURI())
		}
		o.redirect(w, r, v, to)
		return
	}
	o.servePage(w, r, v, o.find(r.URL))
}

// inCategoryRe matches a product's path as a category's page links it.
var inCategoryRe = regexp.MustCompile(`^/shop/[^/]*-[0-9]+/([^/]+)$`)

// find returns the page for a URL. A query that was not captured is one that
// Odoo does not know: it changes nothing but the pager's links.
func (o *Origin) find(u *url.URL) *page {
	if p := o.exact[u.RequestURI()]; p != nil {
		return p
	}
	if p := o.byPath[u.Path]; p != nil {
		return p
	}
	if m := inCategoryRe.FindStringSubmatch(u.Path); m != nil {
		if p := o.byPath["/shop/"+m[1]]; p != nil && p.Kind == "product" {
			return p
		}
	}
	return o.missing
}

func (o *Origin) servePage(w http.ResponseWriter, r *http.Request, v *visit, p *page) {
	switch p.Kind {
	case "shop", "search", "category", "product":
		o.see(v, "pricelist")
	case "post":
		o.see(v, p.path)
	}
	var body []byte
	if !o.work(r, p.MedianMS, func() { body = o.render(p, v, r) }) {
		o.gone(w)
		return
	}
	o.send(w, r, v, p, p.Status, body)
}

// gone answers a client that is not there any more: what runs in its place must
// not take the answer for a page.
func (o *Origin) gone(w http.ResponseWriter) {
	http.Error(w, "no worker was free in time", http.StatusServiceUnavailable)
}

// send writes the page's head and the body.
func (o *Origin) send(w http.ResponseWriter, r *http.Request, v *visit, p *page, status int, body []byte) {
	h := w.Header()
	cookies := false
	for _, l := range p.head {
		value := l.value
		switch l.name {
		case "Set-Cookie":
			cookies = true
			continue
		case "Last-Modified":
			value = fillTimes(value, v.now, o.start)
		case "Connection":
			if o.opts.KeepAlive {
				continue
			}
		case "Content-Length":
			continue
		}
		value = fillTimes(value, v.now, o.start)
		h[l.name] = append(h[l.name], strings.ReplaceAll(value, markerBase, v.base))
	}
	if cookies {
		o.utmCookies(h, r, v)
		for _, l := range p.head {
			if l.name != "Set-Cookie" {
				continue
			}
			isSession := strings.HasPrefix(l.value, "session_id=")
			if (isSession && !v.fresh && !v.dirty) || (!isSession && !v.lang) {
				continue
			}
			value := fillTimes(strings.ReplaceAll(l.value, markerSession, v.sid), v.now, o.start)
			h.Add("Set-Cookie", value)
		}
	}
	o.appHeaders(h, v, p, status)
	if p.static {
		http.ServeContent(w, r, "", p.modified, bytes.NewReader(body))
		return
	}
	h.Set("Content-Length", itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// appHeaders says what the addon says of a page.
func (o *Origin) appHeaders(h http.Header, v *visit, p *page, status int) {
	if !o.opts.AppHeaders {
		return
	}
	switch {
	case p.Kind == "cart", p.Kind == "login", v.special() && !p.static:
		h.Set("X-Odoo-Cache", "no-store")
	case status == http.StatusOK && !p.static:
		h.Set("X-Odoo-Cache", cacheControl)
	}
	if p.tags != "" {
		h.Set("Surrogate-Key", p.tags)
	}
}

// utmCookies sets the cookies of a campaign, as Odoo does.
func (o *Origin) utmCookies(h http.Header, r *http.Request, v *visit) {
	query := r.URL.Query()
	for _, name := range []string{"campaign", "source", "medium"} {
		value := query.Get("utm_" + name)
		if value == "" {
			continue
		}
		if c, err := r.Cookie("odoo_utm_" + name); err == nil && c.Value == value {
			continue
		}
		h.Add("Set-Cookie", fmt.Sprintf("odoo_utm_%s=%s; Domain=%s; Expires=%s; Max-Age=2678400; Path=/",
			name, url.QueryEscape(value), hostname(v.base), httpTime(v, 365*24*3600)))
	}
}

func httpTime(v *visit, seconds int) string {
	return fillTimes(fmt.Sprintf("{{date%+d}}", seconds), v.now, v.now)
}

// answer writes what is not captured: short pages, redirects, JSON.
func (o *Origin) answer(w http.ResponseWriter, r *http.Request, v *visit, status int, contentType, body string) {
	h := w.Header()
	for _, l := range o.missing.head {
		if l.name == "Server" {
			h.Set("Server", l.value)
		}
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if !o.opts.KeepAlive {
		h.Set("Connection", "close")
	}
	expires := httpTime(v, 365*24*3600)
	if v.lang {
		h.Add("Set-Cookie", "frontend_lang=en_US; Expires="+expires+"; Path=/")
	}
	if v.fresh || v.dirty {
		h.Add("Set-Cookie", "session_id="+v.sid+"; Expires="+expires+"; Max-Age=604800; HttpOnly; Path=/")
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body)
	}
}

func (o *Origin) redirect(w http.ResponseWriter, r *http.Request, v *visit, to string) {
	w.Header().Set("Location", to)
	link := html.EscapeString(to)
	o.answer(w, r, v, http.StatusSeeOther, "text/html; charset=utf-8", "<!doctype html>\n<html lang=en>\n"+
		"<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n<p>You should be redirected automatically to the target URL: "+
		`<a href="`+link+`">`+link+"</a>. If not, click the link.\n")
}

// local returns the path if it leads to this site, else the default.
func local(path, otherwise string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) {
		return otherwise
	}
	return path
}

func (o *Origin) short(w http.ResponseWriter, r *http.Request, v *visit, status int, text string) {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	o.answer(w, r, v, status, "text/html; charset=utf-8", "<!doctype html>\n<html lang=en>\n<title>"+
		title+"</title>\n<h1>"+title+"</h1>\n<pre>"+html.EscapeString(text)+"</pre>\n")
}

func (o *Origin) badToken(w http.ResponseWriter, r *http.Request, v *visit) {
	o.short(w, r, v, http.StatusBadRequest, "Session expired (invalid CSRF token)")
}

// formToken returns a form's csrf_token. A body that is no form has none.
func formToken(r *http.Request) string {
	if err := r.ParseMultipartForm(1 << 20); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return ""
	}
	return r.PostFormValue("csrf_token")
}

// login answers POST /web/login. The demo data's users have their login as
// their password.
func (o *Origin) login(w http.ResponseWriter, r *http.Request, v *visit) {
	name := r.PostFormValue("login")
	switch name {
	case "admin", "demo", "portal":
		if r.PostFormValue("password") != name {
			break
		}
		o.forget(v)
		o.change(v, func(s *session) { s.login = name })
		o.redirect(w, r, v, local(r.PostFormValue("redirect"), "/my"))
		return
	}
	p := o.find(&url.URL{Path: "/web/login"})
	var body []byte
	if !o.work(r, p.MedianMS, func() {
		body = bytes.Replace(o.render(p, v, r), []byte(`<div class="oe_login_buttons`), []byte(
			`<p class="alert alert-danger" role="alert">Wrong login/password</p><div class="oe_login_buttons`), 1)
	}) {
		o.gone(w)
		return
	}
	o.send(w, r, v, p, p.Status, body)
}

// A call is a JSON-RPC method. Its error becomes the answer's.
type call func(w http.ResponseWriter, r *http.Request, v *visit, body []byte) (any, error)

// errInvalid is the error of a body that does not hold what the method needs.
var errInvalid = errors.New("invalid parameters")

func (o *Origin) rpc(path string) call {
	switch path {
	case "/web/dataset/call_kw/product.template/write":
		return o.write
	case "/shop/cart/add":
		return o.addToCart
	case "/shop/cart/quantity":
		return func(_ http.ResponseWriter, _ *http.Request, v *visit, _ []byte) (any, error) { return v.cart, nil }
	case "/shop/products/recently_viewed_update":
		return func(http.ResponseWriter, *http.Request, *visit, []byte) (any, error) { return struct{}{}, nil }
	}
	return nil
}

func (o *Origin) serveRPC(w http.ResponseWriter, r *http.Request, v *visit, f call) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "OPTIONS, POST")
		o.short(w, r, v, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
		return
	}
	switch t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t {
	case "application/json", "application/json-rpc":
	default:
		w.Header().Set("Accept", "application/json, application/json-rpc")
		o.short(w, r, v, http.StatusUnsupportedMediaType, "The request's content type is not application/json.")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		o.short(w, r, v, http.StatusRequestEntityTooLarge, "The body is too long.")
		return
	}
	var req struct {
		Params json.RawMessage `json:"params"`
		ID     json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		o.answer(w, r, v, http.StatusBadRequest, "text/html; charset=utf-8", "Invalid JSON data")
		return
	}
	answer := map[string]any{"jsonrpc": "2.0", "id": nil}
	if req.Params != nil { // else the whole body is the parameters
		body = req.Params
		answer["id"] = req.ID
	}
	result, err := f(w, r, v, body)
	switch {
	case errors.Is(err, errBusy):
		o.gone(w)
		return
	case errors.Is(err, errInvalid):
		o.short(w, r, v, http.StatusBadRequest, err.Error())
		return
	case err != nil:
		answer["error"] = map[string]any{"code": 0, "message": "Odoo Server Error", "data": map[string]any{
			"name": "odoo.exceptions.MissingError", "message": err.Error(), "arguments": []string{err.Error()}, "context": struct{}{}}}
	default:
		answer["result"] = result
	}
	out, err := json.Marshal(answer)
	if err != nil {
		o.short(w, r, v, http.StatusInternalServerError, err.Error())
		return
	}
	o.answer(w, r, v, http.StatusOK, "application/json; charset=utf-8", string(out))
}

var errBusy = errors.New("no worker was free in time")

// write changes list prices: {"id": 9, "list_price": 799}, or the arguments of
// Odoo's own call, {"args": [[9], {"list_price": 799}]}. Anyone may write here.
// The new price is in place when the answer leaves, with the addon's purge.
func (o *Origin) write(w http.ResponseWriter, r *http.Request, _ *visit, body []byte) (any, error) {
	var req struct {
		ID    int               `json:"id"`
		Price *float64          `json:"list_price"`
		Args  []json.RawMessage `json:"args"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("%w: %v", errInvalid, err)
	}
	ids := []int{req.ID}
	if req.Args != nil {
		var values struct {
			Price *float64 `json:"list_price"`
		}
		if len(req.Args) != 2 || json.Unmarshal(req.Args[0], &ids) != nil || json.Unmarshal(req.Args[1], &values) != nil {
			return nil, fmt.Errorf("%w: args must be [[id], {values}]", errInvalid)
		}
		req.Price = values.Price
	}
	if len(ids) == 0 || req.Price == nil || *req.Price < 0 || *req.Price > 1e9 {
		return nil, fmt.Errorf("%w: an id and a list_price are needed", errInvalid)
	}
	price := math.Round(*req.Price*100) / 100
	if !o.work(r, writeMS, func() {}) {
		return nil, errBusy
	}
	for _, id := range ids {
		if _, _, ok := o.Price(id); !ok {
			//lint:ignore ST1005 these are the words of Odoo
			return nil, fmt.Errorf("Record does not exist or has been deleted.\n(Record: product.template(%d,), User: 2)", id)
		}
	}
	var version int64
	purge := make([]string, 0, len(ids)+1)
	for _, id := range ids {
		version, _ = o.SetPrice(id, price)
		purge = append(purge, "product.template-"+itoa(id))
	}
	if o.opts.AppHeaders {
		w.Header().Set("X-Odoo-Purge", strings.Join(append(purge, "product.template"), ", "))
	}
	if req.Args != nil {
		return true, nil
	}
	return map[string]any{"id": req.ID, "list_price": price, "version": version}, nil
}

// addToCart puts pieces into the visitor's cart and answers as captured.
func (o *Origin) addToCart(_ http.ResponseWriter, r *http.Request, v *visit, body []byte) (any, error) {
	req := struct {
		Quantity float64 `json:"quantity"`
	}{Quantity: 1}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("%w: %v", errInvalid, err)
	}
	if req.Quantity < 1 || req.Quantity > 1e6 {
		return nil, fmt.Errorf("%w: quantity must be 1 or more", errInvalid)
	}
	var ms float64
	answer := struct {
		Result map[string]any `json:"result"`
	}{Result: map[string]any{}}
	if o.cartAdd != nil {
		ms = o.cartAdd.MedianMS
		if err := json.Unmarshal(o.render(o.cartAdd, v, r), &answer); err != nil {
			return nil, err
		}
	}
	if !o.work(r, ms, func() {}) {
		return nil, errBusy
	}
	o.change(v, func(s *session) {
		if s.cart == 0 {
			o.orders++
			s.order = o.orders
			v.dirty = true
		}
		s.cart += int(req.Quantity)
	})
	answer.Result["cart_quantity"] = v.cart
	answer.Result["quantity"] = int(req.Quantity)
	return answer.Result, nil
}
