package resp

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// pool is a bounded set of slots. The caller that holds a slot is the only one
// that touches it or its connection.
type pool struct {
	size        int
	idleTimeout time.Duration

	mu     sync.Mutex
	idle   []*slot      // the most recently used last
	queue  []chan *slot // callers that wait, the first first; empty unless open == size
	open   int          // slots that exist: idle, in use, being dialled
	reuses int64
	closed bool

	live atomic.Int64 // connections that have been made and not been closed

	madeMu sync.Mutex
	made   map[*conn]bool // these
}

// slot is the right to one connection. The connection is nil until the holder
// has dialled it, and while it is in use.
type slot struct {
	conn  *conn
	since time.Time // when it was last taken
	live  bool      // it counts among those of the pool
	made  *conn     // the connection that does; it stays while that is in use
}

// ready returns a slot with a connection, to be given back with put, nil if there is
// none or if anything has to be done first: then take does it.
func ready(p *pool, now time.Time) *slot {
	p.mu.Lock()
	idle := p.idle
	n := len(idle) - 1
	if n < 0 || now.Sub(idle[0].since) > p.idleTimeout {
		p.mu.Unlock()
		return nil
	}
	s := idle[n]
	idle[n] = nil
	p.idle = idle[:n]
	p.reuses++
	p.mu.Unlock()
	s.since = now
	return s
}

// take returns a slot to be given back with put.
func take(p *pool, deadline time.Time) (*slot, error) {
	now := time.Now()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	old := expireLocked(p, now)
	var s *slot
	var turn chan *slot
	if n := len(p.idle); n > 0 {
		s = p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.reuses++
	} else if p.open < p.size {
		s = &slot{}
		p.open++
	} else {
		turn = make(chan *slot, 2) // a slot, or Close's nil; and the timer's nil
		p.queue = append(p.queue, turn)
	}
	p.mu.Unlock()
	if old != nil {
		closeAll(old)
	}
	if s == nil {
		return await(p, turn, deadline)
	}
	s.since = now
	return s, nil
}

// expireLocked removes the slots that were idle for too long: the first ones,
// since the last one is always used first.
func expireLocked(p *pool, now time.Time) []*slot {
	if len(p.idle) == 0 {
		return nil
	}
	limit := now.Add(-p.idleTimeout)
	n := 0
	for n < len(p.idle) && p.idle[n].since.Before(limit) {
		n++
	}
	if n == 0 {
		return nil
	}
	old := p.idle[:n:n]
	for i := 0; i < n; i++ {
		lost(p, old[i]) // now: who dials next must not count on them
	}
	p.idle = append([]*slot{}, p.idle[n:]...)
	p.open -= n
	return old
}

// weed removes the idle slots whose connections lead elsewhere than to the address.
func weed(p *pool, address string) []*slot {
	return sift(p, func(s *slot) bool { return s.conn.address != address })
}

// weedOlder removes the idle slots that were last taken at a time, or before.
func weedOlder(p *pool, than time.Time) []*slot {
	return sift(p, func(s *slot) bool { return !s.since.After(than) })
}

// sift removes the idle slots of which gone says so.
func sift(p *pool, gone func(s *slot) bool) []*slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	var kept, removed []*slot
	for i := 0; i < len(p.idle); i++ {
		s := p.idle[i]
		if gone(s) {
			removed = append(removed, s)
			lost(p, s)
		} else {
			kept = append(kept, s)
		}
	}
	p.idle = kept
	p.open -= len(removed)
	return removed
}

// await waits for a slot until the deadline.
//
// The slot and the timer's nil may come at the same time. What decides is the
// queue: put takes a caller out of it and sends under the lock, so whoever
// finds himself gone from the queue has a slot in his channel. He gives it to
// the next one; his time is over.
func await(p *pool, turn chan *slot, deadline time.Time) (*slot, error) {
	timer := time.AfterFunc(time.Until(deadline), func() { turn <- nil })
	s := <-turn
	timer.Stop()
	if s != nil {
		s.since = time.Now()
		return s, nil
	}
	queued, closed := leave(p, turn)
	if closed {
		return nil, ErrClosed
	}
	if !queued {
		s = <-turn
		put(p, s)
	}
	return nil, fmt.Errorf("%w: all %d connections were busy", ErrPoolTimeout, p.size)
}

// leave takes a caller out of the queue. It returns queued if he was in it.
func leave(p *pool, turn chan *slot) (queued, closed bool) {
	p.mu.Lock()
	for i := 0; i < len(p.queue); i++ {
		if p.queue[i] == turn {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			queued = true
			break
		}
	}
	closed = queued && p.closed
	p.mu.Unlock()
	return queued, closed
}

// put gives a slot back: with its connection if that can be used again, with
// nil if the next holder has to dial.
func put(p *pool, s *slot) {
	p.mu.Lock()
	if s.conn != nil && !p.closed && len(p.queue) == 0 {
		p.idle = append(p.idle, s)
		p.mu.Unlock()
		return
	}
	putOther(p, s)
}

// putOther gives a slot back whose connection was lost, or for which somebody waits. The pool is
// locked.
func putOther(p *pool, s *slot) {
	if s.conn == nil {
		lost(p, s) // closed already, but for a panic
	}
	drop := passLocked(p, s)
	p.mu.Unlock()
	if drop {
		hangUp(p, s, s.conn)
	}
}

// passLocked gives a slot that does not become idle to the next who waits. It reports whether its
// connection has to be closed.
func passLocked(p *pool, s *slot) bool {
	if p.closed {
		p.open--
		return s.conn != nil
	}
	if len(p.queue) == 0 {
		p.open--
		return false
	}
	if s.conn != nil {
		p.reuses++
	}
	turn := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	turn <- s
	return false
}

// shut closes the idle connections and sends those who wait away. Connections
// in use are closed by put.
func shut(p *pool) {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.open -= len(idle)
	for i := 0; i < len(idle); i++ {
		lost(p, idle[i])
	}
	if !p.closed {
		p.closed = true
		for i := 0; i < len(p.queue); i++ {
			p.queue[i] <- nil // leave takes them out of the queue
		}
	}
	p.mu.Unlock()
	closeAll(idle)
}

// closeAll closes connections that do not count any more.
func closeAll(slots []*slot) {
	for i := 0; i < len(slots); i++ {
		_ = slots[i].conn.raw.Close()
	}
}

// hangUp closes the connection of a slot.
func hangUp(p *pool, s *slot, k *conn) {
	lost(p, s)
	_ = k.raw.Close()
}

// won notes that a slot has a new connection.
func won(p *pool, s *slot, k *conn) {
	s.live = true
	s.made = k
	p.live.Add(1)
	p.madeMu.Lock()
	if p.made == nil {
		p.made = map[*conn]bool{}
	}
	p.made[k] = true
	p.madeMu.Unlock()
}

// lost notes that the connection of a slot is none any more.
func lost(p *pool, s *slot) {
	if s.live {
		s.live = false
		p.live.Add(-1)
		p.madeMu.Lock()
		delete(p.made, s.made)
		p.madeMu.Unlock()
		s.made = nil
	}
}

// disown closes the connections of which gone says so, also while they are in use: whoever
// uses one sees it break.
func disown(p *pool, gone func(k *conn) bool) {
	p.madeMu.Lock()
	defer p.madeMu.Unlock()
	for k := range p.made {
		if gone(k) {
			_ = k.raw.Close()
		}
	}
}
