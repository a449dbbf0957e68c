package tier_test

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/redis"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/cache/tier"
)

// follower is a tier in a process of its own, as far as its sessions go.
type follower struct {
	t *testing.T
	*tier.Tier
	v *tier.Tenant
}

// newFollower returns one whose knowledge of changes counts for so long.
func newFollower(t *testing.T, port, tenant string, staleness time.Duration, most int) *follower {
	t.Helper()
	c := resp.New(resp.Options{Address: "127.0.0.1:" + port, Timeout: time.Second, DialTimeout: time.Second})
	tr := tier.New(redis.New(c, storagetest.MaxMarks), tier.Options{
		MemoryBytes: 1 << 20, MaxStaleness: staleness.Milliseconds(), Journal: 100, Failures: 100, MinPause: 50, MaxPause: 100,
		SessionTTL: 3600_000, Sessions: most, Log: func(message string) { t.Log(message) },
	})
	t.Cleanup(tr.Close)
	return &follower{t: t, Tier: tr, v: tr.Tenant(tenant)}
}

// ask reports whether a session may be given nobody's pages, as KnownSession says.
func (f *follower) ask(session string) (is bool, k *purges.Known) {
	f.t.Helper()
	k, is, late := tier.KnownSession(f.Tier, f.v, session, 0)
	require.False(f.t, late)
	return is, k
}

// counts reports whether what was found out of a session still counts, without asking.
func counts(k *purges.Known) bool {
	return purges.Counts(k, int64(time.Since(storage.Started)))
}

// TestASessionIsAskedForOnce: what is known of a session makes no exchange of its own, is
// current within MaxStaleness for what passes elsewhere, and at once for what passes here.
func TestASessionIsAskedForOnce(t *testing.T) {
	server := storagetest.StartRedis(t)
	tenant := storagetest.Tenant()
	const staleness = 300 * time.Millisecond
	a, b := newFollower(t, server, tenant, staleness, 100), newFollower(t, server, tenant, time.Hour, 100)
	for _, session := range []string{"one", "two"} {
		a.NoteNewSession(a.v, session)
	}
	is, one := a.ask("one")
	require.True(t, is)
	require.True(t, counts(one))
	is, two := b.ask("two")
	require.True(t, is)
	is, unknown := b.ask("unknown")
	require.False(t, is)
	require.Nil(t, unknown)

	before := a.Remote().Stats()
	for i := 0; i < 20; i++ {
		is, k := a.ask("one")
		require.True(t, is)
		require.Same(t, one, k)
	}
	after := a.Remote().Stats()
	require.LessOrEqual(t, after.Reuses-before.Reuses, int64(1), "it was not asked for again")

	b.Mark(b.v, []string{"one", "two"}, true)
	require.False(t, counts(two), "this process has marked it")
	is, _ = b.ask("two")
	require.False(t, is)
	require.Eventually(t, func() bool { return !counts(one) }, 2*staleness, time.Millisecond, "it does not count for longer than that")
	is, _ = a.ask("one")
	require.False(t, is, "another has marked it")
}

// TestMarkWhileASessionIsAskedFor: the answer that was on its way does not count.
func TestMarkWhileASessionIsAskedFor(t *testing.T) {
	s := purges.NewSessions(100, 3600_000)
	at := storage.Head{Epoch: 7, Seq: 3}
	_, turn := s.Position()
	require.Nil(t, s.Expect("before", 1), "no change is known")
	require.True(t, s.Learn(&storage.Changes{At: at, Whole: true}, turn, storage.Ticks()))
	now := func() int64 { return int64(time.Since(storage.Started)) }
	score := storage.SessionScore(storage.NowMS()+3600_000, storage.ScoreDefault)
	for name, change := range map[string]func(){
		"here": func() { s.Forget([]string{"visitor"}) },
		"elsewhere": func() {
			s.Learn(&storage.Changes{At: storage.Head{Epoch: 7, Seq: 4}, Sessions: []string{"visitor"}}, turn, storage.Ticks())
		},
		"of all":       func() { s.Learn(&storage.Changes{At: at, Whole: true}, turn, storage.Ticks()) },
		"more than is": func() { s.ForgetAll() },
	} {
		k := s.Expect("visitor", now())
		require.NotNil(t, k, name)
		change()
		purges.Found(k, score)
		require.False(t, counts(k), name)
		require.Nil(t, s.Recall("visitor", now()), name)
		_, turn = s.Position()
		require.True(t, s.Learn(&storage.Changes{At: at, Whole: true}, turn, storage.Ticks()))
	}
	k := s.Expect("visitor", now())
	require.Nil(t, s.Expect("visitor", now()), "two ask at one time: one remembers")
	purges.Found(k, score)
	require.True(t, counts(k))
	s.ForgetAll()
	require.False(t, s.Learn(&storage.Changes{At: at}, turn, storage.Ticks()), "asked for before all was forgotten")
	require.False(t, counts(k))
}

