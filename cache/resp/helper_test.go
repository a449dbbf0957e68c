package resp

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Server is a redis-server of the test's own.
type Server struct {
	Address string // of the plain TCP port, if it has one
	cmd     *exec.Cmd
}

// Stop ends the server at once and waits for its end.
func (s *Server) Stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// Freeze stops the process without ending it.
func (s *Server) Freeze() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (s *Server) Thaw() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// StartRedis starts a redis-server on a free port with more arguments.
func StartRedis(t testing.TB, args ...string) *Server {
	t.Helper()
	return StartRedisAt(t, FreePort(t), args...)
}

// StartRedisAt starts a redis-server on a given port, and returns when it is
// ready to accept connections.
func StartRedisAt(t testing.TB, port int, args ...string) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH: the tests against a real server are left out")
	}
	all := append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", t.TempDir()}, args...)
	return startServer(t, port, "eady to accept connections", path, all...)
}

// StartSentinel starts a sentinel with the given lines of configuration.
func StartSentinel(t testing.TB, lines ...string) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH: the tests against a real sentinel are left out")
	}
	port, dir := FreePort(t), t.TempDir()
	conf := filepath.Join(dir, "conf") // which it writes to
	lines = append([]string{"port " + strconv.Itoa(port), "bind 127.0.0.1", "dir " + dir}, lines...)
	require.NoError(t, os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return startServer(t, port, "+monitor", path, conf, "--sentinel")
}

// startServer returns when the server has written the word to its log.
func startServer(t testing.TB, port int, ready, path string, args ...string) *Server {
	t.Helper()
	cmd := exec.Command(path, args...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	s := &Server{Address: "127.0.0.1:" + strconv.Itoa(port), cmd: cmd}
	t.Cleanup(s.Stop)
	log := ""
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		log += lines.Text() + "\n"
		if strings.Contains(lines.Text(), ready) {
			go func() {
				for lines.Scan() { // the server must not block on a full pipe
				}
			}()
			return s
		}
	}
	t.Fatalf("redis-server did not start:\n%s", log)
	return nil
}

// Group is a master with a replica, and sentinels that know both and each other.
type Group struct {
	Master, Replica *Server
	Sentinels       []string // their addresses
}

// StartGroup starts one whose master is called shop. The lines are added to the
// configuration of each sentinel.
func StartGroup(t testing.TB, lines ...string) *Group {
	t.Helper()
	g := &Group{Master: StartRedis(t)}
	host, port, err := net.SplitHostPort(g.Master.Address)
	require.NoError(t, err)
	g.Replica = StartRedis(t, "--replicaof", host, port)
	require.Eventually(t, func() bool { return strings.Contains(Ask(t, g.Replica.Address, "ROLE"), "connected") }, 10*time.Second, 10*time.Millisecond)
	lines = append([]string{
		"sentinel monitor shop " + host + " " + port + " 2", "sentinel down-after-milliseconds shop 500", "sentinel failover-timeout shop 3000",
	}, lines...)
	for i := 0; i < 3; i++ {
		g.Sentinels = append(g.Sentinels, StartSentinel(t, lines...).Address)
	}
	for _, address := range g.Sentinels {
		require.Eventually(t, func() bool {
			says := Ask(t, address, "SENTINEL", "master", "shop")
			return strings.Contains(says, "num-other-sentinels 2 ") && strings.Contains(says, "num-slaves 1 ")
		}, 20*time.Second, 20*time.Millisecond, "the sentinels know each other and the replica")
	}
	return g
}

// Ask sends one command, and returns the words of the reply, each followed by a blank.
func Ask(t testing.TB, address string, words ...string) string {
	t.Helper()
	c := New(Options{Address: address, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	defer c.Close()
	r, err := c.Do(Command{Args: words})
	require.NoError(t, err)
	return textOf(r[0])
}

func textOf(r Reply) string {
	text := ""
	for _, item := range r.Items {
		text += textOf(item)
	}
	switch r.Kind {
	case Bulk:
		return string(r.Body) + " "
	case Integer:
		return strconv.FormatInt(r.Int, 10) + " "
	}
	return text + r.Text + " "
}

// FreePort returns a port that was free a moment ago.
func FreePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Fake listens, and hands connection number n (from 1) to serve, which has it
// until it returns.
type Fake struct {
	Address  string
	mu       sync.Mutex
	accepted int
	conns    []net.Conn
}

// Accepted returns how many connections came.
func (f *Fake) Accepted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

// StartFake starts a server of TCP connections.
func StartFake(t testing.TB, serve func(n int, c net.Conn, in *bufio.Reader)) *Fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &Fake{Address: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.accepted++
			n := f.accepted
			f.conns = append(f.conns, c)
			f.mu.Unlock()
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for _, c := range f.conns {
			c.Close()
		}
		f.mu.Unlock()
		wg.Wait()
	})
	return f
}

// ReadCommand reads one command without understanding it; false at the end.
func ReadCommand(in *bufio.Reader) bool {
	var r Reply
	return readReply(&source{r: in, left: 1 << 30}, &r, 0) == nil
}

// Drain reads until the client has closed the connection.
func Drain(in *bufio.Reader) {
	for {
		if _, err := in.ReadByte(); err != nil {
			return
		}
	}
}

