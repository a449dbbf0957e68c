package behaviour_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestRangeOnAStoredResponseThatMustBeValidated: a client that sets no
// condition must not get a 304.
func TestRangeOnAStoredResponseThatMustBeValidated(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Etag", `"a"`)
			rw.Header().Set("Cache-Control", "no-cache")
			if r.Header.Get("If-None-Match") == `"a"` {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			site.Page("0123456789")(rw, r)
		})
		s.Get("/f")
		got := s.Get("/f", "Range: bytes=0-3")
		assert.Equal(t, 206, got.Status)
		assert.Equal(t, "0123", got.Body)
	})
}

// TestPurgesInAnswersToRequestsForStreams: what a request asks for does not
// decide whether its answer may purge.
func TestPurgesInAnswersToRequestsForStreams(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, c := range []struct{ method, line string }{
			{http.MethodPost, "Accept: application/json, text/event-stream"},
			{http.MethodPost, "Upgrade: h2c"},
			{http.MethodGet, "Accept: text/event-stream"},
			{http.MethodGet, "Upgrade: websocket"},
		} {
			s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/change" {
					rw.Header().Set("X-Odoo-Purge", "product-1")
				}
				site.Page("x", "Cache-Control: max-age=60", "Surrogate-Key: product-1")(rw, r)
			})
			s.Get("/p")
			require.Contains(t, s.Get("/p").CacheStatus(), "; hit")
			body := ""
			if c.method == http.MethodPost {
				body = "{}"
			}
			change := s.Do(c.method, "/change", body, c.line)
			assert.Empty(t, change.Header["X-Odoo-Purge"], c)
			assert.NotContains(t, s.Get("/p").CacheStatus(), "; hit", c)
		}
	})
}

// TestPurgesInAnswersThatTakeTheConnectionOver: the origin is not told of a cache that would
// see them too late; if it says so all the same, they are not lost.
func TestPurgesInAnswersThatTakeTheConnectionOver(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		var edge atomic.Value
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/websocket" {
				site.Page("x", "Cache-Control: max-age=60", "Surrogate-Key: product-1")(rw, r)
				return
			}
			edge.Store(r.Header["X-Odoo-Cache-Edge"] != nil)
			conn, buffered, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				panic(err)
			}
			rw.Header().Set("X-Odoo-Purge", "product-1") // as httputil.ReverseProxy does
			_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			_ = buffered.Flush()
			_ = conn.Close()
		})
		s.Get("/p")
		require.Contains(t, s.Get("/p").CacheStatus(), "; hit")
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Odoo-Cache-Edge: forged\r\n\r\n")
		require.NoError(t, err)
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Contains(t, string(got), "101 Switching Protocols")
		assert.Equal(t, false, edge.Load())
		assert.Eventually(t, func() bool { return !strings.Contains(s.Get("/p").CacheStatus(), "; hit") }, site.WaitFor, site.Tick)
	})
}

// TestA304ThatAddsVary makes the stored response a variant (RFC 9111 §4.1).
func TestA304ThatAddsVary(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("Accept-Language") == "fr":
				site.Page("bonjour", "Cache-Control: max-age=60", "Vary: Accept-Language", `Etag: "b"`)(rw, r)
			case r.Header.Get("If-None-Match") == `"a"`:
				for name, lines := range site.Fields(`Etag: "a"`, "Cache-Control: max-age=60", "Vary: Accept-Language") {
					rw.Header()[name] = lines
				}
				rw.WriteHeader(http.StatusNotModified)
			default:
				site.Page("hello", "Cache-Control: no-cache", `Etag: "a"`)(rw, r)
			}
		})
		s.Get("/p", "Accept-Language: en")
		assert.Contains(t, s.Get("/p", "Accept-Language: en").CacheStatus(), "fwd-status=304; stored")
		assert.Equal(t, "bonjour", s.Get("/p", "Accept-Language: fr").Body)
		assert.Equal(t, "hello", s.Get("/p", "Accept-Language: en").Body)
		assert.Contains(t, s.Get("/p", "Accept-Language: en").CacheStatus(), "; hit")
	})
}

// TestInvalidationWhateverTheLocationIs: RFC 9111 §4.4 says must for the
// request's own address.
func TestInvalidationWhateverTheLocationIs(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, location := range []string{"mailto:a@b.c", "tel:12", "/next", "?"} {
			location := location
			s := site.New(t, load, site.Options{"limits": site.Options{"purgeItems": "1"}}, func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					rw.Header().Set("Location", location)
					rw.WriteHeader(http.StatusSeeOther)
					return
				}
				site.Page("x", "Cache-Control: max-age=60")(rw, r)
			})
			s.Get("/p")
			s.Do(http.MethodPost, "/p", "a")
			assert.NotContains(t, s.Get("/p").CacheStatus(), "; hit", location)
		}
	})
}

// TestVaryOfAMiddlewareInFront: Traefik's compress adds its own before it asks
// the next handler.
func TestVaryOfAMiddlewareInFront(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		h, err := load(context.Background(), site.Page("x", "Cache-Control: max-age=60", "Vary: Accept-Language"), site.Options{"tenant": fmt.Sprint("outer", site.Tenants.Add(1))})
		require.NoError(t, err)
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Add("Vary", "Accept-Encoding")
			h.ServeHTTP(rw, r)
		}))
		defer server.Close()
		for i := 0; i < 3; i++ {
			got, err := site.Send(http.MethodGet, server.URL+"/x", "", http.Header{})
			require.NoError(t, err)
			assert.Equal(t, []string{"Accept-Encoding", "Accept-Language"}, got.Header["Vary"])
		}
	})
}

