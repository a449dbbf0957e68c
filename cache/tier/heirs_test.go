package tier

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
)

// joinedReplica is newReplica of a tr that the others know, at a place.
func joinedReplica(t *testing.T, s storage.Storage, place string) *replica {
	t.Helper()
	r := newReplica(s, forever)
	r.o.Place = place
	r.o.Sessions, r.o.SessionTTL = 100, forever
	r.Failures(1000)
	r.tenants = map[string]*Tenant{}
	Join(r.Tier)
	t.Cleanup(r.Close)
	r.v = r.Tenant("t")
	return r
}

// forgetDebts leaves nothing for other tests.
func forgetDebts(t *testing.T) {
	t.Cleanup(func() {
		tiersMu.Lock()
		defer tiersMu.Unlock()
		debts = nil
	})
}

var purgeOfX = storage.Purge{Members: []string{storage.TagMark("x", false)}}

func TestWhatATierKeepsIsHandedOn(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, a *replica, next func() *replica) *replica
	}{
		{"to one that comes later", func(t *testing.T, a *replica, next func() *replica) *replica {
			a.keepOne(t)
			return next()
		}},
		{"to one that is there", func(t *testing.T, a *replica, next func() *replica) *replica {
			b := next()
			a.keepOne(t)
			return b
		}},
		{"to one that comes when the first is closed", func(t *testing.T, a *replica, next func() *replica) *replica {
			a.keepOne(t)
			a.Close()
			return next()
		}},
		{"by a request that outlives its tier", func(t *testing.T, a *replica, next func() *replica) *replica {
			a.Close()
			a.keepOne(t)
			return next()
		}},
		{"by a request that outlives its tr, to one that is there", func(t *testing.T, a *replica, next func() *replica) *replica {
			b := next()
			a.Close()
			a.keepOne(t)
			return b
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			forgetDebts(t)
			server := newScript() // the second one reaches it
			broken := &script{Storage: server.Storage, counts: map[string]int{}, before: map[string]func(int) error{}, after: map[string]func(int){}}
			a := joinedReplica(t, broken, "redis:1")
			a.put(t, "k", "x")
			a.put(t, "other", "y")
			a.NoteNewSession(a.v, "visitor")
			broken.fail("purge", "mark")
			b := c.do(t, a, func() *replica { return joinedReplica(t, server, "redis:1") })
			require.Equal(t, 2, b.v.Pending())
			f := b.Lookup(b.v, "k")
			require.Nil(t, f.Entry)
			require.Equal(t, policy.ReasonPurged, f.Reason)
			require.NotNil(t, b.Lookup(b.v, "other").Entry)
			require.Equal(t, storage.SessionSpecial, kindOf(b.Find(b.v, &Wanted{Key: "other", Session: "visitor"})))
			require.Zero(t, b.v.Pending())
			require.Contains(t, b.logged(), "written to this one before it is used")
		})
	}
}

func (r *replica) keepOne(t *testing.T) {
	t.Helper()
	_, err := r.Tier.Purge(r.v, purgeOfX)
	require.Error(t, err)
	r.Tier.Mark(r.v, []string{"visitor"}, true)
}

// TestWhatIsOwedToAnotherPlace: whoever used another server meanwhile finds what was not
// written to the first one.
func TestWhatIsOwedToAnotherPlace(t *testing.T) {
	forgetDebts(t)
	first, second := newScript(), newScript()
	a := joinedReplica(t, first, "redis:1")
	a.put(t, "k", "x")
	first.fail("purge", "mark")
	a.keepOne(t)
	b := joinedReplica(t, second, "redis:2")
	require.Equal(t, 2, b.v.Pending())
	require.Empty(t, b.Lookup(b.v, "k").Reason)
	require.Zero(t, b.v.Pending())
	a.Close()
	first.heal()
	c := joinedReplica(t, first, "redis:1")
	require.Equal(t, policy.ReasonPurged, c.Lookup(c.v, "k").Reason)
	require.Empty(t, debts, "it was paid")
}

