package behaviour_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// own is what the status says of a tenant.
type own struct {
	Memory, Redis struct {
		Entries int
		Bytes   int64
		Evicted int64
	}
	Refreshing int
	Quota      map[string]int64
}

// ownOf asks a site's status, with what it counts.
func ownOf(s *site.Site) (o own, counters map[string]int64) {
	s.T.Helper()
	var status struct {
		Own      own
		Counters map[string]int64
	}
	got := s.Get("/.odoocache/status", "Authorization: Bearer "+site.Secret)
	require.NoError(s.T, json.Unmarshal([]byte(got.Body), &status), got.Body)
	return status.Own, status.Counters
}

// TestARateOfPurges: a purge by request over the rate is refused, with the time after which it can
// be sent again; it is in the log, and has purged nothing. Then it is carried out.
func TestARateOfPurges(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := shop(t, load, site.Merge(ownStorage(), site.Options{"quota": site.Options{"purges": "20"}}))
		other := shop(t, load, site.Options{"quota": site.Options{"purges": "20"}})
		purge := func(s *site.Site, tag string) site.Reply {
			return s.Do("POST", "/.odoocache/purge", `{"tags":["`+tag+`"]}`, "Authorization: Bearer "+site.Secret)
		}
		mark := site.Log.Mark()
		for i := 0; i < 20; i++ {
			require.Equal(t, 200, purge(s, "none").Status, i)
		}
		got := purge(s, "page-shop")
		require.Equal(t, 429, got.Status)
		assert.Contains(t, got.Body, "more than quota.purges (20) in a minute; nothing was purged: send it again in ")
		seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
		require.NoError(t, err)
		assert.InDelta(t, 2, seconds, 1, "a third of a second less than 3 s")
		assert.Equal(t, 429, s.Do("PURGE", "/shop", "", "Authorization: Bearer "+site.Secret).Status)
		assert.Equal(t, 400, purge(s, "").Status, "what is wrong is told")
		assert.Equal(t, shopPaths, left(s))
		lines := strings.Join(auditOf(s, mark), "\n")
		assert.Equal(t, 20, strings.Count(lines, "done sequence="))
		assert.Contains(t, lines, "refused reason=rate status=429 at=purge key=current")
		_, counters := ownOf(s)
		assert.EqualValues(t, 2, counters["purge-rate"])

		assert.Equal(t, 200, purge(other, "page-shop").Status, "another tenant has a rate of its own")
		assert.Equal(t, 200, s.Get("/", "X-Purge-It: 1").Status)
		time.Sleep(time.Duration(seconds) * time.Second)
		assert.Equal(t, 200, purge(s, "page-shop").Status, "sent again")
		assert.Equal(t, without("/shop", "/shop?page=2"), left(s))
	})
}

// TestPurgesOfAnswersAreNeverLost: whatever the rate, when a client has an answer of Odoo's what it
// purges is purged. What is over the rate is written together, within a second.
func TestPurgesOfAnswersAreNeverLost(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		const pages, writers = 40, 20
		var mu sync.Mutex
		versions := map[string]int{}
		s := site.New(t, load, site.Options{"quota": site.Options{"purges": "10"}, "purge": site.Options{"secret": site.Secret}},
			func(rw http.ResponseWriter, r *http.Request) {
				page := strings.TrimPrefix(r.URL.Path, "/write")
				mu.Lock()
				if r.Method == http.MethodPost {
					versions[page]++
				}
				version := versions[page]
				mu.Unlock()
				if r.Method == http.MethodPost {
					site.Page("written", "X-Odoo-Purge: tag"+strings.ReplaceAll(page, "/", "-"))(rw, r)
					return
				}
				site.Page(fmt.Sprint(version), "X-Odoo-Cache: public, ttl=600", "Surrogate-Key: tag"+strings.ReplaceAll(r.URL.Path, "/", "-"))(rw, r)
			})
		var wg sync.WaitGroup
		begin := time.Now()
		for w := 0; w < writers; w++ {
			wg.Add(1)
			go func(w int) {
				defer wg.Done()
				for i := w; i < pages; i += writers {
					path := fmt.Sprint("/p/", i)
					for version := 1; version <= 2; version++ {
						before, err := site.Send("GET", s.URL+path, "", site.Fields())
						assert.NoError(t, err)
						assert.Equal(t, fmt.Sprint(version-1), before.Body)
						_, err = site.Send("POST", s.URL+"/write"+path, "x", site.Fields())
						assert.NoError(t, err)
						after, err := site.Send("GET", s.URL+path, "", site.Fields())
						assert.NoError(t, err)
						assert.Equal(t, fmt.Sprint(version), after.Body, path)
					}
				}
			}(w)
		}
		wg.Wait()
		took := time.Since(begin)
		_, counters := ownOf(s)
		assert.EqualValues(t, 2*pages, counters["purge"])
		assert.Positive(t, counters["purge-together"])
		assert.Zero(t, counters["purge-rate"])
		var status struct{ Sequence int }
		require.NoError(t, json.Unmarshal([]byte(s.Get("/.odoocache/status", "Authorization: Bearer "+site.Secret).Body), &status))
		assert.LessOrEqual(t, status.Sequence, 1+10+int(took/time.Second)+3, "a second each, beyond the rate")
		assert.Less(t, took, 2*pages/writers*time.Second+10*time.Second)
	})
}

