package odoocache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// strangersStorages are the kinds of storages, by the options for each.
func strangersStorages(t *testing.T, test func(t *testing.T, load loader, o options)) {
	t.Helper()
	for _, memory := range []string{"memory alone", "64MiB", "0"} {
		t.Run(memory, func(t *testing.T) {
			o := options{}
			if memory != "memory alone" {
				if _, err := exec.LookPath("redis-server"); err != nil {
					t.Skip("redis-server is not installed")
				}
				o = options{"memory": options{"bytes": memory}, "redis": options{"address": startServer(t).address, "timeout": "5s", "dialTimeout": "5s"}}
			}
			both(t, func(t *testing.T, load loader) { test(t, load, o) })
		})
	}
}

func with(o options, more options) options {
	all := options{}
	for name, value := range o {
		all[name] = value
	}
	for name, value := range more {
		all[name] = value
	}
	return all
}

// TestPostsOfStrangersMakeNoMarks: however many addresses somebody posts to, the marks of
// purges stand, and pages that nobody has posted to do.
func TestPostsOfStrangersMakeNoMarks(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		s := newSite(t, load, with(o, options{"purge": options{"secret": secret, "maxMarks": "100"}}), page("x", "Cache-Control: max-age=60", "Surrogate-Key: product-9"))
		for i := 0; i < 3; i++ {
			s.get("/kept")
		}
		require.Equal(t, 200, s.do(http.MethodPost, "/.odoocache/purge", `{"tags":["of-nothing"]}`, bearer).status)
		sequence := func() string {
			got := s.get("/.odoocache/status", bearer).body
			_, after, _ := strings.Cut(got, `"sequence":`)
			n, _, _ := strings.Cut(after, ",")
			return n
		}
		before := sequence()
		require.NotEmpty(t, before)
		for i := 0; i < 130; i++ {
			s.do(http.MethodPost, fmt.Sprint("/static/x.js?v=", i), "x")
		}
		assert.Contains(t, s.get("/kept").cacheStatus(), "; hit")
		assert.Equal(t, before, sequence(), "no purge took a number")
		s.do(http.MethodPost, "/kept", "x")
		assert.Contains(t, s.get("/kept").cacheStatus(), "fwd=uri-miss; stored")
	})
}

// TestUnsafeMethodsRemoveEveryForm: of a page that varies by language and cookie, and of each
// variant that its Vary makes.
func TestUnsafeMethodsRemoveEveryForm(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		s := newSite(t, load, with(o, options{"rules": []options{
			{"match": options{"pathPrefixes": []string{"/by-language"}}, "ttl": "60", "vary": options{"languages": []string{"en_US", "fr_FR"}, "cookies": []string{"colour"}}},
			{"match": options{"pathPrefixes": []string{"/quiet"}, "methods": []string{"POST"}}, "session": "keep"},
			{"match": options{"pathPrefixes": []string{"/static"}}, "session": "ignore"},
		}}), func(rw http.ResponseWriter, r *http.Request) {
			lines := []string{"Cache-Control: max-age=60"}
			if r.URL.Path == "/varies" {
				lines = append(lines, "Vary: Foo")
			}
			page("x", lines...)(rw, r)
		})
		const red, blue = "Cookie: colour=red", "Cookie: colour=blue"
		forms := [][]string{
			{"Accept-Language: en-US", red}, {"Accept-Language: fr-FR", red}, {"Accept-Language: de-DE", red}, {"Accept-Language: fr-FR", "User-Agent: Googlebot", red},
		}
		other := []string{"Accept-Language: fr-FR", blue}
		for i := 0; i < 3; i++ {
			for _, lines := range append(forms, other) {
				s.get("/by-language?a=1", lines...)
			}
			for _, foo := range []string{"1", "2", "3"} {
				s.get("/varies", "Foo: "+foo)
			}
			s.get("/quiet")
			s.get("/static/x.css")
		}
		renders := s.renders()
		s.do(http.MethodPost, "/by-language?a=1", "x", red)
		for _, lines := range forms {
			assert.Contains(t, s.get("/by-language?a=1", lines...).cacheStatus(), "fwd=uri-miss; stored", lines)
		}
		assert.Contains(t, s.get("/by-language?a=1", other...).cacheStatus(), "; hit", "not the requester's")

		s.do(http.MethodPost, "/varies", "x")
		for i, foo := range []string{"2", "1", "3"} {
			want := "fwd=vary-miss; stored"
			if i == 0 {
				want = "fwd=uri-miss; stored"
			}
			assert.Contains(t, s.get("/varies", "Foo: "+foo).cacheStatus(), want, foo)
		}
		for _, path := range []string{"/quiet", "/static/x.css"} {
			s.do(http.MethodPost, path, "x")
			assert.Contains(t, s.get(path).cacheStatus(), "; hit", "a rule says that a POST changes nothing")
		}
		assert.Equal(t, renders+2+2+len(forms)+3, s.renders())
	})
}

