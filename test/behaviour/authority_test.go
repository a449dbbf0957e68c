package behaviour_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

const (
	formerSecret  = "the secret of before"
	currentSecret = "the secret of today!"
)

// TestTwoSecrets: while a secret is changed, the one before it counts as well, in each of the
// ways in which a secret is shown; no other does.
func TestTwoSecrets(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		for _, c := range []struct {
			name  string
			purge site.Options
			takes map[string]bool // by secret
		}{
			{"one", site.Options{"secret": currentSecret}, map[string]bool{currentSecret: true}},
			{"two", site.Options{"secret": currentSecret, "previousSecret": formerSecret}, map[string]bool{currentSecret: true, formerSecret: true}},
			{"two, from here", site.Options{"secret": currentSecret, "previousSecret": formerSecret, "networks": []string{"127.0.0.1"}}, map[string]bool{currentSecret: true, formerSecret: true}},
			{"two, from elsewhere", site.Options{"secret": currentSecret, "previousSecret": formerSecret, "networks": []string{"10.0.0.0/8"}}, nil},
		} {
			s := site.New(t, load, site.Options{"purge": c.purge}, site.Page("x"))
			for _, secret := range []string{currentSecret, formerSecret, "the secret of nobody", "", "the secret of befor", formerSecret + "x", strings.ToUpper(formerSecret), formerSecret + currentSecret} {
				want := 403
				if c.takes[secret] {
					want = 200
				}
				g := purgeSignature(s)
				g.secret = secret
				asked := purgeSignature(s)
				asked.secret, asked.method, asked.target, asked.body = secret, "GET", "/.odoocache/status", ""
				for way, got := range map[string]site.Reply{
					"Bearer":         s.Do("POST", "/.odoocache/purge", g.body, "Authorization: Bearer "+secret),
					"header":         s.Do("POST", "/.odoocache/purge", g.body, "X-Odoocache-Secret: "+secret),
					"PURGE":          s.Do("PURGE", "/shop", "", "X-Odoocache-Secret: "+secret),
					"status":         s.Get("/.odoocache/status", "Authorization: Bearer "+secret),
					"signature":      s.Do("POST", "/.odoocache/purge", g.body, g.line()),
					"status, signed": s.Get("/.odoocache/status", asked.line()),
				} {
					assert.Equal(t, want, got.Status, "%s: %s: %q", c.name, way, secret)
				}
				assert.Equal(t, 403, s.Do("PURGE", "/shop", "", "X-Odoocache-Secret: nonsense", "Authorization: Bearer "+secret).Status, "%s: %q", c.name, secret)
			}
		}
	})
}

// TestTheEdgeIsKnownByBothSecrets: an Odoo that has not heard of the new one puts tags on what
// it renders meanwhile, too.
func TestTheEdgeIsKnownByBothSecrets(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"purge": site.Options{"secret": currentSecret, "previousSecret": formerSecret}}, site.Page("x"))
		s.Get("/", "X-Odoo-Cache-Edge: made up")
		assert.Equal(t, []string{site.EdgeToken(currentSecret) + ", " + site.EdgeToken(formerSecret)}, s.Request().Header["X-Odoo-Cache-Edge"])
	})
}

// edgeOf starts one more middleware of a site, with other options for its purges, as a reload does.
func edgeOf(t *testing.T, load site.Loader, s *site.Site, purge site.Options) *site.Site {
	t.Helper()
	o := site.Merge(s.Options, site.Options{"purge": purge})
	handler, err := load(context.Background(), http.HandlerFunc(s.Serve), o)
	require.NoError(t, err)
	server := httptest.NewServer(site.Forwarded(handler))
	t.Cleanup(server.Close)
	return &site.Site{T: t, URL: server.URL, Options: o}
}

// TestASecretIsChangedWithoutLosingAPurge goes through the recipe of docs/purging.md: at each
// step each purge of Odoo, which signs with what it knows, is carried out, once.
func TestASecretIsChangedWithoutLosingAPurge(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := shop(t, load, site.Options{"purge": site.Options{"secret": formerSecret}})
		during := edgeOf(t, load, s, site.Options{"secret": currentSecret, "previousSecret": formerSecret})
		after := edgeOf(t, load, s, site.Options{"secret": currentSecret})
		sign := func(secret string) signature {
			g := purgeSignature(s)
			g.secret, g.host = secret, "shop.example"
			return g
		}
		send := func(edge *site.Site, g signature) site.Reply {
			return edge.Do("POST", g.target, g.body, g.line(), "Host: shop.example")
		}
		numbers := []int64{}
		sent := []signature{}
		for i, step := range []struct {
			edge   *site.Site
			secret string
		}{{s, formerSecret}, {during, formerSecret}, {during, currentSecret}, {after, currentSecret}} {
			g := sign(step.secret)
			got := send(step.edge, g)
			require.Equal(t, 200, got.Status, "step %d: %s", i, got.Body)
			var done struct{ Sequence int64 }
			require.NoError(t, json.Unmarshal([]byte(got.Body), &done))
			numbers, sent = append(numbers, done.Sequence), append(sent, g)
		}
		for i := 1; i < len(numbers); i++ {
			assert.Equal(t, numbers[i-1]+1, numbers[i], "each was carried out")
		}
		for i, g := range sent {
			for name, edge := range map[string]*site.Site{"during": during, "after": after} {
				got := send(edge, g)
				assert.Equal(t, 403, got.Status, "%d again, %s", i, name)
				if name == "during" {
					assert.Contains(t, got.Body, "used before")
				}
			}
		}
		assert.Equal(t, 403, send(after, sign(formerSecret)).Status, "the former one is nobody's now")

		g := sign(formerSecret)
		require.Equal(t, 200, send(during, g).Status)
		g.secret = currentSecret
		again := send(during, g)
		assert.Equal(t, 403, again.Status, "two secrets do not make two of a nonce")
		assert.Contains(t, again.Body, "used before")
	})
}

