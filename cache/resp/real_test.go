package resp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func args(words ...string) Command { return Command{Args: words} }

// one sends one command and wants no error.
func one(t *testing.T, c *Client, cmd Command) Reply {
	t.Helper()
	r, err := c.Do(cmd)
	require.NoError(t, err)
	require.NoError(t, Err(r[0]))
	return r[0]
}

// patient is what the tests against a real server use: the machine may be slow.
func patient(t *testing.T, o Options) *Client {
	o.Timeout, o.DialTimeout = 10*time.Second, 10*time.Second
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

// suite is what must work over every kind of connection.
func suite(t *testing.T, c *Client) {
	one(t, c, args("FLUSHDB"))
	assert.Equal(t, Reply{Kind: Status, Text: "PONG"}, one(t, c, ping))
	assert.Equal(t, Reply{Kind: Bulk, Null: true}, one(t, c, args("GET", "none")))
	binary := []byte("\r\n\x00\xff$-1\r\n")
	for _, body := range [][]byte{{}, []byte("v"), binary, bytes.Repeat(binary, 10_000), make([]byte, 3<<20)} {
		r := one(t, c, Command{Args: []string{"SET", "k"}, Body: body, Tail: []string{"PX", "60000"}})
		assert.Equal(t, "OK", r.Text)
		assert.True(t, bytes.Equal(body, one(t, c, args("GET", "k")).Body))
		assert.Equal(t, int64(len(body)), one(t, c, args("STRLEN", "k")).Int)
	}
	assert.InDelta(t, 60000, one(t, c, args("PTTL", "k")).Int, 10_000)
	r, err := c.Do(args("INCR", "n"), args("LPUSH", "k", "x"), args("NOSUCH"), args("INCR", "n"),
		args("EVAL", "return {1, {'a', false}, redis.error_reply('MY fault'), redis.status_reply('FINE')}", "0"),
		args("MGET", "n", "none"))
	require.NoError(t, err)
	assert.Equal(t, int64(1), r[0].Int)
	assert.Equal(t, "WRONGTYPE", Code(r[1]))
	assert.Equal(t, "ERR", Code(r[2]))
	assert.Equal(t, int64(2), r[3].Int)
	assert.Equal(t, []Reply{{Kind: Integer, Int: 1}, {Kind: Array, Items: []Reply{{Kind: Bulk, Body: []byte("a")},
		{Kind: Bulk, Null: true}}}, {Kind: Error, Text: "MY fault"}, {Kind: Status, Text: "FINE"}}, r[4].Items)
	assert.Equal(t, []Reply{{Kind: Bulk, Body: []byte("2")}, {Kind: Bulk, Null: true}}, r[5].Items)
	r, err = c.Do(args("MULTI"), args("INCR", "n"), args("EXEC"))
	require.NoError(t, err)
	assert.Equal(t, []Reply{{Kind: Integer, Int: 3}}, r[2].Items)
	many := make([]Command, 1000)
	for i := range many {
		many[i] = args("ECHO", itoa(i))
	}
	r, err = c.Do(many...)
	require.NoError(t, err)
	for i := range many {
		assert.Equal(t, itoa(i), string(r[i].Body))
	}
	s := c.Stats()
	assert.Equal(t, int64(1), s.Open)
	assert.Equal(t, int64(1), s.Idle)
	assert.Equal(t, int64(1), s.Dials)
	assert.Equal(t, int64(2), s.ServerErrors)
}

func TestRealTCP(t *testing.T) {
	suite(t, patient(t, Options{Address: StartRedis(t).Address}))
}

func TestRealUnix(t *testing.T) {
	path := filepath.Join(MakeDir(t), "s")
	StartRedis(t, "--unixsocket", path)
	suite(t, patient(t, Options{Network: "unix", Address: path}))
}

func TestRealPassword(t *testing.T) {
	s := StartRedis(t, "--requirepass", "hunter2", "--user", "shop", "on", ">pass2", "~shop:*", "~k", "~n", "~none", "+@all",
		"--user", "weak", "on", ">pass3", "~*", "+get")
	suite(t, patient(t, Options{Address: s.Address, Password: "hunter2"}))
	suite(t, patient(t, Options{Address: s.Address, Username: "default", Password: "hunter2"}))

	acl := patient(t, Options{Address: s.Address, Username: "shop", Password: "pass2"})
	suite(t, acl)
	r, err := acl.Do(args("GET", "other"), args("GET", "shop:1"))
	require.NoError(t, err)
	assert.Equal(t, "NOPERM", Code(r[0]))
	assert.True(t, r[1].Null)

	for name, o := range map[string]Options{
		"wrong password":   {Password: "hunter3"},
		"wrong user":       {Username: "nobody", Password: "hunter2"},
		"no SELECT":        {Username: "weak", Password: "pass3", DB: 2},
		"not even AUTH":    {DB: 2},
		"user, empty pass": {Username: "shop"},
	} {
		o.Address = s.Address
		c := patient(t, o)
		_, err := c.Do(ping)
		assert.ErrorIs(t, err, ErrAuth, name)
		assert.ErrorIs(t, err, ErrConnect, name)
		assert.Equal(t, Stats{Dials: 1, AuthErrors: 1}, c.Stats(), name)
	}
	r, err = patient(t, Options{Address: s.Address}).Do(ping)
	require.NoError(t, err)
	assert.Equal(t, "NOAUTH", Code(r[0]), "without set-up there is only the reply")

	_, err = patient(t, Options{Address: StartRedis(t).Address, Password: "needless"}).Do(ping)
	assert.ErrorIs(t, err, ErrAuth)
}

func TestRealDatabase(t *testing.T) {
	s := StartRedis(t)
	zero, three := patient(t, Options{Address: s.Address}), patient(t, Options{Address: s.Address, DB: 3})
	suite(t, three)
	one(t, three, args("SET", "k", "three"))
	assert.True(t, one(t, zero, args("GET", "k")).Null)
	one(t, zero, args("SELECT", "3"))
	assert.Equal(t, "three", string(one(t, zero, args("GET", "k")).Body))

	_, err := patient(t, Options{Address: s.Address, DB: 16}).Do(ping)
	assert.ErrorIs(t, err, ErrServer)
	assert.ErrorIs(t, err, ErrConnect)
	assert.Contains(t, err.Error(), "SELECT 16")
}

func TestRealTLS(t *testing.T) {
	plain, port, cert, ca := StartRedisTLS(t, "--requirepass", "hunter2")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)

	for name, o := range map[string]Options{
		"roots":              {TLS: &tls.Config{RootCAs: roots}},
		"database":           {TLS: &tls.Config{RootCAs: roots}, DB: 5},
		"name":               {TLS: &tls.Config{RootCAs: roots, ServerName: "redis.example"}},
		"client certificate": {TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}},
		"TLS 1.2":            {TLS: &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS12}},
	} {
		t.Run(name, func(t *testing.T) {
			o.Address, o.Password = "127.0.0.1:"+itoa(port), "hunter2"
			suite(t, patient(t, o))
		})
	}
	var err error
	for name, o := range map[string]Options{
		"unknown authority": {TLS: &tls.Config{}},
		"other name":        {TLS: &tls.Config{RootCAs: roots, ServerName: "other.example"}},
	} {
		o.Address, o.Password = "127.0.0.1:"+itoa(port), "hunter2"
		_, err = patient(t, o).Do(ping)
		assert.ErrorIs(t, err, ErrConnect, name)
		assert.NotErrorIs(t, err, ErrTimeout, name)
	}
	// a plain server waits for the rest of what it takes for a command
	for _, o := range []Options{
		{Address: plain.Address, TLS: &tls.Config{RootCAs: roots}},
		{Address: "127.0.0.1:" + itoa(port)},
	} {
		c := New(o)
		_, err = c.Do(ping)
		assert.Error(t, err, "TLS to a plain port, plain to a TLS port")
		assert.Zero(t, c.Stats().Open)
	}
}

