package tier_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/redis"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

// TestLookupAfterBrokenConnections: what is answered after a connection has ended may be
// of another server: it is asked again, once the state was found to be of that one.
func TestLookupAfterBrokenConnections(t *testing.T) {
	port := storagetest.StartRedis(t)
	tr := tier.New(storagetest.OpenRedis(t, port), tier.Options{Failures: 5, Log: func(message string) { t.Log(message) }})
	tenant := storagetest.Tenant()
	v := tr.Tenant(tenant)
	require.Empty(t, tr.Store(v, storagetest.Entry(tenant, "k", tr.Lookup(v, "k").Head)))
	for i := 0; i < 3; i++ {
		require.NotNil(t, tr.Lookup(v, "k").Entry)
		known, late := tr.Confirm(v)
		require.True(t, known)
		require.False(t, late)
		_, err := storagetest.PatientClient(t, port).Do(resp.Command{Args: []string{"CLIENT", "KILL", "TYPE", "normal"}})
		require.NoError(t, err)
		era := tr.Remote().Era(tenant)
		require.NotNil(t, tr.Lookup(v, "k").Entry, "of the server that the state is of")
		require.NotEqual(t, era, tr.Remote().Era(tenant))
		known, _ = tr.Confirm(v)
		require.True(t, known, "the state is of this era")
	}
}

// TestConfirmTellsOfAPurge: a question that was answered as expected before is not, once
// another process has purged.
func TestConfirmTellsOfAPurge(t *testing.T) {
	port := storagetest.StartRedis(t)
	tr := tier.New(storagetest.OpenRedis(t, port), tier.Options{Failures: 5, Log: func(message string) { t.Log(message) }})
	tenant := storagetest.Tenant()
	v := tr.Tenant(tenant)
	for i := 0; i < 3; i++ {
		require.NotZero(t, tr.Lookup(v, "k").Head)
		known, _ := tr.Confirm(v)
		require.True(t, known)
		head, err := storagetest.OpenRedis(t, port).Purge(tenant, storage.Purge{All: true})
		require.NoError(t, err)
		known, late := tr.Confirm(v)
		require.False(t, known)
		require.False(t, late)
		require.Equal(t, head, tr.Lookup(v, "k").Head)
	}
}

// fetched makes an entry of a tenant ready, in Redis alone, and returns what gets it.
func fetched(t *testing.T, tr *tier.Tier, v *tier.Tenant, tenant string) func() string {
	t.Helper()
	require.Empty(t, tr.Store(v, storagetest.Entry(tenant, "k", tr.Lookup(v, "k").Head)))
	f := tr.Lookup(v, "k")
	require.NotNil(t, f.Entry)
	r := &storage.Ready{Entry: f.Entry, Until: f.Entry.Life.Born + f.Entry.Life.TTL, Seq: f.Head.Seq, Stored: &storage.Form{Body: f.Entry.Body}, Hits: new(int64)}
	body := string(f.Entry.Body)
	require.True(t, tr.Prepare(tr.PageKey(v, "k"), r))
	license := v.License(r)
	require.NotNil(t, license)
	x := tr.Exchange(v, r, license, nil)
	require.NotNil(t, x)
	get := func() string {
		got, outcome := redis.Body(x, time.Now())
		require.NotEqual(t, resp.TimedOut, outcome)
		return string(got)
	}
	require.Equal(t, body, get())
	return get
}

// TestFetchNeedsItsLicense: a page that is ready in Redis alone is got no more once a purge is
// known of or waits to be written, even where Redis still has the page and the position.
func TestFetchNeedsItsLicense(t *testing.T) {
	port := storagetest.StartRedis(t)
	newTier := func() *tier.Tier {
		return tier.New(storagetest.OpenRedis(t, port), tier.Options{PreparedBytes: 1 << 20, Journal: 10, Failures: 5, Log: func(string) {}})
	}
	tr, other := newTier(), newTier()
	tenant, neighbour := storagetest.Tenant(), storagetest.Tenant()
	v, w := tr.Tenant(tenant), tr.Tenant(neighbour)

	get := fetched(t, tr, v, tenant)
	_, err := other.Purge(other.Tenant(tenant), storage.Purge{Members: []string{"another tag"}})
	require.NoError(t, err)
	require.Empty(t, get(), "another process has purged something")

	get = fetched(t, tr, v, tenant)
	_, err = tr.Purge(v, storage.Purge{Members: []string{"another tag"}})
	require.NoError(t, err)
	require.Empty(t, get(), "this process has purged something")

	get = fetched(t, tr, v, tenant)
	require.Empty(t, tr.Lookup(w, "k").Reason)
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "maxmemory", "1") // reads go on
	_, err = tr.Purge(v, storage.Purge{Members: []string{"another tag"}})
	require.Error(t, err)
	for i := 0; i < 3; i++ { // Redis answers, as far as this process knows
		require.Empty(t, tr.Lookup(w, "k").Reason)
	}
	require.Empty(t, get(), "a purge waits")
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "maxmemory", "0")
}

