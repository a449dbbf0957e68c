package odoocache_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// poisonBases are who the odd ones are beside that.
var poisonBases = []struct {
	name string
	of   func(p *poisonedSite) func(target string) *oddRequest
}{
	{"nobody", func(*poisonedSite) func(string) *oddRequest { return nobodyAt }},
	{"a browser", func(*poisonedSite) func(string) *oddRequest { return browserAt }},
	{"a browser with a default session", func(p *poisonedSite) func(string) *oddRequest {
		begin := browserAt("/shop/products/recently_viewed_update")
		begin.method, begin.body = http.MethodPost, "{}"
		r, ok := begin.ask(p.h)
		require.True(p.t, ok)
		id := r.session()
		require.NotEmpty(p.t, id)
		return func(target string) *oddRequest {
			q := browserAt(target)
			q.cookies = append(q.cookies, "frontend_lang=en_US", "session_id="+id)
			return q
		}
	}},
	{"a browser with a context", func(*poisonedSite) func(string) *oddRequest {
		return func(target string) *oddRequest {
			q := browserAt(target)
			q.cookies = append(q.cookies, "session_id="+longID, "odoocache_context=0")
			return q
		}
	}},
}

// nth are every so many oddities.
func nth(list []oddity, step int) []oddity {
	var few []oddity
	for i := 0; i < len(list); i += step {
		few = append(few, list[i])
	}
	return few
}

// sampled is how many oddities one stands for where the interpreter or the race detector
// runs them.
func sampled(t *testing.T, of int) int {
	if raceEnabled || strings.Contains(t.Name(), "/interpreted") {
		return of
	}
	return 1
}

// TestPoison: of what somebody odd sends, nothing shows in what others get, whatever it
// is, at any kind of address, whoever they are. This one: a page that nobody had asked for.
func TestPoison(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, k := range poisonTargets {
			t.Run(k.name, func(t *testing.T) {
				p := k.poisoned(t, load, nil)
				n := 100000
				for i, base := range poisonBases {
					of, each := base.of(p), sampled(t, 7)
					if i > 0 && k.name != poisonTargets[0].name {
						each *= 3
					}
					for _, way := range nth(oddities(), each) {
						n++
						p.miss(base.name+", "+way.name, p.odd(n, of, way))
					}
				}
				p.report()
				assert.Greater(t, p.hits, p.cases/2, "answers from the cache: it is on")
			})
		}
	})
}

// TestPoisonPairs is TestPoison with two things at a time.
func TestPoisonPairs(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, k := range poisonTargets[:1] {
			p := k.poisoned(t, load, nil)
			var core []oddity
			for _, way := range oddities() {
				if way.core {
					core = append(core, way)
				}
			}
			n, each := 100000, sampled(t, 41)
			for i := range core {
				for j := range core {
					if n++; n%each == 0 && i != j {
						p.miss(core[i].name+" and "+core[j].name, p.odd(n, nobodyAt, core[i], core[j]))
					}
				}
			}
			p.report()
		}
	})
}

// poisonFills are the ways in which a page can come into the cache, beside a miss. Each
// fills many pages at once, by those who are odd, and leaves them to be looked at.
var poisonFills = []struct {
	name string
	more options
	fill func(p *poisonedSite, odd []*oddRequest)
	hits bool // what others get afterwards comes from the cache, for the most part
}{
	{"coalesced misses", nil, fillTogether, false},
	{"refresh of what is stale", nil, fillStale, true},
	{"refresh ahead of time", options{"rules": []options{{"name": "own", "match": options{"pathPrefixes": []string{"/"}, "methods": []string{"GET"}}, "ttl": "2s", "grace": "60s"}}}, fillEarly, true},
	{"confirmation by 304", options{"rules": []options{{"name": "own", "match": options{"pathPrefixes": []string{"/"}, "methods": []string{"GET"}}, "ttl": "1s"}}}, fillConfirmed, false},
	{"rewarming after a purge", options{"rewarm": "1000"}, fillWarm, true},
}

// TestPoisonFills is TestPoison for the other ways in which a page comes into the cache,
// in memory and in Redis. Nor does Redis hold anything of the odd ones afterwards.
func TestPoisonFills(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, f := range poisonFills {
			for _, with := range []string{"memory", "Redis", "Redis, compressed"} {
				t.Run(f.name+" "+with, func(t *testing.T) {
					more := options{}
					for name, value := range f.more {
						more[name] = value
					}
					var client *goredis.Options
					if with != "memory" {
						socket := redisSocket(t)
						client = &goredis.Options{Network: "unix", Addr: socket}
						more["redis"] = options{"address": "unix://" + socket, "timeout": "10s", "dialTimeout": "10s"}
						more["memory"] = options{"bytes": "0"}
						more["compression"] = "0"
						if f.name == "rewarming after a purge" || f.name == "refresh ahead of time" {
							delete(more, "memory") // which pages are popular is known there
						}
						if with == "Redis, compressed" {
							delete(more, "compression")
						}
					}
					k := poisonTarget{page: numberedPage("/pN"), origin: echo(htmlText, "ETag: "+ownTag), more: more}
					p := k.poisoned(t, load, nil)
					ways := nth(oddities(), sampled(t, 9))
					if with != "memory" {
						ways = nth(ways, 3)
					}
					var odd []*oddRequest
					var names []string
					all, open := map[string]string{}, map[string]string{}
					for i, way := range ways {
						q := p.odd(100000+i, nobodyAt, way)
						if _, ok := q.parse(); !ok || q.method == http.MethodPost {
							continue
						}
						odd, names = append(odd, q), append(names, way.name)
						all[markerOf(100000+i, "a")] = way.name
						if way.open {
							open[markerOf(100000+i, "a")] = way.name
						}
					}
					f.fill(p, odd)
					p.hits = 0
					for i, q := range odd {
						p.check(names[i], q)
					}
					p.cases = len(odd)
					if client != nil {
						p.cleanRedis(client, all, open)
					}
					p.report()
					if f.hits {
						assert.Greater(t, p.hits, len(odd)/2, "answers from the cache")
					}
				})
			}
		}
	})
}

