// Package storagetest is the suite that every storage.Storage must pass.
package storagetest

import (
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

// MaxMarks is the limit of marks with which the storages under test are opened.
const MaxMarks = 8

var tenants atomic.Int64

// Tenant returns a tenant that no other test uses.
func Tenant() string {
	return fmt.Sprintf("t%d", tenants.Add(1))
}

// Entry returns a page as the handler stores it, asked for at head.
func Entry(tenant, key string, head storage.Head, tags ...string) *storage.Entry {
	return &storage.Entry{
		Tenant: tenant, Key: key, Host: "shop.example", Path: "/shop",
		Epoch: head.Epoch, Seq: head.Seq, Tags: tags,
		Life:   policy.Life{Born: time.Now().UnixMilli(), TTL: 60000, Grace: 1000, Public: true},
		Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("body of " + key),
	}
}

// Lookup asks a storage for an entry.
func Lookup(s storage.Storage, tenant, id string) (*storage.Entry, storage.Head, error) {
	a, err := s.Find(tenant, &storage.Query{ID: id})
	return a.Entry, a.Head, err
}

// Visit asks a storage for an entry, unless id is empty, and for a session.
func Visit(s storage.Storage, tenant, id, session string) (*storage.Entry, storage.Head, storage.SessionKind, error) {
	a, err := s.Find(tenant, &storage.Query{ID: id, Session: session})
	return a.Entry, a.Head, storage.KindOfScore(a.Score, storage.NowMS()), err
}

// LookupOrLock asks a tr for an entry, and for its lock if it is not there.
func LookupOrLock(t *tier.Tier, n *tier.Tenant, key string, l *storage.Lock, ttl int64) (f *tier.Found, locked bool) {
	f = t.Find(n, &tier.Wanted{Key: key, Lock: l, LockTTL: ttl})
	locked = f.Locked
	f.Locked = false
	return f, locked
}

// Run tests a storage. open returns one that keeps MaxMarks marks of a tenant;
// where it opens something shared, several may be open at once.
func Run(t *testing.T, open func(t *testing.T) storage.Storage) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s storage.Storage, tenant string)
	}{
		{"nothing stored", nothing},
		{"store, replace, remove", entries},
		{"entries end with their ttl", ttl},
		{"tenants are apart", apart},
		{"purges take numbers", numbers},
		{"marks since a position", deltas},
		{"marks of another state are given whole", whole},
		{"a mark that is set again moves", remark},
		{"soft and hard marks are apart", soft},
		{"prefixes", prefixes},
		{"trimming raises the floor", trimming},
		{"a purge of more than the limit", oversized},
		{"flush", flush},
		{"flush with members", flushMembers},
		{"a soft purge of everything is no flush", softAll},
		{"reset", reset},
		{"a purge starts a state", purgeFirst},
		{"a position ahead of the state", ahead},
		{"sessions", sessions},
		{"sessions that are heard of", heard},
		{"sessions in doubt", doubted},
		{"sessions are bounded", manySessions},
		{"sessions that are made up", inventedSessions},
		{"changes of sessions", changes},
		{"many changes of sessions", manyChanges},
		{"entries are dropped with their variants", dropped},
		{"locks", locks},
		{"lookups with a lock", lookupsWithLock},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t), Tenant()) })
	}
}

// RunReplicas tests what two clients of one storage see of each other.
func RunReplicas(t *testing.T, open func(t *testing.T) (a, b storage.Storage)) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, a, b storage.Storage, tenant string)
	}{
		{"entries are shared", sharedEntries},
		{"purges are shared", sharedPurges},
		{"numbers are never given twice", sharedNumbers},
		{"one begins what the other finds", sharedBegin},
		{"reset is seen by the other", sharedReset},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			c.test(t, a, b, Tenant())
		})
	}
}

func head(t *testing.T, s storage.Storage, tenant string) storage.Head {
	t.Helper()
	h, err := s.Head(tenant)
	require.NoError(t, err)
	require.NotZero(t, h.Epoch)
	require.Positive(t, h.Seq)
	return h
}

func marks(t *testing.T, s storage.Storage, tenant string, since storage.Head) storage.Delta {
	t.Helper()
	d, err := s.Marks(tenant, since)
	require.NoError(t, err)
	sort.Slice(d.Marks, func(i, j int) bool { return d.Marks[i].Member < d.Marks[j].Member })
	return d
}

func purge(t *testing.T, s storage.Storage, tenant string, members ...string) storage.Head {
	t.Helper()
	h, err := s.Purge(tenant, storage.Purge{Members: members})
	require.NoError(t, err)
	return h
}

func lookup(t *testing.T, s storage.Storage, tenant, id string) *storage.Entry {
	t.Helper()
	e, _, err := Lookup(s, tenant, id)
	require.NoError(t, err)
	return e
}

func tag(name string) string { return storage.TagMark(name, false) }

func id(c string) string { return strings.Repeat(c, 43) }

