package redis

import (
	"strings"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// scanScript returns a cursor and keys of a tenant's entries. It is a script, since it names a key
// of the tenant: so a cluster has it run where the tenant's keys are.
//
// KEYS[1] the tenant's purge state; ARGV: cursor, pattern, about how many.
const scanScript = `return redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])`

const (
	scanCount = "500" // keys of all tenants that Redis looks at for a call
	scanRead  = 10    // entries that are read at once: each may be large
)

// Scan implements Storage. Whatever of a tenant's has its key's form is taken for an entry.
func (s *Redis) Scan(tenant, cursor string) (*storage.Scanned, error) {
	if cursor == "" {
		cursor = "0"
	}
	begin := keys.Entry(tenant, "")
	replies, err := s.do(resp.Command{Args: []string{"EVAL", scanScript, "1", keys.Marks(tenant), cursor, begin + "*", scanCount}})
	if err != nil {
		return nil, err
	}
	found := &storage.Scanned{}
	if items := replies[0].Items; len(items) == 2 {
		found.Cursor = string(items[0].Body)
		for i := 0; i < len(items[1].Items); i++ {
			found.IDs = append(found.IDs, strings.TrimPrefix(string(items[1].Items[i].Body), begin))
		}
	}
	if found.Cursor == "0" {
		found.Cursor = ""
	}
	return found, readScanned(s, tenant, found)
}

// readScanned reads entries. Those that are gone meanwhile are left out.
func readScanned(s *Redis, tenant string, found *storage.Scanned) error {
	ids := found.IDs
	found.IDs = nil
	for len(ids) > 0 {
		n := len(ids)
		if n > scanRead {
			n = scanRead
		}
		var cmds []resp.Command
		for i := 0; i < n; i++ {
			cmds = append(cmds, resp.Command{Args: []string{"GET", keys.Entry(tenant, ids[i])}})
		}
		replies, err := s.do(cmds...)
		if err != nil {
			return err
		}
		for i := 0; i < n; i++ {
			if replies[i].Null {
				continue
			}
			e, err := decode(s, tenant, ids[i], replies[i].Body)
			if err != nil {
				e = nil
			}
			found.IDs = append(found.IDs, ids[i])
			found.Entries = append(found.Entries, e)
			found.Bytes = append(found.Bytes, len(replies[i].Body))
		}
		ids = ids[n:]
	}
	return nil
}
