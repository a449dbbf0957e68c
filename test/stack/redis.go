package stack

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RedisServer is a Redis server of one test.
type RedisServer struct {
	T       testing.TB
	Address string
	Dir     string
	args    []string
	Cmd     *exec.Cmd
	done    chan struct{}
}

// StartRedis is StartServer for a test of Traefik.
func StartRedis(t *testing.T, args ...string) *RedisServer {
	t.Helper()
	NeedTraefik(t)
	return StartServer(t, args...)
}

// StartServer runs a Redis server that keeps its data over a restart.
func StartServer(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	s := &RedisServer{T: t, Address: FreeAddress(t), Dir: t.TempDir(), args: args}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Calls returns how often a command was called since the server began to count.
func (s *RedisServer) Calls(command string) int {
	_, figure, _ := strings.Cut(s.Must("INFO commandstats"), "cmdstat_"+command+":calls=")
	figure, _, _ = strings.Cut(figure, ",")
	n, err := strconv.Atoi(figure)
	require.NoError(s.T, err, command)
	return n
}

// StartSentinel runs a sentinel with the given configuration.
func StartSentinel(t *testing.T, lines ...string) *RedisServer {
	t.Helper()
	s := &RedisServer{T: t, Address: FreeAddress(t), Dir: t.TempDir()}
	host, port, _ := net.SplitHostPort(s.Address)
	conf := filepath.Join(s.Dir, "sentinel.conf") // which it writes to
	lines = append([]string{"bind " + host, "port " + port, "dir " + s.Dir}, lines...)
	require.NoError(t, os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	s.args = []string{conf, "--sentinel"}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts the server, also again after Stop.
func (s *RedisServer) Start() {
	s.T.Helper()
	_, port, _ := net.SplitHostPort(s.Address)
	args := append([]string{
		"--bind", "127.0.0.1", "--port", port, "--dir", s.Dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always",
	}, s.args...)
	if len(s.args) > 0 && strings.HasSuffix(s.args[0], ".conf") { // everything else is in the file
		args = s.args
	}
	s.Cmd = exec.Command("redis-server", args...)
	s.done = make(chan struct{})
	require.NoError(s.T, s.Cmd.Start())
	cmd, done := s.Cmd, s.done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	require.Eventually(s.T, func() bool {
		answer, err := s.Ask("PING")
		return err == nil && (string(answer) == "PONG" || strings.HasPrefix(string(answer), "NOAUTH"))
	}, Patience, 10*time.Millisecond, "redis-server answers")
}

// Stop kills the server, also while it is stopped by a signal.
func (s *RedisServer) Stop() {
	_ = s.Cmd.Process.Kill()
	<-s.done
}

// Ask sends one command whose words hold no blanks, and returns the reply: a
// line, a bulk string, or the items of a list, one a line.
func (s *RedisServer) Ask(command string) ([]byte, error) {
	c, err := net.DialTimeout("tcp", s.Address, time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		return nil, err
	}
	return readReply(bufio.NewReader(c))
}

func readReply(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, line := line[0], strings.TrimSpace(line[1:])
	n, _ := strconv.Atoi(line)
	switch {
	case kind == '$' && n >= 0:
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return b[:n], err
	case kind == '*':
		items := make([][]byte, 0, n)
		for i := 0; i < n; i++ {
			item, err := readReply(r)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return bytes.Join(items, []byte("\n")), nil
	}
	return []byte(line), nil
}

// Must is Ask for a server that is known to answer.
func (s *RedisServer) Must(command string) string {
	s.T.Helper()
	b, err := s.Ask(command)
	require.NoError(s.T, err)
	return string(b)
}

// Entries returns the keys of a tenant's stored responses.
func (s *RedisServer) Entries(tenant string) []string {
	s.T.Helper()
	return strings.Fields(s.Must("KEYS oc:{" + tenant + "}:e:*"))
}

var clientAddress = regexp.MustCompile(`(?m)^id=`)

// Clients returns how many connections the server has, without the one that asks.
func (s *RedisServer) Clients() int {
	s.T.Helper()
	return len(clientAddress.FindAllString(s.Must("CLIENT LIST"), -1)) - 1
}