// TestAPageThatIsFetchedWhileAPostPasses is from before it, perhaps.
func TestAPageThatIsFetchedWhileAPostPasses(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		started, gate := make(chan bool), make(chan bool)
		s := newSite(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && r.Header.Get("X-Slow") != "" {
				started <- true
				<-gate
			}
			page("x", "Cache-Control: max-age=60", "Vary: Foo")(rw, r)
		})
		for _, foo := range []string{"1", "2"} {
			done := make(chan reply)
			go func() {
				got, _ := send(http.MethodGet, s.url+"/p", "", fields("X-Slow: 1", "Foo: "+foo))
				done <- got
			}()
			<-started
			s.do(http.MethodPost, "/p", "x")
			gate <- true
			assert.Contains(t, (<-done).cacheStatus(), "detail=purged", foo)
			assert.Contains(t, s.get("/p", "Foo: 1").cacheStatus(), "stored")
			assert.Contains(t, s.get("/p", "Foo: 1").cacheStatus(), "; hit")
		}
	})
}

// TestInventedSessionsPushOutNone: session.max is for sessions that were seen to begin.
func TestInventedSessionsPushOutNone(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		s, _ := newOdooLike(t, load, with(o, options{"tenant": fmt.Sprintf("t%d", tenants.Add(1)), "session": options{"max": "100"}}))
		s.get("/a")
		id := s.do(http.MethodPost, "/seen", "x").session()
		require.Contains(t, s.get("/a", "Cookie: session_id="+id).cacheStatus(), "hit")
		for i := 0; i < 30; i++ {
			var cookies []string
			for j := 0; j < 8; j++ {
				cookies = append(cookies, "session_id="+sid(100000+10*i+j))
			}
			s.do(http.MethodPost, "/change", "x", "Cookie: "+strings.Join(cookies, "; "))
		}
		assert.Contains(t, s.get("/a", "Cookie: session_id="+id).cacheStatus(), "hit")
		s.do(http.MethodPost, "/change", "x", "Cookie: session_id="+id)
		assert.Contains(t, s.get("/a", "Cookie: session_id="+id).cacheStatus(), "detail=session")
	})
}

// TestSessionsOfAStranger: sessions that somebody has Odoo begin take no place of one that is
// in use. Those that nobody uses go.
func TestSessionsOfAStranger(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		n := 0
		s := newSite(t, load, options{"preset": "odoo", "languages": []string{"en_US", "fr_FR"}, "session": options{"max": "100"}}, func(rw http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Cookie"), "session_id") {
				n++
				rw.Header().Set("Set-Cookie", fmt.Sprintf("session_id=%s%05d; Path=/", strings.Repeat("a", 80), n))
			}
			page(htmlPage("x"), "Content-Type: text/html")(rw, r)
		})
		begin := func() string {
			line, _, _ := strings.Cut(s.do(http.MethodHead, "/robots.txt", "").header.Get("Set-Cookie"), ";")
			require.Contains(t, line, "session_id=")
			return "Cookie: " + line
		}
		s.get("/shop")
		mine, unused := begin(), begin()
		for i := 0; i < 300; i++ {
			begin()
			if i%40 == 0 {
				require.Contains(t, s.get("/shop", mine).cacheStatus(), "; hit", i)
			}
		}
		assert.Contains(t, s.get("/shop", mine).cacheStatus(), "; hit")
		assert.Contains(t, s.get("/shop", unused).cacheStatus(), "detail=session")
		s.do(http.MethodPost, "/shop/cart/update", "a=b", mine)
		for i := 0; i < 60; i++ {
			assert.Contains(t, s.get("/shop", mine).cacheStatus(), "detail=session", "special, and stays so")
			begin()
		}
	})
}

