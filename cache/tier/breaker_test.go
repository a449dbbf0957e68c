package tier

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
)

func newBreaker() *breaker { return &breaker{threshold: 3, min: 1000, max: 8000} }

func TestBreakerOpensAndCloses(t *testing.T) {
	b := newBreaker()
	for i := 0; i < 10; i++ { // two failures, then a success: never open
		b.failure(0)
		b.failure(0)
		require.True(t, b.allow(0))
		b.success()
	}
	b.failure(0)
	b.failure(0)
	require.False(t, b.open())
	b.failure(0)
	require.True(t, b.open())
	require.False(t, b.allow(0))
	require.False(t, b.allow(b.until.Load()-1))
	at := b.until.Load()
	require.True(t, b.allow(at), "one may try")
	require.False(t, b.allow(at), "one")
	require.False(t, b.allow(at+999))
	b.success()
	require.False(t, b.open())
	require.True(t, b.allow(at))
	require.EqualValues(t, 1, b.opened)
}

func TestBreakerProbeThatNeverTells(t *testing.T) {
	b := newBreaker()
	for i := 0; i < 3; i++ {
		b.failure(0)
	}
	at := b.until.Load()
	require.True(t, b.allow(at))
	require.False(t, b.allow(at+999))
	require.True(t, b.allow(at+1000))
}

func TestBreakerPauses(t *testing.T) {
	lowest, highest := map[int]int64{}, map[int]int64{}
	for round := 0; round < 500; round++ {
		b := newBreaker()
		b.failure(0)
		b.failure(0)
		now := int64(1_000_000)
		for i := 0; i < 6; i++ {
			b.failure(now)
			pause := b.until.Load() - now
			if lowest[i] == 0 || pause < lowest[i] {
				lowest[i] = pause
			}
			if pause > highest[i] {
				highest[i] = pause
			}
			now = b.until.Load()
			require.True(t, b.allow(now))
		}
		require.EqualValues(t, 1, b.opened)
	}
	for i, full := range []int64{1000, 2000, 4000, 8000, 8000, 8000} {
		require.GreaterOrEqual(t, lowest[i], full/2, "pause %d", i)
		require.LessOrEqual(t, highest[i], full, "pause %d", i)
		require.Greater(t, highest[i]-lowest[i], full/4, "pause %d is jittered", i)
	}
}

// Requests that were under way when it opened fail together: that is one
// outage, not many pauses in a row.
func TestBreakerCountsAnOutageOnce(t *testing.T) {
	b := newBreaker()
	for i := 0; i < 50; i++ {
		b.failure(100)
	}
	require.LessOrEqual(t, b.until.Load(), int64(1100))
	at := b.until.Load()
	require.True(t, b.allow(at))
	for i := 0; i < 50; i++ {
		b.failure(at)
	}
	require.LessOrEqual(t, b.until.Load(), at+2000)
}

func TestNotAsked(t *testing.T) {
	openedOf := func(head storage.Head) *Tenant {
		v := newTenant("t", 1000, nil, 10)
		v.guard = &breaker{threshold: 2, min: 60000, max: 60000}
		v.purges.Apply(storage.Delta{Head: head, Whole: true}, 1, storage.Ticks()-2000)
		v.guard.failure(storage.Ticks())
		require.Zero(t, v.OpenUntil().Load(), "one failure does not open it")
		require.Empty(t, NotAsked(v))
		v.guard.failure(storage.Ticks())
		return v
	}
	opened := func() *Tenant { return openedOf(storage.Head{Epoch: 9, Seq: 1}) }
	t.Run("open", func(t *testing.T) {
		v := opened()
		require.Greater(t, v.OpenUntil().Load(), storage.Ticks())
		require.Equal(t, policy.ReasonBreakerOpen, NotAsked(v))
	})
	t.Run("purges wait", func(t *testing.T) {
		v := opened()
		v.purges.At(storage.Head{Epoch: 9, Seq: 1}, storage.Ticks())
		v.purges.Journal([]purges.Waiting{{Purge: storage.Purge{All: true}, Note: &purges.Note{}}}, 10)
		require.Equal(t, policy.ReasonPurgePending, NotAsked(v))
	})
	t.Run("what is known is recent enough for memory", func(t *testing.T) {
		v := opened()
		v.purges.At(storage.Head{Epoch: 9, Seq: 1}, storage.Ticks())
		require.Empty(t, NotAsked(v))
	})
	t.Run("recent, but of no state", func(t *testing.T) {
		v := openedOf(storage.Head{})
		v.purges.At(storage.Head{}, storage.Ticks())
		require.Equal(t, policy.ReasonBreakerOpen, NotAsked(v))
	})
	t.Run("its pause is over: one may try, the others may not", func(t *testing.T) {
		v := opened()
		v.guard.until.Store(storage.Ticks())
		require.Empty(t, NotAsked(v))
		require.True(t, v.guard.allow(storage.Ticks()))
		require.Equal(t, policy.ReasonBreakerOpen, NotAsked(v))
		require.False(t, v.guard.allow(storage.Ticks()))
	})
	t.Run("closed again", func(t *testing.T) {
		v := opened()
		v.guard.success()
		require.Zero(t, v.OpenUntil().Load())
		require.Empty(t, NotAsked(v))
	})
}
