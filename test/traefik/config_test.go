package traefik_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// everyKindYAML is a configuration with lists, maps, booleans and numbers, and what
// it does. It is written three times: in YAML, in TOML and as labels.
const everyKindYAML = `
http:
  routers: {r: {rule: "PathPrefix('/')", entryPoints: [web], service: s, middlewares: [c]}}
  services: {s: {loadBalancer: {servers: [{url: "%s"}]}}}
  middlewares:
    c:
      plugin:
        odoocache:
          tenant: shop
          requestDirectives: ignore
          purge: {secret: "correct horse", previousSecret: "battery staple", networks: [127.0.0.0/8, "::1"]}
          limits: {tags: 3}
          rules:
            - {name: never, match: {pathPrefixes: [/my, /web]}, bypass: true}
            - name: pages
              match: {pathPrefixes: [/shop, /blog], methods: [GET]}
              ttl: 300
              grace: 1h
              query: {ignore: ["utm_*", gclid]}
              vary: {cookies: [pricelist]}
              refuse: {X-Draft: "^yes$"}
              status: [200, 404]
              tags: [pages, all]
`

const everyKindTOML = `
[http.routers.r]
rule = "PathPrefix('/')"
entryPoints = ["web"]
service = "s"
middlewares = ["c"]
[[http.services.s.loadBalancer.servers]]
url = "%s"
[http.middlewares.c.plugin.odoocache]
tenant = "shop"
requestDirectives = "ignore"
[http.middlewares.c.plugin.odoocache.purge]
secret = "correct horse"
previousSecret = "battery staple"
networks = ["127.0.0.0/8", "::1"]
[http.middlewares.c.plugin.odoocache.limits]
tags = 3
[[http.middlewares.c.plugin.odoocache.rules]]
name = "never"
bypass = true
[http.middlewares.c.plugin.odoocache.rules.match]
pathPrefixes = ["/my", "/web"]
[[http.middlewares.c.plugin.odoocache.rules]]
name = "pages"
ttl = 300
grace = "1h"
status = [200, 404]
tags = ["pages", "all"]
[http.middlewares.c.plugin.odoocache.rules.match]
pathPrefixes = ["/shop", "/blog"]
methods = ["GET"]
[http.middlewares.c.plugin.odoocache.rules.query]
ignore = ["utm_*", "gclid"]
[http.middlewares.c.plugin.odoocache.rules.vary]
cookies = ["pricelist"]
[http.middlewares.c.plugin.odoocache.rules.refuse]
X-Draft = "^yes$"
`

// everyKindLabels are labels of a container, without the prefix of the middleware.
var everyKindLabels = map[string]string{
	"tenant": "shop", "requestDirectives": "ignore",
	"purge.secret": "correct horse", "purge.previousSecret": "battery staple", "purge.networks": "127.0.0.0/8, ::1",
	"limits.tags":   "3",
	"rules[0].name": "never", "rules[0].match.pathPrefixes": "/my,/web", "rules[0].bypass": "true",
	"rules[1].name": "pages", "rules[1].match.pathPrefixes": "/shop,/blog", "rules[1].match.methods": "GET",
	"rules[1].ttl": "300", "rules[1].grace": "1h", "rules[1].query.ignore": "utm_*,gclid",
	"rules[1].vary.cookies": "pricelist", "rules[1].refuse.X-Draft": "^yes$", "rules[1].status": "200,404",
	"rules[1].tags": "pages,all",
}

