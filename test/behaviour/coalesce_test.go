package behaviour_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// newCrowdedSite is New with a status that anybody may read.
func newCrowdedSite(t *testing.T, load site.Loader, o site.Options, answer http.HandlerFunc) *site.Site {
	with := site.Options{"purge": site.Options{"networks": []string{"127.0.0.1"}}}
	for name, value := range o {
		with[name] = value
	}
	return site.New(t, load, with, answer)
}

func TestCoalesce(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		t.Run("one render for all who ask at once", func(t *testing.T) {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, nil, g.Behind(site.Page("a page", "Cache-Control: max-age=60")))
			c := site.NewCrowd(t, g)
			c.Ask(50, s.URL+"/")
			s.Waiting(49)
			g.Open()
			for _, r := range c.All() {
				assert.Equal(t, "a page", r.Body)
			}
			assert.Equal(t, 1, s.Renders())
			assert.Equal(t, 49, site.Collapsed(c.Replies))
		})
		t.Run("an answer for one alone makes nobody wait for the next", func(t *testing.T) {
			testAlone(t, load, nil)
			// Where rules look at header fields, an address says little.
			testAlone(t, load, site.Options{"rules": []site.Options{{"match": site.Options{"headers": site.Options{"X-Kind": "b"}}, "ttl": "1m"}}})
		})
		t.Run("what a soft purge has made stale meanwhile is given as that", func(t *testing.T) {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, nil, g.Behind(site.Page("a page", "Cache-Control: max-age=60, stale-while-revalidate=60")))
			c := site.NewCrowd(t, g)
			c.Ask(2, s.URL+"/") // a third might find what the second has had refreshed
			s.Waiting(1)
			require.Equal(t, http.StatusOK, s.Do("PURGE", "/", "", "X-Odoocache-Purge-Mode: soft").Status)
			g.Open()
			c.All()
			assert.Equal(t, 1, site.Collapsed(c.Replies))
			for _, r := range c.Replies {
				assert.Equal(t, "a page", r.Body)
				assert.Equal(t, strings.Contains(r.CacheStatus(), "; collapsed"), strings.Contains(r.CacheStatus(), "; detail=stale-while-revalidate"), r.CacheStatus())
			}
		})
		t.Run("nobody waits longer than coalesceWait", func(t *testing.T) {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, site.Options{"limits": site.Options{"coalesceWait": "50ms"}}, g.Behind(site.Page("a page", "Cache-Control: max-age=60")))
			c := site.NewCrowd(t, g)
			c.Ask(5, s.URL+"/")
			require.Eventually(t, func() bool { return s.Renders() == 5 }, site.WaitFor, site.Tick, "all five ask themselves")
			g.Open()
			c.All()
		})
		t.Run("none waits where it is switched off, or too many do", func(t *testing.T) {
			for _, limits := range []site.Options{{"coalesceWait": "0"}, {"waiters": "1"}} {
				g := site.NewGate(t)
				s := newCrowdedSite(t, load, site.Options{"limits": limits}, g.Behind(site.Page("a page", "Cache-Control: max-age=60")))
				c := site.NewCrowd(t, g)
				c.Ask(1, s.URL+"/")
				require.Eventually(t, func() bool { return s.Renders() == 1 }, site.WaitFor, site.Tick)
				c.Ask(4, s.URL+"/")
				want := 5
				if limits["waiters"] != nil {
					want = 4 // one of them waits
				}
				require.Eventually(t, func() bool { return s.Renders() == want }, site.WaitFor, site.Tick, "%v", limits)
				g.Open()
				c.All()
			}
		})
		t.Run("pages of others are not waited for", func(t *testing.T) {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, nil, g.Behind(site.Page("a page", "Cache-Control: max-age=60")))
			c := site.NewCrowd(t, g)
			c.Ask(1, s.URL+"/a")
			c.Ask(1, s.URL+"/b")
			c.Ask(1, s.URL+"/a?page=2")
			c.Ask(1, s.URL+"/a", "Host: other.example")
			c.Ask(1, s.URL+"/a", "Authorization: Basic YTpi")
			c.Ask(1, s.URL+"/a", "Cookie: session_id=0123456789012345678901234567890123456789")
			c.Ask(1, s.URL+"/a", "Range: bytes=0-1")
			require.Eventually(t, func() bool { return s.Renders() == 7 }, site.WaitFor, site.Tick)
			g.Open()
			assert.Zero(t, site.Collapsed(c.All()))
		})
		t.Run("a variant is not another's", func(t *testing.T) {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, nil, g.Behind(func(rw http.ResponseWriter, r *http.Request) {
				site.Page("for "+r.Header.Get("X-Kind"), "Cache-Control: max-age=60", "Vary: X-Kind")(rw, r)
			}))
			a, b := site.NewCrowd(t, g), site.NewCrowd(t, g)
			a.Ask(5, s.URL+"/", "X-Kind: a")
			b.Ask(5, s.URL+"/", "X-Kind: b")
			s.Waiting(9)
			g.Open()
			for _, r := range a.All() {
				assert.Equal(t, "for a", r.Body)
			}
			for _, r := range b.All() {
				assert.Equal(t, "for b", r.Body)
			}
			assert.Equal(t, 2, s.Renders())
		})
		t.Run("a purge while it is rendered: those who came later do not get it", func(t *testing.T) {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, nil, g.Behind(site.Page("old", "Cache-Control: max-age=60")))
			c := site.NewCrowd(t, g)
			c.Ask(1, s.URL+"/")
			require.Eventually(t, func() bool { return s.Renders() == 1 }, site.WaitFor, site.Tick)
			require.Equal(t, 200, s.Do("PURGE", "/", "").Status)
			later := site.NewCrowd(t, g)
			later.Ask(5, s.URL+"/")
			s.Waiting(5)
			s.Answers(site.Page("new", "Cache-Control: max-age=60"))
			g.Open()
			c.All()
			for _, r := range later.All() {
				assert.Equal(t, "new", r.Body)
			}
			assert.Equal(t, 2, s.Renders(), "the old one, and one for all the others")
		})
		t.Run("the leader's client goes: the page comes for those who wait", func(t *testing.T) {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, nil, g.Behind(site.Page("a page", "Cache-Control: max-age=60")))
			ctx, leave := context.WithCancel(context.Background())
			left := make(chan struct{})
			go func() {
				defer close(left)
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/", nil)
				if resp, err := site.PlainClient.Do(r); err == nil {
					resp.Body.Close()
				}
			}()
			require.Eventually(t, func() bool { return s.Renders() == 1 }, site.WaitFor, site.Tick)
			c := site.NewCrowd(t, g)
			c.Ask(3, s.URL+"/")
			s.Waiting(3)
			leave()
			<-left
			time.Sleep(20 * time.Millisecond) // for the server to notice
			g.Open()
			for _, r := range c.All() {
				assert.Equal(t, "a page", r.Body)
			}
			assert.Equal(t, 1, s.Renders())
		})
		t.Run("the only client goes: Odoo's work ends", func(t *testing.T) {
			ended := make(chan struct{})
			s := newCrowdedSite(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				close(ended)
				panic(http.ErrAbortHandler)
			})
			ctx, leave := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer leave()
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/", nil)
			_, err := site.PlainClient.Do(r)
			require.Error(t, err)
			select {
			case <-ended:
			case <-time.After(site.WaitFor):
				t.Fatal("the origin still works for nobody")
			}
		})
		t.Run("the origin breaks off: the next one asks", func(t *testing.T) {
			g := site.NewGate(t)
			var first atomic.Bool
			s := newCrowdedSite(t, load, nil, g.Behind(func(rw http.ResponseWriter, r *http.Request) {
				if first.CompareAndSwap(false, true) {
					panic(http.ErrAbortHandler)
				}
				site.Page("a page", "Cache-Control: max-age=60")(rw, r)
			}))
			go func() { _, _ = site.Send(http.MethodGet, s.URL+"/", "", site.Fields()) }()
			require.Eventually(t, func() bool { return s.Renders() == 1 }, site.WaitFor, site.Tick)
			c := site.NewCrowd(t, g)
			c.Ask(5, s.URL+"/")
			s.Waiting(5)
			g.Open()
			for _, r := range c.All() {
				assert.Equal(t, "a page", r.Body)
			}
			assert.Equal(t, 2, s.Renders())
		})
		t.Run("an error with a stale copy: everybody gets the copy", func(t *testing.T) {
			g := site.NewGate(t)
			s := newCrowdedSite(t, load, nil, site.Page("old", "Cache-Control: max-age=1, stale-if-error=60", `ETag: "1"`))
			s.Get("/")
			require.Eventually(t, func() bool { return s.Get("/").Header.Get("Age") >= "1" || s.Renders() > 1 }, site.WaitFor, 50*time.Millisecond)
			before := s.Renders()
			s.Answers(g.Behind(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) }))
			c := site.NewCrowd(t, g)
			require.Eventually(t, func() bool {
				c.Ask(1, s.URL+"/")
				return s.Renders() > before
			}, site.WaitFor, 100*time.Millisecond)
			c.Ask(5, s.URL+"/")
			g.Open()
			for _, r := range c.All() {
				assert.Equal(t, "old", r.Body)
			}
		})
	})
}

