package redis_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/redis"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/keys"
)

// counted is a tenant whose entries are counted.
type counted struct {
	t      *testing.T
	port   string
	tenant string
	*redis.Redis
}

func newCounted(t *testing.T, q storage.Quota) *counted {
	c := &counted{t: t, port: storagetest.StartRedis(t), tenant: "shop"}
	c.Redis = storagetest.OpenRedis(t, c.port)
	c.Limit(c.tenant, q)
	return c
}

// put stores an entry with a body of so many bytes.
func (c *counted) put(name string, size int, ttl int64) error {
	e := storagetest.Entry(c.tenant, name, storage.Head{Epoch: 1, Seq: 1})
	e.Body = make([]byte, size)
	return c.Store(c.tenant, keys.ID(name), e, ttl)
}

// has reports whether an entry is there.
func (c *counted) has(name string) bool {
	return strings.TrimSpace(storagetest.CLI(c.t, c.port, nil, "EXISTS", keys.Entry(c.tenant, keys.ID(name)))) == "1"
}

// there are the entries in the server, and their bytes.
func (c *counted) there() (entries int, bytes int64) {
	out := strings.Fields(storagetest.CLI(c.t, c.port, nil, "EVAL", `
local list, bytes = redis.call('KEYS', KEYS[1]), 0
for i = 1, #list do bytes = bytes + redis.call('STRLEN', list[i]) end
return {#list, bytes}`, "1", keys.Entry(c.tenant, "*")))
	require.Len(c.t, out, 2)
	entries, err := strconv.Atoi(out[0])
	require.NoError(c.t, err)
	bytes, err = strconv.ParseInt(out[1], 10, 64)
	require.NoError(c.t, err)
	return entries, bytes
}

// check requires that what is counted is what is there.
func (c *counted) check() storage.Usage {
	c.t.Helper()
	u, known, err := c.Usage(c.tenant)
	require.NoError(c.t, err)
	require.True(c.t, known)
	entries, bytes := c.there()
	assert.Equal(c.t, entries, u.Entries)
	assert.InDelta(c.t, bytes+1112*int64(entries), u.Bytes, 513*float64(entries), "600 bytes each, and rounded up")
	return u
}

// TestAQuotaBounds: what is stored stays below the quota; what ends first goes, whatever is stored
// late stays.
func TestAQuotaBounds(t *testing.T) {
	const kB = 1000
	c := newCounted(t, storage.Quota{Bytes: 100 * kB})
	for i := 0; i < 10; i++ {
		require.NoError(t, c.put(fmt.Sprint("long", i), 4*kB, 3600_000))
	}
	for i := 0; i < 200; i++ {
		require.NoError(t, c.put(fmt.Sprint("short", i), 4*kB, 600_000+1000*int64(i)))
		require.LessOrEqual(t, c.check().Bytes, int64(100*kB))
	}
	u := c.check()
	assert.Greater(t, u.Bytes, int64(80*kB))
	assert.EqualValues(t, 210-u.Entries, u.Evicted)
	for i := 0; i < 10; i++ {
		assert.True(t, c.has(fmt.Sprint("long", i)), i)
	}
	assert.True(t, c.has("short199"))
	assert.False(t, c.has("short0"))
	require.NoError(t, c.put("one that ends first of all", 4*kB, 1000))
	assert.True(t, c.has("one that ends first of all"), "whoever comes is not the one that goes")

	require.NoError(t, c.put("large", 90*kB, 60_000))
	c.check()
	before, _ := c.there()
	assert.ErrorIs(t, c.put("too large", 100*kB, 60_000), storage.ErrQuota)
	after, _ := c.there()
	assert.Equal(t, before, after, "nothing has gone for it")
	assert.False(t, c.has("too large"))
	c.check()
}

func TestAQuotaOfEntries(t *testing.T) {
	c := newCounted(t, storage.Quota{Entries: 20})
	for i := 0; i < 100; i++ {
		require.NoError(t, c.put(fmt.Sprint(i), 10, 60_000+1000*int64(i)))
		require.LessOrEqual(t, c.check().Entries, 20)
	}
	for i := 80; i < 100; i++ {
		require.True(t, c.has(fmt.Sprint(i)))
		require.NoError(t, c.put(fmt.Sprint(i), 1000, 600_000), "what is there is replaced")
	}
	assert.Equal(t, 20, c.check().Entries)

	c.Limit(c.tenant, storage.Quota{Entries: 5})
	require.NoError(t, c.put("next", 10, 60_000), "it is stored as others go")
	assert.Equal(t, 5, c.check().Entries)
}

