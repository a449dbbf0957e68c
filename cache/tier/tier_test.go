package tier

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/keys"
)

// script is a Storage whose answers a test can replace or hold back.
type script struct {
	storage.Storage
	calls atomic.Int64

	mu     sync.Mutex
	log    []string
	before map[string]func(n int) error // by method; n counts its calls from 1
	after  map[string]func(n int)
	counts map[string]int
	purges []storage.Purge
	closed bool
}

func newScript() *script {
	return &script{
		Storage: memory.New(1<<20, 100), counts: map[string]int{},
		before: map[string]func(int) error{}, after: map[string]func(int){},
	}
}

// on makes f run before each call of a method; its error is the answer.
func (s *script) on(method string, f func(n int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before[method] = f
	s.counts[method] = 0
}

// then makes f run after the storage has answered, before the caller knows.
func (s *script) then(method string, f func(n int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after[method] = f
	s.counts[method] = 0
}

func (s *script) fail(methods ...string) {
	for _, m := range methods {
		s.on(m, func(int) error { return fmt.Errorf("%w: scripted", storage.ErrUnavailable) })
	}
}

func (s *script) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = map[string]func(int) error{}
}

func (s *script) enter(method string) (after func(), err error) {
	s.calls.Add(1)
	s.mu.Lock()
	s.log = append(s.log, method)
	s.counts[method]++
	n, f, g := s.counts[method], s.before[method], s.after[method]
	s.mu.Unlock()
	if f != nil {
		if err := f(n); err != nil {
			return nil, err
		}
	}
	return func() {
		if g != nil {
			g(n)
		}
	}, nil
}

func (s *script) count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, m := range s.log {
		if m == method {
			n++
		}
	}
	return n
}

// Find counts as a lookup, or as a visit where a session is asked for.
func (s *script) Find(tenant string, q *storage.Query) (*storage.Answer, error) {
	method := "lookup"
	if q.Session != "" {
		method = "visit"
	}
	after, err := s.enter(method)
	if err != nil {
		return &storage.Answer{}, err
	}
	defer after()
	return s.Storage.Find(tenant, q)
}

func (s *script) Store(tenant, id string, e *storage.Entry, ttl int64) error {
	after, err := s.enter("store")
	if err != nil {
		return err
	}
	defer after()
	return s.Storage.Store(tenant, id, e, ttl)
}

func (s *script) Remove(tenant string, ids []string) error {
	after, err := s.enter("remove")
	if err != nil {
		return err
	}
	defer after()
	return s.Storage.Remove(tenant, ids)
}

func (s *script) Head(tenant string) (storage.Head, error) {
	after, err := s.enter("head")
	if err != nil {
		return storage.Head{}, err
	}
	defer after()
	return s.Storage.Head(tenant)
}

func (s *script) Marks(tenant string, since storage.Head) (storage.Delta, error) {
	after, err := s.enter("marks")
	if err != nil {
		return storage.Delta{}, err
	}
	defer after()
	return s.Storage.Marks(tenant, since)
}

func (s *script) Purge(tenant string, p storage.Purge) (storage.Head, error) {
	after, err := s.enter("purge")
	if err != nil {
		return storage.Head{}, err
	}
	defer after()
	s.mu.Lock()
	s.purges = append(s.purges, p)
	s.mu.Unlock()
	return s.Storage.Purge(tenant, p)
}

func (s *script) Reset(tenant string) (storage.Head, error) {
	after, err := s.enter("reset")
	if err != nil {
		return storage.Head{}, err
	}
	defer after()
	return s.Storage.Reset(tenant)
}

func (s *script) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// written returns the purges that reached the storage.
func (s *script) written() []storage.Purge {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]storage.Purge{}, s.purges...)
}

// rewind takes a tenant's state back to an earlier purge, as a server that was restored from a
// snapshot does.
func (s *script) rewind(tenant string, seq int64) {
	s.Storage.(*memory.Memory).Rewind(tenant, seq)
}

// lose drops a tenant's state, as eviction does.
func (s *script) lose(tenant string) {
	_, _ = s.Storage.(*memory.Memory).Reset(tenant)
}

