package odoocache_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The end-to-end tests run the plugin where it runs in production: in a Traefik
// process, in front of an origin, with a Redis server beside it. TRAEFIK names
// the binary; without it testdata/traefik/build makes one.

// patience is how long a poll waits for something that has to happen.
const patience = 20 * time.Second

var traefikBinary struct {
	once sync.Once
	path string
	err  error
}

// needTraefik returns the path of the Traefik binary.
func needTraefik(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Traefik process; not run with -short")
	}
	b := &traefikBinary
	b.once.Do(func() {
		if b.path = os.Getenv("TRAEFIK"); b.path != "" {
			b.path, b.err = filepath.Abs(b.path)
			return
		}
		cmd := exec.Command("testdata/traefik/build")
		cmd.Stderr = os.Stderr
		var out []byte
		out, b.err = cmd.Output()
		b.path = strings.TrimSpace(string(out))
	})
	require.NoError(t, b.err, "testdata/traefik/build")
	return b.path
}

// traefik is a Traefik process that interprets the plugin.
type traefik struct {
	t    *testing.T
	url  string // plain HTTP
	tls  string // HTTP/2 over TLS
	api  string // API, metrics
	dir  string
	cmd  *exec.Cmd
	done chan struct{}

	mu       sync.Mutex
	revision int
}

// start runs a Traefik process with a dynamic configuration (YAML, and so JSON)
// and waits until it is in place. More flags may be given.
func start(t *testing.T, dynamic string, flags ...string) *traefik {
	t.Helper()
	return startEdited(t, nil, dynamic, flags...)
}

// startEdited is start with an edited copy of the plugin's source, if edit is not
// nil: it is given the folder.
func startEdited(t *testing.T, edit func(dir string), dynamic string, flags ...string) *traefik {
	t.Helper()
	binary := needTraefik(t)
	p := &traefik{t: t, dir: t.TempDir(), done: make(chan struct{})}
	source := filepath.Join(p.dir, "plugins-local", "src", "github.com", "odoocache", "odoocache")
	require.NoError(t, copySource(source))
	if edit != nil {
		edit(source)
	}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "dynamic"), 0o755))
	web, secure, api := freeAddress(t), freeAddress(t), freeAddress(t)
	p.url, p.tls, p.api = "http://"+web, "https://"+secure, "http://"+api
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
	p.write("dynamic.yml", dynamic)
	p.mark()
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, output, output
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "TRAEFIK") && !strings.HasPrefix(variable, "DOCKER_") {
			p.cmd.Env = append(p.cmd.Env, variable)
		}
	}
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of Traefik:\n%s", tail(p.log(), 40))
		}
	})
	p.inPlace()
	return p
}

// replicas runs two Traefik processes with the same configuration.
func replicas(t *testing.T, dynamic string) [2]*traefik {
	t.Helper()
	return [2]*traefik{start(t, dynamic), start(t, dynamic)}
}

// stop kills the process and waits for its end.
func (p *traefik) stop() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// write puts a file of the file provider in place at once, so that it is never
// read half written.
func (p *traefik) write(name, content string) {
	p.t.Helper()
	require.NoError(p.t, p.put(name, content))
}

func (p *traefik) put(name, content string) error {
	temporary := filepath.Join(p.dir, name+".new")
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(p.dir, "dynamic", name))
}

// mark adds a router that tells which revision of the configuration is in
// place. It returns the revision.
func (p *traefik) mark() int {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revision++
	p.write("zz-revision.yml", fmt.Sprintf(
		"http: {routers: {revision: {rule: 'Path(`/-/revision/%d`)', priority: 9999, service: ping@internal}}}\n", p.revision))
	return p.revision
}

// inPlace waits until the last revision is served.
func (p *traefik) inPlace() {
	p.t.Helper()
	address := fmt.Sprintf("%s/-/revision/%d", p.url, p.revision)
	p.until("the configuration is in place", func() bool {
		r, err := send(http.MethodGet, address, "", fields())
		return err == nil && r.status == http.StatusOK
	})
}

// until polls, and gives up early if the process has ended.
func (p *traefik) until(what string, condition func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		select {
		case <-p.done:
			require.FailNow(p.t, "Traefik has ended", "%s", tail(p.log(), 40))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			require.FailNow(p.t, "waited in vain until "+what, "%s", tail(p.log(), 40))
		}
	}
}

func (p *traefik) log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return string(b)
}

