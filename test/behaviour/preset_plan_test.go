package behaviour_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestPresetOneEntryOfStaticFiles: whatever queries are invented for a file that no
// parameter changes.
func TestPresetOneEntryOfStaticFiles(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"preset": "odoo"}, site.Page("file", "Cache-Control: public, max-age=604800", "Content-Type: text/css"))
		for i, target := range []string{"/web/static/a.css?v=1", "/web/static/a.css?v=2", "/web/static/a.css", "/web/static/a.css?x=1&y=AbCdEfGhIjKlMnOpQrSt"} {
			got, err := site.Send(http.MethodGet, s.URL+target, "", nil)
			require.NoError(t, err)
			assert.Equal(t, "file", got.Body)
			assert.Equal(t, i > 0, strings.Contains(got.CacheStatus(), "; hit"), "%s: %s", target, got.CacheStatus())
		}
		assert.Equal(t, int64(1), s.Count.Load())
		assert.Empty(t, s.Last.URL.RawQuery)
	})
}

// TestPresetPersonalParameters: names of form fields are personal in any case and by words, and
// so is a mail address or a token as a name; parameters of Odoo are not.
func TestPresetPersonalParameters(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"preset": "odoo"}, site.Page("page", "Content-Type: text/html"))
		for query, stored := range map[string]bool{
			"partner_phone=1": false, "x_born=1": false, "Email=x": false, "E%4dail=x": false, "Partner_Name=x": false, "work_email=x": false,
			"a[email]=x": false, "email%5B%5D=x": false, "firstName=x": false, "john.doe@example.com": false, "john.doe%40example.com=1": false, "3f2504e0-4f89-11d3-9a0c-0305e82c3301": false, "abcdefghijklmnopqrstuvwxyz0123456789": false,
			"names=1": true, "phones=1": true, "page=2": true, "order=name": true, "search=mobile": true, "attrib=1-2": true, "min_price=1&max_price=2": true, "ppg=20&category=1": true, "tags=1&date=upcoming": true, "product_id=7": true, "utm_name=x": true, "q=1": true,
		} {
			got, err := site.Send(http.MethodGet, s.URL+"/contactus?"+query, "", nil)
			require.NoError(t, err)
			assert.Equal(t, stored, strings.Contains(got.CacheStatus(), "stored"), "%s: %s", query, got.CacheStatus())
			assert.Equal(t, !stored, strings.Contains(got.CacheStatus(), "fwd=bypass"), "%s: %s", query, got.CacheStatus())
		}
	})
}

// TestPresetAttachmentsAsAssets: Odoo 15 and 16 give any attachment under /web/assets to
// whom may see it; what a visitor with a session of their own got is not for others.
func TestPresetAttachmentsAsAssets(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"preset": "odoo"}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/css")
			rw.Header().Set("Cache-Control", "max-age=31536000")
			body := "none"
			if strings.Contains(r.Header.Get("Cookie"), "session_id") {
				body = "secret"
			}
			_, _ = rw.Write([]byte(body))
		})
		for _, path := range []string{"/web/assets/7-abcdef/invoice", "/web/assets/7-abcdef/web.invoice.css", "/web/assets/1234567/web.invoice.css", "/web/assets/1234567/invoice", "/web/assets/7-abcdef/1/web.invoice.css"} {
			mine, err := site.Send(http.MethodGet, s.URL+path, "", site.Fields("Cookie: session_id="+strings.Repeat("a", 40)))
			require.NoError(t, err)
			require.Equal(t, "secret", mine.Body)
			for i := 0; i < 2; i++ {
				got, err := site.Send(http.MethodGet, s.URL+path, "", nil)
				require.NoError(t, err)
				assert.Equal(t, "none", got.Body, path)
			}
		}
	})
}