func nothing(t *testing.T, s storage.Storage, tenant string) {
	require.Nil(t, lookup(t, s, tenant, id("a")))
	require.NoError(t, s.Remove(tenant, []string{id("a")}))
	h := head(t, s, tenant)
	require.Equal(t, h, head(t, s, tenant), "asking changes nothing")
	e, at, err := Lookup(s, tenant, id("a"))
	require.NoError(t, err)
	require.Nil(t, e)
	require.Equal(t, h, at)
	require.Equal(t, storage.Delta{Head: h, Floor: 0}, marks(t, s, tenant, h))
}

func entries(t *testing.T, s storage.Storage, tenant string) {
	h := head(t, s, tenant)
	want := Entry(tenant, "k1", h, "x", "y")
	require.NoError(t, s.Store(tenant, id("a"), want, 60000))
	got, at, err := Lookup(s, tenant, id("a"))
	require.NoError(t, err)
	require.Equal(t, h, at)
	require.Equal(t, want, got)

	list := Entry(tenant, "k2", h)
	list.Status, list.Body, list.Vary, list.Variants = 0, []byte{}, []string{"accept"}, []string{id("v"), id("w")}
	list.Header = http.Header{}
	require.NoError(t, s.Store(tenant, id("a"), list, 60000))
	got = lookup(t, s, tenant, id("a"))
	require.Equal(t, list, got)
	require.True(t, got.IsList())

	require.NoError(t, s.Store(tenant, id("b"), want, 60000))
	require.NoError(t, s.Store(tenant, id("c"), want, 60000))
	require.NoError(t, s.Remove(tenant, []string{id("a"), id("b")}))
	assert.Nil(t, lookup(t, s, tenant, id("a")))
	assert.Nil(t, lookup(t, s, tenant, id("b")))
	assert.NotNil(t, lookup(t, s, tenant, id("c")))
	assert.Equal(t, h, head(t, s, tenant), "entries do not touch the purge state")
}

func ttl(t *testing.T, s storage.Storage, tenant string) {
	e := Entry(tenant, "k", head(t, s, tenant))
	require.NoError(t, s.Store(tenant, id("a"), e, 60000))
	require.NoError(t, s.Store(tenant, id("b"), e, 60000))
	require.NoError(t, s.Store(tenant, id("b"), e, 50), "the last ttl counts")
	require.Eventually(t, func() bool { return lookup(t, s, tenant, id("b")) == nil }, 5*time.Second, 5*time.Millisecond)
	require.NotNil(t, lookup(t, s, tenant, id("a")))
}

func apart(t *testing.T, s storage.Storage, tenant string) {
	other := Tenant()
	h, o := head(t, s, tenant), head(t, s, other)
	require.NotEqual(t, h.Epoch, o.Epoch)
	require.NoError(t, s.Store(tenant, id("a"), Entry(tenant, "k", h), 60000))
	require.NoError(t, s.Store(tenant, id("b"), Entry(tenant, "k", h), 60000))
	require.Nil(t, lookup(t, s, other, id("a")))
	require.NoError(t, s.Remove(other, []string{id("a")}))
	require.NotNil(t, lookup(t, s, tenant, id("a")))
	purge(t, s, tenant, tag("x"))
	_, err := s.Purge(tenant, storage.Purge{All: true})
	require.NoError(t, err)
	_, err = s.Reset(tenant)
	require.NoError(t, err)
	require.Equal(t, o, head(t, s, other))
	require.Equal(t, storage.Delta{Head: o, Whole: true}, marks(t, s, other, storage.Head{}))
}

func numbers(t *testing.T, s storage.Storage, tenant string) {
	h := head(t, s, tenant)
	for i := int64(1); i <= 20; i++ {
		got := purge(t, s, tenant, tag("x"))
		require.Equal(t, storage.Head{Epoch: h.Epoch, Seq: h.Seq + i}, got)
		require.Equal(t, got, head(t, s, tenant))
	}
	got := purge(t, s, tenant)
	require.Equal(t, h.Seq+21, got.Seq, "a purge of nothing takes a number, too")
}

func deltas(t *testing.T, s storage.Storage, tenant string) {
	h := head(t, s, tenant)
	h1 := purge(t, s, tenant, tag("a"), tag("b"))
	h2 := purge(t, s, tenant, tag("c"))
	a, b, c := storage.Mark{Member: tag("a"), Seq: h1.Seq}, storage.Mark{Member: tag("b"), Seq: h1.Seq}, storage.Mark{Member: tag("c"), Seq: h2.Seq}
	require.Equal(t, storage.Delta{Head: h2, Marks: []storage.Mark{a, b, c}}, marks(t, s, tenant, h))
	require.Equal(t, storage.Delta{Head: h2, Marks: []storage.Mark{c}}, marks(t, s, tenant, h1))
	require.Equal(t, storage.Delta{Head: h2}, marks(t, s, tenant, h2))
}

