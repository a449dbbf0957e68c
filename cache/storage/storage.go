package storage

import (
	"errors"
	"time"

	"github.com/odoocache/odoocache/cache/resp"
)

// ErrUnavailable says that the storage did not answer: unreachable, too slow,
// full, read-only. The request goes to the origin.
var ErrUnavailable = errors.New("storage: unavailable")

// ErrRefused comes with ErrUnavailable where the storage did answer, and said no:
// full, read-only. What it holds can still be read.
var ErrRefused = errors.New("refused")

// ErrTooLarge says that an entry is larger than the storage takes.
var ErrTooLarge = errors.New("storage: entry too large")

// ErrQuota says that an entry was not stored since its tenant has what it may have.
var ErrQuota = errors.New("storage: over the tenant's quota")

// Quota bounds what a tenant's entries take. 0: there is no bound.
type Quota struct {
	Bytes   int64
	Entries int
}

// Usage is what a tenant's entries take.
type Usage struct {
	Bytes   int64
	Entries int
	Evicted int64 // by this process, for the tenant's newer ones or for those of others
}

// Head is the position of a tenant's purge state: which state it is, and how
// many purges it has seen. The zero Head means that there is no state.
type Head struct {
	Epoch int64
	Seq   int64
}

// Mark is one purge of one thing.
type Mark struct {
	Member string // see TagMark, PrefixMark
	Seq    int64
}

// Delta is what a purge state has beyond an earlier position.
type Delta struct {
	Head  Head
	Floor int64 // entries of an earlier position are invalid
	Marks []Mark
	Whole bool // Marks are all there are, not those since
}

// Changes are what has changed of the sessions of a tenant since an earlier position.
type Changes struct {
	Head     Head     // the position of its purges
	At       Head     // that of its sessions; the zero Head: nothing is known of any
	Whole    bool     // more sessions than those may have become others
	Sessions []string // hashes of those that may be given less than before
}

// Purge is one order to purge.
type Purge struct {
	Soft    bool
	All     bool
	Members []string // TagMark and PrefixMark
}

// The kinds of purge marks. Tags are hashed, a prefix stands in clear text.
const (
	HardTag    = "ht:"
	SoftTag    = "st:"
	HardPrefix = "hp:"
	SoftPrefix = "sp:"
)

// TagMark returns the member that marks a hashed tag.
func TagMark(hash string, soft bool) string {
	if soft {
		return SoftTag + hash
	}
	return HardTag + hash
}

// PrefixMark returns the member that marks all paths with a prefix:
// "/blog/" on every host, "shop.example/blog/" on one.
func PrefixMark(prefix string, soft bool) string {
	if soft {
		return SoftPrefix + prefix
	}
	return HardPrefix + prefix
}

// Query is what a storage is asked for in one exchange: an entry, and what else is needed to
// answer with it.
type Query struct {
	ID      string // identity of the entry; empty: none is asked for
	Session string // hash of a session of which is asked what is known; empty: none
	Lock    *Lock  // claimed if there is no entry; nil: none is
	LockTTL int64  // ms
	List    *List  // the entry is a variant that this list leads to; nil: it is none
}

// Answer is what a storage has found.
type Answer struct {
	Entry  *Entry // nil: there is none
	Head   Head   // the tenant's position at that moment; valid with ErrCorrupt, too
	Score  int64  // what is known of the session, see KindOfScore
	Locked bool   // the lock was claimed
	Listed bool   // the list is as it was; else Entry is what is in its place
}

// List is the variant list of a page as it was found. What it says of the next request is
// asked for together with whether the list still is the same.
type List struct {
	Entry *Entry
	Raw   string // as it is stored
}

// Scanned are some of the entries that a tenant has.
type Scanned struct {
	IDs     []string
	Entries []*Entry // each of an id, nil: it cannot be read
	Bytes   []int    // of each, as it is stored
	Cursor  string   // where the next ones are, "": there are none
}

