package storage

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
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
	Plain  int64  // bytes of the body without the gzip coding that it is stored in; 0: it is stored as it came
	Tag    string // entity tag of the plain body, where the header has none

	// A variant list has names and no status: the request fields by which the
	// resource's responses differ, and the identities of its stored variants,
	// the newest first.
	Vary     []string
	Variants []string

	Sealed *Sealed // of one that was read from where it is encrypted, else nil
}

// IsList reports whether the entry is a variant list.
func (e *Entry) IsList() bool {
	return e.Status == 0
}

// Has reports whether a list has the variant of an identity.
func (e *Entry) Has(id string) bool {
	for i := 0; i < len(e.Variants); i++ {
		if e.Variants[i] == id {
			return true
		}
	}
	return false
}

// Length returns the length of the plain body.
func (e *Entry) Length() int {
	if e.Plain > 0 {
		return int(e.Plain)
	}
	return len(e.Body)
}

// Decoded returns the plain body. An error wraps ErrCorrupt.
func (e *Entry) Decoded() ([]byte, error) {
	if e.Plain == 0 {
		return e.Body, nil
	}
	if e.Plain < 0 || e.Plain > maxPlain {
		return nil, fmt.Errorf("%w: a body of %d bytes", ErrCorrupt, e.Plain)
	}
	z, err := gzip.NewReader(bytes.NewReader(e.Body))
	if err != nil {
		return nil, fmt.Errorf("%w: body: %v", ErrCorrupt, err)
	}
	plain := make([]byte, e.Plain)
	if _, err = io.ReadFull(z, plain); err != nil {
		return nil, fmt.Errorf("%w: body: %v", ErrCorrupt, err)
	}
	if n, err := z.Read(make([]byte, 1)); n != 0 || err != io.EOF { // and the checksum was right
		return nil, fmt.Errorf("%w: body: longer than it should be", ErrCorrupt)
	}
	return plain, nil
}

// maxPlain bounds the plain body of an entry: more is none of ours.
const maxPlain = 1 << 30

// Overhead is what an entry costs in memory beside its bytes: the structures,
// the map slot, the list node.
const Overhead = 1024

// sealedOverhead is the same of a Sealed.
const sealedOverhead = 256

// Size returns about how many bytes of memory the entry holds.
func (e *Entry) Size() int64 {
	n := Overhead + len(e.Key) + len(e.Body) + len(e.Path) + 32*len(e.Tags) + 48*len(e.Variants)
	if s := e.Sealed; s != nil {
		n += sealedOverhead + 2*len(s.First) + len(s.List)
	}
	for name, lines := range e.Header {
		n += len(name) + 48
		for i := 0; i < len(lines); i++ {
			n += len(lines[i]) + 16
		}
	}
	return int64(n)
}