// replica is a tr on a storage, with a tenant's view.
type replica struct {
	*Tier
	v   *Tenant
	mu  sync.Mutex
	out []string
}

// forever is a maxStaleness that never ends within a test.
const forever = int64(3600_000)

func newReplica(s storage.Storage, staleness int64) *replica {
	r := &replica{}
	r.Tier = New(s, Options{
		MemoryBytes: 1 << 20, MaxStaleness: staleness, Journal: 3, Failures: 3, MinPause: forever, MaxPause: forever,
		Log: func(message string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.out = append(r.out, message)
		},
	})
	r.v = r.Tenant("t")
	return r
}

func (r *replica) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.out, "\n")
}

func page(key string, head storage.Head, tags ...string) *storage.Entry {
	return &storage.Entry{
		Tenant: "t", Key: key, Host: "shop.example", Path: "/blog/1", Epoch: head.Epoch, Seq: head.Seq, Tags: tags,
		Life: policy.Life{Born: storage.NowMS(), TTL: 60000, Grace: 60000}, Status: 200, Body: []byte("body"),
	}
}

// ask looks a page up that is not there.
func (r *replica) ask(t *testing.T, key string) storage.Head {
	t.Helper()
	f := r.Lookup(r.v, key)
	require.Nil(t, f.Entry)
	require.NotZero(t, f.Head, f.Reason)
	return f.Head
}

// put stores a page whose origin was asked now.
func (r *replica) put(t *testing.T, key string, tags ...string) *storage.Entry {
	t.Helper()
	e := page(key, r.ask(t, key), tags...)
	require.Empty(t, r.Store(r.v, e))
	require.NotNil(t, r.Lookup(r.v, key).Entry, "the second that asks brings it into the memory tier")
	return e
}

func (r *replica) purge(t *testing.T, members ...string) storage.Head {
	t.Helper()
	h, err := r.Purge(r.v, storage.Purge{Members: members})
	require.NoError(t, err)
	return h
}

// What a purge does to a page, by when the page's
// origin was asked.
func TestPurgeOrder(t *testing.T) {
	var many []string
	for i := 0; i < 150; i++ {
		many = append(many, storage.TagMark(fmt.Sprint(i), false))
	}
	var blogs []string
	for i := 0; i <= purges.MaxPrefixes; i++ {
		blogs = append(blogs, storage.PrefixMark(fmt.Sprintf("/other%d/", i), true))
	}
	const gone, softly, stays = "gone", "soft", "stays"
	for _, c := range []struct {
		name  string
		purge storage.Purge
		want  string
	}{
		{"its tag", storage.Purge{Members: []string{storage.TagMark("x", false)}}, gone},
		{"one of its tags", storage.Purge{Members: []string{storage.TagMark("0", false), storage.TagMark("y", false)}}, gone},
		{"another tag", storage.Purge{Members: []string{storage.TagMark("z", false)}}, stays},
		{"nothing", storage.Purge{}, stays},
		{"its tag, softly", storage.Purge{Soft: true, Members: []string{storage.TagMark("x", true)}}, softly},
		{"softly and hard", storage.Purge{Members: []string{storage.TagMark("x", true), storage.TagMark("y", false)}}, gone},
		{"a prefix", storage.Purge{Members: []string{storage.PrefixMark("/blog/", false)}}, gone},
		{"a prefix of its host", storage.Purge{Members: []string{storage.PrefixMark("shop.example/blog/", false)}}, gone},
		{"a prefix, softly", storage.Purge{Soft: true, Members: []string{storage.PrefixMark("/blog/", true)}}, softly},
		{"a soft prefix and a hard one", storage.Purge{Members: []string{storage.PrefixMark("/", true), storage.PrefixMark("/blog", false)}}, gone},
		{"a prefix of another host", storage.Purge{Members: []string{storage.PrefixMark("other.example/blog/", false)}}, stays},
		{"another prefix", storage.Purge{Members: []string{storage.PrefixMark("/blog/2", false)}}, stays},
		{"everything", storage.Purge{All: true}, gone},
		{"so much that it is trimmed", storage.Purge{Members: many}, gone},
		{"more prefixes than a view walks", storage.Purge{Soft: true, Members: blogs}, gone},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, from := range []string{"own memory", "own storage", "other storage", "other memory, asked again"} {
				t.Run(from, func(t *testing.T) {
					s := newScript()
					a, b := newReplica(s, forever), newReplica(s, 0)
					a.put(t, "before", "x", "y")
					b.Lookup(b.v, "before") // now in its memory, too
					rendering := page("rendering", a.ask(t, "rendering"), "x", "y")
					_, err := a.Tier.Purge(a.v, c.purge)
					require.NoError(t, err)
					reason := a.Store(a.v, rendering)
					after := a.put(t, "after", "x", "y")

					r := a
					if strings.HasPrefix(from, "other") {
						r = b
					}
					if strings.HasSuffix(from, "storage") {
						r.memory = memory.NewSieve(1 << 20)
					}
					f := r.Lookup(r.v, "before")
					switch c.want {
					case gone:
						require.Nil(t, f.Entry)
						require.Equal(t, policy.ReasonPurged, f.Reason)
						require.Equal(t, policy.ReasonPurged, reason, "it was being rendered: not stored")
						require.Nil(t, r.Lookup(r.v, "rendering").Entry)
					case softly:
						require.NotNil(t, f.Entry)
						require.True(t, f.Soft)
						require.Empty(t, reason, "it is stored")
						require.True(t, r.Lookup(r.v, "rendering").Soft, "but not as fresh")
					case stays:
						require.NotNil(t, f.Entry)
						require.False(t, f.Soft)
						require.Empty(t, reason)
						require.NotNil(t, r.Lookup(r.v, "rendering").Entry)
					}
					f = r.Lookup(r.v, "after")
					require.Equal(t, after, f.Entry, "asked after the purge")
					require.False(t, f.Soft)
				})
			}
		})
	}
}

