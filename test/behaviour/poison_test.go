package behaviour_test

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

	"github.com/odoocache/odoocache/test/poison"
	"github.com/odoocache/odoocache/test/site"
)

// poisonBases are who the odd ones are beside that.
var poisonBases = []struct {
	name string
	of   func(p *poison.Site) func(target string) *poison.Request
}{
	{"nobody", func(*poison.Site) func(string) *poison.Request { return poison.NobodyAt }},
	{"a browser", func(*poison.Site) func(string) *poison.Request { return poison.BrowserAt }},
	{"a browser with a default session", func(p *poison.Site) func(string) *poison.Request {
		begin := poison.BrowserAt("/shop/products/recently_viewed_update")
		begin.Method, begin.Body = http.MethodPost, "{}"
		r, ok := begin.Ask(p.Handler)
		require.True(p.T, ok)
		id := r.Session()
		require.NotEmpty(p.T, id)
		return func(target string) *poison.Request {
			q := poison.BrowserAt(target)
			q.Cookies = append(q.Cookies, "frontend_lang=en_US", "session_id="+id)
			return q
		}
	}},
	{"a browser with a context", func(*poison.Site) func(string) *poison.Request {
		return func(target string) *poison.Request {
			q := poison.BrowserAt(target)
			q.Cookies = append(q.Cookies, "session_id="+poison.LongID, "odoocache_context=0")
			return q
		}
	}},
}

// nth are every so many oddities.
func nth(list []poison.Oddity, step int) []poison.Oddity {
	var few []poison.Oddity
	for i := 0; i < len(list); i += step {
		few = append(few, list[i])
	}
	return few
}

// sampled is how many oddities one stands for where the interpreter or the race detector
// runs them.
func sampled(t *testing.T, of int) int {
	if site.RaceEnabled || strings.Contains(t.Name(), "/interpreted") {
		return of
	}
	return 1
}

// TestPoison: of what somebody odd sends, nothing shows in what others get, whatever it
// is, at any kind of address, whoever they are. This one: a page that nobody had asked for.
func TestPoison(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, k := range poison.Targets {
			t.Run(k.Name, func(t *testing.T) {
				p := k.Poisoned(t, load, nil)
				n := 100000
				for i, base := range poisonBases {
					of, each := base.of(p), sampled(t, 7)
					if i > 0 && k.Name != poison.Targets[0].Name {
						each *= 3
					}
					for _, way := range nth(poison.Oddities(), each) {
						n++
						p.Miss(base.name+", "+way.Name, p.Odd(n, of, way))
					}
				}
				p.Report()
				assert.Greater(t, p.Hits, p.Cases/2, "answers from the cache: it is on")
			})
		}
	})
}

// TestPoisonPairs is TestPoison with two things at a time.
func TestPoisonPairs(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, k := range poison.Targets[:1] {
			p := k.Poisoned(t, load, nil)
			var core []poison.Oddity
			for _, way := range poison.Oddities() {
				if way.Core {
					core = append(core, way)
				}
			}
			n, each := 100000, sampled(t, 41)
			for i := range core {
				for j := range core {
					if n++; n%each == 0 && i != j {
						p.Miss(core[i].Name+" and "+core[j].Name, p.Odd(n, poison.NobodyAt, core[i], core[j]))
					}
				}
			}
			p.Report()
		}
	})
}

// poisonFills are the ways in which a page can come into the cache, beside a miss. Each
// fills many pages at once, by those who are odd, and leaves them to be looked at.
var poisonFills = []struct {
	name string
	more site.Options
	fill func(p *poison.Site, odd []*poison.Request)
	hits bool // what others get afterwards comes from the cache, for the most part
}{
	{"coalesced misses", nil, fillTogether, false},
	{"refresh of what is stale", nil, fillStale, true},
	{"refresh ahead of time", site.Options{"rules": []site.Options{{"name": "own", "match": site.Options{"pathPrefixes": []string{"/"}, "methods": []string{"GET"}}, "ttl": "2s", "grace": "60s"}}}, fillEarly, true},
	{"confirmation by 304", site.Options{"rules": []site.Options{{"name": "own", "match": site.Options{"pathPrefixes": []string{"/"}, "methods": []string{"GET"}}, "ttl": "1s"}}}, fillConfirmed, false},
	{"rewarming after a purge", site.Options{"rewarm": "1000"}, fillWarm, true},
}

