package behaviour_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// seconds are what may differ between two answers that were given one after the
// other.
var seconds = regexp.MustCompile(`ttl=-?\d+`)

// TestTheShortWayAnswersAsTheLongOne sends the same requests to two sites: one
// whose hits may take the short way, and one that traces every request, which
// takes the long way always. Clients must not be able to tell them apart.
func TestTheShortWayAnswersAsTheLongOne(t *testing.T) {
	for _, c := range []struct {
		name   string
		memory string
	}{{"memory alone", ""}, {"memory before Redis", "64MiB"}, {"Redis alone", "0"}} {
		t.Run(c.name, func(t *testing.T) {
			o := site.Options{}
			if c.memory != "" {
				if _, err := exec.LookPath("redis-server"); err != nil {
					t.Skip("no redis-server on the PATH")
				}
				server := stack.StartServer(t)
				o = site.Options{"memory": site.Options{"bytes": c.memory, "maxStaleness": "1h"}, "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}}
			}
			compareWays(t, o, nil)
		})
	}
}

// TestTheShortWayWithoutRedis is the same while Redis is away: then the short way hands
// requests on that the long one would look at and hand on.
func TestTheShortWayWithoutRedis(t *testing.T) {
	for _, memory := range []string{"64MiB", "0"} {
		t.Run("memory "+memory, func(t *testing.T) {
			server := stack.StartServer(t)
			compareWays(t, site.Options{"memory": site.Options{"bytes": memory}, "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}}, server)
		})
	}
}

// outOf stops a server, and asks sites until none of them asks it.
func outOf(t *testing.T, server *stack.RedisServer, sites ...*site.Site) {
	server.Stop()
	time.Sleep(1100 * time.Millisecond) // what is in memory is not known to be current
	for _, s := range sites {
		got := s.Get("/a")
		for i := 0; i < 20 && !strings.Contains(got.CacheStatus(), "breaker-open"); i++ {
			got = s.Get("/a")
		}
		require.Contains(t, got.CacheStatus(), "breaker-open")
	}
}

// storeReasons are those that depend on which request is the one that tries Redis again.
var storeReasons = regexp.MustCompile(`detail=(breaker-open|store-error|purge-pending)`)

// TestSchemeOfHits: who comes over TLS gets no page of those who did not, even where nobody
// says by which scheme a request came, and however often the page was asked for.
func TestSchemeOfHits(t *testing.T) {
	for _, memory := range []string{"64MiB", "0"} {
		t.Run("memory "+memory, func(t *testing.T) {
			server := stack.StartServer(t)
			site.Both(t, func(t *testing.T, load site.Loader) {
				origin := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					site.Page(fmt.Sprint("over TLS: ", r.TLS != nil), "Cache-Control: public, max-age=600")(rw, r)
				})
				handler, err := load(context.Background(), origin, site.Options{
					"tenant": fmt.Sprintf("t%d", site.Tenants.Add(1)), "memory": site.Options{"bytes": memory}, "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
				})
				require.NoError(t, err)
				hits := 0
				for i := 0; i < 20; i++ {
					r := httptest.NewRequest(http.MethodGet, "/scheme", nil)
					if i%4 > 1 {
						r.TLS = &tls.ConnectionState{}
					}
					rw := httptest.NewRecorder()
					handler.ServeHTTP(rw, r)
					require.Equal(t, fmt.Sprint("over TLS: ", r.TLS != nil), rw.Body.String(), "request %d", i)
					if strings.Contains(rw.Header().Get("Cache-Status"), "hit") {
						hits++
					}
				}
				require.Equal(t, 18, hits)
			})
		})
	}
}

// TestAPageThatVariesNoMore: the first response without Vary takes the place of all variants,
// and is a hit for everybody from then on.
func TestAPageThatVariesNoMore(t *testing.T) {
	for _, memory := range []string{"64MiB", "0"} {
		t.Run("memory "+memory, func(t *testing.T) {
			server := stack.StartServer(t)
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := site.New(t, load, site.Options{"memory": site.Options{"bytes": memory}, "redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}},
					site.Page("varies", "Cache-Control: public, max-age=600", "Vary: X-A"))
				for i := 0; i < 3; i++ {
					s.Get("/p", "X-A: 1")
				}
				require.Equal(t, 1, s.Renders())
				s.Answers(site.Page("varies no more", "Cache-Control: public, max-age=600"))
				require.Equal(t, "varies no more", s.Get("/p", "X-A: 2").Body)
				for i := 0; i < 9; i++ {
					got := s.Get("/p", fmt.Sprintf("X-A: %d", i%3))
					require.Equal(t, "varies no more", got.Body)
					require.Contains(t, got.CacheStatus(), "; hit")
				}
				require.Equal(t, 2, s.Renders())
			})
		})
	}
}

