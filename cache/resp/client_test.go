package resp

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var ping = Command{Args: []string{"PING"}}

func TestDefaults(t *testing.T) {
	c := New(Options{})
	assert.Equal(t, Options{Network: "tcp", DialTimeout: 250 * time.Millisecond, Timeout: 100 * time.Millisecond,
		PoolSize: 32, IdleTimeout: 5 * time.Minute, MaxReply: 16 << 20}, c.o)
	assert.Equal(t, Stats{}, c.Stats())
}

func TestNothingToDo(t *testing.T) {
	c := New(Options{Address: "127.0.0.1:1"})
	replies, err := c.Do()
	assert.NoError(t, err)
	assert.Empty(t, replies)
	_, err = c.DoTimeout(0, ping)
	assert.ErrorIs(t, err, ErrTimeout)
	_, err = c.DoTimeout(-time.Second, ping)
	assert.ErrorIs(t, err, ErrTimeout)
	assert.Zero(t, c.Stats().Dials)
	c.Close()
	_, err = c.Do(ping)
	assert.ErrorIs(t, err, ErrClosed)
}

func TestNobodyThere(t *testing.T) {
	c := New(Options{Address: "127.0.0.1:" + itoa(FreePort(t))})
	_, err := c.Do(ping)
	assert.ErrorIs(t, err, ErrConnect)
	assert.NotErrorIs(t, err, ErrTimeout)
	assert.Equal(t, Stats{Dials: 1, ConnectErrors: 1}, c.Stats())
	c = New(Options{Network: "unix", Address: MakeDir(t) + "/none"})
	_, err = c.Do(ping)
	assert.ErrorIs(t, err, ErrConnect)
}

// The first connections begin an era, however many are made at once, and so do those
// that are made when none is left: nothing has told whether the server is the same.
func TestNoConnectionNoEra(t *testing.T) {
	fake := StartFake(t, func(_ int, _ net.Conn, in *bufio.Reader) { ReadCommand(in) })
	c := New(Options{Address: fake.Address, Timeout: 10 * time.Second})
	defer c.Close()
	deadline := time.Now().Add(10 * time.Second)
	before := c.Era()
	for _, how := range []string{"closed", "lost in a panic"} {
		var slots []*slot
		for i := 0; i < 3; i++ { // all of them before the first connection
			s, err := take(c.pool, deadline)
			require.NoError(t, err)
			slots = append(slots, s)
		}
		for i, s := range slots {
			k, err := open(c, s, deadline)
			require.NoError(t, err)
			if i == 0 {
				require.NotEqual(t, before, c.Era(), how)
				before = c.Era()
			}
			require.Equal(t, before, c.Era(), "the first one watches the server")
			if how == "closed" {
				hangUp(c.pool, s, k)
				before++ // the next one is the first again
			}
			defer k.raw.Close()
		}
		for _, s := range slots {
			put(c.pool, s)
		}
		require.Zero(t, c.pool.live.Load())
		before = c.Era()
	}
}

// Connections that were idle for too long watch nothing from the moment on at which they
// are given up.
func TestExpiredConnectionsWatchNothing(t *testing.T) {
	fake := StartFake(t, func(_ int, c net.Conn, in *bufio.Reader) {
		for ReadCommand(in) {
			io.WriteString(c, "+PONG\r\n")
		}
	})
	c := New(Options{Address: fake.Address, Timeout: 10 * time.Second, IdleTimeout: time.Minute})
	defer c.Close()
	_, err := c.Do(ping)
	require.NoError(t, err)
	require.EqualValues(t, 1, c.pool.live.Load())
	c.pool.mu.Lock()
	old := expireLocked(c.pool, time.Now().Add(time.Hour))
	c.pool.mu.Unlock()
	require.Len(t, old, 1)
	require.Zero(t, c.pool.live.Load(), "before it is closed")
	closeAll(old)
	require.Zero(t, c.pool.live.Load(), "and not twice")
}

