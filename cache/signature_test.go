package cache

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestNonceMemory: a nonce is known for longer than its signature can hold, and none that
// may hold makes room for another.
func TestNonceMemory(t *testing.T) {
	const longest = 2 * maxSignatureAge * 1000
	for _, start := range []int64{0, 1, generation - 1, generation, generation + 1, 5*generation + 7} {
		m := &nonceMemory{tenants: map[string]*nonceGenerations{}}
		assert.Equal(t, nonceTaken, m.take("a", "other", 100, 0))
		assert.Equal(t, nonceTaken, m.take("a", "n", 100, start))
		for _, later := range []int64{0, 1, longest / 2, longest} {
			assert.Equal(t, nonceUsed, m.take("a", "n", 100, start+later), "%d, %d ms later", start, later)
		}
		assert.Equal(t, nonceTaken, m.take("b", "n", 100, start), "another tenant's")
		assert.Equal(t, nonceTaken, m.take("a", "n", 100, start+2*generation+longest), "it is forgotten some time")
	}

	m := &nonceMemory{tenants: map[string]*nonceGenerations{}}
	for i := 0; i < 60; i++ {
		assert.Equal(t, nonceTaken, m.take("a", fmt.Sprint("first", i), 100, 0))
	}
	for i := 0; i < 40; i++ {
		assert.Equal(t, nonceTaken, m.take("a", fmt.Sprint("second", i), 100, generation))
	}
	assert.Equal(t, nonceFull, m.take("a", "one more", 100, generation))
	assert.Equal(t, nonceUsed, m.take("a", "first0", 100, generation), "nothing was forgotten for it")
	assert.Equal(t, nonceTaken, m.take("b", "one more", 100, generation), "others have room")
	assert.Equal(t, nonceTaken, m.take("a", "one more", 100, 2*generation))
}
