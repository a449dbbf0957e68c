package storage

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestViewApplyOrder(t *testing.T) {
	x := func(seq int64) []Mark { return []Mark{{TagMark("x", false), seq}} }
	a, b := int64(1<<50), int64(1<<50+1)
	for _, c := range []struct {
		name   string
		deltas []Delta
		asks   []int64
		head   Head
		mark   int64
	}{
		{"in order", []Delta{{Head: Head{a, 5}, Whole: true}, {Head: Head{a, 6}, Marks: x(6)}}, []int64{1, 2}, Head{a, 6}, 6},
		{"an older delta after a newer one", []Delta{
			{Head: Head{a, 5}, Whole: true}, {Head: Head{a, 7}, Marks: x(7)}, {Head: Head{a, 6}, Marks: x(6)},
		}, []int64{1, 3, 2}, Head{a, 7}, 7},
		{"an older whole after a newer one", []Delta{
			{Head: Head{a, 6}, Whole: true, Marks: x(6)}, {Head: Head{a, 5}, Whole: true},
		}, []int64{2, 1}, Head{a, 6}, 6},
		{"an older whole that was asked for later", []Delta{
			{Head: Head{a, 6}, Whole: true, Marks: x(6)}, {Head: Head{a, 5}, Whole: true},
		}, []int64{1, 2}, Head{a, 6}, 6},
		{"a newer whole", []Delta{
			{Head: Head{a, 5}, Whole: true, Marks: x(5)}, {Head: Head{a, 6}, Whole: true, Floor: 6},
		}, []int64{1, 2}, Head{a, 6}, 0},
		{"a state that is gone, after the new one", []Delta{
			{Head: Head{b, 1}, Whole: true}, {Head: Head{a, 9}, Whole: true, Marks: x(9)},
		}, []int64{2, 1}, Head{b, 1}, 0},
		{"a new state", []Delta{
			{Head: Head{a, 9}, Whole: true, Marks: x(9)}, {Head: Head{b, 1}, Whole: true},
		}, []int64{1, 2}, Head{b, 1}, 0},
		{"a part of another state", []Delta{
			{Head: Head{a, 9}, Whole: true, Marks: x(9)}, {Head: Head{b, 10}, Marks: x(10)},
		}, []int64{1, 2}, Head{a, 9}, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newView("t", 0, nil)
			for i, d := range c.deltas {
				v.apply(d, c.asks[i], 1000)
			}
			assert.Equal(t, c.head, v.Head())
			assert.Equal(t, c.mark, v.hard["x"])
		})
	}
}

func TestViewPrefixesAreBounded(t *testing.T) {
	v := newView("t", 0, nil)
	v.apply(Delta{Head: Head{9, 1}, Whole: true}, 1, 1)
	for i := int64(2); i < 500; i++ {
		v.apply(Delta{Head: Head{9, i}, Marks: []Mark{{PrefixMark(fmt.Sprintf("/%d/", i), true), i}}}, i, 1)
		require.LessOrEqual(t, len(v.prefixes), maxPrefixes)
		for old := int64(1); old < i; old++ {
			e := &Entry{Epoch: 9, Seq: old, Path: fmt.Sprintf("/%d/", old+1)}
			require.NotEqual(t, Valid, v.Check(e))
		}
	}
	require.Equal(t, Valid, v.Check(&Entry{Epoch: 9, Seq: 498, Path: "/498/"}))
}

func TestViewForgetsBelowTheFloor(t *testing.T) {
	v := newView("t", 0, nil)
	v.apply(Delta{Head: Head{9, 3}, Whole: true, Marks: []Mark{{"ht:a", 2}, {"st:b", 3}}}, 1, 1)
	v.apply(Delta{Head: Head{9, 4}, Floor: 2, Marks: []Mark{{"ht:c", 4}}}, 2, 1)
	require.Equal(t, map[string]int64{"c": 4}, v.hard)
	require.Equal(t, map[string]int64{"b": 3}, v.soft)
	require.Equal(t, Purged, v.Check(&Entry{Epoch: 9, Seq: 1}))
	require.Equal(t, Valid, v.Check(&Entry{Epoch: 9, Seq: 2, Tags: []string{"a"}}), "asked after the purge of a")
	require.Equal(t, Purged, v.Check(&Entry{Epoch: 9, Seq: 3, Tags: []string{"c"}}))
	require.Equal(t, Purged, v.Check(&Entry{Epoch: 9, Seq: 5}), "of a state that this one is not yet")
}

// TestCurrent: a purge within the same ms as the last answer may be unknown.
func TestCurrent(t *testing.T) {
	v := newView("t", 0, nil)
	v.apply(Delta{Head: Head{9, 1}, Whole: true}, 1, 5000)
	e := &Entry{Epoch: 9, Seq: 1}
	_, _, current := v.judge(e, 4999)
	require.True(t, current)
	_, _, current = v.judge(e, 5000)
	require.False(t, current)
}
