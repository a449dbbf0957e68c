package cache

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
)

// Every page of Odoo holds a CSRF token: proof that a form was sent from a page
// of the visitor's own session (odoo/http.py, csrf_token and validate_csrf). In
// a stored page a placeholder of the same length stands in its place. When a
// form with the placeholder comes, it is completed: if it was sent from a page
// of this very site, which is what the token is for, Odoo is asked for a token of
// the visitor's session, and that takes the placeholder's place. A form from
// anywhere else stays as it is, and Odoo refuses it.
//
// Only the field of the token is completed. What a visitor has typed, or quotes
// from another, can hold the placeholder, too, and must not be told a token.

// maxTokenPage bounds what is read of the page that a token is taken from.
const maxTokenPage = 1 << 20

// complete puts a token in the place of the placeholder in a request's form. It
// returns the request to forward and what it did, "" if there was nothing to do.
func (h *Handler) complete(v *visit) (out *http.Request, done string) {
	r := v.r
	out = r
	defer func() {
		if p := recover(); p != nil { // a mistake of ours: what was read of the form is in out
			h.logf("%s: a form could not be completed: %v", h.shownPath(r.URL.Path), p)
		}
	}()
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.Body == nil || r.ContentLength == 0 || (kind != "application/x-www-form-urlencoded" && kind != "multipart/form-data") {
		return r, ""
	}
	start := make([]byte, h.s.CSRF.FormBytes)
	n, err := io.ReadFull(r.Body, start)
	start = start[:n]
	whole := err != nil
	out = r.WithContext(r.Context())
	out.Body = io.NopCloser(io.MultiReader(bytes.NewReader(start), r.Body)) // an error comes again
	at := placesIn(start, kind, params["boundary"], whole)
	if len(at) == 0 && whole {
		return out, ""
	}
	done = policy.ReasonCSRFCompleted
	if len(at) == 0 {
		if done = policy.ReasonCSRFLate; !mayComeLate(kind, params["boundary"], start) || !sameOrigin(v) {
			return out, lateWord(start)
		}
	} else if !sameOrigin(v) {
		return out, policy.ReasonCSRFOrigin
	}
	given := &grant{}
	h.askToken(v, given)
	if given.token == "" && len(at) == 0 {
		return out, lateWord(start)
	}
	if given.token == "" {
		return out, policy.ReasonCSRFToken
	}
	if len(at) == 0 {
		completeLate(out, params["boundary"], given.token)
	}
	for i := 0; i < len(at); i++ {
		copy(start[at[i]:], given.token)
	}
	if given.cookie != "" {
		v.newSession = given.cookie
		out.Header = out.Header.Clone()
		cookie.Replace(out.Header, h.s.Session, cookie.SetValue(given.cookie))
	}
	return out, done
}

// placesIn returns where the placeholder is to be replaced in what was read of a form.
func placesIn(start []byte, kind, boundary string, whole bool) []int {
	switch {
	case !bytes.Contains(start, []byte(odoo.Placeholder)):
		return nil
	case kind == "multipart/form-data":
		return odoo.PartsToComplete(start, boundary)
	}
	return odoo.FieldsToComplete(start, whole)
}

// lateWord says of a form that is larger than what was read, and is left as it is, that its
// token may be in the rest.
func lateWord(start []byte) string {
	if bytes.Contains(start, []byte(odoo.TokenField)) {
		return ""
	}
	return policy.ReasonCSRFLate
}

// sameOrigin reports whether a browser says that a request comes from a page of
// the site that it goes to: by Sec-Fetch-Site (W3C Fetch Metadata), which no
// script can set, else by Origin (RFC 6454), else by Referer. A request that has
// none of them is from nowhere.
func sameOrigin(v *visit) bool {
	header := v.r.Header
	if lines := header["Sec-Fetch-Site"]; len(lines) > 0 {
		return len(lines) == 1 && lines[0] == "same-origin"
	}
	lines := header["Origin"]
	if len(lines) == 0 {
		lines = header["Referer"]
	}
	if len(lines) != 1 {
		return false
	}
	from, err := url.Parse(lines[0])
	if err != nil || from.Host == "" || from.User != nil {
		return false
	}
	return strings.EqualFold(from.Scheme, v.target.Scheme) && sameHost(from.Scheme, from.Host, purgeHost(v.target))
}