func whole(t *testing.T, s storage.Storage, tenant string) {
	h := purge(t, s, tenant, tag("a"))
	want := storage.Delta{Head: h, Whole: true, Marks: []storage.Mark{{Member: tag("a"), Seq: h.Seq}}}
	require.Equal(t, want, marks(t, s, tenant, storage.Head{}))
	require.Equal(t, want, marks(t, s, tenant, storage.Head{Epoch: h.Epoch + 1, Seq: h.Seq + 100}),
		"the number of another state says nothing")
}

func remark(t *testing.T, s storage.Storage, tenant string) {
	purge(t, s, tenant, tag("a"))
	h := purge(t, s, tenant, tag("b"))
	last := purge(t, s, tenant, tag("a"))
	require.Equal(t, []storage.Mark{{Member: tag("a"), Seq: last.Seq}, {Member: tag("b"), Seq: h.Seq}},
		marks(t, s, tenant, storage.Head{}).Marks)
}

func soft(t *testing.T, s storage.Storage, tenant string) {
	hard := purge(t, s, tenant, tag("a"))
	h, err := s.Purge(tenant, storage.Purge{Soft: true, Members: []string{storage.TagMark("a", true)}})
	require.NoError(t, err)
	require.Equal(t, []storage.Mark{{Member: "ht:a", Seq: hard.Seq}, {Member: "st:a", Seq: h.Seq}},
		marks(t, s, tenant, storage.Head{}).Marks)
}

func prefixes(t *testing.T, s storage.Storage, tenant string) {
	odd := "shop.example/ü\n \"(%/"
	h := purge(t, s, tenant, storage.PrefixMark("/", false), storage.PrefixMark(odd, true))
	require.Equal(t, []storage.Mark{{Member: "hp:/", Seq: h.Seq}, {Member: "sp:" + odd, Seq: h.Seq}},
		marks(t, s, tenant, storage.Head{}).Marks)
}

// trimming checks after each purge that no purge is forgotten: its mark stands,
// or the floor has risen at least as high.
func trimming(t *testing.T, s storage.Storage, tenant string) {
	h := head(t, s, tenant)
	given := map[string]int64{}
	trims := 0
	floor := int64(0)
	for i := 0; i < 10*MaxMarks; i++ {
		var members []string
		for j := 0; j <= i%3; j++ {
			members = append(members, tag(fmt.Sprintf("%d-%d", i, j)))
		}
		at := purge(t, s, tenant, members...)
		require.Equal(t, storage.Head{Epoch: h.Epoch, Seq: h.Seq + int64(i) + 1}, at, "trimming loses no number")
		for _, m := range members {
			given[m] = at.Seq
		}
		d := marks(t, s, tenant, storage.Head{})
		require.Equal(t, at, d.Head)
		require.LessOrEqual(t, len(d.Marks), MaxMarks)
		require.GreaterOrEqual(t, d.Floor, floor, "the floor never falls")
		require.Less(t, d.Floor, at.Seq, "the newest purge has its marks")
		if d.Floor > floor {
			trims++
		}
		floor = d.Floor
		standing := map[string]int64{}
		for _, m := range d.Marks {
			standing[m.Member] = m.Seq
		}
		for m, seq := range given {
			if seq > floor {
				require.Equal(t, seq, standing[m], "%s: neither marked nor under the floor %d", m, floor)
			}
		}
		part := marks(t, s, tenant, storage.Head{Epoch: at.Epoch, Seq: at.Seq - 1})
		require.Equal(t, floor, part.Floor, "each delta has the floor")
		require.Len(t, part.Marks, len(members))
	}
	require.Greater(t, trims, 3)
	require.Less(t, trims, 10*MaxMarks, "trimming makes room for more than one mark")
}

func oversized(t *testing.T, s storage.Storage, tenant string) {
	var members []string
	for i := 0; i < 3*MaxMarks; i++ {
		members = append(members, tag(fmt.Sprint(i)))
	}
	before := purge(t, s, tenant, tag("old"))
	h := purge(t, s, tenant, members...)
	d := marks(t, s, tenant, before)
	require.Equal(t, h, d.Head)
	require.Equal(t, h.Seq, d.Floor, "what came before is invalid, what comes after is not")
	require.Empty(t, d.Marks)
	next := purge(t, s, tenant, tag("x"))
	require.Equal(t, storage.Delta{Head: next, Floor: h.Seq, Marks: []storage.Mark{{Member: tag("x"), Seq: next.Seq}}}, marks(t, s, tenant, h))
}

