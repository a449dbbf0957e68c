package redis_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/memory"
	"github.com/odoocache/odoocache/cache/storage/redis"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/keys"
)

func TestMemory(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Storage { return memory.New(1<<20, storagetest.MaxMarks) })
	storagetest.RunReplicas(t, func(*testing.T) (a, b storage.Storage) {
		m := memory.New(1<<20, storagetest.MaxMarks)
		return m, m
	})
}

// TestRedisACL: an ACL user with what docs/redis.md grants, and nothing else, passes the
// suite.
func TestRedisACL(t *testing.T) {
	port := storagetest.StartRedis(t)
	restrict(t, port, "")
	open := func(t *testing.T) storage.Storage {
		c := resp.New(resp.Options{
			Address: "127.0.0.1:" + port, Username: "odoocache", Password: "change-me", Timeout: 10 * time.Second, DialTimeout: 10 * time.Second,
		})
		t.Cleanup(c.Close)
		_, err := c.Do(resp.Command{Args: []string{"FLUSHALL"}})
		require.NoError(t, err)
		return redis.New(c, storagetest.MaxMarks)
	}
	storagetest.Run(t, open)
	assert.Contains(t, storagetest.CLI(t, port, nil, "ACL", "LOG"), "flushall", "what it may not do was refused")
}

// TestRedisWithoutDangerousCommands: a user as hosters make them, without INFO, ROLE and CONFIG,
// passes the suite, too. What is lost by that is said; nothing is where the user may call INFO.
func TestRedisWithoutDangerousCommands(t *testing.T) {
	port := storagetest.StartRedis(t)
	storagetest.CLI(t, port, nil, "ACL", "SETUSER", "hosted", "on", ">change-me", "~*", "+@all", "-@dangerous", "-@admin")
	open := func(t *testing.T, user string) *redis.Redis {
		o := resp.Options{Address: "127.0.0.1:" + port, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second}
		if user != "" {
			o.Username, o.Password = user, "change-me"
		}
		c := resp.New(o)
		t.Cleanup(c.Close)
		return redis.New(c, storagetest.MaxMarks)
	}
	storagetest.Run(t, func(t *testing.T) storage.Storage {
		storagetest.CLI(t, port, nil, "FLUSHALL")
		return open(t, "hosted")
	})
	hosted, all := open(t, "hosted"), open(t, "")
	for i := 0; i < 2; i++ {
		run, err := hosted.Attach("shop")
		require.NoError(t, err)
		require.Len(t, run.Lost, 1)
		assert.Contains(t, run.Lost[0], "may not call INFO")
		assert.False(t, run.Dropped, "it is taken for the same")
	}
	run, err := all.Attach("shop")
	require.NoError(t, err)
	assert.Regexp(t, "^[0-9a-f]{40}$", run.ID)
	assert.Equal(t, storage.Run{ID: run.ID, Dropped: true}, run)
	again, err := all.Attach("shop")
	require.NoError(t, err)
	assert.Equal(t, storage.Run{ID: run.ID}, again)
}

