package faults_test

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

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
	"github.com/odoocache/odoocache/test/traffic"
)

// The fault suite lets things fail one after the other under the traffic of
// several clients of three tenants, and looks at every answer. LONG=1 runs all
// of it, else there is a sample. What it finds, in classes, stands in
// testdata/faults.json, which -update writes; the table in docs/failures.md is held
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
	p      *stack.Traefik
	server *stack.RedisServer
	proxy  *stack.FaultProxy
	press  *traffic.Press
	crowd  *traffic.Shoppers

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
	s.repeat(50*time.Millisecond, func() { _, _ = s.server.Ask(`EVAL "` + text + `" 0`) })
}

// replace is a script that puts a list in the place of all keys that match.
func replace(pattern string) func(s *scene) {
	return func(s *scene) {
		s.script("for _,k in ipairs(redis.call('KEYS','" + pattern + "')) do redis.call('DEL',k) redis.call('LPUSH',k,'x') end")
	}
}

// spoils is a fault of the way between the plugin and Redis.
func spoils(name string, s stack.Spoiler) fault {
	return fault{name, "redis", func(sc *scene) { sc.proxy.Set(s) }, func(sc *scene) { sc.proxy.Set(nil) }}
}

// wrecks is a fault of the origin.
func wrecks(name string, answer http.HandlerFunc) fault {
	return fault{name, "odoo", func(s *scene) { s.press.Wreck.Store(&answer) }, func(s *scene) { s.press.Wreck.Store(nil) }}
}

// asks are commands that bring a state of the server about, and end it.
func asks(name string, begin, end string) fault {
	all := func(s *scene, commands string) {
		for _, command := range strings.Split(commands, "; ") {
			s.server.Must(command)
		}
	}
	return fault{name, "redis", func(s *scene) { all(s, begin) }, func(s *scene) { all(s, end) }}
}

const pluginUser = "plugin on >plugin-pass ~* &* +@all"

// redisFaults are those of Redis and the way there.
func redisFaults() []fault {
	return []fault{
		{"connections refused", "redis", func(s *scene) { s.proxy.Refuse() }, func(s *scene) { s.proxy.Open() }},
		spoils("answers late, within the timeout", stack.Slow(stack.RedisTimeout/4)),
		spoils("answers later than the timeout", stack.Slow(2*stack.RedisTimeout)),
		spoils("answers in small pieces", stack.Drip(64, time.Millisecond)),
		spoils("black hole", stack.Swallow),
		spoils("falls silent in mid-reply", stack.Half(stack.FallSilent)),
		spoils("half-closed in mid-reply", stack.Half(stack.HalfClose)),
		spoils("reset in mid-reply", stack.Half(stack.Reset)),
		spoils("two exchanges in three are cut", stack.EveryOther()),
		spoils("lengths that lie", stack.LyingLength()),
		spoils("replies without an end", stack.Endless()),
		spoils("replies in another order", stack.Reordered()),
		spoils("replies of another connection", stack.WrongConnection()),
		spoils("replies of the exchange before", stack.OneBehind()),
		spoils("garbage", stack.Says("HTTP/1.1 400 Bad Request\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "+OK", "$-7\r\n", "\r\n")),
		spoils("LOADING", stack.Says("-LOADING Redis is loading the dataset in memory\r\n")),
		spoils("NOAUTH", stack.Says("-NOAUTH Authentication required.\r\n")),
		asks("WRONGPASS", "ACL SETUSER plugin resetpass >other; CLIENT KILL USER plugin", "ACL SETUSER plugin resetpass >plugin-pass"),
		asks("NOPERM", "ACL SETUSER plugin -@all", "ACL SETUSER plugin +@all"),
		asks("OOM", "CONFIG SET maxmemory-policy noeviction; CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
		asks("READONLY", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
		{"MISCONF", "redis", misconf, func(s *scene) {
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.server.Dir, "dump.rdb")))
			saved(s, "ok")
			s.server.Must(`CONFIG SET save ""`)
		}},
		{"WRONGTYPE: pages", "redis", replace("oc:*:e:*"), nil},
		{"WRONGTYPE: purges", "redis", replace("oc:*:marks"), nil},
		{"WRONGTYPE: locks", "redis", replace("oc:*:l:*"), nil},
		{"WRONGTYPE: sessions", "redis", replace("oc:*:sessions"), nil},
		{"keys evicted, purges too", "redis", func(s *scene) {
			s.script("for i=1,3 do local k=redis.call('RANDOMKEY') if k then redis.call('DEL',k) end end for _,k in ipairs(redis.call('KEYS','oc:*:marks')) do redis.call('DEL',k) end")
		}, nil},
		{"FLUSHALL", "redis", func(s *scene) {
			s.repeat(400*time.Millisecond, func() { _, _ = s.server.Ask("FLUSHALL") })
		}, nil},
		{"CLIENT KILL", "redis", func(s *scene) {
			s.repeat(200*time.Millisecond, func() { _, _ = s.server.Ask("CLIENT KILL TYPE normal") })
		}, nil},
		{"killed, started again", "redis", func(s *scene) { s.server.Stop() }, func(s *scene) { s.server.Start() }},
		{"killed, started again empty", "redis", func(s *scene) { s.server.Stop() }, func(s *scene) {
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.server.Dir, "appendonlydir")))
			s.server.Start()
		}},
		{"replaced by an older copy", "redis", func(s *scene) { s.copyData("appendonlydir", "older") }, func(s *scene) {
			s.server.Stop()
			require.NoError(s.t, os.RemoveAll(filepath.Join(s.server.Dir, "appendonlydir")))
			s.copyData("older", "appendonlydir")
			s.server.Start()
		}},
		{"stopped by a signal", "redis", func(s *scene) { s.signal(syscall.SIGSTOP) }, func(s *scene) { s.signal(syscall.SIGCONT) }},
	}
}

