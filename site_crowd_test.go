package odoocache_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gate holds the origin's answers back until it is opened.
type gate struct {
	once sync.Once
	ch   chan struct{}
}

func newGate(t *testing.T) *gate {
	g := &gate{ch: make(chan struct{})}
	t.Cleanup(g.open)
	return g
}

func (g *gate) open() {
	g.once.Do(func() { close(g.ch) })
}

// behind makes answers wait for the gate, or for their client to go.
func (g *gate) behind(next http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-g.ch:
			next(rw, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// crowd are clients that ask at the same time.
type crowd struct {
	t       *testing.T
	wg      sync.WaitGroup
	mu      sync.Mutex
	replies []reply
}

// newCrowd returns clients of an origin behind gates. They are gone before the servers of
// the test are, also where it fails.
func newCrowd(t *testing.T, gates ...*gate) *crowd {
	c := &crowd{t: t}
	t.Cleanup(func() {
		for _, g := range gates {
			g.open()
		}
		c.wg.Wait()
	})
	return c
}

// ask sends n GETs, which answer in their own time.
func (c *crowd) ask(n int, url string, lines ...string) {
	for i := 0; i < n; i++ {
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			got, err := send(http.MethodGet, url, "", fields(lines...))
			assert.NoError(c.t, err)
			c.mu.Lock()
			c.replies = append(c.replies, got)
			c.mu.Unlock()
		}()
	}
}

// all returns the answers when everybody has one.
func (c *crowd) all() []reply {
	c.wg.Wait()
	return c.replies
}

// collapsed counts the answers that came with another's.
func collapsed(replies []reply) int {
	n := 0
	for _, r := range replies {
		if strings.Contains(r.cacheStatus(), "; collapsed") {
			n++
		}
	}
	return n
}

// waiting waits until n requests of a site wait for others.
func (s *site) waiting(n int) {
	s.t.Helper()
	want := fmt.Sprintf(`"waiting":%d,`, n)
	require.Eventually(s.t, func() bool { return strings.Contains(s.get("/.odoocache/status").body, want) }, waitFor, tick, want)
}
