package cache

import (
	"context"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/tier"
)

// TestBypassesAreBounded: whoever asks for one address after the other does not make
// what is remembered of them grow.
func TestBypassesAreBounded(t *testing.T) {
	const maxIdentities = 100
	h := &Handler{s: &config.Settings{}, identities: newIdentities(maxIdentities), bypassed: &sync.Map{}, bypasses: new(int64)}
	held := func() (n int) {
		h.bypassed.Range(func(any, any) bool { n++; return true })
		return n
	}
	for i := 0; i < 3*maxIdentities; i++ {
		r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/%d", i), nil)
		rememberBypass(h, r)
		rememberBypass(h, r)
		require.LessOrEqual(t, held(), maxIdentities)
	}
	require.Positive(t, held())
}

// TestUsualFieldsDoNotTell: none that the short way would have to heed is left out of its key,
// and each is spelled as it is in a header.
func TestUsualFieldsDoNotTell(t *testing.T) {
	heeded := append([]string{"Cache-Control", "Content-Encoding", "Content-Length", "If-Modified-Since", "If-None-Match", "Pragma", "Transfer-Encoding"}, neverFromTable...)
	for _, name := range append(heeded, keyFields...) {
		require.False(t, ignoredFields[name], name)
		require.Equal(t, http.CanonicalHeaderKey(name), name)
	}
	for name := range ignoredFields {
		require.True(t, ignoredFields[name], name)
		require.Equal(t, http.CanonicalHeaderKey(name), name)
	}
}

// TestClicksLeaveTheTable: visitors who come with a parameter of their own that is not part
// of the key do not push out of the table what the others get the page by.
func TestClicksLeaveTheTable(t *testing.T) {
	c := option.Default()
	c.Preset, c.Tenant = "odoo", "clicks"
	s, err := config.Build(c)
	require.NoError(t, err)
	origin := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte("<html></html>"))
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := New(ctx, s, origin, Acquire(ctx, s.Storage))
	get := func(target string) (status string) {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("X-Forwarded-Proto", "https")
		rw := httptest.NewRecorder()
		h.ServeHTTP(rw, r)
		return rw.Header().Get("Cache-Status")
	}
	inTable := func(target string) bool {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("X-Forwarded-Proto", "https")
		key := tableKey(h, r)
		for _, dimensions := range []string{"", "v1:\n"} {
			if _, found := h.table.Load(dimensions + key); found {
				return true
			}
		}
		return false
	}
	require.Contains(t, get("/shop"), "stored")
	require.Contains(t, get("/shop"), "hit")
	require.True(t, inTable("/shop"))
	for i := 0; i < 100; i++ {
		require.Contains(t, get(fmt.Sprintf("/shop?gclid=%d", i)), "hit")
		require.False(t, inTable(fmt.Sprintf("/shop?gclid=%d", i)))
	}
	require.True(t, inTable("/shop"))
}

// TestKeysOfAPageInRedisAreCounted: what a page in Redis alone takes for each key of the table,
// of which clients may make some by what they accept, is what Heat counts, however many tags
// the page has.
func TestKeysOfAPageInRedisAreCounted(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on the PATH")
	}
	socket := filepath.Join(t.TempDir(), "redis")
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no")
	require.NoError(t, server.Start())
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 5*time.Second, 5*time.Millisecond)
	c := option.Default()
	c.Tenant = "counted"
	c.Redis.Address, c.Redis.Timeout, c.Redis.DialTimeout = "unix://"+socket, "5s", "5s"
	c.Memory.Bytes = "0"
	s, err := config.Build(c)
	require.NoError(t, err)
	const pages, accepts, tags, most = 50, 15, 500, 3000
	tagLine := ""
	for i := 0; i < tags; i++ {
		tagLine += fmt.Sprintf(" product-%d", i)
	}
	origin := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("Cache-Control", "public, max-age=600")
		rw.Header().Set("Surrogate-Key", tagLine)
		_, _ = rw.Write([]byte("<html></html>"))
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := New(ctx, s, origin, Acquire(ctx, s.Storage))
	get := func(i, accept int) {
		r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/p%d", i), nil)
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("Accept", fmt.Sprint("text/", accept))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	keys := func() (n int) {
		h.table.Range(func(any, any) bool { n++; return true })
		return n
	}
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for i := 0; i < pages; i++ {
		get(i, 0)
		get(i, 0)
	}
	require.Equal(t, pages, keys())
	before := heap()
	for i := 0; i < pages; i++ {
		for j := 1; j <= accepts; j++ {
			get(i, j)
		}
	}
	require.Equal(t, pages*(1+accepts), keys())
	require.Less(t, (heap()-before)/(pages*accepts), most)
}