// checkEveryKind checks that each of those options has arrived.
func checkEveryKind(t *testing.T, p *stack.Traefik) {
	t.Helper()
	status := func(path string, lines ...string) string { return p.Get(path, lines...).CacheStatus() }
	p.Until("the plugin answers", func() bool { return status("/my/orders") != "" })
	assert.Equal(t, "odoocache; fwd=bypass; detail=rule", status("/my/orders"))
	assert.Contains(t, status("/shop?utm_source=x"), "stored; ttl=300")
	assert.Contains(t, status("/shop?gclid=y", "Cache-Control: no-cache"), "; hit")
	assert.Contains(t, status("/shop", "Cookie: pricelist=2"), "fwd=uri-miss")
	assert.Contains(t, status("/blog/missing"), "stored")
	assert.Contains(t, status("/blog/draft"), "detail=refuse")
	assert.Contains(t, status("/blog/tagged"), "detail=tag-limit")
	assert.Equal(t, http.StatusForbidden, p.Do("PURGE", "/shop", "").Status)
	assert.Contains(t, p.Do(http.MethodPost, "/.odoocache/purge", `{"tags":["all"]}`, site.Bearer).Body, `"tenant":"shop"`)
	assert.Equal(t, http.StatusOK, p.Do("PURGE", "/shop", "", "Authorization: Bearer battery staple").Status)
	assert.Contains(t, status("/shop"), "fwd=uri-miss")
}

func everyKindOrigin(t *testing.T) *stack.Backend {
	return stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/blog/draft":
			rw.Header().Set("X-Draft", "yes")
		case "/blog/tagged":
			rw.Header().Set("Surrogate-Key", "a b c d")
		case "/blog/missing":
			rw.WriteHeader(http.StatusNotFound)
		}
		_, _ = fmt.Fprint(rw, "x")
	})
}

func TestTraefikConfigurationFromFiles(t *testing.T) {
	stack.NeedTraefik(t)
	origin := everyKindOrigin(t)
	t.Run("YAML", func(t *testing.T) {
		checkEveryKind(t, stack.StartTraefik(t, strings.ReplaceAll(fmt.Sprintf(everyKindYAML, origin.URL), "'", "`")))
	})
	t.Run("TOML", func(t *testing.T) {
		p := stack.StartTraefik(t, "{}")
		p.Write("dynamic.toml", strings.ReplaceAll(fmt.Sprintf(everyKindTOML, origin.URL), "'", "`"))
		checkEveryKind(t, p)
	})
}

// TestTraefikConfigurationFromLabels lets Traefik's Docker provider read the
// labels of a container from a Docker API that knows just that one.
func TestTraefikConfigurationFromLabels(t *testing.T) {
	stack.NeedTraefik(t)
	origin := everyKindOrigin(t)
	checkEveryKind(t, labelled(t, origin, everyKindLabels))
}

// fakeDocker answers what Traefik asks of a Docker engine that runs one
// container.
func fakeDocker(t *testing.T, labels map[string]string, address string) string {
	t.Helper()
	network := map[string]interface{}{"IPAddress": address, "NetworkID": "n", "Networks": nil}
	settings := map[string]interface{}{"Networks": map[string]interface{}{"bridge": network}}
	container := map[string]interface{}{"Id": "c1", "Names": []string{"/odoo"}, "Labels": labels, "State": "running", "NetworkSettings": settings,
		"HostConfig": map[string]string{"NetworkMode": "bridge"}}
	inspected := map[string]interface{}{
		"Id": "c1", "Name": "/odoo", "Created": "2026-01-01T00:00:00Z",
		"State":           map[string]interface{}{"Status": "running", "Running": true},
		"Config":          map[string]interface{}{"Labels": labels},
		"HostConfig":      map[string]string{"NetworkMode": "bridge"},
		"NetworkSettings": settings,
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Api-Version", "1.44")
		rw.Header().Set("Content-Type", "application/json")
		var body interface{}
		switch path := r.URL.Path; {
		case strings.HasSuffix(path, "/_ping"):
			_, _ = fmt.Fprint(rw, "OK")
			return
		case strings.HasSuffix(path, "/version"):
			body = map[string]string{"Version": "28.0.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24", "Os": "linux"}
		case strings.HasSuffix(path, "/containers/json"):
			body = []interface{}{container}
		case strings.HasSuffix(path, "/containers/c1/json"):
			body = inspected
		default:
			body = []interface{}{}
		}
		_ = json.NewEncoder(rw).Encode(body)
	}))
	t.Cleanup(server.Close)
	host, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	return net.JoinHostPort(host, port)
}

