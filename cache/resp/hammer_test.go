package resp_test

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/resp/testdata/hammer"
)

// program is package hammer, compiled or interpreted.
type program struct {
	run   func(string, string, int, int, time.Duration, bool) (string, int, resp.Stats)
	ask   func(string, int, time.Duration) (string, resp.Stats)
	get   func(string, string, int, int) (time.Duration, string)
	set   func(string, string, int, int) (time.Duration, string)
	visit func(string, string, string, string, int, string) string
	crowd func(string, int) string

	failover func(string, string, string, string, time.Duration) (string, int)
}

func compiled(testing.TB) program {
	return program{hammer.Run, hammer.Ask, hammer.Bench, hammer.BenchSet, hammer.Visit, hammer.Crowd, hammer.Failover}
}

// interpreted loads both packages the way Traefik loads a plugin. What it
// returns of a struct type of ours is another type here, so Stats go over as
// their fields.
func interpreted(t testing.TB) program {
	if raceEnabled {
		t.Skip("the race detector sees the interpreter, not what it interprets")
	}
	path := t.TempDir()
	copyPackage(t, ".", filepath.Join(path, "src/github.com/odoocache/odoocache/cache/resp"))
	copyPackage(t, "testdata/hammer", filepath.Join(path, "src/hammer"))
	i := interp.New(interp.Options{GoPath: path})
	require.NoError(t, i.Use(stdlib.Symbols))
	_, err := i.Eval(`package main

import (
	"hammer"
	"time"
)

func Run(network, address string, goroutines, ops int, timeout time.Duration, strict bool) (string, int, int64, int64, int64) {
	wrong, failed, s := hammer.Run(network, address, goroutines, ops, timeout, strict)
	return wrong, failed, s.Dials, s.Reuses, s.Retries
}

func Ask(address string, n int, timeout time.Duration) (string, int64, int64, int64) {
	out, s := hammer.Ask(address, n, timeout)
	return out, s.Dials, s.Reuses, s.Retries
}

func Get(address, key string, n, size int) (time.Duration, string) {
	return hammer.Bench(address, key, n, size)
}

func Set(address, key string, n, size int) (time.Duration, string) {
	return hammer.BenchSet(address, key, n, size)
}

func Visit(network, address, user, password string, db int, ca string) string {
	return hammer.Visit(network, address, user, password, db, ca)
}

func Crowd(address string, n int) string {
	return hammer.Crowd(address, n)
}

func Failover(master, addresses, user, password string, timeout time.Duration) (string, int) {
	return hammer.Failover(master, addresses, user, password, timeout)
}
`)
	require.NoError(t, err)
	symbol := func(name string) interface{} {
		v, err := i.Eval("main." + name)
		require.NoError(t, err)
		return v.Interface()
	}
	run := symbol("Run").(func(string, string, int, int, time.Duration, bool) (string, int, int64, int64, int64))
	ask := symbol("Ask").(func(string, int, time.Duration) (string, int64, int64, int64))
	return program{
		run: func(network, address string, g, n int, d time.Duration, strict bool) (string, int, resp.Stats) {
			wrong, failed, dials, reuses, retries := run(network, address, g, n, d, strict)
			return wrong, failed, resp.Stats{Dials: dials, Reuses: reuses, Retries: retries}
		},
		ask: func(address string, n int, d time.Duration) (string, resp.Stats) {
			out, dials, reuses, retries := ask(address, n, d)
			return out, resp.Stats{Dials: dials, Reuses: reuses, Retries: retries}
		},
		get:   symbol("Get").(func(string, string, int, int) (time.Duration, string)),
		set:   symbol("Set").(func(string, string, int, int) (time.Duration, string)),
		visit: symbol("Visit").(func(string, string, string, string, int, string) string),
		crowd: symbol("Crowd").(func(string, int) string),

		failover: symbol("Failover").(func(string, string, string, string, time.Duration) (string, int)),
	}
}

func copyPackage(t testing.TB, from, to string) {
	require.NoError(t, os.MkdirAll(to, 0o755))
	files, err := filepath.Glob(filepath.Join(from, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		if match, _ := filepath.Match("*_test.go", filepath.Base(file)); match {
			continue
		}
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, filepath.Base(file)), b, 0o644))
	}
}

func both(t *testing.T, test func(t *testing.T, p program)) {
	t.Run("compiled", func(t *testing.T) { test(t, compiled(t)) })
	t.Run("interpreted", func(t *testing.T) { test(t, interpreted(t)) })
}

func TestFaults(t *testing.T) {
	both(t, func(t *testing.T, p program) {
		for _, f := range resp.Faults() {
			t.Run(f.Name, func(t *testing.T) {
				fake := resp.StartFake(t, f.Serve)
				start := time.Now()
				got, stats := p.ask(fake.Address, f.Asks, f.Timeout())
				assert.Less(t, time.Since(start), time.Duration(f.Asks)*(f.Timeout()+500*time.Millisecond))
				assert.Equal(t, f.Want, got)
				assert.Equal(t, f.Dials, stats.Dials, "dials")
				assert.Equal(t, f.Retries, stats.Retries, "retries")
				assert.EqualValues(t, stats.Dials, fake.Accepted(), "connections that the server saw")
			})
		}
	})
}

