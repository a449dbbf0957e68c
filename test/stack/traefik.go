// Package stack starts what the plugin works with: Traefik processes, Redis servers,
// origins, and a proxy that lets Redis fail.
package stack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
)

// The end-to-end tests run the plugin where it runs in production: in a Traefik
// process, in front of an origin, with a Redis server beside it. TRAEFIK names
// the binary, which test/stack/traefik/build makes.

// Patience is how long a poll waits for something that has to happen.
const Patience = 20 * time.Second

// HasTraefik reports whether a test may start Traefik processes: TRAEFIK names the
// binary, and -short is not given.
func HasTraefik() bool {
	return !testing.Short() && os.Getenv("TRAEFIK") != ""
}

// NeedTraefik returns the path of the Traefik binary, and skips a test where there is
// none.
func NeedTraefik(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Traefik process; not run with -short")
	}
	binary := os.Getenv("TRAEFIK")
	if binary == "" {
		t.Skip("TRAEFIK names no binary; make traefik builds one and prints its path")
	}
	if !filepath.IsAbs(binary) {
		binary = source.Path(binary)
	}
	return binary
}

// Traefik is a Traefik process that interprets the plugin.
type Traefik struct {
	T    *testing.T
	URL  string // plain HTTP
	TLS  string // HTTP/2 over TLS
	API  string // API, metrics
	dir  string
	Cmd  *exec.Cmd
	done chan struct{}

	mu       sync.Mutex
	revision int
}

// StartTraefik runs a Traefik process with a dynamic configuration (YAML, and so JSON)
// and waits until it is in place. More flags may be given.
func StartTraefik(t *testing.T, dynamic string, flags ...string) *Traefik {
	t.Helper()
	return StartEdited(t, nil, dynamic, flags...)
}

// StartEdited is StartTraefik with an edited copy of the plugin's source, if edit is
// not nil: it is given the folder.
func StartEdited(t *testing.T, edit func(dir string), dynamic string, flags ...string) *Traefik {
	t.Helper()
	binary := NeedTraefik(t)
	p := &Traefik{T: t, dir: t.TempDir(), done: make(chan struct{})}
	plugin := filepath.Join(p.dir, "plugins-local", "src", "github.com", "odoocache", "odoocache")
	require.NoError(t, source.Copy(plugin))
	if edit != nil {
		edit(plugin)
	}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "dynamic"), 0o755))
	web, secure, api := FreeAddress(t), FreeAddress(t), FreeAddress(t)
	p.URL, p.TLS, p.API = "http://"+web, "https://"+secure, "http://"+api
	args := append([]string{
		"--global.checkNewVersion=false", "--global.sendAnonymousUsage=false",
		"--log.level=ERROR", "--log.noColor=true",
		"--entryPoints.web.address=" + web,
		"--entryPoints.secure.address=" + secure, "--entryPoints.secure.http.tls=true",
		"--entryPoints.traefik.address=" + api,
		"--api.insecure=true", "--metrics.prometheus=true", "--ping=true",
		"--providers.file.directory=" + filepath.Join(p.dir, "dynamic"), "--providers.file.watch=true",
		"--providers.providersThrottleDuration=50ms",
		"--experimental.localPlugins.odoocache.moduleName=github.com/odoocache/odoocache",
	}, flags...)
	output, err := os.Create(filepath.Join(p.dir, "log"))
	require.NoError(t, err)
	defer output.Close()
	p.Write("dynamic.yml", dynamic)
	p.Mark()
	p.Cmd = exec.Command(binary, args...)
	p.Cmd.Dir, p.Cmd.Stdout, p.Cmd.Stderr = p.dir, output, output
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "TRAEFIK") && !strings.HasPrefix(variable, "DOCKER_") {
			p.Cmd.Env = append(p.Cmd.Env, variable)
		}
	}
	require.NoError(t, p.Cmd.Start())
	go func() {
		_ = p.Cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of Traefik:\n%s", Tail(p.Log(), 40))
		}
	})
	p.InPlace()
	return p
}

// Replicas runs two Traefik processes with the same configuration.
func Replicas(t *testing.T, dynamic string) [2]*Traefik {
	t.Helper()
	return [2]*Traefik{StartTraefik(t, dynamic), StartTraefik(t, dynamic)}
}

// Stop kills the process and waits for its end.
func (p *Traefik) Stop() {
	_ = p.Cmd.Process.Kill()
	<-p.done
}

// Write puts a file of the file provider in place at once, so that it is never
// read half written.
func (p *Traefik) Write(name, content string) {
	p.T.Helper()
	require.NoError(p.T, p.Put(name, content))
}

// Put is Write for goroutines: it does not end the test.
func (p *Traefik) Put(name, content string) error {
	temporary := filepath.Join(p.dir, name+".new")
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(p.dir, "dynamic", name))
}

// Mark adds a router that tells which revision of the configuration is in
// place. It returns the revision.
func (p *Traefik) Mark() int {
	p.T.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revision++
	p.Write("zz-revision.yml", fmt.Sprintf(
		"http: {routers: {revision: {rule: 'Path(`/-/revision/%d`)', priority: 9999, service: ping@internal}}}\n", p.revision))
	return p.revision
}

// InPlace waits until the last revision is served.
func (p *Traefik) InPlace() {
	p.T.Helper()
	address := fmt.Sprintf("%s/-/revision/%d", p.URL, p.revision)
	p.Until("the configuration is in place", func() bool {
		r, err := site.Send(http.MethodGet, address, "", site.Fields())
		return err == nil && r.Status == http.StatusOK
	})
}