// neighbours are two tenants with the same pages on the same hosts, in one storage. Their names
// begin alike, and have all that names may have.
func neighbours(t *testing.T, load site.Loader, storage site.Options) (a, b *site.Site) {
	t.Helper()
	base := fmt.Sprintf("n%d", site.Tenants.Add(1))
	of := func(tenant, secret string) *site.Site {
		return shop(t, load, site.Merge(storage, site.Options{"tenant": tenant, "purge": site.Options{"secret": secret, "previousSecret": secret + "-former"}}))
	}
	return of(base, "the secret of one"), of(base+".de-t_p", "the secret of the other")
}

// reaching are items of purges that would be another tenant's if a delimiter could be written.
func reaching(tenant string) []string {
	var list []string
	for _, item := range []string{
		"%s", "%s page-shop", "%s:page-shop", "%s/page-shop", "%s|page-shop", "}:%s:page-shop", "{%s}", "oc:{%s}:p", "oc:{%s}:*", "}oc:{%s", "t%s", "ht%s", "%s*",
		"../%s/shop", "//%s/shop", "/../../%s/shop", "/%s/*", "//%s/*", "http://%s/shop", "/shop?tenant=%s", "/shop#%s", "/shop%%00%s", "/%%0a%s", "%%0d%%0aX-Odoo-Purge:%%20*", "*:%s", "%s:*",
	} {
		list = append(list, strings.ReplaceAll(strings.ReplaceAll(item, "%s", tenant), "%%", "%"))
	}
	return append(list, "page-shop", "website-1", "/shop", "/", "/*", "//*", "*")
}

// reachesNobodyElse has a tenant purge all that it can name, in every way, and looks at what is
// left of another.
func reachesNobodyElse(t *testing.T, a, b *site.Site) {
	t.Helper()
	whole := func(what string) {
		t.Helper()
		require.Equal(t, shopPaths, left(b), what)
	}
	items := reaching(b.Options["tenant"].(string))
	old := a.Answer
	for _, header := range []string{"X-Odoo-Purge: ", "X-Odoo-Purge: stale ", `Cache-Group-Invalidation: `} {
		for _, item := range items {
			line := header + item
			if strings.HasPrefix(header, "Cache") {
				line = header + `"` + item + `"`
			}
			a.Answers(site.Page("done", line, "X-Odoo-Cache-Tenant: "+b.Options["tenant"].(string)))
			a.Do(http.MethodPost, "/web/dataset/call_kw", "{}")
		}
		whole(header)
	}
	a.Answers(old)

	own := a.Options["purge"].(site.Options)["secret"].(string)
	for _, secret := range []string{own, own + "-former"} {
		key := "X-Odoocache-Secret: " + secret
		for _, part := range []string{"tags", "paths", "prefixes"} {
			for _, item := range items {
				body, err := json.Marshal(map[string]interface{}{part: []string{item}})
				require.NoError(t, err)
				a.Do("POST", "/.odoocache/purge", string(body), key)
			}
			whole(part)
		}
		for _, item := range items {
			a.Do("POST", "/.odoocache/purge", "", key, "X-Odoo-Purge: "+item)
		}
		for _, body := range []string{`{"all":true}`, `{"all":true,"soft":true}`, `{"all":true,"tenant":"` + b.Options["tenant"].(string) + `"}`} {
			a.Do("POST", "/.odoocache/purge", body, key)
		}
		a.Do("PURGE", "/shop", "", key)
		a.Do("PURGE", "/shop", "", key, "Host: "+strings.TrimPrefix(b.URL, "http://"))
		whole("by request")
		for _, way := range []string{key, "Authorization: Bearer " + secret} {
			assert.Equal(t, 403, b.Do("POST", "/.odoocache/purge", `{"all":true}`, way).Status, "the other's endpoint")
			assert.Equal(t, 403, b.Do("PURGE", "/shop", "", way).Status)
			assert.Equal(t, 403, b.Get("/.odoocache/status", way).Status)
		}
		for _, tenant := range []string{a.Options["tenant"].(string), b.Options["tenant"].(string)} {
			g := purgeSignature(b)
			g.secret, g.tenant, g.body = secret, tenant, `{"all":true}`
			assert.Equal(t, 403, b.Do("POST", g.target, g.body, g.line()).Status, "signed for %s", tenant)
			if tenant != a.Options["tenant"] {
				assert.Equal(t, 403, a.Do("POST", g.target, g.body, g.line(), "Host: "+g.host).Status, "signed for the other, sent here")
			}
		}
		whole("at the other's endpoint")
	}
	got := a.Do("POST", "/.odoocache/purge", `{"all":true}`, "X-Odoocache-Secret: "+own)
	require.Equal(t, 200, got.Status)
	assert.Empty(t, left(a), "its own are gone")
	whole("all")
}

// TestATenantPurgesItsOwn: tenants share a storage, and no purge of one reaches another.
func TestATenantPurgesItsOwn(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b := neighbours(t, load, site.Options{})
		reachesNobodyElse(t, a, b)
		b, a = neighbours(t, load, site.Options{}) // the one with the longer name asks
		reachesNobodyElse(t, a, b)
	})
}

// TestATenantPurgesItsOwnInRedis is the same with one Redis.
func TestATenantPurgesItsOwnInRedis(t *testing.T) {
	server := stack.StartServer(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		a, b := neighbours(t, load, site.Options{"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"}})
		reachesNobodyElse(t, a, b)
	})
}