// A response that was stored by a process that had not heard of the purge.
func TestPurgeFindsWhatWasStoredLate(t *testing.T) {
	s := newScript()
	a, b := newReplica(s, forever), newReplica(s, forever)
	rendering := page("k", b.ask(t, "k"), "x")
	a.purge(t, storage.TagMark("x", false))
	require.Empty(t, b.Store(b.v, rendering), "b does not know")
	f := a.Lookup(a.v, "k")
	require.Nil(t, f.Entry)
	require.Equal(t, policy.ReasonPurged, f.Reason)
}

func TestMemoryTierStaleness(t *testing.T) {
	t.Run("within maxStaleness the storage is not asked", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.put(t, "k", "x")
		n := s.calls.Load()
		f := r.Lookup(r.v, "k")
		require.True(t, f.Memory)
		require.Equal(t, n, s.calls.Load())
	})
	t.Run("beyond it the state is asked for", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, 1000)
		r.put(t, "k", "x")
		time.Sleep(20 * time.Millisecond)
		r.o.MaxStaleness = 10
		f := r.Lookup(r.v, "k")
		require.True(t, f.Memory)
		require.Equal(t, 1, s.count("head"))
		r.o.MaxStaleness = 10_000
		require.True(t, r.Lookup(r.v, "k").Memory)
		require.Equal(t, 1, s.count("head"), "it is current again")
	})
	t.Run("if the state cannot be had there is no answer", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, 0)
		r.put(t, "k", "x")
		s.fail("head")
		f := r.Lookup(r.v, "k")
		require.Nil(t, f.Entry)
		require.Equal(t, policy.ReasonStoreError, f.Reason)
		require.Zero(t, f.Head, "and what the origin says is not stored")
		for i := 0; i < 3; i++ {
			f = r.Lookup(r.v, "k")
		}
		require.Nil(t, f.Entry)
		require.Equal(t, policy.ReasonBreakerOpen, f.Reason)
	})
	t.Run("a purge of another replica", func(t *testing.T) {
		s := newScript()
		a, b := newReplica(s, forever), newReplica(s, forever)
		a.put(t, "k", "x")
		b.purge(t, storage.TagMark("x", false))
		require.NotNil(t, a.Lookup(a.v, "k").Entry, "not known yet")
		a.o.MaxStaleness = 0
		require.Nil(t, a.Lookup(a.v, "k").Entry)
	})
	t.Run("time that only goes forward", func(t *testing.T) {
		require.InDelta(t, storage.NowMS(), storage.Ticks(), 60_000)
		a := storage.Ticks()
		require.Eventually(t, func() bool { return storage.Ticks() > a }, time.Second, time.Millisecond)
	})
}

