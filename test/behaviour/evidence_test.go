package behaviour_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// shopLike has pages of two rules, /a… and /b…. A session that was put into "all" has pages of
// its own everywhere, one that was put into "b" has below /b alone. Pages have CSRF tokens.
type shopLike struct {
	mu       sync.Mutex
	sessions map[string]string
	asked    map[string]int // by path, with " own" for those with a session
	quotes   string
	block    chan bool // a POST to /slow waits for it
}

func (o *shopLike) serve(rw http.ResponseWriter, r *http.Request) {
	id := ""
	if c, err := r.Cookie("session_id"); err == nil {
		id = c.Value
	}
	o.mu.Lock()
	who := ""
	if id != "" {
		who = " own"
	}
	o.asked[r.URL.Path+who]++
	n := o.asked[r.URL.Path+who]
	quotes := o.quotes
	o.mu.Unlock()
	if r.Method == http.MethodPost {
		if r.URL.Path == "/slow" {
			<-o.block
		}
		o.mu.Lock()
		o.sessions[id] = r.URL.Query().Get("into")
		o.mu.Unlock()
		if r.URL.Query().Get("cookie") != "" {
			rw.Header().Add("Set-Cookie", "session_id="+id+"; HttpOnly; Path=/")
		}
		rw.WriteHeader(http.StatusOK)
		return
	}
	if id == "" && strings.HasPrefix(r.URL.Path, "/seen") {
		rw.Header().Add("Set-Cookie", "session_id="+site.SessionID(n+1000)+"; HttpOnly; Path=/")
	}
	o.mu.Lock()
	in := o.sessions[id]
	o.mu.Unlock()
	token := fmt.Sprintf("%s%s%040do1999999999%s", "", quotes, len(who)*1000+n, quotes)
	head := "<header></header>"
	if strings.HasSuffix(r.URL.Path, "bare") {
		head = ""
	}
	body := "<html>" + head + "page " + r.URL.Path + " csrf_token: " + token
	if in == "all" || in == "b" && strings.HasPrefix(r.URL.Path, "/b") {
		body += " of " + id
	}
	kind := "text/html; charset=utf-8"
	if strings.HasSuffix(r.URL.Path, ".txt") {
		kind = "text/plain"
	}
	site.Page(body+"</html>", "Content-Type: "+kind)(rw, r)
}

func newShopLike(t *testing.T, load site.Loader, more site.Options) (*site.Site, *shopLike) {
	t.Helper()
	odoo := &shopLike{sessions: map[string]string{}, asked: map[string]int{}, quotes: `"`, block: make(chan bool)}
	page := func(name, prefix string) site.Options {
		return site.Options{
			"name": name, "match": site.Options{"methods": []string{"GET"}, "pathPrefixes": []string{prefix}}, "ttl": "60", "fill": "nobody",
			"cookies": site.Options{"drop": []string{"session_id"}},
		}
	}
	o := site.Options{"rules": []site.Options{
		{"name": "harmless", "match": site.Options{"pathPrefixes": []string{"/seen"}}, "bypass": "true", "session": "keep"},
		{"name": "known", "match": site.Options{"pathPrefixes": []string{"/known"}}, "bypass": "true", "session": "mark"},
		{"name": "unknown", "match": site.Options{"pathPrefixes": []string{"/unknown"}}, "bypass": "true"},
		page("a", "/a"), page("b", "/b"),
	}}
	for name, value := range more {
		o[name] = value
	}
	return site.New(t, load, o, odoo.serve), odoo
}

func (o *shopLike) count(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[what]
}

// settled waits until a visitor's page is a hit. What has to be asked for in the background
// takes a while.
func settled(t *testing.T, s *site.Site, path, cookie string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.Get(path, cookie).CacheStatus(), "hit") }, 5*time.Second, 10*time.Millisecond, path)
}

const sessionOfShop = "Cookie: session_id="

// begin returns the cookie of a session that the edge saw begin.
func begin(t *testing.T, s *site.Site) string {
	t.Helper()
	id := s.Get("/seen").Session()
	require.NotEmpty(t, id)
	return sessionOfShop + id
}

