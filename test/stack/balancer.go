package stack

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Balancer leads each new connection to the next of several servers.
type Balancer struct {
	Address string

	mu      sync.Mutex
	servers []string
	next    int
	conns   []net.Conn
}

// NewBalancer starts one in front of servers.
func NewBalancer(t testing.TB, servers ...string) *Balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &Balancer{Address: l.Addr().String(), servers: servers}
	t.Cleanup(func() {
		l.Close()
		b.Lead()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go b.serve(c)
		}
	}()
	return b
}

// Lead leads new connections to these servers from now on, and ends those that there are.
func (b *Balancer) Lead(servers ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = servers
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

func (b *Balancer) serve(client net.Conn) {
	defer client.Close()
	b.mu.Lock()
	if len(b.servers) == 0 {
		b.mu.Unlock()
		return
	}
	address := b.servers[b.next%len(b.servers)]
	b.next++
	b.conns = append(b.conns, client)
	b.mu.Unlock()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}