func TestStateLostOrBack(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *script, seq int64)
		back bool
	}{
		{"evicted", func(s *script, _ int64) { s.lose("t") }, false},
		{"begun anew by another", func(s *script, _ int64) { _, _ = s.Storage.Reset("t") }, false},
		{"gone back", func(s *script, seq int64) { s.rewind("t", seq-2) }, true},
		{"gone back and on again, but not so far", func(s *script, seq int64) {
			s.rewind("t", seq-2)
			_, _ = s.Storage.Purge("t", storage.Purge{})
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, found := range []struct {
				name string
				by   func(t *testing.T, r *replica)
			}{
				{"lookup", func(t *testing.T, r *replica) { r.ask(t, "other") }},
				{"lookup in memory", func(t *testing.T, r *replica) { r.o.MaxStaleness = 0 }},
				{"purge", func(t *testing.T, r *replica) { r.purge(t, storage.TagMark("z", false)) }},
			} {
				t.Run(found.name, func(t *testing.T) {
					s := newScript()
					r := newReplica(s, forever)
					r.put(t, "old", "x")
					for i := 0; i < 5; i++ {
						r.purge(t, storage.TagMark("y", false))
					}
					r.put(t, "new", "x")
					before := r.v.Head()
					c.do(s, before.Seq)
					found.by(t, r)
					for _, key := range []string{"old", "new"} {
						require.Nil(t, r.Lookup(r.v, key).Entry, "%s: what is lost counts as purged", key)
					}
					require.NotEqual(t, before.Epoch, r.v.Head().Epoch)
					require.Equal(t, c.back, s.count("reset") > 0)
					require.Equal(t, c.back, strings.Contains(r.logged(), "went back"))
					e := r.put(t, "new", "x")
					require.Equal(t, e, r.Lookup(r.v, "new").Entry)
				})
			}
		})
	}
}

// vanishing has lost a tenant's purge state when its marks are asked for, left times.
type vanishing struct {
	storage.Storage
	left, asked int
}

func (s *vanishing) Marks(tenant string, since storage.Head) (storage.Delta, error) {
	s.asked++
	if s.left--; s.left >= 0 {
		return storage.Delta{}, nil
	}
	return s.Storage.Marks(tenant, since)
}

// Another process takes the state away that this one has just begun: the storage
// answers, so it is not given up.
func TestStateTakenAwayAtOnce(t *testing.T) {
	t.Run("for a moment", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.store = &vanishing{Storage: s, left: beginTries} // one by who finds out
		e := r.put(t, "k", "x")
		require.Equal(t, e, r.Lookup(r.v, "k").Entry)
		require.Empty(t, r.logged())
	})
	t.Run("each time", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		gone := &vanishing{Storage: s, left: 1000}
		r.store = gone
		for i := 0; i < 10; i++ { // more than the breaker stands
			f := r.Lookup(r.v, "k")
			require.Nil(t, f.Entry)
			require.Equal(t, policy.ReasonStoreError, f.Reason)
		}
		require.False(t, r.v.Open())
		require.Equal(t, 10*(1+beginTries), gone.asked)
		gone.left = 0
		e := r.put(t, "k", "x")
		require.Equal(t, e, r.Lookup(r.v, "k").Entry)
	})
}