// A server that takes no writes any more is another one.
func TestReadOnlyIsAnotherEra(t *testing.T) {
	fake := StartFake(t, func(_ int, c net.Conn, in *bufio.Reader) {
		for ReadCommand(in) {
			io.WriteString(c, "-READONLY You can't write against a read only replica.\r\n")
		}
	})
	c := New(Options{Address: fake.Address, Timeout: 10 * time.Second})
	defer c.Close()
	for i := 0; i < 3; i++ {
		before := c.Era()
		_, err := c.Do(ping)
		require.NoError(t, err)
		require.NotEqual(t, before, c.Era())
	}
}

// Whatever order they come in, no use of a client leaves it without an era.
func TestEraOfACrowd(t *testing.T) {
	fake := StartFake(t, func(_ int, c net.Conn, in *bufio.Reader) {
		for ReadCommand(in) {
			io.WriteString(c, "+PONG\r\n")
		}
	})
	for i := 0; i < 50; i++ {
		c := New(Options{Address: fake.Address, Timeout: 10 * time.Second})
		var group sync.WaitGroup
		for j := 0; j < 16; j++ {
			group.Add(1)
			go func() {
				defer group.Done()
				_, err := c.Do(ping)
				assert.NoError(t, err)
			}()
		}
		group.Wait()
		require.NotZero(t, c.Era())
		stats := c.Stats()
		require.Equal(t, stats.Open, c.pool.live.Load())
		c.Close()
		require.Zero(t, c.pool.live.Load())
	}
}

// readCommands reads n commands.
func readCommands(in *bufio.Reader, n int) bool {
	for ; n > 0; n-- {
		if !ReadCommand(in) {
			return false
		}
	}
	return true
}

// Error replies stay where they belong, and the connection stays in use.
func TestErrorInPipeline(t *testing.T) {
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
		for readCommands(in, 3) {
			io.WriteString(c, "+OK\r\n-WRONGTYPE Operation against a key\r\n:7\r\n")
		}
	})
	c := New(Options{Address: fake.Address, Timeout: 10 * time.Second})
	defer c.Close()
	for i := 0; i < 3; i++ {
		r, err := c.Do(ping, ping, ping)
		require.NoError(t, err)
		require.Len(t, r, 3)
		assert.NoError(t, Err(r[0]))
		assert.ErrorIs(t, Err(r[1]), ErrServer)
		assert.Equal(t, "WRONGTYPE", Code(r[1]))
		assert.Equal(t, int64(7), r[2].Int)
	}
	assert.Equal(t, Stats{Open: 1, Idle: 1, Dials: 1, Reuses: 2, ServerErrors: 3}, c.Stats())
}

// What was read of a pipeline that did not come to its end is not returned,
// even if the part is whole.
func TestBrokenPipeline(t *testing.T) {
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
		ReadCommand(in)
		ReadCommand(in)
		io.WriteString(c, "+OK\r\n")
	})
	c := New(Options{Address: fake.Address, Timeout: 10 * time.Second})
	defer c.Close()
	r, err := c.Do(ping, ping)
	assert.ErrorIs(t, err, ErrConnect)
	assert.Nil(t, r)
	assert.Equal(t, Stats{Dials: 1, ConnectErrors: 1}, c.Stats())
}

// A server that does not read blocks the writing, not longer than allowed.
func TestServerReadsNothing(t *testing.T) {
	release := make(chan bool)
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) { <-release })
	defer close(release)
	c := New(Options{Address: fake.Address})
	defer c.Close()
	start := time.Now()
	_, err := c.Do(Command{Args: []string{"SET", "k"}, Body: make([]byte, 64<<20)})
	assert.ErrorIs(t, err, ErrTimeout)
	assert.Less(t, time.Since(start), time.Second)
	assert.Equal(t, Stats{Dials: 1, Timeouts: 1}, c.Stats())
}

