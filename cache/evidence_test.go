package cache

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestEvidenceGivesWay: whoever reads an answer as slowly as they like does not keep others from
// being compared, and what was kept of it is not held any more.
func TestEvidenceGivesWay(t *testing.T) {
	d := &doubts{max: 10}
	slow := &evidence{limit: 100, since: 1000}
	other := &evidence{limit: 100, since: 2000}
	assert.True(t, takeRoom(d, slow, 2))
	assert.True(t, takeRoom(d, other, 2))
	assert.True(t, appendEvidence(d, slow, []byte("a part")))
	early := &evidence{limit: 100, since: 1000 + roomTime}
	assert.False(t, takeRoom(d, early, 2), "they have their time")
	late := &evidence{limit: 100, since: 1001 + roomTime}
	assert.True(t, takeRoom(d, late, 2))
	assert.False(t, takeRoom(d, &evidence{since: 1002 + roomTime}, 2), "one of them was too slow")
	assert.Empty(t, wholeEvidence(d, slow))
	assert.False(t, appendEvidence(d, slow, []byte("another")))
	assert.Empty(t, slow.body)
	giveRoom(d, slow) // it had lost it
	assert.Len(t, d.rooms, 2)
	assert.True(t, appendEvidence(d, late, []byte("whole")))
	assert.Equal(t, "whole", string(wholeEvidence(d, late)))
	giveRoom(d, late)
	giveRoom(d, other)
	assert.Empty(t, d.rooms)
}