// TestTraefikReportsEveryMistakeAtOnce checks the line in Traefik's log, and
// that other routers go on.
func TestTraefikReportsEveryMistakeAtOnce(t *testing.T) {
	stack.NeedTraefik(t)
	origin := stack.NewBackend(t, site.Page("from the origin"))
	bad := site.Options{
		"preset": "magento", "tennant": "x", "redis": site.Options{"address": "localhost", "passwordFile": "/nonexistent", "timeout": "soon"},
		"memory": site.Options{"bytes": "lots"}, "purge": site.Options{"networks": []string{"10.0.0.0/99"}, "secret": "short"},
		"rules": []site.Options{
			{"match": site.Options{"pathRegexp": "("}, "ttl": "-5s", "bypas": "true", "status": []string{"2xx"}},
			{"bypass": true},
		},
	}
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"bad.example": bad, "good.example": {"tenant": "good"}}))
	var line string
	p.Until("the mistakes are in the log", func() bool {
		for _, l := range strings.Split(p.Log(), "\n") {
			if strings.Contains(l, "invalid configuration") {
				line = l
			}
		}
		return line != ""
	})
	for _, want := range []string{
		"preset:", "tennant: unknown option", "redis.address:", "redis.passwordFile:", "redis.timeout:", "memory.bytes:",
		"purge.networks[0]:", "purge.secret", "rules[0].match.pathRegexp:", "rules[0].ttl:", "rules[0].bypas: unknown option", "rules[0].status[0]:",
		"rules[1].match: is empty",
	} {
		assert.Contains(t, line, want)
	}
	got, err := site.Send(http.MethodGet, p.URL+"/", "", site.Fields("Host: good.example"))
	require.NoError(t, err)
	assert.Equal(t, "from the origin", got.Body)
	got, err = site.Send(http.MethodGet, p.URL+"/", "", site.Fields("Host: bad.example"))
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, got.Status)
}

// TestTraefikTellsWhatIsGiven: Traefik's decoder tells an option that is given but empty
// from one that is not given, and an order that labels cannot break holds.
func TestTraefikTellsWhatIsGiven(t *testing.T) {
	stack.NeedTraefik(t)
	origin := stack.NewBackend(t, site.Page("from the origin"))
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{
		"purge.example":   {"purge": site.Options{"secret": ""}},
		"redis.example":   {"redis": site.Options{"address": "127.0.0.1:1", "password": "", "sentinel": site.Options{"passwordFile": ""}}},
		"urn.example":     {"purge": site.Options{"secret": "urn:k8s:secret:odoocache:purge"}},
		"line.example":    {"redis": site.Options{"address": "127.0.0.1:1", "password": "hunter\n2"}},
		"nothing.example": {"purge": site.Options{"fromResponses": true}},
		"null.example":    {"purge": site.Options{"secretFile": nil}}, // as of a template
	}))
	for router, want := range map[string]string{
		"purge": "purge.secret: is given, but empty", "redis": "redis.password: is given, but empty",
		"urn": "purge.secret: begins with urn:", "line": "redis.password: has a line break or a NUL in it",
	} {
		p.Until(router+" is refused", func() bool { return strings.Contains(p.Log(), want) })
		got, err := site.Send(http.MethodGet, p.URL+"/", "", site.Fields("Host: "+router+".example"))
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotFound, got.Status, router)
	}
	assert.Contains(t, p.Log(), "redis.sentinel.passwordFile: is given, but empty")
	got, err := site.Send(http.MethodGet, p.URL+"/", "", site.Fields("Host: nothing.example"))
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, got.Status)
	got, err = site.Send(http.MethodGet, p.URL+"/", "", site.Fields("Host: null.example"))
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, got.Status)
}

