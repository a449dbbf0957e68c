package steps_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/test/measure"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// The steps of a hit, each as Traefik runs it: interpreted, in a loop that is
// interpreted too (_cache/steps.go).
//
// What a step takes is told in plain functions: as many calls of plain (_cache/steps.go), which
// does what interpreted code does all the time and uses nothing of the cache, take as long,
// measured in between. Both are processor time of this process: what else the
// machine does, and the wait for Redis, are not in it. Plain functions hold on any machine;
// microseconds do not. Allocations are counted, not timed.

// step is a step of a hit and what it may cost.
type step struct {
	scene  string // memory: Redis and the memory tier; redis: without it; sealed: the same, encrypted; odoo: memory with preset odoo
	name   string
	plain  float64 // budget
	allocs float64 // budget
}

// steps has the budgets. A step that exceeds its own is a regression to look into;
// a step that has become cheaper for good gets a smaller one. They are 1.3 times the
// plain functions and 1.1 times the allocations that were measured when they were set, on a machine
// with nothing else to do.
var steps = []step{
	{"memory", "table key", 1.12, 36},
	{"memory", "hot key", 3.16, 129},
	{"memory", "clean", 3.35, 145},
	{"odoo", "filling request", 7.85, 360},
	{"memory", "identify", 2.72, 200},
	{"memory", "identify, new address", 15.6, 760},
	{"odoo", "identify, new address", 27.5, 870},
	{"memory", "rule", 1.77, 140},
	{"odoo", "rule", 12.3, 246},
	{"odoo", "dimensions", 9.32, 283},
	{"odoo", "dimensions of nobody", 3.68, 186},
	{"memory", "key", 3.46, 170},
	{"odoo", "variant", 2.79, 145},
	{"memory", "table", 0.26, 20},
	{"redis", "quick lookup in Redis", 13.0, 315},
	{"redis", "session", 4.64, 214},
	{"redis", "exchange", 18.7, 605},
	{"redis", "lock", 31.8, 690},
	{"redis", "encode", 11.3, 300},
	{"redis", "decode", 9.58, 420},
	{"redis", "storage lookup", 47.9, 1075},
	{"memory", "lookup", 6.40, 340},
	{"redis", "lookup", 64.2, 1350},
	{"memory", "reuse", 1.64, 110},
	{"memory", "deliver", 11.2, 710},
	{"memory", "hit", 11.4, 580},
	{"odoo", "hit", 8.53, 338},
	{"redis", "hit", 33.8, 930},
	{"odoo", "hit without a cookie", 8.79, 336},
	{"odoo", "hit with a session", 8.20, 339},
	{"remote", "hit without a cookie", 28.5, 712},
	{"remote", "hit with a session", 24.3, 715},
	{"memory", "bypass", 18.0, 394},
	{"memory", "miss", 738, 9700},
	{"odoo", "miss", 884, 11300},
	{"redis", "miss", 656, 9600},
	{"memory", "hit, the long way", 80.7, 3400},
	{"odoo", "hit, the long way", 111, 3900},
	{"redis", "hit, the long way", 188, 4300},
	{"sealed", "quick lookup in Redis", 13.0, 315},
	{"sealed", "hit", 35.0, 965},
	{"sealed", "hit, the long way", 196, 4870},
}

// delivers reports whether a step writes the page.
func (s step) delivers() bool {
	return s.name == "deliver" || strings.HasPrefix(s.name, "hit")
}

// stepWriter takes one response after the other.
type stepWriter struct {
	header http.Header
	last   http.Header // of the response before
	bytes  int         // of its body
}

func (w *stepWriter) Header() http.Header { return w.header }
func (w *stepWriter) Write(p []byte) (int, error) {
	w.bytes = len(p)
	return len(p), nil
}

func (w *stepWriter) WriteHeader(int) {
	w.last, w.bytes = w.header, 0
	w.header = make(http.Header, 16)
}

// stepRunner has the scenes in an interpreter.
type stepRunner struct {
	t   testing.TB
	run func(scene, step string, rw http.ResponseWriter, n int) int
	w   *stepWriter
}

var stepInterpreter struct {
	once                sync.Once
	err                 error
	create, set, runner reflect.Value
	ruleName            reflect.Value
}

// loadSteps adds _cache/steps.go to the package cache and has it interpreted.
func loadSteps() error {
	s := &stepInterpreter
	s.once.Do(func() {
		i, err := site.NewInterpreter(func(dir string) error {
			b, err := os.ReadFile(filepath.Join("_cache", "steps.go"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "cache", "steps.go"), b, 0o600)
		})
		if s.err = err; err != nil {
			return
		}
		if _, s.err = i.Eval(`import "github.com/odoocache/odoocache/cache"`); s.err != nil {
			return
		}
		for name, to := range map[string]*reflect.Value{"odoocache.CreateConfig": &s.create, "cache.SetScene": &s.set, "cache.RunStep": &s.runner, "cache.RuleName": &s.ruleName} {
			if *to, s.err = i.Eval(name); s.err != nil {
				return
			}
		}
	})
	return s.err
}