// StartRedisTLS starts a server with a plain and a TLS port, and returns the
// certificate that it, and its own authority, has.
func StartRedisTLS(t *testing.T, more ...string) (s *Server, port int, cert tls.Certificate, ca []byte) {
	needTLS(t)
	cert = testCertificate(t)
	dir, ca := writeCertificate(t, cert)
	for port = FreePort(t); port > 55535; port = FreePort(t) { // a cluster's bus is 10,000 above
	}
	s = StartRedis(t, append(more, "--tls-port", itoa(port), "--tls-cert-file", dir+"/cert", "--tls-key-file", dir+"/key",
		"--tls-ca-cert-file", dir+"/cert", "--tls-auth-clients", "optional")...)
	return s, port, cert, ca
}

// writeCertificate writes the files cert and key into a folder.
func writeCertificate(t *testing.T, cert tls.Certificate) (dir string, ca []byte) {
	dir = MakeDir(t)
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	require.NoError(t, os.WriteFile(dir+"/cert", ca, 0o600))
	require.NoError(t, os.WriteFile(dir+"/key", keyPEM, 0o600))
	return dir, ca
}

// TestSentinelTLS: the sentinels have TLS settings of their own.
func TestSentinelTLS(t *testing.T) {
	_, port, cert, ca := StartRedisTLS(t)
	dir, _ := writeCertificate(t, cert)
	secure := FreePort(t)
	StartSentinel(t, "tls-port "+itoa(secure), "tls-cert-file "+dir+"/cert", "tls-key-file "+dir+"/key", "tls-ca-cert-file "+dir+"/cert",
		"tls-auth-clients no", "tls-replication yes", "sentinel monitor shop 127.0.0.1 "+itoa(port)+" 1")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	with := func(sentinels, servers *tls.Config) Options {
		return Options{Sentinels: &Sentinels{Master: "shop", Addresses: []string{"127.0.0.1:" + itoa(secure)}, TLS: sentinels}, TLS: servers}
	}
	good := &tls.Config{RootCAs: roots}
	suite(t, patient(t, with(good, good)))
	for name, o := range map[string]Options{
		"plain sentinels": with(nil, good), "plain servers": with(good, nil),
		"sentinels of an unknown authority": with(&tls.Config{}, good), "servers of an unknown authority": with(good, &tls.Config{}),
	} {
		o.Timeout, o.DialTimeout = 500*time.Millisecond, 500*time.Millisecond
		c := New(o)
		_, err := c.Do(ping)
		assert.Error(t, err, name)
		c.Close()
	}
}

