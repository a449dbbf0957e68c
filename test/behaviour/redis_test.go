package behaviour_test

import (
	"fmt"
	"net"
	"net/http"
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

// clusterOf starts two nodes on ::1. The first one has all slots.
func clusterOf(t *testing.T, more ...[]string) []*stack.RedisServer {
	t.Helper()
	var nodes []*stack.RedisServer
	for i := 0; i < 2; i++ {
		args := []string{"--bind", "127.0.0.1", "::1", "--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-announce-ip", "::1"}
		if more != nil {
			args = append(args, more[i]...)
		}
		nodes = append(nodes, stack.StartServer(t, args...))
	}
	for from := 0; from < 16384; from += 4096 { // a command in one line has at most 64 KiB
		slots := ""
		for i := from; i < from+4096; i++ {
			slots += fmt.Sprint(" ", i)
		}
		require.Equal(t, "OK", nodes[0].Must("CLUSTER ADDSLOTS"+slots))
	}
	_, port, _ := net.SplitHostPort(nodes[0].Address)
	if more != nil {
		port = nodes[0].Must("CONFIG GET tls-port")[len("tls-port\n"):]
	}
	require.Equal(t, "OK", nodes[1].Must("CLUSTER MEET ::1 "+port))
	for _, node := range nodes {
		require.Eventually(t, func() bool {
			info := node.Must("CLUSTER INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:2")
		}, stack.Patience, 20*time.Millisecond, "the nodes know each other")
	}
	return nodes
}

// moveTenant gives a tenant's slot, without what is in it, from the first node to the second.
func moveTenant(t *testing.T, nodes []*stack.RedisServer, tenant string) {
	t.Helper()
	slot := nodes[0].Must("CLUSTER KEYSLOT oc:{" + tenant + "}:marks")
	id := nodes[1].Must("CLUSTER MYID")
	nodes[0].Must("FLUSHALL")
	for _, node := range nodes { // the one that has it first, so that it does not claim it any more
		require.Equal(t, "OK", node.Must("CLUSTER SETSLOT "+slot+" NODE "+id))
	}
	require.Contains(t, nodes[0].Must("GET oc:{"+tenant+"}:marks"), "MOVED "+slot+" ::1:")
}

// TestClusterOnIPv6: Redis writes an IPv6 address in a redirection without brackets.
func TestClusterOnIPv6(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		nodes := clusterOf(t)
		s := redisSite(t, load, patientRedis(site.Options{"cluster": site.Options{"addresses": []string{nodes[0].Address}}}))
		storesAndHits(t, s, "/page")
		tenant := fmt.Sprint(s.Options["tenant"])
		moveTenant(t, nodes, tenant)
		require.Eventually(t, func() bool { return strings.Contains(s.Get("/page").CacheStatus(), "; hit") }, site.WaitFor, site.Tick)
		assert.NotEmpty(t, nodes[1].Entries(tenant))
		for i := 0; i < 20; i++ {
			require.Contains(t, s.Get("/page").CacheStatus(), "; hit")
		}
	})
}

// TestClusterNamesUnderTLS: where nodes tell numbers as their addresses, and a name beside them, the
// certificate is checked for that name.
func TestClusterNamesUnderTLS(t *testing.T) {
	authority := stack.NewAuthority(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, right := range []bool{true, false} {
			var more [][]string
			var ports []string
			for _, name := range []string{"one.redis.example", "two.redis.example"} {
				_, port, _ := net.SplitHostPort(stack.FreeAddress(t))
				names := []string{"localhost", name}
				if name != "one.redis.example" {
					names = []string{name}
				}
				if !right && len(ports) > 0 {
					names = []string{"localhost", "other.redis.example"}
				}
				ports = append(ports, port)
				more = append(more, append(authority.ServerTLS(port, names...), "--tls-cluster", "yes", "--cluster-announce-hostname", name))
			}
			nodes := clusterOf(t, more...)
			require.Eventually(t, func() bool { return strings.Contains(nodes[0].Must("CLUSTER NODES"), "two.redis.example") }, stack.Patience, 20*time.Millisecond)
			s := redisSite(t, load, patientRedis(site.Options{
				"tls": site.Options{"enabled": "true", "caFile": authority.File}, "cluster": site.Options{"addresses": []string{"localhost:" + ports[0]}},
			}))
			storesAndHits(t, s, "/page")
			tenant := fmt.Sprint(s.Options["tenant"])
			moveTenant(t, nodes, tenant)
			if right {
				require.Eventually(t, func() bool { return strings.Contains(s.Get("/page").CacheStatus(), "; hit") }, site.WaitFor, site.Tick)
				assert.NotEmpty(t, nodes[1].Entries(tenant))
				continue
			}
			for i := 0; i < 10; i++ {
				assert.NotContains(t, s.Get("/page").CacheStatus(), "; hit")
			}
			assert.Empty(t, nodes[1].Entries(tenant), "a certificate with another name")
		}
	})
}