// TestPoisonFills is TestPoison for the other ways in which a page comes into the cache,
// in memory and in Redis. Nor does Redis hold anything of the odd ones afterwards.
func TestPoisonFills(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, f := range poisonFills {
			for _, with := range []string{"memory", "Redis", "Redis, compressed"} {
				t.Run(f.name+" "+with, func(t *testing.T) {
					more := site.Options{}
					for name, value := range f.more {
						more[name] = value
					}
					var client *goredis.Options
					if with != "memory" {
						socket := redisSocket(t)
						client = &goredis.Options{Network: "unix", Addr: socket}
						more["redis"] = site.Options{"address": "unix://" + socket, "timeout": "10s", "dialTimeout": "10s"}
						more["memory"] = site.Options{"bytes": "0"}
						more["compression"] = "0"
						if f.name == "rewarming after a purge" || f.name == "refresh ahead of time" {
							delete(more, "memory") // which pages are popular is known there
						}
						if with == "Redis, compressed" {
							delete(more, "compression")
						}
					}
					k := poison.Target{Page: poison.NumberedPage("/pN"), Origin: poison.Echo(site.HTMLText, "ETag: "+poison.OwnTag), More: more}
					p := k.Poisoned(t, load, nil)
					ways := nth(poison.Oddities(), sampled(t, 9))
					if with != "memory" {
						ways = nth(ways, 3)
					}
					var odd []*poison.Request
					var names []string
					all, open := map[string]string{}, map[string]string{}
					for i, way := range ways {
						q := p.Odd(100000+i, poison.NobodyAt, way)
						if _, ok := q.Parse(); !ok || q.Method == http.MethodPost {
							continue
						}
						odd, names = append(odd, q), append(names, way.Name)
						all[poison.MarkerOf(100000+i, "a")] = way.Name
						if way.Open {
							open[poison.MarkerOf(100000+i, "a")] = way.Name
						}
					}
					f.fill(p, odd)
					p.Hits = 0
					for i, q := range odd {
						p.Check(names[i], q)
					}
					p.Cases = len(odd)
					if client != nil {
						p.CleanRedis(client, all, open)
					}
					p.Report()
					if f.hits {
						assert.Greater(t, p.Hits, len(odd)/2, "answers from the cache")
					}
				})
			}
		}
	})
}

// TestPoisonRedis: after misses of those who are odd Redis holds nothing of them but
// parts of addresses.
func TestPoisonRedis(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, k := range poison.Targets {
			t.Run(k.Name, func(t *testing.T) {
				socket := redisSocket(t)
				p := k.Poisoned(t, load, site.Options{"compression": "0", "redis": site.Options{"address": "unix://" + socket, "timeout": "10s", "dialTimeout": "10s"}})
				all, open := map[string]string{}, map[string]string{}
				for i, way := range nth(poison.Oddities(), sampled(t, 11)) {
					n := 100000 + i
					p.Miss(way.Name, p.Odd(n, poison.NobodyAt, way))
					all[poison.MarkerOf(n, "a")] = way.Name
					if way.Open {
						open[poison.MarkerOf(n, "a")] = way.Name
					}
				}
				p.Failures = nil // those are TestPoison's
				p.CleanRedis(&goredis.Options{Network: "unix", Addr: socket}, all, open)
				p.Report()
			})
		}
	})
}

// fillTogether: the odd ones ask first, and nobody waits for their answers. What nobody
// gets so is looked at here.
func fillTogether(p *poison.Site, odd []*poison.Request) {
	gate := make(chan struct{})
	p.OriginAnswers(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		p.Origin(rw, r)
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
		return int(p.Renders.Load())+p.Status().Waiting+answered >= n
	}
	var wg sync.WaitGroup
	replies := make([]site.Reply, len(odd))
	for i := range odd {
		wg.Add(1)
		go func(q *poison.Request) {
			defer wg.Done()
			q.Ask(p.Handler)
			count()
		}(odd[i])
	}
	require.Eventually(p.T, func() bool { return at(len(odd)) }, site.WaitFor, site.Tick, "all ask")
	for i := range odd {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			replies[i], _ = poison.NobodyAt(odd[i].Canonical).Ask(p.Handler)
			count()
		}(i)
	}
	require.Eventually(p.T, func() bool { return at(2 * len(odd)) }, site.WaitFor, site.Tick, "nobody asks, too")
	close(gate)
	wg.Wait()
	p.OriginAnswers(p.Origin)
	n := 0
	for i, q := range odd {
		p.Judge("together with "+q.LineOfOddity(), poison.NobodyAt(q.Canonical), replies[i], true)
		if strings.Contains(replies[i].CacheStatus(), "; collapsed") {
			n++
		}
	}
	p.T.Logf("%d of %d got the answer to somebody odd", n, len(odd))
	assert.Positive(p.T, n, "answers to another request")
}

// fillStale: all pages are purged softly; the odd ones get stale copies, and have them
// refreshed.
func fillStale(p *poison.Site, odd []*poison.Request) {
	p.OwnPages(odd)
	p.Manage(p.Handler, http.MethodPost, "purge", `{"all":true,"soft":true}`)
	before := p.Renders.Load()
	for _, q := range odd {
		q.Ask(p.Handler)
	}
	p.Quiet()
	require.Greater(p.T, p.Renders.Load(), before)
}

// fillEarly: pages took long to render and are about to expire.
func fillEarly(p *poison.Site, odd []*poison.Request) {
	for try := 0; try < 3 && p.Status().Counters["refresh"] == 0; try++ { // it is by chance, and a matter of time
		p.OriginAnswers(func(rw http.ResponseWriter, r *http.Request) {
			time.Sleep(600 * time.Millisecond)
			p.Origin(rw, r)
		})
		poison.Together(len(odd), func(i int) { poison.NobodyAt(odd[i].Canonical).Ask(p.Handler) })
		p.OriginAnswers(p.Origin)
		time.Sleep(1100 * time.Millisecond)
		for i := 0; i < 7; i++ {
			for _, q := range odd {
				q.Ask(p.Handler)
			}
			time.Sleep(80 * time.Millisecond)
		}
		p.Quiet()
	}
	require.Positive(p.T, p.Status().Counters["refresh"], "pages that were refreshed before they expired")
}

