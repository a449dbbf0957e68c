// Package site is what tests of the plugin are made of: a site is an origin with the
// plugin in front of it, compiled or interpreted, that is reached over HTTP.
package site

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
	"github.com/odoocache/odoocache/test/source"
)

// Options are the plugin's options as a file provider has them.
type Options map[string]interface{}

// Everything is the match of a rule for all requests.
var Everything = Options{"pathPrefixes": []string{"/"}}

// Loader makes a middleware: the compiled package, or the one that Yaegi
// interprets, as Traefik does it.
type Loader func(ctx context.Context, next http.Handler, o Options) (http.Handler, error)

// Compiled makes a middleware of the compiled package.
func Compiled(ctx context.Context, next http.Handler, o Options) (http.Handler, error) {
	c := odoocache.CreateConfig()
	if err := Decode(o, c); err != nil {
		return nil, err
	}
	return odoocache.New(ctx, next, c, "test")
}

// Decode stands in for Traefik's decoder. The end-to-end tests use the real one.
func Decode(o Options, config interface{}) error {
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

// Interpreted makes a middleware in an interpreter that all tests of a package share.
func Interpreted(ctx context.Context, next http.Handler, o Options) (http.Handler, error) {
	i := &interpreter
	i.once.Do(func() { i.create, i.construct, i.err = load() })
	if i.err != nil {
		return nil, i.err
	}
	return construct(ctx, i.create, i.construct, next, o)
}

// construct makes a middleware with an interpreter's functions.
func construct(ctx context.Context, create, with reflect.Value, next http.Handler, o Options) (http.Handler, error) {
	c := create.Call(nil)[0]
	if err := Decode(o, c.Interface()); err != nil {
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
	i, err := NewInterpreter(nil)
	if err != nil {
		return
	}
	return symbols(i)
}

// MakerOf returns what makes middlewares in an interpreter of its own.
func MakerOf(i *interp.Interpreter) (Loader, error) {
	create, with, err := symbols(i)
	return func(ctx context.Context, next http.Handler, o Options) (http.Handler, error) {
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

// NewInterpreter imports the plugin into an interpreter that has what Traefik
// gives it: the symbols of the standard library. If edit is not nil, it is given
// the folder of the copied source before.
func NewInterpreter(edit func(dir string) error) (*interp.Interpreter, error) {
	path, err := os.MkdirTemp("", "odoocache-gopath-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(path)
	plugin := filepath.Join(path, "src", "github.com", "odoocache", "odoocache")
	if err = source.Copy(plugin); err != nil {
		return nil, err
	}
	if edit != nil {
		if err = edit(plugin); err != nil {
			return nil, err
		}
	}
	i := interp.New(interp.Options{GoPath: path, Env: os.Environ(), Stderr: Log})
	if err = i.Use(stdlib.Symbols); err != nil {
		return nil, err
	}
	_, err = i.Eval(`import "github.com/odoocache/odoocache"`)
	return i, err
}

// Both runs a test against the compiled and the interpreted plugin. The race
// detector sees the interpreter instead of the plugin, so there it runs once.
func Both(t *testing.T, test func(t *testing.T, load Loader)) {
	t.Helper()
	t.Run("compiled", func(t *testing.T) { test(t, Compiled) })
	if !RaceEnabled {
		t.Run("interpreted", func(t *testing.T) { test(t, Interpreted) })
	}
}

// Site is an origin with the plugin in front of it, reached over HTTP.
type Site struct {
	T       *testing.T
	URL     string
	Options Options

	mu     sync.Mutex
	Answer http.HandlerFunc
	Count  atomic.Int64
	Last   *http.Request // as the origin got it
}

// Tenants counts tenants, so that each site has one of its own.
var Tenants atomic.Int64

// New starts a site of a tenant of its own.
func New(t *testing.T, load Loader, o Options, answer http.HandlerFunc) *Site {
	t.Helper()
	s := &Site{T: t, Answer: answer, Options: Options{"tenant": fmt.Sprintf("t%d", Tenants.Add(1))}}
	for name, value := range o {
		s.Options[name] = value
	}
	handler, err := load(context.Background(), http.HandlerFunc(s.Serve), s.Options)
	require.NoError(t, err)
	server := httptest.NewServer(Forwarded(handler))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Bare is a field of requests that Forwarded leaves as they come.
const Bare = "X-Bare"

// Forwarded adds to requests what Traefik adds.
func Forwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header[Bare] == nil {
			for name, value := range map[string]string{"X-Forwarded-Proto": "http", "X-Forwarded-Host": r.Host} {
				if r.Header[name] == nil {
					r.Header.Set(name, value)
				}
			}
		}
		delete(r.Header, Bare)
		next.ServeHTTP(rw, r)
	})
}

// Serve is the origin: it counts the request and answers it.
func (s *Site) Serve(rw http.ResponseWriter, r *http.Request) {
	s.Count.Add(1)
	s.mu.Lock()
	s.Last = r
	answer := s.Answer
	s.mu.Unlock()
	answer(rw, r)
}

// Answers changes what the origin answers.
func (s *Site) Answers(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Answer = answer
}

// Request returns the request that the origin got last.
func (s *Site) Request() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Last
}

// Renders returns how often the origin was asked.
func (s *Site) Renders() int {
	return int(s.Count.Load())
}

// Reply is what a client gets.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// CacheStatus returns the member that the plugin added.
func (r Reply) CacheStatus() string {
	lines := r.Header["Cache-Status"]
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// Fields makes headers of "Name: value" lines; one without a colon is "Name:".
func Fields(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

// PlainClient neither asks for gzip of its own nor follows redirects.
var PlainClient = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Do sends a request; a header line "Host: x" sets the host.
func (s *Site) Do(method, path, body string, lines ...string) Reply {
	s.T.Helper()
	r, err := Send(method, s.URL+path, body, Fields(lines...))
	require.NoError(s.T, err)
	return r
}

// Send sends a request; a header "Host" sets the host.
func Send(method, url, body string, header http.Header) (Reply, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, reader)
	if err != nil {
		return Reply{}, err
	}
	req.Header = header
	req.Host = header.Get("Host")
	header.Del("Host")
	resp, err := PlainClient.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return Reply{Status: resp.StatusCode, Header: resp.Header, Body: string(b)}, err
}

// Get sends a GET.
func (s *Site) Get(path string, lines ...string) Reply {
	s.T.Helper()
	return s.Do(http.MethodGet, path, "", lines...)
}

// WaitFor and Tick are for conditions that come true in the background.
const (
	WaitFor = 5 * time.Second
	Tick    = 5 * time.Millisecond
)

// Page answers with a body and headers, with a known length.
func Page(body string, lines ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		for name, values := range Fields(lines...) {
			rw.Header()[name] = values
		}
		rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = io.WriteString(rw, body)
	}
}
