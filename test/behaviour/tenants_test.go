package behaviour_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// whoIs answers with the host that was asked for, and may be stored.
func whoIs(rw http.ResponseWriter, r *http.Request) {
	site.Page("of "+r.Host+" "+r.Header.Get("X-Forwarded-Host"), "Cache-Control: max-age=60", "Surrogate-Key: product")(rw, r)
}

// members writes a list of tenants, and returns the file. Names begin with the test's, since all
// sites of this process share a storage.
func members(t *testing.T, file string, list map[string]interface{}) string {
	t.Helper()
	if file == "" {
		file = filepath.Join(t.TempDir(), "tenants.json")
	}
	b, err := json.Marshal(list)
	require.NoError(t, err)
	next := file + ".next"
	require.NoError(t, os.WriteFile(next, b, 0o600))
	require.NoError(t, os.Rename(next, file))
	return file
}

// manyTenants starts a site of many.
func manyTenants(t *testing.T, load site.Loader, tenants site.Options, more site.Options) *site.Site {
	t.Helper()
	o := site.Merge(site.Options{"tenant": "default", "tenants": tenants}, more)
	return site.New(t, load, o, whoIs)
}

// ownStorage has a site share nothing with others, nor how many lines of refusals there may be.
func ownStorage() site.Options {
	return site.Options{"memory": site.Options{"bytes": fmt.Sprint(1<<26 + site.Tenants.Add(1))}}
}

// aLabel is another name for each call.
func aLabel() string { return fmt.Sprintf("m%d", site.Tenants.Add(1)) }

// TestTenantsByHost: all spellings of a host are one tenant, each tenant has its pages, its secret
// and its control endpoint, and of what cannot be told nothing is stored.
func TestTenantsByHost(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b := aLabel(), aLabel()
		file := members(t, "", map[string]interface{}{
			a: site.Options{"hosts": []string{a + ".example", "Bücher." + a + ".example"}, "purge": site.Options{"secret": "secret-of-a-" + a}},
			b: site.Options{"purge": site.Options{"secret": "secret-of-b-" + b}},
		})
		s := manyTenants(t, load, site.Options{"file": file, "hosts": []string{"{tenant}.shops.example"}}, nil)
		at := func(host string, lines ...string) site.Reply {
			return s.Get("/p", append(lines, "Host: "+host)...)
		}
		purge := func(host, secret string) site.Reply {
			return s.Do("POST", "/.odoocache/purge", `{"tags":["product"]}`, "Host: "+host, "Authorization: Bearer "+secret)
		}

		spellings := []string{
			a + ".example", "www." + a + ".example", strings.ToUpper(a) + ".Example", a + ".example.", a + ".example:8080", "xn--bcher-kva." + a + ".example",
			a + ".shops.example", "www." + a + ".shops.example",
		}
		for _, host := range spellings {
			first := at(host)
			assert.Contains(t, first.CacheStatus(), "uri-miss; stored", host)
			assert.Contains(t, at(host).CacheStatus(), "hit", host)
		}
		other := at(b + ".shops.example")
		assert.Contains(t, other.CacheStatus(), "stored")

		assert.Equal(t, 403, purge(b+".shops.example", "secret-of-a-"+a).Status, "another's secret")
		assert.Equal(t, 403, purge(a+".example", "secret-of-b-"+b).Status)
		done := purge("WWW."+a+".example:8443", "secret-of-a-"+a)
		require.Equal(t, 200, done.Status, done.Body)
		assert.Contains(t, done.Body, `"tenant":"`+a+`"`)
		for _, host := range spellings {
			assert.NotContains(t, at(host).CacheStatus(), "hit", "purged under all its names: %s", host)
		}
		assert.Contains(t, at(b+".shops.example").CacheStatus(), "hit", "another tenant's page stays")

		for host, reason := range map[string]string{
			"elsewhere.example":             "tenant",
			"nobody.shops.example":          "tenant", // it is not in the list
			"shops.example":                 "tenant",
			"www.shops.example":             "tenant",
			"x." + a + ".example":           "tenant",
			a + ".example.evil.example":     "tenant",
			a + ".shops.example.shops.test": "tenant",
		} {
			for i := 0; i < 2; i++ {
				got := at(host)
				assert.Equal(t, "odoocache; fwd=bypass; detail="+reason, got.CacheStatus(), host)
				assert.Equal(t, 200, got.Status)
				assert.Empty(t, got.Header["Surrogate-Key"])
			}
			refused := purge(host, "secret-of-a-"+a)
			assert.Equal(t, 404, refused.Status, host)
			assert.Contains(t, refused.Body, `"field":"Host"`)
		}
		for _, forwarded := range []string{b + ".shops.example", "elsewhere.example", a + ".example, " + b + ".shops.example"} {
			got := at(a+".example", "X-Forwarded-Host: "+forwarded)
			assert.Contains(t, got.CacheStatus(), "detail=tenant-ambiguous", forwarded)
		}
		assert.NotContains(t, at(a+".example", "X-Forwarded-Host: www."+a+".example").CacheStatus(), "tenant", "two names of one")
		assert.Equal(t, "odoocache; fwd=bypass; detail=tenant-ambiguous", at("elsewhere.example", "X-Forwarded-Host: "+a+".example").CacheStatus())
	})
}

