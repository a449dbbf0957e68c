package tier

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
)

// Mark and Forget of the scripted storage.
func (s *script) Mark(tenant string, sessions []string, special bool, until int64) ([]int64, error) {
	after, err := s.enter("mark")
	if err != nil {
		return nil, err
	}
	defer after()
	return s.Storage.Mark(tenant, sessions, special, until)
}

func (s *script) Forget(tenant string) error {
	after, err := s.enter("forget")
	if err != nil {
		return err
	}
	defer after()
	return s.Storage.Forget(tenant)
}

func kindOf(f *Found) storage.SessionKind {
	return storage.KindOfScore(f.Score, storage.NowMS())
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
		require.Equal(t, storage.SessionDefault, kindOf(r.Find(r.v, &Wanted{Key: "k", Session: "visitor"})))
	}
	b.put(t, "k")
	f := b.Find(b.v, &Wanted{Key: "k", Session: "visitor"})
	require.NotNil(t, f.Entry)
	require.True(t, f.Memory)
	require.Equal(t, storage.SessionDefault, kindOf(f))

	a.Mark(a.v, []string{"visitor"}, true)
	f = b.Find(b.v, &Wanted{Key: "k", Session: "visitor"})
	require.Equal(t, storage.SessionSpecial, kindOf(f))

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
	s.fail("mark")
	r.Mark(r.v, []string{"visitor"}, true)
	require.Equal(t, policy.ReasonPurgePending, r.Find(r.v, &Wanted{Key: "k", Session: "visitor"}).Reason)
	s.heal()
	f := r.Find(r.v, &Wanted{Key: "k", Session: "visitor"})
	require.Equal(t, storage.SessionSpecial, kindOf(f))
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
	s.fail("mark", "forget")
	r.Mark(r.v, []string{"visitor"}, true)
	for i := 0; i < 1500; i++ {
		r.Mark(r.v, []string{fmt.Sprint("invented", i)}, true)
	}
	require.Equal(t, 1, r.v.Pending())
	s.heal()
	require.Equal(t, storage.SessionSpecial, kindOf(r.Find(r.v, &Wanted{Key: "k", Session: "visitor"})))
	require.Equal(t, storage.SessionDefault, kindOf(r.Find(r.v, &Wanted{Key: "k", Session: "another"})))
	require.Zero(t, r.v.Pending())

	s.fail("mark", "forget")
	for i := 0; i < 2100; i++ {
		r.Mark(r.v, []string{fmt.Sprint("also invented", i)}, true)
	}
	r.Mark(r.v, []string{"third"}, true)
	s.heal()
	for _, session := range []string{"another", "third"} {
		f := r.Find(r.v, &Wanted{Key: "k", Session: session})
		require.Equal(t, storage.SessionUnknown, kindOf(f))
		require.NotNil(t, f.Entry, "what is stored is good")
	}
	require.Zero(t, r.v.Pending())
	require.Empty(t, s.written(), "nothing had to be purged")
}

// TestMarksOfBothKindsThatCannotBeWritten: each is written as what it was, and of one session
// the stronger.
func TestMarksOfBothKindsThatCannotBeWritten(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	r.o.SessionTTL, r.o.Sessions = 3600000, 100
	r.Failures(100)
	want := map[string]storage.SessionKind{"doubted": storage.SessionDoubted, "special": storage.SessionSpecial, "both": storage.SessionSpecial, "again": storage.SessionSpecial}
	for session := range want {
		r.NoteNewSession(r.v, session)
	}
	s.fail("mark")
	r.Mark(r.v, []string{"doubted", "both"}, false)
	r.Mark(r.v, []string{"special", "both", "again"}, true)
	r.Mark(r.v, []string{"again"}, false)
	s.heal()
	for session, kind := range want {
		require.Equal(t, kind, kindOf(r.Find(r.v, &Wanted{Key: "k", Session: session})), session)
	}
	require.Zero(t, r.v.Pending())
}

// TestAMarkIsTakenBack: a session that was marked is what it was before, unless it was marked
// again.
func TestAMarkIsTakenBack(t *testing.T) {
	r := newReplica(newScript(), forever)
	r.o.SessionTTL, r.o.Sessions = 3600000, 100
	gives := func(bit int) bool {
		return storage.GivesNobodys(r.Find(r.v, &Wanted{Key: "k", Session: "visitor"}).Score, bit, storage.NowMS())
	}
	visitor := []string{"visitor"}
	had, have := r.Mark(r.v, visitor, false)
	require.Equal(t, [][]int64{{0}, {0}}, [][]int64{had, have}, "nothing is known of it")
	r.NoteNewSession(r.v, "visitor")
	had, have = r.Mark(r.v, visitor, false)
	require.False(t, gives(3))
	r.Restore(r.v, "visitor", had[0], have[0])
	require.True(t, gives(3) && gives(4))

	_, have = r.Mark(r.v, visitor, false)
	r.Settle(r.v, "visitor", have[0], 3)
	had, have = r.Mark(r.v, visitor, false)
	require.False(t, gives(3))
	r.Restore(r.v, "visitor", had[0], have[0])
	require.True(t, gives(3))
	require.False(t, gives(4))

	had, have = r.Mark(r.v, visitor, false)
	r.Mark(r.v, visitor, false)
	r.Restore(r.v, "visitor", had[0], have[0])
	require.False(t, gives(3), "it was marked again")

	had, have = r.Mark(r.v, visitor, true)
	r.Restore(r.v, "visitor", had[0], have[0])
	require.Equal(t, storage.SessionSpecial, kindOf(r.Find(r.v, &Wanted{Key: "k", Session: "visitor"})))
}
