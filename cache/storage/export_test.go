package storage

import "hash/crc32"

// Checksum is that of stored entries.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Blind wraps a storage so that the views on it never learn of a mark: as if
// nothing called View.Check.
func Blind(s Storage) Storage { return blind{s} }

type blind struct{ Storage }

func (b blind) Marks(tenant string, since Head) (Delta, error) {
	d, err := b.Storage.Marks(tenant, since)
	d.Marks, d.Floor = nil, 0
	return d, err
}
