package odoocache_test

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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faultProxy stands between the plugin and a Redis server. It knows where a
// pipeline and each of its replies end, so that it can do harm exactly there.
type faultProxy struct {
	t       *testing.T
	address string // of the proxy
	server  string // of Redis

	mu       sync.Mutex
	listener net.Listener // nil: connections are refused
	wires    map[*wire]bool
	spoil    spoiler // nil: every reply arrives as it is
}

// wire is one connection of the plugin, and the one to Redis that belongs to it.
type wire struct {
	proxy  *faultProxy
	client *net.TCPConn
	server net.Conn
	asked  int      // commands of this exchange
	before [][]byte // replies of the exchange before
}

// spoiler is what goes wrong with one exchange. ask has the commands carried out
// and returns their replies. After an error the connection is closed.
type spoiler func(l *wire, ask func() ([][]byte, error)) error

// errCut ends a connection on purpose.
var errCut = errors.New("cut")

func newFaultProxy(t *testing.T, server string) *faultProxy {
	t.Helper()
	p := &faultProxy{t: t, address: freeAddress(t), server: server, wires: map[*wire]bool{}}
	p.open()
	t.Cleanup(p.refuse)
	return p
}

// open accepts connections.
func (p *faultProxy) open() {
	p.t.Helper()
	var l net.Listener
	require.Eventually(p.t, func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", p.address)
		return err == nil
	}, patience, 5*time.Millisecond, "the proxy listens on %s", p.address)
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

// refuse ends all connections and takes no new ones.
func (p *faultProxy) refuse() {
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

// set says what goes wrong from now on, nil: nothing.
func (p *faultProxy) set(s spoiler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoil = s
}

func (p *faultProxy) current() spoiler {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spoil == nil {
		return faithful
	}
	return p.spoil
}

// join adds a wire unless the proxy has been closed meanwhile.
func (p *faultProxy) join(l *wire) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.wires[l] = true
	}
	return p.listener != nil
}

func (p *faultProxy) leave(l *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wires, l)
}