// TestAdmission: addresses that are asked for once do not push out those that are asked for
// again, and take no more than their share.
func TestAdmission(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		more := options{"admission": options{"bytes": "200KiB"}, "compression": "0"}
		_, inRedis := o["redis"]
		if !inRedis {
			more["memory"] = options{"bytes": "1MiB"}
		}
		s := newSite(t, load, with(o, more), page(strings.Repeat("x", 20000), "Cache-Control: max-age=60"))
		for i := 0; i < 2; i++ {
			s.get("/first")
		}
		stored, refused := 0, 0
		for i := 0; i < 100; i++ {
			status := s.get(fmt.Sprint("/p?q=", i)).cacheStatus()
			switch {
			case strings.HasSuffix(status, "; stored; ttl=60"):
				stored++
				assert.Zero(t, refused, "the share is taken, and does not come back within a test")
			case status == "odoocache; fwd=uri-miss; detail=admission":
				refused++
			default:
				assert.Fail(t, status)
			}
		}
		most := 9 // of 200 KiB, of which the first page took its part
		if !inRedis {
			most = 50 // of 1 MiB
		}
		assert.InDelta(t, most, stored, 3)
		assert.Contains(t, s.get("/first").cacheStatus(), "; hit")
		assert.Contains(t, s.get("/p?q=0").cacheStatus(), "; hit", "it was stored")
		assert.Contains(t, s.get("/p?q=99").cacheStatus(), "; stored", "asked for the second time")
		assert.Contains(t, s.get("/p?q=99").cacheStatus(), "; hit")
		assert.Contains(t, s.get("/first").cacheStatus(), "; hit")
	})
}

// TestWithoutAdmission: each page is stored at once.
func TestWithoutAdmission(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, options{"admission": options{"bytes": "0"}, "memory": options{"bytes": "1MiB"}}, page(strings.Repeat("x", 20000), "Cache-Control: max-age=60"))
		for i := 0; i < 100; i++ {
			assert.Contains(t, s.get(fmt.Sprint("/p?q=", i)).cacheStatus(), "; stored")
		}
	})
}

// TestPagesThatAreAskedForAgainAreRefreshed whatever strangers have taken of the share.
func TestPagesThatAreAskedForAgainAreRefreshed(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		more := options{"admission": options{"bytes": "100KiB", "window": "1ms"}, "purge": options{"secret": secret}, "compression": "0"}
		if _, inRedis := o["redis"]; !inRedis {
			more["memory"] = options{"bytes": "1MiB"}
		}
		s := newSite(t, load, with(o, more), page(strings.Repeat("x", 90000), "X-Odoo-Cache: public, ttl=1, grace=600"))
		require.Contains(t, s.get("/mine").cacheStatus(), "stored")
		for i := 0; i < 40; i++ {
			s.get(fmt.Sprint("/p?q=", i))
		}
		require.Equal(t, 200, s.do(http.MethodPost, "/.odoocache/purge", `{"paths":["/mine"]}`, bearer).status)
		assert.Contains(t, s.get("/mine").cacheStatus(), "; stored", "it was there before the purge")
	})
}

// TestVariantsOfStrangers: a variant that is asked for once does not take the place of
// another.
func TestVariantsOfStrangers(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		s := newSite(t, load, with(o, options{"limits": options{"variants": "3"}}), page("x", "Cache-Control: max-age=60", "Vary: Accept-Language"))
		for i := 0; i < 3; i++ {
			for _, language := range []string{"en", "fr"} {
				s.get("/p", "Accept-Language: "+language)
			}
		}
		for i := 0; i < 20; i++ {
			s.get("/p", fmt.Sprint("Accept-Language: x", i))
		}
		for _, language := range []string{"en", "fr", "x0"} {
			assert.Contains(t, s.get("/p", "Accept-Language: "+language).cacheStatus(), "; hit", language)
		}
		assert.Equal(t, "odoocache; fwd=vary-miss; detail=admission", s.get("/p", "Accept-Language: new").cacheStatus())
		assert.Contains(t, s.get("/p", "Accept-Language: new").cacheStatus(), "; stored")
		assert.Contains(t, s.get("/p", "Accept-Language: new").cacheStatus(), "; hit")
	})
}