// sameHost compares hosts with their ports, of which the scheme's own may be left out.
func sameHost(scheme, a, b string) bool {
	port := ":80"
	if strings.EqualFold(scheme, "https") {
		port = ":443"
	}
	return strings.EqualFold(strings.TrimSuffix(a, port), strings.TrimSuffix(b, port))
}

// grant is a token, and the Set-Cookie line of the session that was begun for it,
// if the visitor had none.
type grant struct {
	token  string
	cookie string
	led    string // what became of the request for it
}

// askToken asks Odoo for a token of the visitor's session, by a page that holds one.
func (h *Handler) askToken(v *visit, given *grant) {
	defer func() { _ = recover() }() // Traefik's proxy panics when an answer breaks off
	out := v.r.Clone(v.r.Context())
	out.Method = http.MethodGet
	out.Body = http.NoBody
	out.ContentLength = 0
	out.TransferEncoding = nil
	for name := range out.Header {
		switch {
		case name == "Cookie" || name == "Authorization" || name == "User-Agent" || strings.HasPrefix(name, "X-") || name == "Accept-Language" || name == "Forwarded":
		default:
			delete(out.Header, name)
		}
	}
	delete(out.Header, "X-Requested-With")
	if h.askTokenAt(v, out, given, h.s.CSRF.Path); given.token != "" {
		return
	}
	led := given.led
	if h.s.CSRF.Path != anyPage {
		h.askTokenAt(v, out, given, anyPage)
	}
	then := "so forms of stored pages fail"
	if given.token != "" {
		then = "so " + anyPage + " was asked; name a page that has one"
	}
	h.logf("csrf.path: %s has no token for a visitor (%s), %s", h.s.CSRF.Path, led, then)
}

// anyPage has a token where csrf.path has none, as with a sign-in that is on another host: each
// page of a website has one in its head (addons/website/views/website_templates.xml, layout).
const anyPage = "/"

// askTokenAt asks for a token by one page, and those that it leads to.
func (h *Handler) askTokenAt(v *visit, out *http.Request, given *grant, path string) {
	out.URL = &url.URL{Path: path}
	for i := 0; i < maxTokenHops; i++ {
		to := h.tokenHop(v, out, given)
		if to == nil {
			return
		}
		out.URL = to
	}
}

// maxTokenHops is how many answers lead to a token: the page may be elsewhere for
// the visitor's language.
const maxTokenHops = 3

// tokenHop asks for one page. It returns where that leads, nil if nowhere; given
// has the token then, if there is one.
func (h *Handler) tokenHop(v *visit, out *http.Request, given *grant) *url.URL {
	out.RequestURI = out.URL.RequestURI()
	c := &capture{header: http.Header{}, limit: maxTokenPage}
	c.decide = func(c *capture) { c.mode = keeping }
	h.next.ServeHTTP(c, out)
	endCapture(c)
	applyPurges(h, v, 0, c.header)
	for _, line := range c.header["Set-Cookie"] {
		if cookie.SetName(line) == h.s.Session && odoo.SessionID.MatchString(cookie.SetValue(line)) {
			given.cookie = line
			cookie.Replace(out.Header, h.s.Session, cookie.SetValue(line))
		}
	}
	given.led = "it answers " + strconv.Itoa(c.status)
	if c.status == http.StatusOK && !c.over {
		if found := odoo.Tokens(c.body); len(found) > 0 {
			given.token = string(c.body[found[0] : found[0]+odoo.TokenBytes])
		}
		return nil
	}
	if c.status < 300 || c.status > 399 {
		return nil
	}
	to, err := out.URL.Parse(c.header.Get("Location"))
	if err != nil || (to.Host != "" && !strings.EqualFold(to.Host, purgeHost(v.target))) {
		given.led = "it redirects to another host"
		return nil
	}
	return &url.URL{Path: to.Path, RawPath: to.RawPath, RawQuery: to.RawQuery}
}
