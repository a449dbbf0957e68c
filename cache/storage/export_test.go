package storage

import "hash/crc32"

// Checksum is that of stored entries.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, Castagnoli) }