// TestEachExchangeHasItsTime: where the session and the page are asked for one after the other,
// each may take as long as redis.timeout says.
func TestEachExchangeHasItsTime(t *testing.T) {
	server := stack.StartServer(t)
	p := stack.NewFaultProxy(t, server.Address)
	site.Both(t, func(t *testing.T, load site.Loader) {
		begun := 0
		s := site.New(t, load, site.Options{"rules": []site.Options{{"match": site.Everything, "fill": "nobody"}}, "memory": site.Options{"bytes": "0"}, "redis": site.Options{"address": p.Address, "timeout": "1s", "dialTimeout": "1s"}},
			func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/begin" {
					begun++
					site.Page("begin", "Cache-Control: private", "Set-Cookie: session_id="+site.SessionID(begun)+"; Path=/")(rw, r)
					return
				}
				site.Page("x", "X-Odoo-Cache: public, ttl=600")(rw, r)
			})
		var visitors []string
		for i := 0; i < 2; i++ {
			value, _, _ := strings.Cut(s.Get("/begin").Header.Get("Set-Cookie"), ";")
			visitors = append(visitors, value)
		}
		for i := 0; i < 3; i++ {
			s.Get("/p")
		}
		renders := s.Renders()
		p.Set(stack.Slow(600 * time.Millisecond))
		defer p.Set(nil)
		for _, visitor := range visitors {
			require.Contains(t, s.Get("/p", "Cookie: "+visitor).CacheStatus(), "; hit")
		}
		require.Equal(t, renders, s.Renders())
	})
}

// TestAgeOfHits: the first hits of a page, of which the third takes the short way, and
// those a second later tell its age and what is left of its lifetime, however long that is.
func TestAgeOfHits(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		lives := [][2]int{{0, 60}, {0, 86400}, {86000, 86400}, {0, 99999}, {99000, 99999}, {0, 100000}, {99990, 100100}, {150000, 31536000}}
		s := site.New(t, load, site.Options{}, func(rw http.ResponseWriter, r *http.Request) {
			var i int
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &i)
			site.Page("x", fmt.Sprintf("Cache-Control: public, max-age=%d", lives[i][1]), fmt.Sprintf("Age: %d", lives[i][0]))(rw, r)
		})
		begin := time.Now()
		check := func() {
			for i, life := range lives {
				got := s.Get(fmt.Sprintf("/%d", i))
				if !strings.Contains(got.CacheStatus(), "hit") {
					continue
				}
				age, err := strconv.Atoi(got.Header.Get("Age"))
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf("odoocache; hit; ttl=%d", life[1]-age), got.CacheStatus(), "%v", life)
				require.GreaterOrEqual(t, age, life[0])
				require.LessOrEqual(t, age, life[0]+1+int(time.Since(begin)/time.Second))
				require.Len(t, got.Header["Age"], 1)
			}
		}
		for i := 0; i < 4; i++ {
			check()
		}
		time.Sleep(1100 * time.Millisecond)
		check()
		require.Equal(t, len(lives), s.Renders())
		for i, life := range lives {
			age, _ := strconv.Atoi(s.Get(fmt.Sprintf("/%d", i)).Header.Get("Age"))
			require.Greater(t, age, life[0])
		}
	})
}