// TestLookupOrLock: what is not there is locked by whoever looks first, in the exchange
// that tells the position of purges; and the position is right when that has changed.
func TestLookupOrLock(t *testing.T) {
	port := storagetest.StartRedis(t)
	newTier := func(memory int64) *tier.Tier {
		return tier.New(storagetest.OpenRedis(t, port), tier.Options{MemoryBytes: memory, MaxStaleness: 1000, Failures: 5, Log: func(message string) { t.Log(message) }})
	}
	for _, memory := range []int64{0, 1 << 20} {
		one, two := newTier(memory), newTier(memory)
		tenant := storagetest.Tenant()
		v, w := one.Tenant(tenant), two.Tenant(tenant)
		at := one.Lookup(v, "another key").Head
		require.Equal(t, at, two.Lookup(w, "another key").Head)
		mine, yours := &storage.Lock{ID: keys.ID("k"), Token: "mine"}, &storage.Lock{ID: keys.ID("k"), Token: "yours"}

		f, locked := storagetest.LookupOrLock(one, v, "k", mine, 60_000)
		require.True(t, locked)
		require.Equal(t, &tier.Found{Head: at}, f)
		require.Equal(t, "mine", storagetest.CLI(t, port, nil, "GET", keys.Lock(tenant, mine.ID)))
		require.InDelta(t, 60_000, number(t, storagetest.CLI(t, port, nil, "PTTL", keys.Lock(tenant, mine.ID))), 5000)
		f, locked = storagetest.LookupOrLock(two, w, "k", yours, 60_000)
		require.False(t, locked)
		require.Equal(t, &tier.Found{Head: at}, f)
		require.Equal(t, storage.LockHeld, two.Lock(w, yours, 60_000))
		f, locked = storagetest.LookupOrLock(one, v, "k", mine, 60_000)
		require.False(t, locked, "it has been claimed by another request of this process")
		require.Equal(t, &tier.Found{Head: at}, f)

		require.Empty(t, one.StoreAndUnlock(v, storagetest.Entry(tenant, "k", at), mine))
		require.True(t, mine.Released)
		require.Equal(t, "0", storagetest.CLI(t, port, nil, "EXISTS", keys.Lock(tenant, mine.ID)))
		f, locked = storagetest.LookupOrLock(two, w, "k", yours, 60_000)
		require.False(t, locked)
		require.Equal(t, storagetest.Entry(tenant, "k", at).Body, f.Entry.Body)
		require.Equal(t, "0", storagetest.CLI(t, port, nil, "EXISTS", keys.Lock(tenant, mine.ID)), "there is an entry")

		// Another process purges: what is expected of the position does not hold, and
		// the claim may have been heard. It is this process's all the same.
		head, err := two.Purge(w, storage.Purge{All: true})
		require.NoError(t, err)
		other := &storage.Lock{ID: keys.ID("l"), Token: "mine"}
		f, _ = storagetest.LookupOrLock(one, v, "l", other, 60_000)
		require.Equal(t, &tier.Found{Head: head}, f)
		require.Equal(t, storage.LockClaimed, one.Lock(v, other, 60_000))
		require.Empty(t, one.StoreAndUnlock(v, storagetest.Entry(tenant, "l", head), other))
		require.Equal(t, "0", storagetest.CLI(t, port, nil, "EXISTS", keys.Lock(tenant, other.ID)))

		// A lock that has been lost to another is left to them; the entry is stored.
		lost := &storage.Lock{ID: keys.ID("m"), Token: "mine"}
		_, locked = storagetest.LookupOrLock(one, v, "m", lost, 60_000)
		require.True(t, locked)
		storagetest.CLI(t, port, nil, "SET", keys.Lock(tenant, lost.ID), "yours")
		require.Empty(t, one.StoreAndUnlock(v, storagetest.Entry(tenant, "m", head), lost))
		require.Equal(t, "yours", storagetest.CLI(t, port, nil, "GET", keys.Lock(tenant, lost.ID)))
		require.NotNil(t, two.Lookup(w, "m").Entry)
	}
}

