package behaviour_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// patientRedis are options of a Redis, with the time that a busy machine may take.
func patientRedis(o site.Options) site.Options {
	return site.Merge(site.Options{"timeout": "10s", "dialTimeout": "10s"}, o)
}

// redisSite is a site whose pages are in Redis alone.
func redisSite(t *testing.T, load site.Loader, redis site.Options) *site.Site {
	t.Helper()
	return site.New(t, load, site.Options{
		"redis": redis, "memory": site.Options{"bytes": "0"}, "purge": site.Options{"networks": []string{"127.0.0.1"}},
	}, site.Page("x", "Cache-Control: max-age=600"))
}

// storesAndHits asks for a page until it has to be a hit.
func storesAndHits(t *testing.T, s *site.Site, path string) {
	t.Helper()
	assert.Contains(t, s.Get(path).CacheStatus(), "; stored")
	assert.Contains(t, s.Get(path).CacheStatus(), "; hit")
}

// TestRedisSockets: a Unix socket is written as a path, with or without unix:// before it.
func TestRedisSockets(t *testing.T) {
	socket := redisSocket(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, address := range []string{"unix://" + socket, socket} {
			storesAndHits(t, redisSite(t, load, patientRedis(site.Options{"address": address})), "/page")
		}
	})
}

// TestConnectionsThatFellSilent: when the address of Redis has gone to another server without a
// word, one visitor waits for that, not one for each connection that is open.
func TestConnectionsThatFellSilent(t *testing.T) {
	server := stack.StartServer(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		proxy := stack.NewFaultProxy(t, server.Address)
		s := redisSite(t, load, site.Options{"address": proxy.Address, "timeout": "500ms", "dialTimeout": "500ms"})
		storesAndHits(t, s, "/page")
		proxy.Set(stack.Slow(50 * time.Millisecond))
		var wg sync.WaitGroup
		for i := 0; i < 8; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				s.Get("/page")
			}()
		}
		wg.Wait()
		proxy.Set(nil)
		require.Eventually(t, func() bool { return strings.Contains(s.Get("/page").CacheStatus(), "; hit") }, site.WaitFor, site.Tick)
		connections := server.Clients()
		require.Greater(t, connections, 2)
		proxy.SilenceOpen()
		begin := time.Now()
		assert.NotContains(t, s.Get("/page").CacheStatus(), "; hit")
		require.Eventually(t, func() bool { return strings.Contains(s.Get("/page").CacheStatus(), "; hit") }, site.WaitFor, site.Tick)
		assert.Less(t, time.Since(begin), 2*500*time.Millisecond+stack.Slack, "%d connections", connections)
	})
}

// TestPasswordIsRotated: a password that is changed in Redis and in its file, as Kubernetes
// changes the files of a Secret, needs no reload. Until the file has changed, Odoo answers.
func TestPasswordIsRotated(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		dir := t.TempDir()
		put := func(folder, password string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, folder, "password"), []byte(password+"\r\n"), 0o600))
			require.NoError(t, os.Symlink(folder, filepath.Join(dir, "..tmp")))
			require.NoError(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		}
		put("1", `fi"rst$ #é`)
		require.NoError(t, os.Symlink("..data/password", filepath.Join(dir, "password")))
		server := stack.StartServer(t)
		admin := func(words ...string) {
			require.NoError(t, exec.Command("redis-cli", append([]string{"-e", "-u", "redis://" + server.Address}, words...)...).Run(), words)
		}
		admin("ACL", "SETUSER", "odoo", "on", `>fi"rst$ #é`, "~*", "+@all")
		s := redisSite(t, load, patientRedis(site.Options{"address": server.Address, "username": "odoo", "passwordFile": filepath.Join(dir, "password")}))
		storesAndHits(t, s, "/page")

		admin("ACL", "SETUSER", "odoo", "resetpass", ">second")
		admin("CLIENT", "KILL", "USER", "odoo")
		got := s.Get("/page")
		assert.Equal(t, 200, got.Status)
		assert.Contains(t, got.CacheStatus(), "store-error")
		put("2", "second")
		require.Eventually(t, func() bool { return strings.Contains(s.Get("/page").CacheStatus(), "; hit") }, 3*site.WaitFor, 50*time.Millisecond)

		time.Sleep(time.Second) // it is read once a second
		admin("ACL", "SETUSER", "odoo", "resetpass", ">third")
		put("3", "third")
		admin("CLIENT", "KILL", "USER", "odoo")
		assert.Contains(t, s.Get("/page").CacheStatus(), "; hit", "nobody notices")
	})
}