// fillConfirmed: pages have expired, and the odd ones have them confirmed.
func fillConfirmed(p *poison.Site, odd []*poison.Request) {
	p.OwnPages(odd)
	time.Sleep(1100 * time.Millisecond)
	for _, q := range odd {
		q.Ask(p.Handler)
	}
}

// fillWarm: the odd ones look at pages again and again, so that these are asked for
// as soon as they are purged.
func fillWarm(p *poison.Site, odd []*poison.Request) {
	for _, q := range odd {
		q.Ask(p.Handler)
	}
	p.OwnPages(odd)
	for i := 0; i < 4; i++ {
		for _, q := range odd {
			q.Ask(p.Handler)
			poison.NobodyAt(q.Canonical).Ask(p.Handler)
		}
	}
	before := p.Renders.Load()
	p.Manage(p.Handler, http.MethodPost, "purge", `{"all":true}`)
	p.Quiet()
	require.Greater(p.T, p.Renders.Load(), before+int64(len(odd)/4), "pages are asked for again")
}

// TestFoldedFields: a server that folds names of fields as WSGI does takes X_Forwarded_Host
// for X-Forwarded-Host. Fields that count do not reach the origin under other names, with
// no kind of request. Other odd names do with requests that visitors make for themselves.
func TestFoldedFields(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		p := poison.Targets[0].Poisoned(t, load, nil)
		var mu sync.Mutex
		var last http.Header
		p.OriginAnswers(func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			last = r.Header.Clone()
			mu.Unlock()
			p.Origin(rw, r)
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
				for k, q := range []*poison.Request{
					poison.NobodyAt(fmt.Sprintf("/p%d-%d", i, j)), poison.BrowserAt(fmt.Sprintf("/shop/cart?n=%d-%d", i, j)), poison.BrowserAt("/shop/cart/update"), poison.BrowserAt("/websocket"),
				} {
					if k == 2 {
						q.Method, q.Body = http.MethodPost, "a=b"
					}
					if k == 3 {
						q.Lines = append(q.Lines, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
					}
					q.Lines = append(q.Lines, other+": odd", "X_Custom.Field: mine")
					_, ok := q.Ask(p.Handler)
					require.True(t, ok, other)
					for got := range last {
						if got != http.CanonicalHeaderKey(name) && strings.EqualFold(fold.Replace(got), name) {
							p.Fail("%s | it reaches the origin with %s %s", other, q.Method, q.Target)
						}
					}
					p.Cases++
					if k > 0 {
						assert.Equal(t, []string{"mine"}, last["X_custom.field"], "a field of an API's own, %s %s", q.Method, q.Target)
					}
				}
			}
		}
		p.Report()
	})
}

// FuzzPoison is TestPoison for whatever a client may send.
func FuzzPoison(f *testing.F) {
	for i, way := range poison.Oddities() {
		q := poison.NobodyAt("/p1")
		way.Do(q, "zq1a")
		head := strings.Join(q.Lines, "\r\n")
		if len(q.Cookies) > 0 {
			head += "\r\nCookie: " + strings.Join(q.Cookies, "; ")
		}
		if i%5 == 0 && q.Method == http.MethodGet {
			f.Add(q.Target, strings.TrimPrefix(head, "\r\n"))
		}
	}
	sites := map[string]*poison.Site{}
	f.Fuzz(func(t *testing.T, target, head string) {
		if len(target)+len(head) > 4000 || strings.Contains(head, "\r\n\r\n") || strings.Contains(head, "\n\n") || strings.ContainsAny(target, " \r\n") {
			return
		}
		odd := poison.NobodyAt(target)
		odd.Canonical = poison.RoutedAs(target)
		if head != "" {
			odd.Lines = strings.Split(strings.ReplaceAll(head, "\r\n", "\n"), "\n")
		}
		r, ok := odd.Parse()
		if !ok || r.Host != poison.Host {
			return
		}
		if r, ok = poison.NobodyAt(odd.Canonical).Parse(); !ok || r.Host != poison.Host {
			return
		}
		for _, k := range []poison.Target{poison.Targets[0], poison.Targets[4], poison.Targets[17]} {
			p := sites[k.Name]
			if p == nil {
				p = k.Poisoned(t, site.Compiled, nil)
				sites[k.Name] = p
			}
			p.T, p.Failures = t, nil
			p.Manage(p.Handler, http.MethodPost, "purge", `{"all":true}`)
			p.Manage(p.Control, http.MethodPost, "purge", `{"all":true}`)
			p.Miss(k.Name, odd)
			if len(p.Failures) > 0 {
				t.Fatalf("%s\n%q", p.Failures[0], odd.Text())
			}
		}
	})
}