// TestStrangersAreCleaned: what is handed on for nobody says nothing of this cache, and what its
// answer says to a cache is nobody's business.
func TestStrangersAreCleaned(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a := aLabel()
		s := manyTenants(t, load, site.Options{"file": members(t, "", map[string]interface{}{a: site.Options{"hosts": []string{a + ".example"}}})}, ownStorage())
		s.Answers(site.Page("x", "X-Odoo-Purge: product", "X-Odoo-Cache: max-age=60", "Xkey: product"))
		mark := site.Log.Mark()
		got := s.Get("/", "Host: elsewhere.example", "X-Odoo-Cache-Edge: made up", "X_Openerp_Session_Id: abc", "X-Odoo-Cache-Context: 0")
		assert.Equal(t, "x", got.Body)
		for _, name := range []string{"X-Odoo-Purge", "X-Odoo-Cache", "Xkey"} {
			assert.Empty(t, got.Header[name], name)
		}
		for _, name := range []string{"X-Odoo-Cache-Edge", "X_openerp_session_id", "X_Openerp_Session_Id", "X-Odoo-Cache-Context"} {
			assert.Empty(t, s.Request().Header[name], name)
		}
		assert.NotEmpty(t, site.Log.With("an answer purges, but its tenant is not known", mark))
		assert.Equal(t, 404, s.Do("PURGE", "/", "", "Host: elsewhere.example", "X-Odoocache-Secret: a-wrong-secret").Status)
		lines := site.Log.With("odoocache: no tenant: purge refused reason=tenant status=404 at=address key=none by=secret method=PURGE from=127.0.0.1", mark)
		assert.Len(t, lines, 1)
		assert.Empty(t, site.Log.With("a-wrong-secret", mark))
		head := s.Do("HEAD", "/", "", "Host: elsewhere.example")
		assert.Equal(t, "odoocache; fwd=bypass; detail=tenant", head.CacheStatus())
	})
}

// TestTenantsByHeader: a middleware in front says whose a request is. Two values, or none, are
// nobody's.
func TestTenantsByHeader(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b := aLabel(), aLabel()
		s := manyTenants(t, load, site.Options{"header": "X-Tenant"}, site.Options{"purge": site.Options{"secret": "the secret of all"}})
		get := func(lines ...string) string { return s.Get("/p", lines...).CacheStatus() }
		assert.Contains(t, get("X-Tenant: "+a), "stored")
		assert.Contains(t, get("X-Tenant: "+a), "hit")
		assert.Contains(t, get("X-Tenant: "+strings.ToUpper(a)), "hit", "names differ by more than their case")
		assert.Contains(t, get("X-Tenant: "+b), "stored", "of another tenant")
		for _, lines := range [][]string{nil, {"X-Tenant:"}, {"X-Tenant: " + a, "X-Tenant: " + b}, {"X-Tenant: " + a, "X-Tenant: " + a}, {"X-Tenant: " + a + "," + b}, {"X-Tenant: {x}"}, {"X-Tenant: -x"}} {
			assert.Equal(t, "odoocache; fwd=bypass; detail=tenant", get(lines...), "%q", lines)
		}

		own := config.TenantSecret("the secret of all", a)
		purge := func(name, secret string) int {
			return s.Do("POST", "/.odoocache/purge", `{"all":true}`, "X-Tenant: "+name, "Authorization: Bearer "+secret).Status
		}
		assert.Equal(t, 403, purge(a, "the secret of all"), "what all follow from is nobody's")
		assert.Equal(t, 403, purge(b, own))
		assert.Equal(t, 200, purge(a, own))
		assert.NotContains(t, get("X-Tenant: "+a), "hit")
		assert.Contains(t, get("X-Tenant: "+b), "hit")
		assert.Equal(t, []string{site.EdgeToken(own)}, func() []string {
			get("X-Tenant: "+a+"", "Cache-Control: no-cache")
			return s.Request().Header["X-Odoo-Cache-Edge"]
		}())
	})
}