func flush(t *testing.T, s storage.Storage, tenant string) {
	before := purge(t, s, tenant, tag("a"), storage.PrefixMark("/", true))
	h, err := s.Purge(tenant, storage.Purge{All: true})
	require.NoError(t, err)
	require.Equal(t, storage.Head{Epoch: before.Epoch, Seq: before.Seq + 1}, h)
	require.Equal(t, storage.Delta{Head: h, Floor: h.Seq}, marks(t, s, tenant, before))
	require.Equal(t, storage.Delta{Head: h, Floor: h.Seq, Whole: true}, marks(t, s, tenant, storage.Head{}))
	next := purge(t, s, tenant, tag("b"))
	require.Equal(t, storage.Delta{Head: next, Floor: h.Seq, Marks: []storage.Mark{{Member: tag("b"), Seq: next.Seq}}}, marks(t, s, tenant, h))
}

func flushMembers(t *testing.T, s storage.Storage, tenant string) {
	h, err := s.Purge(tenant, storage.Purge{All: true, Members: []string{tag("a")}})
	require.NoError(t, err)
	require.Equal(t, storage.Delta{Head: h, Floor: h.Seq, Whole: true, Marks: []storage.Mark{{Member: tag("a"), Seq: h.Seq}}},
		marks(t, s, tenant, storage.Head{}))
}

// locks: a storage of one process alone need not tell its callers apart.
func locks(t *testing.T, s storage.Storage, tenant string) {
	lock := func(l *storage.Lock) storage.LockState {
		state, err := s.Lock(tenant, l, 60000)
		require.NoError(t, err)
		return state
	}
	mine, yours := &storage.Lock{ID: "page", Token: "mine"}, &storage.Lock{ID: "page", Token: "yours"}
	require.Equal(t, storage.LockClaimed, lock(mine))
	if _, alone := s.(*memory.Memory); !alone {
		require.Equal(t, storage.LockHeld, lock(yours))
		require.Equal(t, storage.LockClaimed, lock(mine), "left by an earlier claim")
		require.Equal(t, storage.LockClaimed, lock(&storage.Lock{ID: "another page", Token: "yours"}))
		require.NoError(t, s.Unlock(tenant, yours, 0))
		require.Equal(t, storage.LockHeld, lock(yours), "not given back by another")
		require.NoError(t, s.Unlock(tenant, mine, 100))
		require.Equal(t, storage.LockRefused, lock(yours))
		require.Eventually(t, func() bool { return lock(yours) == storage.LockClaimed }, 5*time.Second, 20*time.Millisecond)
	}
	require.NoError(t, s.Unlock(tenant, yours, 0))
	require.Equal(t, storage.LockClaimed, lock(mine))
	h := head(t, s, tenant)
	require.NoError(t, s.StoreAndUnlock(tenant, "page", Entry(tenant, "page", h), 60000, mine))
	e, _, err := Lookup(s, tenant, "page")
	require.NoError(t, err)
	require.NotNil(t, e)
	if _, alone := s.(*memory.Memory); !alone {
		require.Equal(t, storage.LockStored, lock(yours))
	}
}

// lookupsWithLock: in Redis, what is not there is locked in the exchange that looks for it.
func lookupsWithLock(t *testing.T, s storage.Storage, tenant string) {
	t.Helper()
	tr := tier.New(s, tier.Options{Failures: 5, Log: func(message string) { t.Log(message) }})
	v := tr.Tenant(tenant)
	at := tr.Lookup(v, "page").Head
	require.NotZero(t, at)
	l := &storage.Lock{ID: keys.ID("page"), Token: "mine"}
	f, locked := LookupOrLock(tr, v, "page", l, 60_000)
	require.Equal(t, s.Remote() != nil, locked)
	require.Equal(t, &tier.Found{Head: at}, f)
	require.Empty(t, tr.StoreAndUnlock(v, Entry(tenant, "page", at), l))
	f, locked = LookupOrLock(tr, v, "page", &storage.Lock{ID: l.ID, Token: "yours"}, 60_000)
	require.False(t, locked)
	require.NotNil(t, f.Entry)
}

func softAll(t *testing.T, s storage.Storage, tenant string) {
	h, err := s.Purge(tenant, storage.Purge{All: true, Soft: true, Members: []string{storage.TagMark("all", true)}})
	require.NoError(t, err)
	require.Equal(t, storage.Delta{Head: h, Whole: true, Marks: []storage.Mark{{Member: "st:all", Seq: h.Seq}}},
		marks(t, s, tenant, storage.Head{}))
}

func reset(t *testing.T, s storage.Storage, tenant string) {
	before := purge(t, s, tenant, tag("a"))
	h, err := s.Reset(tenant)
	require.NoError(t, err)
	require.NotEqual(t, before.Epoch, h.Epoch)
	require.Equal(t, h, head(t, s, tenant))
	require.Equal(t, storage.Delta{Head: h, Whole: true}, marks(t, s, tenant, before))
	again, err := s.Reset(tenant)
	require.NoError(t, err)
	require.NotEqual(t, h.Epoch, again.Epoch)
}