// TestVariantsInUseStay: variants that somebody makes up, and asks for again and again, take the
// places of each other and of those that nobody uses.
func TestVariantsInUseStay(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		for name, more := range map[string]options{
			"a rule": {"limits": options{"variants": "4"}},
			"preset": {"limits": options{"variants": "4"}, "preset": "odoo", "languages": []string{"en_US"}},
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, load, with(o, with(more, options{"tenant": fmt.Sprintf("t%d", tenants.Add(1))})), page(htmlPage("x"), "Content-Type: text/html", "Cache-Control: max-age=60", "Vary: X-Region"))
				hit := func(region string) {
					t.Helper()
					assert.Contains(t, s.get("/shop", "X-Region: "+region).cacheStatus(), "; hit", region)
				}
				for _, region := range []string{"used", "quiet"} {
					for i := 0; i < 3; i++ {
						s.get("/shop", "X-Region: "+region)
					}
				}
				for i := 0; i < 20; i++ {
					for j := 0; j < 3; j++ { // the last is a hit
						s.get("/shop", fmt.Sprint("X-Region: invented-", i))
					}
					if i%2 == 1 {
						hit("used")
					}
				}
				assert.NotContains(t, s.get("/shop", "X-Region: quiet").cacheStatus(), "; hit", "nobody uses it any more")
				for i := 0; i < 4; i++ { // in use, too
					for j := 0; j < 4; j++ {
						s.get("/shop", fmt.Sprint("X-Region: busy-", i))
					}
				}
				s.get("/shop", "X-Region: new")
				assert.Contains(t, s.get("/shop", "X-Region: new").cacheStatus(), "; stored")
				hit("new")
			})
		}
	})
}

// TestInventedVariants: one that was hit stays where others are stored and never hit.
func TestInventedVariants(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, options{"preset": "odoo", "languages": []string{"en_US"}}, func(rw http.ResponseWriter, r *http.Request) {
			page(htmlPage("in "+r.Header.Get("Accept-Language")+"."), "Content-Type: text/html", "Vary: Accept-Language")(rw, r)
		})
		for i := 0; i < 3; i++ {
			s.get("/shop", "Accept-Language: fr")
		}
		for i := 0; i < 40; i++ {
			s.get("/shop", fmt.Sprint("Accept-Language: invented-", i/2))
		}
		got := s.get("/shop", "Accept-Language: fr")
		assert.Contains(t, got.cacheStatus(), "; hit")
		assert.Contains(t, got.body, "in fr.")
	})
}

// TestManyWaitForAPageThatIsNotAdmitted: it is asked for once.
func TestManyWaitForAPageThatIsNotAdmitted(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load loader, o options) {
		started, gate := make(chan bool, 100), make(chan bool)
		var once sync.Once
		open := func() { once.Do(func() { close(gate) }) }
		defer open()
		s := newCrowdedSite(t, load, with(o, options{"admission": options{"bytes": "1"}, "memory": options{"bytes": "1MiB"}, "compression": "0"}), func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				started <- true
				<-gate
			}
			page(strings.Repeat("x", 100000), "Cache-Control: max-age=60")(rw, r)
		})
		for i := 0; i < 12; i++ { // memory alone is full then
			s.get(fmt.Sprint("/p?q=", i))
		}
		got := make(chan reply, 10)
		for i := 0; i < 10; i++ {
			go func() {
				r, _ := send(http.MethodGet, s.url+"/slow", "", http.Header{})
				got <- r
			}()
		}
		<-started
		s.waiting(9)
		open()
		for i := 0; i < 10; i++ {
			r := <-got
			assert.Len(t, r.body, 100000)
		}
		assert.Equal(t, 13, s.renders())
	})
}

// reloads makes middlewares with other options of the storage, as Traefik does: the next one
// before the one before is given up.
type reloads struct {
	t    *testing.T
	load loader
	o    options
	next http.Handler
	end  context.CancelFunc
	h    http.Handler
}

func (r *reloads) apply(more options) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h, err := r.load(ctx, r.next, with(r.o, more))
	require.NoError(r.t, err)
	if r.end != nil {
		r.end()
	}
	r.h, r.end = h, cancel
	r.t.Cleanup(cancel)
}

func (r *reloads) do(h http.Handler, method, path, body string, lines ...string) reply {
	req := httptest.NewRequest(method, "http://shop.example"+path, strings.NewReader(body))
	if body == "" {
		req = httptest.NewRequest(method, "http://shop.example"+path, nil)
	}
	req.Header = fields(append(lines, "X-Forwarded-Proto: http")...)
	rw := httptest.NewRecorder()
	h.ServeHTTP(rw, req)
	return reply{status: rw.Code, header: rw.Header(), body: rw.Body.String()}
}

func (r *reloads) get(path string) string {
	got := r.do(r.h, http.MethodGet, path, "")
	return got.cacheStatus()
}

// pending returns how many purges wait.
func (r *reloads) pending() int {
	_, after, _ := strings.Cut(r.do(r.h, http.MethodGet, "/.odoocache/status", "", bearer).body, `"pendingPurges":`)
	number, _, _ := strings.Cut(after, ",")
	n, err := strconv.Atoi(number)
	require.NoError(r.t, err)
	return n
}

