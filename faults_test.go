package odoocache_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The fault suite lets things fail one after the other under the traffic of
// several clients of three tenants, and looks at every answer. FAULTS=1 runs all
// of it, else there is a sample. What it finds, in classes, stands in
// testdata/faults.json, which -update writes; the README's table is held
// against that.
var update = flag.Bool("update", false, "write testdata/faults.json")

// fault is something that fails.
type fault struct {
	name  string
	part  string // redis, traefik, odoo
	begin func(s *scene)
	end   func(s *scene) // nil: begin has said what ends by itself
}

// scene is what one fault has for itself: a Redis server with a proxy in front,
// and the clients of its tenants.
type scene struct {
	t      *testing.T
	p      *traefik
	server *redisServer
	proxy  *faultProxy
	press  *press
	crowd  *shoppers

	stop chan struct{}
	wg   sync.WaitGroup
}

// repeat does something again and again until the fault ends.
func (s *scene) repeat(pause time.Duration, f func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			f()
			select {
			case <-s.stop:
				return
			case <-time.After(pause):
			}
		}
	}()
}

// script has Redis run a script again and again.
func (s *scene) script(text string) {
	s.repeat(50*time.Millisecond, func() { _, _ = s.server.ask(`EVAL "` + text + `" 0`) })
}

// replace is a script that puts a list in the place of all keys that match.
func replace(pattern string) func(s *scene) {
	return func(s *scene) {
		s.script("for _,k in ipairs(redis.call('KEYS','" + pattern + "')) do redis.call('DEL',k) redis.call('LPUSH',k,'x') end")
	}
}

// spoils is a fault of the way between the plugin and Redis.
func spoils(name string, s spoiler) fault {
	return fault{name, "redis", func(sc *scene) { sc.proxy.set(s) }, func(sc *scene) { sc.proxy.set(nil) }}
}

// wrecks is a fault of the origin.
func wrecks(name string, answer http.HandlerFunc) fault {
	return fault{name, "odoo", func(s *scene) { s.press.wreck.Store(&answer) }, func(s *scene) { s.press.wreck.Store(nil) }}
}

// asks are commands that bring a state of the server about, and end it.
func asks(name string, begin, end string) fault {
	all := func(s *scene, commands string) {
		for _, command := range strings.Split(commands, "; ") {
			s.server.must(command)
		}
	}
	return fault{name, "redis", func(s *scene) { all(s, begin) }, func(s *scene) { all(s, end) }}
}

const pluginUser = "plugin on >plugin-pass ~* &* +@all"

