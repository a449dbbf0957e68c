package resp

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRunID(t *testing.T) {
	for text, want := range map[string]string{
		"# Server\r\nredis_version:7.0.15\r\nrun_id:0123abcd\r\ntcp_port:1\r\n": "0123abcd",
		"# Server\r\nredis_version:7.0.15\r\n":                                  "",
		"run_id:\r\n":                                                           "",
	} {
		assert.Equal(t, want, RunID(Reply{Kind: Bulk, Body: []byte(text)}), text)
	}
	assert.Empty(t, RunID(Reply{Kind: Error, Text: "NOPERM run_id:1"}))
}

// TestRuns: which servers in a row are those of restarts and failovers, and which are several
// behind one address.
func TestRuns(t *testing.T) {
	minute := time.Minute
	for _, c := range []struct {
		name  string
		runs  string
		every time.Duration
		bad   int // the connection at which it is said, 0: never
	}{
		{"one server", "aaaaaaaaaaaaaaaa", time.Second, 0},
		{"restarts", "aaabbbbccccdddd", 10 * time.Second, 0},
		{"a failover there and back", "aaabbbaaa", time.Second, 0},
		{"there and back now and then", "abababab", 11 * minute, 0},
		{"two in turn", "abababab", time.Millisecond, 4},
		{"two in turn, slowly", "aabbaabb", 2 * minute, 7},
		{"three in turn", "abcabc", time.Millisecond, 5},
		{"many in turn", "abcdefgh", time.Millisecond, 6},
		{"a restart every minute", "abcdefgh", minute, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &runs{}
			now := time.Now()
			for i, run := range c.runs {
				changed, problem := r.meet(string(run), now)
				if c.bad == i+1 {
					require.Contains(t, problem, "several servers in turn")
					return
				}
				require.Empty(t, problem, "connection %d", i+1)
				require.Equal(t, i > 0 && c.runs[i-1] != c.runs[i], changed)
				now = now.Add(c.every)
			}
			assert.Zero(t, c.bad)
		})
	}
	t.Run("the rest doubles, and ends", func(t *testing.T) {
		r := &runs{}
		now := time.Now()
		for _, rest := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
			problem := ""
			for i := 0; problem == ""; i++ {
				_, problem = r.meet(string("ab"[i%2]), now)
			}
			assert.Contains(t, problem, "none is made for "+rest.String())
			assert.Equal(t, problem, r.rests(now.Add(rest-1)))
			_, still := r.meet("a", now.Add(rest-1))
			assert.Equal(t, problem, still, "of a connection that was under way")
			now = now.Add(rest)
			assert.Empty(t, r.rests(now))
		}
	})
	t.Run("what is kept is bounded", func(t *testing.T) {
		r := &runs{}
		now := time.Now()
		for i := 0; i < 1000; i++ {
			_, problem := r.meet(itoa(i), now)
			require.Empty(t, problem)
			now = now.Add(16 * time.Second)
		}
		assert.LessOrEqual(t, len(r.left), 60)
		assert.LessOrEqual(t, len(r.changes), 60)
	})
}

// runServer is a server that tells a run for each connection, and answers with it.
func runServer(t *testing.T, runOf func(n int) string) *Fake {
	return StartFake(t, speaker(func(n int, words []string) string {
		switch words[0] {
		case "INFO":
			return bulk("# Server\r\nrun_id:" + runOf(n) + "\r\n")
		case "WAIT":
			time.Sleep(200 * time.Millisecond)
		}
		return bulk(runOf(n))
	}))
}