// Setting a connection up is bounded by DialTimeout, and by what is left for
// the operation.
func TestSetUpTimeout(t *testing.T) {
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) { Drain(in) })
	for name, o := range map[string]Options{
		"TLS":  {TLS: &tls.Config{InsecureSkipVerify: true}},
		"AUTH": {Password: "secret"},
	} {
		for _, d := range [][2]time.Duration{{50 * time.Millisecond, 10 * time.Second}, {10 * time.Second, 50 * time.Millisecond}} {
			o.Address, o.DialTimeout, o.Timeout = fake.Address, d[0], d[1]
			c := New(o)
			start := time.Now()
			_, err := c.Do(ping)
			assert.ErrorIs(t, err, ErrTimeout, name)
			assert.ErrorIs(t, err, ErrConnect, name)
			assert.Less(t, time.Since(start), 2*time.Second)
			assert.Equal(t, Stats{Dials: 1, Timeouts: 1}, c.Stats())
		}
	}
}

// Whatever a server makes of AUTH and SELECT, the password is in no error.
func TestSetUpRefused(t *testing.T) {
	const password = "hunter2-secret"
	for _, c := range []struct {
		name, answer string
		want         error
		not          error
	}{
		{"WRONGPASS", "-WRONGPASS invalid username-password pair\r\n+OK\r\n", ErrAuth, nil},
		{"NOAUTH", "+OK\r\n-NOAUTH Authentication required.\r\n", ErrAuth, nil},
		{"NOPERM", "+OK\r\n-NOPERM this user has no permissions to run the 'select' command\r\n", ErrAuth, nil},
		{"old server", "-ERR invalid password\r\n-NOAUTH Authentication required.\r\n", ErrAuth, nil},
		{"no password set", "-ERR AUTH <password> called without any password configured\r\n+OK\r\n", ErrAuth, nil},
		{"AUTH renamed", "-ERR unknown command 'AUTH', with args beginning with: '" + password + "' \r\n+OK\r\n", ErrAuth, nil},
		{"code that is the password", "-" + password + " x\r\n+OK\r\n", ErrServer, ErrAuth},
		{"type that echoes", password + "\r\n", ErrProtocol, ErrAuth},
		{"status that echoes", "+" + password + "\r\n+OK\r\n", ErrProtocol, ErrAuth},
		{"bulk that echoes", "$14\r\n" + password + "\r\n+OK\r\n", ErrProtocol, ErrAuth},
		{"length that echoes", "$" + password + "\r\n", ErrProtocol, ErrAuth},
		{"echo server", "*2\r\n$4\r\nAUTH\r\n$14\r\n" + password + "\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n", ErrProtocol, ErrAuth},
		{"no such database", "+OK\r\n-ERR DB index is out of range\r\n", ErrServer, ErrAuth},
		{"too many clients", "-ERR max number of clients reached\r\n+OK\r\n", ErrServer, ErrAuth},
		{"ends", "", ErrConnect, ErrAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := make(chan bool)
			fake := StartFake(t, func(n int, conn net.Conn, in *bufio.Reader) {
				ReadCommand(in)
				ReadCommand(in)
				io.WriteString(conn, c.answer)
				if c.answer != "" {
					Drain(in)
				}
				ended <- true
			})
			client := New(Options{Address: fake.Address, Username: "u", Password: password, DB: 3, Timeout: 10 * time.Second})
			_, err := client.Do(ping)
			assert.ErrorIs(t, err, c.want)
			assert.ErrorIs(t, err, ErrConnect)
			if c.not != nil {
				assert.NotErrorIs(t, err, c.not)
			}
			assert.NotContains(t, err.Error(), password)
			assert.NotContains(t, err.Error(), "hunter")
			<-ended // the client has closed the connection
			assert.Equal(t, 1, fake.Accepted())
			assert.Zero(t, client.Stats().Open)
		})
	}
}

// A panic on the way, here of the TLS configuration's callback, goes up, but
// takes no slot with it.
func TestPanicKeepsNoSlot(t *testing.T) {
	cert := testCertificate(t)
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
		tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
	})
	c := New(Options{Address: fake.Address, PoolSize: 1, Timeout: 5 * time.Second, DialTimeout: 5 * time.Second,
		TLS: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { panic("boom") }}})
	for i := 0; i < 3; i++ {
		assert.PanicsWithValue(t, "boom", func() { c.Do(ping) })
		assert.Zero(t, c.Stats().Open)
	}
}