// serve goes through the exchanges of one connection.
func (p *faultProxy) serve(client *net.TCPConn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	l := &wire{proxy: p, client: client, server: server}
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

func (l *wire) reply(replies ...[]byte) error {
	_, err := l.client.Write(bytes.Join(replies, nil))
	return err
}

func faithful(l *wire, ask func() ([][]byte, error)) error {
	replies, err := ask()
	if err != nil {
		return err
	}
	return l.reply(replies...)
}

// after spoils replies that the server has given: the commands were carried out.
func after(spoil func(l *wire, replies [][]byte) error) spoiler {
	return func(l *wire, ask func() ([][]byte, error)) error {
		replies, err := ask()
		if err != nil {
			return err
		}
		return spoil(l, replies)
	}
}

// slow holds each reply back.
func slow(d time.Duration) spoiler {
	return after(func(l *wire, replies [][]byte) error {
		time.Sleep(d)
		return l.reply(replies...)
	})
}

// drip sends a reply in pieces of a few bytes.
func drip(piece int, pause time.Duration) spoiler {
	return after(func(l *wire, replies [][]byte) error {
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

// swallow is a black hole: commands go in, nothing comes out.
func swallow(*wire, func() ([][]byte, error)) error {
	return nil
}

// half sends the first half of the replies and leaves the rest to end.
func half(end func(l *wire) error) spoiler {
	return after(func(l *wire, replies [][]byte) error {
		all := bytes.Join(replies, nil)
		if err := l.reply(all[:len(all)/2]); err != nil {
			return err
		}
		return end(l)
	})
}

func fallSilent(*wire) error { return nil }

func reset(l *wire) error {
	_ = l.client.SetLinger(0)
	return errCut
}

// halfClose ends one direction and goes on reading the other.
func halfClose(l *wire) error {
	_ = l.client.CloseWrite()
	_, _ = io.Copy(io.Discard, l.client)
	return errCut
}

// everyOther lets two exchanges in three fail.
func everyOther() spoiler {
	var n atomic.Int64
	return func(l *wire, ask func() ([][]byte, error)) error {
		if n.Add(1)%3 != 0 {
			return errCut
		}
		return faithful(l, ask)
	}
}

// lyingLength has length headers that say more, far more, or less than there is.
func lyingLength() spoiler {
	var n atomic.Int64
	return after(func(l *wire, replies [][]byte) error {
		header := []string{"$536870911\r\n", "$3\r\n", "$900\r\n", "*9999999\r\n"}[n.Add(1)%4]
		_, rest, _ := bytes.Cut(bytes.Join(replies, nil), []byte("\n"))
		return l.reply([]byte(header), rest)
	})
}

// endless sends a line, or a bulk string within the limits, that does not end.
func endless() spoiler {
	var n atomic.Int64
	return func(l *wire, _ func() ([][]byte, error)) error {
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

// reordered gives the replies of a pipeline in other orders: the first two
// swapped, which have the same form, turned round, moved on by one.
func reordered() spoiler {
	var n atomic.Int64
	return after(func(l *wire, replies [][]byte) error {
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

// wrongConnection gives every pipeline the replies to another one of as many
// commands, from another connection where there is one: they can be read.
func wrongConnection() spoiler {
	type kept struct {
		of      *wire
		replies [][]byte
	}
	var mu sync.Mutex
	last := map[int][]kept{}
	return after(func(l *wire, replies [][]byte) error {
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

// oneBehind gives every pipeline the replies to the one before on the same
// connection, as a connection does that was used again with a reply unread.
func oneBehind() spoiler {
	return after(func(l *wire, replies [][]byte) error {
		before := l.before
		l.before = replies
		if before == nil {
			before = replies
		}
		return l.reply(before...)
	})
}

// says answers each command with words of its own, none of which was carried out.
func says(words ...string) spoiler {
	var n atomic.Int64
	return func(l *wire, _ func() ([][]byte, error)) error {
		for i := 0; i < l.asked; i++ {
			if err := l.reply([]byte(words[int(n.Add(1))%len(words)])); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestFaultProxy looks at the proxy itself: what it passes on, and where it
// does its harm.
func TestFaultProxy(t *testing.T) {
	answer := "$5\r\nhello\r\n*2\r\n:1\r\n$-1\r\n"
	p := newFaultProxy(t, badRedis(t, answer))
	pipeline := "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"
	for _, c := range []struct {
		name string
		s    spoiler
		want string
	}{
		{"faithful", nil, answer},
		{"slow", slow(time.Millisecond), answer},
		{"drip", drip(3, 0), answer},
		{"reset", half(reset), ""},
		{"half-close", half(halfClose), answer[:len(answer)/2]},
		{"lying length", lyingLength(), "$3\r\nhello\r\n*2\r\n:1\r\n$-1\r\n"},
		{"reordered", reordered(), "*2\r\n:1\r\n$-1\r\n$5\r\nhello\r\n"},
		{"words", says("+OK\r\n"), "+OK\r\n+OK\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.set(c.s)
			conn, err := net.Dial("tcp", p.address)
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, pipeline)
			require.NoError(t, err)
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			got := make([]byte, len(c.want))
			_, err = io.ReadFull(conn, got)
			require.NoError(t, err)
			assert.Equal(t, c.want, string(got))
			if c.name == "half-close" {
				_, err = conn.Read(make([]byte, 1))
				assert.Equal(t, io.EOF, err)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		p.refuse()
		_, err := net.Dial("tcp", p.address)
		assert.Error(t, err)
		p.open()
		conn, err := net.Dial("tcp", p.address)
		require.NoError(t, err)
		conn.Close()
	})
	t.Run("another connection's", func(t *testing.T) {
		s := wrongConnection()
		one, two := &wire{}, &wire{}
		first, second := loopback(t, one), loopback(t, two)
		give := func(l *wire, words string) {
			require.NoError(t, s(l, func() ([][]byte, error) { return [][]byte{[]byte(words)}, nil }))
		}
		read := func(c net.Conn) string {
			b := make([]byte, 3)
			_, err := io.ReadFull(c, b)
			require.NoError(t, err)
			return string(b)
		}
		give(one, "one")
		assert.Equal(t, "one", read(first), "there is no other yet")
		give(two, "two")
		assert.Equal(t, "one", read(second))
		give(one, "own")
		assert.Equal(t, "two", read(first))
	})
}

// loopback gives a wire a connection of its own and returns its other end.
func loopback(t *testing.T, l *wire) net.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	far, err := listener.Accept()
	require.NoError(t, err)
	l.client = near.(*net.TCPConn)
	t.Cleanup(func() { near.Close(); far.Close() })
	return far
}
