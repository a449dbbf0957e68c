package redis_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/storage/redis"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
)

// slowRoad stands before a Redis server. It holds back what has word in it until it is told
// to go on, also if its sender has hung up meanwhile.
func slowRoad(t *testing.T, port, word string, proceed chan bool) (address string, arrived chan bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	arrived = make(chan bool, 10)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(client, server) }()
			go func() {
				b := make([]byte, 1<<16)
				for {
					n, err := client.Read(b)
					if bytes.Contains(b[:n], []byte(word)) {
						<-proceed
						_, _ = server.Write(b[:n])
						arrived <- true
						continue
					}
					if err != nil {
						return // the server is left alone with what it has
					}
					_, _ = server.Write(b[:n])
				}
			}()
		}
	}()
	return listener.Addr().String(), arrived
}

// TestABeginningThatComesLate: the note of a beginning may arrive when its sender has given
// up, and after a mark that found nothing to mark. The session does not become a default one.
func TestABeginningThatComesLate(t *testing.T) {
	port := storagetest.StartRedis(t)
	for _, word := range []string{"'ZADD', s, 'NX'", "local score, was, bit"} {
		tenant := storagetest.Tenant()
		proceed := make(chan bool)
		address, arrived := slowRoad(t, port, word, proceed)
		slow := redis.New(resp.New(resp.Options{Address: address, Timeout: 300 * time.Millisecond, DialTimeout: 300 * time.Millisecond}), storagetest.MaxMarks)
		t.Cleanup(slow.Close)
		s := storagetest.OpenRedis(t, port)
		state := func() storage.SessionKind {
			_, _, known, err := storagetest.Visit(s, tenant, "", "visitor")
			require.NoError(t, err)
			return known
		}
		require.ErrorIs(t, slow.NoteDefault(tenant, "visitor", 3600_000, 100), storage.ErrUnavailable)
		require.NotEqual(t, storage.SessionDefault, state())
		_, err := s.Mark(tenant, []string{"visitor"}, true, storage.NowMS()+3600_000)
		require.NoError(t, err)
		proceed <- true
		<-arrived
		for i := 0; i < 20; i++ { // what has arrived is answered within that time
			require.NotEqual(t, storage.SessionDefault, state(), "%q", word)
			time.Sleep(10 * time.Millisecond)
		}
		require.NoError(t, s.NoteDefault(tenant, "visitor", 3600_000, 100))
		require.Contains(t, []storage.SessionKind{storage.SessionBegins, storage.SessionSpecial}, state(), "what is known is not known anew")
	}
}