func purgeFirst(t *testing.T, s storage.Storage, tenant string) {
	h := purge(t, s, tenant, tag("a"))
	require.NotZero(t, h.Epoch)
	require.Equal(t, h, head(t, s, tenant))
	require.Equal(t, []storage.Mark{{Member: tag("a"), Seq: h.Seq}}, marks(t, s, tenant, storage.Head{}).Marks)
}

// ahead is a client that has seen more purges than the storage knows of.
func ahead(t *testing.T, s storage.Storage, tenant string) {
	h := purge(t, s, tenant, tag("a"))
	d := marks(t, s, tenant, storage.Head{Epoch: h.Epoch, Seq: h.Seq + 5})
	require.Equal(t, storage.Delta{Head: h}, d, "the storage says where it is, not where the client was")
}

// state is what a storage knows of a session.
func state(t *testing.T, s storage.Storage, tenant, session string) storage.SessionKind {
	t.Helper()
	_, _, known, err := Visit(s, tenant, "", session)
	require.NoError(t, err)
	return known
}

// score is the number that a storage has of a session.
func score(t *testing.T, s storage.Storage, tenant, session string) int64 {
	t.Helper()
	a, err := s.Find(tenant, &storage.Query{Session: session})
	require.NoError(t, err)
	return a.Score
}

// special marks sessions as special.
func special(t *testing.T, s storage.Storage, tenant string, list ...string) {
	t.Helper()
	_, err := s.Mark(tenant, list, true, storage.NowMS()+3600*1000)
	require.NoError(t, err)
}

// beginning notes a session as one that begins.
func beginning(t *testing.T, s storage.Storage, tenant, session string) int64 {
	t.Helper()
	n, err := s.NoteBeginning(tenant, session, 3600*1000, 100)
	require.NoError(t, err)
	return n
}

// heard is what becomes of a session of which nothing was seen: it is a default one from the
// second step on, if it was not marked since the first.
func heard(t *testing.T, s storage.Storage, tenant string) {
	require.NoError(t, s.Settle(tenant, "h", storage.BeginningScore(storage.NowMS()), storage.AllRules))
	require.Equal(t, storage.SessionUnknown, state(t, s, tenant, "h"), "nothing was noted")
	special(t, s, tenant, "h")
	h, i := beginning(t, s, tenant, "h"), beginning(t, s, tenant, "i")
	require.Equal(t, h, score(t, s, tenant, "h"))
	require.Equal(t, storage.SessionBegins, state(t, s, tenant, "h"))
	special(t, s, tenant, "i")
	require.NoError(t, s.Settle(tenant, "h", h, storage.AllRules))
	require.NoError(t, s.Settle(tenant, "i", i, storage.AllRules))
	require.Equal(t, storage.SessionDefault, state(t, s, tenant, "h"))
	require.Equal(t, storage.SessionSpecial, state(t, s, tenant, "i"))
	require.Zero(t, beginning(t, s, tenant, "h"), "it is known")
	require.Zero(t, beginning(t, s, tenant, "i"))
	require.Equal(t, storage.SessionDefault, state(t, s, tenant, "h"))
	require.Equal(t, storage.SessionSpecial, state(t, s, tenant, "i"))

	require.NoError(t, s.Forget(tenant))
	require.NotEqual(t, h, beginning(t, s, tenant, "h"), "another beginning")
	require.NoError(t, s.Settle(tenant, "h", h, storage.AllRules))
	require.Equal(t, storage.SessionBegins, state(t, s, tenant, "h"), "what was found out is of the one before")

	b := beginning(t, s, tenant, "b")
	require.NoError(t, s.Settle(tenant, "b", b, 3))
	require.Equal(t, storage.SessionDoubted, state(t, s, tenant, "b"), "of one rule alone")
	for bit := 0; bit < storage.EvidenceBits; bit++ {
		require.Equal(t, bit == 3, storage.GivesNobodys(score(t, s, tenant, "b"), bit, storage.NowMS()))
	}
}

