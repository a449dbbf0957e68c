package profile_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/measure"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// Where Traefik's processor time goes, by its own profiler: what a request costs in the
// interpreter, in what that calls, in Traefik itself, and for memory.

// The parts of a profile.
const (
	partInterpreter = "interpreter (Yaegi and reflect)"
	partCalled      = "standard library, called by the plugin"
	partGzip        = "gzip"
	partAllocation  = "allocation"
	partCollector   = "garbage collector"
	partKernel      = "kernel: sockets, waking threads"
	partTraefik     = "Traefik and Go's HTTP server"
	partScheduler   = "Go's scheduler and timers"
)

var profileParts = []string{partInterpreter, partCalled, partGzip, partAllocation, partCollector, partKernel, partTraefik, partScheduler}

// partOf returns the part that a stack belongs to. The innermost function comes first.
func partOf(stack []string) string {
	has := func(prefixes ...string) bool {
		for _, f := range stack {
			for _, p := range prefixes {
				if strings.HasPrefix(f, p) {
					return true
				}
			}
		}
		return false
	}
	switch {
	case has("runtime.gcBgMarkWorker", "runtime.gcAssist", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart", "runtime.gcMark", "runtime.deductSweepCredit", "runtime.wbBufFlush"):
		return partCollector
	case has("runtime.mallocgc", "runtime.newobject", "runtime.growslice", "runtime.makeslice"):
		return partAllocation
	case has("compress/"):
		return partGzip
	case has("syscall.", "internal/runtime/syscall", "runtime.futex", "runtime.epoll", "runtime.netpoll", "runtime.usleep", "runtime.write1"):
		return partKernel
	}
	leaf := ""
	for _, f := range stack {
		switch {
		case strings.HasPrefix(f, "github.com/traefik/yaegi/"):
			if leaf == "" {
				return partInterpreter
			}
			return partCalled
		case strings.HasPrefix(f, "github.com/traefik/traefik/"), strings.HasPrefix(f, "net/http"):
			return partTraefik
		case strings.HasPrefix(f, "reflect."), strings.HasPrefix(f, "runtime."), strings.HasPrefix(f, "internal/"), f == "indexbody", strings.HasSuffix(f, "body"):
		default:
			leaf = f
		}
	}
	return partScheduler
}

// shares reads what "go tool pprof -traces" prints and returns what part of the time
// each part has.
func shares(text string) (map[string]float64, error) {
	sums, all := map[string]float64{}, 0.0
	var value float64
	var stack []string
	end := func() {
		if len(stack) > 0 {
			sums[partOf(stack)] += value
			all += value
		}
		stack = nil
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	started := false
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "-----------+") {
			started = true
			end()
			continue
		}
		words := strings.Fields(line)
		if !started || len(words) == 0 || strings.HasSuffix(words[0], ":") { // labels
			continue
		}
		if d, err := time.ParseDuration(words[0]); err == nil && len(words) > 1 {
			value, words = d.Seconds(), words[1:]
		}
		stack = append(stack, words[0])
	}
	end()
	if all == 0 {
		return nil, fmt.Errorf("no samples in %d bytes", len(text))
	}
	for part := range sums {
		sums[part] /= all
	}
	return sums, lines.Err()
}

func TestProfileParts(t *testing.T) {
	for want, stack := range map[string]string{
		partInterpreter: "runtime.memmove reflect.Value.call github.com/traefik/yaegi/interp.call.func9 github.com/traefik/traefik/v3/pkg/x.y",
		partCalled:      "indexbody bytes.Index reflect.Value.call github.com/traefik/yaegi/interp.callBin",
		partTraefik:     "net/textproto.validHeaderFieldByte net/http.(*Transport).RoundTrip net/http/httputil.(*ReverseProxy).ServeHTTP reflect.Value.call github.com/traefik/yaegi/interp.callBin",
		partAllocation:  "runtime.nextFreeFast runtime.mallocgc reflect.New github.com/traefik/yaegi/interp.call",
		partCollector:   "runtime.scanSpan runtime.gcDrain runtime.gcBgMarkWorker.func2",
		partKernel:      "internal/runtime/syscall/linux.Syscall6 syscall.write net.(*conn).Write reflect.Value.call github.com/traefik/yaegi/interp.callBin",
		partGzip:        "compress/flate.matchLen compress/flate.(*compressor).deflate reflect.Value.call github.com/traefik/yaegi/interp.callBin",
		partScheduler:   "runtime.findRunnable runtime.schedule runtime.mcall",
	} {
		require.Equal(t, want, partOf(strings.Fields(stack)))
	}
	got, err := shares("Duration: 1s\n-----------+---\n     30ms   runtime.a\n            runtime.mcall\n-----------+---\n  key:value\n      10ms   compress/flate.x\n-----------+---\n")
	require.NoError(t, err)
	require.Equal(t, map[string]float64{partScheduler: 0.75, partGzip: 0.25}, got)
	_, err = shares("nothing")
	require.Error(t, err)
}

const (
	profileBegin = "<!-- make bench-profile -->\n"
	profileEnd   = "<!-- end of profile -->"
)

