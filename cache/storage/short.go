package storage

import (
	"bytes"
	"hash/crc32"
	"math/rand"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/keys"
)

// The short ways ask Redis with bytes that are ready to be sent, and expect that the
// tenant's position is the one that the view has. Where that does not hold, the
// way of every request finds out.

// wire is an entry in Redis as it was when it was found fresh: everything but its
// body.
type wire struct {
	get  string // the command that asks for it
	lead string // what the reply begins with: the length
	head string // first line, meta and header
	part uint32 // checksum of head, as far as it counts
	sum  uint32 // of all
	body int    // bytes
}

// question is what Redis answers when it is asked for a view's position, and how it is
// asked. A view has one as long as it can be relied on and stays where it is. It is never
// changed.
type question struct {
	head   Head
	era    int64
	expect string
	ask    string
}

// echo begins a command to repeat a nonce, see ask.
const echo = "*2\r\n$4\r\nECHO\r\n$13\r\n"

// short asks for the position, and more if what is not empty: so many replies as it says,
// of which the last has so many bytes as size says, after what lead has. late is true if the storage
// did not answer in time: then it should not be asked again for this request.
//
// The question that it returns has the view's position, as it was before and is
// afterwards, and as the server of its era says. It is nil if that does not hold.
func short(t *Tier, v *View, what string, replies int, lead string, size int) (answer []byte, q *question, late bool) {
	now := time.Now()
	v.mu.Lock()
	q = v.question
	v.mu.Unlock()
	if q == nil {
		if q = newQuestion(v); q == nil {
			return nil, nil, false
		}
	}
	if v.guard.failures.Load() > 0 { // it has just failed: the other way can tell what is wrong
		return nil, nil, false
	}
	end := strconv.FormatUint(rand.Uint64()|1<<63, 36) + "\r\n" // as in newNonce
	request := []byte(q.ask + what + echo + end)
	s := t.redis
	var state int
	if what == "" || s.cluster != nil {
		answer, state = shortOdd(s, v, q, now, request, replies, lead, size, end)
	} else {
		answer, state = resp.Short(s.client, q.era, now, request, 3+replies, q.expect+lead, size, "\r\n$13\r\n"+end, nil)
	}
	if state != resp.ShortYes {
		return nil, nil, state == resp.ShortLate && shortLate(t, v)
	}
	if !still(v, q, startedMS+now.Sub(Started).Milliseconds()) { // as ticks
		return nil, nil, false
	}
	return answer, q, false
}

// shortOdd is for questions for the position alone, and for clusters.
func shortOdd(s *Redis, v *View, q *question, now time.Time, request []byte, replies int, lead string, size int, end string) ([]byte, int) {
	end = "$13\r\n" + end
	if replies > 0 {
		end = "\r\n" + end
	}
	return shortOn(s, v.tenant, q.era, now, request, 3+replies, q.expect+lead, size, end)
}

func shortLate(t *Tier, v *View) bool {
	t.failed(v, "lookup", resp.ErrTimeout)
	return true
}

// QuickSession reports whether a session, given as its hash, is known to be a default
// one, and the score that says so. For late see QuickRemote.
func (t *Tier) QuickSession(v *View, session string) (score string, known, late bool) {
	if t.redis == nil {
		_, _, state, err := t.remote.Visit(v.tenant, "", session)
		return "", err == nil && state == SessionDefault, false
	}
	answer, q, late := short(t, v, askSession(v, session), 1, "$13\r\n", 13) // Unix ms, as of this century
	if q == nil {
		return "", false, late
	}
	score = string(answer)
	return score, isDefault(score), false
}

// isDefault reports whether a score is that of a default session.
func isDefault(score string) bool {
	n, err := strconv.ParseInt(score, 10, 64)
	return err == nil && sessionState(n, time.Now().UnixMilli()) == SessionDefault
}

// QuickRemote asks for an entry that is in Redis alone: it returns what was prepared,
// without bodies, and the stored body. late is true if Redis did not
// answer in time; then it should not be asked again for the same request.
func (t *Tier) QuickRemote(v *View, key string, now int64) (r *Ready, body []byte, late bool) {
	s := t.seen
	if s == nil {
		return nil, nil, false
	}
	s.mu.Lock()
	if i, found := s.index[key]; found {
		s.slots[i].visited = true
		r = s.slots[i].ready
	}
	s.mu.Unlock()
	if r == nil || now >= r.Until || now < r.Entry.Life.Born {
		return nil, nil, false
	}
	w := r.wire
	from := len(w.head)
	value, q, late := short(t, v, w.get, 1, w.lead, from+w.body)
	if q == nil || !holds(r, q, value) {
		return nil, nil, late
	}
	return r, value[from:], false
}

// Exchange is what is sent for a page that is in Redis alone, and what has to come back
// for it to be as it was when it was made ready, at the same position.
type Exchange struct {
	client   *resp.Client
	failures *atomic.Int64 // of what guards the view
	licensed *int64        // Until of the license
	era      int64
	ask      string // the position
	expect   string // the position
	get      string // the page
	request  string // all, without the nonce; the Ready's, as reply
	reply    string // what all of it begins with, up to the body
	body     int    // bytes
	replies  int    // their number, with that to the nonce
	sum      *resp.Checksum
	kept     []byte // what is returned in place of the stored body; nil: that is
}