func tail(text string, lines int) string {
	list := strings.Split(strings.TrimSpace(text), "\n")
	if len(list) > lines {
		list = list[len(list)-lines:]
	}
	return strings.Join(list, "\n")
}

// do sends a request; a header line "Host: x" sets the host. Replicas listen on
// different ports, so there is one host name for all.
func (p *traefik) do(method, path, body string, lines ...string) reply {
	p.t.Helper()
	r, err := send(method, p.url+path, body, fields(append([]string{"Host: shop.example"}, lines...)...))
	require.NoError(p.t, err)
	return r
}

func (p *traefik) get(path string, lines ...string) reply {
	p.t.Helper()
	return p.do(http.MethodGet, path, "", lines...)
}

// metric returns a figure of the process, as it tells it to Prometheus.
func (p *traefik) metric(name string) int {
	p.t.Helper()
	r, err := send(http.MethodGet, p.api+"/metrics", "", fields())
	require.NoError(p.t, err)
	for _, line := range strings.Split(r.body, "\n") {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(p.t, err)
			return int(n)
		}
	}
	require.FailNow(p.t, "no metric "+name)
	return 0
}

// answered returns how many requests a Traefik's services, so the origin and the way
// there, have answered with a status.
func (p *traefik) answered(status int) (n int) {
	p.t.Helper()
	r, err := send(http.MethodGet, p.api+"/metrics", "", fields())
	require.NoError(p.t, err)
	for _, line := range strings.Split(r.body, "\n") {
		if strings.HasPrefix(line, fmt.Sprintf("traefik_service_requests_total{code=\"%d\"", status)) {
			value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
			require.NoError(p.t, err)
			n += int(value)
		}
	}
	return n
}

func (p *traefik) goroutines() int {
	p.t.Helper()
	return p.metric("go_goroutines")
}

// memory returns a figure of the process's memory in kB: VmRSS, RssAnon. Where
// there is no /proc, it is 0.
func (p *traefik) memory(name string) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for _, line := range strings.Split(string(b), "\n") {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return n
		}
	}
	return 0
}

// freeAddress returns an address of this machine that nobody listens on.
// The port is not one of those that the system gives to connections: such a one may be
// in use by the time that somebody listens on it. A cluster takes it plus 10000, too.
func freeAddress(t testing.TB) string {
	t.Helper()
	for i := 0; i < 1000; i++ {
		port := 10000 + rand.Intn(10000)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if _, taken := givenPorts.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	require.Fail(t, "no free port")
	return ""
}

// givenPorts are those that freeAddress has returned.
var givenPorts sync.Map

// routed is a dynamic configuration: one router and middleware for each host
// name, all in front of one origin. A host without options has no middleware.
func routed(origin string, hosts map[string]options) string {
	routers, middlewares := options{}, options{}
	for host, o := range hosts {
		id := strings.ReplaceAll(host, ".", "-")
		rule := "Host(`" + host + "`)"
		if host == "" {
			id, rule = "default", "PathPrefix(`/`)"
		}
		chain := []string{}
		if o != nil {
			chain = append(chain, id)
			middlewares[id] = options{"plugin": options{"odoocache": o}}
		}
		routers[id] = options{"rule": rule, "service": "origin", "middlewares": chain, "entryPoints": []string{"web"}}
		routers[id+"-tls"] = options{"rule": rule, "service": "origin", "middlewares": chain, "entryPoints": []string{"secure"}, "tls": options{}}
	}
	parts := options{
		"routers":  routers,
		"services": options{"origin": options{"loadBalancer": options{"servers": []options{{"url": origin}}}}},
	}
	if len(middlewares) > 0 { // the file provider refuses an empty map
		parts["middlewares"] = middlewares
	}
	b, err := json.Marshal(options{"http": parts})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// backend is the origin behind Traefik.
type backend struct {
	*httptest.Server
	count atomic.Int64
}

func newBackend(t *testing.T, answer http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b.count.Add(1)
		answer(rw, r)
	}))
	t.Cleanup(b.Server.CloseClientConnections)
	return b
}

// renders returns how often the origin was asked.
func (b *backend) renders() int {
	return int(b.count.Load())
}

// redisServer is a Redis server of one test.
type redisServer struct {
	t       testing.TB
	address string
	dir     string
	args    []string
	cmd     *exec.Cmd
	done    chan struct{}
}

// startRedis is startServer for a test of Traefik.
func startRedis(t *testing.T, args ...string) *redisServer {
	t.Helper()
	needTraefik(t)
	return startServer(t, args...)
}