// TestEvidenceOfASessionThatIsRemembered: what is found out in favour of a session counts with its
// next request, in any process. One that is in doubt for some rules is remembered for the
// others, until it is marked.
func TestEvidenceOfASessionThatIsRemembered(t *testing.T) {
	server := storagetest.StartRedis(t)
	tenant := storagetest.Tenant()
	a, b := newFollower(t, server, tenant, time.Hour, 100), newFollower(t, server, tenant, 30*time.Millisecond, 100)
	gives := func(f *follower, bit int) bool {
		_, gives, late := tier.KnownSession(f.Tier, f.v, "visitor", bit)
		require.False(t, late)
		return gives
	}
	a.NoteNewSession(a.v, "other") // the sessions are begun
	score := a.NoteBeginning(a.v, "visitor")
	require.NotZero(t, score)
	for _, f := range []*follower{a, b} {
		require.False(t, gives(f, 1), "nothing was found out")
	}
	a.Settle(a.v, "visitor", score, 1)
	for _, f := range []*follower{a, b} {
		require.True(t, gives(f, 1))
		require.False(t, gives(f, 2))
	}
	settled := b.Find(b.v, &tier.Wanted{Key: "k", Session: "visitor"}).Score
	b.Settle(b.v, "visitor", settled, 2)
	for _, f := range []*follower{a, b} {
		require.True(t, gives(f, 1))
		require.True(t, gives(f, 2))
	}
	a.Mark(a.v, []string{"visitor"}, false)
	require.False(t, gives(a, 1))
	require.Eventually(t, func() bool { return !gives(b, 1) }, 10*time.Second, time.Millisecond)
	require.False(t, gives(b, 2))
	a.Settle(a.v, "visitor", a.Find(a.v, &tier.Wanted{Key: "k", Session: "visitor"}).Score, storage.AllRules)
	for _, f := range []*follower{a, b} {
		require.True(t, gives(f, 3))
	}
}

// TestRememberedSessionsAreBounded: those that were asked for longest ago go, and count no more.
func TestRememberedSessionsAreBounded(t *testing.T) {
	const most = 10
	s := purges.NewSessions(most, 3600_000)
	_, turn := s.Position()
	require.True(t, s.Learn(&storage.Changes{At: storage.Head{Epoch: 7}, Whole: true}, turn, storage.Ticks()))
	var list []*purges.Known
	for i := 0; i < 100; i++ {
		k := s.Expect(fmt.Sprint(i), 1)
		purges.Found(k, storage.SessionScore(storage.NowMS()+3600_000, storage.ScoreDefault))
		require.True(t, counts(k))
		list = append(list, k)
		require.LessOrEqual(t, s.Len(), most)
		alive := 0
		for _, k := range list {
			if counts(k) {
				alive++
			}
		}
		require.Equal(t, s.Len(), alive, "what is forgotten does not count, whoever has it")
	}
	require.Greater(t, s.Len(), most/2-1)
	k := s.Expect("expires", 1)
	purges.Found(k, storage.SessionScore(storage.NowMS()+20, storage.ScoreDefault))
	require.Eventually(t, func() bool { return !counts(k) }, 5*time.Second, time.Millisecond, "the storage knows it no longer")
}

