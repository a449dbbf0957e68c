package traefik_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// group is a master with a replica, and three sentinels that watch them.
type group struct {
	t         *testing.T
	master    *stack.RedisServer
	replica   *stack.RedisServer
	sentinels []string
}

func startGroup(t *testing.T) *group {
	t.Helper()
	g := &group{t: t, master: stack.StartServer(t)}
	host, port, _ := net.SplitHostPort(g.master.Address)
	g.replica = stack.StartServer(t, "--replicaof", host, port)
	require.Eventually(t, func() bool {
		return strings.Contains(g.replica.Must("ROLE"), "connected")
	}, stack.Patience, site.Tick, "the replica follows")
	for i := 0; i < 3; i++ {
		s := stack.StartSentinel(t, "sentinel monitor shop "+host+" "+port+" 2", "sentinel down-after-milliseconds shop 500", "sentinel failover-timeout shop 3000")
		g.sentinels = append(g.sentinels, s.Address)
		require.Eventually(t, func() bool { return strings.Contains(s.Must("SENTINEL get-master-addr-by-name shop"), port) }, stack.Patience, site.Tick)
	}
	for _, address := range g.sentinels {
		s := &stack.RedisServer{T: t, Address: address}
		require.Eventually(t, func() bool {
			fields := strings.Split(s.Must("SENTINEL master shop"), "\n")
			others, slaves := "", ""
			for i := 0; i+1 < len(fields); i += 2 {
				switch fields[i] {
				case "num-other-sentinels":
					others = fields[i+1]
				case "num-slaves":
					slaves = fields[i+1]
				}
			}
			return others == "2" && slaves == "1"
		}, stack.Patience, 20*time.Millisecond, "the sentinels know each other and the replica")
	}
	return g
}

// visitors ask for pages until they are stopped, and check that each is the right one and
// not older than the last purge that was acknowledged.
type visitors struct {
	t       *testing.T
	p       *stack.Traefik
	hosts   []string
	stop    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
	version []atomic.Int64 // by host: what the origin answers with
	floor   []atomic.Int64 // by host: what has been purged up to
	sent    atomic.Int64
	hits    atomic.Int64
}

func newVisitors(t *testing.T, hosts ...string) *visitors {
	return &visitors{t: t, hosts: hosts, stop: make(chan struct{}), version: make([]atomic.Int64, len(hosts)), floor: make([]atomic.Int64, len(hosts))}
}

func (l *visitors) origin(rw http.ResponseWriter, r *http.Request) {
	for i, host := range l.hosts {
		if r.Host == host {
			site.Page(fmt.Sprintf("%s%s %d", r.Host, r.URL.Path, l.version[i].Load()), "Cache-Control: max-age=600")(rw, r)
		}
	}
}

func (l *visitors) run(p *stack.Traefik) {
	l.p = p
	l.t.Cleanup(l.end)
	for c := 0; c < 8; c++ {
		l.wg.Add(1)
		go func(c int) {
			defer l.wg.Done()
			for n := c; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				l.one(n%len(l.hosts), n%20)
				time.Sleep(5 * time.Millisecond)
			}
		}(c)
	}
}

func (l *visitors) one(host, n int) {
	path := fmt.Sprintf("/page-%d", n)
	least := l.floor[host].Load()
	got, err := site.Send(http.MethodGet, l.p.URL+path, "", site.Fields("Host: "+l.hosts[host]))
	if !assert.NoError(l.t, err) || !assert.Equal(l.t, 200, got.Status, got.Body) {
		return
	}
	var version int64
	_, err = fmt.Sscanf(got.Body, l.hosts[host]+path+" %d", &version)
	assert.NoError(l.t, err, got.Body)
	assert.GreaterOrEqual(l.t, version, least, "%s: older than a purge that was acknowledged", got.CacheStatus())
	l.sent.Add(1)
	if strings.Contains(got.CacheStatus(), "; hit") {
		l.hits.Add(1)
	}
}