func (s *scene) signal(signal syscall.Signal) {
	require.NoError(s.t, s.server.Cmd.Process.Signal(signal))
}

// copyData copies a folder of the server's data.
func (s *scene) copyData(from, to string) {
	files, err := filepath.Glob(filepath.Join(s.server.Dir, from, "*"))
	require.NoError(s.t, err)
	require.NoError(s.t, os.MkdirAll(filepath.Join(s.server.Dir, to), 0o755))
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(s.t, err)
		require.NoError(s.t, os.WriteFile(filepath.Join(s.server.Dir, to, filepath.Base(file)), b, 0o600))
	}
}

// misconf makes the snapshot fail, which stops writes: its place is taken by a
// folder.
func misconf(s *scene) {
	require.NoError(s.t, os.MkdirAll(filepath.Join(s.server.Dir, "dump.rdb", "taken"), 0o755))
	s.server.Must(`CONFIG SET save "3600 1"`)
	saved(s, "err")
}

// saved takes a snapshot and waits until it has ended so.
func saved(s *scene, how string) {
	s.server.Must("BGSAVE")
	require.Eventually(s.t, func() bool {
		b, err := s.server.Ask("INFO persistence")
		return err == nil && strings.Contains(string(b), "rdb_last_bgsave_status:"+how)
	}, stack.Patience, 10*time.Millisecond)
}

// traefikFaults are storms of reloads: Traefik builds every middleware anew.
func traefikFaults() []fault {
	storm := func(s *scene) {
		n := 0
		s.repeat(100*time.Millisecond, func() {
			n++
			if err := s.p.Put("dynamic.yml", s.config(n)); err != nil {
				s.t.Error(err)
			}
		})
	}
	return []fault{
		{"reloads every 100 ms", "traefik", storm, nil},
		{"reloads every 100 ms, and no Redis", "traefik", func(s *scene) { s.proxy.Refuse(); storm(s) }, func(s *scene) { s.proxy.Open() }},
	}
}

// raw is an origin that sends bytes of its own, then does what it is told to with
// the connection.
func raw(text string, end func(c rawConn)) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		c, _ := site.Hijack(rw)
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

// sample is what runs without LONG=1.
var sample = []string{"connections refused", "replies of another connection", "reset in mid-body"}

// outcome is what the suite has measured of one fault.
type outcome struct {
	fault
	before, quiet, purging, after *traffic.Tally // through the cache
	all                           traffic.Tally  // of the fault's whole time, through the cache
	bare                          traffic.Tally  // the same time, past it
	errors, wrong, outdated       int
	example                       string
	purged, kept, unpurged, asked int64
	worstPurge, back              time.Duration
}

