package storage

import (
	"bytes"
	"hash/crc32"
	"strconv"

	"github.com/odoocache/odoocache/cache/redis"
	"github.com/odoocache/odoocache/keys"
)

// The short ways ask Redis with bytes that are ready to be sent, and expect that the
// tenant's position is the one that the view has. Where that does not hold, the
// way of every request finds out.

// seenBytes bounds what is remembered of entries that are in Redis alone, for QuickRemote.
const seenBytes = 8 << 20

// wire is an entry in Redis as it was when it was found fresh: everything but its
// body.
type wire struct {
	head []byte // first line, meta and header
	from int    // where the checksum begins to count
	sum  uint32
	body int // bytes
}

// positions are what Redis answers when it is asked for a view's position, and how
// it is asked.
type positions struct {
	head   Head
	expect string
	ask    []byte
}

// position returns the view's, "" for expect if there is none, or if the view
// cannot be relied on.
func (v *View) position() (ask []byte, expect string, head Head) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := &v.positions
	if v.head.Epoch == 0 || len(v.pending) > 0 {
		return nil, "", v.head
	}
	if p.head != v.head {
		p.head = v.head
		p.expect = bulk(v.head.Seq) + bulk(v.head.Epoch)
	}
	if p.ask == nil {
		marks := keys.Marks(v.tenant)
		p.ask = redis.Encoded(redis.Command{Args: []string{"ZSCORE", marks, "!s"}}, redis.Command{Args: []string{"ZSCORE", marks, "!e"}})
	}
	return p.ask, p.expect, v.head
}

func bulk(n int64) string {
	s := strconv.FormatInt(n, 10)
	return "$" + strconv.Itoa(len(s)) + "\r\n" + s + "\r\n"
}

// short asks for the position and one thing more. late is true if the storage did
// not answer in time: then it should not be asked again for this request.
func (t *Tier) short(v *View, what redis.Command) (answer []byte, ok, late bool) {
	if t.redis == nil || v.guard.suspicious() || t.moved(v) {
		return nil, false, false
	}
	ask, expect, head := v.position()
	if expect == "" {
		return nil, false, false
	}
	asked := ticks()
	answer, state := t.redis.short(v.tenant, append(ask[:len(ask):len(ask)], redis.Encoded(what)...), 3, expect)
	if state == redis.ShortLate {
		t.failed(v, "lookup", redis.ErrTimeout)
		return nil, false, true
	}
	return answer, state == redis.ShortYes && !t.moved(v) && v.at(head, asked), false
}

// QuickSession reports whether a session, given as its hash, is known to be a default
// one. For late see QuickRemote.
func (t *Tier) QuickSession(v *View, session string) (known, late bool) {
	if t.redis == nil {
		_, _, state, err := t.remote.Visit(v.tenant, "", session)
		return err == nil && state == SessionDefault, false
	}
	score, ok, late := t.short(v, redis.Command{Args: []string{"ZSCORE", keys.Sessions(v.tenant), session}})
	if !ok || len(score) == 0 {
		return false, late
	}
	n, err := strconv.ParseInt(string(score), 10, 64)
	return err == nil && sessionState(n, nowMS()) == SessionDefault, false
}

// QuickRemote asks for an entry that is in Redis alone: it returns what was prepared,
// without bodies, and the stored body. late is true if Redis did not
// answer in time; then it should not be asked again for the same request.
func (t *Tier) QuickRemote(v *View, key string, now int64) (r *Ready, body []byte, late bool) {
	if t.seen == nil {
		return nil, nil, false
	}
	r = t.seen.readyFor(key)
	if r == nil || now >= r.Until || now < r.Entry.Life.Born {
		return nil, nil, false
	}
	value, ok, late := t.short(v, redis.Command{Args: []string{"GET", keys.Entry(v.tenant, keys.ID(key))}})
	w := r.wire
	if !ok || len(value) != len(w.head)+w.body || !bytes.HasPrefix(value, w.head) ||
		crc32.Checksum(value[w.from:], castagnoli) != w.sum {
		return nil, nil, late
	}
	v.mu.Lock()
	known := v.head.Seq == r.Seq && v.head.Epoch == r.Entry.Epoch && v.checked != 0 && len(v.pending) == 0
	v.mu.Unlock()
	if !known {
		return nil, nil, false
	}
	return r, value[len(w.head):], false
}

// readyFor returns what is ready for a key, nil if nothing is.
func (s *Sieve) readyFor(key string) *Ready {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[key]
	if !found {
		return nil
	}
	s.slots[i].visited = true
	return s.slots[i].ready
}

// prepareRemote keeps an entry as ready that is in Redis alone: without its bodies.
func (t *Tier) prepareRemote(key string, r *Ready) bool {
	if r.wire == nil {
		value, err := Encode(r.Entry)
		if err != nil {
			return false
		}
		head := append([]byte{}, value[:len(value)-len(r.Entry.Body)]...)
		from := bytes.IndexByte(head, '\n') + 1
		r.wire = &wire{head: head, from: from, sum: crc32.Checksum(value[from:], castagnoli), body: len(r.Entry.Body)}
		bare := *r.Entry
		bare.Body = nil
		r.Entry = &bare
	}
	r.Stored.Body = nil
	if r.Plain != nil {
		r.Plain.Body = nil
	}
	now := nowMS()
	t.seen.Put(key, r.Entry, now+r.Entry.Life.Retention(now))
	t.seen.mu.Lock()
	defer t.seen.mu.Unlock()
	i, found := t.seen.index[key]
	if !found || t.seen.slots[i].entry != r.Entry {
		return false
	}
	n := &t.seen.slots[i]
	n.ready = r
	t.seen.resize(n, n.size+int64(2*len(r.wire.head)))
	return true
}