// TestErrorsNameTheirCommand: what is refused is said by its name, not by that of the first
// command of the pipeline.
func TestErrorsNameTheirCommand(t *testing.T) {
	port := storagetest.StartRedis(t)
	storagetest.CLI(t, port, nil, "ACL", "SETUSER", "weak", "on", ">change-me", "~*", "+@all", "-get", "-zscore")
	c := resp.New(resp.Options{Address: "127.0.0.1:" + port, Username: "weak", Password: "change-me", Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	t.Cleanup(c.Close)
	s := redis.New(c, storagetest.MaxMarks)
	_, err := s.Once("shop", "a", 1000) // SET, and GET
	assert.ErrorContains(t, err, "refused: GET: ")
	_, err = s.Attach("shop")
	assert.ErrorContains(t, err, "refused: GET: ")
	_, err = s.Marks("shop", storage.Head{})
	assert.ErrorContains(t, err, "NOPERM")
}

// restrict makes the user that docs/redis.md grants, with more where a pattern finds more
// there.
func restrict(t *testing.T, port, more string) {
	t.Helper()
	b, err := os.ReadFile("../../../docs/redis.md")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^ACL SETUSER (odoocache .*)$`).FindStringSubmatch(string(b))
	require.NotNil(t, line)
	words := strings.Fields(line[1])
	if more != "" {
		found := regexp.MustCompile(more).FindStringSubmatch(string(b))
		require.NotNil(t, found)
		words = append(words, strings.Fields(found[1])...)
	}
	require.Equal(t, "OK", strings.TrimSpace(storagetest.CLI(t, port, nil, append([]string{"ACL", "SETUSER"}, words...)...)))
}

// TestRedisCluster: the suite on three nodes, as the user that docs/redis.md grants to
// clients of a cluster.
func TestRedisCluster(t *testing.T) {
	ports := storagetest.StartCluster(t)
	var addresses []string
	for _, port := range ports {
		restrict(t, port, "A cluster needs `([^`]+)`")
		addresses = append(addresses, "127.0.0.1:"+port)
	}
	open := func(t *testing.T) *redis.Redis {
		c := resp.NewCluster(resp.Options{
			Username: "odoocache", Password: "change-me", Timeout: 10 * time.Second, DialTimeout: 10 * time.Second,
		}, addresses[:1])
		t.Cleanup(c.Close)
		return redis.NewCluster(c, storagetest.MaxMarks)
	}
	fresh := func(t *testing.T) *redis.Redis {
		for _, port := range ports {
			storagetest.CLI(t, port, nil, "FLUSHALL")
		}
		return open(t)
	}
	storagetest.Run(t, func(t *testing.T) storage.Storage { return fresh(t) })
	storagetest.RunReplicas(t, func(t *testing.T) (a, b storage.Storage) { return fresh(t), open(t) })
	filled := 0
	for i := 0; i < 50; i++ { // of tenants, which are on all nodes
		s := open(t)
		tenant := "tenant" + strconv.Itoa(i)
		_, err := s.Purge(tenant, storage.Purge{All: true})
		require.NoError(t, err)
	}
	for _, port := range ports {
		if storagetest.CLI(t, port, nil, "DBSIZE") != "0" {
			filled++
		}
		assert.Empty(t, storagetest.CLI(t, port, nil, "ACL", "LOG"), "nothing that was not granted was tried")
	}
	assert.Equal(t, 3, filled)
}

func TestRedis(t *testing.T) {
	port := storagetest.StartRedis(t)
	storagetest.Run(t, func(t *testing.T) storage.Storage { return storagetest.OpenRedis(t, port) })
	storagetest.RunReplicas(t, func(t *testing.T) (a, b storage.Storage) {
		return storagetest.OpenRedis(t, port), storagetest.OpenRedis(t, port)
	})
}

// What another program finds in Redis.
func TestRedisKeys(t *testing.T) {
	port := storagetest.StartRedis(t)
	s := storagetest.OpenRedis(t, port)
	head, err := s.Head("acme")
	require.NoError(t, err)
	key := keys.Primary("acme", "rule", keys.Target{Scheme: "https", Host: "secret-host.example", Path: "/secret-path", Query: "secret=query"},
		[]string{"secret-cookie"})
	e := storagetest.Entry("acme", key, head, keys.HashTag("t", "secret-tag"))
	require.NoError(t, s.Store("acme", keys.ID(key), e, 90000))
	first, err := s.Purge("acme", storage.Purge{Members: []string{storage.TagMark(keys.HashTag("t", "secret-tag"), false)}})
	require.NoError(t, err)
	second, err := s.Purge("acme", storage.Purge{Soft: true, Members: []string{storage.PrefixMark("/blog/", true)}})
	require.NoError(t, err)

	names := strings.Fields(storagetest.CLI(t, port, nil, "KEYS", "*"))
	require.Len(t, names, 2)
	entry := "oc:{acme}:e:" + keys.ID(key)
	assert.ElementsMatch(t, []string{entry, "oc:{acme}:marks"}, names)
	assert.Regexp(t, regexp.MustCompile(`^oc:\{acme\}:e:[A-Za-z0-9_-]{43}$`), entry)
	assert.NotContains(t, strings.Join(names, " "), "secret")

	ttl, err := strconv.Atoi(storagetest.CLI(t, port, nil, "PTTL", entry))
	require.NoError(t, err)
	assert.InDelta(t, 75000, ttl, 15000)
	assert.Equal(t, "-1", storagetest.CLI(t, port, nil, "PTTL", "oc:{acme}:marks"), "volatile-* policies leave the marks alone")

	got, err := storage.Decode([]byte(storagetest.CLI(t, port, nil, "GET", entry)))
	require.NoError(t, err)
	assert.Equal(t, e, got)

	members := strings.Fields(storagetest.CLI(t, port, nil, "ZRANGE", "oc:{acme}:marks", "0", "-1", "WITHSCORES"))
	scores := map[string]string{}
	for i := 0; i < len(members); i += 2 {
		scores[members[i]] = members[i+1]
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	assert.Equal(t, map[string]string{
		"!e": number(head.Epoch), "!s": number(second.Seq), "!f": "0",
		"ht:" + keys.HashTag("t", "secret-tag"): number(first.Seq), "sp:/blog/": number(second.Seq),
	}, scores)
}

func TestRedisStateLost(t *testing.T) {
	port := storagetest.StartRedis(t)
	for _, c := range []struct {
		name string
		lose func(t *testing.T, marks string)
	}{
		{"evicted", func(t *testing.T, marks string) { storagetest.CLI(t, port, nil, "DEL", marks) }},
		{"replaced by a string", func(t *testing.T, marks string) { storagetest.CLI(t, port, nil, "SET", marks, "x") }},
		{"replaced by a hash", func(t *testing.T, marks string) {
			storagetest.CLI(t, port, nil, "DEL", marks)
			storagetest.CLI(t, port, nil, "HSET", marks, "!e", "1")
		}},
		{"without its epoch", func(t *testing.T, marks string) { storagetest.CLI(t, port, nil, "ZREM", marks, "!e") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ask := range []struct {
				name string
				call func(s *redis.Redis, tenant string, before storage.Head) error
			}{
				{"head", func(s *redis.Redis, tenant string, _ storage.Head) error {
					_, err := s.Head(tenant)
					return err
				}},
				{"purge", func(s *redis.Redis, tenant string, _ storage.Head) error {
					_, err := s.Purge(tenant, storage.Purge{Members: []string{"ht:y"}})
					return err
				}},
				{"lookup and marks", func(s *redis.Redis, tenant string, before storage.Head) error {
					_, head, err := storagetest.Lookup(s, tenant, keys.ID("k"))
					require.NoError(t, err)
					require.Zero(t, head, "no state")
					d, err := s.Marks(tenant, before)
					require.NoError(t, err)
					require.Zero(t, d.Head, "no state")
					_, err = s.Head(tenant)
					return err
				}},
			} {
				t.Run(ask.name, func(t *testing.T) {
					s, tenant := storagetest.OpenRedis(t, port), storagetest.Tenant()
					before, err := s.Purge(tenant, storage.Purge{Members: []string{"ht:x"}})
					require.NoError(t, err)
					c.lose(t, keys.Marks(tenant))
					require.NoError(t, ask.call(s, tenant, before))
					after, err := s.Head(tenant)
					require.NoError(t, err)
					require.NotZero(t, after.Epoch)
					require.NotEqual(t, before.Epoch, after.Epoch, "what is lost counts as purged")
					d, err := s.Marks(tenant, before)
					require.NoError(t, err)
					require.True(t, d.Whole)
					require.Equal(t, after, d.Head)
				})
			}
		})
	}
}

func TestRedisForeignValues(t *testing.T) {
	port := storagetest.StartRedis(t)
	s := storagetest.OpenRedis(t, port)
	head, err := s.Head("t")
	require.NoError(t, err)
	name := keys.Entry("t", keys.ID("k"))
	for _, c := range []struct {
		name string
		put  func()
	}{
		{"garbage", func() { storagetest.CLI(t, port, []byte("garbage"), "SET", name) }},
		{"empty", func() { storagetest.CLI(t, port, nil, "SET", name, "") }},
		{"another type", func() { storagetest.CLI(t, port, nil, "DEL", name); storagetest.CLI(t, port, nil, "RPUSH", name, "x") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.put()
			e, at, err := storagetest.Lookup(s, "t", keys.ID("k"))
			require.ErrorIs(t, err, storage.ErrCorrupt)
			assert.Nil(t, e)
			assert.Equal(t, head, at, "the position comes all the same")
			want := storagetest.Entry("t", "k", head)
			require.NoError(t, s.Store("t", keys.ID("k"), want, 60000))
			e, _, err = storagetest.Lookup(s, "t", keys.ID("k"))
			require.NoError(t, err)
			assert.Equal(t, want, e)
		})
	}
}

// A value that could be written but never be read again.
func TestRedisTooLarge(t *testing.T) {
	port := storagetest.StartRedis(t)
	client := resp.New(resp.Options{Address: "127.0.0.1:" + port, Timeout: 10 * time.Second, MaxReply: 1 << 16})
	t.Cleanup(client.Close)
	s := redis.New(client, storagetest.MaxMarks)
	head, err := s.Head("t")
	require.NoError(t, err)
	e := storagetest.Entry("t", "k", head)
	e.Body = make([]byte, 1<<16)
	require.ErrorIs(t, s.Store("t", keys.ID("k"), e, 60000), storage.ErrTooLarge)
	require.NotErrorIs(t, s.Store("t", keys.ID("k"), e, 60000), storage.ErrUnavailable)
	assert.Equal(t, "0", storagetest.CLI(t, port, nil, "EXISTS", keys.Entry("t", keys.ID("k"))))
	stored, err := storage.Encode(e)
	require.NoError(t, err)
	e.Body = e.Body[:len(e.Body)-(len(stored)-1<<16)]
	require.NoError(t, s.Store("t", keys.ID("k"), e, 60000), "the largest that can be read")
	got, _, err := storagetest.Lookup(s, "t", keys.ID("k"))
	require.NoError(t, err)
	require.Equal(t, e, got)

	// Another client with a higher limit wrote more than this one reads.
	e.Body = make([]byte, 1<<17)
	require.NoError(t, storagetest.OpenRedis(t, port).Store("t", keys.ID("k"), e, 60000))
	_, at, err := storagetest.Lookup(s, "t", keys.ID("k"))
	require.ErrorIs(t, err, storage.ErrCorrupt)
	require.Equal(t, head, at)
}

func TestRedisErrors(t *testing.T) {
	port := storagetest.StartRedis(t)
	s := storagetest.OpenRedis(t, port)
	head, err := s.Head("t")
	require.NoError(t, err)
	calls := map[string]func() error{
		"lookup": func() error { _, _, err := storagetest.Lookup(s, "t", keys.ID("k")); return err },
		"store":  func() error { return s.Store("t", keys.ID("k"), storagetest.Entry("t", "k", head), 1000) },
		"remove": func() error { return s.Remove("t", []string{keys.ID("k")}) },
		"head":   func() error { _, err := s.Head("t"); return err },
		"marks":  func() error { _, err := s.Marks("t", head); return err },
		"purge":  func() error { _, err := s.Purge("t", storage.Purge{All: true}); return err },
		"reset":  func() error { _, err := s.Reset("t"); return err },
	}
	for name, call := range calls {
		require.NoError(t, call(), name)
	}
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "maxmemory", "1")
	assert.ErrorIs(t, calls["store"](), storage.ErrRefused)
	require.NoError(t, calls["lookup"]())
	storagetest.CLI(t, port, nil, "CONFIG", "SET", "requirepass", "x") // new connections are refused each command
	s = storagetest.OpenRedis(t, port)
	for name, call := range calls {
		assert.ErrorIs(t, call(), storage.ErrUnavailable, name)
	}
	assert.NotErrorIs(t, calls["store"](), storage.ErrRefused, "nothing can be read either")
}