// TestTenantsAreReadAgain: a list that changes counts without a reload; one with mistakes does
// not, and the log says so once. A tenant of which nothing changes keeps its pages.
func TestTenantsAreReadAgain(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b := aLabel(), aLabel()
		of := func(name, secret string) site.Options {
			return site.Options{"hosts": []string{name + ".example"}, "purge": site.Options{"secret": secret}}
		}
		file := members(t, "", map[string]interface{}{a: of(a, "first-secret-"+a)})
		s := manyTenants(t, load, site.Options{"file": file, "refresh": "20ms"}, nil)
		status := func(name string) string { return s.Get("/p", "Host: "+name+".example").CacheStatus() }
		purge := func(secret string) int {
			return s.Do("POST", "/.odoocache/purge", `{"tags":["other"]}`, "Host: "+a+".example", "Authorization: Bearer "+secret).Status
		}
		assert.Contains(t, status(a), "stored")
		assert.Contains(t, status(b), "detail=tenant")

		members(t, file, map[string]interface{}{a: of(a, "first-secret-"+a), b: of(b, "secret-of-b-"+b)})
		assert.Eventually(t, func() bool { return !strings.Contains(status(b), "detail=tenant") }, site.WaitFor, site.Tick)
		assert.Contains(t, status(a), "hit")

		members(t, file, map[string]interface{}{a: of(a, "second-secret-"+a), b: of(b, "secret-of-b-"+b)})
		time.Sleep(30 * time.Millisecond)
		assert.Equal(t, 403, purge("first-secret-"+a), "a control request waits for the list")
		assert.Equal(t, 200, purge("second-secret-"+a))
		assert.Contains(t, status(a), "hit", "the storage is the same")

		mark := site.Log.Mark()
		require.NoError(t, os.WriteFile(file, []byte(`{"`+a+`": {"hosts": "x"`), 0o600))
		time.Sleep(30 * time.Millisecond)
		for i := 0; i < 3; i++ {
			assert.Equal(t, 200, purge("second-secret-"+a), "the one before counts")
			time.Sleep(30 * time.Millisecond)
		}
		assert.Len(t, site.Log.With("the list of tenants is not read again", mark), 1)
		require.NoError(t, os.Remove(file))
		time.Sleep(30 * time.Millisecond)
		assert.Equal(t, 200, purge("second-secret-"+a))

		members(t, file, map[string]interface{}{b: of(b, "secret-of-b-"+b)})
		time.Sleep(30 * time.Millisecond)
		assert.Equal(t, 404, purge("second-secret-"+a), "it is no tenant any more")
		assert.NotEmpty(t, site.Log.With("the list of tenants can be read again", mark))
		assert.Contains(t, status(a), "detail=tenant")
		members(t, file, map[string]interface{}{a: of(a, "second-secret-"+a)})
		assert.Eventually(t, func() bool { return strings.Contains(status(a), "hit") }, site.WaitFor, site.Tick, "its pages are still there")
	})
}

