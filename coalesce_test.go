package odoocache_test

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
)

// newCrowdedSite is newSite with a status that anybody may read.
func newCrowdedSite(t *testing.T, load loader, o options, answer http.HandlerFunc) *site {
	with := options{"purge": options{"networks": []string{"127.0.0.1"}}}
	for name, value := range o {
		with[name] = value
	}
	return newSite(t, load, with, answer)
}

func TestCoalesce(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		t.Run("one render for all who ask at once", func(t *testing.T) {
			g := newGate(t)
			s := newCrowdedSite(t, load, nil, g.behind(page("a page", "Cache-Control: max-age=60")))
			c := newCrowd(t, g)
			c.ask(50, s.url+"/")
			s.waiting(49)
			g.open()
			for _, r := range c.all() {
				assert.Equal(t, "a page", r.body)
			}
			assert.Equal(t, 1, s.renders())
			assert.Equal(t, 49, collapsed(c.replies))
		})
		t.Run("an answer for one alone makes nobody wait for the next", func(t *testing.T) {
			testAlone(t, load, nil)
			// Where rules look at header fields, an address says little.
			testAlone(t, load, options{"rules": []options{{"match": options{"headers": options{"X-Kind": "b"}}, "ttl": "1m"}}})
		})
		t.Run("what a soft purge has made stale meanwhile is given as that", func(t *testing.T) {
			g := newGate(t)
			s := newCrowdedSite(t, load, nil, g.behind(page("a page", "Cache-Control: max-age=60, stale-while-revalidate=60")))
			c := newCrowd(t, g)
			c.ask(2, s.url+"/") // a third might find what the second has had refreshed
			s.waiting(1)
			require.Equal(t, http.StatusOK, s.do("PURGE", "/", "", "X-Odoocache-Purge-Mode: soft").status)
			g.open()
			c.all()
			assert.Equal(t, 1, collapsed(c.replies))
			for _, r := range c.replies {
				assert.Equal(t, "a page", r.body)
				assert.Equal(t, strings.Contains(r.cacheStatus(), "; collapsed"), strings.Contains(r.cacheStatus(), "; detail=stale-while-revalidate"), r.cacheStatus())
			}
		})
		t.Run("nobody waits longer than coalesceWait", func(t *testing.T) {
			g := newGate(t)
			s := newCrowdedSite(t, load, options{"limits": options{"coalesceWait": "50ms"}}, g.behind(page("a page", "Cache-Control: max-age=60")))
			c := newCrowd(t, g)
			c.ask(5, s.url+"/")
			require.Eventually(t, func() bool { return s.renders() == 5 }, waitFor, tick, "all five ask themselves")
			g.open()
			c.all()
		})
		t.Run("none waits where it is switched off, or too many do", func(t *testing.T) {
			for _, limits := range []options{{"coalesceWait": "0"}, {"waiters": "1"}} {
				g := newGate(t)
				s := newCrowdedSite(t, load, options{"limits": limits}, g.behind(page("a page", "Cache-Control: max-age=60")))
				c := newCrowd(t, g)
				c.ask(1, s.url+"/")
				require.Eventually(t, func() bool { return s.renders() == 1 }, waitFor, tick)
				c.ask(4, s.url+"/")
				want := 5
				if limits["waiters"] != nil {
					want = 4 // one of them waits
				}
				require.Eventually(t, func() bool { return s.renders() == want }, waitFor, tick, "%v", limits)
				g.open()
				c.all()
			}
		})
		t.Run("pages of others are not waited for", func(t *testing.T) {
			g := newGate(t)
			s := newCrowdedSite(t, load, nil, g.behind(page("a page", "Cache-Control: max-age=60")))
			c := newCrowd(t, g)
			c.ask(1, s.url+"/a")
			c.ask(1, s.url+"/b")
			c.ask(1, s.url+"/a?page=2")
			c.ask(1, s.url+"/a", "Host: other.example")
			c.ask(1, s.url+"/a", "Authorization: Basic YTpi")
			c.ask(1, s.url+"/a", "Cookie: session_id=0123456789012345678901234567890123456789")
			c.ask(1, s.url+"/a", "Range: bytes=0-1")
			require.Eventually(t, func() bool { return s.renders() == 7 }, waitFor, tick)
			g.open()
			assert.Zero(t, collapsed(c.all()))
		})
		t.Run("a variant is not another's", func(t *testing.T) {
			g := newGate(t)
			s := newCrowdedSite(t, load, nil, g.behind(func(rw http.ResponseWriter, r *http.Request) {
				page("for "+r.Header.Get("X-Kind"), "Cache-Control: max-age=60", "Vary: X-Kind")(rw, r)
			}))
			a, b := newCrowd(t, g), newCrowd(t, g)
			a.ask(5, s.url+"/", "X-Kind: a")
			b.ask(5, s.url+"/", "X-Kind: b")
			s.waiting(9)
			g.open()
			for _, r := range a.all() {
				assert.Equal(t, "for a", r.body)
			}
			for _, r := range b.all() {
				assert.Equal(t, "for b", r.body)
			}
			assert.Equal(t, 2, s.renders())
		})
		t.Run("a purge while it is rendered: those who came later do not get it", func(t *testing.T) {
			g := newGate(t)
			s := newCrowdedSite(t, load, nil, g.behind(page("old", "Cache-Control: max-age=60")))
			c := newCrowd(t, g)
			c.ask(1, s.url+"/")
			require.Eventually(t, func() bool { return s.renders() == 1 }, waitFor, tick)
			require.Equal(t, 200, s.do("PURGE", "/", "").status)
			later := newCrowd(t, g)
			later.ask(5, s.url+"/")
			s.waiting(5)
			s.answers(page("new", "Cache-Control: max-age=60"))
			g.open()
			c.all()
			for _, r := range later.all() {
				assert.Equal(t, "new", r.body)
			}
			assert.Equal(t, 2, s.renders(), "the old one, and one for all the others")
		})
		t.Run("the leader's client goes: the page comes for those who wait", func(t *testing.T) {
			g := newGate(t)
			s := newCrowdedSite(t, load, nil, g.behind(page("a page", "Cache-Control: max-age=60")))
			ctx, leave := context.WithCancel(context.Background())
			left := make(chan struct{})
			go func() {
				defer close(left)
				r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/", nil)
				if resp, err := plainClient.Do(r); err == nil {
					resp.Body.Close()
				}
			}()
			require.Eventually(t, func() bool { return s.renders() == 1 }, waitFor, tick)
			c := newCrowd(t, g)
			c.ask(3, s.url+"/")
			s.waiting(3)
			leave()
			<-left
			time.Sleep(20 * time.Millisecond) // for the server to notice
			g.open()
			for _, r := range c.all() {
				assert.Equal(t, "a page", r.body)
			}
			assert.Equal(t, 1, s.renders())
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
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/", nil)
			_, err := plainClient.Do(r)
			require.Error(t, err)
			select {
			case <-ended:
			case <-time.After(waitFor):
				t.Fatal("the origin still works for nobody")
			}
		})
		t.Run("the origin breaks off: the next one asks", func(t *testing.T) {
			g := newGate(t)
			var first atomic.Bool
			s := newCrowdedSite(t, load, nil, g.behind(func(rw http.ResponseWriter, r *http.Request) {
				if first.CompareAndSwap(false, true) {
					panic(http.ErrAbortHandler)
				}
				page("a page", "Cache-Control: max-age=60")(rw, r)
			}))
			go func() { _, _ = send(http.MethodGet, s.url+"/", "", fields()) }()
			require.Eventually(t, func() bool { return s.renders() == 1 }, waitFor, tick)
			c := newCrowd(t, g)
			c.ask(5, s.url+"/")
			s.waiting(5)
			g.open()
			for _, r := range c.all() {
				assert.Equal(t, "a page", r.body)
			}
			assert.Equal(t, 2, s.renders())
		})
		t.Run("an error with a stale copy: everybody gets the copy", func(t *testing.T) {
			g := newGate(t)
			s := newCrowdedSite(t, load, nil, page("old", "Cache-Control: max-age=1, stale-if-error=60", `ETag: "1"`))
			s.get("/")
			require.Eventually(t, func() bool { return s.get("/").header.Get("Age") >= "1" || s.renders() > 1 }, waitFor, 50*time.Millisecond)
			before := s.renders()
			s.answers(g.behind(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) }))
			c := newCrowd(t, g)
			require.Eventually(t, func() bool {
				c.ask(1, s.url+"/")
				return s.renders() > before
			}, waitFor, 100*time.Millisecond)
			c.ask(5, s.url+"/")
			g.open()
			for _, r := range c.all() {
				assert.Equal(t, "old", r.body)
			}
		})
	})
}