// TestLookupVaried: a variant comes in one exchange while the list is as it was; what else
// there may be is told apart.
func TestLookupVaried(t *testing.T) {
	port := storagetest.StartRedis(t)
	tr := tier.New(storagetest.OpenRedis(t, port), tier.Options{
		MaxStaleness: 1000, Failures: 5, SessionTTL: 60_000, Sessions: 100, Log: func(message string) { t.Log(message) },
	})
	tenant := storagetest.Tenant()
	v := tr.Tenant(tenant)
	at := tr.Lookup(v, "k").Head
	listOf := func(names ...string) *storage.Entry {
		e := storagetest.Entry(tenant, "k", at)
		e.Vary, e.Body, e.Status = names, nil, 0
		require.True(t, e.IsList())
		return e
	}
	list := listOf("X-A")
	l := tr.Remember(list)
	require.NotNil(t, l)

	f := tr.Find(v, &tier.Wanted{Key: "k 1", Session: "", List: l})
	require.Equal(t, &tier.Found{Head: at}, f, "there is no list")
	require.Empty(t, tr.Store(v, list))
	f = tr.Find(v, &tier.Wanted{Key: "k 1", Session: "", List: l})
	require.Equal(t, &tier.Found{Head: at, List: list}, f, "there is no variant")
	require.Empty(t, tr.Store(v, storagetest.Entry(tenant, "k 1", at)))
	tr.NoteNewSession(v, "s")
	for session, want := range map[string]storage.SessionKind{"": 0, "s": storage.SessionDefault, "t": storage.SessionUnknown} {
		f = tr.Find(v, &tier.Wanted{Key: "k 1", Session: session, List: l})
		require.Equal(t, "k 1", f.Entry.Key)
		require.Same(t, list, f.List)
		require.Equal(t, want, storage.KindOfScore(f.Score, storage.NowMS()), session)
	}
	f = tr.Find(v, &tier.Wanted{Key: "k 1", Session: "", List: tr.Remember(listOf("X-B"))})
	require.Nil(t, f.List, "the list is another one")
	require.Equal(t, []string{"X-A"}, f.Entry.Vary)

	_, err := tr.Purge(v, storage.Purge{All: true})
	require.NoError(t, err)
	f = tr.Find(v, &tier.Wanted{Key: "k 1", Session: "", List: l})
	require.Nil(t, f.Entry)
	require.Nil(t, f.List)
	require.Equal(t, policy.ReasonPurged, f.Reason)
	at = f.Head
	storagetest.CLI(t, port, nil, "SET", keys.Entry(tenant, keys.ID("k 2")), "damaged")
	list = listOf("X-A")
	require.Empty(t, tr.Store(v, list))
	require.Equal(t, policy.ReasonStoreCorrupt, tr.Find(v, &tier.Wanted{Key: "k 2", Session: "", List: tr.Remember(list)}).Reason)

	near := tier.New(storagetest.OpenRedis(t, port), tier.Options{MemoryBytes: 1 << 20, MaxStaleness: 1000, Failures: 5, Log: func(string) {}})
	require.Nil(t, near.Remember(list), "it is in memory")
}

// TestLookupOrLockFails: a server that takes no writes is no reason not to look.
func TestLookupOrLockFails(t *testing.T) {
	port := storagetest.StartRedis(t)
	tr := tier.New(storagetest.OpenRedis(t, port), tier.Options{Failures: 5, Log: func(message string) { t.Log(message) }})
	tenant := storagetest.Tenant()
	v := tr.Tenant(tenant)
	head := tr.Lookup(v, "k").Head
	require.Empty(t, tr.Store(v, storagetest.Entry(tenant, "k", head)))
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "maxmemory", "1")
	for key, found := range map[string]bool{"k": true, "l": false} {
		f, locked := storagetest.LookupOrLock(tr, v, key, &storage.Lock{ID: keys.ID(key), Token: "mine"}, 1000)
		require.False(t, locked)
		require.Equal(t, found, f.Entry != nil)
		require.Equal(t, head, f.Head)
	}
	require.False(t, tr.Open())
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "maxmemory", "0")
	_, locked := storagetest.LookupOrLock(tr, v, "l", &storage.Lock{ID: keys.ID("l"), Token: "mine"}, 1000)
	require.True(t, locked)

	// What was purged since cannot be read: there is no answer, but a lock, which is told.
	_, err := storagetest.OpenRedis(t, port).Purge(tenant, storage.Purge{All: true})
	require.NoError(t, err)
	storagetest.CLI(t, port, nil, "ACL", "SETUSER", "default", "-zrangebyscore")
	f, locked := storagetest.LookupOrLock(tr, v, "m", &storage.Lock{ID: keys.ID("m"), Token: "mine"}, 60_000)
	require.Equal(t, policy.ReasonStoreError, f.Reason)
	require.True(t, locked)
	require.Equal(t, "mine", storagetest.CLI(t, port, nil, "GET", keys.Lock(tenant, keys.ID("m"))))
	storagetest.CLI(t, port, nil, "ACL", "SETUSER", "default", "+zrangebyscore")
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	require.NoError(t, err)
	return n
}
