package odoo

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/poison"
	"github.com/odoocache/odoocache/test/site"
)

// consents are the forms in which a visitor's choice reaches Odoo (website/models/ir_http.py,
// _is_allowed_cookie).
var consents = []struct {
	name, cookie string
	agrees       bool
}{
	{"no choice yet", "", false},
	{"refused", `website_cookies_bar={"required": true, "optional": false}`, false},
	{"agreed", `website_cookies_bar={"required": true, "optional": true}`, true},
	{"agreed, quoted and escaped", `website_cookies_bar="{\"required\": true\054 \"optional\": true}"`, true},
	{"agreed, with more", `website_cookies_bar={"required": true, "optional": true, "ts": 1}`, true},
	{"of another version", `website_cookies_bar="true"`, false},
}

// TestOdooConsent: a website blocks what others embed until its visitor agrees to cookies.
// Whoever has not agreed never gets a page as one who has, whoever came first.
func TestOdooConsent(t *testing.T) {
	odoo := NeedOdoo(t)
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	second := admin.read("website", []interface{}{[]interface{}{"domain", "=", "http://" + secondHost}}, "id", "cookies_bar", "block_third_party_domains")
	require.Len(t, second, 1)
	require.Equal(t, true, second[0]["cookies_bar"])
	require.Equal(t, true, second[0]["block_third_party_domains"])
	arch := `<t t-name="website.odoocache_film"><t t-call="website.layout"><div id="wrap"><iframe src="https://www.youtube.com/embed/film"/></div></t></t>`
	view := admin.create("ir.ui.view", site.Options{"name": "film", "type": "qweb", "key": "website.odoocache_film", "arch": arch, "website_id": second[0]["id"]})
	page := admin.create("website.page", site.Options{"url": "/odoocache-film", "view_id": view, "is_published": true, "website_id": second[0]["id"]})
	t.Cleanup(func() {
		admin.call("website.page", "unlink", []interface{}{ids(page)}, nil)
		admin.call("ir.ui.view", "unlink", []interface{}{ids(view)}, nil)
	})
	live := regexp.MustCompile(`<iframe[^>]*\ssrc="https://www\.youtube\.com/embed/film"`)
	ask := func(url, path, cookie string) site.Reply {
		q := poison.BrowserAt(path)
		q.Host = secondHost
		if cookie != "" {
			q.Cookies = []string{cookie}
		}
		if url == odoo.URL {
			q.Lines = append(q.Lines, "X-Forwarded-Host: "+secondHost)
		}
		r, err := q.OnWire(url)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.Status)
		require.Contains(t, r.Body, "youtube.com/embed/film", "the page has the film")
		return r
	}
	e := odoo.Behind(t, nil)
	n := 0
	for _, first := range consents {
		t.Run("first "+first.name, func(t *testing.T) {
			n++
			path := fmt.Sprint("/odoocache-film?v=", n)
			ask(e.URL, path, first.cookie)
			for i := 0; i < 2; i++ {
				for _, c := range consents {
					r := ask(e.URL, path, c.cookie)
					if c.agrees {
						assert.Equal(t, live.MatchString(ask(odoo.URL, path, c.cookie).Body), live.MatchString(r.Body), "%s: as Odoo does it (%s)", c.name, r.CacheStatus())
					} else {
						assert.False(t, live.MatchString(r.Body), "%s: the live film (%s)", c.name, r.CacheStatus())
					}
					assert.NotContains(t, strings.Join(r.Header["Set-Cookie"], "\n"), "website_cookies_bar={", c.name)
				}
			}
		})
	}
}
