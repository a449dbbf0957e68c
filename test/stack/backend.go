package stack

import (
	"crypto/tls"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Tail returns the last lines of a text.
func Tail(text string, lines int) string {
	list := strings.Split(strings.TrimSpace(text), "\n")
	if len(list) > lines {
		list = list[len(list)-lines:]
	}
	return strings.Join(list, "\n")
}

// FreeAddress returns an address of this machine that nobody listens on.
// The port is not one of those that the system gives to connections: such a one may be
// in use by the time that somebody listens on it. A cluster takes it plus 10000, too.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for i := 0; i < 1000; i++ {
		port := 10000 + rand.Intn(10000)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if _, taken := givenPorts.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	require.Fail(t, "no free port")
	return ""
}

// givenPorts are those that FreeAddress has returned.
var givenPorts sync.Map

// Backend is the origin behind Traefik.
type Backend struct {
	*httptest.Server
	count atomic.Int64
}

// NewBackend starts an origin.
func NewBackend(t *testing.T, answer http.HandlerFunc) *Backend {
	t.Helper()
	b := &Backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b.count.Add(1)
		answer(rw, r)
	}))
	t.Cleanup(b.Server.CloseClientConnections)
	return b
}

// Renders returns how often the origin was asked.
func (b *Backend) Renders() int {
	return int(b.count.Load())
}

// SecureClient is PlainClient over TLS, with HTTP/2.
func SecureClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // Traefik's own certificate
	}}
}
