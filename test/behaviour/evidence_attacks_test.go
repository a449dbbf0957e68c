package behaviour_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestWhatAnUnknownSessionDoes: a session that nobody saw begin does something before its first
// page. What is known to change pages makes it special, and what may change them is judged rule by
// rule, as with any other.
func TestWhatAnUnknownSessionDoes(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		for i, path := range []string{"/known?into=b", "/some/module?into=b"} {
			s, _ := newShopLike(t, load, o)
			for _, path := range []string{"/a/1", "/b/1"} {
				s.Get(path)
			}
			cookie := sessionOfShop + site.SessionID(60+i)
			s.Do(http.MethodPost, path, "", cookie)
			require.Contains(t, s.Get("/a/1", cookie).CacheStatus(), "detail=session")
			r := s.Get("/b/1", cookie)
			assert.NotContains(t, r.CacheStatus(), "hit", path)
			assert.Contains(t, r.Body, "of ", path)
		}
	})
}

// TestAnAnswerThatIsNotOdoos: a proxy's word for a visitor who has gone, or that there is too much
// to do, does not say that Odoo has changed nothing.
func TestAnAnswerThatIsNotOdoos(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		for _, status := range []int{499, 408, 429} {
			s, odoo := newShopLike(t, load, o)
			visitor := begin(t, s)
			for i := 0; i < 8; i++ {
				odoo.visit(s, visitor, "/module/count", i)
			}
			other := begin(t, s)
			s.Do(http.MethodPost, "/module/count", "", other)
			require.Contains(t, s.Get("/a/1", other).CacheStatus(), "hit", "the route is trusted")
			s.Answers(func(rw http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost {
					odoo.serve(rw, r)
					return
				}
				odoo.mu.Lock()
				odoo.sessions[strings.TrimPrefix(other, sessionOfShop)] = "all"
				odoo.mu.Unlock()
				rw.WriteHeader(status)
			})
			s.Do(http.MethodPost, "/module/count", "", other)
			assert.NotContains(t, s.Get("/a/1", other).CacheStatus(), "hit", status)
		}
	})
}

// TestACookieThatARuleDropsCounts: that pages may be stored without the cookie of the session
// does not mean that a POST which sets it has changed nothing.
func TestACookieThatARuleDropsCounts(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		_, odoo := newShopLike(t, load, nil)
		s := site.New(t, load, site.Options{"rules": []site.Options{
			{"name": "seen", "match": site.Options{"pathPrefixes": []string{"/seen"}}, "bypass": "true", "session": "keep"},
			{"name": "all", "match": site.Options{"pathPrefixes": []string{"/a", "/c"}}, "ttl": "60", "fill": "nobody", "cookies": site.Options{"drop": []string{"session_id"}}},
		}}, odoo.serve)
		visitor := begin(t, s)
		require.True(t, odoo.visit(s, visitor, "/c/count?cookie=1", 0))
		for i := 1; i < 12; i++ {
			require.False(t, odoo.visit(s, visitor, "/c/count?cookie=1", i), i)
		}
	})
}

// TestDataShowsNothingOfPages: what scripts of a page ask for below the addresses of pages is the
// same for all, whatever the visitor has in the cart.
func TestDataShowsNothingOfPages(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for kind, body := range map[string]string{"application/json": `{"html":"<header>x</header>"}`, "text/html": "<p>a part of a page</p>", "text/plain": "x"} {
			s, _ := shopOfPreset(t, load)
			in := map[string]bool{}
			given := 0
			s.Answers(func(rw http.ResponseWriter, r *http.Request) {
				c, err := r.Cookie("session_id")
				if err != nil {
					given++
					rw.Header().Add("Set-Cookie", "session_id="+site.SessionID(given)+"; HttpOnly; Path=/")
				}
				if r.Method == http.MethodPost {
					in[c.Value] = true
					return
				}
				if r.URL.Path == "/module/data" {
					site.Page(body, "Content-Type: "+kind)(rw, r)
					return
				}
				own := ""
				if err == nil && in[c.Value] {
					own = " cart of " + c.Value
				}
				site.Page(site.HTMLPage("x "+r.URL.Path+own), "Content-Type: text/html")(rw, r)
			})
			for _, path := range []string{"/about", "/module/data"} {
				s.Get(path)
			}
			for _, unknown := range []bool{false, true} {
				cookie := "Cookie: session_id=" + s.Get("/web/login").Session()
				if unknown {
					cookie = "Cookie: session_id=" + site.SessionID(77)
				} else {
					require.Contains(t, s.Get("/about", cookie).CacheStatus(), "; hit")
				}
				s.Do(http.MethodPost, "/module/buy", "{}", "Content-Type: application/json", cookie)
				s.Get("/module/data", cookie)
				assert.NotContains(t, s.Get("/about", cookie).CacheStatus(), "; hit", "%s %v", kind, unknown)
			}
		}
	})
}

// TestSpecialSessionsInUseStay: whoever makes sessions up does not have others forgotten that
// are known to be special, and in use.
func TestSpecialSessionsInUseStay(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, _ := newShopLike(t, load, site.Options{"session": site.Options{"max": "100"}})
		for _, path := range []string{"/a/1", "/b/1"} {
			s.Get(path)
		}
		cookie := begin(t, s)
		s.Do(http.MethodPost, "/known?into=b", "", cookie)
		for i := 0; i < 300; i++ {
			s.Get("/a/1", sessionOfShop+site.SessionID(5000+i))
			if i%10 == 0 {
				require.Contains(t, s.Get("/a/1", cookie).CacheStatus(), "detail=session", i)
			}
		}
		assert.NotContains(t, s.Get("/b/1", cookie).CacheStatus(), "hit")
	})
}

// TestSignedInByTheFirstRequest: a module that signs its visitor in with the page to sign in, by a
// ticket or a proxy's word, begins no default session there.
func TestSignedInByTheFirstRequest(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, redirects := shopOfPreset(t, load)
		redirects["/web/login"] = "/"
		s.Get("/blog/news-1")
		cookie := "Cookie: session_id=" + s.Get("/web/login").Session()
		assert.Contains(t, s.Get("/blog/news-1", cookie).CacheStatus(), "detail=session")
	})
}

// TestKnownToChangePages: what Odoo's modules note of a visitor, and show on one page but not on
// the next, is not lifted by the next.
func TestKnownToChangePages(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, path := range []string{
			"/event/track/toggle_reminder", "/event_track/quiz/submit", "/event_track/quiz/reset", "/website/save_session_layout_mode",
			"/shop/set_click_and_collect_location", "/website_sale/set_pickup_location", "/event/fair-3/registration/confirm", "/fr/event/fair-3/booth/confirm",
			"/my/orders/reorder",
		} {
			s, _ := shopOfPreset(t, load)
			s.Answers(site.Page(site.HTMLPage("<header></header>"), "Content-Type: text/html", "Set-Cookie: session_id="+site.SessionID(3)+"; Path=/"))
			for _, path := range []string{"/event", "/about", "/shop/desk-9"} {
				s.Get(path)
			}
			cookie := "Cookie: session_id=" + s.Get("/web/login").Session()
			s.Do(http.MethodPost, path, "{}", "Content-Type: application/json", cookie)
			for _, path := range []string{"/event", "/event", "/about", "/about", "/shop/desk-9", "/shop/desk-9"} {
				assert.NotContains(t, s.Get(path, cookie).CacheStatus(), "; hit", path)
			}
		}
	})
}
