package tier_test

import (
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

func newTier(t testing.TB, s storage.Storage, staleness time.Duration) *tier.Tier {
	return tier.New(s, tier.Options{
		MemoryBytes: 1 << 20, MaxStaleness: staleness.Milliseconds(), Journal: 100, Failures: 5, MinPause: 50, MaxPause: 100,
		Log: func(message string) { t.Log(message) },
	})
}

// TestProcessesThatReachDifferentServers: where the data says that another server answers than
// the one that has answered all the time, the log tells of that, and not of a restart.
func TestProcessesThatReachDifferentServers(t *testing.T) {
	port := storagetest.StartRedis(t)
	var mu sync.Mutex
	log := ""
	tr := tier.New(storagetest.OpenRedis(t, port), tier.Options{
		MemoryBytes: 1 << 20, MaxStaleness: 1000, Journal: 100, Failures: 5, MinPause: 50, MaxPause: 100,
		Log: func(message string) { mu.Lock(); log += message + "\n"; mu.Unlock() },
	})
	view := tr.Tenant("t")
	require.Empty(t, tr.Lookup(view, "k").Reason)
	for i := 0; i < 2; i++ {
		storagetest.CLI(t, port, nil, "SET", keys.Run("t"), "another")
		storagetest.CLI(t, port, nil, "CLIENT", "KILL", "TYPE", "normal")
		require.Empty(t, tr.Lookup(view, "k").Reason)
	}
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, 2, strings.Count(log, "another process reaches another server than this one (run "), log)
	assert.NotContains(t, log, "another run of it")
}

// Entries that others put under a key by hand.
func TestTierOnRedis(t *testing.T) {
	port := storagetest.StartRedis(t)
	tenant := "t"
	tr := newTier(t, storagetest.OpenRedis(t, port), time.Hour)
	view := tr.Tenant(tenant)
	head := tr.Lookup(view, "k").Head
	require.NotZero(t, head)
	name := keys.Entry(tenant, keys.ID("k"))
	put := func(e *storage.Entry) {
		b, err := storage.Encode(e)
		require.NoError(t, err)
		storagetest.CLI(t, port, b, "SET", name)
	}
	for _, c := range []struct {
		name string
		put  func()
		want string
	}{
		{"of another tenant", func() { put(storagetest.Entry("other", "k", head)) }, policy.ReasonForeign},
		{"of another key", func() { put(storagetest.Entry(tenant, "another", head)) }, policy.ReasonForeign},
		{"of a longer key", func() { put(storagetest.Entry(tenant, "k2", head)) }, policy.ReasonForeign},
		{"corrupt", func() { storagetest.CLI(t, port, []byte("oc1 garbage\n"), "SET", name) }, policy.ReasonStoreCorrupt},
		{"a list", func() { storagetest.CLI(t, port, nil, "DEL", name); storagetest.CLI(t, port, nil, "RPUSH", name, "x") }, policy.ReasonStoreCorrupt},
		{"of another state", func() { put(storagetest.Entry(tenant, "k", storage.Head{Epoch: head.Epoch + 1, Seq: head.Seq})) }, policy.ReasonPurged},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.put()
			f := tr.Lookup(view, "k")
			require.Nil(t, f.Entry)
			require.Equal(t, c.want, f.Reason)
			require.Equal(t, head, f.Head, "what the origin says now may be stored")
			require.False(t, tr.Open())
			want := storagetest.Entry(tenant, "k", f.Head)
			require.Empty(t, tr.Store(view, want))
			fresh := newTier(t, storagetest.OpenRedis(t, port), time.Hour)
			f = fresh.Lookup(fresh.Tenant(tenant), "k")
			require.Equal(t, want, f.Entry, "repaired")
			tr.Remove(view, []string{"k"})
		})
	}
	t.Run("the purge state", func(t *testing.T) {
		require.Empty(t, tr.Store(view, storagetest.Entry(tenant, "k", head)))
		storagetest.CLI(t, port, nil, "SET", keys.Marks(tenant), "x")
		fresh := newTier(t, storagetest.OpenRedis(t, port), time.Hour)
		f := fresh.Lookup(fresh.Tenant(tenant), "k")
		require.Nil(t, f.Entry)
		require.Equal(t, policy.ReasonPurged, f.Reason)
		require.NotZero(t, f.Head)
		_, err := tr.Purge(view, storage.Purge{Members: []string{"ht:x"}})
		require.NoError(t, err)
		require.Nil(t, tr.Lookup(view, "k").Entry)
	})
	t.Run("a path that cannot be written down", func(t *testing.T) {
		for i := 0; i < 10; i++ {
			e := storagetest.Entry(tenant, "k", tr.Lookup(view, "k").Head)
			e.Path = "/a\nb"
			require.Equal(t, policy.ReasonStoreCorrupt, tr.Store(view, e))
		}
		require.False(t, tr.Open(), "a visitor's path must not open the breaker")
	})
}

