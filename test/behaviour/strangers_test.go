package behaviour_test

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

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// strangersStorages are the kinds of storages, by the options for each.
func strangersStorages(t *testing.T, test func(t *testing.T, load site.Loader, o site.Options)) {
	t.Helper()
	for _, memory := range []string{"memory alone", "64MiB", "0"} {
		t.Run(memory, func(t *testing.T) {
			o := site.Options{}
			if memory != "memory alone" {
				if _, err := exec.LookPath("redis-server"); err != nil {
					t.Skip("redis-server is not installed")
				}
				o = site.Options{"memory": site.Options{"bytes": memory}, "redis": site.Options{"address": stack.StartServer(t).Address, "timeout": "5s", "dialTimeout": "5s"}}
			}
			site.Both(t, func(t *testing.T, load site.Loader) { test(t, load, o) })
		})
	}
}

func with(o site.Options, more site.Options) site.Options {
	all := site.Options{}
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
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s := site.New(t, load, with(o, site.Options{"purge": site.Options{"secret": site.Secret, "maxMarks": "100"}}), site.Page("x", "Cache-Control: max-age=60", "Surrogate-Key: product-9"))
		for i := 0; i < 3; i++ {
			s.Get("/kept")
		}
		require.Equal(t, 200, s.Do(http.MethodPost, "/.odoocache/purge", `{"tags":["of-nothing"]}`, site.Bearer).Status)
		sequence := func() string {
			got := s.Get("/.odoocache/status", site.Bearer).Body
			_, after, _ := strings.Cut(got, `"sequence":`)
			n, _, _ := strings.Cut(after, ",")
			return n
		}
		before := sequence()
		require.NotEmpty(t, before)
		for i := 0; i < 130; i++ {
			s.Do(http.MethodPost, fmt.Sprint("/static/x.js?v=", i), "x")
		}
		assert.Contains(t, s.Get("/kept").CacheStatus(), "; hit")
		assert.Equal(t, before, sequence(), "no purge took a number")
		s.Do(http.MethodPost, "/kept", "x")
		assert.Contains(t, s.Get("/kept").CacheStatus(), "fwd=uri-miss; stored")
	})
}

// TestUnsafeMethodsRemoveEveryForm: of a page that varies by language and cookie, and of each
// variant that its Vary makes.
func TestUnsafeMethodsRemoveEveryForm(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s := site.New(t, load, with(o, site.Options{"rules": []site.Options{
			{"match": site.Options{"pathPrefixes": []string{"/by-language"}}, "ttl": "60", "vary": site.Options{"languages": []string{"en_US", "fr_FR"}, "cookies": []string{"colour"}}},
			{"match": site.Options{"pathPrefixes": []string{"/quiet"}, "methods": []string{"POST"}}, "session": "keep"},
			{"match": site.Options{"pathPrefixes": []string{"/static"}}, "session": "ignore"},
		}}), func(rw http.ResponseWriter, r *http.Request) {
			lines := []string{"Cache-Control: max-age=60"}
			if r.URL.Path == "/varies" {
				lines = append(lines, "Vary: Foo")
			}
			site.Page("x", lines...)(rw, r)
		})
		const red, blue = "Cookie: colour=red", "Cookie: colour=blue"
		forms := [][]string{
			{"Accept-Language: en-US", red}, {"Accept-Language: fr-FR", red}, {"Accept-Language: de-DE", red}, {"Accept-Language: fr-FR", "User-Agent: Googlebot", red},
		}
		other := []string{"Accept-Language: fr-FR", blue}
		for i := 0; i < 3; i++ {
			for _, lines := range append(forms, other) {
				s.Get("/by-language?a=1", lines...)
			}
			for _, foo := range []string{"1", "2", "3"} {
				s.Get("/varies", "Foo: "+foo)
			}
			s.Get("/quiet")
			s.Get("/static/x.css")
		}
		renders := s.Renders()
		s.Do(http.MethodPost, "/by-language?a=1", "x", red)
		for _, lines := range forms {
			assert.Contains(t, s.Get("/by-language?a=1", lines...).CacheStatus(), "fwd=uri-miss; stored", lines)
		}
		assert.Contains(t, s.Get("/by-language?a=1", other...).CacheStatus(), "; hit", "not the requester's")

		s.Do(http.MethodPost, "/varies", "x")
		for i, foo := range []string{"2", "1", "3"} {
			want := "fwd=vary-miss; stored"
			if i == 0 {
				want = "fwd=uri-miss; stored"
			}
			assert.Contains(t, s.Get("/varies", "Foo: "+foo).CacheStatus(), want, foo)
		}
		for _, path := range []string{"/quiet", "/static/x.css"} {
			s.Do(http.MethodPost, path, "x")
			assert.Contains(t, s.Get(path).CacheStatus(), "; hit", "a rule says that a POST changes nothing")
		}
		assert.Equal(t, renders+2+2+len(forms)+3, s.Renders())
	})
}