// TestTimesOfTheShortWay: at any time a hit tells the Age and the lifetime that the long way
// tells, which asks the clock alone.
func TestTimesOfTheShortWay(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for _, name := range []string{"odoocache; hit; ttl=", "there is no room; hit; ttl="} {
		h := &Handler{s: &config.Settings{}, tenant: &tier.Tenant{Served: new(int64)}, hit: name, ages: numbered("")}
		if name[0] == 'o' {
			h.hits = numbered(name)
			require.Len(t, h.hits, maxNumber+1)
		}
		for i := 0; i < 20000; i++ {
			born := 1_700_000_000_000 + random.Int63n(100_000)
			ttl := []int64{1, 999, 1000, 60_000, 86_400_000, 99_999_999, 100_000_000, 31_536_000_000}[random.Intn(8)] + random.Int63n(2000)
			e := &storage.Entry{Life: policy.Life{Born: born, TTL: ttl}}
			made := born + random.Int63n(ttl) - random.Int63n(3)*500
			p := &readyPage{ready: &storage.Ready{Entry: e, Until: born + ttl, Hits: new(int64)}, form: &storage.Form{}, counted: new(int64), served: new(int64)}
			setTimes(h, p, time.UnixMilli(made))
			since := func(ms int64) int64 { return int64(time.UnixMilli(ms).Sub(storage.Started)) }
			from, until := made-(since(made)-p.from)/1e6, made+(p.until-since(made))/1e6
			for _, now := range []int64{made, from, until - 1, from + random.Int63n(until-from)} {
				if now < from || now >= until {
					continue
				}
				out := http.Header{}
				setFields(out, p, since(now))
				require.Equal(t, []string{fmt.Sprint(age(e, now) / 1000)}, out["Age"], "born %d, lifetime %d, made ready %d, now %d", born, ttl, made, now)
				require.Equal(t, []string{hitStatus(h, e, now, "")}, out["Cache-Status"], "born %d, lifetime %d, made ready %d, now %d", born, ttl, made, now)
			}
		}
	}
}

// TestReloadsLeaveTheTable: a handler that takes the place of one with the same options answers
// with the pages that are ready. One of another tenant, or with other options, does not.
func TestReloadsLeaveTheTable(t *testing.T) {
	origin := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte("<html></html>"))
	})
	of := func(tenant, keep string) *Handler {
		c := option.Default()
		c.Preset, c.Tenant, c.Keep = "odoo", tenant, keep
		s, err := config.Build(c)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		return New(ctx, s, origin, Acquire(ctx, s.Storage))
	}
	request := httptest.NewRequest(http.MethodGet, "/shop", nil)
	request.Header.Set("X-Forwarded-Proto", "https")
	before := of("reloads", "1h")
	for i := 0; i < 3; i++ {
		before.ServeHTTP(httptest.NewRecorder(), request.Clone(context.Background()))
	}
	inTable := func(h *Handler) bool {
		_, found := h.table.Load(tableKey(h, request))
		return found
	}
	require.True(t, inTable(before))
	require.True(t, inTable(of("reloads", "1h")))
	require.False(t, inTable(of("others", "1h")))
	require.False(t, inTable(of("reloads", "2h")))
}