// TestTenantsInRedis: a hash is a list, too. Until it can be read nothing is stored.
func TestTenantsInRedis(t *testing.T) {
	server := stack.StartServer(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer client.Close()
	site.Both(t, func(t *testing.T, load site.Loader) {
		a := aLabel()
		key := "oc:tenants-" + a
		o := site.Options{"redis": site.Options{"address": server.Address}}
		s := manyTenants(t, load, site.Options{"redis": key, "refresh": "20ms"}, o)
		status := func() string { return s.Get("/p", "Host: "+a+".example").CacheStatus() }
		assert.Contains(t, status(), "detail=tenants-unread", "the hash is empty")
		require.NoError(t, client.HSet(context.Background(), key, a, `{"hosts":["`+a+`.example"],"purge":{"secret":"secret-of-`+a+`"}}`).Err())
		assert.Eventually(t, func() bool { return strings.Contains(status(), "hit") }, site.WaitFor, site.Tick)
		mark := site.Log.Mark()
		require.NoError(t, client.HSet(context.Background(), key, a, `{"hosts":["bad host"]}`).Err())
		assert.Eventually(t, func() bool { status(); return len(site.Log.With(a+".hosts[0]", mark)) > 0 }, site.WaitFor, site.Tick)
		assert.Contains(t, status(), "hit")
		require.NoError(t, client.Del(context.Background(), key).Err())
		assert.Eventually(t, func() bool { status(); return len(site.Log.With("the list is empty", mark)) > 0 }, site.WaitFor, site.Tick)
		assert.Contains(t, status(), "hit", "it was lost: nobody takes all tenants away at once")
		require.NoError(t, client.HSet(context.Background(), key, "another-"+a, `{"hosts":["another.example"]}`).Err())
		assert.Eventually(t, func() bool { return strings.Contains(status(), "detail=tenant") }, site.WaitFor, site.Tick, "it is no tenant any more")

		away := manyTenants(t, load, site.Options{"redis": key}, site.Options{"redis": site.Options{"address": "127.0.0.1:1", "dialTimeout": "20ms"}})
		for i := 0; i < 3; i++ {
			got := away.Get("/p", "Host: "+a+".example")
			assert.Equal(t, "odoocache; fwd=bypass; detail=tenants-unread", got.CacheStatus())
			assert.Equal(t, 200, got.Status)
		}
	})
}

// TestTenantsAreBounded: more than tenants.max are not cached, and nobody else's pages go.
func TestTenantsAreBounded(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := manyTenants(t, load, site.Options{"hosts": []string{"{tenant}.shops.example"}, "max": "2"}, nil)
		a, b, c := aLabel(), aLabel(), aLabel()
		status := func(name string) string { return s.Get("/p", "Host: "+name+".shops.example").CacheStatus() }
		assert.Contains(t, status(a), "stored")
		assert.Contains(t, status(b), "stored")
		assert.Contains(t, status(c), "detail=tenant-limit")
		assert.Contains(t, status(a), "hit")
		assert.Contains(t, status(b), "hit")
	})
}

// TestTricksStayWithTheirTenant: whatever one tenant's visitors send, and its Odoo answers, another
// tenant's visitors get what their own Odoo says, and their pages stay.
func TestTricksStayWithTheirTenant(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b := aLabel(), aLabel()
		hostA, hostB := a+".shops.example", b+".shops.example"
		s := manyTenants(t, load, site.Options{"hosts": []string{"{tenant}.shops.example"}}, site.Options{"preset": "odoo", "purge": site.Options{"secret": "the secret of all"}})
		s.Answers(func(rw http.ResponseWriter, r *http.Request) { // an Odoo whose proxy says nothing but the host
			lines := []string{"Cache-Control: max-age=60", "X-Odoo-Cache: public, ttl=60", "Content-Type: text/html; charset=utf-8", "Surrogate-Key: product_1"}
			if strings.HasPrefix(strings.ToLower(r.Host), a) {
				for _, purge := range r.Header["X-Make-Purge"] {
					lines = append(lines, "X-Odoo-Purge: "+purge)
				}
			}
			site.Page(site.HTMLPage("rendered for "+strings.ToLower(r.Host)), lines...)(rw, r)
		})
		paths := []string{"/", "/shop", "/shop/desk-1", "/robots.txt"}
		for _, path := range paths {
			s.Get(path, "Host: "+hostB)
		}
		mine := func(why string) {
			for _, path := range paths {
				got := s.Get(path, "Host: "+hostB)
				require.Contains(t, got.Body, "rendered for "+hostB, "%s: %s", why, path)
				require.Contains(t, got.CacheStatus(), "; hit", "%s: %s", why, path)
			}
		}
		mine("before")
		fields := []string{
			"X-Forwarded-Host: " + hostB, "X-Host: " + hostB, "X-Forwarded-Server: " + hostB, "Forwarded: host=" + hostB, "X-Original-Url: //" + hostB + "/shop",
			"X-Rewrite-Url: http://" + hostB + "/shop", "X-Odoo-Database: " + b, "X-Odoo-Dbfilter: " + b, "Cookie: tenant=" + b, "Cookie: session_id=" + b + "}:e:" + b,
			"Accept-Language: " + b, "Range: bytes=0-1", "X-Tenant: " + b, "Host : " + hostB, "Referer: http://" + hostB + "/shop", "Origin: http://" + hostB,
			"X-Odoo-Cache-Edge: " + site.EdgeToken(config.TenantSecret("the secret of all", b)), "If-None-Match: *", "Transfer-Encoding: identity",
		}
		for _, path := range append(paths, "//"+hostB+"/shop", "/shop%00"+hostB, "/shop;"+hostB, "/shop%2f..%2f"+b, "/shop?x=1%20Host:"+hostB, "/{"+b+"}:e:x", "/shop%0d%0aHost:%20"+hostB, "/"+b, "/http://"+hostB+"/shop") {
			for _, host := range []string{hostA, strings.ToUpper(hostA), hostA + ".", hostA + ":80", "www." + hostA} {
				for _, field := range fields {
					if strings.Contains(field, "Host :") || strings.HasPrefix(field, "Transfer-Encoding") {
						continue // Go's client does not send it
					}
					got := s.Get(path, "Host: "+host, field)
					require.NotContains(t, got.Body, "rendered for "+hostB, "%s %s %s", host, path, field)
				}
			}
		}
		mine("after what visitors send")
		for _, purge := range []string{"*", "product_1", "product_1, *", "{" + b + "}", b, "//" + hostB + "/*", "/*", "/shop", "http://" + hostB + "/shop", "tenant:" + b, "oc:{" + b + "}:marks", "*;tenant=" + b} {
			s.Get("/web/dataset/call", "Host: "+hostA, "X-Make-Purge: "+purge)
			mine("after a purge of " + purge)
		}
		secret := config.TenantSecret("the secret of all", a)
		for _, body := range []string{`{"all":true}`, `{"paths":["//` + hostB + `/shop"]}`, `{"prefixes":["//` + hostB + `/"]}`, `{"tags":["product_1","*"]}`} {
			require.Equal(t, 200, s.Do("POST", "/.odoocache/purge", body, "Host: "+hostA, "Authorization: Bearer "+secret).Status, body)
			require.Equal(t, 403, s.Do("POST", "/.odoocache/purge", body, "Host: "+hostB, "Authorization: Bearer "+secret).Status, body)
			mine("after " + body)
		}
		for _, host := range []string{hostA + "@" + hostB, hostB + "@" + hostA, hostA + "#" + hostB, hostA + "," + hostB, hostB + "," + hostA, hostA + " " + hostB, hostB + "%00." + hostA} {
			req, err := http.NewRequest(http.MethodGet, s.URL+"/shop", nil)
			require.NoError(t, err)
			req.Host = host
			resp, err := site.PlainClient.Do(req)
			if err == nil { // most are refused by Go's client or server
				assert.NotContains(t, resp.Header.Get("Cache-Status"), "; hit", host)
				_ = resp.Body.Close()
			}
		}
		mine("at the end")
	})
}