// TestSessionsOfALostState: where Redis has lost what it knew, what is remembered does not
// outlive MaxStaleness, or the connections.
func TestSessionsOfALostState(t *testing.T) {
	port := storagetest.StartRedis(t)
	const staleness = 50 * time.Millisecond
	for name, lose := range map[string]func(t *testing.T, f *follower, tenant string){
		"flushed": func(t *testing.T, _ *follower, _ string) { storagetest.CLI(t, port, nil, "FLUSHALL") },
		"forgotten": func(t *testing.T, f *follower, tenant string) {
			require.NoError(t, storagetest.OpenRedis(t, port).Forget(tenant))
		},
		"changes evicted": func(t *testing.T, _ *follower, tenant string) {
			storagetest.CLI(t, port, nil, "DEL", "oc:{"+tenant+"}:changes")
		},
		"many changes": func(t *testing.T, f *follower, tenant string) {
			s := storagetest.OpenRedis(t, port)
			for i := 0; i < 1100; i++ {
				require.NoError(t, s.NoteDefault(tenant, fmt.Sprint(i), 3600_000, 1_000_000))
				_, err := s.Mark(tenant, []string{fmt.Sprint(i)}, true, storage.NowMS()+3600_000)
				require.NoError(t, err)
			}
		},
		"another run": func(t *testing.T, _ *follower, tenant string) {
			storagetest.CLI(t, port, nil, "SET", "oc:{"+tenant+"}:run", "another")
			storagetest.CLI(t, port, nil, "CLIENT", "KILL", "TYPE", "normal")
		},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := storagetest.Tenant()
			f := newFollower(t, port, tenant, staleness, 100)
			f.NoteNewSession(f.v, "visitor")
			is, k := f.ask("visitor")
			require.True(t, is)
			lose(t, f, tenant)
			time.Sleep(staleness + 20*time.Millisecond)
			require.False(t, counts(k))
			is, again := f.ask("visitor")
			require.NotSame(t, k, again)
			require.False(t, counts(k), "it is never licensed again")
			require.Equal(t, name == "many changes", is)
			if is {
				require.True(t, counts(again))
			}
		})
	}
}

// TestManyAskForChangesAtOnce: while one reads them the others wait for that.
func TestManyAskForChangesAtOnce(t *testing.T) {
	server := storagetest.StartRedis(t)
	tenant := storagetest.Tenant()
	f := newFollower(t, server, tenant, 20*time.Millisecond, 100)
	f.NoteNewSession(f.v, "visitor")
	is, _ := f.ask("visitor")
	require.True(t, is)
	read := func() int {
		stats := storagetest.CLI(t, server, nil, "INFO", "commandstats")
		calls := regexp.MustCompile(`cmdstat_zrangebyscore:calls=(\d+),`).FindStringSubmatch(stats)
		require.NotNil(t, calls)
		n, err := strconv.Atoi(calls[1])
		require.NoError(t, err)
		return n
	}
	for round := 0; round < 5; round++ {
		time.Sleep(30 * time.Millisecond)
		before := read()
		var wg sync.WaitGroup
		for i := 0; i < 16; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, is, late := tier.KnownSession(f.Tier, f.v, "visitor", 0)
				if !is || late {
					t.Error("it is known")
				}
			}()
		}
		wg.Wait()
		require.Contains(t, []int{1, 2}, read()-before, "one for all, or two if that took long")
	}
}

// TestAMarkThatWaitsIsKnownHere: one that cannot be written yet counts in this process.
func TestAMarkThatWaitsIsKnownHere(t *testing.T) {
	port := storagetest.StartRedis(t)
	tenant := storagetest.Tenant()
	f := newFollower(t, port, tenant, time.Hour, 100)
	f.NoteNewSession(f.v, "visitor")
	is, k := f.ask("visitor")
	require.True(t, is)
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "maxmemory", "1") // reads go on
	f.Mark(f.v, []string{"visitor"}, false)
	require.Equal(t, 1, f.v.Pending())
	require.False(t, counts(k))
	is, _ = f.ask("visitor")
	require.False(t, is)
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "maxmemory", "0")
	require.Eventually(t, func() bool { return f.v.Pending() == 0 }, 10*time.Second, 10*time.Millisecond)
	is, _ = f.ask("visitor")
	require.False(t, is)
	require.False(t, counts(k))
}