// TestProfile measures for make bench-profile.
func TestProfile(t *testing.T) {
	site.NeedLong(t, "bench-profile")
	seconds := site.FromEnv("BENCH_SECONDS", 6)
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Fatal("wrk is missing: apt-get install wrk")
	}
	body := measure.Captured(t, "product-desk")
	redis := stack.StartServer(t, "--appendonly", "no")
	product, trivial := measure.NewAnswer(body), measure.NewAnswer("ok")
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/trivial") {
			trivial.Write(rw)
			return
		}
		if strings.HasPrefix(r.Host, "miss") {
			time.Sleep(20 * time.Millisecond)
		}
		product.Write(rw)
	})
	with := func(tenant string, more site.Options) site.Options {
		o := site.Options{"tenant": tenant, "redis": site.Options{"address": redis.Address, "timeout": "5s", "dialTimeout": "5s"}, "csrf": site.Options{"mode": "ignore"}, "earlyRefresh": "false"}
		for name, value := range more {
			o[name] = value
		}
		return o
	}
	cases := []struct {
		name, host, path string
		options          site.Options
		lines            []string
	}{
		{"Traefik alone", "bare.example", "/product", nil, nil},
		{"hit from memory", "memory.example", "/product", with("memory", nil), nil},
		{"hit from memory, gzip", "memory.example", "/product", with("memory", nil), []string{"Accept-Encoding: gzip"}},
		{"hit from Redis", "redis.example", "/product", with("redis", site.Options{"memory": site.Options{"bytes": "0"}}), nil},
		{"hit from Redis, gzip", "redis.example", "/product", with("redis", site.Options{"memory": site.Options{"bytes": "0"}}), []string{"Accept-Encoding: gzip"}},
		{"Traefik alone, trivial", "bare.example", "/trivial", nil, nil},
		{"bypass, trivial", "bypass.example", "/trivial", with("bypass", site.Options{"rules": []site.Options{{"match": site.Everything, "bypass": "true"}}}), nil},
		{"miss", "miss.example", "/product", with("miss", nil), nil},
	}
	var names []string
	var each []map[string]float64
	var total []float64
	fill := func(url, host string, lines []string) {
		got, err := site.Send(http.MethodGet, url, "", site.Fields(append([]string{"Host: " + host}, lines...)...))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, got.Status)
	}
	only, err := regexp.Compile(os.Getenv("BENCH_CASES"))
	require.NoError(t, err)
	for _, c := range cases { // each in a Traefik of its own
		if !only.MatchString(c.name) {
			continue
		}
		p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{c.host: c.options}), "--api.debug=true")
		args := []string{"-t2", "-c16", fmt.Sprintf("-d%ds", seconds+2), "-H", "Host: " + c.host}
		for _, line := range c.lines {
			args = append(args, "-H", line)
		}
		if c.name == "miss" {
			script := filepath.Join(t.TempDir(), "requests.lua")
			require.NoError(t, os.WriteFile(script, []byte(fmt.Sprintf(measure.Counting, 0, time.Now().UnixNano())), 0o600))
			args = append(args, "-s", script)
		}
		for i := 0; i < 10; i++ {
			fill(p.URL+c.path, c.host, c.lines)
		}
		done := make(chan []byte)
		before := p.CPU()
		go func() {
			out, _ := exec.Command("wrk", append(args, p.URL+c.path)...).CombinedOutput()
			done <- out
		}()
		time.Sleep(time.Second)
		got, err := site.Send(http.MethodGet, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", p.API, seconds), "", http.Header{})
		require.NoError(t, err)
		require.Equal(t, 200, got.Status)
		out := <-done
		used := p.CPU() - before
		require.NotRegexp(t, measure.WrkErrors, string(out), c.name)
		count := measure.WrkRequests.FindSubmatch(out)
		require.NotNil(t, count, "%s", out)
		requests, _ := strconv.ParseFloat(string(count[1]), 64)
		file := filepath.Join(t.TempDir(), "profile")
		require.NoError(t, os.WriteFile(file, []byte(got.Body), 0o600))
		text, err := exec.Command("go", "tool", "pprof", "-traces", file).Output()
		require.NoError(t, err)
		s, err := shares(string(text))
		require.NoError(t, err)
		names, each, total = append(names, c.name), append(each, s), append(total, 1000*used/requests)
		p.Stop()
	}
	table := "\n| µs of Traefik's processor time a request | " + strings.Join(names, " | ") + " |\n| ---" + strings.Repeat(" | ---", len(names)) + " |\n"
	for _, part := range profileParts {
		table += "| " + part
		for i := range names {
			table += fmt.Sprintf(" | %.0f", each[i][part]*total[i])
		}
		table += " |\n"
	}
	table += "| all"
	for i := range names {
		table += fmt.Sprintf(" | %.0f", total[i])
	}
	table += " |\n\n"
	fmt.Print(table)
	if len(names) < len(cases) {
		return
	}
	path := source.Path(measure.Folder, measure.ProfileFile)
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	page, err := measure.Into(string(old), profileBegin, profileEnd, table)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(page), 0o644))
}