// TestConnectionsLeadToOneServer: when one connection leads to another server, those to the
// former are closed, also while they are in use, and the era is another one.
func TestConnectionsLeadToOneServer(t *testing.T) {
	var run atomic.Value
	run.Store("former")
	var mu sync.Mutex
	of := map[int]string{}
	fake := runServer(t, func(n int) string {
		mu.Lock()
		defer mu.Unlock()
		if of[n] == "" {
			of[n] = run.Load().(string)
		}
		return of[n]
	})
	c := patient(t, Options{Address: fake.Address, Runs: true})
	var slots []*slot
	for i := 0; i < 3; i++ {
		one(t, c, ping)
		slots = append(slots, mustTake(t, c.pool))
	}
	put(c.pool, slots[0])
	put(c.pool, slots[1])
	era := c.Era()
	one(t, c, ping)
	require.Equal(t, era, c.Era())
	run.Store("latter")
	used := make(chan string, 1)
	go func() {
		r, err := c.Do(args("WAIT"))
		if err != nil {
			used <- err.Error()
			return
		}
		used <- string(r[0].Body)
	}()
	require.Eventually(t, func() bool { return c.Stats().Idle == 1 }, 10*time.Second, time.Millisecond)
	held := mustTake(t, c.pool)
	one(t, c, ping) // there is no idle one left
	assert.NotEqual(t, era, c.Era())
	assert.Equal(t, "latter", <-used, "it was in use, broke, and was sent again")
	for _, s := range []*slot{held, slots[2]} {
		_, _, silent, err := exchange(s.conn, time.Now().Add(10*time.Second), []Command{ping})
		assert.Error(t, err)
		assert.True(t, silent)
		put(c.pool, s)
	}
	for i := 0; i < 5; i++ {
		assert.Equal(t, "latter", string(one(t, c, ping).Body))
	}
}

// TestServersInTurn: behind a balancer no connection is made for a while, and the error says why.
func TestServersInTurn(t *testing.T) {
	for name, runOf := range map[string]func(n int) string{
		"two":  func(n int) string { return "run" + itoa(n%2) },
		"many": func(n int) string { return "run" + itoa(n) },
	} {
		t.Run(name, func(t *testing.T) {
			fake := runServer(t, runOf)
			c := patient(t, Options{Address: fake.Address, Runs: true})
			var wg sync.WaitGroup
			for i := 0; i < 8; i++ {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for i := 0; i < 10; i++ {
						_, _ = c.Do(args("WAIT"))
					}
				}()
			}
			wg.Wait()
			_, err := c.Do(ping)
			require.ErrorIs(t, err, ErrConnect)
			require.ErrorIs(t, err, ErrSeveral)
			assert.ErrorContains(t, err, fake.Address+": connections lead to several servers in turn (runs run")
			assert.Zero(t, c.Stats().Open)
			made := fake.Accepted()
			for i := 0; i < 10; i++ {
				_, err = c.Do(ping)
				require.ErrorIs(t, err, ErrConnect)
			}
			assert.Equal(t, made, fake.Accepted())
			c.runs.mu.Lock()
			c.runs.until = time.Now() // as if it were over
			c.runs.mu.Unlock()
			one(t, c, ping)
		})
	}
}

// TestRealRuns: a server that is started anew is another one; a connection more to the same is not.
func TestRealRuns(t *testing.T) {
	s := StartRedis(t)
	c := patient(t, Options{Address: s.Address, Runs: true, DB: 1})
	suite(t, c)
	first := c.runs.current
	assert.Regexp(t, "^[0-9a-f]{40}$", first)
	_, port, err := net.SplitHostPort(s.Address)
	require.NoError(t, err)
	s.Stop()
	StartRedisAt(t, atoi(t, port))
	one(t, c, ping)
	assert.NotEqual(t, first, c.runs.current)
	assert.Regexp(t, "^[0-9a-f]{40}$", c.runs.current)

	hosted := StartRedis(t, "--user", "hosted", "on", ">change-me", "~*", "+@all", "-@dangerous")
	silent := patient(t, Options{Address: hosted.Address, Runs: true, Username: "hosted", Password: "change-me"})
	one(t, silent, ping)
	assert.Empty(t, silent.runs.current, "it does not tell")
}