// An error of TLS closes the raw connection without a word to the peer: the
// caller must not wait for one that does not read.
func TestCloseDoesNotWaitForThePeer(t *testing.T) {
	cert := testCertificate(t)
	release := make(chan bool)
	defer close(release)
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
		tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
		<-release
	})
	c := New(Options{Address: fake.Address, Timeout: 500 * time.Millisecond, DialTimeout: 5 * time.Second,
		TLS: &tls.Config{InsecureSkipVerify: true}})
	start := time.Now()
	_, err := c.Do(Command{Args: []string{"SET", "k"}, Body: make([]byte, 64<<20)})
	assert.ErrorIs(t, err, ErrTimeout)
	assert.Less(t, time.Since(start), 2*time.Second, "closing the TLS layer may take 5 s")
}

// Close lets a running operation finish and closes its connection then.
func TestCloseWhileBusy(t *testing.T) {
	step := make(chan bool)
	ended := make(chan bool)
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
		ReadCommand(in)
		step <- true
		<-step
		io.WriteString(c, "+OK\r\n")
		Drain(in)
		ended <- true
	})
	c := New(Options{Address: fake.Address, Timeout: 10 * time.Second})
	done := make(chan error)
	go func() {
		_, err := c.Do(ping)
		done <- err
	}()
	<-step
	c.Close()
	step <- true
	assert.NoError(t, <-done)
	<-ended
	assert.Zero(t, c.Stats().Open)
}

// A large reply is refused before it is read, and a reply of the limit's size is not.
func TestMaxReply(t *testing.T) {
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
		for _, size := range []int{100, 10, 101} {
			ReadCommand(in)
			io.WriteString(c, "$"+itoa(size)+"\r\n"+strings.Repeat("x", size)+"\r\n")
		}
	})
	c := New(Options{Address: fake.Address, MaxReply: 100, Timeout: 10 * time.Second})
	defer c.Close()
	r, err := c.Do(ping)
	require.NoError(t, err)
	assert.Len(t, r[0].Body, 100)
	r, err = c.Do(ping)
	require.NoError(t, err)
	assert.Len(t, r[0].Body, 10)
	_, err = c.Do(ping)
	assert.ErrorIs(t, err, ErrTooLarge)
	assert.Zero(t, c.Stats().Open)
}

func TestEmptyCommandIsRefused(t *testing.T) {
	fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) { Drain(in) })
	c := New(Options{Address: fake.Address, Timeout: 5 * time.Second})
	defer c.Close()
	_, err := c.Do(ping, Command{})
	assert.ErrorIs(t, err, ErrProtocol)
}

func TestErrorsAreKnown(t *testing.T) {
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF, errors.New("x"), net.ErrClosed} {
		assert.ErrorIs(t, transportError(err), ErrConnect)
		assert.ErrorIs(t, transportError(err), err)
	}
	assert.ErrorIs(t, transportError(&net.DNSError{IsTimeout: true}), ErrTimeout)
	assert.NotErrorIs(t, transportError(&net.DNSError{}), ErrTimeout)
}

