package resp

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// speaker answers each command with what reply returns for its words, and ends the
// connection where that is empty.
func speaker(reply func(n int, words []string) string) func(int, net.Conn, *bufio.Reader) {
	return func(n int, c net.Conn, in *bufio.Reader) {
		for {
			var r Reply
			if readReply(&source{r: in, left: 1 << 30}, &r, 0) != nil {
				return
			}
			text := reply(n, strings.Fields(textOf(r)))
			if text == "" {
				return
			}
			c.Write([]byte(text))
		}
	}
}

func bulk(s string) string { return "$" + itoa(len(s)) + "\r\n" + s + "\r\n" }

// member is a server that answers with its name, and breaks the connection at END.
type member struct {
	*Fake
	role atomic.Value
	open atomic.Int64
}

func newMember(t *testing.T, name string) *member {
	m := &member{}
	m.role.Store("master")
	answer := speaker(func(_ int, words []string) string {
		switch {
		case words[0] == "ROLE" && m.role.Load() == "gone":
			return ""
		case words[0] == "ROLE":
			return "*1\r\n" + bulk(m.role.Load().(string))
		case words[0] == "END" && name == "a":
			return ""
		case words[0] == "SET" && m.role.Load() != "master":
			return "-READONLY You can't write against a read only replica.\r\n"
		}
		return bulk(name)
	})
	m.Fake = StartFake(t, func(n int, c net.Conn, in *bufio.Reader) {
		m.open.Add(1)
		defer m.open.Add(-1)
		answer(n, c, in)
	})
	return m
}

// told is a client of two servers, and a sentinel that tells one of them.
type told struct {
	*Client
	a, b     *member
	sentinel *Fake
	mu       sync.Mutex
	master   string
}

func newTold(t *testing.T) *told {
	s := &told{a: newMember(t, "a"), b: newMember(t, "b")}
	s.master = s.a.Address
	s.sentinel = StartFake(t, speaker(func(_ int, words []string) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		if strings.Join(words, " ") != "SENTINEL get-master-addr-by-name shop" {
			return "-ERR\r\n"
		}
		host, port, _ := net.SplitHostPort(s.master)
		return "*2\r\n" + bulk(host) + bulk(port)
	}))
	s.Client = patient(t, Options{Sentinels: &Sentinels{Master: "shop", Addresses: []string{s.sentinel.Address}}})
	return s
}

// failover makes the other server the master. A client that asks is told so.
func (s *told) failover() {
	s.mu.Lock()
	s.master = s.b.Address
	s.mu.Unlock()
	s.finder.mu.Lock()
	s.finder.told = time.Time{} // as if it had been long ago
	s.finder.mu.Unlock()
}

// idle makes connections, so that n of them are idle.
func (s *told) idle(t *testing.T, n int) {
	slots := []*slot{}
	for i := 0; i < n; i++ {
		one(t, s.Client, ping)
		slots = append(slots, mustTake(t, s.pool))
	}
	for _, k := range slots {
		put(s.pool, k)
	}
	require.EqualValues(t, n, s.Stats().Idle)
}

func TestSentinelNewMaster(t *testing.T) {
	s := newTold(t)
	s.idle(t, 3)
	era := s.Era()
	s.failover()
	assert.Equal(t, "b", string(one(t, s.Client, args("END")).Body), "sent again, to the new master")
	assert.NotEqual(t, era, s.Era())
	assert.EqualValues(t, 1, s.Stats().Open)
	require.Eventually(t, func() bool { return s.a.open.Load() == 0 }, 10*time.Second, time.Millisecond, "connections to the old one are closed")
}

// A caller may have had a connection to the old master while another learned of the new.
func TestSentinelOldConnectionComesBack(t *testing.T) {
	for _, way := range []string{"Do", "Expect"} {
		t.Run(way, func(t *testing.T) {
			s := newTold(t)
			s.idle(t, 2)
			held := mustTake(t, s.pool)
			s.failover()
			one(t, s.Client, args("END"))
			put(s.pool, held)
			if way == "Expect" {
				_, state := Expect(s.Client, s.Era(), time.Now(), &Expected{Request: Encoded(args("GET", "k")), Replies: 1, Lead: "", Size: 0, End: ""})
				assert.Equal(t, Differs, state)
			}
			assert.Equal(t, "b", string(one(t, s.Client, ping).Body))
			require.Eventually(t, func() bool { return s.a.open.Load() == 0 }, 10*time.Second, time.Millisecond)
		})
	}
}

// The era is another before anything of the new master is read, also where no
// connection has broken.
func TestSentinelEra(t *testing.T) {
	s := newTold(t)
	s.idle(t, 2)
	held := mustTake(t, s.pool) // so that the pool is never empty
	era := s.Era()
	s.failover()
	s.a.role.Store("slave")
	r, err := s.Do(args("SET", "k", "v"))
	require.NoError(t, err)
	require.Equal(t, "READONLY", Code(r[0]))
	assert.Equal(t, "b", string(one(t, s.Client, ping).Body))
	assert.NotEqual(t, era, s.Era())
	put(s.pool, held)
}