// TestALedgerHeals: whatever becomes of entries, what is counted gets right again, with what is
// stored after it.
func TestALedgerHeals(t *testing.T) {
	ledger := keys.Ledger("shop")
	for _, x := range []struct {
		name   string
		do     func(c *counted)
		left   int  // entries, before others are stored
		others bool // none of those that were there is stored again
	}{
		{"replaced", func(c *counted) {
			for i := 0; i < 300; i++ {
				require.NoError(c.t, c.put(fmt.Sprint(i%100), 10*i, 60_000))
			}
		}, 100, false},
		{"ended", func(c *counted) {
			for i := 0; i < 50; i++ {
				require.NoError(c.t, c.put(fmt.Sprint(i), 1000, 500))
			}
			require.Eventually(c.t, func() bool {
				u, _, err := c.Usage(c.tenant)
				return err == nil && u.Entries == 50
			}, 10*time.Second, 50*time.Millisecond, "without a store")
		}, 50, true},
		{"removed", func(c *counted) {
			for i := 0; i < 50; i++ {
				require.NoError(c.t, c.Remove(c.tenant, []string{keys.ID(fmt.Sprint(i))}))
			}
		}, 50, true},
		{"evicted by the server, most of them", func(c *counted) {
			for i := 0; i < 95; i++ {
				storagetest.CLI(c.t, c.port, nil, "DEL", keys.Entry(c.tenant, keys.ID(fmt.Sprint(i))))
			}
		}, 5, true},
		{"the ledger is lost", func(c *counted) { storagetest.CLI(c.t, c.port, nil, "DEL", ledger) }, 100, false},
		{"something else is in its place", func(c *counted) { storagetest.CLI(c.t, c.port, nil, "SET", ledger, "x") }, 100, false},
		{"something else of the same kind is in its place", func(c *counted) {
			storagetest.CLI(c.t, c.port, nil, "DEL", ledger)
			storagetest.CLI(c.t, c.port, nil, "ZADD", ledger, "7", "x")
		}, 100, false},
		{"all is lost", func(c *counted) { storagetest.CLI(c.t, c.port, nil, "FLUSHALL") }, 0, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCounted(t, storage.Quota{Bytes: 1 << 30, Entries: 1000})
			for i := 0; i < 100; i++ {
				require.NoError(t, c.put(fmt.Sprint(i), 1000, 3600_000))
			}
			c.check()
			x.do(c)
			entries, _ := c.there()
			require.Equal(t, x.left, entries)
			want := 400
			name := func(i int) string { return fmt.Sprint(i) } // those that nobody counted are among them
			if x.others {
				want += x.left
				name = func(i int) string { return fmt.Sprint("another", i) }
			}
			for i := 0; i < 10_000; i++ {
				require.NoError(t, c.put(name(i%400), 2000, 3600_000))
				if u, _, _ := c.Usage(c.tenant); i >= 400 && u.Entries == want {
					t.Logf("after %d", i)
					break
				}
			}
			assert.Equal(t, want, c.check().Entries)
		})
	}
}

// TestOnlyATenantWithAQuotaIsCounted: the others' entries are stored as before, and a tenant's quota
// is no other's.
func TestOnlyATenantWithAQuotaIsCounted(t *testing.T) {
	c := newCounted(t, storage.Quota{Entries: 3})
	other := &counted{t: t, port: c.port, tenant: "other", Redis: c.Redis}
	for i := 0; i < 10; i++ {
		require.NoError(t, c.put(fmt.Sprint(i), 10, 60_000))
		require.NoError(t, other.put(fmt.Sprint(i), 10, 60_000))
	}
	entries, _ := c.there()
	assert.Equal(t, 3, entries)
	entries, _ = other.there()
	assert.Equal(t, 10, entries)
	_, known, err := other.Usage("other")
	require.NoError(t, err)
	assert.False(t, known)
	assert.Equal(t, "0", strings.TrimSpace(storagetest.CLI(t, c.port, nil, "EXISTS", keys.Ledger("other"))))

	c.Limit(c.tenant, storage.Quota{})
	for i := 0; i < 10; i++ {
		require.NoError(t, c.put(fmt.Sprint(i), 10, 60_000))
	}
	entries, _ = c.there()
	assert.Equal(t, 10, entries, "there is no quota any more")
}

// TestReplicasShareALedger: what one Traefik stores another one counts.
func TestReplicasShareALedger(t *testing.T) {
	a := newCounted(t, storage.Quota{Entries: 10})
	b := &counted{t: t, port: a.port, tenant: a.tenant, Redis: storagetest.OpenRedis(t, a.port)}
	b.Limit(b.tenant, storage.Quota{Entries: 10})
	for i := 0; i < 30; i++ {
		require.NoError(t, a.put(fmt.Sprint("a", i), 10, 60_000))
		require.NoError(t, b.put(fmt.Sprint("b", i), 10, 60_000))
		require.LessOrEqual(t, a.check().Entries, 10)
	}
	assert.Equal(t, 10, b.check().Entries)
}

