package odoo

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestOdooForms sends forms with the placeholder of stored pages to Odoo, as
// browsers do and as attackers would.
func TestOdooForms(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	e.Visitor(ShopHost, BrowserLanguage).Get("/contactus")

	t.Run("stored pages hold no token", func(t *testing.T) {
		for _, path := range []string{"/", "/shop", "/contactus", odoo.Pages(t)["product"]} {
			e.Visitor(ShopHost, BrowserLanguage).Get(path)
			v := e.Visitor(ShopHost, BrowserLanguage)
			got := v.Get(path)
			require.Contains(t, got.CacheStatus(), "; hit", path)
			assert.Equal(t, site.TokenPlaceholder, csrfToken(t, got.Body), path)
			assert.NotRegexp(t, `[0-9a-f]{40}o[0-9]{10}`, got.Body, path)
			assert.Empty(t, v.cookie("session_id"), path)
			assert.Equal(t, "en_US", v.cookie("frontend_lang"), path)
		}
	})
	t.Run("a new visitor signs in with the form of a stored page", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		require.Contains(t, v.Get("/contactus").CacheStatus(), "; hit")
		r := v.post("/web/login", url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {site.TokenPlaceholder}})
		assert.Equal(t, http.StatusSeeOther, r.Status, "%.300s", r.Body)
		assert.Contains(t, r.CacheStatus(), "csrf-completed")
		page := v.Get("/contactus")
		assert.Contains(t, page.Body, `"is_public": false`, page.CacheStatus())
		assert.Contains(t, page.CacheStatus(), "detail=session")
		assert.Contains(t, e.Visitor(ShopHost, BrowserLanguage).Get("/contactus").Body, `"is_public": true`)
	})
	t.Run("a visitor signs in elsewhere, and sends the form of a page from before", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		require.Contains(t, v.Get("/contactus").CacheStatus(), "; hit")
		v.SignIn("portal")
		r := v.post("/my/account", url.Values{"csrf_token": {site.TokenPlaceholder}, "name": {""}})
		assert.NotEqual(t, http.StatusBadRequest, r.Status, "%.300s", r.Body)
		assert.Contains(t, r.CacheStatus(), "csrf-completed")
		assert.Contains(t, v.Get("/my").Body, "Joel Willis", "still signed in")
	})
	t.Run("from another site", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		v.SignIn("portal")
		for _, lines := range [][]string{
			{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"},
			{"Origin: null", "Sec-Fetch-Site: cross-site"},
			{"Origin: http://evil.shop.localhost", "Sec-Fetch-Site: same-site"},
		} {
			r := v.post("/my/account", url.Values{"csrf_token": {site.TokenPlaceholder}, "name": {"Mallory"}}, lines...)
			assert.Equal(t, http.StatusBadRequest, r.Status, "%v", lines)
			assert.Contains(t, r.CacheStatus(), "csrf-origin")
		}
		assert.NotContains(t, v.Get("/my").Body, "Mallory")
	})
	t.Run("the contact form", func(t *testing.T) {
		subject := "From a stored page " + t.Name()
		v := e.Visitor(ShopHost, BrowserLanguage)
		require.Contains(t, v.Get("/contactus").CacheStatus(), "; hit")
		admin := odoo.Visitor(t, ShopHost)
		admin.SignIn("admin")
		before := len(admin.read("crm.lead", []interface{}{[]interface{}{"name", "=", subject}}, "name"))
		body := site.MultipartForm(
			"Content-Disposition: form-data; name=\"csrf_token\"\r\n\r\n"+site.TokenPlaceholder,
			"Content-Disposition: form-data; name=\"contact_name\"\r\n\r\nJoe",
			"Content-Disposition: form-data; name=\"email_from\"\r\n\r\njoe@shop.example",
			"Content-Disposition: form-data; name=\"name\"\r\n\r\n"+subject,
			"Content-Disposition: form-data; name=\"description\"\r\n\r\nHello",
		)
		r := v.do(http.MethodPost, "/website/form/crm.lead", body, "Content-Type: multipart/form-data; boundary=b0undary", "Origin: http://"+ShopHost, "Sec-Fetch-Site: same-origin")
		assert.Equal(t, http.StatusOK, r.Status)
		assert.Contains(t, r.CacheStatus(), "csrf-completed")
		var made struct {
			ID int `json:"id"`
		}
		assert.NoError(t, json.Unmarshal([]byte(r.Body), &made), r.Body)
		assert.Positive(t, made.ID, r.Body)
		assert.Len(t, admin.read("crm.lead", []interface{}{[]interface{}{"name", "=", subject}}, "name"), before+1)
	})
	t.Run("a form of 50 MB", func(t *testing.T) {
		v := e.Visitor(ShopHost, BrowserLanguage)
		form := "csrf_token=" + site.TokenPlaceholder + "&login=portal&password=portal&x=" + strings.Repeat("y", 50<<20)
		r, err := v.Send(http.MethodPost, "/web/login", form, "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
		if err == nil { // Odoo may refuse it before it has read it
			assert.Contains(t, r.CacheStatus(), "csrf-completed")
		}
	})
}
