package behaviour_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// aToken is one as secrets.token_urlsafe(16) writes it.
const aToken = "Xy12-Ab_Q9zW8vU7tS6rQ5"

// presetSite is a site of preset odoo whose origin gives sessions as Odoo does.
func presetSite(t *testing.T, load site.Loader, extend site.Options) (s *site.Site, begin func() string) {
	t.Helper()
	o := &odooLike{sessions: map[string]string{}}
	options := site.Options{"preset": "odoo", "languages": []string{"en_US"}}
	if extend != nil {
		options["odoo"] = extend
	}
	s = site.New(t, load, options, o.serve)
	require.Contains(t, s.Get("/about-us").CacheStatus(), "stored")
	return s, func() string {
		id := s.Do(http.MethodPost, "/shop/cart/quantity", "x").Session()
		require.NotEmpty(t, id)
		cookie := "Cookie: session_id=" + id
		require.Contains(t, s.Get("/about-us", cookie).CacheStatus(), "; hit")
		return cookie
	}
}

// TestUnknownTokensMarkNothing: a click id that nobody knows goes to Odoo, and the visit goes
// on with hits. What the name or the answer says of a token counts.
func TestUnknownTokensMarkNothing(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, begin := presetSite(t, load, nil)
		for target, after := range map[string]string{ // "": the session is in doubt
			"/about-us?newclid=" + aToken: "; hit", "/?newclid=" + aToken: "; hit", "/shop?cl=3f2504e0-4f89-11d3-9a0c-0305e82c3301": "; hit", "/shop/desk-9?x=y&who=bob@example.com": "; hit",
			"/shop?newclid=" + strings.Repeat("word ", 500): "; hit", "/about-us?newclid=" + aToken + "&to=/about-us/": "; hit", "/about-us?newclid=" + aToken + "&to=/fr/about-us": "; hit",
			"/about-us?newclid=" + aToken + "&to=/shop": "", "/?access_token=" + aToken: "", "/?sso_ticket=" + aToken: "", "/shop?email=x": "", "/a/" + aToken: "",
		} {
			cookie := begin()
			got := s.Get(strings.ReplaceAll(target, " ", "+"), cookie)
			assert.Equal(t, "odoocache; fwd=bypass; detail=rule", got.CacheStatus(), target)
			assert.Equal(t, after != "", strings.Contains(s.Get("/about-us", cookie).CacheStatus(), "; hit"), target)
		}
		for target, after := range map[string]string{
			"/about-us?newclid=" + aToken: "; hit", "/about-us?newclid=" + aToken + "&to=/about-us": "", "/about-us?newclid=" + aToken + "&to=/shop": "", "/?access_token=" + aToken: "",
		} {
			id := s.Get(target).Session()
			require.NotEmpty(t, id, target)
			assert.Equal(t, after != "", strings.Contains(s.Get("/about-us", "Cookie: session_id="+id).CacheStatus(), "; hit"), "begun by %s", target)
		}
		cookie := begin()
		s.Do(http.MethodPost, "/about-us?newclid="+aToken, "x", cookie)
		assert.NotContains(t, s.Get("/about-us", cookie).CacheStatus(), "; hit", "a POST changes what it wants")
	})
}

// TestNamesThatLookLikeTokens are pages, also for visitors with a session.
func TestNamesThatLookLikeTokens(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, begin := presetSite(t, load, nil)
		cookie := begin()
		for _, target := range []string{"/datenschutzerklaerung", "/return", "/Katalog2024", "/shop?search=donaudampfschifffahrts", "/about-us?topic=verantwoordelijkheidsgevoel"} {
			assert.Contains(t, s.Get(target, cookie).CacheStatus(), "stored", target)
			assert.Contains(t, s.Get(target, cookie).CacheStatus(), "; hit", target)
			assert.Contains(t, s.Get(target).CacheStatus(), "; hit", target)
		}
		assert.Contains(t, s.Get("/return?id=7").CacheStatus(), "fwd=bypass; detail=rule")
	})
}