// TestHitsKeepAPage: a page that many ask for stays while others are asked for once, also
// after one client without gzip has asked for it, for whom it is made ready anew.
func TestHitsKeepAPage(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		renders := 0
		s := site.New(t, load, site.Options{"memory": site.Options{"bytes": "1MiB"}}, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hot" {
				renders++
			}
			b := make([]byte, 4000) // as large in gzip
			rand.New(rand.NewSource(int64(len(r.URL.RawQuery)))).Read(b)
			site.Page(fmt.Sprintf("%s %x", r.URL.RequestURI(), b), "Cache-Control: public, max-age=600", "Content-Type: text/html")(rw, r)
		})
		for i := 0; i < 3; i++ {
			s.Get("/hot", "Accept-Encoding: gzip")
		}
		s.Get("/hot")
		for i := 0; i < 600; i++ {
			for j := 0; j <= i%2; j++ {
				s.Get(fmt.Sprintf("/%d", i), "Accept-Encoding: gzip")
			}
			for j := 0; j < 3; j++ {
				s.Get("/hot", "Accept-Encoding: gzip")
			}
		}
		require.Equal(t, 1, renders)
		require.Greater(t, s.Renders(), 600)
		s.Get("/0", "Accept-Encoding: gzip")
		require.Greater(t, s.Renders(), 601, "the others do not stay")
	})
}

// TestWhatIsAddedToAHitIsNotKept: a middleware in front that adds to a field of a hit adds
// to that of this one alone.
func TestWhatIsAddedToAHitIsNotKept(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		origin := func(rw http.ResponseWriter, r *http.Request) {
			site.Page("x", "Cache-Control: public, max-age=600", "Age: "+r.URL.Path[1:])(rw, r)
		}
		h, err := load(context.Background(), http.HandlerFunc(origin), site.Options{"tenant": fmt.Sprintf("added%d", site.Tenants.Add(1))})
		require.NoError(t, err)
		for i := 0; i < 6; i++ {
			if i == 4 {
				time.Sleep(1100 * time.Millisecond)
			}
			for _, path := range []string{"/100", "/90", "/100"} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				for name, lines := range w.Header() {
					require.Len(t, lines, 1, name)
					require.NotContains(t, lines[0], "added")
					for j := 0; j < 200; j++ { // as far as it has room
						lines = append(lines, "added")
					}
				}
			}
		}
	})
}