// newStepRunner makes the scenes, with a Redis server of its own.
func newStepRunner(t testing.TB) *stepRunner {
	if site.RaceEnabled {
		t.Skip("the race detector sees the interpreter instead of the plugin")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	require.NoError(t, loadSteps())
	s := &stepRunner{t: t, w: &stepWriter{header: http.Header{}}}
	s.run = stepInterpreter.runner.Interface().(func(string, string, http.ResponseWriter, int) int)
	redis := stack.StartServer(t, "--appendonly", "no")
	body := measure.Captured(t, "product-desk")
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("1", 63)+"7\n"), 0o400))
	for name, o := range map[string]site.Options{
		"memory": {"csrf": site.Options{"mode": "ignore"}, "memory": site.Options{"maxStaleness": "1h"}}, // the purge state is asked for once
		"redis":  {"csrf": site.Options{"mode": "ignore"}, "memory": site.Options{"bytes": "0"}},
		"sealed": {"csrf": site.Options{"mode": "ignore"}, "memory": site.Options{"bytes": "0"}, "encryption": site.Options{"keys": []string{key}}},
		"odoo":   {"preset": "odoo", "memory": site.Options{"maxStaleness": "1h"}},
		"remote": {"preset": "odoo", "memory": site.Options{"bytes": "0", "maxStaleness": "1h"}},
	} {
		o["redis"] = site.Options{"address": redis.Address, "timeout": "5s", "dialTimeout": "5s"}
		o["tenant"], o["earlyRefresh"] = fmt.Sprintf("steps%d", site.Tenants.Add(1)), "false"
		c := stepInterpreter.create.Call(nil)[0]
		require.NoError(t, site.Decode(o, c.Interface()))
		origin := http.Handler(site.Page(body, "X-Odoo-Cache: public, ttl=86400", "Content-Type: text/html; charset=utf-8", "Surrogate-Key: product_9 website_1",
			"X-Content-Type-Options: nosniff", "X-Frame-Options: SAMEORIGIN", "Server: Werkzeug", "Date: "+time.Now().UTC().Format(http.TimeFormat)))
		out := stepInterpreter.set.Call([]reflect.Value{
			reflect.ValueOf(name), c, reflect.ValueOf(&origin).Elem(), reflect.ValueOf(s.w), reflect.ValueOf(site.BrowserRequest("/shop/customizable-desk-9")),
		})
		err, _ := out[0].Interface().(error)
		require.NoError(t, err)
	}
	return s
}

// do makes a step n times, and sees to it that it was that of a hit each time.
func (s *stepRunner) do(c step, n int) {
	done := s.run(c.scene, c.name, s.w, n)
	if done != n {
		require.FailNow(s.t, "not the step of a hit", "%s, %s: %d of %d times", c.scene, c.name, done, n)
	}
	if !c.delivers() {
		return
	}
	require.Contains(s.t, s.w.last.Get("Cache-Status"), "; hit", "%s, %s", c.scene, c.name)
	require.Equal(s.t, s.w.last.Get("Content-Length"), fmt.Sprint(s.w.bytes), "%s, %s", c.scene, c.name)
	require.Greater(s.t, s.w.bytes, 5000, "%s, %s", c.scene, c.name)
}

// time returns how much processor time a step takes, in µs, measured for a while. Go's collector
// runs before: what it takes depends on all that the interpreter holds, and allocations are counted.
func (s *stepRunner) time(c step, atLeast time.Duration) float64 {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for n := 16; ; n *= 2 {
		begin := measure.ProcessorTime()
		s.do(c, n)
		if took := measure.ProcessorTime() - begin; took >= atLeast {
			return float64(took.Nanoseconds()) / 1000 / float64(n)
		}
	}
}

var yardstick = step{scene: "memory", name: "plain"}

// BenchmarkStep measures the steps of a hit inside the interpreter.
func BenchmarkStep(b *testing.B) {
	s := newStepRunner(b)
	for _, c := range steps {
		b.Run(c.scene+"/"+strings.ReplaceAll(c.name, " ", "_"), func(b *testing.B) {
			one := s.time(yardstick, 20*time.Millisecond)
			b.ReportAllocs()
			b.ResetTimer()
			begin := measure.ProcessorTime()
			s.do(c, b.N)
			b.ReportMetric(float64((measure.ProcessorTime()-begin).Nanoseconds())/1000/float64(b.N)/one, "plain/op")
			b.ReportMetric(c.plain, "budget-plain/op")
			b.ReportMetric(c.allocs, "budget-allocs/op")
		})
	}
}

