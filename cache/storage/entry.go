package storage

import (
	"net/http"

	"github.com/odoocache/odoocache/cache/policy"
)

// Entry is a stored response, or the list of a resource's variants. Entries
// are shared between requests and never changed once stored.
type Entry struct {
	Tenant string // checked when read: an entry answers for one tenant
	Key    string // and for one full key
	Host   string // folded, for purges by prefix
	Path   string // decoded, for purges by prefix
	Epoch  int64  // the tenant's purge state when the origin was asked
	Seq    int64
	Tags   []string // hashed
	Life   policy.Life

	Status int
	Render int64 // ms that the origin took to answer
	Header http.Header
	Body   []byte

	// A variant list has names and no status: the request fields by which the
	// resource's responses differ, and the identities of its stored variants,
	// the newest first.
	Vary     []string
	Variants []string
}

// IsList reports whether the entry is a variant list.
func (e *Entry) IsList() bool {
	return e.Status == 0
}

// overhead is what an entry costs in memory beside its bytes: the structures,
// the map slot, the list node.
const overhead = 1024

// Size returns about how many bytes of memory the entry holds.
func (e *Entry) Size() int64 {
	n := overhead + len(e.Key) + len(e.Body) + len(e.Path) + 32*len(e.Tags) + 48*len(e.Variants)
	for name, lines := range e.Header {
		n += len(name) + 48
		for i := 0; i < len(lines); i++ {
			n += len(lines[i]) + 16
		}
	}
	return int64(n)
}
