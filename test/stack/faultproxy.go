package stack

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FaultProxy stands between the plugin and a Redis server. It knows where a
// pipeline and each of its replies end, so that it can do harm exactly there.
type FaultProxy struct {
	t       *testing.T
	Address string // of the proxy
	server  string // of Redis

	mu       sync.Mutex
	listener net.Listener // nil: connections are refused
	wires    map[*Wire]bool
	spoil    Spoiler // nil: every reply arrives as it is
}

// Wire is one connection of the plugin, and the one to Redis that belongs to it.
type Wire struct {
	proxy  *FaultProxy
	client *net.TCPConn
	server net.Conn
	asked  int      // commands of this exchange
	before [][]byte // replies of the exchange before
}

// Spoiler is what goes wrong with one exchange. ask has the commands carried out
// and returns their replies. After an error the connection is closed.
type Spoiler func(l *Wire, ask func() ([][]byte, error)) error

// errCut ends a connection on purpose.
var errCut = errors.New("cut")

// NewFaultProxy starts a proxy in front of the Redis server at an address.
func NewFaultProxy(t *testing.T, server string) *FaultProxy {
	t.Helper()
	p := &FaultProxy{t: t, Address: FreeAddress(t), server: server, wires: map[*Wire]bool{}}
	p.Open()
	t.Cleanup(p.Refuse)
	return p
}

// Open accepts connections.
func (p *FaultProxy) Open() {
	p.t.Helper()
	var l net.Listener
	require.Eventually(p.t, func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", p.Address)
		return err == nil
	}, Patience, 5*time.Millisecond, "the proxy listens on %s", p.Address)
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c.(*net.TCPConn))
		}
	}()
}

// Refuse ends all connections and takes no new ones.
func (p *FaultProxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	for l := range p.wires {
		l.client.Close()
		l.server.Close()
	}
}

// Set says what goes wrong from now on, nil: nothing.
func (p *FaultProxy) Set(s Spoiler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoil = s
}

// SilenceOpen lets the connections that are open now fall silent, as when the address has
// gone to another server without a word. New ones are served.
func (p *FaultProxy) SilenceOpen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent := map[*Wire]bool{}
	for l := range p.wires {
		silent[l] = true
	}
	p.spoil = func(l *Wire, ask func() ([][]byte, error)) error {
		if silent[l] {
			return nil
		}
		return faithful(l, ask)
	}
}

func (p *FaultProxy) current() Spoiler {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spoil == nil {
		return faithful
	}
	return p.spoil
}

// join adds a wire unless the proxy has been closed meanwhile.
func (p *FaultProxy) join(l *Wire) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.wires[l] = true
	}
	return p.listener != nil
}

func (p *FaultProxy) leave(l *Wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wires, l)
}

// serve goes through the exchanges of one connection.
func (p *FaultProxy) serve(client *net.TCPConn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	l := &Wire{proxy: p, client: client, server: server}
	if !p.join(l) {
		return
	}
	defer p.leave(l)
	in, out := bufio.NewReader(client), bufio.NewReader(server)
	for err == nil {
		var commands []byte
		if commands, l.asked, err = readPipeline(in); err != nil {
			return
		}
		err = p.current()(l, func() ([][]byte, error) {
			if _, err := server.Write(commands); err != nil {
				return nil, err
			}
			replies := make([][]byte, l.asked)
			for i := range replies {
				if replies[i], err = rawValue(out); err != nil {
					return nil, err
				}
			}
			return replies, nil
		})
	}
}

// readPipeline reads a command and those that came with it.
func readPipeline(r *bufio.Reader) (all []byte, n int, err error) {
	for n == 0 || r.Buffered() > 0 {
		one, err := rawValue(r)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, one...)
		n++
	}
	return all, n, nil
}

// rawValue reads a command or a reply without understanding it.
func rawValue(r *bufio.Reader) ([]byte, error) {
	all, err := r.ReadBytes('\n')
	if err != nil || len(all) < 3 {
		return all, err
	}
	n, _ := strconv.Atoi(string(all[1 : len(all)-2]))
	switch {
	case all[0] == '$' && n >= 0:
		body := make([]byte, n+2)
		_, err = io.ReadFull(r, body)
		return append(all, body...), err
	case all[0] == '*':
		for i := 0; i < n; i++ {
			item, err := rawValue(r)
			if err != nil {
				return nil, err
			}
			all = append(all, item...)
		}
	}
	return all, nil
}

func (l *Wire) reply(replies ...[]byte) error {
	_, err := l.client.Write(bytes.Join(replies, nil))
	return err
}

func faithful(l *Wire, ask func() ([][]byte, error)) error {
	replies, err := ask()
	if err != nil {
		return err
	}
	return l.reply(replies...)
}

// after spoils replies that the server has given: the commands were carried out.
func after(spoil func(l *Wire, replies [][]byte) error) Spoiler {
	return func(l *Wire, ask func() ([][]byte, error)) error {
		replies, err := ask()
		if err != nil {
			return err
		}
		return spoil(l, replies)
	}
}