func (l *visitors) do(method, path, body string, host int) site.Reply {
	l.t.Helper()
	got, err := site.Send(method, l.p.URL+path, body, site.Fields("Host: "+l.hosts[host]))
	require.NoError(l.t, err)
	return got
}

// purge changes a host's pages and purges them. Whether the storage took it or it
// is kept, this process answers with nothing older from then on.
func (l *visitors) purge(host int) {
	version := l.version[host].Add(1)
	got := l.do("PURGE", "/.odoocache/purge", `{"all":true}`, host)
	assert.Contains(l.t, []int{200, 503}, got.Status, got.Body)
	l.floor[host].Store(version)
}

// hitsAgain waits for a hit of a host.
func (l *visitors) hitsAgain(host int) {
	l.t.Helper()
	last := ""
	for until := time.Now().Add(stack.Patience); !strings.Contains(last, "; hit"); time.Sleep(50 * time.Millisecond) {
		got := l.do(http.MethodGet, "/page-1", "", host)
		last = got.CacheStatus()
		require.True(l.t, time.Now().Before(until), "no hits for %s: %s", l.hosts[host], last)
	}
}

func (l *visitors) end() {
	l.once.Do(func() {
		close(l.stop)
		l.wg.Wait()
		l.t.Logf("%d requests, %d hits", l.sent.Load(), l.hits.Load())
	})
}

// shared are the options of a tenant with some Redis.
func shared(tenant string, redis site.Options) site.Options {
	redis["timeout"], redis["dialTimeout"] = "500ms", "500ms"
	return site.Options{"tenant": tenant, "redis": redis, "memory": site.Options{"bytes": "0"}, "purge": site.Options{"networks": []string{"127.0.0.1"}}}
}

// TestTraefikSentinel kills the master under load.
func TestTraefikSentinel(t *testing.T) {
	stack.NeedTraefik(t)
	g := startGroup(t)
	l := newVisitors(t, "shop.example")
	origin := stack.NewBackend(t, l.origin)
	nobody := stack.FreeAddress(t) // a sentinel that is down
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{
		"shop.example": shared("shop", site.Options{"sentinel": site.Options{"master": "shop", "addresses": append([]string{nobody}, g.sentinels...)}}),
	}))
	l.run(p)
	l.hitsAgain(0)
	l.purge(0)
	l.hitsAgain(0)
	require.NotEmpty(t, g.master.Entries("shop"))
	g.master.Stop()
	l.purge(0) // while there is no master
	require.Eventually(t, func() bool { return strings.HasPrefix(g.replica.Must("ROLE"), "master") }, stack.Patience, 20*time.Millisecond)
	l.hitsAgain(0)
	require.NotEmpty(t, g.replica.Entries("shop"))
	l.purge(0)
	l.hitsAgain(0)
	l.end()
	assert.Contains(t, p.Get("/.odoocache/status").Body, `"pendingPurges":0`)
}

