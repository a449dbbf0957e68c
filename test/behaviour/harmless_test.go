package behaviour_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// shopOfPreset answers as an Odoo shop with live chat does: with a session for whoever has none.
func shopOfPreset(t *testing.T, load site.Loader) (*site.Site, map[string]string) {
	t.Helper()
	redirects := map[string]string{}
	s := site.New(t, load, asPreset(site.Options{"languages": []string{"en_US", "fr_FR"}}), nil)
	given := 0
	s.Answers(func(rw http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("session_id")
		if err != nil || r.URL.Path == "/web/session/logout" {
			given++
			rw.Header().Add("Set-Cookie", "session_id="+site.SessionID(given)+"; HttpOnly; Path=/")
		}
		own := ""
		if err == nil {
			own = " of " + c.Value
		}
		if to := redirects[r.URL.Path]; to != "" {
			rw.Header().Set("Location", to)
			rw.WriteHeader(http.StatusSeeOther)
			return
		}
		if r.URL.Path == "/none" {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		site.Page(site.HTMLPage("x "+r.URL.Path+own), "Content-Type: text/html")(rw, r)
	})
	return s, redirects
}

const (
	livechatCall = `{"id":1,"jsonrpc":"2.0","method":"call","params":{"fetch_params":[["init_messaging",{"channel_types":["livechat"]}],["init_livechat",1]],"context":{"lang":"en_US"}}}`
	channelCall  = `{"id":1,"jsonrpc":"2.0","method":"call","params":{"fetch_params":[["/discuss/create_channel",{"name":"x"}]]}}`
)

// TestWhatLeavesASessionAsItIs: what any visit has in it costs no hit.
func TestWhatLeavesASessionAsItIs(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		json := "Content-Type: application/json"
		for _, c := range []struct {
			name string
			do   func(s *site.Site, cookie string)
			hit  bool
		}{
			{"live chat looks around", func(s *site.Site, cookie string) { s.Do(http.MethodPost, "/mail/action", livechatCall, json, cookie) }, true},
			{"in another language", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/fr/mail/action", livechatCall, json, cookie)
			}, true},
			{"the mail store is read", func(s *site.Site, cookie string) { s.Do(http.MethodPost, "/mail/data", livechatCall, json, cookie) }, true},
			{"a chat window opens", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/im_livechat/get_session", `{"params":{"channel_id":1,"persisted":false}}`, json, cookie)
			}, true},
			{"something is said in it", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/im_livechat/get_session", `{"params":{"channel_id":1,"persisted":true}}`, json, cookie)
			}, false},
			{"a channel is made", func(s *site.Site, cookie string) { s.Do(http.MethodPost, "/mail/action", channelCall, json, cookie) }, false},
			{"a call that is too long to be looked at", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/mail/action", livechatCall+strings.Repeat(" ", 4096), json, cookie)
			}, false},
			{"a call in a coding", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/mail/action", livechatCall, json, "Content-Encoding: gzip", cookie)
			}, false},
			{"reviews and comments", func(s *site.Site, cookie string) { s.Do(http.MethodPost, "/mail/chatter_fetch", "{}", json, cookie) }, true},
			{"the page to sign in", func(s *site.Site, cookie string) { s.Get("/web/login", cookie) }, true},
			{"in French", func(s *site.Site, cookie string) { s.Get("/fr/web/login", cookie) }, true},
			{"the page to sign up", func(s *site.Site, cookie string) { s.Get("/web/signup", cookie) }, true},
			{"signing in", func(s *site.Site, cookie string) { s.Do(http.MethodPost, "/web/login", "login=x", cookie) }, false},
			{"the cart", func(s *site.Site, cookie string) { s.Get("/shop/cart", cookie) }, true},
			{"a prefetch of it", func(s *site.Site, cookie string) { s.Get("/shop/cart", cookie, "Sec-Purpose: prefetch") }, true},
			{"the face of an operator", func(s *site.Site, cookie string) {
				s.Get("/web/image/res.partner/9/avatar_128?access_token=x&unique=1", cookie)
			}, true},
			{"the same, of an affiliate", func(s *site.Site, cookie string) {
				s.Get("/web/image/res.partner/9/avatar_128?access_token=x&affiliate_id=1", cookie)
			}, false},
			{"a cart of somebody", func(s *site.Site, cookie string) { s.Get("/shop/cart?id=7&access_token=x", cookie) }, false},
			{"a form in a GET of it", func(s *site.Site, cookie string) { s.Do(http.MethodGet, "/shop/cart", "access_token=x", cookie) }, false},
			{"a form in a GET of a page", func(s *site.Site, cookie string) { s.Do(http.MethodGet, "/blog", "debug=1", cookie) }, false},
			{"something into the cart", func(s *site.Site, cookie string) { s.Do(http.MethodPost, "/shop/cart/add", "{}", json, cookie) }, false},
			{"the account", func(s *site.Site, cookie string) { s.Get("/my", cookie) }, true},
			{"a course", func(s *site.Site, cookie string) { s.Get("/slides/gardens-1", cookie) }, true},
			{"its lessons of a kind", func(s *site.Site, cookie string) { s.Get("/fr/slides/gardens-1/category/trees-4/page/2", cookie) }, true},
			{"a lesson", func(s *site.Site, cookie string) { s.Get("/slides/slide/trees-4?fullscreen=1", cookie) }, true},
			{"an invitation to a course", func(s *site.Site, cookie string) { s.Get("/slides/1/invite?invite_partner_id=3&invite_hash=x", cookie) }, false},
			{"a lesson that was done", func(s *site.Site, cookie string) { s.Get("/slides/slide/trees-4/set_completed", cookie) }, false},
			{"answers in a quiz", func(s *site.Site, cookie string) {
				s.Do(http.MethodPost, "/slides/slide/quiz/save_to_session", "{}", json, cookie)
			}, false},
			{"a forum that sends on", func(s *site.Site, cookie string) { s.Get("/forum", cookie) }, true},
			{"an event that sends on", func(s *site.Site, cookie string) { s.Get("/event/fair-3", cookie) }, true},
			{"a page of a module that sends elsewhere", func(s *site.Site, cookie string) { s.Get("/choose", cookie) }, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				s, redirects := shopOfPreset(t, load)
				redirects["/forum"], redirects["/event/fair-3"], redirects["/choose"], redirects["/my"] = "/forum/help-1", "/event/fair-3/register", "/shop", "/web/login?redirect=/my"
				s.Get("/blog/news-1")
				cookie := "Cookie: session_id=" + s.Get("/web/login").Session()
				require.Contains(t, s.Get("/blog/news-1", cookie).CacheStatus(), "; hit", "a session that begins there is a default one")
				c.do(s, cookie)
				want := "; hit"
				if !c.hit {
					want = "detail=session"
				}
				assert.Contains(t, s.Get("/blog/news-1", cookie).CacheStatus(), want)
			})
		}
	})
}