func testAlone(t *testing.T, load site.Loader, o site.Options) {
	t.Helper()
	g := site.NewGate(t)
	s := newCrowdedSite(t, load, o, g.Behind(site.Page("mine", "Cache-Control: private")))
	c := site.NewCrowd(t, g)
	c.Ask(10, s.URL+"/")
	s.Waiting(9)
	g.Open()
	assert.Zero(t, site.Collapsed(c.All()))
	assert.Equal(t, 10, s.Renders())
	later := site.NewGate(t)
	s.Answers(later.Behind(site.Page("mine", "Cache-Control: private")))
	c = site.NewCrowd(t, later)
	c.Ask(10, s.URL+"/")
	require.Eventually(t, func() bool { return s.Renders() == 20 }, site.WaitFor, site.Tick, "all ten ask at once")
	later.Open()
	c.All()
}

// TestEarlyRefresh: a page that Odoo takes long for is refreshed before it expires.
func TestEarlyRefresh(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, c := range []struct {
			name string
			on   string
		}{{"on", "true"}, {"off", "false"}} {
			t.Run(c.name, func(t *testing.T) {
				s := site.New(t, load, site.Options{"earlyRefresh": c.on}, func(rw http.ResponseWriter, r *http.Request) {
					time.Sleep(100 * time.Millisecond)
					site.Page("a page", "Cache-Control: max-age=2")(rw, r)
				})
				s.Get("/")
				begun := time.Now()
				// The chance grows towards the end; a busy machine sends few requests.
				fresh, end := 1500*time.Millisecond, 1850*time.Millisecond
				if c.on == "false" {
					end = fresh
				}
				for time.Since(begun) < end && s.Renders() == 1 {
					if got := s.Get("/").CacheStatus(); time.Since(begun) < fresh {
						require.Contains(t, got, "; hit")
					}
				}
				if c.on == "true" {
					assert.Greater(t, s.Renders(), 1)
				} else {
					assert.Equal(t, 1, s.Renders())
				}
			})
		}
	})
}

