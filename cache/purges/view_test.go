package purges

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/storage"
)

func TestViewApplyOrder(t *testing.T) {
	x := func(seq int64) []storage.Mark { return []storage.Mark{{Member: storage.TagMark("x", false), Seq: seq}} }
	a, b := int64(1<<50), int64(1<<50+1)
	for _, c := range []struct {
		name   string
		deltas []storage.Delta
		asks   []int64
		head   storage.Head
		mark   int64
	}{
		{"in order", []storage.Delta{{Head: storage.Head{Epoch: a, Seq: 5}, Whole: true}, {Head: storage.Head{Epoch: a, Seq: 6}, Marks: x(6)}}, []int64{1, 2}, storage.Head{Epoch: a, Seq: 6}, 6},
		{"an older delta after a newer one", []storage.Delta{
			{Head: storage.Head{Epoch: a, Seq: 5}, Whole: true}, {Head: storage.Head{Epoch: a, Seq: 7}, Marks: x(7)}, {Head: storage.Head{Epoch: a, Seq: 6}, Marks: x(6)},
		}, []int64{1, 3, 2}, storage.Head{Epoch: a, Seq: 7}, 7},
		{"an older whole after a newer one", []storage.Delta{
			{Head: storage.Head{Epoch: a, Seq: 6}, Whole: true, Marks: x(6)}, {Head: storage.Head{Epoch: a, Seq: 5}, Whole: true},
		}, []int64{2, 1}, storage.Head{Epoch: a, Seq: 6}, 6},
		{"an older whole that was asked for later", []storage.Delta{
			{Head: storage.Head{Epoch: a, Seq: 6}, Whole: true, Marks: x(6)}, {Head: storage.Head{Epoch: a, Seq: 5}, Whole: true},
		}, []int64{1, 2}, storage.Head{Epoch: a, Seq: 6}, 6},
		{"a newer whole", []storage.Delta{
			{Head: storage.Head{Epoch: a, Seq: 5}, Whole: true, Marks: x(5)}, {Head: storage.Head{Epoch: a, Seq: 6}, Whole: true, Floor: 6},
		}, []int64{1, 2}, storage.Head{Epoch: a, Seq: 6}, 0},
		{"a state that is gone, after the new one", []storage.Delta{
			{Head: storage.Head{Epoch: b, Seq: 1}, Whole: true}, {Head: storage.Head{Epoch: a, Seq: 9}, Whole: true, Marks: x(9)},
		}, []int64{2, 1}, storage.Head{Epoch: b, Seq: 1}, 0},
		{"a new state", []storage.Delta{
			{Head: storage.Head{Epoch: a, Seq: 9}, Whole: true, Marks: x(9)}, {Head: storage.Head{Epoch: b, Seq: 1}, Whole: true},
		}, []int64{1, 2}, storage.Head{Epoch: b, Seq: 1}, 0},
		{"a part of another state", []storage.Delta{
			{Head: storage.Head{Epoch: a, Seq: 9}, Whole: true, Marks: x(9)}, {Head: storage.Head{Epoch: b, Seq: 10}, Marks: x(10)},
		}, []int64{1, 2}, storage.Head{Epoch: a, Seq: 9}, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := New("t", 0, nil)
			for i, d := range c.deltas {
				v.Apply(d, c.asks[i], 1000)
			}
			assert.Equal(t, c.head, v.Head())
			assert.Equal(t, c.mark, v.hard["x"])
		})
	}
}

func TestViewPrefixesAreBounded(t *testing.T) {
	v := New("t", 0, nil)
	v.Apply(storage.Delta{Head: storage.Head{Epoch: 9, Seq: 1}, Whole: true}, 1, 1)
	for i := int64(2); i < 500; i++ {
		v.Apply(storage.Delta{Head: storage.Head{Epoch: 9, Seq: i}, Marks: []storage.Mark{{Member: storage.PrefixMark(fmt.Sprintf("/%d/", i), true), Seq: i}}}, i, 1)
		require.LessOrEqual(t, len(v.prefixes), MaxPrefixes)
		for old := int64(1); old < i; old++ {
			e := &storage.Entry{Epoch: 9, Seq: old, Path: fmt.Sprintf("/%d/", old+1)}
			require.NotEqual(t, Valid, v.Check(e))
		}
	}
	require.Equal(t, Valid, v.Check(&storage.Entry{Epoch: 9, Seq: 498, Path: "/498/"}))
}

func TestViewForgetsBelowTheFloor(t *testing.T) {
	v := New("t", 0, nil)
	v.Apply(storage.Delta{Head: storage.Head{Epoch: 9, Seq: 3}, Whole: true, Marks: []storage.Mark{{Member: "ht:a", Seq: 2}, {Member: "st:b", Seq: 3}}}, 1, 1)
	v.Apply(storage.Delta{Head: storage.Head{Epoch: 9, Seq: 4}, Floor: 2, Marks: []storage.Mark{{Member: "ht:c", Seq: 4}}}, 2, 1)
	require.Equal(t, map[string]int64{"c": 4}, v.hard)
	require.Equal(t, map[string]int64{"b": 3}, v.soft)
	require.Equal(t, Purged, v.Check(&storage.Entry{Epoch: 9, Seq: 1}))
	require.Equal(t, Valid, v.Check(&storage.Entry{Epoch: 9, Seq: 2, Tags: []string{"a"}}), "asked after the purge of a")
	require.Equal(t, Purged, v.Check(&storage.Entry{Epoch: 9, Seq: 3, Tags: []string{"c"}}))
	require.Equal(t, Purged, v.Check(&storage.Entry{Epoch: 9, Seq: 5}), "of a state that this one is not yet")
}

// TestCurrent: a purge within the same ms as the last answer may be unknown.
func TestCurrent(t *testing.T) {
	v := New("t", 0, nil)
	v.Apply(storage.Delta{Head: storage.Head{Epoch: 9, Seq: 1}, Whole: true}, 1, 5000)
	e := &storage.Entry{Epoch: 9, Seq: 1}
	_, _, current := v.CheckCurrent(e, 4999)
	require.True(t, current)
	_, _, current = v.CheckCurrent(e, 5000)
	require.False(t, current)
}
