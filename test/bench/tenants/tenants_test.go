// Package tenants_test measures what many tenants cost in one Traefik, beside what Traefik takes
// for the same routers.
package tenants_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/measure"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// What stands in the routers' chains.
const (
	withPlugin  = "odoocache"
	withOne     = "one for all" // one middleware of odoocache, with a list of tenants
	withHeaders = "headers"     // Traefik's own
	withNothing = "nothing"
)

// edge is a Traefik in front of tenants.
type edge struct {
	p       *stack.Traefik
	kind    string
	origin  string
	redis   string
	tenants int
	list    string  // file with the tenants
	started float64 // s until the first answer
}

// dynamic is the configuration of all tenants, with another set of languages for the last one
// if changed: two routers each, as for HTTP and HTTPS.
func (e *edge) dynamic(changed bool) string {
	routers, middlewares := site.Options{}, site.Options{}
	for i := 0; i < e.tenants; i++ {
		id := fmt.Sprintf("t%d", i)
		var chain []string
		languages := []string{"en_US", "fr_FR"}
		if changed && i == e.tenants-1 {
			languages = []string{"en_US"}
		}
		switch e.kind {
		case withPlugin:
			middlewares[id] = site.Options{"plugin": site.Options{"odoocache": site.Options{
				"tenant": id, "preset": "odoo", "languages": languages, "redis": site.Options{"address": e.redis},
				"purge": site.Options{"secret": "the-secret-of-" + id},
			}}}
			chain = []string{id}
		case withOne:
			middlewares["cache"] = site.Options{"plugin": site.Options{"odoocache": site.Options{
				"preset": "odoo", "languages": []string{"en_US", "fr_FR"}, "redis": site.Options{"address": e.redis}, "tenants": site.Options{"file": e.list},
			}}}
			chain = []string{"cache"}
		case withHeaders:
			middlewares[id] = site.Options{"headers": site.Options{"customRequestHeaders": site.Options{"X-Tenant": id, "X-Languages": fmt.Sprint(languages)}}}
			chain = []string{id}
		}
		rule := "Host(`" + id + ".example`)"
		if changed && i == e.tenants-1 && (e.kind == withNothing || e.kind == withOne) {
			rule += " && PathPrefix(`/`)"
		}
		routers[id] = site.Options{"rule": rule, "service": "origin", "middlewares": chain, "entryPoints": []string{"web"}}
		routers[id+"-tls"] = site.Options{"rule": rule, "service": "origin", "middlewares": chain, "entryPoints": []string{"secure"}, "tls": site.Options{}}
	}
	parts := site.Options{"routers": routers, "services": site.Options{"origin": site.Options{"loadBalancer": site.Options{"servers": []site.Options{{"url": e.origin}}}}}}
	if len(middlewares) > 0 {
		parts["middlewares"] = middlewares
	}
	b, err := json.Marshal(site.Options{"http": parts})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// start runs a Traefik with the tenants, and waits for the first answer.
func start(t *testing.T, kind, origin, redis string, tenants int) *edge {
	e := &edge{kind: kind, origin: origin, redis: redis, tenants: tenants, list: listOf(t, tenants)}
	dynamic := e.dynamic(false)
	begin := time.Now()
	e.p = stack.StartTraefik(t, dynamic, "--api.debug=true")
	e.visit(tenants - 1)
	e.started = time.Since(begin).Seconds()
	e.settle()
	return e
}

// listOf writes a list of tenants.
func listOf(t *testing.T, tenants int) string {
	t.Helper()
	list := site.Options{}
	for i := 0; i < tenants; i++ {
		id := fmt.Sprintf("t%d", i)
		list[id] = site.Options{"hosts": []string{id + ".example"}, "purge": site.Options{"secret": "the-secret-of-" + id}}
	}
	b, err := json.Marshal(list)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "tenants.json")
	require.NoError(t, os.WriteFile(file, b, 0o600))
	return file
}

// visit asks for a page of a tenant.
func (e *edge) visit(tenant int) {
	r, err := site.Send(http.MethodGet, e.p.URL+"/", "", site.Fields(fmt.Sprintf("Host: t%d.example", tenant)))
	require.NoError(e.p.T, err)
	require.Equal(e.p.T, http.StatusOK, r.Status)
	require.Equal(e.p.T, e.kind == withPlugin || e.kind == withOne, r.CacheStatus() != "")
}

// settle waits until the process has nothing to do.
func (e *edge) settle() {
	for before := -1.0; ; {
		now := e.p.CPU()
		if now-before < 10 {
			return
		}
		before = now
		time.Sleep(300 * time.Millisecond)
	}
}