// A connection that fails says nothing about those that are open.
func TestSentinelFailedDial(t *testing.T) {
	s := newTold(t)
	s.idle(t, 2)
	held, other := mustTake(t, s.pool), mustTake(t, s.pool)
	s.a.role.Store("gone")
	_, err := s.Do(ping)
	require.ErrorIs(t, err, ErrConnect)
	put(s.pool, held)
	put(s.pool, other)
	for i := 0; i < 2; i++ {
		one(t, s.Client, ping)
		held = mustTake(t, s.pool)
		defer put(s.pool, held)
	}
	assert.EqualValues(t, 2, s.Stats().Open)
	assert.Equal(t, 3, s.a.Accepted())
	s.a.role.Store("master")
	one(t, s.Client, ping) // both are in use: at once, where it was said to be
	assert.Equal(t, 4, s.a.Accepted())
}

func TestSentinelNamesReplica(t *testing.T) {
	s := newTold(t)
	s.a.role.Store("slave")
	_, err := s.Do(ping)
	require.ErrorIs(t, err, ErrConnect)
	assert.ErrorContains(t, err, "master")
	s.failover()
	assert.Equal(t, "b", string(one(t, s.Client, ping).Body))
}

// TestRealRoleWithoutPermission: a user without ROLE finds a replica out, too.
func TestRealRoleWithoutPermission(t *testing.T) {
	user := []string{"--user", "hosted", "on", ">change-me", "~*", "+@all", "-@dangerous", "-@admin"}
	master := StartRedis(t, user...)
	host, port, _ := net.SplitHostPort(master.Address)
	replica := StartRedis(t, append(user, "--replicaof", host, port)...)
	var named atomic.Value
	named.Store(master.Address)
	sentinel := StartFake(t, speaker(func(int, []string) string {
		host, port, _ := net.SplitHostPort(named.Load().(string))
		return "*2\r\n" + bulk(host) + bulk(port)
	}))
	c := patient(t, Options{Sentinels: &Sentinels{Master: "shop", Addresses: []string{sentinel.Address}}, Username: "hosted", Password: "change-me"})
	one(t, c, ping)
	assert.False(t, c.Roleless())
	named.Store(replica.Address)
	c = patient(t, Options{Sentinels: &Sentinels{Master: "shop", Addresses: []string{sentinel.Address}}, Username: "hosted", Password: "change-me"})
	_, err := c.Do(ping)
	assert.ErrorIs(t, err, errNoMaster)
}

// TestRoleOfNobody: a server that does not tell its role in any way is taken for a master, and
// that is noted.
func TestRoleOfNobody(t *testing.T) {
	for name, refusal := range map[string]string{"not allowed": "-NOPERM this user has no permissions\r\n", "not known": "-ERR unknown command\r\n"} {
		server := StartFake(t, speaker(func(_ int, words []string) string {
			if words[0] == "ROLE" || words[0] == "HELLO" {
				return refusal
			}
			return bulk("x")
		}))
		sentinel := StartFake(t, speaker(func(int, []string) string {
			host, port, _ := net.SplitHostPort(server.Address)
			return "*2\r\n" + bulk(host) + bulk(port)
		}))
		c := patient(t, Options{Sentinels: &Sentinels{Master: "shop", Addresses: []string{sentinel.Address}}})
		one(t, c, ping)
		assert.True(t, c.Roleless(), name)
	}
}

// While there is no master, requests do not ask for it one after the other.
func TestSentinelIsAskedSeldom(t *testing.T) {
	for name, prepare := range map[string]func(s *told){
		"nobody where it is said to be": func(s *told) { s.master = "127.0.0.1:" + itoa(FreePort(t)) },
		"a replica":                     func(s *told) { s.a.role.Store("slave") },
		"no such master":                func(s *told) { s.finder.s.Master = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newTold(t)
			prepare(s)
			start := time.Now()
			for i := 0; i < 200; i++ {
				_, err := s.Do(ping)
				require.ErrorIs(t, err, ErrConnect)
			}
			assert.LessOrEqual(t, s.sentinel.Accepted(), 1+int(time.Since(start)/lull))
		})
	}
}

// A sentinel that does not answer, or knows no such master, is passed over, and is not
// asked first the next time.
func TestSentinelsInTurn(t *testing.T) {
	s := newTold(t)
	silent := StartFake(t, func(_ int, _ net.Conn, in *bufio.Reader) { Drain(in) })
	ignorant := StartFake(t, speaker(func(int, []string) string { return "*-1\r\n" }))
	c := New(Options{
		Sentinels: &Sentinels{Master: "shop", Addresses: []string{silent.Address, ignorant.Address, s.sentinel.Address}},
		Timeout:   10 * time.Second, DialTimeout: 100 * time.Millisecond,
	})
	defer c.Close()
	assert.Equal(t, "a", string(one(t, c, ping).Body))
	s.failover()
	c.finder.forget(s.a.Address)
	c.finder.told = time.Time{}
	assert.Equal(t, "b", string(one(t, c, ping).Body))
	assert.Equal(t, 1, silent.Accepted())
	assert.Equal(t, 1, ignorant.Accepted())
	assert.Equal(t, 2, s.sentinel.Accepted())
}