// TestRetention: what Odoo and rules allow for longer is gone when its time is over, of a tenant
// that says so before that of others.
func TestRetention(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b := aLabel(), aLabel()
		file := members(t, "", map[string]interface{}{
			a: site.Options{"hosts": []string{a + ".example"}, "retention": "1s"},
			b: site.Options{"hosts": []string{b + ".example"}},
		})
		s := manyTenants(t, load, site.Options{"file": file}, site.Options{"retention": "1h"})
		s.Answers(site.Page("x", "Cache-Control: max-age=86400, stale-while-revalidate=86400, stale-if-error=86400", `ETag: "a"`))
		at := func(name string) string { return s.Get("/p", "Host: "+name+".example").CacheStatus() }
		assert.Equal(t, "odoocache; fwd=uri-miss; stored; ttl=3600", at(b))
		first := at(a)
		assert.Contains(t, first, "stored")
		assert.Contains(t, at(a), "hit")
		time.Sleep(1100 * time.Millisecond)
		assert.Contains(t, at(a), "fwd=uri-miss", "nothing is left of it: neither stale nor to be confirmed")
		assert.Contains(t, at(b), "hit")
	})
}

// TestTenantsHaveKeysOfTheirOwn: of many tenants each is encrypted by its own key, and one without
// a key is not cached.
func TestTenantsHaveKeysOfTheirOwn(t *testing.T) {
	server := stack.StartServer(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b := aLabel(), aLabel()
		dir := t.TempDir()
		all := keyFile(t, filepath.Join(dir, "all"), "1")
		keyFile(t, filepath.Join(dir, "own", a), "2")
		file := members(t, "", map[string]interface{}{a: site.Options{"hosts": []string{a + ".example"}}, b: site.Options{"hosts": []string{b + ".example"}}})
		s := manyTenants(t, load, site.Options{"file": file}, site.Options{
			"redis": site.Options{"address": server.Address, "timeout": "5s"}, "encryption": site.Options{"keys": []string{all}, "tenantKeys": filepath.Join(dir, "own")},
		})
		at := func(name string) string { return s.Get("/p", "Host: "+name+".example").CacheStatus() }
		mark := site.Log.Mark()
		assert.Contains(t, at(a), "stored")
		assert.Contains(t, at(a), "hit")
		for i := 0; i < 2; i++ {
			assert.Equal(t, "odoocache; fwd=bypass; detail=store-key", at(b))
		}
		assert.NotEmpty(t, site.Log.With("tenant "+b+": encryption.tenantKeys", mark))
		assert.Len(t, server.Entries(a), 1)
		assert.Empty(t, server.Entries(b))
	})
}