// TestPoisonRedis: after misses of those who are odd Redis holds nothing of them but
// parts of addresses.
func TestPoisonRedis(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		for _, k := range poisonTargets {
			t.Run(k.name, func(t *testing.T) {
				socket := redisSocket(t)
				p := k.poisoned(t, load, options{"compression": "0", "redis": options{"address": "unix://" + socket, "timeout": "10s", "dialTimeout": "10s"}})
				all, open := map[string]string{}, map[string]string{}
				for i, way := range nth(oddities(), sampled(t, 11)) {
					n := 100000 + i
					p.miss(way.name, p.odd(n, nobodyAt, way))
					all[markerOf(n, "a")] = way.name
					if way.open {
						open[markerOf(n, "a")] = way.name
					}
				}
				p.failures = nil // those are TestPoison's
				p.cleanRedis(&goredis.Options{Network: "unix", Addr: socket}, all, open)
				p.report()
			})
		}
	})
}

// fillTogether: the odd ones ask first, and nobody waits for their answers. What nobody
// gets so is looked at here.
func fillTogether(p *poisonedSite, odd []*oddRequest) {
	gate := make(chan struct{})
	p.originAnswers(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		p.origin(rw, r)
	})
	var mu sync.Mutex
	answered := 0
	count := func() {
		mu.Lock()
		answered++
		mu.Unlock()
	}
	at := func(n int) bool { // the origin, or waiting, or answered
		mu.Lock()
		defer mu.Unlock()
		return int(p.renders.Load())+p.status().Waiting+answered >= n
	}
	var wg sync.WaitGroup
	replies := make([]reply, len(odd))
	for i := range odd {
		wg.Add(1)
		go func(q *oddRequest) {
			defer wg.Done()
			q.ask(p.h)
			count()
		}(odd[i])
	}
	require.Eventually(p.t, func() bool { return at(len(odd)) }, waitFor, tick, "all ask")
	for i := range odd {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			replies[i], _ = nobodyAt(odd[i].canonical).ask(p.h)
			count()
		}(i)
	}
	require.Eventually(p.t, func() bool { return at(2 * len(odd)) }, waitFor, tick, "nobody asks, too")
	close(gate)
	wg.Wait()
	p.originAnswers(p.origin)
	n := 0
	for i, q := range odd {
		p.judge("together with "+q.lineOfOddity(), nobodyAt(q.canonical), replies[i], true)
		if strings.Contains(replies[i].cacheStatus(), "; collapsed") {
			n++
		}
	}
	p.t.Logf("%d of %d got the answer to somebody odd", n, len(odd))
	assert.Positive(p.t, n, "answers to another request")
}

// fillStale: all pages are purged softly; the odd ones get stale copies, and have them
// refreshed.
func fillStale(p *poisonedSite, odd []*oddRequest) {
	p.ownPages(odd)
	p.manage(p.h, http.MethodPost, "purge", `{"all":true,"soft":true}`)
	before := p.renders.Load()
	for _, q := range odd {
		q.ask(p.h)
	}
	p.quiet()
	require.Greater(p.t, p.renders.Load(), before)
}

// fillEarly: pages took long to render and are about to expire.
func fillEarly(p *poisonedSite, odd []*oddRequest) {
	for try := 0; try < 3 && p.status().Counters["refresh"] == 0; try++ { // it is by chance, and a matter of time
		p.originAnswers(func(rw http.ResponseWriter, r *http.Request) {
			time.Sleep(600 * time.Millisecond)
			p.origin(rw, r)
		})
		together(len(odd), func(i int) { nobodyAt(odd[i].canonical).ask(p.h) })
		p.originAnswers(p.origin)
		time.Sleep(1100 * time.Millisecond)
		for i := 0; i < 7; i++ {
			for _, q := range odd {
				q.ask(p.h)
			}
			time.Sleep(80 * time.Millisecond)
		}
		p.quiet()
	}
	require.Positive(p.t, p.status().Counters["refresh"], "pages that were refreshed before they expired")
}