func TestTierRedisGone(t *testing.T) {
	port := storagetest.StartRedis(t)
	tr := newTier(t, storagetest.OpenRedis(t, port), 0)
	view := tr.Tenant("t")
	e := storagetest.Entry("t", "k", tr.Lookup(view, "k").Head, "x")
	require.Empty(t, tr.Store(view, e))
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "requirepass", "x")
	storagetest.CLI(t, port, nil, "-a", "x", "--no-auth-warning", "CLIENT", "KILL", "TYPE", "normal")
	_, err := tr.Purge(view, storage.Purge{Members: []string{"ht:x"}})
	require.ErrorIs(t, err, storage.ErrUnavailable)
	require.Equal(t, 1, view.Pending())
	require.Nil(t, tr.Lookup(view, "k").Entry)
	storagetest.CLI(t, port, nil, "-a", "x", "--no-auth-warning", "CONFIG", "SET", "requirepass", "")
	require.Eventually(t, func() bool { return view.Pending() == 0 }, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		f := tr.Lookup(view, "k")
		require.Nil(t, f.Entry, "purged while Redis was away")
		return f.Head.Epoch != 0
	}, 10*time.Second, 10*time.Millisecond)
}

// TestReplicas watches the promise of a purge under load: two replicas on one
// Redis, writers that change pages and purge them, readers that look for
// answers older than they may be.
func TestReplicas(t *testing.T) {
	port := storagetest.StartRedis(t)
	t.Run("both write", func(t *testing.T) {
		c := newChecker(t, storagetest.OpenRedis(t, port), storagetest.OpenRedis(t, port))
		c.run(t, 3*time.Second)
		require.Empty(t, c.stale)
		require.Greater(t, c.hits[0].Load(), int64(100), "hits in storage")
		require.Greater(t, c.hits[1].Load(), int64(100), "hits in memory")
		require.Greater(t, c.purges.Load(), int64(100))
	})
	t.Run("one writes", func(t *testing.T) {
		c := newChecker(t, storagetest.OpenRedis(t, port), storagetest.OpenRedis(t, port))
		c.quiet = true
		c.run(t, 2*time.Second)
		require.Empty(t, c.stale)
		require.Greater(t, c.hits[1].Load(), int64(100), "hits in memory")
		require.Greater(t, c.purges.Load(), int64(5))
	})
}

// The same check of replicas that do not look at purge marks must fail.
func TestReplicasFindsStaleAnswers(t *testing.T) {
	port := storagetest.StartRedis(t)
	for _, c := range []struct {
		name string
		a, b storage.Storage
	}{
		{"both blind", storagetest.Blind(storagetest.OpenRedis(t, port)), storagetest.Blind(storagetest.OpenRedis(t, port))},
		{"one blind", storagetest.Blind(storagetest.OpenRedis(t, port)), storagetest.OpenRedis(t, port)},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := newChecker(t, c.a, c.b)
			checker.run(t, time.Second)
			require.NotEmpty(t, checker.stale)
			t.Log(checker.stale[0])
		})
	}
	t.Run("memory that is trusted for longer than was promised", func(t *testing.T) {
		checker := newChecker(t, storagetest.OpenRedis(t, port), storagetest.OpenRedis(t, port))
		for i := range checker.tiers {
			checker.tiers[i] = newTier(t, storagetest.OpenRedis(t, port), time.Hour)
		}
		checker.quiet = true
		checker.run(t, time.Second)
		require.NotEmpty(t, checker.stale)
	})
}

const staleness = 100 * time.Millisecond

type checker struct {
	tenant string
	tiers  [2]*tier.Tier
	other  storage.Storage // of somebody else
	quiet  bool            // only the first replica writes, and seldom: what the other knows gets old
	pages  [6]checkedPage
	hits   [2]atomic.Int64 // in storage, in memory
	purges atomic.Int64

	mu    sync.Mutex
	stale []string
}

