package resp

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Another client reads what this one wrote, and the other way round.
func TestGoRedis(t *testing.T) {
	s := StartRedis(t, "--requirepass", "hunter2")
	ours := patient(t, Options{Address: s.Address, Password: "hunter2", DB: 2})
	theirs := redis.NewClient(&redis.Options{Addr: s.Address, Password: "hunter2", DB: 2})
	defer theirs.Close()
	ctx := context.Background()
	bodies := [][]byte{{}, []byte("v"), []byte("\r\n\x00\xff$-1\r\n"), bytes.Repeat([]byte("0123456789abcdef"), 1<<16),
		make([]byte, bigBody-1), make([]byte, bigBody), make([]byte, bigBody+1)}
	for i, body := range bodies {
		key := "k " + itoa(i) + "\r\nü"
		one(t, ours, Command{Args: []string{"SET", key}, Body: body, Tail: []string{"PX", "60000"}})
		got, err := theirs.Get(ctx, key).Bytes()
		require.NoError(t, err)
		assert.True(t, bytes.Equal(body, got))
		ttl, err := theirs.PTTL(ctx, key).Result()
		require.NoError(t, err)
		assert.InDelta(t, 60*time.Second, ttl, float64(10*time.Second))

		require.NoError(t, theirs.Set(ctx, key, body, 0).Err())
		assert.True(t, bytes.Equal(body, one(t, ours, args("GET", key)).Body))
	}
	r, err := ours.Do(args("ZADD", "z", "1", "a", "2", "b"), args("HSET", "h", "f", "v"), args("SADD", "s", "m"))
	require.NoError(t, err)
	require.Len(t, r, 3)
	z, err := theirs.ZRangeWithScores(ctx, "z", 0, -1).Result()
	require.NoError(t, err)
	assert.Equal(t, []redis.Z{{Score: 1, Member: "a"}, {Score: 2, Member: "b"}}, z)
	h, err := theirs.HGetAll(ctx, "h").Result()
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"f": "v"}, h)
	n, err := theirs.DBSize(ctx).Result()
	require.NoError(t, err)
	assert.Equal(t, one(t, ours, args("DBSIZE")).Int, n)
}

func BenchmarkGoRedisGet50k(b *testing.B) {
	s := StartRedis(b)
	theirs := redis.NewClient(&redis.Options{Addr: s.Address})
	defer theirs.Close()
	ctx := context.Background()
	require.NoError(b, theirs.Set(ctx, "page", make([]byte, 50_000), 0).Err())
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		got, err := theirs.Get(ctx, "page").Bytes()
		if err != nil || len(got) != 50_000 {
			b.Fatal(err)
		}
	}
}
