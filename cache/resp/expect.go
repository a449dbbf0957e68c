package resp

import (
	"bufio"
	"bytes"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"
)

// Outcome says what became of Expect or ExpectWords.
type Outcome int

const (
	Differs  Outcome = 0 // nothing came of it: use Do
	Matches  Outcome = 1
	TimedOut Outcome = 2 // the server did not answer in time
)

// Checksum is what the bytes that Expect returns have to come to: Part is that of what goes
// before them, Sum that with them. With Unseen they may be compared and not returned, so
// that the connection's own room will do for them.
type Checksum struct {
	Part, Sum uint32 // by Castagnoli's polynomial
	Unseen    bool
}

// maxRoom bounds that room, in bytes.
const maxRoom = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Expected is what is sent to a server, and what has to come back for it: the bytes of Lead,
// then as many as Size says, and then those of End.
type Expected struct {
	Request []byte // commands as they are sent
	Replies int    // their number
	Lead    string
	Size    int
	End     string    // ends with the reply to an ECHO
	Sum     *Checksum // another answer than that is as good as none; nil: any is as good
}

// Expect sends commands on a connection that is open already, and returns the bytes between
// those that are expected before and after. Anything else is left to Do; so the commands
// must be such as may be sent twice. The answer is of the server of the given era. now is
// the time.
//
// It is one flat function, for the way of a hit: a call costs an interpreter as much as
// the function has expressions. Nothing is deferred, since nothing that is called here
// panics: what is read is compared, not parsed.
func Expect(c *Client, era int64, now time.Time, e *Expected) (answer []byte, state Outcome) {
	p := c.pool
	p.mu.Lock()
	n := len(p.idle) - 1
	if n < 0 || now.Sub(p.idle[0].since) > p.idleTimeout {
		p.mu.Unlock()
		return nil, Differs
	}
	s := p.idle[n]
	p.idle = p.idle[:n]
	p.reuses++
	p.mu.Unlock()
	s.since = now
	k := s.conn
	if c.finder != nil && !settled(c, k) {
		unsettled(c, s)
		return nil, Differs
	}
	lead, end, sum := e.Lead, e.End, e.Sum
	till := len(lead) + e.Size
	all := till + len(end)
	unseen := all <= maxRoom && sum != nil && sum.Unseen
	if unseen {
		answer = roomOf(k, all)
	} else {
		answer = make([]byte, all)
	}
	n = 0
	err := k.rw.SetDeadline(now.Add(c.timeout))
	if err == nil {
		if _, err = k.rw.Write(e.Request); err == nil {
			n, err = k.in.r.Read(answer)
		}
	}
	if err != nil || n < all || string(answer[:len(lead)]) != lead || string(answer[till:]) != end || k.in.r.Buffered() != 0 ||
		sum != nil && crc32.Update(sum.Part, castagnoli, answer[len(lead):till]) != sum.Sum {
		if state = expectOther(c, s, e, answer, n, err); state != Matches {
			return nil, state
		}
	} else {
		p.mu.Lock()
		if p.closed || len(p.queue) > 0 {
			putOther(p, s)
		} else {
			p.idle = append(p.idle, s)
			p.mu.Unlock()
		}
	}
	if c.era.Load() != era {
		return nil, Differs
	}
	if unseen {
		return nil, Matches
	}
	return answer[len(lead):till:till], Matches
}

// roomOf returns a connection's own room for so many bytes.
func roomOf(k *conn, size int) []byte {
	if size > len(k.room) {
		k.room = make([]byte, size)
	}
	return k.room[:size]
}

// unsettled gives a slot back whose connection is to a server that is not the master any
// more.
func unsettled(c *Client, s *slot) {
	k := s.conn
	s.conn = nil
	defer put(c.pool, s)
	hangUp(c.pool, s, k)
}

// ExpectWords sends commands that are encoded already, where what the server says is not known: so many bulk strings as
// n says that are short and have no line break, one that may be large, and what end is.
// A word that does not exist is empty, the large one nil. A timeout is counted as one.
func ExpectWords(c *Client, now time.Time, request []byte, n int, end string) (words []string, large []byte, state Outcome) {
	if c.o.MaxReply < len(lengths) { // where no word could be too large
		return nil, nil, Differs
	}
	s := ready(c.pool, now)
	if s == nil {
		return nil, nil, Differs
	}
	k := s.conn
	s.conn = nil
	defer put(c.pool, s) // as in run
	if c.finder != nil && !settled(c, k) {
		hangUp(c.pool, s, k)
		return nil, nil, Differs
	}
	in := k.in.r
	err := k.rw.SetDeadline(now.Add(c.o.Timeout))
	if err == nil {
		if _, err = k.rw.Write(request); err == nil {
			_, err = in.Peek(1)
		}
	}
	if err == nil {
		words = make([]string, n)
		size := takeWords(in, words)
		if size == -1 {
			end = end[2:] // there is no bulk whose line break it begins with
			large, err = readEnd(in, 0, end)
		} else if size > c.o.MaxReply {
			err = ErrTooLarge
		} else if size >= 0 {
			large, err = readEnd(in, size, end)
		}
		if err == nil && large != nil {
			till := len(large) - len(end)
			if string(large[till:]) == end && in.Buffered() == 0 {
				s.conn = k
				if size < 0 {
					return words, nil, Matches
				}
				return words, large[:till:till], Matches
			}
			err = ErrProtocol // what is left of the replies has been read
		}
	}
	if state = expectRest(c, s, k, nil, &Expected{Replies: n + 2, End: end}, err); state == TimedOut {
		_ = counted(c, ErrTimeout)
	}
	return nil, nil, state
}