// TestCookiesOnA304: the visitor gets the cookies that are theirs, the stored
// response keeps the one that is everybody's.
func TestCookiesOnA304(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "cookies": site.Options{"drop": []string{"note"}, "keep": []string{"frontend_lang"}}, "session": "ignore"}}}
		s := site.New(t, load, rules, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Etag", `"a"`)
			rw.Header().Set("Cache-Control", "no-cache")
			if r.Header.Get("If-None-Match") == `"a"` {
				if r.Header.Get("X-New") != "" {
					rw.Header().Set("Set-Cookie", "note=mine")
				}
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			site.Page("x", "Set-Cookie: frontend_lang=fr_FR")(rw, r)
		})
		s.Get("/f")
		assert.Equal(t, []string{"note=mine", "frontend_lang=fr_FR"}, s.Get("/f", "X-New: 1", "Cookie: session_id=abc").Header["Set-Cookie"])
		assert.Equal(t, []string{"frontend_lang=fr_FR"}, s.Get("/f").Header["Set-Cookie"])
	})
}

// TestRefreshThatFindsThePageGone: what the origin has withdrawn does not live
// on for the whole grace; what it fails to render does.
func TestRefreshThatFindsThePageGone(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for status, want := range map[int]int{http.StatusNotFound: 404, http.StatusInternalServerError: 200} {
			status := status
			s := site.New(t, load, nil, site.Page("old", "X-Odoo-Cache: public, ttl=50ms, grace=3600"))
			s.Get("/f")
			time.Sleep(60 * time.Millisecond)
			asked := make(chan bool, 100)
			s.Answers(func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(status)
				asked <- true
			})
			assert.Equal(t, "old", s.Get("/f").Body)
			<-asked
			if want == 404 {
				require.Eventually(t, func() bool { return s.Get("/f").Status == want }, site.WaitFor, site.Tick)
				continue
			}
			for i := 0; i < 3; i++ {
				assert.Equal(t, want, s.Get("/f").Status)
			}
		}
	})
}

// TestRefreshOfAResponseOfUnknownLength stores what it gets.
func TestRefreshOfAResponseOfUnknownLength(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		var s *site.Site
		s = site.New(t, load, nil, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X-Odoo-Cache", "public, ttl=50ms, grace=3600")
			_, _ = fmt.Fprintf(rw, "page %d", s.Renders())
		})
		assert.Equal(t, "page 1", s.Get("/f").Body)
		time.Sleep(60 * time.Millisecond)
		require.Eventually(t, func() bool {
			got := s.Get("/f")
			return got.Body != "page 1" && strings.Contains(got.CacheStatus(), "; hit")
		}, site.WaitFor, site.Tick)
	})
}

// TestRefreshKeepsWhatTheRuleVariesBy also where it would otherwise be taken
// out as personal.
func TestRefreshKeepsWhatTheRuleVariesBy(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "50ms", "grace": "3600", "vary": site.Options{"headers": []string{"Referer"}}}}}
		s := site.New(t, load, rules, func(rw http.ResponseWriter, r *http.Request) { site.Page("for "+r.Header.Get("Referer"))(rw, r) })
		s.Get("/f", "Referer: a")
		time.Sleep(60 * time.Millisecond)
		require.Eventually(t, func() bool {
			got := s.Get("/f", "Referer: a")
			assert.Equal(t, "for a", got.Body)
			return s.Renders() > 2
		}, site.WaitFor, 60*time.Millisecond)
		assert.Equal(t, "a", s.Request().Header.Get("Referer"))
	})
}

// TestTargetsThatAreNoPath are not stored: no purge could name them.
func TestTargetsThatAreNoPath(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		h, err := load(context.Background(), site.Page("x", "Cache-Control: max-age=60"), site.Options{"tenant": fmt.Sprint("target", site.Tenants.Add(1))})
		require.NoError(t, err)
		for _, path := range []string{"", "*"} {
			for _, method := range []string{"GET", "GET", "OPTIONS", "CONNECT", "POST", "HEAD", "TRACE"} {
				r := httptest.NewRequest(method, "/", nil)
				r.URL.Path = path
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				assert.Equal(t, 200, w.Code)
				assert.NotContains(t, w.Header().Get("Cache-Status"), "stored")
				assert.NotContains(t, w.Header().Get("Cache-Status"), "; hit")
			}
		}
	})
}

// TestPresetKnowsLanguages: what is bypassed is bypassed in every language.
func TestPresetKnowsLanguages(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"preset": "odoo"}, site.Page("x", "X-Odoo-Cache: public, ttl=60"))
		for _, path := range []string{"/my", "/my/home", "/fr/my/home", "/fr_BE/shop/cart", "/es_419/web/login", "/sr@latin/payment/pay", "/fr/slides/x/invite"} {
			assert.Equal(t, "odoocache; fwd=bypass; detail=rule", s.Get(path).CacheStatus(), path)
		}
		for _, path := range []string{"/", "/fr", "/fr/shop", "/shop/desk-9", "/fr/blog", "/mystery"} {
			assert.Contains(t, s.Get(path).CacheStatus(), "stored", path)
		}
	})
}

// TestPagesInBrowsersDoNotPurge: an allowed network alone does not tell whose
// page sends the request.
func TestPagesInBrowsersDoNotPurge(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"purge": site.Options{"networks": []string{"127.0.0.1"}}}, site.Page("x"))
		assert.Equal(t, 200, s.Do(http.MethodPost, "/.odoocache/purge", `{"tags":["a "]}`).Status)
		assert.Equal(t, 403, s.Do(http.MethodPost, "/.odoocache/purge", `{"all":true}`, "Origin: https://evil.example").Status)
	})
}