// TestDoubtIsSettledByEvidence: a session that did something unknown gets nobody's pages again
// as soon as a page of it was seen to be that, rule by rule.
func TestDoubtIsSettledByEvidence(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		for _, c := range []struct {
			name   string
			method string
			path   string
			a, b   bool // pages of the rules are hits in the end
			quotes string
		}{
			{"a POST that changes nothing", http.MethodPost, "/some/module", true, true, `"`},
			{"a POST that changes nothing, other quotes", http.MethodPost, "/some/module", true, true, `'`},
			{"a GET past the cache", http.MethodGet, "/unknown", true, true, `"`},
			{"a POST that changes all pages", http.MethodPost, "/some/module?into=all", false, false, `"`},
			{"a POST that changes pages of one rule", http.MethodPost, "/some/module?into=b", true, false, `"`},
			{"a POST that is known to change pages", http.MethodPost, "/known", false, false, `"`},
		} {
			t.Run(c.name, func(t *testing.T) {
				s, odoo := newShopLike(t, load, o)
				cookie := begin(t, s)
				for _, path := range []string{"/a/1", "/a/2", "/b/1", "/b/2"} {
					s.Get(path)
					require.Contains(t, s.Get(path, cookie).CacheStatus(), "hit", path)
				}
				odoo.mu.Lock()
				odoo.quotes = c.quotes
				odoo.mu.Unlock()
				s.Do(c.method, c.path, "", cookie)
				first := s.Get("/a/1", cookie)
				require.Contains(t, first.CacheStatus(), "detail=session", "what it has done is not known yet")
				require.Equal(t, c.a, strings.Contains(s.Get("/a/2", cookie).CacheStatus(), "hit"))
				if c.a {
					require.Contains(t, s.Get("/b/1", cookie).CacheStatus(), "detail=session", "pages of another rule show more")
				}
				second := s.Get("/b/2", cookie)
				require.Equal(t, c.b, strings.Contains(second.CacheStatus(), "hit"), second.CacheStatus())
				if !c.b {
					for i := 0; i < 3; i++ {
						require.NotContains(t, s.Get("/b/2", cookie).CacheStatus(), "hit")
					}
				}
				require.Equal(t, 1, odoo.count("/a/1"), "what is stored is not stored anew")

				s.Do(http.MethodPost, "/again", "", cookie)
				require.Contains(t, s.Get("/a/2", cookie).CacheStatus(), "detail=session", "evidence counts till the next doubt")
			})
		}
	})
}

// TestASessionOfUnknownBirthIsSettledByOnePage: of a session that was there before the cache.
// A page with a header settles it for all rules; what has none does so for its own rule. One
// with a cart does not.
func TestASessionOfUnknownBirthIsSettledByOnePage(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, odoo := newShopLike(t, load, o)
		for _, path := range []string{"/a/1", "/a/bare", "/b/1"} {
			s.Get(path)
		}
		bare := sessionOfShop + site.SessionID(6)
		require.Contains(t, s.Get("/a/bare", bare).CacheStatus(), "detail=session")
		require.Contains(t, s.Get("/a/1", bare).CacheStatus(), "hit", "a page of the same rule")
		require.Contains(t, s.Get("/b/1", bare).CacheStatus(), "detail=session", "a page without a header shows nothing of others")
		returning := sessionOfShop + site.SessionID(7)
		require.Contains(t, s.Get("/a/1", returning).CacheStatus(), "detail=session")
		require.Contains(t, s.Get("/b/1", returning).CacheStatus(), "hit")
		require.Contains(t, s.Get("/a/1", returning).CacheStatus(), "hit")

		odoo.sessions[site.SessionID(8)] = "all"
		cart := sessionOfShop + site.SessionID(8)
		for i := 0; i < 4; i++ {
			r := s.Get([]string{"/a/1", "/b/1"}[i%2], cart)
			require.Contains(t, r.CacheStatus(), "detail=session")
			require.Contains(t, r.Body, "of "+site.SessionID(8))
		}
	})
}

// TestWhatNobodyHasAskedFor: where nothing is stored to compare with, nobody's page is asked
// for, once, and stored.
func TestWhatNobodyHasAskedFor(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, odoo := newShopLike(t, load, o)
		returning := sessionOfShop + site.SessionID(7)
		require.Contains(t, s.Get("/a/1", returning).CacheStatus(), "detail=session")
		require.Eventually(t, func() bool { return odoo.count("/a/1") == 1 }, 5*time.Second, time.Millisecond)
		settled(t, s, "/a/1", returning)
		require.Equal(t, 1, odoo.count("/a/1"))
		require.Contains(t, s.Get("/a/1").CacheStatus(), "hit", "for everybody")
	})
}

// TestEvidenceOfAnotherTime: what a page has shown while a request was under way that could
// change the session counts for nothing.
func TestEvidenceOfAnotherTime(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, odoo := newShopLike(t, load, o)
		cookie := begin(t, s)
		s.Get("/a/1")
		s.Get("/a/2")
		done := make(chan bool)
		go func() {
			s.Do(http.MethodPost, "/slow?into=all", "", cookie)
			close(done)
		}()
		require.Eventually(t, func() bool { return odoo.count("/slow own") == 1 }, 5*time.Second, time.Millisecond)
		require.Contains(t, s.Get("/a/1", cookie).CacheStatus(), "detail=session")
		odoo.block <- true
		<-done
		r := s.Get("/a/2", cookie)
		require.NotContains(t, r.CacheStatus(), "hit", "it was shown before the session changed")
		assert.Contains(t, r.Body, "of ")
	})
}