// takeWords takes words, and the line with the length of the large bulk, off what has
// been read already. It returns the length, or -2, and takes nothing, if something else
// is there.
func takeWords(in *bufio.Reader, words []string) int {
	chunk, _ := in.Peek(in.Buffered())
	parts := strings.SplitN(string(chunk), "\r\n", 2*len(words)+2)
	last := len(parts) - 1
	at := 0
	used := 0
	for i := 0; i < len(words) && at < last; i++ {
		line := parts[at]
		if line != "$-1" {
			at++
			word := parts[at]
			if at == last || len(word) >= len(lengths) || lengths[len(word)] != line+"\r\n" {
				return -2
			}
			words[i] = word
			used += len(word) + 2
		}
		used += len(line) + 2
		at++
	}
	if at >= last || len(parts[at]) < 2 || parts[at][0] != '$' {
		return -2
	}
	size, err := strconv.Atoi(parts[at][1:])
	if err != nil || size < -1 {
		return -2
	}
	_, _ = in.Discard(used + len(parts[at]) + 2)
	return size
}

// readEnd reads a bulk of a size and the end.
func readEnd(in *bufio.Reader, size int, end string) ([]byte, error) {
	b := make([]byte, size+len(end))
	_, err := io.ReadFull(in, b)
	return b, err
}

// readMore goes on with an answer of which n bytes have come. It reads as long as these
// are the beginning of what is expected, and so not all that is to come.
func readMore(k *conn, answer []byte, n int, expect string) (int, error) {
	for n < len(expect) && string(answer[:n]) == expect[:n] {
		m, err := k.in.r.Read(answer[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	if n < len(expect) || n == len(answer) || string(answer[:len(expect)]) != expect {
		return n, nil
	}
	m, err := io.ReadFull(k.in.r, answer[n:])
	return n + m, err
}

// expectOther goes on where not all has come yet, n bytes, or other bytes than were expected:
// it may turn out to be what was expected. It gives the slot back.
func expectOther(c *Client, s *slot, e *Expected, answer []byte, n int, err error) Outcome {
	k := s.conn
	s.conn = nil
	defer put(c.pool, s) // as in run
	if n < len(answer) && err == nil {
		n, err = readMore(k, answer, n, e.Lead)
	}
	if err != nil || n < len(answer) || string(answer[:len(e.Lead)]) != e.Lead || !strings.HasSuffix(string(answer), e.End) || k.in.r.Buffered() != 0 {
		return expectRest(c, s, k, answer[:n], e, err)
	}
	s.conn = k
	if e.Sum != nil && crc32.Update(e.Sum.Part, castagnoli, answer[len(e.Lead):len(answer)-len(e.End)]) != e.Sum.Sum {
		return Differs
	}
	return Matches
}

// expectRest reads on where other bytes came than were expected. The
// connection goes back to its slot if the bytes are as many replies as have to come,
// of which the last is the one that end has.
func expectRest(c *Client, s *slot, k *conn, got []byte, e *Expected, err error) Outcome {
	if err == nil {
		in := source{r: bufio.NewReaderSize(io.MultiReader(bytes.NewReader(got), k.in.r), maxLine)}
		var last Reply
		for i := 0; i < e.Replies && err == nil; i++ {
			in.left = c.o.MaxReply
			last = Reply{}
			err = readReply(&in, &last, 0)
		}
		if err == nil && last.Kind == Bulk && len(last.Body) > 0 && in.r.Buffered() == 0 && k.in.r.Buffered() == 0 &&
			strings.HasSuffix(e.End, "\r\n"+string(last.Body)+"\r\n") {
			s.conn = k
			return Differs
		}
	}
	late := err != nil && timedOut(err)
	ended(c, s, k, late)
	if late {
		return TimedOut
	}
	return Differs
}

// Encoded returns commands as they are sent, for Expect.
func Encoded(cmds ...Command) []byte {
	out, _, _ := encode(nil, cmds) // no large bodies
	return out
}