// reload returns the processor time of a change, in ms.
func (e *edge) reload(change func()) float64 {
	before := e.p.CPU()
	change()
	e.p.Mark()
	e.p.InPlace()
	e.settle()
	return e.p.CPU() - before
}

// reloads returns the median of some.
func (e *edge) reloads(n int, change func(i int)) float64 {
	var list []float64
	for i := 0; i < n; i++ {
		list = append(list, e.reload(func() { change(i) }))
	}
	return measure.Median(list)
}

// figures are what was measured of an edge.
type figures struct {
	started           float64    // s
	unrelated, tenant float64    // ms of processor time of a reload
	heap, rss         [3]float64 // kB: at first, after 5 reloads, after 50
	visited           float64    // kB of heap, after one page of each tenant
	goroutines        int
}

func (e *edge) memory(f *figures, i int) {
	f.heap[i] = float64(e.p.Live())
	f.rss[i] = float64(e.p.Memory("VmRSS"))
}

func (e *edge) measure() (f figures) {
	f.started = e.started
	e.memory(&f, 0)
	f.unrelated = e.reloads(5, func(int) {})
	e.memory(&f, 1)
	if e.tenants == 1 {
		return f
	}
	f.tenant = e.reloads(4, func(i int) { e.p.Write("dynamic.yml", e.dynamic(i%2 == 0)) })
	for i := 0; i < reloads-9; i++ {
		e.p.Mark()
		e.p.InPlace()
	}
	e.settle()
	e.memory(&f, 2)
	f.goroutines = e.p.Goroutines()
	for i := 0; i < e.tenants; i++ {
		e.visit(i)
		e.visit(i)
	}
	e.settle()
	f.visited = float64(e.p.Live())
	return f
}

const reloads = 50

// TestTenants prints what TENANTS tenants cost, for make bench-tenants.
func TestTenants(t *testing.T) {
	site.NeedLong(t, "bench-tenants")
	stack.NeedTraefik(t)
	tenants := 1000
	if n, err := strconv.Atoi(os.Getenv("TENANTS")); err == nil && n > 1 {
		tenants = n
	}
	origin := httptest.NewServer(site.Page("<html><body>a page</body></html>", "Content-Type: text/html", "X-Odoo-Cache: public, ttl=3600"))
	defer origin.Close()
	redis := stack.StartServer(t, "--appendonly", "no")
	all, one := map[string]figures{}, map[string]figures{}
	kinds := []string{withNothing, withHeaders, withPlugin, withOne}
	for _, kind := range kinds {
		for _, n := range []int{1, tenants} {
			e := start(t, kind, origin.URL, redis.Address, n)
			f := e.measure()
			e.p.Stop()
			if n == 1 {
				one[kind] = f
			} else {
				all[kind] = f
			}
		}
	}
	fmt.Print(table(tenants, kinds, all, one))
}

// table shows what was measured.
func table(n int, kinds []string, all, one map[string]figures) string {
	out := fmt.Sprintf("%d tenants, two routers each\n%-42s", n, "")
	for _, kind := range kinds {
		out += fmt.Sprintf(" %12s", kind)
	}
	out += "\n"
	row := func(name string, of func(kind string) float64) {
		out += fmt.Sprintf("%-42s", name)
		for _, kind := range kinds {
			out += fmt.Sprintf(" %12.1f", of(kind))
		}
		out += "\n"
	}
	row("first answer, s", func(k string) float64 { return all[k].started })
	row("the same with one tenant, s", func(k string) float64 { return one[k].started })
	row("reload, unrelated change, ms", func(k string) float64 { return all[k].unrelated })
	row("reload, change of one tenant, ms", func(k string) float64 { return all[k].tenant })
	row("heap a tenant, kB", func(k string) float64 { return (all[k].heap[0] - one[k].heap[0]) / float64(n-1) })
	row("heap a tenant, 5 reloads, kB", func(k string) float64 { return (all[k].heap[1] - one[k].heap[0]) / float64(n-1) })
	row("heap a tenant, 50 reloads, kB", func(k string) float64 { return (all[k].heap[2] - one[k].heap[0]) / float64(n-1) })
	row("heap a tenant, one page each, kB", func(k string) float64 { return (all[k].visited - one[k].heap[0]) / float64(n-1) })
	row("RSS with one tenant, MB", func(k string) float64 { return one[k].rss[0] / 1000 })
	row("RSS, MB", func(k string) float64 { return all[k].rss[0] / 1000 })
	row("RSS, 5 reloads, MB", func(k string) float64 { return all[k].rss[1] / 1000 })
	row("RSS, 50 reloads, MB", func(k string) float64 { return all[k].rss[2] / 1000 })
	row("goroutines, 50 reloads", func(k string) float64 { return float64(all[k].goroutines) })
	return out
}