// cluster are three nodes of a Redis Cluster.
type cluster struct {
	t     *testing.T
	nodes []*stack.RedisServer
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := 0; i < 3; i++ {
		c.nodes = append(c.nodes, stack.StartServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"))
	}
	for i, node := range c.nodes {
		from, to := i*5462, i*5462+5461
		if to > 16383 {
			to = 16383
		}
		slots := ""
		for s := from; s <= to; s++ {
			slots += fmt.Sprint(" ", s)
		}
		node.Must("CLUSTER ADDSLOTS" + slots)
		host, port, _ := net.SplitHostPort(c.nodes[0].Address)
		node.Must("CLUSTER MEET " + host + " " + port)
	}
	for _, node := range c.nodes {
		require.Eventually(t, func() bool {
			info := node.Must("CLUSTER INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		}, stack.Patience, 20*time.Millisecond, "the nodes know each other")
	}
	return c
}

// owner returns the node that has a tenant's keys.
func (c *cluster) owner(tenant string) int {
	slot := c.nodes[0].Must("CLUSTER KEYSLOT oc:{" + tenant + "}:marks")
	for i, node := range c.nodes {
		answer, err := node.Ask("ZCARD oc:{" + tenant + "}:marks")
		if err == nil && !strings.HasPrefix(string(answer), "MOVED") && !strings.HasPrefix(string(answer), "CLUSTERDOWN") {
			return i
		}
	}
	require.Fail(c.t, "nobody has slot "+slot)
	return 0
}

// migrate moves a tenant's slot to another node, key by key.
func (c *cluster) migrate(tenant string, to int) {
	from := c.owner(tenant)
	slot := c.nodes[0].Must("CLUSTER KEYSLOT oc:{" + tenant + "}:marks")
	id := func(i int) string { return c.nodes[i].Must("CLUSTER MYID") }
	c.nodes[to].Must("CLUSTER SETSLOT " + slot + " IMPORTING " + id(from))
	c.nodes[from].Must("CLUSTER SETSLOT " + slot + " MIGRATING " + id(to))
	host, port, _ := net.SplitHostPort(c.nodes[to].Address)
	for {
		keys := strings.Fields(c.nodes[from].Must("CLUSTER GETKEYSINSLOT " + slot + " 3"))
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			c.nodes[from].Must("MIGRATE " + host + " " + port + " " + key + " 0 5000")
		}
		time.Sleep(20 * time.Millisecond) // so that many requests meet a slot that is on its way
	}
	for _, node := range c.nodes {
		node.Must("CLUSTER SETSLOT " + slot + " NODE " + id(to))
	}
}

// TestTraefikCluster moves a tenant to another node and kills one, under load.
func TestTraefikCluster(t *testing.T) {
	stack.NeedTraefik(t)
	c := startCluster(t)
	hosts := []string{"one.example", "two.example", "three.example"}
	l := newVisitors(t, hosts...)
	origin := stack.NewBackend(t, l.origin)
	configs := map[string]site.Options{}
	var seeds []string
	for i := len(c.nodes) - 1; i >= 0; i-- {
		seeds = append(seeds, c.nodes[i].Address)
	}
	for _, host := range hosts {
		configs[host] = shared(strings.TrimSuffix(host, ".example"), site.Options{"cluster": site.Options{"addresses": seeds}})
	}
	p := stack.StartTraefik(t, stack.Routed(origin.URL, configs))
	l.run(p)
	nodes := map[int]bool{}
	for i := range hosts {
		l.hitsAgain(i)
		nodes[c.owner(strings.TrimSuffix(hosts[i], ".example"))] = true
	}
	require.Greater(t, len(nodes), 1, "the tenants are on several nodes")
	from := c.owner("one")
	c.migrate("one", (from+1)%3)
	require.Equal(t, (from+1)%3, c.owner("one"))
	l.purge(0)
	l.hitsAgain(0)

	down := c.owner("two")
	c.nodes[down].Stop()
	for i, host := range hosts {
		l.purge(i)
		if c.up(host, down) {
			l.hitsAgain(i)
		} else {
			assert.NotContains(t, l.do(http.MethodGet, "/page-1", "", i).CacheStatus(), "; hit")
		}
	}
	c.nodes[down].Start()
	for i := range hosts {
		l.hitsAgain(i)
	}
	l.end()
}

// up reports whether another node than the one that is down has a host's tenant.
func (c *cluster) up(host string, down int) bool {
	tenant := strings.TrimSuffix(host, ".example")
	for i, node := range c.nodes {
		if i == down {
			continue
		}
		answer, err := node.Ask("ZCARD oc:{" + tenant + "}:marks")
		if err == nil && !strings.HasPrefix(string(answer), "MOVED") && !strings.HasPrefix(string(answer), "CLUSTERDOWN") {
			return true
		}
	}
	return false
}
