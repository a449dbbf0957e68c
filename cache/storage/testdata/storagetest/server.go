package storagetest

import (
	"bytes"
	"math/rand"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/redis"
)

// StartRedis starts a redis-server of the test's own that keeps nothing on
// disk, and returns its port.
func StartRedis(t testing.TB, more ...string) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH: the tests against a real server are left out")
	}
	port := FreePort(t)
	args := []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}
	cmd := exec.Command(path, append(args, more...)...)
	var log bytes.Buffer
	cmd.Stdout = &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		replies, err := PatientClient(t, port).Do(resp.Command{Args: []string{"PING"}})
		return err == nil && replies[0].Text == "PONG"
	}, 10*time.Second, 20*time.Millisecond)
	return port
}

// FreePort returns a port outside of the range for connections, to which the one for the
// bus of a cluster, 10000 higher, is outside of it and free, too.
func FreePort(t testing.TB) string {
	t.Helper()
	for i := 0; i < 100; i++ {
		port := 20000 + rand.Intn(2700)
		if isFree(port) && isFree(port+10000) {
			return strconv.Itoa(port)
		}
	}
	require.Fail(t, "no port is free")
	return ""
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// StartCluster starts three nodes and returns their ports. Each has a third of the slots.
func StartCluster(t testing.TB, more ...string) []string {
	t.Helper()
	var ports []string
	for i := 0; i < 3; i++ {
		ports = append(ports, StartRedis(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "5000"}, more...)...))
	}
	for i, port := range ports {
		words := []string{"CLUSTER", "ADDSLOTS"}
		for slot := i * 5462; slot < (i+1)*5462 && slot < 16384; slot++ {
			words = append(words, strconv.Itoa(slot))
		}
		require.Equal(t, "OK", strings.TrimSpace(CLI(t, port, nil, words...)))
		require.Equal(t, "OK", strings.TrimSpace(CLI(t, port, nil, "CLUSTER", "MEET", "127.0.0.1", ports[0])))
	}
	for _, port := range ports {
		require.Eventually(t, func() bool {
			info := CLI(t, port, nil, "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		}, 30*time.Second, 20*time.Millisecond, "the nodes know each other")
	}
	return ports
}

// PatientClient is a client for which a busy machine is no failure.
func PatientClient(t testing.TB, port string) *resp.Client {
	c := resp.New(resp.Options{Address: "127.0.0.1:" + port, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	t.Cleanup(c.Close)
	return c
}

// OpenRedis returns a storage on a server.
func OpenRedis(t testing.TB, port string) *redis.Redis {
	return redis.New(PatientClient(t, port), MaxMarks)
}

// CLI runs a command of redis-cli, which knows nothing of this package. Its
// last argument may come from stdin.
func CLI(t testing.TB, port string, stdin []byte, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not on PATH: there is no other reader of what is in Redis")
	}
	all := []string{"-p", port, "--raw"}
	if stdin != nil {
		all = append(all, "-x")
	}
	cmd := exec.Command(path, append(all, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.TrimSuffix(string(out), "\n")
}

// Blind wraps a storage so that the views on it never learn of a mark: as if
// nothing called View.Check.
func Blind(s storage.Storage) storage.Storage { return blind{s} }

type blind struct{ storage.Storage }

func (b blind) Marks(tenant string, since storage.Head) (storage.Delta, error) {
	d, err := b.Storage.Marks(tenant, since)
	d.Marks, d.Floor = nil, 0
	return d, err
}