// redisFaults are those of Redis and the way there.
func redisFaults() []fault {
	return []fault{
		{"connections refused", "redis", func(s *scene) { s.proxy.refuse() }, func(s *scene) { s.proxy.open() }},
		spoils("answers late, within the timeout", slow(redisTimeout/4)),
		spoils("answers later than the timeout", slow(2*redisTimeout)),
		spoils("answers in small pieces", drip(64, time.Millisecond)),
		spoils("black hole", swallow),
		spoils("falls silent in mid-reply", half(fallSilent)),
		spoils("half-closed in mid-reply", half(halfClose)),
		spoils("reset in mid-reply", half(reset)),
		spoils("two exchanges in three are cut", everyOther()),
		spoils("lengths that lie", lyingLength()),
		spoils("replies without an end", endless()),
		spoils("replies in another order", reordered()),
		spoils("replies of another connection", wrongConnection()),
		spoils("replies of the exchange before", oneBehind()),
		spoils("garbage", says("HTTP/1.1 400 Bad Request\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "+OK", "$-7\r\n", "\r\n")),
		spoils("LOADING", says("-LOADING Redis is loading the dataset in memory\r\n")),
		spoils("NOAUTH", says("-NOAUTH Authentication required.\r\n")),
		asks("WRONGPASS", "ACL SETUSER plugin resetpass >other; CLIENT KILL USER plugin", "ACL SETUSER plugin resetpass >plugin-pass"),
		asks("NOPERM", "ACL SETUSER plugin -@all", "ACL SETUSER plugin +@all"),
		asks("OOM", "CONFIG SET maxmemory-policy noeviction; CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
		asks("READONLY", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
		{"MISCONF", "redis", misconf, func(s *scene) {
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.server.dir, "dump.rdb")))
			saved(s, "ok")
			s.server.must(`CONFIG SET save ""`)
		}},
		{"WRONGTYPE: pages", "redis", replace("oc:*:e:*"), nil},
		{"WRONGTYPE: purges", "redis", replace("oc:*:marks"), nil},
		{"WRONGTYPE: locks", "redis", replace("oc:*:l:*"), nil},
		{"WRONGTYPE: sessions", "redis", replace("oc:*:sessions"), nil},
		{"keys evicted, purges too", "redis", func(s *scene) {
			s.script("for i=1,3 do local k=redis.call('RANDOMKEY') if k then redis.call('DEL',k) end end for _,k in ipairs(redis.call('KEYS','oc:*:marks')) do redis.call('DEL',k) end")
		}, nil},
		{"FLUSHALL", "redis", func(s *scene) {
			s.repeat(400*time.Millisecond, func() { _, _ = s.server.ask("FLUSHALL") })
		}, nil},
		{"CLIENT KILL", "redis", func(s *scene) {
			s.repeat(200*time.Millisecond, func() { _, _ = s.server.ask("CLIENT KILL TYPE normal") })
		}, nil},
		{"killed, started again", "redis", func(s *scene) { s.server.stop() }, func(s *scene) { s.server.start() }},
		{"killed, started again empty", "redis", func(s *scene) { s.server.stop() }, func(s *scene) {
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.server.dir, "appendonlydir")))
			s.server.start()
		}},
		{"replaced by an older copy", "redis", func(s *scene) { s.copyData("appendonlydir", "older") }, func(s *scene) {
			s.server.stop()
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.server.dir, "appendonlydir")))
			s.copyData("older", "appendonlydir")
			s.server.start()
		}},
		{"stopped by a signal", "redis", func(s *scene) { s.signal(syscall.SIGSTOP) }, func(s *scene) { s.signal(syscall.SIGCONT) }},
	}
}

func (s *scene) signal(signal syscall.Signal) {
	require.NoError(s.t, s.server.cmd.Process.Signal(signal))
}

// copyData copies a folder of the server's data.
func (s *scene) copyData(from, to string) {
	files, err := filepath.Glob(filepath.Join(s.server.dir, from, "*"))
	require.NoError(s.t, err)
	require.NoError(s.t, os.MkdirAll(filepath.Join(s.server.dir, to), 0o755))
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(s.t, err)
		require.NoError(s.t, os.WriteFile(filepath.Join(s.server.dir, to, filepath.Base(file)), b, 0o600))
	}
}

// misconf makes the snapshot fail, which stops writes: its place is taken by a
// folder.
func misconf(s *scene) {
	require.NoError(s.t, os.MkdirAll(filepath.Join(s.server.dir, "dump.rdb", "taken"), 0o755))
	s.server.must(`CONFIG SET save "3600 1"`)
	saved(s, "err")
}

// saved takes a snapshot and waits until it has ended so.
func saved(s *scene, how string) {
	s.server.must("BGSAVE")
	require.Eventually(s.t, func() bool {
		b, err := s.server.ask("INFO persistence")
		return err == nil && strings.Contains(string(b), "rdb_last_bgsave_status:"+how)
	}, patience, 10*time.Millisecond)
}

// traefikFaults are storms of reloads: Traefik builds every middleware anew.
func traefikFaults() []fault {
	storm := func(s *scene) {
		n := 0
		s.repeat(100*time.Millisecond, func() {
			n++
			if err := s.p.put("dynamic.yml", s.config(n)); err != nil {
				s.t.Error(err)
			}
		})
	}
	return []fault{
		{"reloads every 100 ms", "traefik", storm, nil},
		{"reloads every 100 ms, and no Redis", "traefik", func(s *scene) { s.proxy.refuse(); storm(s) }, func(s *scene) { s.proxy.open() }},
	}
}

// raw is an origin that sends bytes of its own, then does what it is told to with
// the connection.
func raw(text string, end func(c rawConn)) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		c, _ := hijack(rw)
		defer c.Close()
		if _, err := c.Write([]byte(text)); err == nil && end != nil {
			end(c.(rawConn))
		}
	}
}