// TestClusterTLS: what a node tells about the others holds for connections with TLS.
func TestClusterTLS(t *testing.T) {
	s, port, _, ca := StartRedisTLS(t, "--cluster-enabled", "yes", "--tls-cluster", "yes")
	plain := patient(t, Options{Address: s.Address})
	slots := []string{"CLUSTER", "ADDSLOTS"}
	for i := 0; i < 16384; i++ {
		slots = append(slots, itoa(i))
	}
	one(t, plain, args(slots...))
	require.Eventually(t, func() bool {
		return strings.Contains(string(one(t, plain, args("CLUSTER", "INFO")).Body), "cluster_state:ok")
	}, 20*time.Second, 10*time.Millisecond)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	c := NewCluster(Options{TLS: &tls.Config{RootCAs: roots}, Timeout: 10 * time.Second, DialTimeout: 10 * time.Second}, []string{"127.0.0.1:" + itoa(port)})
	defer c.Close()
	assert.Equal(t, "OK", oneOf(t, c, args("SET", "k", "v")).Text)
	assert.Equal(t, "v", string(oneOf(t, c, args("GET", "k")).Body))
	assert.Contains(t, c.nodes, "127.0.0.1:"+itoa(port))
	assert.Len(t, c.nodes, 1, "the secure port is the one that is used")
}

// needTLS skips if redis-server was built without TLS: it then does not know
// the option.
func needTLS(t *testing.T) {
	s := StartRedis(t)
	r := one(t, patient(t, Options{Address: s.Address}), args("CONFIG", "GET", "tls-port"))
	if len(r.Items) == 0 {
		t.Skip("redis-server was built without TLS")
	}
}

func testCertificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"redis.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// All idle connections die in a restart; nobody who comes after it sees that.
func TestRealRestart(t *testing.T) {
	s := StartRedis(t)
	c := patient(t, Options{Address: s.Address, PoolSize: 8})
	_, port, err := net.SplitHostPort(s.Address)
	require.NoError(t, err)
	all := func(want error) {
		var wg sync.WaitGroup
		for i := 0; i < 8; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				// blocks, so that the eight of them need eight connections
				r, err := c.Do(args("BLPOP", "none", "0.2"))
				assert.ErrorIs(t, err, want)
				if want == nil && assert.NoError(t, err) {
					assert.True(t, r[0].Null)
				}
			}()
		}
		wg.Wait()
	}
	all(nil)
	assert.EqualValues(t, 8, c.Stats().Idle)
	s.Stop()
	StartRedisAt(t, atoi(t, port))
	all(nil)
	stats := c.Stats()
	assert.EqualValues(t, 8, stats.Retries)
	assert.EqualValues(t, 16, stats.Dials)
	assert.Zero(t, stats.ConnectErrors)
}

// While the server is away there is ErrConnect, and afterwards there is not.
func TestRealOutage(t *testing.T) {
	s := StartRedis(t)
	c := patient(t, Options{Address: s.Address, PoolSize: 2})
	one(t, c, ping)
	s.Stop()
	for i := 0; i < 3; i++ {
		_, err := c.Do(ping)
		assert.ErrorIs(t, err, ErrConnect)
	}
	assert.Zero(t, c.Stats().Open)
	_, port, err := net.SplitHostPort(s.Address)
	require.NoError(t, err)
	StartRedisAt(t, atoi(t, port))
	one(t, c, ping)
}

// A stopped process still accepts connections, and answers nothing.
func TestRealServerHangs(t *testing.T) {
	s := StartRedis(t)
	c := New(Options{Address: s.Address, Timeout: 50 * time.Millisecond})
	defer c.Close()
	_, err := c.DoTimeout(10*time.Second, ping)
	require.NoError(t, err)
	_, err = c.Do(args("DEBUG", "SLEEP", "0"))
	require.NoError(t, err)
	require.NoError(t, s.Freeze())
	for i := 0; i < 3; i++ {
		start := time.Now()
		_, err = c.Do(args("ECHO", "lost"))
		assert.ErrorIs(t, err, ErrTimeout)
		assert.Less(t, time.Since(start), time.Second)
	}
	require.NoError(t, s.Thaw())
	r, err := c.DoTimeout(10*time.Second, args("ECHO", "found"))
	require.NoError(t, err)
	assert.Equal(t, "found", string(r[0].Body))
}

func TestRealServerKillsConnection(t *testing.T) {
	s := StartRedis(t)
	c, killer := patient(t, Options{Address: s.Address}), patient(t, Options{Address: s.Address})
	one(t, c, ping)
	one(t, killer, args("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
	one(t, c, ping)
	assert.EqualValues(t, 1, c.Stats().Retries)
}

func TestRealReadOnly(t *testing.T) {
	master := StartRedis(t)
	_, port, err := net.SplitHostPort(master.Address)
	require.NoError(t, err)
	replica := StartRedis(t, "--replicaof", "127.0.0.1", port)
	c := patient(t, Options{Address: replica.Address})
	r, err := c.Do(args("SET", "k", "v"))
	require.NoError(t, err)
	assert.Equal(t, "READONLY", Code(r[0]))
	assert.Zero(t, c.Stats().Open, "a new connection may lead to the master")
}

func TestRealOutOfMemory(t *testing.T) {
	c := patient(t, Options{Address: StartRedis(t, "--maxmemory", "2mb", "--maxmemory-policy", "noeviction").Address})
	var r []Reply
	for i := 0; i < 100; i++ {
		var err error
		r, err = c.Do(Command{Args: []string{"SET", itoa(i)}, Body: make([]byte, 100_000)})
		require.NoError(t, err)
	}
	assert.Equal(t, "OOM", Code(r[0]))
	assert.True(t, strings.HasPrefix(Err(r[0]).Error(), "redis: server answered with: \"OOM "))
	assert.EqualValues(t, 1, c.Stats().Open)
}
