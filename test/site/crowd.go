package site

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Gate holds the origin's answers back until it is opened.
type Gate struct {
	once sync.Once
	Ch   chan struct{}
}

// NewGate returns a gate that is shut, and open when the test ends.
func NewGate(t *testing.T) *Gate {
	g := &Gate{Ch: make(chan struct{})}
	t.Cleanup(g.Open)
	return g
}

// Open lets everybody pass.
func (g *Gate) Open() {
	g.once.Do(func() { close(g.Ch) })
}

// Behind makes answers wait for the gate, or for their client to go.
func (g *Gate) Behind(next http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-g.Ch:
			next(rw, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// Crowd are clients that ask at the same time.
type Crowd struct {
	t       *testing.T
	wg      sync.WaitGroup
	mu      sync.Mutex
	Replies []Reply
}

// NewCrowd returns clients of an origin behind gates. They are gone before the servers of
// the test are, also where it fails.
func NewCrowd(t *testing.T, gates ...*Gate) *Crowd {
	c := &Crowd{t: t}
	t.Cleanup(func() {
		for _, g := range gates {
			g.Open()
		}
		c.wg.Wait()
	})
	return c
}

// Ask sends n GETs, which answer in their own time.
func (c *Crowd) Ask(n int, url string, lines ...string) {
	for i := 0; i < n; i++ {
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			got, err := Send(http.MethodGet, url, "", Fields(lines...))
			assert.NoError(c.t, err)
			c.mu.Lock()
			c.Replies = append(c.Replies, got)
			c.mu.Unlock()
		}()
	}
}

// All returns the answers when everybody has one.
func (c *Crowd) All() []Reply {
	c.wg.Wait()
	return c.Replies
}

// Collapsed counts the answers that came with another's.
func Collapsed(replies []Reply) int {
	n := 0
	for _, r := range replies {
		if strings.Contains(r.CacheStatus(), "; collapsed") {
			n++
		}
	}
	return n
}

// Waiting waits until n requests of a site wait for others.
func (s *Site) Waiting(n int) {
	s.T.Helper()
	want := fmt.Sprintf(`"waiting":%d,`, n)
	require.Eventually(s.T, func() bool { return strings.Contains(s.Get("/.odoocache/status").Body, want) }, WaitFor, Tick, want)
}