// TestKeptPurgesOutliveTheStoragesOptions: a purge that could not be written is not lost when
// the options are changed, and no page that it names is a hit.
func TestKeptPurgesOutliveTheStoragesOptions(t *testing.T) {
	for _, c := range []struct {
		name          string
		right, broken options // of redis
		other         bool    // of another server
	}{
		{"a wrong password", options{"password": "right"}, options{"password": "wrong"}, false},
		{"a wrong user", options{"password": "right"}, options{"password": "right", "username": "nobody"}, false},
		{"another address", options{"password": "right"}, options{"address": "127.0.0.1:1"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := startServer(t, "--requirepass", "right")
			both(t, func(t *testing.T, load loader) {
				redis := func(more options) options {
					return options{"redis": with(options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"}, more)}
				}
				r := &reloads{t: t, load: load, next: page("x", "Cache-Control: max-age=600", "Surrogate-Key: product-9"),
					o: options{"tenant": fmt.Sprintf("t%d", tenants.Add(1)), "purge": options{"secret": secret}}}
				r.apply(redis(c.right))
				for i := 0; i < 3; i++ {
					r.get("/kept")
					r.get("/purged")
				}
				require.Contains(t, r.get("/purged"), "; hit")
				r.apply(redis(c.broken))
				old := r.h
				got := r.do(r.h, http.MethodPost, "/.odoocache/purge", `{"paths":["/purged"]}`, bearer)
				require.Equal(t, 503, got.status, got.body)

				r.apply(with(redis(c.right), options{"memory": options{"bytes": "32MiB"}}))
				require.NotContains(t, r.get("/purged"), "; hit")
				require.Contains(t, r.get("/kept"), "; hit", "nothing else was purged")
				require.Zero(t, r.pending())
				require.Contains(t, r.get("/purged"), "; hit", "stored anew")

				// While the old options are still in use for requests that began before.
				require.Contains(t, r.get("/kept"), "; hit")
				got = r.do(old, http.MethodPost, "/.odoocache/purge", `{"paths":["/kept"]}`, bearer)
				require.Equal(t, 503, got.status, got.body)
				require.NotContains(t, r.get("/kept"), "; hit")
				require.Zero(t, r.pending())
			})
		})
	}
}

// TestKeptPurgeIsWrittenOnce: the storage with the wrong password is not closed at once, and
// still keeps the purge when the options are changed again.
func TestKeptPurgeIsWrittenOnce(t *testing.T) {
	server := startServer(t, "--requirepass", "right")
	both(t, func(t *testing.T, load loader) {
		with := func(password, memory string) options {
			return options{"redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s", "password": password}, "memory": options{"bytes": memory}}
		}
		r := &reloads{t: t, load: load, next: page("x", "Cache-Control: max-age=600"),
			o: options{"tenant": fmt.Sprintf("t%d", tenants.Add(1)), "purge": options{"secret": secret}}}
		r.apply(with("wrong", "64MiB"))
		require.Equal(t, 503, r.do(r.h, http.MethodPost, "/.odoocache/purge", `{"paths":["/b"]}`, bearer).status)
		for i := 0; i < 4; i++ {
			r.apply(with("right", fmt.Sprintf("%dMiB", 30+i)))
			if i > 0 {
				require.Zero(t, r.pending(), "change %d", i)
				require.Contains(t, r.get("/b"), "; hit", "change %d", i)
			}
			r.get("/b")
			require.Contains(t, r.get("/b"), "; hit")
			require.Contains(t, r.do(r.h, http.MethodGet, "/.odoocache/status", "", bearer).body, `"sequence":2,`, "change %d", i) // the first is the beginning
		}
	})
}

// TestPurgesReachTheNextMemory: without Redis other options make another storage, of which a
// request that began before knows nothing.
func TestPurgesReachTheNextMemory(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		r := &reloads{t: t, load: load, next: page("x", "Cache-Control: max-age=600"),
			o: options{"tenant": fmt.Sprintf("t%d", tenants.Add(1)), "purge": options{"secret": secret}}}
		r.apply(nil)
		old := r.h
		r.apply(options{"memory": options{"bytes": "32MiB"}})
		for i := 0; i < 3; i++ {
			r.get("/p")
		}
		require.Contains(t, r.get("/p"), "; hit")
		require.Equal(t, 200, r.do(old, http.MethodPost, "/.odoocache/purge", `{"paths":["/p"]}`, bearer).status)
		require.NotContains(t, r.get("/p"), "; hit")
	})
}
