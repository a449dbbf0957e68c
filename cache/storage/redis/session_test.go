package redis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
	"github.com/odoocache/odoocache/keys"
)

// TestChangesLost: where one of the two sets is gone, or is not what it was, nothing may be
// remembered of sessions, and what was noted since is of another epoch.
func TestChangesLost(t *testing.T) {
	port := storagetest.StartRedis(t)
	const hour, most = 3600 * 1000, 100
	for name, lose := range map[string]func(tenant string){
		"sessions evicted":             func(tenant string) { storagetest.CLI(t, port, nil, "DEL", keys.Sessions(tenant)) },
		"changes evicted":              func(tenant string) { storagetest.CLI(t, port, nil, "DEL", keys.Changes(tenant)) },
		"both":                         func(tenant string) { storagetest.CLI(t, port, nil, "DEL", keys.Changes(tenant), keys.Sessions(tenant)) },
		"sessions replaced":            func(tenant string) { storagetest.CLI(t, port, nil, "SET", keys.Sessions(tenant), "x") },
		"changes replaced":             func(tenant string) { storagetest.CLI(t, port, nil, "SET", keys.Changes(tenant), "x") },
		"sessions of a version before": func(tenant string) { storagetest.CLI(t, port, nil, "ZREM", keys.Sessions(tenant), "!e") },
		"changes of another epoch": func(tenant string) {
			storagetest.CLI(t, port, nil, "ZADD", keys.Changes(tenant), "1125899906842624", "!e")
		},
		"more changes than anybody notes": func(tenant string) {
			storagetest.CLI(t, port, nil, "EVAL", "for i = 1, 2000 do redis.call('ZADD', KEYS[1], i, 'x' .. i) end", "1", keys.Changes(tenant))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, tenant := storagetest.OpenRedis(t, port), storagetest.Tenant()
			changes := func(since storage.Head) *storage.Changes {
				c, err := s.Changes(tenant, since)
				require.NoError(t, err)
				return c
			}
			require.NoError(t, s.NoteDefault(tenant, "a", hour, most))
			before := changes(storage.Head{}).At
			require.NotZero(t, before)
			lose(tenant)
			require.Zero(t, changes(before).At)
			if name == "more changes than anybody notes" {
				return
			}
			require.NoError(t, s.NoteDefault(tenant, "b", hour, most))
			after := changes(before)
			require.NotZero(t, after.At.Epoch)
			require.NotEqual(t, before.Epoch, after.At.Epoch)
			require.True(t, after.Whole)
			_, err := s.Mark(tenant, []string{"b"}, true, storage.NowMS()+hour)
			require.NoError(t, err)
			require.Equal(t, []string{"b"}, changes(after.At).Sessions)
		})
	}
}