// Fault is a server that misbehaves, what a client sees that asks Asks times,
// and what it has counted.
type Fault struct {
	Name    string
	Asks    int
	Serve   func(n int, c net.Conn, in *bufio.Reader)
	Want    string
	Dials   int64
	Retries int64
}

// always answers the first command of each connection and waits for its end.
func always(reply string) func(int, net.Conn, *bufio.Reader) {
	return func(n int, c net.Conn, in *bufio.Reader) {
		ReadCommand(in)
		c.Write([]byte(reply))
		Drain(in)
	}
}

// Timeout is what the client should use: a short one only where it has to end
// that way, since the machine may be slow.
func (f Fault) Timeout() time.Duration {
	if strings.Contains(f.Want, "timeout") {
		return 300 * time.Millisecond
	}
	return 10 * time.Second
}

// Faults returns all the faults.
func Faults() []Fault {
	good := "$2\r\nhi\r\n"
	deep := strings.Repeat("*1\r\n", 17) + ":1\r\n"
	return []Fault{
		{"good", 3, func(n int, c net.Conn, in *bufio.Reader) {
			for ReadCommand(in) {
				c.Write([]byte(good))
			}
		}, "$hi $hi $hi", 1, 0},
		{"half a bulk, then nothing", 2, always("$10\r\nabc"), "timeout timeout", 2, 0},
		{"half a line, then nothing", 1, always("$1"), "timeout", 1, 0},
		{"half an array, then nothing", 1, always("*2\r\n:1\r\n"), "timeout", 1, 0},
		{"no answer at all", 2, always(""), "timeout timeout", 2, 0},
		{"half a bulk, then the end", 1, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			c.Write([]byte("$10\r\nabc"))
		}, "connect", 1, 0},
		{"garbage", 2, always("HTTP/1.1 400 Bad Request\r\n\r\n"), "protocol protocol", 2, 0},
		{"huge length", 1, always("$9999999999\r\n"), "too-large", 1, 0},
		{"length beyond int64", 1, always("$99999999999999999999999\r\n"), "too-large", 1, 0},
		{"huge array", 1, always("*1000000\r\n"), "too-large", 1, 0},
		{"negative length", 1, always("$-2\r\n"), "protocol", 1, 0},
		{"negative array", 1, always("*-2\r\n"), "protocol", 1, 0},
		{"nested array", 1, always("*2\r\n*2\r\n:1\r\n$-1\r\n*1\r\n+x\r\n"), "[[:1null][+x]]", 1, 0},
		{"too deep", 1, always(deep), "protocol", 1, 0},
		{"endless line", 1, always("+" + strings.Repeat("x", 70000)), "protocol", 1, 0},
		{"more than was asked for", 2, always(good + "+OK\r\n"), "protocol protocol", 2, 0},
		{"one byte more", 1, always(good + "$"), "protocol", 1, 0},
		{"error reply", 2, func(n int, c net.Conn, in *bufio.Reader) {
			for ReadCommand(in) {
				c.Write([]byte("-LOADING Redis is loading the dataset in memory\r\n"))
			}
		}, "-LOADING -LOADING", 1, 0},
		{"read-only server is left", 2, func(n int, c net.Conn, in *bufio.Reader) {
			reply := "-READONLY You can't write against a read only replica.\r\n"
			if n > 1 {
				reply = good
			}
			always(reply)(n, c, in)
		}, "-READONLY $hi", 2, 0},
		{"ends at once: no second try of a new connection", 2, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
		}, "connect connect", 2, 0},
		{"idle connection ended: second try", 3, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			c.Write([]byte(good))
		}, "$hi $hi $hi", 3, 2},
		{"idle connection reset: second try", 2, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			c.Write([]byte(good))
			c.(*net.TCPConn).SetLinger(0)
			ReadCommand(in)
		}, "$hi $hi", 2, 1},
		{"second try fails: no third", 2, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			if n == 1 {
				c.Write([]byte(good))
			}
		}, "$hi connect", 2, 1},
		{"second try has the time that is left", 2, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			if n == 1 {
				c.Write([]byte(good))
				return
			}
			Drain(in)
		}, "$hi timeout", 2, 1},
		{"used connection ends within a reply: no second try", 2, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			c.Write([]byte(good))
			ReadCommand(in)
			c.Write([]byte("$"))
		}, "$hi connect", 1, 0},
		{"used connection falls silent: no second try", 2, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			c.Write([]byte(good))
			Drain(in)
		}, "$hi timeout", 1, 0},
		{"late reply is never given to the next", 2, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			if n == 1 {
				Drain(in) // the client's timeout closes the connection
				c.Write([]byte("$4\r\nlate\r\n"))
				return
			}
			c.Write([]byte(good))
			Drain(in)
		}, "timeout $hi", 2, 0},
		{"drip", 1, func(n int, c net.Conn, in *bufio.Reader) {
			ReadCommand(in)
			c.Write([]byte("$1000\r\n"))
			for i := 0; i < 1000; i++ {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond) // below the client's timeout, byte for byte
			}
		}, "timeout", 1, 0},
	}
}

// MakeDir returns a directory with a path short enough for a Unix socket.
func MakeDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "r")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