// Exchange returns the one for what is ready, at the position that is licensed. It is nil
// where there is none: in a cluster, for an entry in memory, and where the view cannot be
// relied on. kept is what Fetch is to return in place of the stored body, nil if that.
func (t *Tier) Exchange(v *View, r *Ready, l *License, kept []byte) *Exchange {
	w := r.wire
	if w == nil || t.redis == nil || t.redis.cluster != nil {
		return nil
	}
	q := newQuestion(v)
	if q == nil || q.head.Seq != r.Seq || q.head.Epoch != r.Entry.Epoch {
		return nil
	}
	return &Exchange{
		client: t.redis.client, failures: &v.guard.failures, licensed: &l.Until, era: q.era,
		ask: q.ask, expect: q.expect, get: w.get, request: r.request, reply: r.reply,
		body: w.body, replies: 4, sum: &resp.Checksum{Part: w.part, Sum: w.sum, Unseen: kept != nil}, kept: kept,
	}
}

// Fetch gets the stored body of a page that is ready, or says that it is as it was by
// returning what is kept in its place. It is nil if anything is not as it was.
// The license says whether the view is: it ends with the question. For late see
// QuickRemote; this is the same, in few expressions, and confirms nothing.
func Fetch(t *Tier, v *View, x *Exchange, now time.Time) (body []byte, late bool) {
	if atomic.LoadInt64(x.licensed) == 0 || x.failures.Load() > 0 {
		return nil, false
	}
	end := strconv.FormatUint(rand.Uint64()|1<<63, 36) + "\r\n" // as in newNonce
	body, state := resp.Short(x.client, x.era, now, []byte(x.request+end), x.replies, x.reply, x.body, "\r\n$13\r\n"+end, x.sum)
	if state != resp.ShortYes || atomic.LoadInt64(x.licensed) == 0 {
		return notFetched(t, v, state)
	}
	if x.kept != nil {
		return x.kept, false
	}
	return body, false
}

func notFetched(t *Tier, v *View, state int) (body []byte, late bool) {
	return nil, state == resp.ShortLate && shortLate(t, v)
}

// FetchFor is Fetch for a session, given as its hash, in the same exchange. The session
// has to have the score that it had before, by which it is a default one.
func FetchFor(t *Tier, v *View, x *Exchange, session, score string, now time.Time) (body []byte, late bool) {
	if len(score) != 13 || !isDefault(score) {
		return nil, false
	}
	with := *x
	with.request = x.ask + askSession(v, session) + x.get + echo
	with.reply = x.expect + "$13\r\n" + score + "\r\n" + x.reply[len(x.expect):]
	with.replies++
	return Fetch(t, v, &with, now)
}

// holds reports whether what was prepared is what Redis has at a view's position.
func holds(r *Ready, q *question, value []byte) bool {
	w := r.wire
	from := len(w.head)
	return q.head.Seq == r.Seq && q.head.Epoch == r.Entry.Epoch && string(value[:from]) == w.head &&
		crc32.Update(w.part, castagnoli, value[from:]) == w.sum
}

// QuickRemoteFor is QuickRemote for a session, given as its hash, in the same exchange.
// The session has to have the score that it had before, by which it is a default one.
func (t *Tier) QuickRemoteFor(v *View, key, session, score string, now int64) (r *Ready, body []byte, late bool) {
	if t.seen == nil || len(score) != 13 || !isDefault(score) {
		return nil, nil, false
	}
	r = t.seen.readyFor(key)
	if r == nil || now >= r.Until || now < r.Entry.Life.Born {
		return nil, nil, false
	}
	w := r.wire
	from := len(w.head)
	value, q, late := short(t, v, askSession(v, session)+w.get, 2, "$13\r\n"+score+"\r\n"+w.lead, from+w.body)
	if q == nil || !holds(r, q, value) {
		return nil, nil, late
	}
	return r, value[from:], false
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

// prepareRemote keeps an entry as ready that is in Redis alone: without its body, which
// Redis sends each time. A decoded one is kept: what Redis sends tells whether it still
// is the same.
func (t *Tier) prepareRemote(key string, r *Ready) bool {
	if r.wire == nil {
		value, err := Encode(r.Entry)
		if err != nil {
			return false
		}
		head := value[:len(value)-len(r.Entry.Body)]
		from := bytes.IndexByte(head, '\n') + 1
		r.wire = &wire{
			get: encoded("GET", keys.Entry(r.Entry.Tenant, keys.ID(key))), lead: "$" + strconv.Itoa(len(value)) + "\r\n",
			head: string(head), part: crc32.Checksum(head[from:], castagnoli), sum: crc32.Checksum(value[from:], castagnoli), body: len(r.Entry.Body),
		}
		bare := *r.Entry
		bare.Body = nil
		r.Entry = &bare
		r.Stored.Body = nil
	}
	w := r.wire
	r.request = askPosition(r.Entry.Tenant) + w.get + echo
	r.reply = position(Head{Seq: r.Seq, Epoch: r.Entry.Epoch}) + w.lead + w.head
	extra := int64(2*len(w.head) + len(r.reply) + len(r.request))
	if r.Plain != nil {
		extra += int64(len(r.Plain.Body))
	}
	if extra > t.seen.max/8 {
		return false
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
	t.seen.resize(n, n.size+extra)
	t.seen.shrink(t.seen.max)
	return true
}
