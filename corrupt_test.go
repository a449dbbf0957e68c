package odoocache_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestForeignBytesInRedis: a miss with a reason, and the entry is replaced, for
// visitors with and without a session.
func TestForeignBytesInRedis(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		socket := redisSocket(t)
		client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
		t.Cleanup(func() { _ = client.Close() })
		s := newSite(t, load, options{
			"redis":  options{"address": "unix://" + socket, "timeout": "5s", "dialTimeout": "5s"},
			"memory": options{"bytes": "0"}, "rules": []options{{"match": everything, "ttl": "60"}},
		}, page("from the origin"))
		ctx := context.Background()
		for _, line := range []string{"A: b", "Cookie: session_id=" + sid(1)} {
			for _, value := range []string{"garbage", "", "oc1 00000000 1 1 1\nabc"} {
				s.get("/")
				keys, err := client.Keys(ctx, "oc:*:e:*").Result()
				require.NoError(t, err)
				require.Len(t, keys, 1)
				require.NoError(t, client.Set(ctx, keys[0], value, time.Minute).Err())
				got := s.get("/", line)
				assert.Equal(t, "from the origin", got.body, "%q", value)
				if line == "A: b" { // else the session goes first
					assert.Contains(t, got.cacheStatus(), "store-corrupt", "%q", value)
				}
				s.get("/")
				for i := 0; i < 3; i++ {
					assert.Contains(t, s.get("/").cacheStatus(), "; hit", "%q", value)
				}
				require.NoError(t, client.Del(ctx, keys[0]).Err())
				require.NoError(t, client.LPush(ctx, keys[0], "x").Err())
				assert.Equal(t, "from the origin", s.get("/", line).body)
				s.get("/")
				assert.Contains(t, s.get("/").cacheStatus(), "; hit")
				require.NoError(t, client.Del(ctx, keys[0]).Err())
			}
		}
	})
}
