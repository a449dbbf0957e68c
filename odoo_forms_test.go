package odoocache_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOdooForms sends forms with the placeholder of stored pages to Odoo, as
// browsers do and as attackers would.
func TestOdooForms(t *testing.T) {
	odoo := needOdoo(t)
	e := odoo.behind(t, nil)
	e.visitor(shopHost, browserLanguage).get("/contactus")

	t.Run("stored pages hold no token", func(t *testing.T) {
		for _, path := range []string{"/", "/shop", "/contactus", odoo.pages(t)["product"]} {
			e.visitor(shopHost, browserLanguage).get(path)
			v := e.visitor(shopHost, browserLanguage)
			got := v.get(path)
			require.Contains(t, got.cacheStatus(), "; hit", path)
			assert.Equal(t, tokenPlaceholder, csrfToken(t, got.body), path)
			assert.NotRegexp(t, `[0-9a-f]{40}o[0-9]{10}`, got.body, path)
			assert.Empty(t, v.cookie("session_id"), path)
			assert.Equal(t, "en_US", v.cookie("frontend_lang"), path)
		}
	})
	t.Run("a new visitor signs in with the form of a stored page", func(t *testing.T) {
		v := e.visitor(shopHost, browserLanguage)
		require.Contains(t, v.get("/contactus").cacheStatus(), "; hit")
		r := v.post("/web/login", url.Values{"login": {"portal"}, "password": {"portal"}, "csrf_token": {tokenPlaceholder}})
		assert.Equal(t, http.StatusSeeOther, r.status, "%.300s", r.body)
		assert.Contains(t, r.cacheStatus(), "csrf-completed")
		page := v.get("/contactus")
		assert.Contains(t, page.body, `"is_public": false`, page.cacheStatus())
		assert.Contains(t, page.cacheStatus(), "detail=session")
		assert.Contains(t, e.visitor(shopHost, browserLanguage).get("/contactus").body, `"is_public": true`)
	})
	t.Run("a visitor signs in elsewhere, and sends the form of a page from before", func(t *testing.T) {
		v := e.visitor(shopHost, browserLanguage)
		require.Contains(t, v.get("/contactus").cacheStatus(), "; hit")
		v.signIn("portal")
		r := v.post("/my/account", url.Values{"csrf_token": {tokenPlaceholder}, "name": {""}})
		assert.NotEqual(t, http.StatusBadRequest, r.status, "%.300s", r.body)
		assert.Contains(t, r.cacheStatus(), "csrf-completed")
		assert.Contains(t, v.get("/my").body, "Joel Willis", "still signed in")
	})
	t.Run("from another site", func(t *testing.T) {
		v := e.visitor(shopHost, browserLanguage)
		v.signIn("portal")
		for _, lines := range [][]string{
			{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"},
			{"Origin: null", "Sec-Fetch-Site: cross-site"},
			{"Origin: http://evil.shop.localhost", "Sec-Fetch-Site: same-site"},
		} {
			r := v.post("/my/account", url.Values{"csrf_token": {tokenPlaceholder}, "name": {"Mallory"}}, lines...)
			assert.Equal(t, http.StatusBadRequest, r.status, "%v", lines)
			assert.Contains(t, r.cacheStatus(), "csrf-origin")
		}
		assert.NotContains(t, v.get("/my").body, "Mallory")
	})
	t.Run("the contact form", func(t *testing.T) {
		subject := "From a stored page " + t.Name()
		v := e.visitor(shopHost, browserLanguage)
		require.Contains(t, v.get("/contactus").cacheStatus(), "; hit")
		admin := odoo.visitor(t, shopHost)
		admin.signIn("admin")
		before := len(admin.read("crm.lead", []interface{}{[]interface{}{"name", "=", subject}}, "name"))
		body := multipartForm(
			"Content-Disposition: form-data; name=\"csrf_token\"\r\n\r\n"+tokenPlaceholder,
			"Content-Disposition: form-data; name=\"contact_name\"\r\n\r\nJoe",
			"Content-Disposition: form-data; name=\"email_from\"\r\n\r\njoe@shop.example",
			"Content-Disposition: form-data; name=\"name\"\r\n\r\n"+subject,
			"Content-Disposition: form-data; name=\"description\"\r\n\r\nHello",
		)
		r := v.do(http.MethodPost, "/website/form/crm.lead", body, "Content-Type: multipart/form-data; boundary=b0undary", "Origin: http://"+shopHost, "Sec-Fetch-Site: same-origin")
		assert.Equal(t, http.StatusOK, r.status)
		assert.Contains(t, r.cacheStatus(), "csrf-completed")
		var made struct {
			ID int `json:"id"`
		}
		assert.NoError(t, json.Unmarshal([]byte(r.body), &made), r.body)
		assert.Positive(t, made.ID, r.body)
		assert.Len(t, admin.read("crm.lead", []interface{}{[]interface{}{"name", "=", subject}}, "name"), before+1)
	})
	t.Run("a form of 50 MB", func(t *testing.T) {
		v := e.visitor(shopHost, browserLanguage)
		form := "csrf_token=" + tokenPlaceholder + "&login=portal&password=portal&x=" + strings.Repeat("y", 50<<20)
		r, err := v.send(http.MethodPost, "/web/login", form, "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
		if err == nil { // Odoo may refuse it before it has read it
			assert.Contains(t, r.cacheStatus(), "csrf-completed")
		}
	})
}
