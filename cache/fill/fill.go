// Package fill builds the requests whose answers are stored for everybody.
//
// A stored page has to be a function of its key: then whoever has the key could have got
// it from Odoo, and nothing that one client sends, spells or is can show in it. So such a
// request is made of what the key holds, and of nothing else. No function here is given a
// request of a visitor, which a test holds.
package fill

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// Page is what the key of a page holds.
type Page struct {
	Rule    *rule.Rule
	Target  keys.Target // the path as keys.EscapePath writes it, the query as it stands in the key
	Values  []string    // of the rule's dimensions
	Passed  http.Header // fields that middlewares in front set for Odoo
	Context string      // what the addon has said that pages are rendered for, empty: DefaultContext
	Consent bool        // the visitor has agreed to optional cookies

	Names  []string    // lower case: request fields by which the page's answers differ (Vary)
	Varied http.Header // their values, as the key has them
}

// Options are the same for all pages.
type Options struct {
	EdgeHeader string   // by which the cache announces itself, empty: it does not
	Edge       []string // its value
	Address    string   // host:port that the origin takes for the client's
}

// The clients that a key tells apart, by the words that Odoo knows them by.
const (
	browser = "Mozilla/5.0 (odoocache)"
	robot   = "Mozilla/5.0 (compatible; odoocache-bot)"
)

// ContextHeader names the context that a page is to be rendered for. The addon tells a
// filling request from that of a new visitor by it.
const ContextHeader = "X-Odoo-Cache-Context"

// DefaultContext is that of a visitor without any session.
const DefaultContext = "0"

// ConsentCookie is what the cookies bar of a website notes the visitor's choice
// in; the bar has its name as id (addons/website/views/website_templates.xml).
const ConsentCookie = "website_cookies_bar"

// consented is the value by which Odoo 16 and later read consent
// (addons/website/models/ir_http.py, _is_allowed_cookie).
const consented = `{"required": true, "optional": true}`

// Coding is what a filling request accepts: a body that can be looked at. It is said, since
// a proxy may take silence for anything.
const Coding = "identity"

// Request returns the request that asks the origin for a page.
func Request(ctx context.Context, p *Page, o *Options) *http.Request {
	header, cookies, isRobot := rule.Asking(p.Rule, p.Values)
	setOnce(header, "User-Agent", browser)
	if isRobot {
		header["User-Agent"] = []string{robot}
	}
	setOnce(header, "Accept", "*/*")
	setOnce(header, "Accept-Encoding", Coding)
	for name, lines := range p.Passed {
		header[name] = lines
	}
	for i := 0; i < len(p.Names); i++ {
		setVaried(header, p.Names[i], p.Varied)
	}
	if p.Consent {
		cookies = append(cookies, ConsentCookie+"="+consented)
	}
	if len(cookies) > 0 {
		header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	host := p.Target.Forwarded
	if host == "" {
		host = p.Target.Host
	}
	header["X-Forwarded-Host"] = []string{host} // without it Odoo heeds no proxy (odoo/http.py)
	header["X-Forwarded-Proto"] = []string{p.Target.Scheme}
	header["X-Disable-Tracking"] = []string{"1"} // a fill is nobody's visit (addons/website/models/ir_http.py)
	if o.EdgeHeader != "" {
		header[o.EdgeHeader] = o.Edge
	}
	header[ContextHeader] = []string{DefaultContext}
	if p.Context != "" {
		header[ContextHeader] = []string{p.Context}
	}
	u := address(p.Target)
	out := &http.Request{
		Method: http.MethodGet, URL: u, Host: p.Target.Host, RequestURI: u.RequestURI(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: http.NoBody, RemoteAddr: o.Address,
	}
	return out.WithContext(ctx)
}

// address is where a page is.
func address(t keys.Target) *url.URL {
	u := &url.URL{RawQuery: t.Query}
	if t.Query == keys.EmptyQuery {
		u.RawQuery = ""
		u.ForceQuery = true
	}
	path, err := url.PathUnescape(t.Path)
	if err != nil {
		path = t.Path
	}
	u.Path = path
	if u.EscapedPath() != t.Path {
		u.RawPath = t.Path
	}
	return u
}

func setOnce(header http.Header, name, value string) {
	if header[name] == nil {
		header[name] = []string{value}
	}
}

// setVaried sets a field that the answers differ by as the key has it.
func setVaried(header http.Header, name string, values http.Header) {
	field := http.CanonicalHeaderKey(name)
	if value := keys.FieldValue(name, values); value[0] == '=' {
		header[field] = []string{value[1:]}
	} else {
		delete(header, field)
	}
}