// fillConfirmed: pages have expired, and the odd ones have them confirmed.
func fillConfirmed(p *poisonedSite, odd []*oddRequest) {
	p.ownPages(odd)
	time.Sleep(1100 * time.Millisecond)
	for _, q := range odd {
		q.ask(p.h)
	}
}

// fillWarm: the odd ones look at pages again and again, so that these are asked for
// as soon as they are purged.
func fillWarm(p *poisonedSite, odd []*oddRequest) {
	for _, q := range odd {
		q.ask(p.h)
	}
	p.ownPages(odd)
	for i := 0; i < 4; i++ {
		for _, q := range odd {
			q.ask(p.h)
			nobodyAt(q.canonical).ask(p.h)
		}
	}
	before := p.renders.Load()
	p.manage(p.h, http.MethodPost, "purge", `{"all":true}`)
	p.quiet()
	require.Greater(p.t, p.renders.Load(), before+int64(len(odd)/4), "pages are asked for again")
}

// TestFoldedFields: a server that folds names of fields as WSGI does takes X_Forwarded_Host
// for X-Forwarded-Host. Fields that count do not reach the origin under other names, with
// no kind of request. Other odd names do with requests that visitors make for themselves.
func TestFoldedFields(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		p := poisonTargets[0].poisoned(t, load, nil)
		var mu sync.Mutex
		var last http.Header
		p.originAnswers(func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			last = r.Header.Clone()
			mu.Unlock()
			p.origin(rw, r)
		})
		fold := strings.NewReplacer("_", "-", ".", "-")
		for i, name := range []string{
			"Cookie", "Authorization", "Accept-Language", "X-Openerp-Session-Id", "X-Odoo-Database", "X-Forwarded-For", "X-Forwarded-Host",
			"X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Anything", "X-Odoo-Cache-Edge",
		} {
			for j, with := range []string{"_", ".", "mixed"} {
				other := strings.ReplaceAll(name, "-", with)
				if with == "mixed" {
					other = strings.ToUpper(strings.Replace(name, "-", "_", 1))
				}
				if !strings.ContainsAny(other, "_.") {
					continue // there is nothing to fold
				}
				for k, q := range []*oddRequest{
					nobodyAt(fmt.Sprintf("/p%d-%d", i, j)), browserAt(fmt.Sprintf("/shop/cart?n=%d-%d", i, j)), browserAt("/shop/cart/update"), browserAt("/websocket"),
				} {
					if k == 2 {
						q.method, q.body = http.MethodPost, "a=b"
					}
					if k == 3 {
						q.lines = append(q.lines, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
					}
					q.lines = append(q.lines, other+": odd", "X_Custom.Field: mine")
					_, ok := q.ask(p.h)
					require.True(t, ok, other)
					for got := range last {
						if got != http.CanonicalHeaderKey(name) && strings.EqualFold(fold.Replace(got), name) {
							p.fail("%s | it reaches the origin with %s %s", other, q.method, q.target)
						}
					}
					p.cases++
					if k > 0 {
						assert.Equal(t, []string{"mine"}, last["X_custom.field"], "a field of an API's own, %s %s", q.method, q.target)
					}
				}
			}
		}
		p.report()
	})
}

// FuzzPoison is TestPoison for whatever a client may send.
func FuzzPoison(f *testing.F) {
	for i, way := range oddities() {
		q := nobodyAt("/p1")
		way.do(q, "zq1a")
		head := strings.Join(q.lines, "\r\n")
		if len(q.cookies) > 0 {
			head += "\r\nCookie: " + strings.Join(q.cookies, "; ")
		}
		if i%5 == 0 && q.method == http.MethodGet {
			f.Add(q.target, strings.TrimPrefix(head, "\r\n"))
		}
	}
	sites := map[string]*poisonedSite{}
	f.Fuzz(func(t *testing.T, target, head string) {
		if len(target)+len(head) > 4000 || strings.Contains(head, "\r\n\r\n") || strings.Contains(head, "\n\n") || strings.ContainsAny(target, " \r\n") {
			return
		}
		odd := nobodyAt(target)
		odd.canonical = routedAs(target)
		if head != "" {
			odd.lines = strings.Split(strings.ReplaceAll(head, "\r\n", "\n"), "\n")
		}
		r, ok := odd.parse()
		if !ok || r.Host != poisonHost {
			return
		}
		if r, ok = nobodyAt(odd.canonical).parse(); !ok || r.Host != poisonHost {
			return
		}
		for _, k := range []poisonTarget{poisonTargets[0], poisonTargets[4], poisonTargets[17]} {
			p := sites[k.name]
			if p == nil {
				p = k.poisoned(t, compiled, nil)
				sites[k.name] = p
			}
			p.t, p.failures = t, nil
			p.manage(p.h, http.MethodPost, "purge", `{"all":true}`)
			p.manage(p.control, http.MethodPost, "purge", `{"all":true}`)
			p.miss(k.name, odd)
			if len(p.failures) > 0 {
				t.Fatalf("%s\n%q", p.failures[0], odd.text())
			}
		}
	})
}