// Storage holds entries and purge states. An implementation may lose an entry
// at any time; it must never lose a mark without losing the whole state
// (another Epoch) or raising its Floor: what is lost counts as purged.
//
// Every error wraps ErrUnavailable, ErrCorrupt, ErrTooLarge or ErrQuota.
type Storage interface {
	// Find returns what is asked for.
	Find(tenant string, q *Query) (*Answer, error)
	// Store keeps an entry for ttl ms at most.
	Store(tenant, id string, e *Entry, ttl int64) error
	// Remove drops entries.
	Remove(tenant string, ids []string) error
	// Drop drops entries, and with the list of a page's variants these, too.
	Drop(tenant string, ids []string) error
	// Head returns the tenant's position, and starts a state where there is none.
	Head(tenant string) (Head, error)
	// Marks returns what came after since, everything if since is of another state.
	Marks(tenant string, since Head) (Delta, error)
	// Purge takes the next number and marks with it.
	Purge(tenant string, p Purge) (Head, error)
	// Reset begins a new state: every entry of the tenant is invalid.
	Reset(tenant string) (Head, error)
	// NoteBeginning notes an unknown session as one that begins, for ttl ms, and returns its
	// score, 0 if it is known.
	NoteBeginning(tenant, session string, ttl int64, limit int) (score int64, err error)
	// Settle notes what was found out of a session when it had a score, unless it has
	// another one now: see SettledScore.
	Settle(tenant, session string, was int64, bit int) error
	// NoteDefault notes a session that has just begun as a default one, unless it is known
	// already, for ttl ms. Of limit sessions at most is anything known; the oldest go, or those
	// that were not used for longest. If it returns an error, the session is not a default
	// one, and Settle alone makes one of it.
	NoteDefault(tenant, session string, ttl int64, limit int) error
	// Mark notes that sessions are special, or else in doubt, until a time in Unix ms at least.
	// It returns the scores that they had: MarkedScore makes those of them that they have now.
	// Of one that is not known nothing is noted: whoever makes ids up takes nobody's place.
	Mark(tenant string, sessions []string, special bool, until int64) (had []int64, err error)
	// Forget drops what is known of all sessions.
	Forget(tenant string) error
	// Lock claims what has the identity id for ttl ms at most, so that one process
	// asks the origin for it.
	Lock(tenant string, l *Lock, ttl int64) (LockState, error)
	// Unlock gives a lock back, if it is still the owner's. refused ms is how long
	// others are told that the origin's answer cannot be stored; 0: they are not.
	Unlock(tenant string, l *Lock, refused int64) error
	// StoreAndUnlock keeps an entry and gives a lock back.
	StoreAndUnlock(tenant, id string, e *Entry, ttl int64, l *Lock) error
	// Once reports whether it is the first to be asked for an id within ttl ms.
	Once(tenant, id string, ttl int64) (bool, error)
	// Scan returns some entries, from where a cursor says; "" is the beginning. All that is there
	// from the first call to the last one is among them, and may be so twice.
	Scan(tenant, cursor string) (*Scanned, error)
	// Remote returns the part of a storage that other processes share, nil if it is of this
	// process alone.
	Remote() Remote
	// Close gives back what the storage holds.
	Close()
}

// Remote is what a storage on servers can do beside the rest: its servers may be others all
// of a sudden, and what is asked at every hit is compared with what is expected.
type Remote interface {
	// Era names the server that answers for a tenant, and its connections. It is another
	// number as soon as another server may answer; 0: none has answered yet.
	Era(tenant string) int64
	// Attach sees to it that the purge state is of the server that answers, and returns what
	// it has found out of that: with an error, what is lost.
	Attach(tenant string) (Run, error)
	// Apart reports whether tenants are on servers of their own, which fail one by one.
	Apart() bool
	// Question returns how a position is asked for, to be used while the server is that of
	// an era.
	Question(tenant string, head Head, era int64) *Question
	// Compare asks whether the position is that of a question. With a page it asks for its
	// entry, which is the answer. See resp.Expect for its outcome.
	Compare(q *Question, page *Page, now time.Time) (answer []byte, outcome resp.Outcome)
	// Changes returns what has changed of a tenant's sessions since a position. Each mark of one
	// that may be given nobody's pages is among that, and that nothing is known of one any more;
	// not what is found out in its favour.
	Changes(tenant string, since Head) (*Changes, error)
	// Prepare sets r.Page, r.Request and r.Reply, by which an entry is asked for, and takes
	// the bodies out of r.
	Prepare(r *Ready, id string) error
	// Exchange returns what gets the body of a page that is ready, nil where there is none.
	// kept is what redis.Body is to return in place of the stored body, nil if that.
	Exchange(q *Question, r *Ready, kept []byte) *Exchange
	// Hash returns the fields of a hash with their values, one after the other, in no order. It
	// is empty if there is none.
	Hash(key string) ([]string, error)
	// Limit bounds what a tenant's entries take from now on. The zero Quota ends that, and nothing
	// is counted.
	Limit(tenant string, q Quota)
	// Usage returns what a tenant's entries take, where that is counted.
	Usage(tenant string) (u Usage, counted bool, err error)
	// Stats returns the counters of the connections.
	Stats() resp.Stats
}

// Run is what was found out of the server that answers.
type Run struct {
	ID      string   // of this run of the server: another one after each start; empty: it does not tell
	Dropped bool     // the purge state was of another server, or another run of it, and is gone
	Lost    []string // what is lost where the server does not tell what is asked: lines for the log, always the same
}

// Lock is a claim to be the one that asks the origin for an entry. It saves work
// and guards nothing: whoever cannot get it may go without.
type Lock struct {
	ID       string // identity of the entry
	Token    string // tells the owner from others
	Released bool   // given back already
}

// LockState is what became of a claim.
type LockState int

const (
	LockUnknown LockState = 0 // the storage did not say: go without
	LockClaimed LockState = 1
	LockStored  LockState = 2 // claimed, and there is an entry
	LockHeld    LockState = 3 // by another
	LockRefused LockState = 4 // its last owner got an answer that cannot be stored
)
