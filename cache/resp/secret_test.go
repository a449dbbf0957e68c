package resp

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secretIn is a secret as it is in a file.
func secretIn(t *testing.T, file string) *Secret {
	t.Helper()
	read := func() (string, error) {
		b, err := os.ReadFile(file)
		return string(b), err
	}
	value, err := read()
	require.NoError(t, err)
	return NewSecret(value, read)
}

// odd is a password with characters that mean something to shells, URLs, YAML or the protocol.
const odd = "p w\t\"'`$#%&\\{}[]é\u2028~*!@:/?=+$9"

// TestRealRotation: a password that is changed at the server and in its file is used by the
// next connection, in whatever way the file is replaced, and the caller notices nothing.
func TestRealRotation(t *testing.T) {
	s := StartRedis(t, "--requirepass", "first")
	admin := patient(t, Options{Address: s.Address, Password: "first"})
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("v1/password", "first")
	require.NoError(t, os.Symlink("v1", filepath.Join(dir, "data"))) // as Kubernetes mounts a Secret
	mounted := filepath.Join(dir, "data", "password")
	c := patient(t, Options{Address: s.Address, Secret: secretIn(t, mounted)})
	one(t, c, ping)
	for i, replace := range []func(password string){
		func(p string) { write("data/password", p) },
		func(p string) { require.NoError(t, os.Rename(write("new", p), filepath.Join(dir, "v1", "password"))) },
		func(p string) {
			write("v2/password", p)
			require.NoError(t, os.Symlink("v2", filepath.Join(dir, "next")))
			require.NoError(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "data")))
		},
	} {
		password := odd + itoa(i)
		one(t, admin, args("CONFIG", "SET", "requirepass", password))
		replace(password)
		one(t, admin, args("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
		time.Sleep(readPause)
		one(t, c, ping)
	}
	assert.EqualValues(t, 3, c.Stats().Retries)
	assert.Zero(t, c.Stats().AuthErrors)
}

// TestSecretIsReadSeldom: while the password is wrong, it is read once a second, and an
// error says what is in the way.
func TestSecretIsReadSeldom(t *testing.T) {
	var reads atomic.Int64
	var missing atomic.Bool
	secret := NewSecret("wrong", func() (string, error) {
		reads.Add(1)
		if missing.Load() {
			return "", errors.New("the file is gone")
		}
		return "wrong", nil
	})
	fake := StartFake(t, speaker(func(int, []string) string { return "-WRONGPASS invalid username-password pair\r\n" }))
	c := patient(t, Options{Address: fake.Address, Secret: secret})
	ask := func() (err error) {
		for i := 0; i < 100; i++ {
			_, err = c.Do(ping)
			require.ErrorIs(t, err, ErrAuth)
		}
		return err
	}
	start := time.Now()
	assert.NotContains(t, ask().Error(), "gone")
	assert.LessOrEqual(t, reads.Load(), 1+int64(time.Since(start)/readPause))
	assert.Equal(t, 100, fake.Accepted(), "what is refused again is not tried again")
	missing.Store(true)
	time.Sleep(readPause)
	assert.ErrorContains(t, ask(), "the file is gone")
	assert.LessOrEqual(t, reads.Load(), 1+int64(time.Since(start)/readPause))
}

// TestSecretIsSharedByNodes: what one connection has found out serves the others, too.
func TestSecretIsSharedByNodes(t *testing.T) {
	var reads atomic.Int64
	secret := NewSecret("old", func() (string, error) { reads.Add(1); return "new", nil })
	fake := StartFake(t, speaker(func(_ int, words []string) string {
		switch strings.Join(words, " ") {
		case "AUTH old":
			return "-WRONGPASS invalid username-password pair\r\n"
		case "AUTH new":
			return "+OK\r\n"
		}
		return bulk("x")
	}))
	a, b := patient(t, Options{Address: fake.Address, Secret: secret}), patient(t, Options{Address: fake.Address, Secret: secret})
	one(t, a, ping)
	one(t, b, ping)
	assert.EqualValues(t, 1, reads.Load())
	assert.Equal(t, 3, fake.Accepted())
	password, other, err := secret.renewed("old") // of a connection that was made before
	assert.Equal(t, "new", password)
	assert.True(t, other)
	assert.NoError(t, err)
}

// TestNoAuthClosesTheConnection: a connection that has given its password, and is asked for
// one, has to be made anew.
func TestNoAuthClosesTheConnection(t *testing.T) {
	for name, o := range map[string]Options{"value": {Password: "p"}, "secret": {Secret: NewSecret("p", func() (string, error) { return "p", nil })}} {
		fake := StartFake(t, speaker(func(n int, words []string) string {
			if words[0] == "AUTH" {
				return "+OK\r\n"
			}
			if n == 1 {
				return "-NOAUTH Authentication required.\r\n"
			}
			return bulk("x")
		}))
		o.Address = fake.Address
		c := patient(t, o)
		r, err := c.Do(ping)
		require.NoError(t, err)
		assert.Equal(t, "NOAUTH", Code(r[0]))
		assert.Zero(t, c.Stats().Open, name)
		one(t, c, ping)
	}
}

// TestRealSentinelRotation: the sentinels' password has a file of its own.
func TestRealSentinelRotation(t *testing.T) {
	s := StartRedis(t)
	_, port, _ := strings.Cut(s.Address, ":")
	sentinel := StartSentinel(t, "requirepass second", "sentinel monitor shop 127.0.0.1 "+port+" 1")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("first"), 0o600))
	c := patient(t, Options{Sentinels: &Sentinels{Master: "shop", Addresses: []string{sentinel.Address}, Secret: secretIn(t, file)}})
	_, err := c.Do(ping)
	require.ErrorIs(t, err, ErrConnect)
	require.NoError(t, os.WriteFile(file, []byte("second"), 0o600))
	time.Sleep(readPause)
	one(t, c, ping)
}
