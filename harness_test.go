package odoocache_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/odoocache/odoocache"
)

// options are the plugin's options as a file provider has them.
type options map[string]interface{}

// everything is the match of a rule for all requests.
var everything = options{"pathPrefixes": []string{"/"}}

// loader makes a middleware: the compiled package, or the one that Yaegi
// interprets, as Traefik does it.
type loader func(ctx context.Context, next http.Handler, o options) (http.Handler, error)

func compiled(ctx context.Context, next http.Handler, o options) (http.Handler, error) {
	c := odoocache.CreateConfig()
	if err := decode(o, c); err != nil {
		return nil, err
	}
	return odoocache.New(ctx, next, c, "test")
}

// decode stands in for Traefik's decoder. The end-to-end tests use the real one.
func decode(o options, config interface{}) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, config)
}

var interpreter struct {
	once      sync.Once
	err       error
	create    reflect.Value
	construct reflect.Value
}

func interpreted(ctx context.Context, next http.Handler, o options) (http.Handler, error) {
	i := &interpreter
	i.once.Do(func() { i.create, i.construct, i.err = load() })
	if i.err != nil {
		return nil, i.err
	}
	return construct(ctx, i.create, i.construct, next, o)
}

// construct makes a middleware with an interpreter's functions.
func construct(ctx context.Context, create, with reflect.Value, next http.Handler, o options) (http.Handler, error) {
	c := create.Call(nil)[0]
	if err := decode(o, c.Interface()); err != nil {
		return nil, err
	}
	out := with.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(next), c, reflect.ValueOf("test")})
	if err, _ := out[1].Interface().(error); err != nil {
		return nil, err
	}
	return out[0].Interface().(http.Handler), nil
}

// load imports the plugin into an interpreter.
func load() (create, construct reflect.Value, err error) {
	i, err := newInterpreter(nil)
	if err != nil {
		return
	}
	return symbols(i)
}

// makerOf returns what makes middlewares in an interpreter of its own.
func makerOf(i *interp.Interpreter) (loader, error) {
	create, with, err := symbols(i)
	return func(ctx context.Context, next http.Handler, o options) (http.Handler, error) {
		return construct(ctx, create, with, next, o)
	}, err
}

func symbols(i *interp.Interpreter) (create, construct reflect.Value, err error) {
	if create, err = i.Eval("odoocache.CreateConfig"); err != nil {
		return
	}
	construct, err = i.Eval("odoocache.New")
	return
}

// newInterpreter imports the plugin into an interpreter that has what Traefik
// gives it: the symbols of the standard library. If edit is not nil, it is given
// the folder of the copied source before.
func newInterpreter(edit func(dir string) error) (*interp.Interpreter, error) {
	path, err := os.MkdirTemp("", "odoocache-gopath-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(path)
	source := filepath.Join(path, "src", "github.com", "odoocache", "odoocache")
	if err = copySource(source); err != nil {
		return nil, err
	}
	if edit != nil {
		if err = edit(source); err != nil {
			return nil, err
		}
	}
	i := interp.New(interp.Options{GoPath: path, Env: os.Environ()})
	if err = i.Use(stdlib.Symbols); err != nil {
		return nil, err
	}
	_, err = i.Eval(`import "github.com/odoocache/odoocache"`)
	return i, err
}

// both runs a test against the compiled and the interpreted plugin. The race
// detector sees the interpreter instead of the plugin, so there it runs once.
func both(t *testing.T, test func(t *testing.T, load loader)) {
	t.Helper()
	t.Run("compiled", func(t *testing.T) { test(t, compiled) })
	if !raceEnabled {
		t.Run("interpreted", func(t *testing.T) { test(t, interpreted) })
	}
}

// site is an origin with the plugin in front of it, reached over HTTP.
type site struct {
	t       *testing.T
	url     string
	options options

	mu     sync.Mutex
	answer http.HandlerFunc
	count  atomic.Int64
	last   *http.Request // as the origin got it
}

var tenants atomic.Int64

// newSite starts a site of a tenant of its own.
func newSite(t *testing.T, load loader, o options, answer http.HandlerFunc) *site {
	t.Helper()
	s := &site{t: t, answer: answer, options: options{"tenant": fmt.Sprintf("t%d", tenants.Add(1))}}
	for name, value := range o {
		s.options[name] = value
	}
	handler, err := load(context.Background(), http.HandlerFunc(s.serve), s.options)
	require.NoError(t, err)
	server := httptest.NewServer(forwarded(handler))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// bare is a field of requests that forwarded leaves as they come.
const bare = "X-Bare"

// forwarded adds to requests what Traefik adds.
func forwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header[bare] == nil {
			for name, value := range map[string]string{"X-Forwarded-Proto": "http", "X-Forwarded-Host": r.Host} {
				if r.Header[name] == nil {
					r.Header.Set(name, value)
				}
			}
		}
		delete(r.Header, bare)
		next.ServeHTTP(rw, r)
	})
}

func (s *site) serve(rw http.ResponseWriter, r *http.Request) {
	s.count.Add(1)
	s.mu.Lock()
	s.last = r
	answer := s.answer
	s.mu.Unlock()
	answer(rw, r)
}

// answers changes what the origin answers.
func (s *site) answers(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// request returns the request that the origin got last.
func (s *site) request() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// renders returns how often the origin was asked.
func (s *site) renders() int {
	return int(s.count.Load())
}

// reply is what a client gets.
type reply struct {
	status int
	header http.Header
	body   string
}

// cacheStatus returns the member that the plugin added.
func (r reply) cacheStatus() string {
	lines := r.header["Cache-Status"]
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// fields makes headers of "Name: value" lines; one without a colon is "Name:".
func fields(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

var plainClient = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request; a header line "Host: x" sets the host.
func (s *site) do(method, path, body string, lines ...string) reply {
	s.t.Helper()
	r, err := send(method, s.url+path, body, fields(lines...))
	require.NoError(s.t, err)
	return r
}

func send(method, url, body string, header http.Header) (reply, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, reader)
	if err != nil {
		return reply{}, err
	}
	req.Header = header
	req.Host = header.Get("Host")
	header.Del("Host")
	resp, err := plainClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, header: resp.Header, body: string(b)}, err
}

func (s *site) get(path string, lines ...string) reply {
	s.t.Helper()
	return s.do(http.MethodGet, path, "", lines...)
}

// waitFor and tick are for conditions that come true in the background.
const (
	waitFor = 5 * time.Second
	tick    = 5 * time.Millisecond
)

// page answers with a body and headers, with a known length.
func page(body string, lines ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		for name, values := range fields(lines...) {
			rw.Header()[name] = values
		}
		rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = io.WriteString(rw, body)
	}
}
