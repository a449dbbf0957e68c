package cache

import (
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/storage"
)

// listOf returns the list of variants that a visit's page had, nil if none is known.
func listOf(m *identities, v *visit) *storage.List {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := v.id.list; l != nil && l.Entry.Key == v.primary {
		return l
	}
	return nil
}

func setList(m *identities, v *visit, l *storage.List) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v.id.list = l; l != nil {
		atomic.StoreInt32(&v.id.varied, 1)
	}
}

// useVariant notes that a variant of an identity was hit.
func useVariant(m *identities, id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used == nil || len(m.used) >= m.max {
		m.used = map[string]int64{}
	}
	m.uses++
	m.used[id] = m.uses
}

// spare returns a list of variants with the one last that has to go for another: the oldest
// that is not known to have been hit, else the one that was not hit for longest.
func spare(m *identities, list []string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := len(list) - 1
	for i := last - 1; i >= 0; i-- {
		if m.used[list[i]] < m.used[list[last]] {
			last = i
		}
	}
	rest := append(append([]string{}, list[:last]...), list[last+1:]...)
	return append(rest, list[last])
}
