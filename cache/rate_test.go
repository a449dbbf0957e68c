package cache

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/odoocache/odoocache/cache/storage"
)

// TestAllowed: as many as in a minute at once, then one after the other.
func TestAllowed(t *testing.T) {
	a := &allowed{}
	now := int64(1_000_000)
	for i := 0; i < 60; i++ {
		assert.Zero(t, a.wait(60, now))
	}
	assert.EqualValues(t, 1001, a.wait(60, now))
	assert.EqualValues(t, 501, a.wait(60, now+500), "who is refused takes nothing")
	assert.Zero(t, a.wait(60, now+1000))
	assert.EqualValues(t, 1001, a.wait(60, now+1000))
	for i := 0; i < 10; i++ {
		assert.Zero(t, a.wait(60, now+11000))
	}
	assert.NotZero(t, a.wait(60, now+11000))
	for i := 0; i < 60; i++ {
		assert.Zero(t, a.wait(60, now+3600_000))
	}
	assert.NotZero(t, a.wait(60, now+3600_000), "no more are saved than in a minute")
	assert.Zero(t, a.wait(0, now+3600_000), "there is no bound")
	assert.NotZero(t, a.wait(6, now+3600_000), "a quota that is less now")
}

// TestPurgesTogether: several purges are one, which purges all that any of them does.
func TestPurgesTogether(t *testing.T) {
	soft := func(members ...string) storage.Purge { return storage.Purge{Soft: true, Members: members} }
	hard := func(members ...string) storage.Purge { return storage.Purge{Members: members} }
	for _, c := range []struct {
		name string
		list []storage.Purge
		want storage.Purge
	}{
		{"soft ones", []storage.Purge{soft("st:a"), soft("st:b", "st:a")}, soft("st:a", "st:b")},
		{"a hard one among soft ones", []storage.Purge{soft("st:a"), hard("ht:a")}, hard("st:a", "ht:a")},
		{"everything, softly", []storage.Purge{soft("st:a"), {Soft: true, All: true, Members: []string{"st:all"}}}, soft("st:a", "st:all")},
		{"everything", []storage.Purge{hard("ht:a"), {All: true}, soft("st:b")}, storage.Purge{All: true}},
		{"too many", []storage.Purge{soft("1", "2", "3"), soft("4"), soft("5")}, storage.Purge{All: true}},
	} {
		b := &batch{has: map[string]bool{}, purge: storage.Purge{Soft: true}}
		for _, p := range c.list {
			b.add(p, 4)
		}
		assert.Equal(t, c.want, b.purge, c.name)
	}
}
