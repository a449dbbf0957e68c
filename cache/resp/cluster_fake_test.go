package resp

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clusterNode is a node that answers with its name, with a nonce to ECHO, and as told.
type clusterNode struct {
	*Fake
	mu    sync.Mutex
	tells map[string]string // reply by command
	heard []string
}

func (n *clusterNode) tell(command, reply string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tells[command] = reply
}

func (n *clusterNode) commands() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.heard, ",")
}

func newClusterNode(t *testing.T, name string) *clusterNode {
	n := &clusterNode{tells: map[string]string{}}
	n.Fake = StartFake(t, speaker(func(_ int, words []string) string {
		n.mu.Lock()
		defer n.mu.Unlock()
		if words[0] != "CLUSTER" {
			n.heard = append(n.heard, words[0])
		}
		if reply, told := n.tells[words[0]]; told {
			return reply
		}
		switch words[0] {
		case "ECHO":
			return bulk(words[1])
		case "ASKING":
			return "+OK\r\n"
		}
		return bulk(name)
	}))
	return n
}

// slots is the reply to CLUSTER SLOTS of a cluster with one node for all.
func slots(address string) string {
	host, port, _ := net.SplitHostPort(address)
	return "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n" + bulk(host) + ":" + port + "\r\n" + bulk("id")
}

func newFakeCluster(t *testing.T) (c *Cluster, a, b *clusterNode) {
	a, b = newClusterNode(t, "a"), newClusterNode(t, "b")
	a.tell("CLUSTER", slots(a.Address))
	b.tell("CLUSTER", slots(a.Address))
	c = NewCluster(Options{Timeout: 10 * time.Second, DialTimeout: 10 * time.Second}, []string{a.Address})
	t.Cleanup(c.Close)
	return c, a, b
}

func proof() Command {
	return Command{Args: []string{"ECHO", "nonce"}, Want: "nonce"}
}

// TestMovedIsAnotherEra: before anything of another node is used, the era tells, and the
// proof that the replies belong to the commands comes from that node.
func TestMovedIsAnotherEra(t *testing.T) {
	c, a, b := newFakeCluster(t)
	r, err := c.Do(args("GET", "k"), proof())
	require.NoError(t, err)
	require.Equal(t, "a", string(r[0].Body))
	era := c.Era("k")
	a.tell("GET", "-MOVED 7 "+b.Address+"\r\n")
	b.tell("ECHO", bulk("another"))
	_, err = c.Do(args("GET", "k"), proof())
	require.ErrorIs(t, err, ErrProtocol, "the other node answers somebody else")
	assert.NotEqual(t, era, c.Era("k"))

	b.tell("ECHO", bulk("nonce"))
	r, err = c.Do(args("GET", "k"), proof())
	require.NoError(t, err)
	assert.Equal(t, "b", string(r[0].Body))
	moved := c.Era("k")
	_, err = c.Do(args("GET", "k"), proof())
	require.NoError(t, err)
	assert.Equal(t, moved, c.Era("k"), "the same node as before")
	assert.Equal(t, 2, strings.Count(a.commands(), "GET"), "which is asked at once")
}

// TestAsk: while a slot moves, each command that it has moved is announced, and proven.
func TestAsk(t *testing.T) {
	c, a, b := newFakeCluster(t)
	a.tell("GET", "-ASK 7 "+b.Address+"\r\n")
	r, err := c.Do(args("GET", "k"), args("ZSCORE", "k", "m"), args("GET", "k"), proof())
	require.NoError(t, err)
	assert.Equal(t, "b", string(r[0].Body))
	assert.Equal(t, "a", string(r[1].Body))
	assert.Equal(t, "b", string(r[2].Body))
	assert.Equal(t, "ASKING,GET,ASKING,GET,ECHO", b.commands())
	b.tell("ECHO", bulk("another"))
	_, err = c.Do(args("GET", "k"), proof())
	assert.ErrorIs(t, err, ErrProtocol)
}

// TestClusterDown: a node that has lost the others knows the slots no better, so they are
// asked for again.
func TestClusterDown(t *testing.T) {
	c, a, b := newFakeCluster(t)
	_, err := c.Do(args("GET", "k"))
	require.NoError(t, err)
	a.tell("GET", "-CLUSTERDOWN The cluster is down\r\n")
	a.tell("CLUSTER", slots(b.Address))
	r, err := c.Do(args("GET", "k"))
	require.NoError(t, err)
	assert.Equal(t, "CLUSTERDOWN", Code(r[0]))
	c.mu.Lock()
	c.asked = c.asked.Add(-refreshPause)
	c.mu.Unlock()
	assert.Equal(t, "b", string(oneOf(t, c, args("GET", "k")).Body))
}

// TestClusterAsksSeldom: while the slots cannot be told, they are not asked for with each
// command.
func TestClusterAsksSeldom(t *testing.T) {
	a := newClusterNode(t, "a")
	a.tell("CLUSTER", "-ERR This instance has cluster support disabled\r\n")
	c := NewCluster(Options{Timeout: 10 * time.Second, DialTimeout: 10 * time.Second}, []string{a.Address})
	defer c.Close()
	for i := 0; i < 50; i++ {
		_, err := c.Do(args("GET", "k"))
		require.ErrorIs(t, err, ErrConnect)
	}
	assert.Equal(t, 1, a.Accepted())
	assert.Empty(t, a.commands())
}

func oneOf(t *testing.T, c *Cluster, cmd Command) Reply {
	t.Helper()
	r, err := c.Do(cmd)
	require.NoError(t, err)
	return r[0]
}