// TestAPageThatIsFetchedWhileAPostPasses is from before it, perhaps.
func TestAPageThatIsFetchedWhileAPostPasses(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		started, gate := make(chan bool), make(chan bool)
		s := site.New(t, load, o, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && r.Header.Get("X-Slow") != "" {
				started <- true
				<-gate
			}
			site.Page("x", "Cache-Control: max-age=60", "Vary: Foo")(rw, r)
		})
		for _, foo := range []string{"1", "2"} {
			done := make(chan site.Reply)
			go func() {
				got, _ := site.Send(http.MethodGet, s.URL+"/p", "", site.Fields("X-Slow: 1", "Foo: "+foo))
				done <- got
			}()
			<-started
			s.Do(http.MethodPost, "/p", "x")
			gate <- true
			assert.Contains(t, (<-done).CacheStatus(), "detail=purged", foo)
			assert.Contains(t, s.Get("/p", "Foo: 1").CacheStatus(), "stored")
			assert.Contains(t, s.Get("/p", "Foo: 1").CacheStatus(), "; hit")
		}
	})
}

// TestInventedSessionsPushOutNone: session.max is for sessions that were seen to begin.
func TestInventedSessionsPushOutNone(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s, _ := newOdooLike(t, load, with(o, site.Options{"tenant": fmt.Sprintf("t%d", site.Tenants.Add(1)), "session": site.Options{"max": "100"}}))
		s.Get("/a")
		id := s.Do(http.MethodPost, "/seen", "x").Session()
		require.Contains(t, s.Get("/a", "Cookie: session_id="+id).CacheStatus(), "hit")
		for i := 0; i < 30; i++ {
			var cookies []string
			for j := 0; j < 8; j++ {
				cookies = append(cookies, "session_id="+site.SessionID(100000+10*i+j))
			}
			s.Do(http.MethodPost, "/change", "x", "Cookie: "+strings.Join(cookies, "; "))
		}
		assert.Contains(t, s.Get("/a", "Cookie: session_id="+id).CacheStatus(), "hit")
		s.Do(http.MethodPost, "/change", "x", "Cookie: session_id="+id)
		assert.Contains(t, s.Get("/a", "Cookie: session_id="+id).CacheStatus(), "detail=session")
	})
}

// TestSessionsOfAStranger: sessions that somebody has Odoo begin take no place of one that is
// in use. Those that nobody uses go.
func TestSessionsOfAStranger(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		n := 0
		s := site.New(t, load, site.Options{"preset": "odoo", "languages": []string{"en_US", "fr_FR"}, "session": site.Options{"max": "100"}}, func(rw http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Cookie"), "session_id") {
				n++
				rw.Header().Set("Set-Cookie", fmt.Sprintf("session_id=%s%05d; Path=/", strings.Repeat("a", 80), n))
			}
			site.Page(site.HTMLPage("x"), "Content-Type: text/html")(rw, r)
		})
		begin := func() string {
			line, _, _ := strings.Cut(s.Do(http.MethodHead, "/robots.txt", "").Header.Get("Set-Cookie"), ";")
			require.Contains(t, line, "session_id=")
			return "Cookie: " + line
		}
		s.Get("/shop")
		mine, unused := begin(), begin()
		for i := 0; i < 300; i++ {
			begin()
			if i%40 == 0 {
				require.Contains(t, s.Get("/shop", mine).CacheStatus(), "; hit", i)
			}
		}
		assert.Contains(t, s.Get("/shop", mine).CacheStatus(), "; hit")
		assert.Contains(t, s.Get("/shop", unused).CacheStatus(), "detail=session")
		s.Do(http.MethodPost, "/shop/cart/update", "a=b", mine)
		for i := 0; i < 60; i++ {
			assert.Contains(t, s.Get("/shop", mine).CacheStatus(), "detail=session", "special, and stays so")
			begin()
		}
	})
}

