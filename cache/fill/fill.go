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

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// Page is what the key of a page holds.
type Page struct {
	Rule    *rule.Rule
	Target  keys.Target // the path as keys.EscapePath writes it, the query as it stands in the key
	Values  []string    // of the rule's dimensions
	Passed  http.Header // fields that middlewares in front set for Odoo
	Context string      // what the addon has said that pages are rendered for, empty: odoo.DefaultContext
	Consent bool        // the visitor has agreed to optional cookies
	Zipped  bool        // its answers have no length, and are asked for in gzip, which tells their end

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

// Coding is what a filling request accepts: a body that can be looked at. It is said, since
// a proxy may take silence for anything.
const Coding = "identity"

// Request returns the request that asks the origin for a page.
func Request(ctx context.Context, p *Page, o *Options) *http.Request {
	t := &p.Target
	asked, cookies, isRobot := rule.Asking(p.Rule, p.Values)
	header := http.Header{
		"User-Agent": agentOf[isRobot], "Accept": acceptAll, "Accept-Encoding": acceptPlain,
		"X-Disable-Tracking": untracked, odoo.ContextHeader: noContext,
		"X-Forwarded-Host":  {t.Host}, // without it Odoo heeds no proxy (odoo/http.py)
		"X-Forwarded-Proto": {t.Scheme},
	}
	if t.Forwarded != "" {
		header["X-Forwarded-Host"] = []string{t.Forwarded}
	}
	for name, lines := range asked {
		header[name] = lines
	}
	for name, lines := range p.Passed {
		header[name] = lines
	}
	for i := 0; i < len(p.Names); i++ {
		setVaried(header, p.Names[i], p.Varied)
	}
	if p.Zipped {
		header["Accept-Encoding"] = acceptZip
	}
	if p.Consent {
		cookies = append(cookies, odoo.ConsentCookie+"="+odoo.Consented)
	}
	if len(cookies) > 0 {
		header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	if o.EdgeHeader != "" {
		header[o.EdgeHeader] = o.Edge
	}
	if p.Context != "" {
		header[odoo.ContextHeader] = []string{p.Context}
	}
	u := address(t)
	out := &http.Request{
		Method: http.MethodGet, URL: u, Host: t.Host, RequestURI: t.Path,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: http.NoBody, RemoteAddr: o.Address,
	}
	if u.RawQuery != "" || u.ForceQuery {
		out.RequestURI += "?" + u.RawQuery
	}
	return out.WithContext(ctx)
}

// Values of fields that are the same in all requests. They are never changed.
var (
	agentOf     = map[bool][]string{false: {browser}, true: {robot}}
	acceptAll   = []string{"*/*"}
	acceptPlain = []string{Coding}
	acceptZip   = []string{"gzip"}
	noContext   = []string{odoo.DefaultContext}
	untracked   = []string{"1"} // a fill is nobody's visit (addons/website/models/ir_http.py)
)

// address is where a page is.
func address(t *keys.Target) *url.URL {
	u := &url.URL{Path: t.Path, RawQuery: t.Query}
	if t.Query == keys.EmptyQuery {
		u.RawQuery = ""
		u.ForceQuery = true
	}
	if strings.IndexByte(t.Path, '%') < 0 {
		return u
	}
	if path, err := url.PathUnescape(t.Path); err == nil {
		u.Path = path
		u.RawPath = t.Path // of which url.URL takes no notice where it would write the same
	}
	return u
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