// TestEvidenceIsLookedForNowAndThen: a session whose pages differ is not compared each time.
func TestEvidenceIsLookedForNowAndThen(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, odoo := newShopLike(t, load, nil)
		cookie := begin(t, s)
		s.Do(http.MethodPost, "/some/module?into=all", "", cookie)
		for i := 0; i < 20; i++ {
			require.NotContains(t, s.Get(fmt.Sprint("/a/", i), cookie).CacheStatus(), "hit")
		}
		time.Sleep(100 * time.Millisecond)
		asked := 0
		for i := 0; i < 20; i++ {
			asked += odoo.count(fmt.Sprint("/a/", i))
		}
		require.LessOrEqual(t, asked, 3, "nobody's page costs a render each time")
	})
}

// visit is one page of a visitor whose module posts with each page. It reports whether that
// was a hit.
func (o *shopLike) visit(s *site.Site, cookie, post string, i int) bool {
	s.Get(fmt.Sprint("/a/", i))
	hit := strings.Contains(s.Get(fmt.Sprint("/a/", i), cookie).CacheStatus(), "hit")
	s.Do(http.MethodPost, post, "", cookie)
	return hit
}

// TestARouteIsTrustedThatChangesNothing: a module that posts with each page costs its visitors
// no hits once some pages have shown that it changes nothing. It is looked at now and then,
// and the first page that differs ends the trust, for everybody.
func TestARouteIsTrustedThatChangesNothing(t *testing.T) {
	storages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, odoo := newShopLike(t, load, o)
		visitors := []string{begin(t, s), begin(t, s)}
		hits := 0
		for i := 0; i < 24; i++ {
			if odoo.visit(s, visitors[i%2], fmt.Sprint("/module/count/", i), i) {
				hits++
			} else if i > 6 {
				assert.Equal(t, 1, odoo.count(fmt.Sprint("/a/", i, " own")))
			}
		}
		require.GreaterOrEqual(t, hits, 18)
		require.Less(t, hits, 22, "it has to be shown first, and to be looked at again")

		third := begin(t, s)
		s.Do(http.MethodPost, "/module/other", "", third)
		require.NotContains(t, s.Get("/a/1", third).CacheStatus(), "hit", "another route")

		differs := 0
		for i := 0; i < 40; i++ { // now it does change something
			cookie := visitors[i%2]
			s.Do(http.MethodPost, fmt.Sprint("/module/count/", i, "?into=all"), "", cookie)
			if strings.Contains(s.Get(fmt.Sprint("/a/", i%20), cookie).Body, "of ") {
				differs++
			}
		}
		require.GreaterOrEqual(t, differs, 40-16, "once that is found out, by a probe at the latest")
		fourth := begin(t, s)
		s.Do(http.MethodPost, "/module/count/7", "", fourth)
		require.NotContains(t, s.Get("/a/1", fourth).CacheStatus(), "hit", "the trust has ended for everybody")
	})
}

// TestARouteThatSetsTheCookieIsNotTrusted: Odoo says so that the session has changed.
func TestARouteThatSetsTheCookieIsNotTrusted(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, odoo := newShopLike(t, load, nil)
		visitor := begin(t, s)
		require.True(t, odoo.visit(s, visitor, "/module/count?cookie=1", 0))
		for i := 1; i < 12; i++ {
			require.False(t, odoo.visit(s, visitor, "/module/count?cookie=1", i))
		}
	})
}

// TestWhatIsKnownIsNotLearned: a rule that says mark is never trusted.
func TestWhatIsKnownIsNotLearned(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s, odoo := newShopLike(t, load, nil)
		for i := 0; i < 12; i++ {
			visitor := begin(t, s)
			odoo.visit(s, visitor, "/known/count", i)
			require.False(t, odoo.visit(s, visitor, "/known/count", i))
		}
	})
}

// TestEvidenceIsBounded: so many answers are kept at once; what is more is handed on as it comes.
func TestEvidenceIsBounded(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for most, want := range map[string]string{"0": "detail=session", "1": "hit"} {
			s, _ := newShopLike(t, load, site.Options{"limits": site.Options{"evidence": most}})
			s.Get("/a/1")
			returning := sessionOfShop + site.SessionID(7)
			require.Contains(t, s.Get("/a/1", returning).CacheStatus(), "detail=session")
			for i := 0; i < 3; i++ { // its room is given back
				require.Contains(t, s.Get("/a/1", returning).CacheStatus(), want)
				s.Do(http.MethodPost, "/some/module", "", returning)
				require.NotContains(t, s.Get("/a/1", returning).CacheStatus(), "hit")
			}
		}
	})
}
