package redis_test

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/seal"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/redis"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/keys"
)

// unmarked is a storage whose entries do not tell how they are stored, so that they are what was given
// to it.
type unmarked struct{ storage.Storage }

func (u unmarked) Find(tenant string, q *storage.Query) (*storage.Answer, error) {
	a, err := u.Storage.Find(tenant, q)
	if a != nil && a.Entry != nil {
		e := *a.Entry
		e.Sealed = nil
		a.Entry = &e
	}
	return a, err
}

func oneKey() *seal.Ring {
	return seal.NewRing([][]byte{bytes.Repeat([]byte("1"), seal.KeyBytes)}, false)
}

// TestRedisEncrypted: the suite, with entries that are encrypted.
func TestRedisEncrypted(t *testing.T) {
	port := storagetest.StartRedis(t)
	ring := oneKey()
	open := func(t *testing.T) storage.Storage { return unmarked{storagetest.OpenRedis(t, port).Encrypt(ring)} }
	storagetest.Run(t, open)
	storagetest.RunReplicas(t, func(t *testing.T) (a, b storage.Storage) { return open(t), open(t) })
}

// TestEncryptedInTheShortWay: the body of an encrypted page that is ready comes in one exchange, and is nothing if
// a bit of it, or of its first line, is not as it was.
func TestEncryptedInTheShortWay(t *testing.T) {
	port := storagetest.StartRedis(t)
	s := storagetest.OpenRedis(t, port).Encrypt(oneKey())
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})
	t.Cleanup(func() { _ = client.Close() })
	tenant, ctx := storagetest.Tenant(), context.Background()
	head, err := s.Head(tenant)
	require.NoError(t, err)
	e := storagetest.Entry(tenant, "k", head)
	e.Body = bytes.Repeat([]byte("a page "), 5000)
	id := keys.ID("k")
	require.ErrorIs(t, s.Prepare(&storage.Ready{Entry: e, Stored: &storage.Form{}}, id), storage.ErrPlain, "nothing is known of how it is stored")
	require.NoError(t, s.Store(tenant, id, e, 60000))
	a, err := s.Find(tenant, &storage.Query{ID: id})
	require.NoError(t, err)
	r := &storage.Ready{Entry: a.Entry, Stored: &storage.Form{}, Seq: head.Seq}
	require.NoError(t, s.Prepare(r, id))
	assert.Empty(t, r.Entry.Body)
	q := s.Question(tenant, head, s.Era(tenant))
	value, err := client.Get(ctx, keys.Entry(tenant, id)).Bytes()
	require.NoError(t, err)
	licensed := int64(1)
	ask := func(kept []byte) ([]byte, resp.Outcome) {
		x := s.Exchange(q, r, kept)
		x.Failures, x.Licensed = new(atomic.Int64), &licensed
		return redis.Body(x, time.Now())
	}
	for i := 0; i < 3; i++ {
		body, outcome := ask(nil)
		require.Equal(t, resp.Matches, outcome)
		require.Equal(t, string(e.Body), string(storage.Opened(r.Entry.Sealed, body)))
		answer, outcome := s.Compare(q, r.Page, time.Now())
		require.Equal(t, resp.Matches, outcome)
		require.True(t, r.Page.Holds(answer))
		body, outcome = ask([]byte("kept"))
		require.Equal(t, resp.Matches, outcome)
		require.Equal(t, "kept", string(body), "it is as it was")
	}
	for _, at := range []int{0, 5, 14, len(r.Page.Head), len(r.Page.Head) + 3, len(value) / 2, len(value) - 17, len(value) - 1} {
		changed := append([]byte{}, value...)
		changed[at] ^= 1
		require.NoError(t, client.Set(ctx, keys.Entry(tenant, id), changed, time.Minute).Err())
		for _, kept := range [][]byte{nil, []byte("kept")} {
			body, _ := ask(kept)
			if body != nil && kept == nil { // the first line is as it was
				body = storage.Opened(r.Entry.Sealed, body)
			}
			assert.Nil(t, body, "byte %d", at)
		}
		_, err := s.Find(tenant, &storage.Query{ID: id})
		assert.ErrorIs(t, err, storage.ErrCorrupt, "byte %d", at)
	}
	require.NoError(t, s.Store(tenant, id, e, 60000))
	body, _ := ask(nil)
	assert.Nil(t, body, "the same page, stored again")
}

// TestEncryptedMarks: the prefix of a purge is not in Redis in clear. A mark for which there is no key counts as a
// purge of everything; tags are hashes, and stay so.
func TestEncryptedMarks(t *testing.T) {
	port := storagetest.StartRedis(t)
	tenant := storagetest.Tenant()
	s := storagetest.OpenRedis(t, port).Encrypt(oneKey())
	since, err := s.Head(tenant)
	require.NoError(t, err)
	members := []string{storage.PrefixMark("shop.example/secret/", false), storage.PrefixMark("/secret/", true), storage.TagMark("hash", false)}
	given := append([]string{}, members...)
	for i := 0; i < 2; i++ {
		_, err = s.Purge(tenant, storage.Purge{Members: members})
		require.NoError(t, err)
		require.Equal(t, given, members)
	}
	all := storagetest.CLI(t, port, nil, "ZRANGE", keys.Marks(tenant), "0", "-1")
	assert.NotContains(t, all, "secret")
	assert.NotContains(t, all, "shop.example")
	assert.Contains(t, all, "ht:hash")
	assert.Len(t, strings.Fields(all), 6, "the same prefix is one mark")
	read := func(s *redis.Redis) storage.Delta {
		d, err := s.Marks(tenant, since)
		require.NoError(t, err)
		return d
	}
	var got []string
	d := read(s)
	for _, m := range d.Marks {
		got = append(got, m.Member)
	}
	assert.ElementsMatch(t, members, got)
	assert.Equal(t, since.Seq, d.Floor+1)
	other := seal.NewRing([][]byte{bytes.Repeat([]byte("2"), seal.KeyBytes)}, false)
	for _, without := range []*redis.Redis{
		storagetest.OpenRedis(t, port), storagetest.OpenRedis(t, port).Encrypt(other), storagetest.OpenRedis(t, port).Encrypt(seal.NewRing(nil, false)),
	} {
		d := read(without)
		assert.Equal(t, since.Seq+2, d.Floor, "all that was stored before is purged")
		assert.Equal(t, []storage.Mark{{Member: "ht:hash", Seq: since.Seq + 2}}, d.Marks)
	}
	_, err = storagetest.OpenRedis(t, port).Encrypt(seal.NewRing(nil, true)).Purge(tenant, storage.Purge{Members: members})
	require.ErrorIs(t, err, storage.ErrUnavailable, "a purge that cannot be written is kept")
	_, err = storagetest.OpenRedis(t, port).Purge(tenant, storage.Purge{Members: members})
	require.NoError(t, err)
	assert.Len(t, read(s).Marks, 5, "marks of before encryption count")
}
