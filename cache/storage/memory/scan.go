package memory

import (
	"strings"

	"github.com/odoocache/odoocache/cache/storage"
)

// Scan implements Storage: all at once.
func (m *Memory) Scan(tenant, _ string) (*storage.Scanned, error) {
	found := &storage.Scanned{}
	list := m.entries.of(tenant)
	for i := 0; i < len(list); i++ {
		found.IDs = append(found.IDs, strings.TrimPrefix(list[i].id, ID(tenant, "")))
		found.Entries = append(found.Entries, list[i].entry)
		found.Bytes = append(found.Bytes, int(list[i].size))
	}
	return found, nil
}

// Sweep removes what gone tells of a tenant's entries.
func (s *Sieve) Sweep(tenant string, gone func(e *storage.Entry) bool) {
	list := s.of(tenant)
	for i := 0; i < len(list); i++ {
		if gone(list[i].entry) {
			s.Remove(list[i].id)
		}
	}
}
