package cache

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRefusalsInTheLog: some lines at once, then one in a while, with the number of those that are
// missing; for each key, and for all together.
func TestRefusalsInTheLog(t *testing.T) {
	b := &refusals{}
	written := func(of string, times int, now int64) (lines int, quiet int64) {
		for i := 0; i < times; i++ {
			if n, speak := b.take(of, now); speak {
				lines++
				quiet += n
			}
		}
		return lines, quiet
	}
	check := func(wantLines int, wantQuiet int64, of string, times int, now int64) {
		t.Helper()
		lines, quiet := written(of, times, now)
		assert.Equal(t, wantLines, lines)
		assert.Equal(t, wantQuiet, quiet)
	}
	check(refusalsAtOnce, 0, "a none", 1000, 0)
	check(refusalsAtOnce, 0, "a current", 20, 0)
	check(refusalsAtOnce, 0, "b none", 20, 0)
	check(0, 0, "a none", 5, refusalsEach-1)
	check(1, 1000-refusalsAtOnce+5, "a none", 3, refusalsEach)
	check(0, 0, "a none", 1, 2*refusalsEach-1)
	check(1, 3, "a none", 1, 2*refusalsEach)
	check(refusalsAtOnce, 0, "a none", 50, 1000*refusalsEach)

	b = &refusals{}
	total := 0
	for i := 0; i < 1000; i++ {
		lines, _ := written(fmt.Sprint("t", i), 100, 0)
		total += lines
	}
	assert.Equal(t, allRefusalsAtOnce, total, "of a thousand tenants together")
	for i := 0; i < 1000; i++ {
		lines, _ := written(fmt.Sprint("t", i), 100, 60*allRefusalsEach)
		total += lines
	}
	assert.Equal(t, allRefusalsAtOnce+60, total, "a minute later")
}