// TestAdmission: addresses that are asked for once do not push out those that are asked for
// again, and take no more than their share.
func TestAdmission(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		more := site.Options{"admission": site.Options{"bytes": "200KiB"}, "compression": "0"}
		_, inRedis := o["redis"]
		if !inRedis {
			more["memory"] = site.Options{"bytes": "1MiB"}
		}
		s := site.New(t, load, with(o, more), site.Page(strings.Repeat("x", 20000), "Cache-Control: max-age=60"))
		for i := 0; i < 2; i++ {
			s.Get("/first")
		}
		stored, refused := 0, 0
		for i := 0; i < 100; i++ {
			status := s.Get(fmt.Sprint("/p?q=", i)).CacheStatus()
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
		assert.Contains(t, s.Get("/first").CacheStatus(), "; hit")
		assert.Contains(t, s.Get("/p?q=0").CacheStatus(), "; hit", "it was stored")
		assert.Contains(t, s.Get("/p?q=99").CacheStatus(), "; stored", "asked for the second time")
		assert.Contains(t, s.Get("/p?q=99").CacheStatus(), "; hit")
		assert.Contains(t, s.Get("/first").CacheStatus(), "; hit")
	})
}

// TestWithoutAdmission: each page is stored at once.
func TestWithoutAdmission(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"admission": site.Options{"bytes": "0"}, "memory": site.Options{"bytes": "1MiB"}}, site.Page(strings.Repeat("x", 20000), "Cache-Control: max-age=60"))
		for i := 0; i < 100; i++ {
			assert.Contains(t, s.Get(fmt.Sprint("/p?q=", i)).CacheStatus(), "; stored")
		}
	})
}

// TestPagesThatAreAskedForAgainAreRefreshed whatever strangers have taken of the share.
func TestPagesThatAreAskedForAgainAreRefreshed(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		more := site.Options{"admission": site.Options{"bytes": "100KiB", "window": "1ms"}, "purge": site.Options{"secret": site.Secret}, "compression": "0"}
		if _, inRedis := o["redis"]; !inRedis {
			more["memory"] = site.Options{"bytes": "1MiB"}
		}
		s := site.New(t, load, with(o, more), site.Page(strings.Repeat("x", 90000), "X-Odoo-Cache: public, ttl=1, grace=600"))
		require.Contains(t, s.Get("/mine").CacheStatus(), "stored")
		for i := 0; i < 40; i++ {
			s.Get(fmt.Sprint("/p?q=", i))
		}
		require.Equal(t, 200, s.Do(http.MethodPost, "/.odoocache/purge", `{"paths":["/mine"]}`, site.Bearer).Status)
		assert.Contains(t, s.Get("/mine").CacheStatus(), "; stored", "it was there before the purge")
	})
}

// TestVariantsOfStrangers: a variant that is asked for once does not take the place of
// another.
func TestVariantsOfStrangers(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		s := site.New(t, load, with(o, site.Options{"limits": site.Options{"variants": "3"}}), site.Page("x", "Cache-Control: max-age=60", "Vary: Accept-Language"))
		for i := 0; i < 3; i++ {
			for _, language := range []string{"en", "fr"} {
				s.Get("/p", "Accept-Language: "+language)
			}
		}
		for i := 0; i < 20; i++ {
			s.Get("/p", fmt.Sprint("Accept-Language: x", i))
		}
		for _, language := range []string{"en", "fr", "x0"} {
			assert.Contains(t, s.Get("/p", "Accept-Language: "+language).CacheStatus(), "; hit", language)
		}
		assert.Equal(t, "odoocache; fwd=vary-miss; detail=admission", s.Get("/p", "Accept-Language: new").CacheStatus())
		assert.Contains(t, s.Get("/p", "Accept-Language: new").CacheStatus(), "; stored")
		assert.Contains(t, s.Get("/p", "Accept-Language: new").CacheStatus(), "; hit")
	})
}