// doubted is what becomes of a session in doubt: evidence settles it rule by rule, if it was
// not marked since it was looked at.
func doubted(t *testing.T, s storage.Storage, tenant string) {
	const first, last = 0, storage.EvidenceBits - 1
	gives := func(bit int) bool { return storage.GivesNobodys(score(t, s, tenant, "d"), bit, storage.NowMS()) }
	doubt := func() int64 {
		before := score(t, s, tenant, "d")
		until := storage.NowMS() + 3600*1000
		had, err := s.Mark(tenant, []string{"unknown", "d"}, false, until)
		require.NoError(t, err)
		require.Equal(t, []int64{0, before}, had)
		after := score(t, s, tenant, "d")
		if before != 0 {
			require.Equal(t, storage.MarkedScore(before, until, storage.ScoreDoubted), after)
		}
		return after
	}
	require.Zero(t, doubt(), "nothing is noted of an unknown session")
	require.NoError(t, s.NoteDefault(tenant, "d", 3600*1000, 100))
	require.True(t, gives(first) && gives(last))
	before := doubt()
	require.Equal(t, storage.SessionDoubted, state(t, s, tenant, "d"))
	require.False(t, gives(first) || gives(last))

	require.NoError(t, s.Settle(tenant, "d", before, last))
	require.NoError(t, s.Settle(tenant, "d", before, last))
	require.True(t, gives(last), "and twice is as good")
	require.False(t, gives(first))
	require.NoError(t, s.Settle(tenant, "d", before, first))
	require.True(t, gives(first) && gives(last), "evidence of one rule does not take that of another away")
	require.Equal(t, storage.SessionDoubted, state(t, s, tenant, "d"))

	again := doubt()
	require.Greater(t, again, before)
	require.False(t, gives(first) || gives(last), "what was shown counts no more")
	require.NoError(t, s.Settle(tenant, "d", before, first))
	require.False(t, gives(first), "it was shown of how the session was before")
	require.NoError(t, s.Settle(tenant, "d", again, storage.AllRules))
	require.Equal(t, storage.SessionDefault, state(t, s, tenant, "d"), "Odoo has said so")

	special(t, s, tenant, "d")
	was := score(t, s, tenant, "d")
	require.Greater(t, doubt(), was)
	require.Equal(t, storage.SessionSpecial, state(t, s, tenant, "d"), "what is special is not in doubt")
	require.NoError(t, s.Settle(tenant, "d", was, storage.AllRules))
	require.Equal(t, storage.SessionSpecial, state(t, s, tenant, "d"))
	require.NoError(t, s.Settle(tenant, "d", score(t, s, tenant, "d"), storage.AllRules))
	require.Equal(t, storage.SessionDefault, state(t, s, tenant, "d"), "Odoo has said so")
}

func sessions(t *testing.T, s storage.Storage, tenant string) {
	const hour, most = 3600 * 1000, 100
	require.Equal(t, storage.SessionUnknown, state(t, s, tenant, "a"))
	require.NoError(t, s.NoteDefault(tenant, "a", hour, most))
	require.NoError(t, s.NoteDefault(tenant, "b", hour, most))
	require.NoError(t, s.NoteDefault(tenant, "short", 1, most))
	require.Equal(t, storage.SessionDefault, state(t, s, tenant, "a"))
	require.Equal(t, storage.SessionUnknown, state(t, s, Tenant(), "a"), "another tenant's")
	require.Eventually(t, func() bool { return state(t, s, tenant, "short") == storage.SessionUnknown }, 5*time.Second, time.Millisecond)

	special(t, s, tenant, "a", "c")
	require.Equal(t, storage.SessionSpecial, state(t, s, tenant, "a"))
	require.Equal(t, storage.SessionUnknown, state(t, s, tenant, "c"))
	require.Equal(t, storage.SessionDefault, state(t, s, tenant, "b"))
	require.NoError(t, s.NoteDefault(tenant, "a", hour, most))
	require.NoError(t, s.NoteDefault(tenant, "c", hour, most))
	require.Equal(t, storage.SessionSpecial, state(t, s, tenant, "a"), "it stays special")
	require.Equal(t, storage.SessionDefault, state(t, s, tenant, "c"), "it was made up when it was marked")

	h := head(t, s, tenant)
	require.NoError(t, s.Store(tenant, id("a"), Entry(tenant, "k", h), hour))
	e, at, known, err := Visit(s, tenant, id("a"), "b")
	require.NoError(t, err)
	require.Equal(t, "k", e.Key)
	require.Equal(t, h, at)
	require.Equal(t, storage.SessionDefault, known)

	require.NoError(t, s.Forget(tenant))
	require.Equal(t, storage.SessionUnknown, state(t, s, tenant, "a"))
	require.Equal(t, storage.SessionUnknown, state(t, s, tenant, "b"))
}

func manySessions(t *testing.T, s storage.Storage, tenant string) {
	const hour, most = 3600 * 1000, 10
	known := 0
	for i := 0; i < 25; i++ {
		require.NoError(t, s.NoteDefault(tenant, fmt.Sprintf("s%02d", i), hour+int64(i), most))
	}
	require.Equal(t, storage.SessionDefault, state(t, s, tenant, "s24"))
	for i := 0; i < 25; i++ {
		if state(t, s, tenant, fmt.Sprintf("s%02d", i)) == storage.SessionDefault {
			known++
		}
	}
	require.LessOrEqual(t, known, most)
	require.Positive(t, known)
}

// inventedSessions: marks of sessions that nobody saw begin push out none that is known.
func inventedSessions(t *testing.T, s storage.Storage, tenant string) {
	const hour, most = 3600 * 1000, 10
	for i := 0; i < most-1; i++ {
		require.NoError(t, s.NoteDefault(tenant, fmt.Sprint("s", i), hour, most))
	}
	special(t, s, tenant, "s0")
	for i := 0; i < 10*most; i++ {
		special(t, s, tenant, fmt.Sprint("a", i), fmt.Sprint("b", i))
		require.Equal(t, storage.SessionUnknown, state(t, s, tenant, fmt.Sprint("a", i)))
	}
	require.Equal(t, storage.SessionSpecial, state(t, s, tenant, "s0"))
	for i := 1; i < most-1; i++ {
		require.Equal(t, storage.SessionDefault, state(t, s, tenant, fmt.Sprint("s", i)))
	}
}

