package tier

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/keys"
)

func TestAskedBefore(t *testing.T) {
	a := newAdmission(AdmissionOptions{Bytes: 1000, Window: 100, Keys: 3})
	require.False(t, askedAt(a, "a", 1000))
	require.True(t, askedAt(a, "a", 1000))
	require.False(t, askedAt(a, "b", 1050))
	require.True(t, askedAt(a, "b", 1149), "in the set before")
	require.False(t, askedAt(a, "a", 1300), "more than two windows ago")

	for i := 0; i < 1000; i++ {
		require.False(t, askedAt(a, fmt.Sprint("invented", i), 1301))
		require.LessOrEqual(t, len(a.asked)+len(a.before), 2*3)
	}
	require.False(t, askedAt(a, "a", 1301), "bounded")
	require.Nil(t, newAdmission(AdmissionOptions{}))
}

func TestSpend(t *testing.T) {
	a := newAdmission(AdmissionOptions{Bytes: 1000, Window: 100, Keys: 3})
	require.True(t, spend(a, 600, 5000))
	require.True(t, spend(a, 400, 5000))
	require.False(t, spend(a, 1, 5000))
	require.False(t, spend(a, 500, 5049))
	require.True(t, spend(a, 500, 5050), "half a window later")
	require.False(t, spend(a, 1, 5050))
	require.False(t, spend(a, 1001, 99999), "never")
	require.True(t, spend(a, 1000, 99999))
}

// TestMemoryTierTakesWhatIsAskedForTwice: what is asked for once takes no memory, and what is
// there is replaced by what is stored.
func TestMemoryTierTakesWhatIsAskedForTwice(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	e := page("k", r.ask(t, "k"))
	require.Empty(t, r.Store(r.v, e))
	require.Zero(t, r.Memory().Len())
	require.False(t, r.Has(r.v, "k"))
	require.False(t, r.Lookup(r.v, "k").Memory)
	require.True(t, r.Lookup(r.v, "k").Memory)
	newer := page("k", r.v.Head())
	newer.Body = []byte("newer")
	require.Empty(t, r.Store(r.v, newer))
	f := r.Lookup(r.v, "k")
	require.True(t, f.Memory)
	require.Equal(t, "newer", string(f.Entry.Body))
}

// TestAdmissionOfATier: what of a page says that it was asked for before.
func TestAdmissionOfATier(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, r *replica)
		want string
	}{
		{"nothing", func(*testing.T, *replica) {}, policy.ReasonAdmission},
		{"it was looked for, but not found", func(t *testing.T, r *replica) { r.ask(t, "k") }, policy.ReasonAdmission},
		{"it was refused", func(t *testing.T, r *replica) { r.Store(r.v, page("k", r.v.Head())) }, ""},
		{"it is fresh, and is to be refreshed early", func(t *testing.T, r *replica) {
			r.stored(t, page("k", r.v.Head()))
			r.Find(r.v, &Wanted{Key: "k", Newer: true})
		}, ""},
		{"it is stale", func(t *testing.T, r *replica) {
			e := page("k", r.v.Head())
			e.Life.TTL = 0
			r.stored(t, e)
			require.NotNil(t, r.Lookup(r.v, "k").Entry)
		}, ""},
		{"it was purged", func(t *testing.T, r *replica) {
			r.stored(t, page("k", r.v.Head(), "x"))
			r.purge(t, storage.TagMark("x", false))
			require.Equal(t, policy.ReasonPurged, r.Lookup(r.v, "k").Reason)
		}, ""},
		{"it is stale in memory", func(t *testing.T, r *replica) {
			e := page("k", r.v.Head())
			r.stored(t, e)
			r.Lookup(r.v, "k")
			r.purge(t, storage.TagMark("y", false))
			r.v.admission.asked = map[uint64]bool{}
			r.Lookup(r.v, "k")
			e.Life.TTL = 0
			f := r.Lookup(r.v, "k")
			require.True(t, f.Memory)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript()
			r := newReplica(s, forever)
			r.v.admission = newAdmission(AdmissionOptions{Bytes: 4000, Window: forever, Keys: 1000})
			r.ask(t, "other")
			for i := 0; i < 10; i++ {
				r.Store(r.v, page(fmt.Sprint("invented", i), r.v.Head()))
			}
			c.do(t, r)
			require.Equal(t, c.want, r.Store(r.v, page("k", r.v.Head())))
		})
	}
}

// stored puts a page into the storage, as another process does.
func (r *replica) stored(t *testing.T, e *storage.Entry) {
	t.Helper()
	m := r.store.(*script)
	require.NoError(t, m.Storage.Store("t", idOf(e.Key), e, 60000))
}