// TestPrefetchesMarkNothing: what a browser asks for before its visitor goes there.
func TestPrefetchesMarkNothing(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, begin := presetSite(t, load, nil)
		for i := 0; i < 3; i++ { // such requests are in a table by now
			require.Equal(t, 200, s.Get("/my/orders").Status)
		}
		cookie := begin()
		renders := s.Renders()
		for _, target := range []string{"/my/orders", "/web/session/logout", "/fr/shop/checkout", "/a/" + aToken, "/%2fshop", "/?access_token=x"} {
			for _, purpose := range []string{"prefetch", "prefetch;prerender", "Prefetch"} {
				for _, lines := range [][]string{{"Sec-Purpose: " + purpose}, {"Sec-Purpose: " + purpose, cookie}} {
					got := s.Get(target, lines...)
					assert.Equal(t, http.StatusServiceUnavailable, got.Status, target)
					assert.Equal(t, "odoocache; detail=prefetch", got.CacheStatus(), target)
					assert.Equal(t, "no-store", got.Header.Get("Cache-Control"))
				}
			}
		}
		assert.Equal(t, renders, s.Renders(), "Odoo hears nothing of it")
		assert.Contains(t, s.Get("/about-us", cookie, "Sec-Purpose: prefetch").CacheStatus(), "; hit")
		assert.Contains(t, s.Get("/contactus", cookie, "Sec-Purpose: prefetch").CacheStatus(), "stored")
		assert.Contains(t, s.Get("/shop?attribute_values=1-2", cookie, "Sec-Purpose: prefetch").CacheStatus(), "stored", "asked for without the session")
		for _, target := range []string{"/web/content/7", "/web/login", "/shop/cart"} {
			assert.Equal(t, 200, s.Get(target, cookie, "Sec-Purpose: prefetch").Status, "%s changes nothing", target)
		}
		assert.Equal(t, 200, s.Get("/my/orders", "Sec-Purpose: other").Status)
		assert.Equal(t, 200, s.Do(http.MethodPost, "/shop/cart/quantity", "x", "Sec-Purpose: prefetch").Status)
		assert.Contains(t, s.Get("/about-us", cookie).CacheStatus(), "; hit")

		s, begin = presetSite(t, load, site.Options{"prefetch": "forward"})
		cookie = begin()
		assert.Equal(t, 200, s.Get("/my/orders", cookie, "Sec-Purpose: prefetch").Status)
		assert.NotContains(t, s.Get("/about-us", cookie).CacheStatus(), "; hit")
	})
}

// TestThePresetIsExtended: by options in place of copies of its rules.
func TestThePresetIsExtended(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, begin := presetSite(t, load, site.Options{
			"ignoreQuery": []string{"partner_click", "aff_*"}, "bypassPaths": []string{"/dealers"}, "harmlessPaths": []string{"/availability"},
			"grace": "0", "ttl": site.Options{"products": "77s", "pages": "2h"},
		})
		assert.Contains(t, s.Get("/about-us?partner_click="+aToken+"&aff_x=1").CacheStatus(), "; hit")
		cookie := begin()
		s.Do(http.MethodPost, "/availability/read", "x", cookie)
		s.Get("/fr/availability", cookie)
		assert.Contains(t, s.Get("/about-us", cookie).CacheStatus(), "; hit; ttl=7")
		assert.Contains(t, s.Get("/dealers/7", cookie).CacheStatus(), "fwd=bypass; detail=rule")
		assert.NotContains(t, s.Get("/about-us", cookie).CacheStatus(), "; hit")
		s.Get("/shop/desk-9")
		assert.Contains(t, s.Get("/shop/desk-9").CacheStatus(), "; hit; ttl=7")
		_, err := load(context.Background(), http.NotFoundHandler(), site.Options{"preset": "odoo", "odoo": site.Options{"ignoreQuery": []string{"*"}, "ttl": site.Options{"lists": "soon"}}})
		require.Error(t, err)
		assert.Contains(t, err.Error(), `2 mistake(s): odoo.ignoreQuery[0]: "*" takes every parameter`)
		assert.Contains(t, err.Error(), `odoo.ttl.lists: "soon"; expected a duration`)
	})
}

// TestPresetRewarms: also where each request has a line in the log.
func TestPresetRewarms(t *testing.T) {
	for _, level := range []string{"error", "debug"} {
		t.Run(level, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				answer := site.Page("a page", "Content-Type: text/html", "Surrogate-Key: all")
				s := newCrowdedSite(t, load, site.Options{"preset": "odoo", "languages": []string{"en_US"}, "rewarm": "10", "logLevel": level}, answer)
				for i := 0; i < 8; i++ {
					for n := 1; n <= 3; n++ {
						s.Get(fmt.Sprintf("/shop/desk-%d", n))
					}
				}
				require.Equal(t, 3, s.Renders())
				require.Equal(t, 200, s.Do("PURGE", "/.odoocache/purge", `{"tags":["all"]}`).Status)
				require.Eventually(t, func() bool { return s.Renders() == 6 }, site.WaitFor, site.Tick)
				require.Eventually(t, func() bool { return strings.Contains(s.Get("/shop/desk-3").CacheStatus(), "; hit") }, site.WaitFor, site.Tick)
			})
		})
	}
}