// TestVariantsInUseStay: variants that somebody makes up, and asks for again and again, take the
// places of each other and of those that nobody uses.
func TestVariantsInUseStay(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		for name, more := range map[string]site.Options{
			"a rule": {"limits": site.Options{"variants": "4"}},
			"preset": {"limits": site.Options{"variants": "4"}, "preset": "odoo", "languages": []string{"en_US"}},
		} {
			t.Run(name, func(t *testing.T) {
				s := site.New(t, load, with(o, with(more, site.Options{"tenant": fmt.Sprintf("t%d", site.Tenants.Add(1))})), site.Page(site.HTMLPage("x"), "Content-Type: text/html", "Cache-Control: max-age=60", "Vary: X-Region"))
				hit := func(region string) {
					t.Helper()
					assert.Contains(t, s.Get("/shop", "X-Region: "+region).CacheStatus(), "; hit", region)
				}
				for _, region := range []string{"used", "quiet"} {
					for i := 0; i < 3; i++ {
						s.Get("/shop", "X-Region: "+region)
					}
				}
				for i := 0; i < 20; i++ {
					for j := 0; j < 3; j++ { // the last is a hit
						s.Get("/shop", fmt.Sprint("X-Region: invented-", i))
					}
					if i%2 == 1 {
						hit("used")
					}
				}
				assert.NotContains(t, s.Get("/shop", "X-Region: quiet").CacheStatus(), "; hit", "nobody uses it any more")
				for i := 0; i < 4; i++ { // in use, too
					for j := 0; j < 4; j++ {
						s.Get("/shop", fmt.Sprint("X-Region: busy-", i))
					}
				}
				s.Get("/shop", "X-Region: new")
				assert.Contains(t, s.Get("/shop", "X-Region: new").CacheStatus(), "; stored")
				hit("new")
			})
		}
	})
}

// TestInventedVariants: one that was hit stays where others are stored and never hit.
func TestInventedVariants(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"preset": "odoo", "languages": []string{"en_US"}}, func(rw http.ResponseWriter, r *http.Request) {
			site.Page(site.HTMLPage("in "+r.Header.Get("Accept-Language")+"."), "Content-Type: text/html", "Vary: Accept-Language")(rw, r)
		})
		for i := 0; i < 3; i++ {
			s.Get("/shop", "Accept-Language: fr")
		}
		for i := 0; i < 40; i++ {
			s.Get("/shop", fmt.Sprint("Accept-Language: invented-", i/2))
		}
		got := s.Get("/shop", "Accept-Language: fr")
		assert.Contains(t, got.CacheStatus(), "; hit")
		assert.Contains(t, got.Body, "in fr.")
	})
}

// TestManyWaitForAPageThatIsNotAdmitted: it is asked for once.
func TestManyWaitForAPageThatIsNotAdmitted(t *testing.T) {
	strangersStorages(t, func(t *testing.T, load site.Loader, o site.Options) {
		started, gate := make(chan bool, 100), make(chan bool)
		var once sync.Once
		open := func() { once.Do(func() { close(gate) }) }
		defer open()
		s := newCrowdedSite(t, load, with(o, site.Options{"admission": site.Options{"bytes": "1"}, "memory": site.Options{"bytes": "1MiB"}, "compression": "0"}), func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				started <- true
				<-gate
			}
			site.Page(strings.Repeat("x", 100000), "Cache-Control: max-age=60")(rw, r)
		})
		for i := 0; i < 12; i++ { // memory alone is full then
			s.Get(fmt.Sprint("/p?q=", i))
		}
		got := make(chan site.Reply, 10)
		for i := 0; i < 10; i++ {
			go func() {
				r, _ := site.Send(http.MethodGet, s.URL+"/slow", "", http.Header{})
				got <- r
			}()
		}
		<-started
		s.Waiting(9)
		open()
		for i := 0; i < 10; i++ {
			r := <-got
			assert.Len(t, r.Body, 100000)
		}
		assert.Equal(t, 13, s.Renders())
	})
}

// reloads makes middlewares with other options of the storage, as Traefik does: the next one
// before the one before is given up.
type reloads struct {
	t    *testing.T
	load site.Loader
	o    site.Options
	next http.Handler
	end  context.CancelFunc
	h    http.Handler
}

