package tier

import (
	"fmt"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
)

// A purge only says what is wrong from now on: that is why it costs the same for one page or a
// million. What it is about stays in Redis until its time is over. Sweep removes it.

// Swept is what was removed.
type Swept struct {
	Scanned int    // entries that were looked at
	Entries int    // of these, those that were removed
	Bytes   int64  // of these, as they were stored
	Cursor  string // where to go on, "": nothing is left
}

// Sweep removes some of a tenant's entries that purges have made wrong, or that cannot be read, from
// where a cursor says, and of those in this process's memory all. Other processes have theirs until they
// look them up, or their time is over; none of them answers with one.
func (t *Tier) Sweep(n *Tenant, cursor string) (Swept, error) {
	if reason := t.notReady(n); reason != "" {
		return Swept{}, fmt.Errorf("%w: %s", storage.ErrUnavailable, reason)
	}
	if cursor == "" && t.pages != nil && t.pages != t.here {
		t.pages.Sweep(n.name, func(e *storage.Entry) bool { return n.purges.Check(e) == purges.Purged })
	}
	found, err := t.store.Scan(n.name, cursor)
	if err != nil {
		t.failed(n, "scan", err)
		return Swept{}, err
	}
	swept := Swept{Scanned: len(found.IDs), Cursor: found.Cursor}
	var ids []string
	for i := 0; i < len(found.IDs); i++ {
		if e := found.Entries[i]; e == nil || n.purges.Check(e) == purges.Purged {
			ids = append(ids, found.IDs[i])
			swept.Bytes += int64(found.Bytes[i])
		}
	}
	if len(ids) > 0 {
		if err := t.store.Remove(n.name, ids); err != nil {
			t.failed(n, "remove", err)
			return Swept{}, err
		}
	}
	swept.Entries = len(ids)
	n.guard.success()
	return swept, nil
}