// TestFullMemoryAlone: while there is room everything is stored; then what is asked for again.
func TestFullMemoryAlone(t *testing.T) {
	m := memory.New(100_000, 100)
	tr := NewLocal(m, Options{Admission: AdmissionOptions{Bytes: 1, Window: forever, Keys: 1000}, Log: func(string) {}})
	v := tr.Tenant("t")
	head := tr.Lookup(v, "k").Head
	entry := func(key string) *storage.Entry {
		e := page(key, head)
		e.Body = make([]byte, 9000)
		return e
	}
	stored := 0
	for i := 0; i < 30; i++ {
		if tr.Store(v, entry(fmt.Sprint(i))) == "" {
			require.Equal(t, i, stored)
			stored++
		}
	}
	require.InDelta(t, 9, stored, 1)
	require.Zero(t, m.Entries().Evicted())
	require.Empty(t, tr.Store(v, entry("29")))
	require.NotNil(t, tr.Lookup(v, "29").Entry)
	require.Empty(t, tr.Store(v, entry("5")), "what is there is replaced")

	other := tr.Tenant("u")
	e := entry("u")
	e.Tenant, e.Epoch, e.Seq = "u", tr.Lookup(other, "u").Head.Epoch, tr.Lookup(other, "u").Head.Seq
	for i := 0; i < 30; i++ {
		tr.Lookup(v, fmt.Sprint(i)) // what is there is used
	}
	require.Equal(t, policy.ReasonAdmission, tr.Store(other, e))
	require.Empty(t, tr.Store(other, e), "the largest tenant gives way")
	require.NotNil(t, tr.Lookup(other, "u").Entry)
	e = entry("w")
	e.Tenant, e.Epoch, e.Seq = "u", tr.Lookup(other, "w").Head.Epoch, tr.Lookup(other, "w").Head.Seq
	require.Empty(t, tr.Store(other, e), "at once, with what is not used any more")
}

// TestVariantsOfADroppedList: they are in the memory tr still, and are not found by the
// list that comes after it.
func TestVariantsOfADroppedList(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	head := r.ask(t, "p")
	list := page("p", head)
	list.Status, list.Body, list.Variants = 0, nil, []string{idOf("pv1"), idOf("pv2")}
	for _, e := range []*storage.Entry{page("pv1", head), page("pv2", head), list} {
		require.Empty(t, r.Store(r.v, e))
		require.NotNil(t, r.Lookup(r.v, e.Key).Entry)
	}
	require.True(t, r.FindVariant(r.v, list, "pv2").Memory)
	r.Drop(r.v, []string{"p"})
	require.Nil(t, r.Lookup(r.v, "p").Entry)
	next := *list
	next.Variants = []string{idOf("pv1")}
	require.Empty(t, r.Store(r.v, page("pv1", head)))
	require.Empty(t, r.Store(r.v, &next))
	require.NotNil(t, r.FindVariant(r.v, &next, "pv1").Entry)
	require.Nil(t, r.FindVariant(r.v, &next, "pv2").Entry)

	require.NoError(t, s.Storage.Store("t", idOf("pv2"), page("pv2", head), 60000))
	require.NotNil(t, r.FindVariant(r.v, &next, "pv2").Entry, "stored by another process since")
}

func idOf(key string) string { return keys.ID(key) }

// TestAMillionAddresses: one of 20 tenants has a million addresses asked for, one in ten of them
// twice. The others lose no page that they use, whatever they had before, and one that comes later
// has its pages in memory, too.
func TestAMillionAddresses(t *testing.T) {
	addresses := 1_000_000
	if testing.Short() {
		addresses = 50_000
	}
	m := memory.New(4<<20, 100)
	tr := NewLocal(m, Options{Admission: AdmissionOptions{Bytes: 64 << 20, Window: forever, Keys: 65536}, Log: func(string) {}})
	store := func(v *Tenant, tenant, key string) string {
		e := page(key, tr.Lookup(v, key).Head)
		e.Tenant, e.Body = tenant, make([]byte, 4000)
		return tr.Store(v, e)
	}
	const pages = 5
	hits, asked := 0, 0
	ask := func(i, n int) {
		tenant := fmt.Sprint("t", i)
		v, key := tr.Tenant(tenant), fmt.Sprint("p", n%pages)
		asked++
		if tr.Lookup(v, key).Entry != nil {
			hits++
			return
		}
		store(v, tenant, key)
	}
	noisy := tr.Tenant("noisy")
	for n := 0; n < addresses; n++ {
		key := fmt.Sprint("address", n)
		if tr.Lookup(noisy, key).Entry == nil {
			store(noisy, "noisy", key)
		}
		if n%10 == 0 {
			store(noisy, "noisy", key)
		}
		if n%50 == 0 {
			i := n / 50
			if n > addresses/2 { // some come late, when memory is full
				ask(i%19, i/19)
			} else {
				ask(i%10, i/10)
			}
		}
	}
	require.GreaterOrEqual(t, hits, asked-2*19*pages, "each page is missed twice at most")
	for i := 0; i < 19; i++ {
		require.Equal(t, pages, tr.Usage(tr.Tenant(fmt.Sprint("t", i))).Entries)
	}
	u := tr.Usage(noisy)
	require.Greater(t, u.Bytes, int64(3<<20))
	require.LessOrEqual(t, m.Entries().Bytes(), int64(4<<20))
	require.Greater(t, u.Evicted, int64(addresses/20))
}