func (r *reloads) apply(more site.Options) {
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

func (r *reloads) do(h http.Handler, method, path, body string, lines ...string) site.Reply {
	req := httptest.NewRequest(method, "http://shop.example"+path, strings.NewReader(body))
	if body == "" {
		req = httptest.NewRequest(method, "http://shop.example"+path, nil)
	}
	req.Header = site.Fields(append(lines, "X-Forwarded-Proto: http")...)
	rw := httptest.NewRecorder()
	h.ServeHTTP(rw, req)
	return site.Reply{Status: rw.Code, Header: rw.Header(), Body: rw.Body.String()}
}

func (r *reloads) get(path string) string {
	got := r.do(r.h, http.MethodGet, path, "")
	return got.CacheStatus()
}

// pending returns how many purges wait.
func (r *reloads) pending() int {
	_, after, _ := strings.Cut(r.do(r.h, http.MethodGet, "/.odoocache/status", "", site.Bearer).Body, `"pendingPurges":`)
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
		right, broken site.Options // of redis
		other         bool         // of another server
	}{
		{"a wrong password", site.Options{"password": "right"}, site.Options{"password": "wrong"}, false},
		{"a wrong user", site.Options{"password": "right"}, site.Options{"password": "right", "username": "nobody"}, false},
		{"another address", site.Options{"password": "right"}, site.Options{"address": "127.0.0.1:1"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := stack.StartServer(t, "--requirepass", "right")
			site.Both(t, func(t *testing.T, load site.Loader) {
				redis := func(more site.Options) site.Options {
					return site.Options{"redis": with(site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}, more)}
				}
				r := &reloads{t: t, load: load, next: site.Page("x", "Cache-Control: max-age=600", "Surrogate-Key: product-9"),
					o: site.Options{"tenant": fmt.Sprintf("t%d", site.Tenants.Add(1)), "purge": site.Options{"secret": site.Secret}}}
				r.apply(redis(c.right))
				for i := 0; i < 3; i++ {
					r.get("/kept")
					r.get("/purged")
				}
				require.Contains(t, r.get("/purged"), "; hit")
				r.apply(redis(c.broken))
				old := r.h
				got := r.do(r.h, http.MethodPost, "/.odoocache/purge", `{"paths":["/purged"]}`, site.Bearer)
				require.Equal(t, 503, got.Status, got.Body)

				r.apply(with(redis(c.right), site.Options{"memory": site.Options{"bytes": "32MiB"}}))
				require.NotContains(t, r.get("/purged"), "; hit")
				require.Contains(t, r.get("/kept"), "; hit", "nothing else was purged")
				require.Zero(t, r.pending())
				require.Contains(t, r.get("/purged"), "; hit", "stored anew")

				// While the old options are still in use for requests that began before.
				require.Contains(t, r.get("/kept"), "; hit")
				got = r.do(old, http.MethodPost, "/.odoocache/purge", `{"paths":["/kept"]}`, site.Bearer)
				require.Equal(t, 503, got.Status, got.Body)
				require.NotContains(t, r.get("/kept"), "; hit")
				require.Zero(t, r.pending())
			})
		})
	}
}

// TestKeptPurgeIsWrittenOnce: the storage with the wrong password is not closed at once, and
// still keeps the purge when the options are changed again.
func TestKeptPurgeIsWrittenOnce(t *testing.T) {
	server := stack.StartServer(t, "--requirepass", "right")
	site.Both(t, func(t *testing.T, load site.Loader) {
		with := func(password, memory string) site.Options {
			return site.Options{"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s", "password": password}, "memory": site.Options{"bytes": memory}}
		}
		r := &reloads{t: t, load: load, next: site.Page("x", "Cache-Control: max-age=600"),
			o: site.Options{"tenant": fmt.Sprintf("t%d", site.Tenants.Add(1)), "purge": site.Options{"secret": site.Secret}}}
		r.apply(with("wrong", "64MiB"))
		require.Equal(t, 503, r.do(r.h, http.MethodPost, "/.odoocache/purge", `{"paths":["/b"]}`, site.Bearer).Status)
		for i := 0; i < 4; i++ {
			r.apply(with("right", fmt.Sprintf("%dMiB", 30+i)))
			if i > 0 {
				require.Zero(t, r.pending(), "change %d", i)
				require.Contains(t, r.get("/b"), "; hit", "change %d", i)
			}
			r.get("/b")
			require.Contains(t, r.get("/b"), "; hit")
			require.Contains(t, r.do(r.h, http.MethodGet, "/.odoocache/status", "", site.Bearer).Body, `"sequence":2,`, "change %d", i) // the first is the beginning
		}
	})
}

// TestPurgesReachTheNextMemory: without Redis other options make another storage, of which a
// request that began before knows nothing.
func TestPurgesReachTheNextMemory(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		r := &reloads{t: t, load: load, next: site.Page("x", "Cache-Control: max-age=600"),
			o: site.Options{"tenant": fmt.Sprintf("t%d", site.Tenants.Add(1)), "purge": site.Options{"secret": site.Secret}}}
		r.apply(nil)
		old := r.h
		r.apply(site.Options{"memory": site.Options{"bytes": "32MiB"}})
		for i := 0; i < 3; i++ {
			r.get("/p")
		}
		require.Contains(t, r.get("/p"), "; hit")
		require.Equal(t, 200, r.do(old, http.MethodPost, "/.odoocache/purge", `{"paths":["/p"]}`, site.Bearer).Status)
		require.NotContains(t, r.get("/p"), "; hit")
	})
}