// TestAReloadGoesOnWithTheList: what Traefik makes anew while a list cannot be read goes by the last
// one of this process.
func TestAReloadGoesOnWithTheList(t *testing.T) {
	server := stack.StartServer(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	defer client.Close()
	site.Both(t, func(t *testing.T, load site.Loader) {
		a := aLabel()
		list := map[string]interface{}{a: site.Options{"hosts": []string{a + ".example"}, "purge": site.Options{"secret": "secret-of-" + a}}}
		file := members(t, "", list)
		key := "oc:reload-" + a
		require.NoError(t, client.HSet(context.Background(), key, a, `{"hosts":["`+a+`.example"]}`).Err())
		for name, tenants := range map[string]site.Options{"file": {"file": file}, "hash": {"redis": key}} {
			o := site.Options{"redis": site.Options{"address": server.Address, "timeout": "5s"}}
			first := manyTenants(t, load, tenants, o)
			first.Get("/p", "Host: "+a+".example")
			require.NoError(t, os.WriteFile(file, []byte(`{"`+a+`": {`), 0o600))
			require.NoError(t, client.Del(context.Background(), key).Err())
			second := manyTenants(t, load, tenants, o) // else: an error, and the routers answer 404
			assert.Contains(t, second.Get("/p", "Host: "+a+".example").CacheStatus(), "hit", name)
			members(t, file, list)
			require.NoError(t, client.HSet(context.Background(), key, a, `{"hosts":["`+a+`.example"]}`).Err())
		}
	})
}

// TestTenantsThatComeBack: what was purged while a tenant was away, or a host another's, is not
// known, so it begins with everything purged. One of which nothing changes keeps its pages.
func TestTenantsThatComeBack(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b, c := aLabel(), aLabel(), aLabel()
		list := func(pairs ...string) map[string]interface{} {
			all := map[string]interface{}{c: site.Options{"hosts": []string{c + ".example"}}}
			for i := 0; i < len(pairs); i += 2 {
				all[pairs[i]] = site.Options{"hosts": []string{pairs[i+1] + ".example"}}
			}
			return all
		}
		file := members(t, "", list(a, a, b, b))
		s := manyTenants(t, load, site.Options{"file": file, "refresh": "20ms"}, ownStorage())
		at := func(name string) string { return s.Get("/p", "Host: "+name+".example").CacheStatus() }
		takes := func(text, name string) { // until the list is read
			t.Helper()
			assert.Eventually(t, func() bool { return strings.Contains(at(name), text) }, site.WaitFor, site.Tick)
		}
		for _, name := range []string{a, b, c} {
			assert.Contains(t, at(name), "stored")
		}
		members(t, file, list(b, b))
		takes("detail=tenant", a)
		mark := site.Log.Mark()
		s.Answers(site.Page("x", "X-Odoo-Purge: *", "Cache-Control: max-age=60"))
		s.Get("/changes", "Host: "+a+".example")
		assert.NotEmpty(t, site.Log.With("an answer purges, but its tenant is not known by the request (host "+a+".example)", mark))
		s.Answers(whoIs)
		before := s.Renders()
		members(t, file, list(a, a, b, b))
		takes("hit", a)
		assert.Contains(t, at(b), "hit", "nothing of it has changed")
		own := s.Renders() - before
		assert.GreaterOrEqual(t, own, 1, "it was asked for anew")

		for _, swapped := range [][]string{{a, b, b, a}, {a, a, b, b}} {
			before = s.Renders()
			members(t, file, list(swapped...))
			assert.Eventually(t, func() bool { at(a); at(b); return s.Renders() >= before+2 }, site.WaitFor, site.Tick, "both are asked for anew: %v", swapped)
			takes("hit", a)
			takes("hit", b)
		}
		assert.Contains(t, at(c), "hit")
	})
}