// The state goes back, and purges of others bring it where it was before this
// process purges: its own purge gets a number that it has already seen.
func TestOwnPurgeFindsThatStateWentBack(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	for i := 0; i < 5; i++ {
		r.purge(t)
	}
	r.put(t, "k", "x")
	before := r.v.Head()
	s.rewind("t", before.Seq-2)
	s.then("purge", func(n int) { // others pass before the answer is read
		if n == 1 {
			for i := 0; i < 5; i++ {
				_, _ = s.Storage.Purge("t", storage.Purge{})
			}
		}
	})
	r.purge(t, storage.TagMark("x", false))
	require.Nil(t, r.Lookup(r.v, "k").Entry)
	require.NotEqual(t, before.Epoch, r.v.Head().Epoch)
}

// A lookup whose answer comes after purges of the same process have been
// acknowledged: its position is older than the view, and that is harmless.
func TestOlderPositionIsNoLoss(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	r.put(t, "k", "x")
	r.memory = nil
	s.then("lookup", func(n int) {
		if n == 1 {
			r.purge(t, storage.TagMark("y", false))
			r.purge(t, storage.TagMark("y", false))
		}
	})
	require.NotNil(t, r.Lookup(r.v, "k").Entry)
	require.Zero(t, s.count("reset"))
	s.then("lookup", func(n int) {
		if n == 1 {
			r.purge(t, storage.TagMark("x", false))
		}
	})
	require.Nil(t, r.Lookup(r.v, "k").Entry, "it was purged on the way")
	require.Zero(t, s.count("reset"))
}

// The answer to a lookup from before a purge comes after it; the view that the
// purge could not bring up to date must not be trusted for it.
func TestLateAnswerDoesNotMakeCurrent(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	r.put(t, "k", "x")
	s.then("lookup", func(n int) {
		if n > 1 {
			return
		}
		s.fail("marks")
		_, err := r.Tier.Purge(r.v, storage.Purge{Members: []string{storage.TagMark("x", false)}})
		assert.NoError(t, err, "the mark is written")
		s.heal()
	})
	require.Nil(t, r.Lookup(r.v, "other").Entry)
	require.Nil(t, r.Lookup(r.v, "k").Entry)
}

// All of what a view does while two goroutines pull: the one that asked first
// gets its answer last.
func TestConcurrentPulls(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	r.put(t, "k", "x")
	_, err := s.Storage.Reset("t")
	require.NoError(t, err)
	answered, proceed := make(chan bool), make(chan bool)
	s.then("marks", func(n int) {
		if n == 1 {
			close(answered)
			<-proceed
		}
	})
	done := make(chan *Found)
	go func() { done <- r.Lookup(r.v, "slow") }()
	<-answered
	e := page("k", r.ask(t, "k2"), "x")
	require.Empty(t, r.Store(r.v, e))
	r.purge(t, storage.TagMark("x", false))
	at := r.v.Head()
	close(proceed)
	<-done
	require.Equal(t, at, r.v.Head(), "the view never goes back")
	require.Nil(t, r.Lookup(r.v, "k").Entry)
}

