package resp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The errors of this package, each of them wrapped with what happened. A
// failure while a connection is made wraps ErrConnect and its cause.
var (
	ErrTimeout     = errors.New("redis: timeout")              // no full answer within the time
	ErrConnect     = errors.New("redis: connection failed")    // none could be made, or it broke
	ErrPoolTimeout = errors.New("redis: no free connection")   // within the time; nothing was sent
	ErrProtocol    = errors.New("redis: protocol error")       // not RESP2, or more than was asked for
	ErrTooLarge    = errors.New("redis: reply too large")      // more than MaxReply
	ErrAuth        = errors.New("redis: not authorised")       // AUTH or SELECT refused
	ErrClosed      = errors.New("redis: client closed")        // by Close
	ErrServer      = errors.New("redis: server answered with") // an error reply
	ErrSeveral     = errors.New("redis: several servers")      // one address leads to them in turn
)

// Options says where the server is and what the client may use. A field that
// is zero has the default.
type Options struct {
	Network string // "tcp" (default) or "unix"
	Address string // host:port, or the path of the socket
	master  bool   // refuse a server that says it is none

	Sentinels *Sentinels // tell the address instead
	Runs      bool       // ask each server for its run, so that all connections lead to one server

	Username string  // AUTH Username Password
	Password string  // AUTH Password
	Secret   *Secret // in place of Password; nil: there is none
	DB       int     // SELECT, if > 0
	TLS      *tls.Config

	DialTimeout time.Duration // of dial, TLS, AUTH and SELECT together; 250 ms
	Timeout     time.Duration // of a whole Do: waiting, dialling, writing, reading; 100 ms
	PoolSize    int           // most connections; 32
	IdleTimeout time.Duration // idle connections older than this are closed at the next Do; 5 min
	MaxReply    int           // bytes of one reply with all its items, 96 for each item included; 16 MiB
}

// Client is a pool of connections to one server, for any number of goroutines.
type Client struct {
	o      Options
	pool   *pool
	finder *finder // nil: the address is known
	runs   runs
	era    atomic.Int64

	roleless atomic.Bool // the last server that sentinels named did not tell its role

	timeout time.Duration // that of the options, which an interpreter would copy to get at it

	mu     sync.Mutex
	stats  Stats  // without what the pool counts
	master string // of the last connection, where sentinels tell it
}

// Stats is what a client has, and what it has seen since New. An error counts
// once, under the most telling of its names.
type Stats struct {
	Open    int64 // connections, with those that are being made
	Idle    int64
	Waiting int64 // callers that wait for a connection

	Dials   int64 // connections that were made or attempted
	Reuses  int64 // times that a connection was used again
	Retries int64 // pipelines sent twice, because an idle connection was dead

	Timeouts       int64 // ErrTimeout
	PoolTimeouts   int64 // ErrPoolTimeout
	ConnectErrors  int64 // ErrConnect
	AuthErrors     int64 // ErrAuth
	ProtocolErrors int64 // ErrProtocol
	TooLarge       int64 // ErrTooLarge
	ServerErrors   int64 // error replies, each of a pipeline
}

// New returns a client. It dials nothing and starts no goroutine.
func New(o Options) *Client {
	if o.Network == "" {
		o.Network = "tcp"
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = 250 * time.Millisecond
	}
	if o.Timeout <= 0 {
		o.Timeout = 100 * time.Millisecond
	}
	if o.PoolSize <= 0 {
		o.PoolSize = 32
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 5 * time.Minute
	}
	if o.MaxReply <= 0 {
		o.MaxReply = 16 << 20
	}
	c := &Client{o: o, pool: &pool{size: o.PoolSize, idleTimeout: o.IdleTimeout}, timeout: o.Timeout}
	if o.Sentinels != nil {
		c.o.Network = "tcp"
		c.o.Runs = false // they say which server it is
		c.finder = newFinder(o)
	}
	return c
}

// Do sends the commands in one round trip and returns one reply for each, or
// an error and no reply. The server's error replies are replies: see Err.
func (c *Client) Do(cmds ...Command) ([]Reply, error) {
	return run(c, c.o.Timeout, cmds)
}

// Do sends commands in one round trip and returns their replies, as the method does. A call of
// a function costs an interpreter a third of that of a method.
func Do(c *Client, cmds []Command) ([]Reply, error) {
	return run(c, c.o.Timeout, cmds)
}

