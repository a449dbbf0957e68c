package redis

import (
	"bytes"
	"io"
	"strconv"
	"time"
)

// What became of Short.
const (
	ShortNo   = 0 // nothing came of it: use Do
	ShortYes  = 1
	ShortLate = 2 // the server did not answer in time
)

// Short sends commands that are encoded already, on a connection that is open
// already. Their replies have to be the bytes of expect, a bulk, and the bytes of end.
// The bulk is returned, nil if there is none. Anything else is left to Do; so the commands must be such as may be sent twice. It is one flat
// function, for the way of a hit: a call costs an interpreter more than the work of
// most functions here.
func (c *Client) Short(request []byte, replies int, expect, end string) (bulk []byte, state int) {
	p := c.pool
	now := time.Now()
	p.mu.Lock()
	n := len(p.idle) - 1
	if n < 0 || p.closed || now.Sub(p.idle[0].since) > p.idleTimeout {
		p.mu.Unlock()
		return nil, ShortNo
	}
	s := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	p.reuses++
	p.mu.Unlock()
	k := s.conn
	s.conn = nil
	clean := false
	if !settled(c, k) {
		_ = k.raw.Close()
		put(p, s)
		return nil, ShortNo
	}
	defer func() {
		if clean {
			s.conn = k
		} else { // or nobody knows what comes next on it
			_ = k.raw.Close()
			broke(c, k)
		}
		put(p, s)
	}()
	err := k.rw.SetDeadline(now.Add(c.o.Timeout))
	if err == nil {
		_, err = k.rw.Write(request)
	}
	in := k.in.r
	if err == nil {
		_, err = in.Peek(1)
	}
	if err != nil {
		return nil, shortState(err)
	}
	chunk, _ := in.Peek(in.Buffered())
	at, rest := len(expect), len(end)
	if len(chunk) > at && chunk[at] == '$' && string(chunk[:at]) == expect {
		line := bytes.IndexByte(chunk[at:], '\n')
		if line > 2 {
			size, err := strconv.Atoi(string(chunk[at+1 : at+line-1]))
			if err != nil || size < -1 || size > c.o.MaxReply {
				return nil, ShortNo
			}
			_, _ = in.Discard(at + line + 1) // it is buffered
			none := size == -1
			if none {
				size = -2 // no CRLF of its own
			}
			body := make([]byte, size+2+rest)
			if _, err := io.ReadFull(in, body); err != nil {
				return nil, shortState(err)
			}
			clean = string(body[size+2:]) == end && (none || string(body[size:size+2]) == "\r\n") && in.Buffered() == 0
			if !clean {
				return nil, ShortNo
			}
			if none {
				return nil, ShortYes
			}
			return body[:size:size], ShortYes
		}
	}
	state, clean = drain(c, k, replies)
	return nil, state
}

// drain reads replies that are not wanted, so that the connection can be used again.
func drain(c *Client, k *conn, replies int) (state int, clean bool) {
	for i := 0; i < replies; i++ {
		var r Reply
		k.in.left = c.o.MaxReply
		if err := readReply(&k.in, &r, 0); err != nil {
			return shortState(err), false
		}
	}
	return ShortNo, k.in.r.Buffered() == 0
}

// shortState is what an error of a connection makes of Short.
func shortState(err error) int {
	if timedOut(err) {
		return ShortLate
	}
	return ShortNo
}

// Encoded returns commands as they are sent, for Short.
func Encoded(cmds ...Command) []byte {
	out, _, _ := encode(nil, cmds) // no large bodies
	return out
}