// Until polls, and gives up early if the process has ended.
func (p *Traefik) Until(what string, condition func() bool) {
	p.T.Helper()
	deadline := time.Now().Add(Patience)
	for !condition() {
		select {
		case <-p.done:
			require.FailNow(p.T, "Traefik has ended", "%s", Tail(p.Log(), 40))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			require.FailNow(p.T, "waited in vain until "+what, "%s", Tail(p.Log(), 40))
		}
	}
}

// Log returns what the process has written.
func (p *Traefik) Log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return string(b)
}

// Do sends a request; a header line "Host: x" sets the host. Replicas listen on
// different ports, so there is one host name for all.
func (p *Traefik) Do(method, path, body string, lines ...string) site.Reply {
	p.T.Helper()
	r, err := site.Send(method, p.URL+path, body, site.Fields(append([]string{"Host: shop.example"}, lines...)...))
	require.NoError(p.T, err)
	return r
}

// Get sends a GET.
func (p *Traefik) Get(path string, lines ...string) site.Reply {
	p.T.Helper()
	return p.Do(http.MethodGet, path, "", lines...)
}

// Metrics is what the process tells Prometheus.
func (p *Traefik) Metrics() string {
	p.T.Helper()
	r, err := site.Send(http.MethodGet, p.API+"/metrics", "", site.Fields())
	require.NoError(p.T, err)
	return r.Body
}

// LogWith returns the lines of the log that hold a text.
func (p *Traefik) LogWith(text string) (lines []string) {
	for _, line := range strings.Split(p.Log(), "\n") {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// metric returns a figure of the process, as it tells it to Prometheus.
func (p *Traefik) metric(name string) int {
	p.T.Helper()
	for _, line := range strings.Split(p.Metrics(), "\n") {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(p.T, err)
			return int(n)
		}
	}
	require.FailNow(p.T, "no metric "+name)
	return 0
}

// Answered returns how many requests a Traefik's services, so the origin and the way
// there, have answered with a status.
func (p *Traefik) Answered(status int) (n int) {
	p.T.Helper()
	for _, line := range strings.Split(p.Metrics(), "\n") {
		if strings.HasPrefix(line, fmt.Sprintf("traefik_service_requests_total{code=\"%d\"", status)) {
			value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
			require.NoError(p.T, err)
			n += int(value)
		}
	}
	return n
}

// Goroutines returns how many goroutines the process has.
func (p *Traefik) Goroutines() int {
	p.T.Helper()
	return p.metric("go_goroutines")
}

// Memory returns a figure of the process's memory in kB: VmRSS, RssAnon. Where
// there is no /proc, it is 0.
func (p *Traefik) Memory(name string) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	for _, line := range strings.Split(string(b), "\n") {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return n
		}
	}
	return 0
}

// Routed is a dynamic configuration: one router and middleware for each host
// name, all in front of one origin. A host without options has no middleware.
func Routed(origin string, hosts map[string]site.Options) string {
	routers, middlewares := site.Options{}, site.Options{}
	for host, o := range hosts {
		id := strings.ReplaceAll(host, ".", "-")
		rule := "Host(`" + host + "`)"
		if host == "" {
			id, rule = "default", "PathPrefix(`/`)"
		}
		chain := []string{}
		if o != nil {
			chain = append(chain, id)
			middlewares[id] = site.Options{"plugin": site.Options{"odoocache": o}}
		}
		routers[id] = site.Options{"rule": rule, "service": "origin", "middlewares": chain, "entryPoints": []string{"web"}}
		routers[id+"-tls"] = site.Options{"rule": rule, "service": "origin", "middlewares": chain, "entryPoints": []string{"secure"}, "tls": site.Options{}}
	}
	parts := site.Options{
		"routers":  routers,
		"services": site.Options{"origin": site.Options{"loadBalancer": site.Options{"servers": []site.Options{{"url": origin}}}}},
	}
	if len(middlewares) > 0 { // the file provider refuses an empty map
		parts["middlewares"] = middlewares
	}
	b, err := json.Marshal(site.Options{"http": parts})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// CPU returns the processor time that Traefik has used, in ms; 0 without /proc.
func (p *Traefik) CPU() float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) * 10 // USER_HZ is 100
}

// Used returns the processor time in ms and the kB allocated so far.
func (p *Traefik) Used() (cpu, allocated float64) {
	if p == nil {
		return 0, 0
	}
	return p.CPU(), float64(p.metric("go_memstats_alloc_bytes_total")) / 1000
}

// Peak runs f and returns by how many kB the process grew meanwhile at most.
func (p *Traefik) Peak(f func()) int {
	before := p.Memory("RssAnon")
	most := before
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			if now := p.Memory("RssAnon"); now > most {
				most = now
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return most - before
}

// Live returns what is in use of the process's heap, in kB.
func (p *Traefik) Live() int {
	p.T.Helper()
	_, err := site.Send(http.MethodGet, p.API+"/debug/pprof/heap?gc=1", "", site.Fields())
	require.NoError(p.T, err)
	return p.metric("go_memstats_heap_alloc_bytes") / 1024
}

// Files returns how many files the process has open.
func (p *Traefik) Files() int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Cmd.Process.Pid))
	return len(list)
}