// TestALockIsGivenBackWithWhatIsCounted: as with what is not counted; not where nothing is stored,
// so that its owner does that.
func TestALockIsGivenBackWithWhatIsCounted(t *testing.T) {
	c := newCounted(t, storage.Quota{Bytes: 64 << 10})
	for _, x := range []struct {
		size   int
		stored bool
	}{{1000, true}, {70_000, false}} {
		l := &storage.Lock{ID: keys.ID("p"), Token: "a token"}
		state, err := c.Lock(c.tenant, l, 60_000)
		require.NoError(t, err)
		require.NotEqual(t, storage.LockHeld, state)
		e := storagetest.Entry(c.tenant, "p", storage.Head{Epoch: 1, Seq: 1})
		e.Body = make([]byte, x.size)
		err = c.StoreAndUnlock(c.tenant, keys.ID("p"), e, 60_000, l)
		locked := strings.TrimSpace(storagetest.CLI(t, c.port, nil, "EXISTS", keys.Lock(c.tenant, l.ID)))
		if x.stored {
			require.NoError(t, err)
			assert.Equal(t, "0", locked)
		} else {
			require.ErrorIs(t, err, storage.ErrQuota)
			assert.Equal(t, "1", locked)
		}
		c.check()
	}
}

// TestAFullServerKeepsTheLedger: a store that the server refuses, since it is full, changes nothing
// that is counted.
func TestAFullServerKeepsTheLedger(t *testing.T) {
	c := newCounted(t, storage.Quota{Entries: 51})
	for i := 0; i < 50; i++ {
		require.NoError(t, c.put(fmt.Sprint(i), 1000, 3600_000))
	}
	storagetest.CLI(t, c.port, nil, "CONFIG", "SET", "maxmemory", "1")
	require.ErrorIs(t, c.put("new", 1000, 3600_000), storage.ErrRefused)
	c.check()
	storagetest.CLI(t, c.port, nil, "CONFIG", "SET", "maxmemory", "0")
	require.NoError(t, c.put("new", 1000, 3600_000))
	assert.Equal(t, 51, c.check().Entries)
}

// TestAPageGoesBeforeItsList: nobody finds a page without the list of its variants, which was stored
// after it and ends with it.
func TestAPageGoesBeforeItsList(t *testing.T) {
	c := newCounted(t, storage.Quota{Entries: 2})
	require.NoError(t, c.put("page", 5000, 60_000))
	list := storagetest.Entry(c.tenant, "list", storage.Head{Epoch: 1, Seq: 1})
	list.Status, list.Body, list.Variants = 0, nil, []string{keys.ID("page")}
	require.NoError(t, c.Store(c.tenant, keys.ID("list"), list, 60_000))
	require.NoError(t, c.put("next", 5000, 70_000))
	assert.False(t, c.has("page"))
	assert.True(t, c.has("list"))
}

// BenchmarkStoreCounted measures what a quota costs where a page is stored, with a full ledger.
func BenchmarkStoreCounted(b *testing.B) {
	for name, q := range map[string]storage.Quota{"without a quota": {}, "with one": {Entries: 5000}} {
		b.Run(name, func(b *testing.B) {
			s := storagetest.OpenRedis(b, storagetest.StartRedis(b))
			s.Limit("shop", q)
			e := storagetest.Entry("shop", "page", storage.Head{Epoch: 1, Seq: 1})
			e.Body = make([]byte, 20_000)
			put := func(i int) {
				require.NoError(b, s.Store("shop", keys.ID(strconv.Itoa(i)), e, 3600_000))
			}
			for i := 0; i < 6000; i++ {
				put(i)
			}
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				put(6000 + i)
			}
		})
	}
}

// TestALedgerNeedsNoOtherUser: the user that docs/redis.md grants may do what a quota takes, on one
// server and in a cluster.
func TestALedgerNeedsNoOtherUser(t *testing.T) {
	options := func(address string) resp.Options {
		return resp.Options{Address: address, Username: "odoocache", Password: "change-me", Timeout: 10 * time.Second, DialTimeout: 10 * time.Second}
	}
	for name, open := range map[string]func(t *testing.T) *redis.Redis{
		"one server": func(t *testing.T) *redis.Redis {
			port := storagetest.StartRedis(t)
			restrict(t, port, "")
			client := resp.New(options("127.0.0.1:" + port))
			t.Cleanup(client.Close)
			return redis.New(client, storagetest.MaxMarks)
		},
		"a cluster": func(t *testing.T) *redis.Redis {
			var addresses []string
			for _, port := range storagetest.StartCluster(t) {
				restrict(t, port, "A cluster needs `([^`]+)`")
				addresses = append(addresses, "127.0.0.1:"+port)
			}
			cluster := resp.NewCluster(options(""), addresses[:1])
			t.Cleanup(cluster.Close)
			return redis.NewCluster(cluster, storagetest.MaxMarks)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for i := 0; i < 10; i++ { // on all nodes
				c := &counted{t: t, tenant: fmt.Sprint("tenant", i), Redis: s}
				c.Limit(c.tenant, storage.Quota{Entries: 5})
				for j := 0; j < 20; j++ {
					require.NoError(t, c.put(fmt.Sprint(j), 100, 60_000))
				}
				u, known, err := c.Usage(c.tenant)
				require.NoError(t, err)
				assert.True(t, known)
				assert.Equal(t, 5, u.Entries)
				assert.EqualValues(t, 15, u.Evicted)
			}
		})
	}
}