// checkedPage is a page of the origin and which of its versions must not be
// seen any more.
type checkedPage struct {
	version atomic.Int64 // what the origin would answer
	writing sync.Mutex   // one change at a time, so that versions are acknowledged in order

	mu    sync.Mutex
	acked []acked // in order
}

type acked struct {
	version int64
	replica int
	at      time.Time
}

func newChecker(t testing.TB, a, b storage.Storage) *checker {
	return &checker{tenant: storagetest.Tenant(), other: b, tiers: [2]*tier.Tier{newTier(t, a, staleness), newTier(t, b, staleness)}}
}

// least returns the oldest version that a lookup may return which starts at
// now: from storage, and from the memory of a replica.
func (p *checkedPage) least(replica int, now time.Time) (fromStorage, fromMemory int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.acked) - 1; i >= 0 && (fromStorage == 0 || fromMemory == 0); i-- {
		a := p.acked[i]
		if fromStorage == 0 {
			fromStorage = a.version
		}
		if fromMemory == 0 && (a.replica == replica || now.Sub(a.at) >= staleness) {
			fromMemory = a.version
		}
	}
	return fromStorage, fromMemory
}

func (c *checker) run(t *testing.T, d time.Duration) {
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for i := 0; i < 12; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			r := rand.New(rand.NewSource(int64(i)))
			for n := 0; time.Now().Before(end); n++ {
				replica, page := r.Intn(2), r.Intn(len(c.pages))
				if i == 0 && c.quiet {
					c.change(t, r, 0, page)
					time.Sleep(time.Duration(r.Intn(200)) * time.Millisecond)
					continue
				}
				if i < 3 && !c.quiet {
					c.change(t, r, replica, page)
					time.Sleep(time.Duration(r.Intn(8)) * time.Millisecond)
					continue
				}
				c.read(replica, page)
			}
		}(i)
	}
	wg.Wait()
}

// change makes a new version of a page, and purges the old one in one of the
// ways there are. Now and then the whole state begins anew.
func (c *checker) change(t *testing.T, r *rand.Rand, replica, page int) {
	p, tr := &c.pages[page], c.tiers[replica]
	view := tr.Tenant(c.tenant)
	p.writing.Lock()
	defer p.writing.Unlock()
	version := p.version.Add(1)
	var purge storage.Purge
	switch r.Intn(20) {
	case 0:
		purge.All = true
	case 1, 2:
		purge.Members = []string{storage.PrefixMark(path(page), false)}
	case 3: // more than the state keeps
		for i := 0; i < 2*storagetest.MaxMarks; i++ {
			purge.Members = append(purge.Members, storage.TagMark(strconv.Itoa(r.Intn(1000)), false))
		}
		fallthrough
	default:
		purge.Members = append(purge.Members, storage.TagMark("page"+strconv.Itoa(page), false))
	}
	_, err := tr.Purge(view, purge)
	if !assert.NoError(t, err) {
		return
	}
	p.mu.Lock()
	p.acked = append(p.acked, acked{version, replica, time.Now()})
	p.mu.Unlock()
	if c.purges.Add(1)%50 == 0 {
		_, err := c.other.Reset(c.tenant)
		assert.NoError(t, err)
	}
}

func path(page int) string { return fmt.Sprintf("/%d/", page) }

// read looks a page up as the handler does, and asks the origin if there is
// nothing.
func (c *checker) read(replica, page int) {
	p, tr := &c.pages[page], c.tiers[replica]
	view, key := tr.Tenant(c.tenant), fmt.Sprintf("%s page %d", c.tenant, page)
	fromStorage, fromMemory := p.least(replica, time.Now())
	f := tr.Lookup(view, key)
	if f.Entry == nil {
		if f.Head.Epoch == 0 {
			return
		}
		e := storagetest.Entry(c.tenant, key, f.Head, "page"+strconv.Itoa(page), "another")
		e.Path = path(page)
		e.Body = []byte(strconv.FormatInt(p.version.Load(), 10))
		time.Sleep(time.Millisecond) // rendering
		tr.Store(view, e)
		return
	}
	least, where := fromStorage, 0
	if f.Memory {
		least, where = fromMemory, 1
	}
	c.hits[where].Add(1)
	version, err := strconv.ParseInt(string(f.Entry.Body), 10, 64)
	if err == nil && version >= least {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stale) == 10 {
		return
	}
	c.stale = append(c.stale, fmt.Sprintf("replica %d (memory: %v): version %q of page %d; %d was purged", replica, f.Memory, f.Entry.Body, page, least-1))
}