func TestJournal(t *testing.T) {
	members := func(i int) storage.Purge {
		return storage.Purge{Members: []string{storage.TagMark(fmt.Sprint(i), false)}}
	}
	t.Run("kept, and replayed in order before a lookup", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.Failures(100)
		r.put(t, "k", "2")
		s.fail("purge")
		for i := 1; i <= 3; i++ {
			_, err := r.Tier.Purge(r.v, members(i))
			require.ErrorIs(t, err, storage.ErrUnavailable)
		}
		require.Equal(t, 3, r.v.Pending())
		f := r.Lookup(r.v, "k")
		require.Nil(t, f.Entry, "its memory is not trusted")
		require.Equal(t, policy.ReasonPurgePending, f.Reason)
		require.Zero(t, f.Head)
		s.heal()
		f = r.Lookup(r.v, "k")
		require.Nil(t, f.Entry)
		require.Equal(t, policy.ReasonPurged, f.Reason)
		require.Zero(t, r.v.Pending())
		require.Equal(t, []storage.Purge{members(1), members(2), members(3)}, s.written())
		require.Equal(t, r.v.Head(), f.Head)
	})
	t.Run("a purge waits behind those before it", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.Failures(100)
		s.fail("purge")
		_, err := r.Tier.Purge(r.v, members(1))
		require.Error(t, err)
		s.on("purge", func(n int) error {
			if n == 2 {
				return storage.ErrUnavailable
			}
			return nil
		})
		_, err = r.Tier.Purge(r.v, members(2))
		require.Error(t, err)
		_, err = r.Tier.Purge(r.v, members(3))
		require.NoError(t, err)
		require.Equal(t, []storage.Purge{members(1), members(2), members(3)}, s.written())
	})
	t.Run("overflow becomes a purge of everything", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.Failures(100)
		r.put(t, "k", "unrelated")
		s.fail("purge")
		for i := 1; i <= 9; i++ {
			_, err := r.Tier.Purge(r.v, members(i))
			require.Error(t, err)
			require.LessOrEqual(t, r.v.Pending(), 3)
		}
		require.Contains(t, r.logged(), "purge of everything")
		s.heal()
		require.Nil(t, r.Lookup(r.v, "k").Entry)
		written := s.written()
		require.Equal(t, members(1), written[0])
		require.Contains(t, written, storage.Purge{All: true})
		require.Zero(t, r.v.Pending())
	})
	t.Run("overflow while the first is being written", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.Failures(100)
		s.fail("purge")
		for i := 1; i <= 3; i++ {
			_, err := r.Tier.Purge(r.v, members(i))
			require.Error(t, err)
		}
		writing, proceed := make(chan bool), make(chan bool)
		s.on("purge", func(n int) error {
			if n == 1 {
				close(writing)
				<-proceed
			}
			return nil
		})
		done := make(chan *Found)
		go func() { done <- r.Lookup(r.v, "k") }()
		<-writing
		f := r.Lookup(r.v, "k2")
		require.Equal(t, policy.ReasonPurgePending, f.Reason, "nobody waits for the replay of another")
		_, err := r.Tier.Purge(r.v, members(4))
		require.ErrorIs(t, err, storage.ErrUnavailable)
		close(proceed)
		<-done
		require.Zero(t, r.v.Pending())
		require.Equal(t, []storage.Purge{members(1), {All: true}}, s.written())
	})
	t.Run("retried without requests", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.Failures(100)
		s.fail("purge")
		_, err := r.Tier.Purge(r.v, members(1))
		require.Error(t, err)
		require.Eventually(t, func() bool { return s.count("purge") > 1 }, 10*time.Second, 10*time.Millisecond)
		s.heal()
		require.Eventually(t, func() bool { return r.v.Pending() == 0 }, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, []storage.Purge{members(1)}, s.written())
	})
	t.Run("a panic while it is replayed", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.Failures(100)
		s.fail("purge")
		_, err := r.Tier.Purge(r.v, members(1))
		require.Error(t, err)
		s.on("purge", func(n int) error { panic("scripted") })
		require.Panics(t, func() { r.Lookup(r.v, "k") })
		s.heal()
		require.Empty(t, r.Lookup(r.v, "k").Reason, "no lock was left behind")
		require.Equal(t, []storage.Purge{members(1)}, s.written())
	})
	t.Run("given up when the tr is closed", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		r.Failures(100)
		s.fail("purge")
		_, err := r.Tier.Purge(r.v, members(1))
		require.Error(t, err)
		r.Close()
		require.True(t, s.closed)
		require.Eventually(t, func() bool { return !r.v.purges.Retries() }, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, 1, s.count("purge"))
	})
	t.Run("while the breaker is open", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		s.fail("purge")
		for i := 1; i <= 3; i++ {
			_, err := r.Tier.Purge(r.v, members(i))
			require.Error(t, err)
		}
		require.True(t, r.Open())
		n := s.calls.Load()
		require.Equal(t, policy.ReasonPurgePending, r.Lookup(r.v, "k").Reason)
		_, err := r.Tier.Purge(r.v, members(4))
		require.ErrorIs(t, err, storage.ErrUnavailable)
		require.Equal(t, n, s.calls.Load(), "nothing is sent")
	})
}

// Failures sets the breaker's threshold.
func (r *replica) Failures(n int) { r.breaker.threshold = n }