// TestStepTable prints what the steps of a hit take against their budgets, for
// make bench-steps. Of each step it compares the median of some rounds, in what plain takes at least.
func TestStepTable(t *testing.T) {
	site.NeedLong(t, "bench-steps")
	s := newStepRunner(t)
	one := s.time(yardstick, 40*time.Millisecond)
	took := make([][]float64, len(steps))
	for round := 0; round < 7; round++ {
		for i, c := range steps {
			one = math.Min(one, s.time(yardstick, 20*time.Millisecond))
			took[i] = append(took[i], s.time(c, 40*time.Millisecond))
		}
	}
	fmt.Print(stepTable(s, one, took))
}

// encryptionCost is what a hit from Redis takes that is encrypted, in those that are not: the median of
// pairs.
func encryptionCost(s *stepRunner) float64 {
	var ratios []float64
	for i := 0; i < 15; i++ {
		plain := s.time(step{scene: "redis", name: "hit"}, 40*time.Millisecond)
		ratios = append(ratios, s.time(step{scene: "sealed", name: "hit"}, 40*time.Millisecond)/plain)
	}
	return measure.Median(ratios)
}

// stepTable shows what was measured: one is what plain takes.
func stepTable(s *stepRunner, one float64, took [][]float64) string {
	out := fmt.Sprintf("%-8s %-24s %9s %9s %9s %9s %8s %8s\n", "scene", "step", "µs", "plain", "budget", "least", "allocs", "budget")
	for i, c := range steps {
		least, _ := measure.Spread(took[i])
		allocs := s.allocs(c)
		word := ""
		median := measure.Median(took[i])
		if median/one > c.plain || allocs > c.allocs {
			word = "  over budget"
		}
		out += fmt.Sprintf("%-8s %-24s %9.2f %9.2f %9.2f %9.2f %8.0f %8.0f%s\n",
			c.scene, c.name, median, median/one, c.plain, least/one, allocs, c.allocs, word)
	}
	return out + fmt.Sprintf("plain: %.2f µs\nprocessor time of a hit that is encrypted, of one from Redis: %.3f\n", one, encryptionCost(s))
}

// allocs returns how often a step allocates. Now and then something else does, so it is
// the least of some tries.
func (s *stepRunner) allocs(c step) float64 {
	least := -1.0
	for i := 0; i < 3; i++ {
		if n := testing.AllocsPerRun(1, func() { s.do(c, 64) }) / 64; least < 0 || n < least {
			least = n
		}
	}
	return least
}

// TestStepAllocations: no step of a hit allocates more than it may. Allocations do
// not depend on what else the machine does, so a regression fails here.
func TestStepAllocations(t *testing.T) {
	s := newStepRunner(t)
	for _, c := range steps {
		require.LessOrEqual(t, s.allocs(c), c.allocs, "%s, %s", c.scene, c.name)
	}
}

// TestStepsNoticeWhatIsNoHit: a step that does not come to what it comes to in a hit
// is not measured.
func TestStepsNoticeWhatIsNoHit(t *testing.T) {
	s := newStepRunner(t)
	h, err := site.Interpreted(context.Background(), site.Page("x"), site.Options{"tenant": fmt.Sprintf("steps%d", site.Tenants.Add(1))})
	require.NoError(t, err)
	h.ServeHTTP(s.w, site.BrowserRequest("/"))
	require.NotContains(t, s.w.last.Get("Cache-Status"), "; hit")
	require.Zero(t, s.run("memory", "no such step", s.w, 8))
	require.Zero(t, s.run("memory", "quick lookup in Redis", s.w, 8), "there is no Redis")
}

// TestPlanInterpreted: the interpreter finds the same rules of the preset as the
// compiled package, for each example of testdata/odoo/preset.txt.
func TestPlanInterpreted(t *testing.T) {
	newStepRunner(t)
	find := stepInterpreter.ruleName.Interface().(func(scene, method, path, query string) string)
	c := option.Default()
	c.Preset = "odoo"
	s, err := config.Build(c)
	require.NoError(t, err)
	text, err := os.ReadFile(source.Path("testdata", "odoo", "preset.txt"))
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, path := range strings.Split(string(text), "\n") {
		path = strings.TrimPrefix(path, "\t")
		if !strings.HasPrefix(path, "/") {
			continue
		}
		for _, query := range []string{"", "page=2", "debug=1", "de%62ug", "attribute_values=1", "Email=x", "my_name=x", "utm_name=x", "a[email]=x", "firstName=x", "a@b", "max_price=1"} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
				if method != http.MethodGet && query != "" {
					continue
				}
				r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
				want, _ := rule.First(s.Plan, s.Default, method, "shop.example", path, r)
				require.Equal(t, want.Name, find("odoo", method, path, query), "%s %s?%s", method, path, query)
				seen[want.Name] = true
			}
		}
	}
	require.Greater(t, len(seen), 20)
}