// startServer runs a Redis server that keeps its data over a restart.
func startServer(t testing.TB, args ...string) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	s := &redisServer{t: t, address: freeAddress(t), dir: t.TempDir(), args: args}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// calls returns how often a command was called since the server began to count.
func (s *redisServer) calls(command string) int {
	_, figure, _ := strings.Cut(s.must("INFO commandstats"), "cmdstat_"+command+":calls=")
	figure, _, _ = strings.Cut(figure, ",")
	n, err := strconv.Atoi(figure)
	require.NoError(s.t, err, command)
	return n
}

// startSentinel runs a sentinel with the given configuration.
func startSentinel(t *testing.T, lines ...string) *redisServer {
	t.Helper()
	s := &redisServer{t: t, address: freeAddress(t), dir: t.TempDir()}
	host, port, _ := net.SplitHostPort(s.address)
	conf := filepath.Join(s.dir, "sentinel.conf") // which it writes to
	lines = append([]string{"bind " + host, "port " + port, "dir " + s.dir}, lines...)
	require.NoError(t, os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	s.args = []string{conf, "--sentinel"}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.address)
	args := append([]string{
		"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always",
	}, s.args...)
	if len(s.args) > 0 && strings.HasSuffix(s.args[0], ".conf") { // everything else is in the file
		args = s.args
	}
	s.cmd = exec.Command("redis-server", args...)
	s.done = make(chan struct{})
	require.NoError(s.t, s.cmd.Start())
	cmd, done := s.cmd, s.done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	require.Eventually(s.t, func() bool {
		answer, err := s.ask("PING")
		return err == nil && (string(answer) == "PONG" || strings.HasPrefix(string(answer), "NOAUTH"))
	}, patience, 10*time.Millisecond, "redis-server answers")
}

// stop kills the server, also while it is stopped by a signal.
func (s *redisServer) stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// ask sends one command whose words hold no blanks, and returns the reply: a
// line, a bulk string, or the items of a list, one a line.
func (s *redisServer) ask(command string) ([]byte, error) {
	c, err := net.DialTimeout("tcp", s.address, time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		return nil, err
	}
	return readReply(bufio.NewReader(c))
}

func readReply(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, line := line[0], strings.TrimSpace(line[1:])
	n, _ := strconv.Atoi(line)
	switch {
	case kind == '$' && n >= 0:
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return b[:n], err
	case kind == '*':
		items := make([][]byte, 0, n)
		for i := 0; i < n; i++ {
			item, err := readReply(r)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return bytes.Join(items, []byte("\n")), nil
	}
	return []byte(line), nil
}

// must is ask for a server that is known to answer.
func (s *redisServer) must(command string) string {
	s.t.Helper()
	b, err := s.ask(command)
	require.NoError(s.t, err)
	return string(b)
}

// entries returns the keys of a tenant's stored responses.
func (s *redisServer) entries(tenant string) []string {
	s.t.Helper()
	return strings.Fields(s.must("KEYS oc:{" + tenant + "}:e:*"))
}

var clientAddress = regexp.MustCompile(`(?m)^id=`)

// clients returns how many connections the server has, without the one that asks.
func (s *redisServer) clients() int {
	s.t.Helper()
	return len(clientAddress.FindAllString(s.must("CLIENT LIST"), -1)) - 1
}

// secureClient is plainClient over TLS, with HTTP/2.
func secureClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // Traefik's own certificate
	}}
}

// cpu returns the processor time that Traefik has used, in ms; 0 without /proc.
func (p *traefik) cpu() float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) * 10 // USER_HZ is 100
}

// used returns the processor time in ms and the kB allocated so far.
func (p *traefik) used() (cpu, allocated float64) {
	if p == nil {
		return 0, 0
	}
	return p.cpu(), float64(p.metric("go_memstats_alloc_bytes_total")) / 1000
}

// peak runs f and returns by how many kB the process grew meanwhile at most.
func (p *traefik) peak(f func()) int {
	before := p.memory("RssAnon")
	most := before
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			if now := p.memory("RssAnon"); now > most {
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

// live returns what is in use of the process's heap, in kB.
func (p *traefik) live() int {
	p.t.Helper()
	_, err := send(http.MethodGet, p.api+"/debug/pprof/heap?gc=1", "", fields())
	require.NoError(p.t, err)
	return p.metric("go_memstats_heap_alloc_bytes") / 1024
}

func (p *traefik) files() int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	return len(list)
}
