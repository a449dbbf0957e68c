package odoocache_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	odoo := needOdoo(t)
	admin := odoo.visitor(t, shopHost)
	admin.signIn("admin")
	second := admin.read("website", []interface{}{[]interface{}{"domain", "=", "http://" + secondHost}}, "id", "cookies_bar", "block_third_party_domains")
	require.Len(t, second, 1)
	require.Equal(t, true, second[0]["cookies_bar"])
	require.Equal(t, true, second[0]["block_third_party_domains"])
	arch := `<t t-name="website.odoocache_film"><t t-call="website.layout"><div id="wrap"><iframe src="https://www.youtube.com/embed/film"/></div></t></t>`
	view := admin.create("ir.ui.view", options{"name": "film", "type": "qweb", "key": "website.odoocache_film", "arch": arch, "website_id": second[0]["id"]})
	page := admin.create("website.page", options{"url": "/odoocache-film", "view_id": view, "is_published": true, "website_id": second[0]["id"]})
	t.Cleanup(func() {
		admin.call("website.page", "unlink", []interface{}{ids(page)}, nil)
		admin.call("ir.ui.view", "unlink", []interface{}{ids(view)}, nil)
	})
	live := regexp.MustCompile(`<iframe[^>]*\ssrc="https://www\.youtube\.com/embed/film"`)
	ask := func(url, path, cookie string) reply {
		q := browserAt(path)
		q.host = secondHost
		if cookie != "" {
			q.cookies = []string{cookie}
		}
		if url == odoo.url {
			q.lines = append(q.lines, "X-Forwarded-Host: "+secondHost)
		}
		r, err := q.onWire(url)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, r.status)
		require.Contains(t, r.body, "youtube.com/embed/film", "the page has the film")
		return r
	}
	e := odoo.behind(t, nil)
	n := 0
	for _, first := range consents {
		t.Run("first "+first.name, func(t *testing.T) {
			n++
			path := fmt.Sprint("/odoocache-film?v=", n)
			ask(e.url, path, first.cookie)
			for i := 0; i < 2; i++ {
				for _, c := range consents {
					r := ask(e.url, path, c.cookie)
					if c.agrees {
						assert.Equal(t, live.MatchString(ask(odoo.url, path, c.cookie).body), live.MatchString(r.body), "%s: as Odoo does it (%s)", c.name, r.cacheStatus())
					} else {
						assert.False(t, live.MatchString(r.body), "%s: the live film (%s)", c.name, r.cacheStatus())
					}
					assert.NotContains(t, strings.Join(r.header["Set-Cookie"], "\n"), "website_cookies_bar={", c.name)
				}
			}
		})
	}
}