// TestErrorsAreNoStorm: while the origin fails, those who wait ask it one after the
// other, and Redis not once more each time.
func TestErrorsAreNoStorm(t *testing.T) {
	server := stack.StartServer(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		const crowded = 40
		g := site.NewGate(t)
		s := newCrowdedSite(t, load, site.Options{"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}},
			g.Behind(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }))
		c := site.NewCrowd(t, g)
		c.Ask(crowded, s.URL+"/")
		s.Waiting(crowded - 1)
		server.Must("CONFIG RESETSTAT")
		g.Open()
		for _, r := range c.All() {
			assert.Equal(t, http.StatusBadGateway, r.Status)
		}
		assert.Less(t, server.Calls("get"), 5*crowded)
	})
}

const shopHostLine = "Host: shop.example"

// newReplicas are two sites of one tenant in one Redis that share nothing else.
func newReplicas(t *testing.T, load site.Loader, redis, more site.Options, answer http.HandlerFunc) (a, b *site.Site) {
	tenant := fmt.Sprintf("t%d", site.Tenants.Add(1))
	sites := [2]*site.Site{}
	for i := range sites {
		mine := site.Options{"poolSize": fmt.Sprint(10 + i)} // other settings, another client
		for name, value := range redis {
			mine[name] = value
		}
		o := site.Options{"tenant": tenant, "redis": mine}
		for name, value := range more {
			o[name] = value
		}
		sites[i] = site.New(t, load, o, answer)
		sites[i].Get("/warm", shopHostLine) // the position of purges is known
	}
	return sites[0], sites[1]
}

// TestNobodyWaitsForALockOfNobody: a lock that is claimed where a page is looked up holds
// up no other process, unless its owner is about to bring the page.
func TestNobodyWaitsForALockOfNobody(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		waits := site.Options{"limits": site.Options{"coalesceWait": "5s"}}
		slowly := func(control string) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/warm" {
					time.Sleep(200 * time.Millisecond)
				}
				site.Page("a page", "Cache-Control: "+control)(rw, r)
			}
		}
		t.Run("what is for one alone", func(t *testing.T) {
			server := stack.StartServer(t, "--appendonly", "no")
			a, b := newReplicas(t, load, site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}, waits, slowly("private"))
			a.Get("/mine", shopHostLine) // a knows what it is
			for _, key := range strings.Fields(server.Must("KEYS oc:*:l:*")) {
				server.Must("DEL " + key) // as it ends before a forgets
			}
			done := make(chan bool)
			var group sync.WaitGroup
			for i := 0; i < 4; i++ {
				group.Add(1)
				go func(i int) {
					defer group.Done()
					time.Sleep(time.Duration(i) * 50 * time.Millisecond)
					for {
						select {
						case <-done:
							return
						default:
							a.Get("/mine", shopHostLine)
						}
					}
				}(i)
			}
			time.Sleep(100 * time.Millisecond)
			begun := time.Now()
			b.Get("/mine", shopHostLine)
			assert.Less(t, time.Since(begun), 3*time.Second)
			close(done)
			group.Wait()
		})
		t.Run("a claim that is heard too late", func(t *testing.T) {
			server := stack.StartServer(t, "--appendonly", "no")
			a, b := newReplicas(t, load, site.Options{"address": server.Address, "timeout": "200ms", "dialTimeout": "200ms"}, waits, slowly("max-age=60"))
			require.NoError(t, server.Cmd.Process.Signal(syscall.SIGSTOP))
			got := make(chan site.Reply)
			go func() { got <- a.Get("/late", shopHostLine) }()
			time.Sleep(300 * time.Millisecond)
			require.NoError(t, server.Cmd.Process.Signal(syscall.SIGCONT))
			require.Contains(t, (<-got).CacheStatus(), "store-error")
			time.Sleep(100 * time.Millisecond)
			begun := time.Now()
			b.Get("/late", shopHostLine)
			assert.Less(t, time.Since(begun), 3*time.Second)
		})
	})
}