// TestATenantsMemory: what a tenant has in memory is told, and stays within its quota, whatever the
// others have.
func TestATenantsMemory(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		body := strings.Repeat("0123456789", 1000)
		answer := site.Page(body, "X-Odoo-Cache: public, ttl=600", "Content-Type: application/x-of-its-own")
		memory := site.Options{"bytes": fmt.Sprint(1<<22 + storageNumber.Add(1))}
		purge := site.Options{"secret": site.Secret}
		bounded := site.New(t, load, site.Options{"memory": memory, "purge": purge, "quota": site.Options{"memoryBytes": "128KiB"}}, answer)
		few := site.New(t, load, site.Options{"memory": memory, "purge": purge, "quota": site.Options{"memoryEntries": "5"}}, answer)
		free := site.New(t, load, site.Options{"memory": memory, "purge": purge}, answer)
		for i := 0; i < 40; i++ {
			for _, s := range []*site.Site{bounded, few, free} {
				s.Get(fmt.Sprint("/", i))
				s.Get(fmt.Sprint("/", i))
			}
		}
		o, _ := ownOf(bounded)
		assert.LessOrEqual(t, o.Memory.Bytes, int64(128<<10))
		assert.InDelta(t, 10, o.Memory.Entries, 2)
		assert.EqualValues(t, 128<<10, o.Quota["memoryBytes"])
		assert.EqualValues(t, 6000, o.Quota["purges"])
		o, _ = ownOf(few)
		assert.Equal(t, 5, o.Memory.Entries)
		o, counters := ownOf(free)
		assert.Equal(t, 40, o.Memory.Entries)
		assert.Zero(t, o.Memory.Evicted)
		assert.Zero(t, counters["admission"])
	})
}

// TestATenantsRedis: what a tenant has in Redis is counted where it has a quota, and stays within it.
// What is not stored for that says so.
func TestATenantsRedis(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		const pages = 20
		server := stack.StartServer(t)
		body := strings.Repeat("0123456789", 1000)
		page := func(rw http.ResponseWriter, r *http.Request) {
			text := body
			if r.URL.Path == "/large" {
				text = strings.Repeat(body, 10)
			}
			site.Page(text, "X-Odoo-Cache: public, ttl=600", "Content-Type: application/x-of-its-own", "Vary: X-Kind")(rw, r)
		}
		for _, q := range []struct {
			quota   site.Options
			counted bool
		}{{site.Options{"redisBytes": "64KiB"}, true}, {site.Options{"redisEntries": "10"}, true}, {site.Options{}, false}} {
			s := site.New(t, load, site.Options{
				"redis": patientRedis(site.Options{"address": server.Address}), "memory": site.Options{"bytes": "0"},
				"purge": site.Options{"secret": site.Secret}, "quota": q.quota,
			}, page)
			for i := 0; i < pages; i++ {
				time.Sleep(40 * time.Millisecond) // what ends at one time goes in no order
				require.Contains(t, s.Get(fmt.Sprint("/", i)).CacheStatus(), "; stored")
				require.Contains(t, s.Get(fmt.Sprint("/", i)).CacheStatus(), "; hit")
			}
			tenant := s.Options["tenant"].(string)
			o, counters := ownOf(s)
			entries := len(server.Entries(tenant))
			if !q.counted {
				assert.Equal(t, 2*pages, entries, "a page and its list")
				assert.Zero(t, o.Redis.Bytes)
				assert.Equal(t, "0", server.Must("EXISTS oc:{"+tenant+"}:ledger"))
				continue
			}
			assert.InDelta(t, 10, entries, 1)
			assert.Equal(t, entries, o.Redis.Entries)
			assert.LessOrEqual(t, o.Redis.Bytes, int64(64<<10))
			assert.EqualValues(t, 2*pages-entries, o.Redis.Evicted)
			assert.Zero(t, counters["quota"])
			if q.quota["redisBytes"] != nil {
				got := s.Get("/large")
				assert.Contains(t, got.CacheStatus(), "fwd=uri-miss; detail=quota")
				assert.Equal(t, 10*len(body), len(got.Body))
				_, counters = ownOf(s)
				assert.EqualValues(t, 1, counters["quota"])
			}
		}
	})
}

// TestOneTenantsRefreshesLeaveOthersTheirs: one whose origin does not answer any more keeps nobody
// else's pages from being refreshed.
func TestOneTenantsRefreshesLeaveOthersTheirs(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		memory := site.Options{"bytes": fmt.Sprint(1<<22 + storageNumber.Add(1))}
		limits := site.Options{"refreshes": "4"}
		gate := site.NewGate(t)
		stale := site.Page("x", "X-Odoo-Cache: public, ttl=1, grace=600")
		o := site.Options{"memory": memory, "limits": limits, "purge": site.Options{"secret": site.Secret}}
		hog, other := site.New(t, load, o, stale), site.New(t, load, o, stale)
		for i := 0; i < 20; i++ {
			hog.Get(fmt.Sprint("/", i))
			other.Get(fmt.Sprint("/", i))
		}
		hog.Answers(gate.Behind(stale))
		time.Sleep(1100 * time.Millisecond)
		for i := 0; i < 20; i++ {
			assert.Contains(t, hog.Get(fmt.Sprint("/", i)).CacheStatus(), "stale-while-revalidate")
		}
		got, counters := ownOf(hog)
		assert.Equal(t, 2, got.Refreshing)
		assert.EqualValues(t, 18, counters["refresh-limit"])
		before := other.Renders()
		for i := 0; i < 20; i++ {
			assert.Contains(t, other.Get(fmt.Sprint("/", i)).CacheStatus(), "; hit")
			require.Eventually(t, func() bool { return other.Renders() == before+i+1 }, site.WaitFor, site.Tick)
			require.Eventually(t, func() bool { o, _ := ownOf(other); return o.Refreshing == 0 }, site.WaitFor, site.Tick)
		}
		_, counters = ownOf(other)
		assert.Zero(t, counters["refresh-limit"])
	})
}
