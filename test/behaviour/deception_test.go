package behaviour_test

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/poison"
	"github.com/odoocache/odoocache/test/site"
)

// Deception: an address is spelled so that the cache takes it for something that everybody
// may have, and the origin for a page of the visitor (web cache deception). The tests
// named …Deception ask for each address of Odoo in each of these spellings, as somebody
// with a session, and then as nobody.

// knows is an origin that shows the secret of a session at every address. It takes the
// session from wherever a version of Odoo does.
func knows(contentType string, lines ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		who := ""
		for name, values := range r.Header {
			for _, value := range values {
				switch strings.ToUpper(strings.ReplaceAll(name, "-", "_")) {
				case "COOKIE":
					for _, part := range strings.Split(value, ";") {
						if name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name == "session_id" || name == "visitor_uuid" {
							who += strings.Trim(value, `"`)
						}
					}
				case "X_OPENERP_SESSION_ID", "AUTHORIZATION":
					who += value
				}
			}
		}
		who += r.URL.Query().Get("session_id")
		if r.Method == http.MethodPost && who == "" {
			rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(int(site.Tenants.Add(1)))+"; Path=/")
		}
		for name, values := range site.Fields(lines...) {
			rw.Header()[name] = values
		}
		text := "<html><body>for everybody</body></html>"
		if who != "" {
			text = "<html><body>" + secretOf(who) + "</body></html>"
			rw.Header().Set("X-Seen", secretOf(who))
		}
		kind := map[string]string{".css": "text/css", ".js": "text/javascript", ".png": "image/png"}[path.Ext(r.URL.Path)]
		if kind == "" {
			kind = contentType
		}
		rw.Header().Set("Content-Type", kind)
		rw.Header().Set("Content-Length", fmt.Sprint(len(text)))
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(rw, text)
		}
	}
}

func secretOf(session string) string { return "the secret of " + session }

// TestDeception: an origin that shows a visitor's secret at every address, whatever it
// says of its answers. Nobody sees any, at any address of Odoo in any spelling.
func TestDeception(t *testing.T) {
	seen := map[string]bool{}
	var paths []string
	for _, example := range append(poison.OdooExamples(t, "testdata/odoo/preset.txt"), poison.OdooExamples(t, "testdata/odoo14/preset.txt")...) {
		if !seen[example] {
			seen[example] = true
			paths = append(paths, example)
		}
	}
	site.Both(t, func(t *testing.T, load site.Loader) {
		for name, origin := range map[string]http.HandlerFunc{
			"says nothing":     knows(site.HTMLText),
			"says public":      knows(site.HTMLText, poison.Immutable),
			"addon, misjudged": knows(site.HTMLText, "X-Odoo-Cache: public, ttl=600", "X-Odoo-Cache-Context: 0"),
			"addon, a context": knows(site.HTMLText, "X-Odoo-Cache: public, ttl=600", "X-Odoo-Cache-Context: 0123456789abcdef"),
		} {
			t.Run(name, func(t *testing.T) {
				p := poison.Target{Page: poison.NumberedPage("/pN"), Origin: origin}.Poisoned(t, load, site.Options{"memory": site.Options{"bytes": "8MiB"}})
				begin := poison.BrowserAt("/shop/products/recently_viewed_update")
				begin.Method, begin.Body = http.MethodPost, "{}"
				unnoticed, _ := begin.Ask(p.Handler)
				cart, _ := begin.Ask(p.Handler)
				require.NotEmpty(t, cart.Session())
				change := poison.BrowserAt("/shop/cart/update")
				change.Method, change.Body, change.Cookies = http.MethodPost, "x", []string{"session_id=" + cart.Session()}
				change.Ask(p.Handler)
				visitors := []struct {
					name  string
					lines []string
				}{
					{"a session that was not seen to begin", []string{"Cookie: session_id=" + poison.LongID}},
					{"a session with a cart", []string{"Cookie: session_id=" + cart.Session()}},
					{"a session that has changed unnoticed", []string{"Cookie: session_id=" + unnoticed.Session()}},
					{"a session with the default context", []string{"Cookie: session_id=" + poison.LongID + "; odoocache_context=0"}},
					{"a session with a context", []string{"Cookie: session_id=" + poison.LongID + "; odoocache_context=0123456789abcdef"}},
					{"a session in a field of another name", []string{"X_Openerp_Session_Id: " + poison.FortyHex}},
					{"a visitor of events", []string{"Cookie: visitor_uuid=" + poison.FortyHex[:32]}},
					{"credentials", []string{"Authorization: Basic eDp5"}},
				}
				each := sampled(t, 61) + 1
				n, stored, answers := 0, 0, 0
				for i, example := range paths {
					for j, way := range poison.Spellings {
						if n++; n%each != 0 {
							continue
						}
						v := visitors[(n/each+i+j)%len(visitors)]
						mark := fmt.Sprint("v=", n)
						if strings.Contains(example, "?") {
							mark = "&" + mark
						} else {
							mark = "?" + mark
						}
						target := way.Of(example) + mark
						q := poison.BrowserAt(target)
						q.Lines = append(q.Lines, v.lines...)
						if way.Head {
							q.Method = http.MethodHead
							q.Ask(p.Handler)
							q.Method = http.MethodGet
						}
						got, ok := q.Ask(p.Handler)
						if !ok {
							continue
						}
						if strings.Contains(got.CacheStatus(), "; stored") {
							stored++
						}
						for _, other := range []*poison.Request{poison.BrowserAt(target), poison.NobodyAt(target), poison.BrowserAt(poison.RoutedAs(target)), poison.BrowserAt(example + mark)} {
							r, ok := other.Ask(p.Handler)
							if answers++; ok && strings.Contains(r.Body+fmt.Sprint(r.Header), "the secret of") {
								p.Fail("%s, %s | nobody gets it at %s (%s; the visitor: %s)", v.name, way.Name, other.Target, r.CacheStatus(), got.CacheStatus())
							}
						}
					}
				}
				p.Cases = n / each
				t.Logf("%d addresses, %d stored, %d answers to nobody", n/each, stored, answers)
				p.Report()
				assert.Positive(t, stored, "the cache is on")
			})
		}
	})
}