func TestHammer(t *testing.T) {
	server := resp.StartRedis(t)
	both(t, func(t *testing.T, p program) {
		wrong, failed, stats := p.run("tcp", server.Address, 64, 500, 30*time.Second, true)
		assert.Empty(t, wrong)
		assert.Zero(t, failed)
		assert.LessOrEqual(t, stats.Dials, int64(8))
		assert.Zero(t, stats.Retries)
		assert.Equal(t, int64(64*500), stats.Dials+stats.Reuses)
	})
}

// Timeouts at every point of an exchange and of the queue: operations may
// fail, none may get what belongs to another.
func TestHammerTimeouts(t *testing.T) {
	server := resp.StartRedis(t)
	both(t, func(t *testing.T, p program) {
		failures := 0
		for _, d := range []time.Duration{500 * time.Microsecond, 2 * time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
			wrong, failed, stats := p.run("tcp", server.Address, 64, 200, d, false)
			assert.Empty(t, wrong)
			t.Logf("timeout %v: %d of %d failed, %d dials, %d reuses, %d retries", d, failed, 64*200, stats.Dials, stats.Reuses, stats.Retries)
			failures += failed
		}
		assert.NotZero(t, failures, "the test was to provoke timeouts")
	})
}

func TestVisit(t *testing.T) {
	both(t, func(t *testing.T, p program) {
		socket := filepath.Join(resp.MakeDir(t), "s")
		plain, port, _, ca := resp.StartRedisTLS(t, "--requirepass", "hunter2", "--user", "shop", "on", ">pass2", "~*", "+@all",
			"--unixsocket", socket)
		secure := "127.0.0.1:" + strconv.Itoa(port)
		assert.Empty(t, p.visit("tcp", plain.Address, "", "hunter2", 0, ""))
		assert.Empty(t, p.visit("", plain.Address, "shop", "pass2", 3, ""))
		assert.Empty(t, p.visit("unix", socket, "", "hunter2", 1, ""))
		assert.Empty(t, p.visit("tcp", secure, "", "hunter2", 0, string(ca)))
		assert.Empty(t, p.visit("tcp", secure, "shop", "pass2", 2, string(ca)))
		wrong := p.visit("tcp", plain.Address, "shop", "pass3", 3, "")
		assert.Equal(t, "redis: connection failed: redis: not authorised: AUTH was answered with WRONGPASS", wrong)
	})
}

// TestFailover kills the master under load, as the user that docs/redis.md grants to
// clients of sentinels.
func TestFailover(t *testing.T) {
	both(t, func(t *testing.T, p program) {
		b, err := os.ReadFile("../../docs/redis.md")
		require.NoError(t, err)
		grant := regexp.MustCompile(`user of the sentinels needs .(\+[a-z|-]+)`).FindStringSubmatch(string(b))
		require.NotNil(t, grant)
		name, password := "odoocache", "change-me"
		lines := []string{"user " + name + " on >" + password + " -@all " + grant[1]}
		if strings.Contains(resp.Ask(t, resp.StartRedis(t).Address, "INFO", "server"), "redis_version:6.0") { // its sentinels have no users
			name, password, lines = "", "", nil
		}
		g := resp.StartGroup(t, lines...)
		type result struct {
			wrong  string
			failed int
		}
		results := make(chan result, 1)
		go func() {
			wrong, failed := p.failover("shop", strings.Join(g.Sentinels, ","), name, password, time.Minute)
			results <- result{wrong, failed}
		}()
		require.Eventually(t, func() bool { return resp.Ask(t, g.Replica.Address, "DBSIZE") > "2" }, 20*time.Second, 10*time.Millisecond)
		g.Master.Stop()
		r := <-results
		assert.Empty(t, r.wrong)
		assert.NotZero(t, r.failed)
		assert.Contains(t, resp.Ask(t, g.Replica.Address, "ROLE"), "master")
		t.Logf("%d operations failed", r.failed)
	})
}

func TestCloseSendsAway(t *testing.T) {
	both(t, func(t *testing.T, p program) {
		fake := resp.StartFake(t, func(n int, c net.Conn, in *bufio.Reader) { resp.Drain(in) })
		assert.Equal(t, "closed closed closed closed timeout, 0 open, 0 waiting", p.crowd(fake.Address, 5))
	})
}

func BenchmarkGet50k(b *testing.B)            { benchGet(b, compiled(b)) }
func BenchmarkGet50kInterpreted(b *testing.B) { benchGet(b, interpreted(b)) }
func BenchmarkSet50k(b *testing.B)            { benchSet(b, compiled(b)) }
func BenchmarkSet50kInterpreted(b *testing.B) { benchSet(b, interpreted(b)) }

func benchGet(b *testing.B, p program) {
	server := resp.StartRedis(b)
	_, wrong := p.set(server.Address, "page", 1, 50_000)
	require.Empty(b, wrong)
	b.ResetTimer()
	_, wrong = p.get(server.Address, "page", b.N, 50_000)
	require.Empty(b, wrong)
}

func benchSet(b *testing.B, p program) {
	server := resp.StartRedis(b)
	b.ResetTimer()
	_, wrong := p.set(server.Address, "page", b.N, 50_000)
	require.Empty(b, wrong)
}
