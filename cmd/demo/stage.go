package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/odoocache/odoocache/test/origin"
	"github.com/odoocache/odoocache/test/source"
)

const (
	module = "github.com/odoocache/odoocache"
	secret = "demonstration"
)

// stage is everything that runs.
type stage struct {
	dir       string
	origin    *origin.Origin
	originURL string // straight to the origin
	cachedURL string // through the plugin, memory tier and Redis
	redisURL  string // through the plugin, from Redis alone; empty without Redis
	storage   string // what the pages are kept in, for people
	closers   []func()
}

// newStage starts origin, Redis and Traefik.
func newStage(ctx context.Context) (*stage, error) {
	s := &stage{}
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) start(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "odoocache-demo-")
	if err != nil {
		return err
	}
	s.dir = dir
	s.closers = append(s.closers, func() { _ = os.RemoveAll(dir) })
	if err := s.startOrigin(); err != nil {
		return err
	}
	redis, err := s.startRedis(ctx)
	if err != nil {
		return err
	}
	return s.startTraefik(ctx, redis)
}

func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

func (s *stage) startOrigin() error {
	o, err := origin.New(origin.Options{Speed: 1, Tokens: origin.TokensSession, AppHeaders: true})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: o, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	s.closers = append(s.closers, func() { _ = server.Close() })
	s.origin, s.originURL = o, "http://"+listener.Addr().String()
	return nil
}

// startRedis returns the address of a Redis server of its own, or nothing where
// there is no redis-server.
func (s *stage) startRedis(ctx context.Context) (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.storage = "the plugin's memory (there is no redis-server on this machine)"
		return "", nil
	}
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(address)
	if err := s.run(ctx, "redis", path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir); err != nil {
		return "", err
	}
	s.storage = "Redis at " + address + ", with a memory tier in front"
	return address, await(func() bool { return reachable(address) }, "redis-server does not answer")
}

// startTraefik lays the plugin out as a local plugin and starts Traefik.
func (s *stage) startTraefik(ctx context.Context, redis string) error {
	binary := os.Getenv("TRAEFIK")
	if binary == "" {
		return errNoTraefik
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	if err := source.Copy(filepath.Join(s.dir, "plugins-local", "src", filepath.FromSlash(module))); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	files := map[string]string{"traefik.yml": staticConfig(address), "dynamic.yml": dynamicConfig(s.originURL, redis)}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := s.run(ctx, "traefik", binary, "--configFile=traefik.yml"); err != nil {
		return err
	}
	s.cachedURL = "http://shop.localhost" + address[strings.LastIndexByte(address, ':'):]
	if redis != "" {
		s.redisURL = strings.Replace(s.cachedURL, "shop.", "redis.", 1)
	}
	log := filepath.Join(s.dir, "traefik.log")
	return await(func() bool {
		got, err := get(s.cachedURL + "/robots.txt")
		return err == nil && got.status == http.StatusOK
	}, "Traefik does not answer with the plugin; its log is "+log+":\n"+tail(log))
}

// run starts a process that ends with the stage, its output in a log file.
func (s *stage) run(ctx context.Context, name, path string, args ...string) error {
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.closers = append(s.closers, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	})
	return nil
}

func staticConfig(address string) string {
	return fmt.Sprintf(`entryPoints:
  web:
    address: %q
experimental:
  localPlugins:
    odoocache:
      moduleName: %s
providers:
  file:
    filename: dynamic.yml
log:
  level: ERROR
`, address, module)
}

// dynamicConfig has one shop behind two routers: one with the memory tier in
// front of Redis, one that goes to Redis for every hit.
func dynamicConfig(origin, redis string) string {
	storage := ""
	if redis != "" {
		storage = "redis: {address: " + redis + "}\n          "
	}
	return fmt.Sprintf(`http:
  routers:
    shop: {rule: "Host(`+"`shop.localhost`"+`)", entryPoints: [web], service: odoo, middlewares: [cache]}
    redis: {rule: "Host(`+"`redis.localhost`"+`)", entryPoints: [web], service: odoo, middlewares: [cache-redis]}
  services:
    odoo: {loadBalancer: {servers: [{url: %q}]}}
  middlewares:
    cache:
      plugin:
        odoocache: &cache
          %stenant: demo
          preset: odoo
          purge: {secret: %s}
          rules:
            - name: images
              match: {pathPrefixes: [/web/image]}
              ttl: 1h
              session: ignore
              override: [private, no-cache]
    cache-redis:
      plugin:
        odoocache:
          <<: *cache
          memory: {bytes: 0}
`, origin, storage, secret) // without Redis the second router is never used
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func reachable(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// await polls until ok, for half a minute.
func await(ok func() bool, problem string) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return nil
		}
	}
	return errors.New(problem)
}

func tail(file string) string {
	b, _ := os.ReadFile(file)
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return string(b)
}