// TestMistakenReplies: where a command wants a reply of its own, others end the
// connection, and none of the replies is returned.
func TestMistakenReplies(t *testing.T) {
	answer := func(replies string) func(int, net.Conn, *bufio.Reader) {
		return func(_ int, c net.Conn, in *bufio.Reader) {
			for ReadCommand(in) {
				ReadCommand(in)
				c.Write([]byte(replies))
			}
		}
	}
	for _, c := range []struct {
		name, replies string
		want          error
		dials         int64
	}{
		{"its own", "$1\r\nx\r\n$1\r\na\r\n", nil, 1},
		{"another's", "$1\r\nx\r\n$1\r\nb\r\n", ErrProtocol, 2},
		{"another kind", "$1\r\nx\r\n+a\r\n", ErrProtocol, 2},
		{"none", "$1\r\nx\r\n$-1\r\n", ErrProtocol, 2},
		{"an error", "$1\r\nx\r\n-LOADING\r\n", ErrServer, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := StartFake(t, answer(c.replies))
			client := New(Options{Address: f.Address, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
			defer client.Close()
			for i := 0; i < 2; i++ {
				replies, err := client.Do(Command{Args: []string{"GET", "x"}}, Command{Args: []string{"ECHO", "a"}, Want: "a"})
				require.ErrorIs(t, err, c.want)
				require.Equal(t, c.want == nil, len(replies) == 2)
			}
			require.Equal(t, c.dials, client.Stats().Dials)
		})
	}
}

// TestSilenceIsPaidForOnce: when an address goes to another server without a word, all
// connections that were idle by then are of no use. Of these one is waited for, whoever
// asks and however. One that has answered since that question was sent stays.
func TestSilenceIsPaidForOnce(t *testing.T) {
	e := &Expected{Request: Encoded(args("ECHO", "n")), Replies: 1, Lead: "", Size: 0, End: "$1\r\nn\r\n"}
	for name, ask := range map[string]func(c *Client) error{
		"Do": func(c *Client) error { _, err := c.DoTimeout(100*time.Millisecond, args("ECHO", "n")); return err },
		"Expect": func(c *Client) error {
			_, state := Expect(c, c.Era(), time.Now(), e)
			return map[Outcome]error{TimedOut: ErrTimeout, Differs: ErrProtocol}[state]
		},
		"ExpectWords": func(c *Client) error {
			_, _, state := ExpectWords(c, time.Now(), Encoded(args("ECHO", "n"), args("ECHO", "n")), 1, "$1\r\nn\r\n")
			return map[Outcome]error{TimedOut: ErrTimeout, Differs: ErrProtocol}[state]
		},
	} {
		t.Run(name, func(t *testing.T) {
			const most = 24
			fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
				for i := 0; ReadCommand(in); i++ {
					if n > most || i == 0 {
						c.Write([]byte("$1\r\nn\r\n"))
					}
				}
			})
			c := New(Options{Address: fake.Address, Timeout: 100 * time.Millisecond, DialTimeout: 10 * time.Second})
			defer c.Close()
			var slots []*slot
			for i := 0; i < most; i++ {
				_, err := c.DoTimeout(10*time.Second, args("ECHO", "n"))
				require.NoError(t, err)
				slots = append(slots, mustTake(t, c.pool))
			}
			for _, s := range slots {
				put(c.pool, s)
			}
			require.EqualValues(t, most, c.Stats().Idle)
			require.ErrorIs(t, ask(c), ErrTimeout)
			assert.Zero(t, c.Stats().Open)
			assert.Zero(t, c.pool.live.Load())
			for i := 0; i < 3; i++ {
				_, err := c.DoTimeout(10*time.Second, args("ECHO", "n"))
				require.NoError(t, err)
			}
			assert.EqualValues(t, 1, c.Stats().Timeouts+boolToInt(name == "Expect"), "an Outcome tells of it")
		})
	}
	t.Run("what has answered since stays", func(t *testing.T) {
		asked, answered := make(chan bool), make(chan bool)
		fake := StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
			for i := 0; ReadCommand(in); i++ {
				if n == 1 && i == 1 {
					asked <- true
					<-answered
					Drain(in)
				}
				c.Write([]byte("$1\r\nn\r\n"))
			}
		})
		c := New(Options{Address: fake.Address, Timeout: 300 * time.Millisecond, DialTimeout: 10 * time.Second})
		defer c.Close()
		one(t, c, ping)
		failed := make(chan error)
		go func() { _, err := c.Do(ping); failed <- err }()
		<-asked
		_, err := c.DoTimeout(10*time.Second, ping)
		require.NoError(t, err)
		answered <- true
		require.ErrorIs(t, <-failed, ErrTimeout)
		assert.Equal(t, Stats{Open: 1, Idle: 1, Dials: 2, Reuses: 1, Timeouts: 1}, c.Stats())
	})
}

func boolToInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