type rawConn interface {
	Write(b []byte) (int, error)
	SetLinger(seconds int) error
}

// originFaults are those of the origin. The broken answers say that they may be
// stored.
func originFaults() []fault {
	ok := "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n"
	part := strings.Repeat("part of a page\n", 100)
	huge := func(c rawConn) {
		b := []byte(strings.Repeat("x", 1<<20))
		for i := 0; i < 100; i++ {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	return []fault{
		wrecks("does not answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		wrecks("answers 503", func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "down", http.StatusServiceUnavailable) }),
		wrecks("ends before the header", raw("", nil)),
		wrecks("ends within the header", raw(ok, nil)),
		wrecks("garbage for a header", raw("garbage\r\n\r\n", nil)),
		wrecks("header of 100 MB", raw(ok+"X-Huge: ", huge)),
		wrecks("reset in mid-body", raw(ok+"Content-Length: 5000\r\n\r\n"+part, func(c rawConn) {
			time.Sleep(30 * time.Millisecond) // what was sent arrives before the reset
			_ = c.SetLinger(0)
		})),
		wrecks("stalls in mid-body, then ends", raw(ok+"Content-Length: 5000\r\n\r\n"+part, func(rawConn) { time.Sleep(300 * time.Millisecond) })),
		wrecks("body shorter than Content-Length", raw(ok+"Content-Length: 5000\r\n\r\n"+part, nil)),
		wrecks("body longer than Content-Length", raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"+part, nil)),
		wrecks("chunks without an end", raw(ok+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", nil)),
		wrecks("garbage for chunks", raw(ok+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n\r\n", nil)),
		wrecks("body of 100 MB", raw(ok+"Content-Length: 104857600\r\n\r\n", huge)),
	}
}

func allFaults() []fault {
	return append(append(redisFaults(), traefikFaults()...), originFaults()...)
}

// sample is what runs without FAULTS=1.
var sample = []string{"connections refused", "replies of another connection", "reset in mid-body"}

// outcome is what the suite has measured of one fault.
type outcome struct {
	fault
	before, quiet, purging, after *tally // through the cache
	all                           tally  // of the fault's whole time, through the cache
	bare                          tally  // the same time, past it
	errors, wrong, outdated       int
	example                       string
	purged, kept, unpurged, asked int64
	worstPurge, back              time.Duration
}

// verdict is what the README says of a fault.
type verdict struct {
	Fault    string `json:"fault"`
	Part     string `json:"part"`
	Visitors string `json:"visitors"`
	Purges   string `json:"purges"`
}

// tenantsOf are the tenants of a scene: one with memory, two with Redis alone,
// which share their connections.
var tenantsOf = []string{"one", "two", "three"}

// enoughPurges are sent during each fault, and enoughRequests for pages that are
// stored before them, at least.
const (
	enoughPurges   = 6
	enoughRequests = 20
)

// config is the dynamic configuration of a scene; n makes it another one.
func (s *scene) config(n int) string {
	hosts := map[string]options{bareHost: nil}
	for i, host := range s.crowd.hosts {
		memory := options{"bytes": "0"}
		if i == 0 {
			memory = options{"maxStaleness": "250ms"}
		}
		tenant, _, _ := strings.Cut(host, ".")
		hosts[host] = options{
			"tenant": tenant, "memory": memory, "purge": options{"secret": secret},
			"redis":  options{"address": s.proxy.address, "timeout": redisTimeout.String(), "username": "plugin", "password": "plugin-pass"},
			"limits": options{"variants": fmt.Sprint(16 + n%2)},
		}
	}
	return routed(s.press.url(), hosts)
}

// TestFaults lets things fail.
func TestFaults(t *testing.T) {
	needTraefik(t)
	list := allFaults()
	pr := &press{groups: 5, render: 2 * time.Millisecond, filler: 2000}
	pr.backend = newBackend(t, pr.ServeHTTP)
	p := start(t, routed(pr.url(), map[string]options{bareHost: nil}), "--serversTransport.forwardingTimeouts.responseHeaderTimeout=2s")
	var outcomes []*outcome
	for i, f := range list {
		if os.Getenv("FAULTS") == "" && !contains(sample, f.name) {
			continue
		}
		t.Run(f.part+" "+f.name, func(t *testing.T) {
			o := play(t, p, pr, f, i)
			outcomes = append(outcomes, o)
			o.check(t)
		})
	}
	t.Logf("what failed, and what came of it\n%s", tableOf(outcomes))
	compare(t, outcomes, len(list))
}

// play lets one thing fail.
func play(t *testing.T, p *traefik, pr *press, f fault, i int) *outcome {
	t.Helper()
	server := startRedis(t, append([]string{"--user"}, strings.Fields(pluginUser)...)...)
	s := &scene{t: t, p: p, server: server, proxy: newFaultProxy(t, server.address), press: pr, stop: make(chan struct{})}
	c := &shoppers{p: p, press: pr, bare: bareHost, path: usualPath, pause: 10 * time.Millisecond}
	for _, tenant := range tenantsOf {
		c.hosts = append(c.hosts, fmt.Sprintf("%s%d.example", tenant, i))
	}
	s.crowd = c
	p.write("dynamic.yml", s.config(0))
	p.mark()
	p.inPlace()
	c.warm()
	c.start(6, 2)
	c.purgeEvery(40 * time.Millisecond)
	o := &outcome{fault: f}
	before := c.during(500*time.Millisecond, true)

	onset := c.enter(false)
	own := -p.answered(http.StatusInternalServerError)
	f.begin(s)
	time.Sleep(500 * time.Millisecond)
	quiet := c.during(600*time.Millisecond, false)
	p.until("pages were asked for: "+f.name, func() bool { return quiet.keyed() >= enoughRequests })
	c.purging.Store(true)
	purging := c.during(900*time.Millisecond, false)
	p.until("there were purges: "+f.name, func() bool { return c.purged.Load() >= enoughPurges })
	c.purging.Store(false)
	recovery := c.enter(false)
	close(s.stop)
	s.wg.Wait()
	if f.end != nil {
		f.end(s)
	}
	ended := time.Now()
	p.until("hits are back after: "+f.name, func() bool { return c.hit() })
	o.back = time.Since(ended)
	c.warm()
	after := c.during(500*time.Millisecond, true)
	c.end()

	o.before, o.quiet, o.purging, o.after = &before.cached, &quiet.cached, &purging.cached, &after.cached
	for _, during := range []*phase{onset, quiet, purging, recovery} {
		o.all.add(&during.cached)
		o.bare.add(&during.bare)
	}
	own += p.answered(http.StatusInternalServerError)
	o.judge(before, after, own)
	o.purged, o.kept, o.unpurged, o.asked = c.purged.Load(), c.kept.Load(), c.unpurged.Load(), c.asked.Load()
	o.worstPurge = time.Duration(c.worstPurge.Load())
	return o
}

// judge counts what no one would have got without the cache: while the fault
// lasts, whatever comes past the cache, too, is the origin's own; and so are as many
// answers with status 500 as Traefik's service has given. It gives one where a
// connection that is used again has more than the last response on it, which is a matter
// of a moment and may meet none of those who go past the cache.
func (o *outcome) judge(before, after *phase, own int) {
	count := func(f *tally, allowed map[string]int) {
		errors, wrong, example := f.foreign(allowed)
		o.errors, o.wrong, o.outdated = o.errors+errors, o.wrong+wrong, o.outdated+f.outdated
		for _, e := range []string{example, f.example} {
			if o.example == "" {
				o.example = e
			}
		}
	}
	allowed := map[string]int{}
	for class, n := range o.bare.classes {
		allowed[class] = n
	}
	if failed := "status 500"; o.all.classes[failed]+o.bare.classes[failed] <= own {
		allowed[failed] = own
	}
	count(&o.all, allowed)
	for _, f := range []*tally{&before.cached, &before.bare, &after.cached, &after.bare} {
		count(f, nil)
	}
}

// check holds an outcome against the promises.
func (o *outcome) check(t *testing.T) {
	t.Helper()
	assert.Zero(t, o.errors, "answers that nobody would have got without the cache: %s; without it %v", o.example, o.bare.classes)
	assert.Zero(t, o.wrong, "wrong bodies: %s", o.example)
	assert.Zero(t, o.outdated, "answers from before an acknowledged purge: %s", o.example)
	if o.part != "odoo" { // whose answer to a POST breaks off as well
		assert.Zero(t, o.unpurged, "purges that were answered with neither 200 nor 503")
	}
	assert.Greater(t, ratio(o.before.hits, o.before.keyed), 0.8, "the cache was in use before")
	assert.Greater(t, ratio(o.after.hits, o.after.keyed), 0.5, "and is again")
	// The lookup, the position of purges, and the store may each take redis.timeout.
	assert.Less(t, o.added(1), 3*redisTimeout+slack, "the longest wait, for %s", o.all.slow)
}

// added is how much longer visitors waited than past the cache.
func (o *outcome) added(percentile float64) time.Duration {
	if d := o.all.percentile(percentile) - o.bare.percentile(percentile); d > 0 {
		return d
	}
	return 0
}

// verdict puts what was measured into classes.
func (o *outcome) verdict() verdict {
	v := verdict{Fault: o.name, Part: o.part}
	hits := ratio(o.quiet.hits, o.quiet.keyed)
	switch {
	case o.part == "odoo" && ratio(o.quiet.standIns, o.quiet.stale) > 0.9:
		v.Visitors = "hits go on; stale copies stand in; else as without the cache"
	case o.part == "odoo" && hits > 0.8:
		v.Visitors = "hits go on; else as without the cache"
	case hits > 0.8:
		v.Visitors = "hits go on"
	case hits < 0.15:
		v.Visitors = "Odoo answers"
	default:
		v.Visitors = "fewer hits"
	}
	kept := ratio(int(o.kept), int(o.asked))
	switch {
	case kept > 0.9:
		v.Purges = "kept"
	case kept < 0.1:
		v.Purges = "written"
	default:
		v.Purges = "written or kept"
	}
	return v
}

// tableOf prints outcomes, a line for each.
func tableOf(list []*outcome) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "part\twhat failed\trequests\terrors\twrong\tworst added\tp99 added\thits before/during/after\tpurges sent/kept/lost\tworst purge\tback after\tvisitors; purges")
	for _, o := range list {
		v := o.verdict()
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d ms\t%.1f ms\t%.0f/%.0f/%.0f %%\t%d/%d/%d\t%d ms\t%.1f s\t%s; %s\n",
			o.part, o.name, o.all.requests(), o.errors, o.wrong, o.added(1).Milliseconds(), float64(o.added(0.99).Microseconds())/1000,
			100*ratio(o.before.hits, o.before.keyed), 100*ratio(o.quiet.hits, o.quiet.keyed), 100*ratio(o.after.hits, o.after.keyed),
			o.purged, o.kept, o.outdated, o.worstPurge.Milliseconds(), o.back.Seconds(), v.Visitors, v.Purges)
	}
	_ = w.Flush()
	return b.String()
}

// compare holds what was measured against what is written down, or writes it.
func compare(t *testing.T, list []*outcome, all int) {
	t.Helper()
	verdicts := make([]verdict, 0, len(list))
	for _, o := range list {
		verdicts = append(verdicts, o.verdict())
	}
	if *update {
		require.Len(t, verdicts, all, "only a whole run can be written down: FAULTS=1")
		b, err := json.MarshalIndent(verdicts, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile("testdata/faults.json", append(b, '\n'), 0o600))
		return
	}
	known := map[string]verdict{}
	for _, v := range writtenFaults(t) {
		known[v.Part+v.Fault] = v
	}
	for _, v := range verdicts {
		assert.Equal(t, known[v.Part+v.Fault], v, "testdata/faults.json says otherwise; go test -run '^TestFaults$' -update writes it anew")
	}
}

func writtenFaults(t *testing.T) []verdict {
	t.Helper()
	b, err := os.ReadFile("testdata/faults.json")
	require.NoError(t, err)
	var list []verdict
	require.NoError(t, json.Unmarshal(b, &list))
	return list
}