// changed asks a storage on servers for changes, and sees that its position of purges is told.
func changed(t *testing.T, s storage.Storage, tenant string, since storage.Head) *storage.Changes {
	t.Helper()
	want := head(t, s, tenant)
	c, err := s.Remote().Changes(tenant, since)
	require.NoError(t, err)
	require.Equal(t, want, c.Head)
	return c
}

// changes: whatever ends that a session is a default one is told to who asks for it, and
// nothing else is.
func changes(t *testing.T, s storage.Storage, tenant string) {
	if s.Remote() == nil {
		t.Skip("it is of this process alone")
	}
	const hour, most = 3600 * 1000, 4
	head(t, s, tenant)
	mark := func(sessions ...string) {
		t.Helper()
		_, err := s.Mark(tenant, sessions, len(sessions) == 1, storage.NowMS()+2*hour)
		require.NoError(t, err)
	}
	require.Zero(t, changed(t, s, tenant, storage.Head{}).At, "nothing is known of any")
	mark("invented")
	require.Zero(t, changed(t, s, tenant, storage.Head{}).At, "nor of those that are made up")
	for i := 0; i < 4; i++ {
		require.NoError(t, s.NoteDefault(tenant, fmt.Sprint("s", i), hour+int64(5000*i), most))
	}
	first := changed(t, s, tenant, storage.Head{})
	require.NotZero(t, first.At.Epoch)
	require.True(t, first.Whole, "what was remembered of another epoch")
	at := first.At
	step := func(why string, want ...string) {
		t.Helper()
		c := changed(t, s, tenant, at)
		require.Equal(t, at.Epoch, c.At.Epoch, why)
		require.False(t, c.Whole, why)
		require.ElementsMatch(t, want, c.Sessions, why)
		require.Equal(t, len(want) > 0, c.At.Seq > at.Seq, why)
		at = c.At
	}
	step("nothing has happened")
	mark("s3", "invented", "s2")
	step("two were marked", "s2", "s3")
	mark("s3", "invented")
	step("nothing was found out of them since")
	require.NoError(t, s.NoteDefault(tenant, "s4", 2*hour, most))
	step("the oldest went for a new one", "s0")
	require.NoError(t, s.NoteDefault(tenant, "s5", 3*hour, most))
	mark("s4")
	step("several changes", "s1", "s4")
	begins, err := s.NoteBeginning(tenant, "s6", 3*hour, most)
	require.NoError(t, err)
	mark("s6")
	step("what had not begun was given nothing, and one that goes was marked")
	score := func(session string) int64 {
		a, err := s.Find(tenant, &storage.Query{Session: session})
		require.NoError(t, err)
		return a.Score
	}
	require.NotEqual(t, begins, score("s6"))
	require.NoError(t, s.Settle(tenant, "s5", score("s5"), 3))
	step("what is found out in its favour is no change")
	mark("s5", "s6")
	step("a default one", "s5")
	require.NoError(t, s.Settle(tenant, "s5", score("s5"), 3))
	step("the same")
	mark("s5", "s6")
	step("one that was given pages of some rules", "s5")
	require.Zero(t, changed(t, s, Tenant(), at).At, "another tenant's")
	ahead := changed(t, s, tenant, storage.Head{Epoch: at.Epoch, Seq: at.Seq + 1})
	require.True(t, ahead.Whole, "changes were lost")
	require.Equal(t, at, ahead.At)

	require.NoError(t, s.Forget(tenant))
	require.Zero(t, changed(t, s, tenant, at).At)
	require.NoError(t, s.NoteDefault(tenant, "s7", hour, most))
	again := changed(t, s, tenant, at)
	require.NotEqual(t, at.Epoch, again.At.Epoch)
	require.True(t, again.Whole)
}