// verdict is what docs/failures.md says of a fault.
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
	hosts := map[string]site.Options{traffic.BareHost: nil}
	for i, host := range s.crowd.Hosts {
		memory := site.Options{"bytes": "0"}
		if i == 0 {
			memory = site.Options{"maxStaleness": "250ms"}
		}
		tenant, _, _ := strings.Cut(host, ".")
		hosts[host] = site.Options{
			"tenant": tenant, "memory": memory, "purge": site.Options{"secret": site.Secret},
			"redis":  site.Options{"address": s.proxy.Address, "timeout": stack.RedisTimeout.String(), "username": "plugin", "password": "plugin-pass"},
			"limits": site.Options{"variants": fmt.Sprint(16 + n%2)},
		}
	}
	return stack.Routed(s.press.URL(), hosts)
}

// TestFaults lets things fail.
func TestFaults(t *testing.T) {
	stack.NeedTraefik(t)
	list := allFaults()
	pr := &traffic.Press{Groups: 5, Render: 2 * time.Millisecond, Filler: 2000}
	pr.Backend = stack.NewBackend(t, pr.ServeHTTP)
	p := stack.StartTraefik(t, stack.Routed(pr.URL(), map[string]site.Options{traffic.BareHost: nil}), "--serversTransport.forwardingTimeouts.responseHeaderTimeout=2s")
	var outcomes []*outcome
	for i, f := range list {
		if !site.Long() && !site.Contains(sample, f.name) {
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
func play(t *testing.T, p *stack.Traefik, pr *traffic.Press, f fault, i int) *outcome {
	t.Helper()
	server := stack.StartRedis(t, append([]string{"--user"}, strings.Fields(pluginUser)...)...)
	s := &scene{t: t, p: p, server: server, proxy: stack.NewFaultProxy(t, server.Address), press: pr, stop: make(chan struct{})}
	c := &traffic.Shoppers{Traefik: p, Press: pr, Bare: traffic.BareHost, Path: traffic.UsualPath, Pause: 10 * time.Millisecond}
	for _, tenant := range tenantsOf {
		c.Hosts = append(c.Hosts, fmt.Sprintf("%s%d.example", tenant, i))
	}
	s.crowd = c
	p.Write("dynamic.yml", s.config(0))
	p.Mark()
	p.InPlace()
	c.Warm()
	c.Start(6, 2)
	c.PurgeEvery(40 * time.Millisecond)
	o := &outcome{fault: f}
	before := c.During(500*time.Millisecond, true)

	onset := c.Enter(false)
	own := -p.Answered(http.StatusInternalServerError)
	f.begin(s)
	time.Sleep(500 * time.Millisecond)
	quiet := c.During(600*time.Millisecond, false)
	p.Until("pages were asked for: "+f.name, func() bool { return quiet.Keyed() >= enoughRequests })
	c.Purging.Store(true)
	purging := c.During(900*time.Millisecond, false)
	p.Until("there were purges: "+f.name, func() bool { return c.Purged.Load() >= enoughPurges })
	c.Purging.Store(false)
	recovery := c.Enter(false)
	close(s.stop)
	s.wg.Wait()
	if f.end != nil {
		f.end(s)
	}
	ended := time.Now()
	p.Until("hits are back after: "+f.name, func() bool { return c.Hit() })
	o.back = time.Since(ended)
	c.Warm()
	after := c.During(500*time.Millisecond, true)
	c.End()

	o.before, o.quiet, o.purging, o.after = &before.Cached, &quiet.Cached, &purging.Cached, &after.Cached
	for _, during := range []*traffic.Phase{onset, quiet, purging, recovery} {
		o.all.Add(&during.Cached)
		o.bare.Add(&during.Bare)
	}
	own += p.Answered(http.StatusInternalServerError)
	o.judge(before, after, own)
	o.purged, o.kept, o.unpurged, o.asked = c.Purged.Load(), c.Kept.Load(), c.Unpurged.Load(), c.Asked.Load()
	o.worstPurge = time.Duration(c.WorstPurge.Load())
	return o
}

// judge counts what no one would have got without the cache: while the fault
// lasts, whatever comes past the cache, too, is the origin's own; and so are as many
// answers with status 500 as Traefik's service has given. It gives one where a
// connection that is used again has more than the last response on it, which is a matter
// of a moment and may meet none of those who go past the cache.
func (o *outcome) judge(before, after *traffic.Phase, own int) {
	count := func(f *traffic.Tally, allowed map[string]int) {
		errors, wrong, example := f.Foreign(allowed)
		o.errors, o.wrong, o.outdated = o.errors+errors, o.wrong+wrong, o.outdated+f.Outdated
		for _, e := range []string{example, f.Example} {
			if o.example == "" {
				o.example = e
			}
		}
	}
	allowed := map[string]int{}
	for class, n := range o.bare.Classes {
		allowed[class] = n
	}
	if failed := "status 500"; o.all.Classes[failed]+o.bare.Classes[failed] <= own {
		allowed[failed] = own
	}
	count(&o.all, allowed)
	for _, f := range []*traffic.Tally{&before.Cached, &before.Bare, &after.Cached, &after.Bare} {
		count(f, nil)
	}
}

// check holds an outcome against the promises.
func (o *outcome) check(t *testing.T) {
	t.Helper()
	assert.Zero(t, o.errors, "answers that nobody would have got without the cache: %s; without it %v", o.example, o.bare.Classes)
	assert.Zero(t, o.wrong, "wrong bodies: %s", o.example)
	assert.Zero(t, o.outdated, "answers from before an acknowledged purge: %s", o.example)
	if o.part != "odoo" { // whose answer to a POST breaks off as well
		assert.Zero(t, o.unpurged, "purges that were answered with neither 200 nor 503")
	}
	assert.Greater(t, traffic.Ratio(o.before.Hits, o.before.Keyed), 0.8, "the cache was in use before")
	assert.Greater(t, traffic.Ratio(o.after.Hits, o.after.Keyed), 0.5, "and is again")
	// The lookup, the position of purges, and the store may each take redis.timeout.
	assert.Less(t, o.added(1), 3*stack.RedisTimeout+stack.Slack, "the longest wait, for %s", o.all.Slow)
}

// added is how much longer visitors waited than past the cache.
func (o *outcome) added(percentile float64) time.Duration {
	if d := o.all.Percentile(percentile) - o.bare.Percentile(percentile); d > 0 {
		return d
	}
	return 0
}

// verdict puts what was measured into classes.
func (o *outcome) verdict() verdict {
	v := verdict{Fault: o.name, Part: o.part}
	hits := traffic.Ratio(o.quiet.Hits, o.quiet.Keyed)
	switch {
	case o.part == "odoo" && traffic.Ratio(o.quiet.StandIns, o.quiet.Stale) > 0.9:
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
	kept := traffic.Ratio(int(o.kept), int(o.asked))
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
			o.part, o.name, o.all.Requests(), o.errors, o.wrong, o.added(1).Milliseconds(), float64(o.added(0.99).Microseconds())/1000,
			100*traffic.Ratio(o.before.Hits, o.before.Keyed), 100*traffic.Ratio(o.quiet.Hits, o.quiet.Keyed), 100*traffic.Ratio(o.after.Hits, o.after.Keyed),
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
		require.Len(t, verdicts, all, "only a whole run can be written down: LONG=1")
		b, err := json.MarshalIndent(verdicts, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(source.Path("testdata", "faults.json"), append(b, '\n'), 0o600))
		return
	}
	known := map[string]verdict{}
	for _, v := range writtenFaults(t) {
		known[v.Part+v.Fault] = v
	}
	for _, v := range verdicts {
		assert.Equal(t, known[v.Part+v.Fault], v, "testdata/faults.json says otherwise; LONG=1 go test ./test/faults -update writes it anew")
	}
}

func writtenFaults(t *testing.T) []verdict {
	t.Helper()
	b, err := os.ReadFile(source.Path("testdata", "faults.json"))
	require.NoError(t, err)
	var list []verdict
	require.NoError(t, json.Unmarshal(b, &list))
	return list
}
