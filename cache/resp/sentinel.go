package resp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Sentinels say where the master of a replicated Redis is
// (https://redis.io/docs/latest/develop/reference/sentinel-clients/).
type Sentinels struct {
	Master    string   // its name
	Addresses []string // host:port of the sentinels
	Username  string   // for them
	Password  string
	Secret    *Secret     // in place of Password
	TLS       *tls.Config // of connections to them; nil: plain ones, whatever those to the master are
}

// finder knows the master's address, or finds it out: from the first sentinel that
// tells, when a connection is made and the last known address has failed.
type finder struct {
	o Options // of connections to sentinels, without the address
	s Sentinels

	asking sync.Mutex // one asks at a time

	mu      sync.Mutex
	address string    // of the master as last heard, empty: not known
	doubted bool      // it could not be reached
	told    time.Time // when a sentinel told it
	failed  time.Time // when nobody could tell
	first   int       // the sentinel to ask first
}

// lull is how long after a question for the master nobody asks again. Without it each
// request would ask while there is no master, which takes longer than
// down-after-milliseconds, 30 s by default.
const lull = 100 * time.Millisecond

func newFinder(o Options) *finder {
	f := &finder{o: o, s: *o.Sentinels}
	f.o.Network = "tcp"
	f.o.Username = o.Sentinels.Username
	f.o.Password = o.Sentinels.Password
	f.o.Secret = o.Sentinels.Secret
	f.o.TLS = o.Sentinels.TLS
	f.o.DB = 0
	f.o.Sentinels = nil
	f.o.Runs = false
	f.o.PoolSize = 1
	return f
}

// known returns the master's address as it was last heard.
func (f *finder) known() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.address
}

// forget drops an address that has turned out not to be the master's: the next
// connection asks, and those to it are of no use.
func (f *finder) forget(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.address == address {
		f.address = ""
	}
}

// doubt makes the next connection ask again. Those that are open stay: on a busy
// machine a connection may fail although the master is well.
func (f *finder) doubt(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.address == address {
		f.doubted = true
	}
}

// current returns the master's address, empty if it has to be asked for, and whether
// that was done a moment ago.
func (f *finder) current() (address string, lately bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.address != "" && (!f.doubted || time.Since(f.told) < lull) {
		return f.address, false
	}
	return "", time.Since(f.told) < lull || time.Since(f.failed) < lull
}

// find returns the master's address. Its errors wrap ErrConnect.
func (f *finder) find(deadline time.Time) (string, error) {
	if address, _ := f.current(); address != "" {
		return address, nil
	}
	f.asking.Lock()
	defer func() { f.asking.Unlock() }()
	address, lately := f.current()
	if address != "" {
		return address, nil
	}
	if lately {
		return "", fmt.Errorf("%w: no sentinel has told the master %q", ErrConnect, f.s.Master)
	}
	f.mu.Lock()
	first := f.first
	f.mu.Unlock()
	var err error
	n := len(f.s.Addresses)
	for i := 0; i < n && time.Now().Before(deadline); i++ {
		at := (first + i) % n
		// One that does not answer leaves half of the time to the others.
		patience := time.Until(deadline) / 2
		if patience > f.o.DialTimeout {
			patience = f.o.DialTimeout
		}
		limit := time.Now().Add(patience)
		address, err = f.ask(f.s.Addresses[at], limit)
		if err == nil {
			f.mu.Lock()
			f.address, f.first = address, at
			f.doubted = false
			f.told = time.Now()
			f.mu.Unlock()
			return address, nil
		}
	}
	f.mu.Lock()
	f.failed = time.Now()
	f.told = time.Time{}
	f.first = (first + 1) % n
	f.mu.Unlock()
	return "", fmt.Errorf("%w: no sentinel has told the master %q: %v", ErrConnect, f.s.Master, err)
}

// ask asks one sentinel.
func (f *finder) ask(sentinel string, deadline time.Time) (string, error) {
	o := f.o
	o.Address = sentinel
	k, err := dial(o, deadline)
	if err != nil {
		return "", err
	}
	defer func() { _ = k.raw.Close() }()
	replies, _, _, err := exchange(k, deadline, []Command{{Args: []string{"SENTINEL", "get-master-addr-by-name", f.s.Master}}})
	if err != nil {
		return "", err
	}
	r := replies[0]
	if r.Kind != Array || len(r.Items) != 2 {
		return "", fmt.Errorf("%w: %s knows no such master", ErrServer, sentinel)
	}
	return net.JoinHostPort(string(r.Items[0].Body), string(r.Items[1].Body)), nil
}

// connect makes a connection: to the server, or to whoever is the master now.
func connect(c *Client, deadline time.Time) (*conn, error) {
	if c.finder == nil {
		return dial(c.o, deadline)
	}
	address, err := c.finder.find(deadline)
	if err != nil {
		return nil, err
	}
	follow(c, address)
	o := c.o
	o.Address = address
	o.master = true
	k, err := dial(o, deadline)
	if errors.Is(err, errNoMaster) {
		c.finder.forget(address)
	} else if err != nil {
		c.finder.doubt(address)
	}
	if err != nil {
		return nil, err
	}
	c.roleless.Store(k.roleless)
	return k, nil
}

// follow notes whom the sentinels call the master, before it is asked for anything. If
// it is another than before, the idle connections to that one are closed.
func follow(c *Client, address string) {
	c.mu.Lock()
	changed := c.master != address
	if changed {
		c.master = address
		c.era.Add(1)
	}
	c.mu.Unlock()
	if changed {
		closeAll(weed(c.pool, address))
	}
}

// settled reports whether a connection leads to where new ones do. After a failover
// those to the old master are of no use.
func settled(c *Client, k *conn) bool {
	return c.finder == nil || c.finder.known() == k.address
}