// TestABodyThatWasLookedAt reaches Odoo as it came.
func TestABodyThatWasLookedAt(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, _ := shopOfPreset(t, load)
		got := ""
		s.Answers(func(_ http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			got = string(b)
		})
		for _, body := range []string{livechatCall, channelCall, "", "{", livechatCall + strings.Repeat(" ", 5000)} {
			s.Do(http.MethodPost, "/mail/action", body, "Content-Type: application/json")
			require.Equal(t, body, got)
		}
	})
}

// TestSigningOut: the session that it begins is a default one; the one that it ends is in doubt.
func TestSigningOut(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, redirects := shopOfPreset(t, load)
		redirects["/web/session/logout"] = "/"
		s.Get("/blog/news-1")
		before := "Cookie: session_id=" + s.Get("/web/login").Session()
		out := s.Get("/web/session/logout", before)
		after := "Cookie: session_id=" + out.Session()
		require.NotEqual(t, before, after)
		require.Contains(t, s.Get("/blog/news-1", after).CacheStatus(), "; hit")
		require.Contains(t, s.Get("/blog/news-1", before).CacheStatus(), "detail=session")
		posted := s.Do(http.MethodPost, "/web/session/logout", "x", before)
		require.Contains(t, s.Get("/blog/news-1", "Cookie: session_id="+posted.Session()).CacheStatus(), "detail=session")
	})
}

// TestRenderedOnce: a redirect of Odoo's own, or a page that is not there, is asked for once
// for a visitor with a default session. Where a module sends elsewhere, the visitor asks.
func TestRenderedOnce(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, redirects := shopOfPreset(t, load)
		for from, to := range map[string]string{
			"/": "/shop", "/shop/product/desk-9": "/shop/desk-9", "/forum": "/forum/help-1", "/event/fair-3": "/event/fair-3/register",
			"/shop": "/web/login?redirect=/shop", "/old": "https://elsewhere.example/", "/choose": "/shop", "/blog": "https://elsewhere.example/",
		} {
			redirects[from] = to
		}
		for path, want := range map[string]int{
			"/": 1, "/shop/product/desk-9": 1, "/forum": 1, "/event/fair-3": 1, "/shop": 1, "/none": 1,
			"/old": 2, "/choose": 2, "/blog": 2,
		} {
			cookie := "Cookie: session_id=" + s.Get("/web/login").Session()
			before := s.Renders()
			s.Get(path, cookie)
			assert.Equal(t, want, s.Renders()-before, path)
		}
	})
}

// TestTranslationsAreHits: browsers ask for them past their own caches with each page; in
// French they are sent to another address first. Neither depends on who asks.
func TestTranslationsAreHits(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, _ := shopOfPreset(t, load)
		s.Answers(func(rw http.ResponseWriter, r *http.Request) {
			c, err := r.Cookie("frontend_lang")
			if !strings.HasPrefix(r.URL.Path, "/fr/") && err == nil && c.Value == "fr_FR" {
				rw.Header().Set("Location", "/fr"+r.URL.RequestURI())
				rw.Header().Set("Content-Length", "0")
				rw.WriteHeader(http.StatusSeeOther)
				return
			}
			site.Page(`{"lang":"`+r.URL.Query().Get("lang")+`"}`, "Content-Type: application/json", "Cache-Control: public, max-age=0")(rw, r)
		})
		bypass := "Cache-Control: no-cache"
		cart := "; session_id=" + site.SessionID(9)
		const at = "/website/translations?hash=0a1b&lang="
		for _, c := range []struct {
			path, cookie string
			status       int
		}{{at + "en_US", "frontend_lang=en_US", 200}, {at + "fr_FR", "frontend_lang=fr_FR", 303}, {"/fr" + at + "fr_FR", "frontend_lang=fr_FR", 200}} {
			first := s.Get(c.path, bypass, "Cookie: "+c.cookie)
			require.Equal(t, c.status, first.Status, c.path)
			require.Contains(t, first.CacheStatus(), "stored", c.path)
			second := s.Get(c.path, bypass, "Cookie: "+c.cookie+cart)
			assert.Contains(t, second.CacheStatus(), "; hit", c.path)
			assert.Equal(t, c.status, second.Status)
			assert.Equal(t, first.Header.Get("Location"), second.Header.Get("Location"))
		}
		assert.NotContains(t, s.Get("/website/translations?lang=fr_FR", bypass).CacheStatus(), "stored", "without a hash nothing says what it is of")
	})
}
