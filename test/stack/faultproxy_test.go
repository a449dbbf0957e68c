package stack

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFaultProxy looks at the proxy itself: what it passes on, and where it
// does its harm.
func TestFaultProxy(t *testing.T) {
	answer := "$5\r\nhello\r\n*2\r\n:1\r\n$-1\r\n"
	p := NewFaultProxy(t, BadRedis(t, answer))
	pipeline := "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"
	for _, c := range []struct {
		name string
		s    Spoiler
		want string
	}{
		{"faithful", nil, answer},
		{"slow", Slow(time.Millisecond), answer},
		{"drip", Drip(3, 0), answer},
		{"reset", Half(Reset), ""},
		{"half-close", Half(HalfClose), answer[:len(answer)/2]},
		{"lying length", LyingLength(), "$3\r\nhello\r\n*2\r\n:1\r\n$-1\r\n"},
		{"reordered", Reordered(), "*2\r\n:1\r\n$-1\r\n$5\r\nhello\r\n"},
		{"words", Says("+OK\r\n"), "+OK\r\n+OK\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.Set(c.s)
			conn, err := net.Dial("tcp", p.Address)
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, pipeline)
			require.NoError(t, err)
			_ = conn.SetReadDeadline(time.Now().Add(Patience))
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
		p.Refuse()
		_, err := net.Dial("tcp", p.Address)
		assert.Error(t, err)
		p.Open()
		conn, err := net.Dial("tcp", p.Address)
		require.NoError(t, err)
		conn.Close()
	})
	t.Run("another connection's", func(t *testing.T) {
		s := WrongConnection()
		one, two := &Wire{}, &Wire{}
		first, second := loopback(t, one), loopback(t, two)
		give := func(l *Wire, words string) {
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
func loopback(t *testing.T, l *Wire) net.Conn {
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