// TestNothingIsOwedWhereAnotherTierHasIt: the tenant's cache is not purged for nothing.
func TestNothingIsOwedWhereAnotherTierHasIt(t *testing.T) {
	forgetDebts(t)
	server := newScript()
	broken := &script{Storage: server.Storage, counts: map[string]int{}, before: map[string]func(int) error{}, after: map[string]func(int){}}
	a := joinedReplica(t, broken, "redis:1")
	broken.fail("purge", "mark")
	a.keepOne(t)
	b := joinedReplica(t, server, "redis:1")
	b.put(t, "k", "x")
	a.Close()
	require.Empty(t, debts)
	require.NotNil(t, b.Lookup(b.v, "k").Entry)
}

// TestWhatIsKeptIsWrittenOnce: the tr that could not write it is still there when others
// come, and what was stored meanwhile stays.
func TestWhatIsKeptIsWrittenOnce(t *testing.T) {
	for name, place := range map[string]string{"of the same place": "redis:1", "of another place": "redis:2"} {
		for _, closes := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, closed: %v", name, closes), func(t *testing.T) {
				forgetDebts(t)
				server := newScript()
				broken := &script{Storage: server.Storage, counts: map[string]int{}, before: map[string]func(int) error{}, after: map[string]func(int){}}
				broken.fail("purge", "mark", "marks", "head")
				a := joinedReplica(t, broken, "redis:1")
				a.keepOne(t)
				first, second := joinedReplica(t, server, place), joinedReplica(t, server, place)
				require.Equal(t, 2, second.v.Pending(), "nobody has written it yet")
				first.put(t, "k", "x")
				if closes {
					a.Close()
				}
				for i := 0; i < 3; i++ {
					b := joinedReplica(t, server, place)
					require.Zero(t, b.v.Pending())
					require.NotNil(t, b.Lookup(b.v, "k").Entry)
					require.NotContains(t, b.logged(), "written to this one")
				}
				require.NotNil(t, second.Lookup(second.v, "k").Entry)
				require.Zero(t, second.v.Pending())
				require.Equal(t, []storage.Purge{purgeOfX}, server.written())

				_, err := a.Tier.Purge(a.v, purgeOfX) // another one
				require.Error(t, err)
				b := joinedReplica(t, server, place)
				require.Equal(t, policy.ReasonPurged, b.Lookup(b.v, "k").Reason)
				require.Equal(t, []storage.Purge{purgeOfX, purgeOfX}, server.written())
			})
		}
	}
}

// TestAPurgeIsToldToOtherStorages: a request that began with the options of before knows
// nothing of the next storage.
func TestAPurgeIsToldToOtherStorages(t *testing.T) {
	forgetDebts(t)
	a := joinedReplica(t, newScript(), "memory 1")
	b := joinedReplica(t, newScript(), "memory 2")
	alone := newReplica(newScript(), forever)
	b.put(t, "k", "x")
	alone.put(t, "k", "x")
	a.purge(t, storage.TagMark("x", false))
	require.Equal(t, policy.ReasonPurged, b.Lookup(b.v, "k").Reason)
	require.NotNil(t, alone.Lookup(alone.v, "k").Entry, "it was never joined")
}

// TestManyDebts: beyond the bound everybody's cache begins anew.
func TestManyDebts(t *testing.T) {
	forgetDebts(t)
	s := newScript()
	for i := 0; i <= maxDebts; i++ {
		debts = append(debts, debt{place: "redis:1", tenant: string(rune('a' + i)), load: purges.Load{Purges: []purges.Waiting{{Purge: purgeOfX, Note: &purges.Note{}}}}})
	}
	a := joinedReplica(t, newScript(), "redis:2")
	a.store.(*script).fail("purge", "mark")
	a.keepOne(t)
	a.Close()
	require.Len(t, debts, 2)
	b := joinedReplica(t, s, "redis:3")
	b.Lookup(b.v, "k")
	require.Contains(t, s.written(), storage.Purge{All: true})
}