func testAlone(t *testing.T, load loader, o options) {
	t.Helper()
	g := newGate(t)
	s := newCrowdedSite(t, load, o, g.behind(page("mine", "Cache-Control: private")))
	c := newCrowd(t, g)
	c.ask(10, s.url+"/")
	s.waiting(9)
	g.open()
	assert.Zero(t, collapsed(c.all()))
	assert.Equal(t, 10, s.renders())
	later := newGate(t)
	s.answers(later.behind(page("mine", "Cache-Control: private")))
	c = newCrowd(t, later)
	c.ask(10, s.url+"/")
	require.Eventually(t, func() bool { return s.renders() == 20 }, waitFor, tick, "all ten ask at once")
	later.open()
	c.all()
}

// TestEarlyRefresh: a page that Odoo takes long for is refreshed before it expires.
func TestEarlyRefresh(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, c := range []struct {
			name string
			on   string
		}{{"on", "true"}, {"off", "false"}} {
			t.Run(c.name, func(t *testing.T) {
				s := newSite(t, load, options{"earlyRefresh": c.on}, func(rw http.ResponseWriter, r *http.Request) {
					time.Sleep(100 * time.Millisecond)
					page("a page", "Cache-Control: max-age=2")(rw, r)
				})
				s.get("/")
				begun := time.Now()
				// The chance grows towards the end; a busy machine sends few requests.
				fresh, end := 1500*time.Millisecond, 1850*time.Millisecond
				if c.on == "false" {
					end = fresh
				}
				for time.Since(begun) < end && s.renders() == 1 {
					if got := s.get("/").cacheStatus(); time.Since(begun) < fresh {
						require.Contains(t, got, "; hit")
					}
				}
				if c.on == "true" {
					assert.Greater(t, s.renders(), 1)
				} else {
					assert.Equal(t, 1, s.renders())
				}
			})
		}
	})
}

