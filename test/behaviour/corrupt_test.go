package behaviour_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// TestForeignBytesInRedis: a miss with a reason, and the entry is replaced, for
// visitors with and without a session.
func TestForeignBytesInRedis(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		socket := redisSocket(t)
		client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
		t.Cleanup(func() { _ = client.Close() })
		s := site.New(t, load, site.Options{
			"redis":  site.Options{"address": "unix://" + socket, "timeout": "5s", "dialTimeout": "5s"},
			"memory": site.Options{"bytes": "0"}, "rules": []site.Options{{"match": site.Everything, "ttl": "60"}},
		}, site.Page("from the origin"))
		ctx := context.Background()
		for _, line := range []string{"A: b", "Cookie: session_id=" + site.SessionID(1)} {
			for _, value := range []string{"garbage", "", "oc1 00000000 1 1 1\nabc"} {
				s.Get("/")
				keys, err := client.Keys(ctx, "oc:*:e:*").Result()
				require.NoError(t, err)
				require.Len(t, keys, 1)
				require.NoError(t, client.Set(ctx, keys[0], value, time.Minute).Err())
				got := s.Get("/", line)
				assert.Equal(t, "from the origin", got.Body, "%q", value)
				if line == "A: b" { // else the session goes first
					assert.Contains(t, got.CacheStatus(), "store-corrupt", "%q", value)
				}
				s.Get("/")
				for i := 0; i < 3; i++ {
					assert.Contains(t, s.Get("/").CacheStatus(), "; hit", "%q", value)
				}
				require.NoError(t, client.Del(ctx, keys[0]).Err())
				require.NoError(t, client.LPush(ctx, keys[0], "x").Err())
				assert.Equal(t, "from the origin", s.Get("/", line).Body)
				s.Get("/")
				assert.Contains(t, s.Get("/").CacheStatus(), "; hit")
				require.NoError(t, client.Del(ctx, keys[0]).Err())
			}
		}
	})
}
