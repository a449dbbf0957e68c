package odoocache_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		page("for "+who, lines...)(rw, r)
	}
}

var visitorRules = options{"rules": []options{{"match": everything, "ttl": "60", "fill": "nobody", "cookies": options{"drop": []string{"session_id", "visitor_uuid"}}}}}

// TestNobodyGetsAnothersVisitor: what a visitor's cookie makes of a page is not
// stored, nor is the cookie that a new visitor gets.
func TestNobodyGetsAnothersVisitor(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, cookie := range []string{"visitor_uuid=ann", "visitor_uuid=ann; session_id=" + sid(5), "a=b; visitor_uuid =ann"} {
			given := 0
			s := newSite(t, load, visitorRules, visitorLike(&given))
			s.get("/a", "Cookie: "+cookie)
			got := s.get("/a", "Cookie: c=d")
			assert.Equal(t, "for nobody", got.body, cookie)
			assert.Empty(t, got.header["Set-Cookie"], cookie)
		}
	})
}

// TestAVisitorFillsForEverybody: the origin is asked without the cookie, and hears
// of it where the answer is not for everybody.
func TestAVisitorFillsForEverybody(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		given := 0
		s := newSite(t, load, visitorRules, visitorLike(&given))
		const ann = "Cookie: a=b; visitor_uuid=ann"
		first := s.get("/a", ann)
		assert.Contains(t, first.cacheStatus(), "stored")
		assert.Equal(t, "for nobody", first.body)
		assert.Empty(t, first.header["Set-Cookie"], "the visitor keeps theirs")
		assert.Empty(t, s.request().Header["Cookie"])
		assert.Contains(t, s.get("/a", ann).cacheStatus(), "hit")

		before := s.renders()
		for i := 0; i < 3; i++ {
			got := s.get("/uncached", ann)
			assert.Equal(t, "for ann", got.body)
			assert.Empty(t, got.header["Set-Cookie"])
		}
		require.Equal(t, before+4, s.renders(), "one try without it")
		// It is not tried again so soon, so what comes now is this visitor's own.
		s.answers(page("for ann", "Content-Type: text/html"))
		assert.Contains(t, s.get("/uncached", ann).cacheStatus(), "detail=no-store")
	})
}