// gone is stopped in the middle, if it is not nil.
func compareWays(t *testing.T, o site.Options, gone *stack.RedisServer) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		content := 0
		origin := func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/begin":
				rw.Header().Set("Cache-Control", "private")
				rw.Header().Set("Set-Cookie", "session_id="+site.SessionID(len(r.URL.RawQuery))+"; Path=/")
			case "/change":
				rw.Header().Set("X-Odoo-Purge", r.URL.Query().Get("tag"))
			case "/turn":
				rw.Header().Set("Location", "/elsewhere")
				rw.WriteHeader(http.StatusSeeOther)
				return
			case "/private":
				rw.Header().Set("Cache-Control", "private")
			case "/vary":
				rw.Header().Set("Vary", "Accept-Language")
			case "/public":
				rw.Header().Set("Cache-Control", "public")
			case "/empty":
				rw.Header().Set("X-Odoo-Cache", "public, ttl=60")
				rw.WriteHeader(http.StatusNoContent)
				return
			}
			if r.Header.Get("Authorization") != "" {
				rw.Header().Set("X-Seen", "credentials")
			}
			rw.Header().Set("X-Announced", r.Header.Get("X-Odoo-Cache-Edge"))
			body := fmt.Sprintf("%s %s %d", r.URL.RequestURI(), r.Header.Get("Accept-Language"), content)
			tag := `Etag: "e"`
			if r.URL.Path == "/a" { // long enough for a coding, and without a tag of its own
				body = strings.Repeat(body, 100)
				tag = "X-A: b"
			}
			site.Page(body, "X-Odoo-Cache: public, ttl=60", tag, "Content-Type: text/html", "Last-Modified: Mon, 23 Nov 2026 05:00:00 GMT",
				"Surrogate-Key: all"+r.URL.Path[1:])(rw, r)
		}
		rules := []site.Options{{"match": site.Options{"pathPrefixes": []string{"/a"}}, "query": site.Options{"ignore": []string{"utm_*"}}, "vary": site.Options{"languages": []string{"en_US", "fr_FR"}, "cookies": []string{"tz"}}},
			{"match": site.Options{"pathPrefixes": []string{"/page"}}, "fill": "nobody", "vary": site.Options{"languages": []string{"en_US", "fr_FR"}, "cookies": []string{"tz"}}},
			{"match": site.Options{"pathPrefixes": []string{"/rule"}}, "bypass": "true"},
			{"match": site.Options{"pathPrefixes": []string{"/edge"}, "headers": site.Options{"X-Odoo-Cache-Edge": ".+"}}, "bypass": "true"}}
		with := func(more site.Options) site.Options {
			// What is asked for beside a visit is stored when it comes, which is not the same for both.
			all := site.Options{"rules": rules, "purge": site.Options{"secret": site.Secret}, "limits": site.Options{"evidence": "0"}}
			for _, from := range []site.Options{o, more} {
				for name, value := range from {
					all[name] = value
				}
			}
			return all
		}
		short := site.New(t, load, with(nil), origin)
		long := site.New(t, load, with(site.Options{"logLevel": "debug"}), origin)
		for _, s := range []*site.Site{short, long} { // three sessions are known: two default ones, one special
			for _, query := range []string{"?a", "?ab", "?abc"} {
				s.Get("/begin" + query)
			}
			s.Do(http.MethodPost, "/private", "x", "Cookie: session_id="+site.SessionID(3))
		}

		random := rand.New(rand.NewSource(time.Now().UnixNano()))
		paths := []string{"/a", "/a?", "/page", "/a?b=1", "/a?utm_source=x", "//a", "/a%2Fb", "/a/b", "/private", "/vary", "/public", "/empty", "/change?tag=alla", "/change?tag=none", "/change?tag=*", "/turn", "/turn?a=1", "/new-", "/rule", "/edge", "/.odoocache/status"}
		lines := []string{
			"Accept-Encoding: gzip, deflate, br, zstd", "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0, *", "Accept-Encoding: identity",
			"Range: bytes=0-1", "If-None-Match: \"e\"", "If-Modified-Since: Mon, 23 Nov 2026 05:00:00 GMT", "If-Match: \"x\"",
			"Authorization: Basic eDp5", "Cookie: session_id=abc", "Cookie: a=session_id", "Cookie: tz=1", "Cache-Control: no-cache",
			"Cache-Control: max-age=0", "Cache-Control: only-if-cached", "Pragma: no-cache", "Accept: Text/Event-Stream", "Accept: text/html", "Accept-Language: fr", "Accept-Language: de", "Cookie: tz=2", "Cookie: frontend_lang=fr_FR; tz=1", "Cookie: odoocache_context=0",
			"Cookie: session_id=" + site.SessionID(1), "Cookie: tz=1; session_id=" + site.SessionID(2), "Cookie: session_id=" + site.SessionID(3), "Cookie: session_id=" + site.SessionID(4),
			"Cookie: odoocache_context=0; session_id=" + site.SessionID(3), "Cookie: odoocache_context=private; session_id=" + site.SessionID(1), "Cookie: xsession_id=" + site.SessionID(1),
			"Cookie: session_id=" + site.SessionID(1) + "; session_id=" + site.SessionID(3), `Cookie: session_id="` + site.SessionID(1) + `"`, "Cookie: frontend_lang=fr_FR; session_id=" + site.SessionID(1), "User-Agent: Googlebot",
			"X-Forwarded-Proto: https", "X-Forwarded-Host: other.example", "X-Openerp-Session-Id: x", "X-Odoo-Database: x", "If-Unmodified-Since: Mon, 23 Nov 2026 05:00:00 GMT",
			site.Bare + ": 1", "X-Anything: 1", "X-Anything: 2", "Accept-Encoding: ", "Content-Type: text/plain", "Referer: http://shop.example/",
		}
		hits, alike, etag := 0, 0, ""
		for i := 0; i < 2000; i++ {
			path := paths[random.Intn(len(paths))]
			if path == "/new-" {
				path = fmt.Sprintf("/new-%d", i)
			}
			if random.Intn(3) > 0 {
				path = paths[random.Intn(3)]
			}
			if i == 1000 && gone != nil {
				more := short.Renders() - long.Renders()
				outOf(t, gone, short, long)
				defer gone.Start() // for the other way of running
				alike = short.Renders() - long.Renders() - more
			}
			var in []string
			for random.Intn(3) == 0 {
				in = append(in, lines[random.Intn(len(lines))])
			}
			if random.Intn(3) == 0 && etag != "" {
				in = append(in, "If-None-Match: "+etag)
			}
			method := http.MethodGet
			if random.Intn(10) == 0 {
				method = http.MethodHead
			}
			got, want := short.Do(method, path, "", in...), long.Do(method, path, "", in...)
			if got.Header.Get("Age") != want.Header.Get("Age") || got.Header.Get("Date") != want.Header.Get("Date") {
				continue // the second ended between them
			}
			require.Equal(t, want.Status, got.Status, "%s %v", path, in)
			require.Equal(t, want.Body, got.Body, "%s %v", path, in)
			got.Header.Set("Cache-Status", seconds.ReplaceAllString(got.Header.Get("Cache-Status"), ""))
			want.Header.Set("Cache-Status", seconds.ReplaceAllString(want.Header.Get("Cache-Status"), ""))
			if gone != nil && i >= 1000 {
				got.Header.Set("Cache-Status", storeReasons.ReplaceAllString(got.Header.Get("Cache-Status"), ""))
				want.Header.Set("Cache-Status", storeReasons.ReplaceAllString(want.Header.Get("Cache-Status"), ""))
			}
			require.Equal(t, want.Header, got.Header, "%s %v", path, in)
			if tag := got.Header.Get("Etag"); tag != "" {
				etag = tag
			}
			if strings.Contains(got.CacheStatus(), "; hit") {
				hits++
			}
			if i%100 == 0 {
				content++
			}
		}
		assert.Equal(t, long.Renders(), short.Renders()-alike)
		if gone == nil {
			assert.Greater(t, hits, 500)
		} else {
			assert.Greater(t, hits, 250, "before")
			waiting := regexp.MustCompile(`"pendingPurges":\d+`)
			w := waiting.FindString(short.Get("/.odoocache/status", site.Bearer).Body)
			assert.Equal(t, waiting.FindString(long.Get("/.odoocache/status", site.Bearer).Body), w)
			assert.NotEqual(t, `"pendingPurges":0`, w)
		}
	})
}