func TestTierStore(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(e *storage.Entry)
		script func(s *script)
		want   string
		asks   bool
	}{
		{"well", func(*storage.Entry) {}, nil, "", true},
		{"without a position", func(e *storage.Entry) { e.Epoch, e.Seq = 0, 0 }, nil, policy.ReasonStoreError, false},
		{"of another state", func(e *storage.Entry) { e.Epoch++ }, nil, policy.ReasonPurged, false},
		{"from the future of the state", func(e *storage.Entry) { e.Seq++ }, nil, policy.ReasonPurged, false},
		{"over", func(e *storage.Entry) { e.Life.Born -= 120_000 }, nil, policy.ReasonExpired, false},
		{"too large", func(e *storage.Entry) {}, func(s *script) { s.on("store", func(int) error { return storage.ErrTooLarge }) }, policy.ReasonTooLarge, true},
		{"not encodable", func(e *storage.Entry) {}, func(s *script) {
			s.on("store", func(int) error { return fmt.Errorf("%w: a value has a line break", storage.ErrCorrupt) })
		}, policy.ReasonStoreCorrupt, true},
		{"storage fails", func(e *storage.Entry) {}, func(s *script) { s.fail("store") }, policy.ReasonStoreError, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript()
			r := newReplica(s, forever)
			e := page("k", r.ask(t, "k"), "x")
			c.change(e)
			if c.script != nil {
				c.script(s)
			}
			require.Equal(t, c.want, r.Store(r.v, e))
			require.Equal(t, c.asks, s.count("store") == 1)
			require.Equal(t, c.want == "", r.Lookup(r.v, "k").Entry != nil)
			if c.want != policy.ReasonStoreError {
				for i := 0; i < 5; i++ {
					r.Store(r.v, e)
				}
				require.False(t, r.Open(), "that is no failure of the storage")
			}
		})
	}
	t.Run("breaker open", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		e := page("k", r.ask(t, "k"), "x")
		s.fail("store")
		for i := 0; i < 3; i++ {
			require.Equal(t, policy.ReasonStoreError, r.Store(r.v, e))
		}
		require.Equal(t, policy.ReasonBreakerOpen, r.Store(r.v, e))
		require.Equal(t, 3, s.count("store"))
	})
	t.Run("refused", func(t *testing.T) {
		s := newScript()
		r := newReplica(s, forever)
		e := page("k", r.ask(t, "k"), "x")
		s.on("store", func(int) error { return fmt.Errorf("%w: %w: OOM", storage.ErrUnavailable, storage.ErrRefused) })
		for i := 0; i < 10; i++ {
			require.Equal(t, policy.ReasonStoreError, r.Store(r.v, e))
		}
		require.False(t, r.Open(), "what the storage holds can be read")
	})
}

func TestTierRemove(t *testing.T) {
	s := newScript()
	r := newReplica(s, forever)
	r.put(t, "a")
	r.put(t, "b")
	r.Tier.Remove(r.v, []string{"a"})
	require.Nil(t, r.Lookup(r.v, "a").Entry)
	require.NotNil(t, r.Lookup(r.v, "b").Entry)
	r.RemoveIDs(r.v, nil)
	require.Equal(t, 1, s.count("remove"))
	s.fail("remove")
	for i := 0; i < 5; i++ {
		r.RemoveIDs(r.v, []string{keys.ID("b")})
	}
	require.Equal(t, 4, s.count("remove"), "then the breaker is open")
}

func TestTierWithoutMemory(t *testing.T) {
	m := memory.New(1<<20, 100)
	r := newReplica(m, forever)
	r.memory = nil
	r.put(t, "k", "x")
	require.NotNil(t, r.Lookup(r.v, "k").Entry)
	require.False(t, r.Lookup(r.v, "k").Memory)
	r.purge(t, storage.TagMark("x", false))
	require.Nil(t, r.Lookup(r.v, "k").Entry)
	big := page("big", r.ask(t, "big"))
	big.Body = make([]byte, 1<<18)
	require.Equal(t, policy.ReasonTooLarge, r.Store(r.v, big))
	require.Same(t, r.Tenant("t"), r.v)
	require.NotSame(t, r.Tenant("u"), r.v)
}