// DoTimeout is Do with another time than Options.Timeout.
func (c *Client) DoTimeout(timeout time.Duration, cmds ...Command) ([]Reply, error) {
	return run(c, timeout, cmds)
}

// run sends commands on a connection that is open already, if there is one. What is seldom
// needed has functions of its own, so that an interpreter has little to call. The deferred put gives the
// slot back whatever happens.
//
// The connection is out of its slot until it has proved to be clean, so that
// no way out of here, not even a panic, gives a dirty one back.
func run(c *Client, timeout time.Duration, cmds []Command) ([]Reply, error) {
	if len(cmds) == 0 || timeout <= 0 {
		return nothing(c, cmds)
	}
	now := time.Now()
	deadline := now.Add(timeout)
	s := ready(c.pool, now)
	if s == nil {
		return runSlowly(c, deadline, cmds)
	}
	defer put(c.pool, s)
	if c.finder != nil {
		return attempts(c, s, deadline, cmds)
	}
	k := s.conn
	s.conn = nil
	replies, failed, silent, err := exchange(k, deadline, cmds)
	if err != nil {
		if silent {
			return again(c, s, k, deadline, cmds)
		}
		return nil, failedOn(c, s, k, err)
	}
	if failed && refused(c, replies) {
		hangUp(c.pool, s, k)
		return replies, nil
	}
	s.conn = k
	return replies, nil
}

// nothing answers where there is nothing to send, or no time for it.
func nothing(c *Client, cmds []Command) ([]Reply, error) {
	if len(cmds) == 0 {
		return nil, nil
	}
	return nil, counted(c, fmt.Errorf("%w: no time left", ErrTimeout))
}

// runSlowly runs a pipeline for which no connection is ready.
func runSlowly(c *Client, deadline time.Time, cmds []Command) ([]Reply, error) {
	s, err := take(c.pool, deadline)
	if err != nil {
		return nil, counted(c, err)
	}
	defer put(c.pool, s)
	return attempts(c, s, deadline, cmds)
}

// attempts uses the slot's connection, or a new one, and a new one where that of the
// slot turns out to have ended.
func attempts(c *Client, s *slot, deadline time.Time, cmds []Command) ([]Reply, error) {
	replies, dead, err := attempt(c, s, deadline, cmds)
	if dead {
		return retry(c, s, deadline, cmds)
	}
	if err != nil {
		return nil, counted(c, err)
	}
	return replies, nil
}

// failedOn closes a connection from the pool on which an exchange has failed.
func failedOn(c *Client, s *slot, k *conn, err error) error {
	ended(c, s, k, errors.Is(err, ErrTimeout))
	return counted(c, err)
}

// again closes a connection from the pool that the other side had closed before, and tries a
// new one.
func again(c *Client, s *slot, k *conn, deadline time.Time, cmds []Command) ([]Reply, error) {
	ended(c, s, k, false)
	return retry(c, s, deadline, cmds)
}

// retry is the second attempt. Its slot is empty, so there is no third one.
func retry(c *Client, s *slot, deadline time.Time, cmds []Command) ([]Reply, error) {
	c.mu.Lock()
	c.stats.Retries++
	c.mu.Unlock()
	replies, _, err := attempt(c, s, deadline, cmds)
	if err != nil {
		return nil, counted(c, err)
	}
	return replies, nil
}

// attempt uses the slot's connection, or a new one. It returns dead if a
// connection from the pool turned out to have ended: then the slot is empty, and
// the next attempt dials. The connection is out of its slot as in run.
func attempt(c *Client, s *slot, deadline time.Time, cmds []Command) (replies []Reply, dead bool, err error) {
	k := s.conn
	s.conn = nil
	if k != nil && c.finder != nil && !settled(c, k) {
		hangUp(c.pool, s, k)
		k = nil
	}
	reused := k != nil
	if !reused {
		if k, err = open(c, s, deadline); err != nil {
			return nil, false, err
		}
	}
	replies, failed, silent, err := exchange(k, deadline, cmds)
	if err != nil {
		ended(c, s, k, errors.Is(err, ErrTimeout))
		return nil, silent && reused, err
	}
	if failed && refused(c, replies) {
		if c.finder != nil {
			c.finder.forget(k.address)
		}
		hangUp(c.pool, s, k)
		return replies, false, nil
	}
	if c.finder != nil && !settled(c, k) {
		hangUp(c.pool, s, k)
		return replies, false, nil
	}
	s.conn = k
	return replies, false, nil
}