// manyChanges: so many are kept that nobody who asks now and then misses one, and not more.
func manyChanges(t *testing.T, s storage.Storage, tenant string) {
	if s.Remote() == nil {
		t.Skip("it is of this process alone")
	}
	const hour, most = 3600 * 1000, 1000000
	head(t, s, tenant)
	name := func(i int) string { return fmt.Sprint("s", i) }
	for i := 0; i < 1300; i++ {
		require.NoError(t, s.NoteDefault(tenant, name(i), hour, most))
	}
	at := changed(t, s, tenant, storage.Head{}).At
	var list []string
	mark := func(from, to int) {
		list = nil
		for i := from; i < to; i++ {
			list = append(list, name(i))
			_, err := s.Mark(tenant, []string{name(i)}, true, storage.NowMS()+hour)
			require.NoError(t, err)
		}
	}
	mark(0, 500)
	c := changed(t, s, tenant, at)
	require.False(t, c.Whole)
	require.ElementsMatch(t, list, c.Sessions)
	middle := c.At
	mark(500, 1100)
	c = changed(t, s, tenant, middle)
	require.False(t, c.Whole)
	require.ElementsMatch(t, list, c.Sessions, "more than three quarters of the bound are kept")
	require.True(t, changed(t, s, tenant, at).Whole, "some were dropped")
	require.LessOrEqual(t, len(changed(t, s, tenant, at).Sessions), 1000)
	at = c.At
	require.NoError(t, s.NoteDefault(tenant, "last", hour, 2))
	c = changed(t, s, tenant, at)
	require.NotEqual(t, at.Epoch, c.At.Epoch, "more went at once than are kept")
	require.Equal(t, storage.SessionUnknown, state(t, s, tenant, name(1200)))
}

func dropped(t *testing.T, s storage.Storage, tenant string) {
	h := head(t, s, tenant)
	list := Entry(tenant, "list", h)
	list.Status, list.Body, list.Header, list.Vary, list.Variants = 0, []byte{}, http.Header{}, []string{"accept"}, []string{id("v"), id("w")}
	page := Entry(tenant, "0\npage", h)
	page.Key, page.Body = "page", []byte("oc1 \n\n0\n"+id("x")+"\n"+strings.Repeat("\n0\n"+id("x"), 30))
	for _, c := range []string{"a", "v", "w", "x", "y"} {
		require.NoError(t, s.Store(tenant, id(c), page, 60000))
	}
	require.NoError(t, s.Store(tenant, id("l"), list, 60000))
	require.NoError(t, s.Drop(tenant, []string{id("a"), id("n"), id("l")}))
	for _, c := range []string{"a", "v", "w", "l"} {
		require.Nil(t, lookup(t, s, tenant, id(c)), c)
	}
	for _, c := range []string{"x", "y"} {
		require.NotNil(t, lookup(t, s, tenant, id(c)), "%s: nobody named it", c)
	}
	require.Equal(t, h, head(t, s, tenant), "no purge")
}

func sharedEntries(t *testing.T, a, b storage.Storage, tenant string) {
	e := Entry(tenant, "k", head(t, a, tenant), "x")
	require.NoError(t, a.Store(tenant, id("a"), e, 60000))
	require.Equal(t, e, lookup(t, b, tenant, id("a")))
	require.NoError(t, b.Remove(tenant, []string{id("a")}))
	require.Nil(t, lookup(t, a, tenant, id("a")))
}

func sharedPurges(t *testing.T, a, b storage.Storage, tenant string) {
	h := head(t, a, tenant)
	at := purge(t, b, tenant, tag("x"))
	require.Equal(t, storage.Delta{Head: at, Marks: []storage.Mark{{Member: tag("x"), Seq: at.Seq}}}, marks(t, a, tenant, h))
	_, seen, err := Lookup(a, tenant, id("a"))
	require.NoError(t, err)
	require.Equal(t, at, seen, "a lookup tells the position")
}

func sharedNumbers(t *testing.T, a, b storage.Storage, tenant string) {
	const each = 100
	type result struct {
		seqs []int64
		err  error
	}
	results := make(chan result)
	for _, s := range []storage.Storage{a, b, a, b} {
		go func(s storage.Storage) {
			var r result
			for i := 0; i < each && r.err == nil; i++ {
				var h storage.Head
				h, r.err = s.Purge(tenant, storage.Purge{Members: []string{tag("x")}})
				if len(r.seqs) > 0 && h.Seq <= r.seqs[len(r.seqs)-1] {
					r.err = errors.New("a number that is not higher than the last")
				}
				r.seqs = append(r.seqs, h.Seq)
			}
			results <- r
		}(s)
	}
	seen := map[int64]bool{}
	for i := 0; i < 4; i++ {
		r := <-results
		assert.NoError(t, r.err)
		for _, seq := range r.seqs {
			seen[seq] = true
		}
	}
	require.Len(t, seen, 4*each)
}

func sharedBegin(t *testing.T, a, b storage.Storage, tenant string) {
	heads := make(chan storage.Head)
	for i := 0; i < 8; i++ {
		s := a
		if i%2 == 1 {
			s = b
		}
		go func(s storage.Storage) {
			h, err := s.Head(tenant)
			assert.NoError(t, err)
			heads <- h
		}(s)
	}
	first := <-heads
	for i := 1; i < 8; i++ {
		require.Equal(t, first, <-heads)
	}
}

func sharedReset(t *testing.T, a, b storage.Storage, tenant string) {
	h := purge(t, a, tenant, tag("x"))
	at, err := b.Reset(tenant)
	require.NoError(t, err)
	require.Equal(t, storage.Delta{Head: at, Whole: true}, marks(t, a, tenant, h))
}
