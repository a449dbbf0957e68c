package behaviour_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// visitorLike answers as Odoo 14 does: a cookie beside the session names the
// visitor, and what they marked shows in pages (addons/website_event_track/models/
// event_track.py, _compute_is_reminder_on). Whoever has none is given one.
func visitorLike(given *int) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if c, err := r.Cookie("visitor_uuid"); err == nil {
			who = c.Value
		} else {
			*given++
			rw.Header().Add("Set-Cookie", fmt.Sprintf("visitor_uuid=new%d; Path=/", *given))
		}
		lines := []string{"Content-Type: text/html"}
		if r.URL.Path == "/uncached" {
			lines = append(lines, "Cache-Control: no-store")
		}
		site.Page("for "+who, lines...)(rw, r)
	}
}

var visitorRules = site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "fill": "nobody", "cookies": site.Options{"drop": []string{"session_id", "visitor_uuid"}}}}}

// TestNobodyGetsAnothersVisitor: what a visitor's cookie makes of a page is not
// stored, nor is the cookie that a new visitor gets.
func TestNobodyGetsAnothersVisitor(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, cookie := range []string{"visitor_uuid=ann", "visitor_uuid=ann; session_id=" + site.SessionID(5), "a=b; visitor_uuid =ann"} {
			given := 0
			s := site.New(t, load, visitorRules, visitorLike(&given))
			s.Get("/a", "Cookie: "+cookie)
			got := s.Get("/a", "Cookie: c=d")
			assert.Equal(t, "for nobody", got.Body, cookie)
			assert.Empty(t, got.Header["Set-Cookie"], cookie)
		}
	})
}

// TestAVisitorFillsForEverybody: the origin is asked without the cookie, and hears
// of it where the answer is not for everybody.
func TestAVisitorFillsForEverybody(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		given := 0
		s := site.New(t, load, visitorRules, visitorLike(&given))
		const ann = "Cookie: a=b; visitor_uuid=ann"
		first := s.Get("/a", ann)
		assert.Contains(t, first.CacheStatus(), "stored")
		assert.Equal(t, "for nobody", first.Body)
		assert.Empty(t, first.Header["Set-Cookie"], "the visitor keeps theirs")
		assert.Empty(t, s.Request().Header["Cookie"])
		assert.Contains(t, s.Get("/a", ann).CacheStatus(), "hit")

		before := s.Renders()
		for i := 0; i < 3; i++ {
			got := s.Get("/uncached", ann)
			assert.Equal(t, "for ann", got.Body)
			assert.Empty(t, got.Header["Set-Cookie"])
		}
		require.Equal(t, before+4, s.Renders(), "one try without it")
		// It is not tried again so soon, so what comes now is this visitor's own.
		s.Answers(site.Page("for ann", "Content-Type: text/html"))
		assert.Contains(t, s.Get("/uncached", ann).CacheStatus(), "detail=no-store")
	})
}
