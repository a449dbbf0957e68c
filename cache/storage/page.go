package storage

import (
	"hash/crc32"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/resp"
)

// Ready is an entry made ready to be written to clients, and what has to hold for
// that: prepared once, used until it holds no more. It is never changed.
type Ready struct {
	Entry  *Entry
	Until  int64  // Unix ms: fresh before
	Seq    int64  // purge number up to which the entry is known not to be purged
	Stored *Form  // the body as it is stored
	Plain  *Form  // the body decoded; nil if it is not coded, or if nobody has asked for it
	Recipe func() // gets the page anew, nil: there is none
	Hits   *int64 // atomic
	Page   *Page  // of an entry that is in the storage alone, nil: it is in this process

	Request string // what asks for that entry at the position, see Exchange
	Reply   string
}

// Remote reports whether the entry is in the storage alone.
func (r *Ready) Remote() bool {
	return r.Page != nil
}

// Form is what is written to a client: a body, and the fields that go with it, but for
// those that depend on the time.
type Form struct {
	Names  []string
	Values [][]string
	Body   []byte // nil: it is in the storage alone
	Tag    string // entity tag, empty: none
}

// Page is an entry on a server as it was when it was found fresh: everything but its body.
// Its texts are those of the storage's protocol.
type Page struct {
	Get  string // the command that asks for it
	Lead string // what the reply begins with: the length
	Head string // first line, meta and header; of an entry that is encrypted the first line
	Part uint32 // checksum of head, as far as it counts
	Sum  uint32 // of all
	Body int    // bytes
	Rest int    // bytes that come behind the head: the body, or what it is in if the entry is encrypted
}

// Holds reports whether what a server has is the entry as it was. The value is as long as that.
func (p *Page) Holds(value []byte) bool {
	from := len(p.Head)
	return string(value[:from]) == p.Head && crc32.Update(p.Part, Castagnoli, value[from:]) == p.Sum
}

// Question is what a server answers when it is asked for a position, and how it is asked. It
// can be relied on as long as a view has it. It is never changed.
type Question struct {
	Tenant string
	Head   Head
	Era    int64
	Expect string
	Ask    string
}

// Exchange is what is sent for a page that is on a server alone, and what has to come back
// for it to be as it was when it was made ready, at the same position.
type Exchange struct {
	Client   *resp.Client
	Failures *atomic.Int64 // of what guards the tenant
	Licensed *int64        // Until of the license
	Question *Question
	Get      string // the page
	Request  string // all, without the nonce; the Ready's, as Reply
	Reply    string // what all of it begins with, up to the body
	Body     int    // bytes
	Replies  int    // their number, with that to the nonce
	Sum      *resp.Checksum
	Kept     []byte // what is returned in place of the stored body; nil: that is
}
