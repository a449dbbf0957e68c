package tier

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// Special and Forget of the scripted storage.
func (s *script) Special(tenant string, sessions []string, ttl int64, limit int) (bool, error) {
	after, err := s.enter("special")
	if err != nil {
		return false, err
	}
	defer after()
	return s.Storage.Special(tenant, sessions, ttl, limit)
}

func (s *script) Forget(tenant string) error {
	after, err := s.enter("forget")
	if err != nil {
		return err
	}
	defer after()
	return s.Storage.Forget(tenant)
}

// TestSessionsOfReplicas: a session that one replica marks is special to the
// other at once, also where that has the page in memory.
func TestSessionsOfReplicas(t *testing.T) {
	s := newScript()
	a, b := newReplica(s, forever), newReplica(s, forever)
	a.o.SessionTTL, a.o.Sessions = 3600000, 100
	b.o.SessionTTL, b.o.Sessions = 3600000, 100
	a.NoteNewSession(a.v, "visitor")
	for _, r := range []*replica{a, b} {
		require.Equal(t, storage.SessionDefault, r.Find(r.v, &Wanted{Key: "k", Session: "visitor"}).Session)
	}
	b.put(t, "k")
	f := b.Find(b.v, &Wanted{Key: "k", Session: "visitor"})
	require.NotNil(t, f.Entry)
	require.True(t, f.Memory)
	require.Equal(t, storage.SessionDefault, f.Session)

	a.Special(a.v, []string{"visitor"})
	f = b.Find(b.v, &Wanted{Key: "k", Session: "visitor"})
	require.Equal(t, storage.SessionSpecial, f.Session)
	a.Special(a.v, []string{"visitor"})
	require.Equal(t, 1, s.count("special"), "noted once")

	_, err := a.Tier.Purge(a.v, storage.Purge{All: true})
	require.NoError(t, err)
	require.Nil(t, b.Find(b.v, &Wanted{Key: "k", Session: "visitor"}).Entry, "purged")
}

// TestAMarkThatCannotBeWritten: until it is, this replica does not use the cache.
func TestAMarkThatCannotBeWritten(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	r.o.SessionTTL, r.o.Sessions = 3600000, 100
	r.Failures(100)
	r.NoteNewSession(r.v, "visitor")
	r.put(t, "k")
	require.NotNil(t, r.Find(r.v, &Wanted{Key: "k", Session: "visitor"}).Entry)
	s.fail("special")
	r.Special(r.v, []string{"visitor"})
	require.Equal(t, policy.ReasonPurgePending, r.Find(r.v, &Wanted{Key: "k", Session: "visitor"}).Reason)
	s.heal()
	f := r.Find(r.v, &Wanted{Key: "k", Session: "visitor"})
	require.Equal(t, storage.SessionSpecial, f.Session)
	require.NotNil(t, f.Entry, "what is stored is good")
	require.Empty(t, s.written(), "nothing had to be purged")
}

// TestManyMarksThatCannotBeWritten: beyond session.max nothing is known of any session any
// more. No page is purged for them, whoever makes them up.
func TestManyMarksThatCannotBeWritten(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	r.o.SessionTTL, r.o.Sessions = 3600000, 2000
	r.Failures(1000000)
	r.put(t, "k")
	for _, session := range []string{"visitor", "another", "third"} {
		r.NoteNewSession(r.v, session)
	}
	s.fail("special", "forget")
	r.Special(r.v, []string{"visitor"})
	for i := 0; i < 1500; i++ {
		r.Special(r.v, []string{fmt.Sprint("invented", i)})
	}
	require.Equal(t, 1, r.v.Pending())
	s.heal()
	require.Equal(t, storage.SessionSpecial, r.Find(r.v, &Wanted{Key: "k", Session: "visitor"}).Session)
	require.Equal(t, storage.SessionDefault, r.Find(r.v, &Wanted{Key: "k", Session: "another"}).Session)
	require.Zero(t, r.v.Pending())

	s.fail("special", "forget")
	for i := 0; i < 2100; i++ {
		r.Special(r.v, []string{fmt.Sprint("also invented", i)})
	}
	r.Special(r.v, []string{"third"})
	s.heal()
	for _, session := range []string{"another", "third"} {
		f := r.Find(r.v, &Wanted{Key: "k", Session: session})
		require.Equal(t, storage.SessionUnknown, f.Session)
		require.NotNil(t, f.Entry, "what is stored is good")
	}
	require.Zero(t, r.v.Pending())
	require.Empty(t, s.written(), "nothing had to be purged")
}
