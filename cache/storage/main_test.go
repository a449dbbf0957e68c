package storage_test

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
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
)

// startRedis starts a redis-server of the test's own that keeps nothing on
// disk, and returns its port.
func startRedis(t testing.TB, more ...string) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH: the tests against a real server are left out")
	}
	port := freePort(t)
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
		replies, err := patientClient(t, port).Do(resp.Command{Args: []string{"PING"}})
		return err == nil && replies[0].Text == "PONG"
	}, 10*time.Second, 20*time.Millisecond)
	return port
}

// freePort returns a port outside of the range for connections, to which the one for the
// bus of a cluster, 10000 higher, is outside of it and free, too.
func freePort(t testing.TB) string {
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

// startCluster starts three nodes and returns their ports. Each has a third of the slots.
func startCluster(t testing.TB, more ...string) []string {
	t.Helper()
	var ports []string
	for i := 0; i < 3; i++ {
		ports = append(ports, startRedis(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "5000"}, more...)...))
	}
	for i, port := range ports {
		words := []string{"CLUSTER", "ADDSLOTS"}
		for slot := i * 5462; slot < (i+1)*5462 && slot < 16384; slot++ {
			words = append(words, strconv.Itoa(slot))
		}
		require.Equal(t, "OK", strings.TrimSpace(cli(t, port, nil, words...)))
		require.Equal(t, "OK", strings.TrimSpace(cli(t, port, nil, "CLUSTER", "MEET", "127.0.0.1", ports[0])))
	}
	for _, port := range ports {
		require.Eventually(t, func() bool {
			info := cli(t, port, nil, "CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		}, 30*time.Second, 20*time.Millisecond, "the nodes know each other")
	}
	return ports
}

// patientClient is a client for which a busy machine is no failure.
func patientClient(t testing.TB, port string) *resp.Client {
	c := resp.New(resp.Options{Address: "127.0.0.1:" + port, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	t.Cleanup(c.Close)
	return c
}

func openRedis(t testing.TB, port string) *storage.Redis {
	return storage.NewRedis(patientClient(t, port), storagetest.MaxMarks)
}

// cli runs a command of redis-cli, which knows nothing of this package. Its
// last argument may come from stdin.
func cli(t testing.TB, port string, stdin []byte, args ...string) string {
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