// TestErrorsAreNoStorm: while the origin fails, those who wait ask it one after the
// other, and Redis not once more each time.
func TestErrorsAreNoStorm(t *testing.T) {
	server := startServer(t)
	both(t, func(t *testing.T, load loader) {
		const crowded = 40
		g := newGate(t)
		s := newCrowdedSite(t, load, options{"redis": options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"}},
			g.behind(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }))
		c := newCrowd(t, g)
		c.ask(crowded, s.url+"/")
		s.waiting(crowded - 1)
		server.must("CONFIG RESETSTAT")
		g.open()
		for _, r := range c.all() {
			assert.Equal(t, http.StatusBadGateway, r.status)
		}
		assert.Less(t, server.calls("get"), 5*crowded)
	})
}

const shopHostLine = "Host: shop.example"

// newReplicas are two sites of one tenant in one Redis that share nothing else.
func newReplicas(t *testing.T, load loader, redis, more options, answer http.HandlerFunc) (a, b *site) {
	tenant := fmt.Sprintf("t%d", tenants.Add(1))
	sites := [2]*site{}
	for i := range sites {
		mine := options{"poolSize": fmt.Sprint(10 + i)} // other settings, another client
		for name, value := range redis {
			mine[name] = value
		}
		o := options{"tenant": tenant, "redis": mine}
		for name, value := range more {
			o[name] = value
		}
		sites[i] = newSite(t, load, o, answer)
		sites[i].get("/warm", shopHostLine) // the position of purges is known
	}
	return sites[0], sites[1]
}

// TestNobodyWaitsForALockOfNobody: a lock that is claimed where a page is looked up holds
// up no other process, unless its owner is about to bring the page.
func TestNobodyWaitsForALockOfNobody(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		waits := options{"limits": options{"coalesceWait": "5s"}}
		slowly := func(control string) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/warm" {
					time.Sleep(200 * time.Millisecond)
				}
				page("a page", "Cache-Control: "+control)(rw, r)
			}
		}
		t.Run("what is for one alone", func(t *testing.T) {
			server := startServer(t, "--appendonly", "no")
			a, b := newReplicas(t, load, options{"address": server.address, "timeout": "5s", "dialTimeout": "5s"}, waits, slowly("private"))
			a.get("/mine", shopHostLine) // a knows what it is
			for _, key := range strings.Fields(server.must("KEYS oc:*:l:*")) {
				server.must("DEL " + key) // as it ends before a forgets
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
							a.get("/mine", shopHostLine)
						}
					}
				}(i)
			}
			time.Sleep(100 * time.Millisecond)
			begun := time.Now()
			b.get("/mine", shopHostLine)
			assert.Less(t, time.Since(begun), 3*time.Second)
			close(done)
			group.Wait()
		})
		t.Run("a claim that is heard too late", func(t *testing.T) {
			server := startServer(t, "--appendonly", "no")
			a, b := newReplicas(t, load, options{"address": server.address, "timeout": "200ms", "dialTimeout": "200ms"}, waits, slowly("max-age=60"))
			require.NoError(t, server.cmd.Process.Signal(syscall.SIGSTOP))
			got := make(chan reply)
			go func() { got <- a.get("/late", shopHostLine) }()
			time.Sleep(300 * time.Millisecond)
			require.NoError(t, server.cmd.Process.Signal(syscall.SIGCONT))
			require.Contains(t, (<-got).cacheStatus(), "store-error")
			time.Sleep(100 * time.Millisecond)
			begun := time.Now()
			b.get("/late", shopHostLine)
			assert.Less(t, time.Since(begun), 3*time.Second)
		})
	})
}