// Slow holds each reply back.
func Slow(d time.Duration) Spoiler {
	return after(func(l *Wire, replies [][]byte) error {
		time.Sleep(d)
		return l.reply(replies...)
	})
}

// Drip sends a reply in pieces of a few bytes.
func Drip(piece int, pause time.Duration) Spoiler {
	return after(func(l *Wire, replies [][]byte) error {
		for all := bytes.Join(replies, nil); len(all) > 0; {
			n := piece
			if n > len(all) {
				n = len(all)
			}
			if err := l.reply(all[:n]); err != nil {
				return err
			}
			all = all[n:]
			time.Sleep(pause)
		}
		return nil
	})
}

// Swallow is a black hole: commands go in, nothing comes out.
func Swallow(*Wire, func() ([][]byte, error)) error {
	return nil
}

// Half sends the first half of the replies and leaves the rest to end.
func Half(end func(l *Wire) error) Spoiler {
	return after(func(l *Wire, replies [][]byte) error {
		all := bytes.Join(replies, nil)
		if err := l.reply(all[:len(all)/2]); err != nil {
			return err
		}
		return end(l)
	})
}

// FallSilent says nothing more, and keeps the connection.
func FallSilent(*Wire) error { return nil }

// Reset ends the connection at once.
func Reset(l *Wire) error {
	_ = l.client.SetLinger(0)
	return errCut
}

// HalfClose ends one direction and goes on reading the other.
func HalfClose(l *Wire) error {
	_ = l.client.CloseWrite()
	_, _ = io.Copy(io.Discard, l.client)
	return errCut
}

// EveryOther lets two exchanges in three fail.
func EveryOther() Spoiler {
	var n atomic.Int64
	return func(l *Wire, ask func() ([][]byte, error)) error {
		if n.Add(1)%3 != 0 {
			return errCut
		}
		return faithful(l, ask)
	}
}

// LyingLength has length headers that say more, far more, or less than there is.
func LyingLength() Spoiler {
	var n atomic.Int64
	return after(func(l *Wire, replies [][]byte) error {
		header := []string{"$536870911\r\n", "$3\r\n", "$900\r\n", "*9999999\r\n"}[n.Add(1)%4]
		_, rest, _ := bytes.Cut(bytes.Join(replies, nil), []byte("\n"))
		return l.reply([]byte(header), rest)
	})
}

// Endless sends a line, or a bulk string within the limits, that does not end.
func Endless() Spoiler {
	var n atomic.Int64
	return func(l *Wire, _ func() ([][]byte, error)) error {
		header := []string{"+", "$30000000\r\n"}[n.Add(1)%2]
		err := l.reply([]byte(header))
		part := bytes.Repeat([]byte("x"), 8<<10)
		for i := 0; err == nil && i < 3000; i++ {
			err = l.reply(part)
			time.Sleep(time.Millisecond)
		}
		return errCut
	}
}

// Reordered gives the replies of a pipeline in other orders: the first two
// swapped, which have the same form, turned round, moved on by one.
func Reordered() Spoiler {
	var n atomic.Int64
	return after(func(l *Wire, replies [][]byte) error {
		if len(replies) < 2 {
			return l.reply(replies...)
		}
		switch n.Add(1) % 3 {
		case 0:
			replies[0], replies[1] = replies[1], replies[0]
		case 1:
			for i, j := 0, len(replies)-1; i < j; i, j = i+1, j-1 {
				replies[i], replies[j] = replies[j], replies[i]
			}
		case 2:
			replies = append(replies[1:], replies[0])
		}
		return l.reply(replies...)
	})
}

// WrongConnection gives every pipeline the replies to another one of as many
// commands, from another connection where there is one: they can be read.
func WrongConnection() Spoiler {
	type kept struct {
		of      *Wire
		replies [][]byte
	}
	var mu sync.Mutex
	last := map[int][]kept{}
	return after(func(l *Wire, replies [][]byte) error {
		mu.Lock()
		n := len(replies)
		answer, at := replies, -1
		for i, k := range last[n] {
			if k.of != l {
				answer, at = k.replies, i
			}
		}
		if at >= 0 {
			last[n] = append(last[n][:at], last[n][at+1:]...)
		}
		last[n] = append(last[n], kept{l, replies})
		if len(last[n]) > 4 {
			last[n] = last[n][1:]
		}
		mu.Unlock()
		return l.reply(answer...)
	})
}

// OneBehind gives every pipeline the replies to the one before on the same
// connection, as a connection does that was used again with a reply unread.
func OneBehind() Spoiler {
	return after(func(l *Wire, replies [][]byte) error {
		before := l.before
		l.before = replies
		if before == nil {
			before = replies
		}
		return l.reply(before...)
	})
}

// Says answers each command with words of its own, none of which was carried out.
func Says(words ...string) Spoiler {
	var n atomic.Int64
	return func(l *Wire, _ func() ([][]byte, error)) error {
		for i := 0; i < l.asked; i++ {
			if err := l.reply([]byte(words[int(n.Add(1))%len(words)])); err != nil {
				return err
			}
		}
		return nil
	}
}