// open makes a connection for a slot.
func open(c *Client, s *slot, deadline time.Time) (*conn, error) {
	if c.pool.live.Load() == 0 { // nothing has told whether the server is still the same
		broke(c)
	}
	c.mu.Lock()
	c.stats.Dials++
	c.mu.Unlock()
	if problem := c.runs.rests(time.Now()); problem != "" {
		return nil, fmt.Errorf("%w: %w: %s: %s", ErrConnect, ErrSeveral, c.o.Address, problem)
	}
	k, err := connect(c, deadline)
	if err != nil {
		return nil, err
	}
	won(c.pool, s, k)
	if err := arrive(c, k); err != nil {
		hangUp(c.pool, s, k)
		return nil, err
	}
	return k, nil
}

// broke begins another era: a connection has ended in another way than by Close. When a
// server is restarted, or another takes its place, all of them do.
func broke(c *Client) {
	c.era.Add(1)
}

// doubt notes that a connection has failed, where sentinels may tell a better address.
func doubt(c *Client, k *conn) {
	if c.finder != nil {
		c.finder.doubt(k.address)
	}
}

// ended closes a connection that has failed. The era ends first: who finds none left
// relies on that. If there was no answer in time, the connections that were idle meanwhile
// have fallen silent, too, or cannot be told from those that have: the server may hang, or
// its address may have gone to another one without a word. Each would cost another caller
// the whole time.
func ended(c *Client, s *slot, k *conn, timeout bool) {
	broke(c)
	hangUp(c.pool, s, k)
	if timeout {
		closeAll(weedOlder(c.pool, s.since))
	}
	doubt(c, k)
}

// Era returns a number that changes, before anything of the next server is read, when
// the commands may be answered by another server than before: one that has been
// restarted, or has taken over.
func (c *Client) Era() int64 {
	return c.era.Load()
}

// Roleless reports whether the server that sentinels have named does not tell whether it is a
// master.
func (c *Client) Roleless() bool {
	return c.roleless.Load()
}

// refused counts error replies. It reports whether one of them says that this
// server takes no writes any more: behind a name or a balancer a new connection
// may lead to the one that does, and that is another era. So does one that wants a
// password from a connection that has given one.
func refused(c *Client, replies []Reply) bool {
	n := 0
	useless := false
	for i := 0; i < len(replies); i++ {
		if replies[i].Kind == Error {
			n++
			code := Code(replies[i])
			useless = useless || code == "READONLY" || code == "NOAUTH" && (c.o.Password != "" || c.o.Secret != nil)
		}
	}
	if n > 0 {
		c.mu.Lock()
		c.stats.ServerErrors += int64(n)
		c.mu.Unlock()
	}
	if useless {
		broke(c)
	}
	return useless
}

func counted(c *Client, err error) error {
	c.mu.Lock()
	switch {
	case errors.Is(err, ErrAuth):
		c.stats.AuthErrors++
	case errors.Is(err, ErrTimeout):
		c.stats.Timeouts++
	case errors.Is(err, ErrPoolTimeout):
		c.stats.PoolTimeouts++
	case errors.Is(err, ErrTooLarge):
		c.stats.TooLarge++
	case errors.Is(err, ErrProtocol):
		c.stats.ProtocolErrors++
	case errors.Is(err, ErrServer):
		c.stats.ServerErrors++
	case errors.Is(err, ErrConnect):
		c.stats.ConnectErrors++
	}
	c.mu.Unlock()
	return err
}

// Close closes the idle connections now, those in use when they come back, and
// sends callers that wait away with ErrClosed.
func (c *Client) Close() {
	shut(c.pool)
}

// MaxReply returns how many bytes a reply may have.
func (c *Client) MaxReply() int {
	return c.o.MaxReply
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	s := c.stats
	c.mu.Unlock()
	p := c.pool
	p.mu.Lock()
	s.Open = int64(p.open)
	s.Idle = int64(len(p.idle))
	s.Waiting = int64(len(p.queue))
	s.Reuses = p.reuses
	p.mu.Unlock()
	return s
}