// TestTraefikPatterns: of true in place of a pattern, files make the text, and a provider
// that hands JSON on, such as those of Kubernetes, a boolean, which is refused by name.
func TestTraefikPatterns(t *testing.T) {
	stack.NeedTraefik(t)
	origin := stack.NewBackend(t, site.Page("x"))
	o := site.Options{"rules": []site.Options{{
		"match": site.Options{"headers": site.Options{"X-Y": true}}, "require": site.Options{"X-V": 7}, "refuse": site.Options{"X-Z": false}, "bypass": true,
	}}}
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": o}), "--providers.rest.insecure=true")
	p.Until("the plugin answers", func() bool { return p.Get("/").CacheStatus() != "" })
	assert.Contains(t, p.Get("/", "X-Y: true").CacheStatus(), "detail=rule")
	assert.NotContains(t, p.Get("/", "X-Y: 1").CacheStatus(), "detail=rule")

	got, err := site.Send(http.MethodPut, p.API+"/api/providers/rest", stack.Routed(origin.URL, map[string]site.Options{"rest.example": o}), site.Fields())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.Status, got.Body)
	p.Until("it is refused", func() bool { return strings.Contains(p.Log(), "rules[0].match.headers.X-Y: true is a boolean") })
	assert.Contains(t, p.Log(), "rules[0].refuse.X-Z: false is a boolean")
	assert.NotContains(t, p.Log(), "rules[0].require.X-V:")
}

// labelled starts a Traefik that has its configuration from labels of a container.
func labelled(t *testing.T, origin *stack.Backend, more map[string]string) *stack.Traefik {
	t.Helper()
	u, err := url.Parse(origin.URL)
	require.NoError(t, err)
	labels := map[string]string{
		"traefik.enable":                                     "true",
		"traefik.http.routers.r.rule":                        "PathPrefix(`/`)",
		"traefik.http.routers.r.entrypoints":                 "web",
		"traefik.http.routers.r.middlewares":                 "c",
		"traefik.http.services.s.loadbalancer.server.port":   u.Port(),
		"traefik.http.services.s.loadbalancer.server.scheme": "http",
	}
	for name, value := range more {
		labels["traefik.http.middlewares.c.plugin.odoocache."+name] = value
	}
	docker := fakeDocker(t, labels, u.Hostname())
	return stack.StartTraefik(t, "{}", "--providers.docker.endpoint=tcp://"+docker, "--providers.docker.watch=false")
}

// TestTraefikRulesFromLabels: Traefik sorts labels as text, so that rules[10] comes before
// rules[9]; the option order puts them right.
func TestTraefikRulesFromLabels(t *testing.T) {
	stack.NeedTraefik(t)
	origin := stack.NewBackend(t, site.Page("x"))
	labels := map[string]string{"tenant": "shop"}
	for i := 0; i < 12; i++ {
		labels[fmt.Sprintf("rules[%d].match.pathPrefixes", i)] = fmt.Sprintf("/%d", i)
		labels[fmt.Sprintf("rules[%d].bypass", i)] = "true"
	}
	for _, i := range []int{9, 10} {
		labels[fmt.Sprintf("rules[%d].match.pathPrefixes", i)] = "/both"
	}
	delete(labels, "rules[10].bypass")
	labels["rules[10].ttl"] = "1m"
	t.Run("as text", func(t *testing.T) {
		p := labelled(t, origin, labels)
		p.Until("the plugin answers", func() bool { return p.Get("/both").CacheStatus() != "" })
		assert.NotContains(t, p.Get("/both").CacheStatus(), "detail=rule", "if this fails, Traefik sorts labels by number, and README.md can say so")
	})
	t.Run("in order", func(t *testing.T) {
		for i := 0; i < 12; i++ {
			labels[fmt.Sprintf("rules[%d].order", i)] = fmt.Sprint(i)
		}
		p := labelled(t, origin, labels)
		p.Until("the plugin answers", func() bool { return p.Get("/both").CacheStatus() != "" })
		assert.Contains(t, p.Get("/both").CacheStatus(), "detail=rule")
	})
	t.Run("an empty secret", func(t *testing.T) {
		p := labelled(t, origin, map[string]string{"purge.secret": ""})
		p.Until("it is refused", func() bool { return strings.Contains(p.Log(), "purge.secret: is given, but empty") })
	})
}