// gated is an origin whose renders of /p begin and then wait until they are let go on.
type gated struct {
	begun chan string // the Cookie fields of those
	open  chan bool
}

func (g *gated) serve(rw http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/p":
		g.begun <- r.Header.Get("Cookie")
		<-g.open
	case "/begin":
		site.Page("begin", "Cache-Control: private", "Set-Cookie: session_id="+site.SessionID(1)+"; Path=/")(rw, r)
		return
	}
	site.Page(r.URL.Path, "X-Odoo-Cache: public, ttl=600")(rw, r)
}

// TestRedisGoesWhileOthersWait: those who wait for a page when Redis goes ask for it all at once
// then, since nobody can share it any more; and each as who they are by then.
func TestRedisGoesWhileOthersWait(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		server := stack.StartServer(t)
		const waiting = 5
		g := &gated{begun: make(chan string, 100), open: make(chan bool)}
		s := site.New(t, load, site.Options{
			"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}, "limits": site.Options{"coalesceWait": "1m"},
			"rules": []site.Options{{"match": site.Options{"pathPrefixes": []string{"/"}}, "fill": "nobody"}},
		}, g.serve)
		s.Get("/begin")
		mine := "Cookie: session_id=" + site.SessionID(1)
		got := make(chan site.Reply, 1+waiting)
		ask := func(lines ...string) {
			r, _ := site.Send(http.MethodGet, s.URL+"/p", "", site.Fields(lines...))
			got <- r
		}
		go ask()
		require.Empty(t, <-g.begun)
		go ask(mine) // it is known to be a default one
		for i := 1; i < waiting; i++ {
			go ask()
		}
		time.Sleep(300 * time.Millisecond)
		require.Empty(t, g.begun, "they wait")

		outOf(t, server, s)
		require.Equal(t, http.StatusOK, s.Do(http.MethodPost, "/shop/cart/update", "x", mine).Status) // which makes it a special one
		g.open <- true
		cookies := map[string]int{}
		for i := 0; i < waiting; i++ {
			select {
			case cookie := <-g.begun:
				cookies[cookie]++
			case <-time.After(20 * time.Second):
				close(g.open)
				require.Fail(t, "they ask one after the other", "%v", cookies)
			}
		}
		close(g.open)
		require.Equal(t, map[string]int{"": waiting - 1, strings.TrimPrefix(mine, "Cookie: "): 1}, cookies)
		for i := 0; i < 1+waiting; i++ {
			require.Equal(t, "/p", (<-got).Body)
		}
		require.Empty(t, g.begun, "each asked once")
	})
}