// TestSentinelsHaveTheirOwnTLS: plain sentinels in front of servers with TLS, and the other way
// round.
func TestSentinelsHaveTheirOwnTLS(t *testing.T) {
	authority := stack.NewAuthority(t)
	_, port, _ := net.SplitHostPort(stack.FreeAddress(t))
	server := stack.StartServer(t, authority.ServerTLS(port, "127.0.0.1")...)
	_, plain, _ := net.SplitHostPort(server.Address)
	secure := site.Options{"enabled": "true", "caFile": authority.File}
	conf := func(args []string) (lines []string) {
		for i := 0; i+1 < len(args); i += 2 {
			lines = append(lines, strings.TrimPrefix(args[i], "--")+" "+args[i+1])
		}
		return lines
	}
	_, sentinelPort, _ := net.SplitHostPort(stack.FreeAddress(t))
	tls := conf(authority.ServerTLS(sentinelPort, "127.0.0.1"))
	beforeTLS := stack.StartSentinel(t, append(tls[1:], "tls-replication yes", "sentinel monitor shop 127.0.0.1 "+port+" 1")...)
	beforePlain := stack.StartSentinel(t, append(tls, "sentinel monitor shop 127.0.0.1 "+plain+" 1")...)
	for _, s := range []*stack.RedisServer{beforeTLS, beforePlain} {
		require.Eventually(t, func() bool { return strings.Contains(s.Must("SENTINEL get-master-addr-by-name shop"), "127.0.0.1") }, stack.Patience, site.Tick)
	}
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, c := range []struct {
			name, address     string
			servers, sentinel site.Options
			works             bool
		}{
			{"plain before TLS", beforeTLS.Address, secure, site.Options{"enabled": "false"}, true},
			{"TLS before plain", "127.0.0.1:" + sentinelPort, nil, secure, true},
			{"plain before TLS, not said", beforeTLS.Address, secure, nil, false},
			{"TLS before plain, not said", "127.0.0.1:" + sentinelPort, nil, nil, false},
		} {
			redis := site.Options{"sentinel": site.Options{"master": "shop", "addresses": []string{c.address}, "tls": c.sentinel}}
			if c.servers != nil {
				redis["tls"] = c.servers
			}
			if !c.works {
				redis["timeout"], redis["dialTimeout"] = "200ms", "200ms"
				assert.Contains(t, redisSite(t, load, redis).Get("/page").CacheStatus(), "store-error", c.name)
				continue
			}
			t.Log(c.name)
			storesAndHits(t, redisSite(t, load, patientRedis(redis)), "/page")
		}
	})
}

// TestUserWithoutInfo: a user as hosters make them, without INFO, ROLE and CONFIG, stores, hits
// and purges. One line of the log says what is lost.
func TestUserWithoutInfo(t *testing.T) {
	server := stack.StartServer(t)
	require.Equal(t, "OK", server.Must("ACL SETUSER hosted on >change-me ~* +@all -@dangerous -@admin"))
	site.Both(t, func(t *testing.T, load site.Loader) {
		mark := site.Log.Mark()
		redis := patientRedis(site.Options{"address": server.Address, "username": "hosted", "password": "change-me", "idleTimeout": "1s"})
		s := redisSite(t, load, redis)
		other := redisSite(t, load, redis)
		for i := 0; i < 2; i++ {
			for _, s := range []*site.Site{s, other} {
				storesAndHits(t, s, fmt.Sprint("/page-", i))
				got := s.Do(http.MethodPost, "/.odoocache/purge", `{"all":true}`)
				assert.Equal(t, 200, got.Status, got.Body)
				assert.Contains(t, s.Get(fmt.Sprint("/page-", i)).CacheStatus(), "purged")
			}
			time.Sleep(1100 * time.Millisecond) // all connections are made anew
		}
		assert.Len(t, site.Log.With("may not call INFO", mark), 1)
		for _, fault := range []string{server.Address, "begins anew", "storage went back"} { // other sites of this process may write lines of their own
			for _, line := range site.Log.With(fault, mark) {
				for _, s := range []*site.Site{s, other} {
					assert.NotContains(t, line, fmt.Sprintf("tenant %s:", s.Options["tenant"]))
				}
				assert.NotContains(t, line, server.Address)
			}
		}
	})
}

// TestBalancerBeforeSeveralServers: where connections lead to several servers in turn, the log
// says so, visitors get Odoo's answers, and the cache is not begun anew with each of them. With
// one server it works again.
func TestBalancerBeforeSeveralServers(t *testing.T) {
	one, two := stack.StartServer(t), stack.StartServer(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		mark := site.Log.Mark()
		balancer := stack.NewBalancer(t, one.Address, two.Address)
		s := redisSite(t, load, patientRedis(site.Options{"address": balancer.Address}))
		begin := time.Now()
		var wg sync.WaitGroup
		for i := 0; i < 8; i++ {
			wg.Add(1)
			go func(i int) {
				defer wg.Done()
				for n := 0; time.Since(begin) < 2*time.Second; n++ {
					got, err := site.Send(http.MethodGet, fmt.Sprint(s.URL, "/page-", i, "-", n%10), "", http.Header{})
					assert.NoError(t, err)
					assert.Equal(t, 200, got.Status)
				}
			}(i)
		}
		wg.Wait()
		said := func() int { return len(site.Log.With("connections to Redis lead to several servers in turn", mark)) }
		require.Eventually(t, func() bool { s.Get("/page"); return said() > 0 }, site.WaitFor, site.Tick)
		assert.LessOrEqual(t, len(site.Log.With("its cache begins anew", mark)), 5)
		balancer.Lead(one.Address)
		defer func() { assert.Equal(t, 1, said(), "whatever else is said") }()
		require.Eventually(t, func() bool { return strings.Contains(s.Get("/page").CacheStatus(), "; hit") }, stack.Patience, 100*time.Millisecond)
	})
}
