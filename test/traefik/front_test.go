package traefik_test

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // one of the forms that basicAuth reads
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// recipe is a snippet of docs/deployment.md below a heading, with addresses of this test in the
// place of those that it names.
func recipe(t *testing.T, heading string, replace ...string) string {
	t.Helper()
	_, section, found := strings.Cut(site.Document(t, "docs/deployment.md"), "\n## "+heading+"\n")
	require.True(t, found, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	_, snippet, found := strings.Cut(section, "```yaml\n")
	require.True(t, found, heading)
	snippet, _, _ = strings.Cut(snippet, "```")
	for i := 0; i < len(replace); i += 2 {
		require.Contains(t, snippet, replace[i])
		snippet = strings.ReplaceAll(snippet, replace[i], replace[i+1])
	}
	return snippet
}

// basicUser is a line of basicAuth's users, and basicField what the user sends.
func basicUser(name, password string) string {
	sum := sha1.Sum([]byte(password)) //nolint:gosec // see above
	return name + ":{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
}

func basicField(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// TestTraefikSignInAtTheEdge: who may pass the check gets hits, whoever they are; nobody else
// gets anything, and Odoo is told nothing of it.
func TestTraefikSignInAtTheEdge(t *testing.T) {
	server := stack.StartRedis(t)
	ann, bob := basicField("ann", "secret-a"), basicField("bob", "secret-b")
	check := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		if field := "Authorization: " + r.Header.Get("Authorization"); field != ann && field != bob {
			rw.WriteHeader(http.StatusUnauthorized)
		}
	})
	users := []string{basicUser("ann", "secret-a"), basicUser("bob", "secret-b")}
	for name, c := range map[string]struct {
		check, cache site.Options
		hits         bool
	}{
		"basicAuth that removes the field": {site.Options{"basicAuth": site.Options{"users": users, "removeHeader": true}}, nil, true},
		"basicAuth, and authorization":     {site.Options{"basicAuth": site.Options{"users": users}}, site.Options{"authorization": "remove"}, true},
		"basicAuth alone":                  {site.Options{"basicAuth": site.Options{"users": users}}, nil, false},
		"forwardAuth alone":                {site.Options{"forwardAuth": site.Options{"address": check.URL}}, nil, false},
		"the recipe":                       {},
	} {
		t.Run(name, func(t *testing.T) {
			var told atomic.Int64
			origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					told.Add(1)
				}
				if r.Method == http.MethodPost { // Traefik alone cuts a few answers to POST short if they are long
					http.Redirect(rw, r, "/shop/cart", http.StatusSeeOther)
					return
				}
				odooPage("a page")(rw, r)
			})
			tenant := strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			var dynamic string
			if c.check == nil {
				c.hits = true
				dynamic = recipe(t, "Sign-in at the edge", "http://127.0.0.1:8069", origin.URL, "http://127.0.0.1:9000/check", check.URL, "127.0.0.1:6379", server.Address)
			} else {
				dynamic = edited(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": site.Merge(shopOf(tenant, server), c.cache)}), func(parts map[string]interface{}) {
					parts["middlewares"].(map[string]interface{})["check"] = c.check
					for _, router := range parts["routers"].(map[string]interface{}) {
						router.(map[string]interface{})["middlewares"] = []string{"check", "shop-example"}
					}
				})
			}
			p := stack.StartTraefik(t, dynamic)
			p.Until("the shop is there", func() bool { return p.Get("/shop").Status == http.StatusUnauthorized })
			if c.hits { // Redis is there, on slow machines, too
				p.Until("pages are stored", func() bool { return strings.Contains(p.Get("/contactus", ann).CacheStatus(), "; hit") })
			}
			before := origin.Renders()
			first := p.Get("/shop", ann)
			require.Equal(t, http.StatusOK, first.Status)
			for i := 0; i < 3; i++ {
				for _, who := range []string{ann, bob} {
					got := p.Get("/shop", who)
					require.Equal(t, first.Body, got.Body)
					if c.hits {
						assert.Contains(t, got.CacheStatus(), "; hit", who)
					} else {
						assert.Contains(t, got.CacheStatus(), "detail=authorization", who)
					}
				}
				assert.Equal(t, http.StatusUnauthorized, p.Get("/shop").Status)
				assert.Equal(t, http.StatusUnauthorized, p.Get("/shop", basicField("ann", "wrong")).Status)
			}
			p.Get("/my/home", ann)
			p.Do(http.MethodPost, "/shop/cart/add", "a=b", ann)
			if c.hits {
				assert.Contains(t, first.CacheStatus(), "stored")
				assert.Equal(t, 3, origin.Renders()-before)
				assert.Zero(t, told.Load())
			} else {
				assert.Equal(t, int64(9), told.Load())
			}
		})
	}
}

// TestTraefikCDNInFront: what a CDN adds to requests makes no page of its own, it gets what any
// client gets, and is told nothing that is the cache's.
func TestTraefikCDNInFront(t *testing.T) {
	server := stack.StartRedis(t)
	var saw atomic.Value
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		saw.Store(r.Header.Clone())
		odooPage("a page", "Surrogate-Key: desk", "Cache-Tag: desk", "Cache-Control: no-cache", "CDN-Cache-Control: max-age=60")(rw, r)
	})
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": shopOf("cdn", server)}),
		"--entryPoints.web.forwardedHeaders.trustedIPs=127.0.0.1/32")
	cdn := stack.StartNginx(t, p.URL, `proxy_http_version 1.1; proxy_set_header Via "1.1 cdn"; proxy_set_header CDN-Loop cdn;`)
	first := ""
	for i := 0; i < 6; i++ {
		lines := []string{
			"Host: shop.example", "X-Forwarded-Proto: https", fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i), fmt.Sprintf("CF-Ray: %d-FRA", i), fmt.Sprintf("CF-Connecting-IP: 203.0.113.%d", i),
			"CF-IPCountry: FR", "Cookie: " + fmt.Sprintf("__cf_bm=%d; _cfuvid=%d", i, i), "Accept-Encoding: gzip, br", `CF-Visitor: {"scheme":"https"}`, fmt.Sprintf("True-Client-IP: 203.0.113.%d", i),
		}
		got, err := site.Send(http.MethodGet, cdn+"/shop", "", site.Fields(lines...))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, got.Status)
		if i == 0 {
			first = plainText(t, got)
			assert.Contains(t, got.CacheStatus(), "stored")
			assert.Empty(t, saw.Load().(http.Header)["Cf-Ray"])
			assert.NotContains(t, strings.Join(saw.Load().(http.Header)["X-Forwarded-For"], ","), "203.0.113.")
		} else {
			assert.Contains(t, got.CacheStatus(), "; hit", "%d", i)
		}
		assert.Equal(t, first, plainText(t, got))
		assert.Equal(t, []string{"gzip"}, got.Header["Content-Encoding"])
		assert.Equal(t, "max-age=60", got.Header.Get("Cdn-Cache-Control"))
		for _, name := range []string{"Surrogate-Key", "Cache-Tag", "Set-Cookie"} {
			assert.Empty(t, got.Header[name])
		}
		again, err := site.Send(http.MethodGet, cdn+"/shop", "", site.Fields(append(lines, "If-None-Match: "+got.Header.Get("Etag"))...))
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotModified, again.Status)
		part, err := site.Send(http.MethodGet, cdn+"/shop", "", site.Fields(append(lines, "Range: bytes=0-5")...))
		require.NoError(t, err)
		assert.Equal(t, http.StatusPartialContent, part.Status)
		assert.Equal(t, first[:6], part.Body)
	}
	assert.Equal(t, 1, origin.Renders())
}

// askByHTTP3 sends a GET by HTTP/3.
func askByHTTP3(t *testing.T, client, url string, lines ...string) site.Reply {
	t.Helper()
	cmd := exec.Command(client, append([]string{url}, lines...)...)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	require.NoError(t, err, failed.String())
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return site.Reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

// TestTraefikHTTP3: an entry point with HTTP/3 shares its pages with those over TLS.
func TestTraefikHTTP3(t *testing.T) {
	server := stack.StartRedis(t)
	client := filepath.Join(t.TempDir(), "http3")
	build := exec.Command("go", "build", "-o", client, ".")
	build.Dir = source.Path("test/stack/http3")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("the client cannot be built: %s", out)
	}
	origin := stack.NewBackend(t, odooPage("a page"))
	p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": shopOf("http3", server)}), "--entryPoints.secure.http3=true")
	first := askByHTTP3(t, client, p.TLS+"/shop", "Host: shop.example", "Accept-Encoding: gzip")
	require.Contains(t, first.CacheStatus(), "stored")
	for i := 0; i < 3; i++ {
		got := askByHTTP3(t, client, p.TLS+"/shop", "Host: shop.example", "Accept-Encoding: gzip")
		assert.Contains(t, got.CacheStatus(), "; hit")
		assert.Equal(t, plainText(t, first), plainText(t, got))
	}
	r, err := http.NewRequest(http.MethodGet, p.TLS+"/shop", nil)
	require.NoError(t, err)
	r.Host = "shop.example"
	resp, err := stack.SecureClient().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, 2, resp.ProtoMajor)
	assert.Contains(t, resp.Header.Get("Cache-Status"), "; hit")
	assert.NotEmpty(t, resp.Header["Alt-Svc"])
	assert.Equal(t, http.StatusNotModified, askByHTTP3(t, client, p.TLS+"/shop", "Host: shop.example", "Accept-Encoding: gzip", "If-None-Match: "+first.Header.Get("Etag")).Status)
	assert.Contains(t, p.Get("/shop").CacheStatus(), "uri-miss", "the scheme is part of the key")
	assert.Equal(t, 2, origin.Renders())
}

// encodedNames are the characters that Traefik can refuse in a path, with the end of its option.
var encodedNames = map[string]string{
	"%2F": "Slash", "%5C": "BackSlash", "%00": "NullCharacter", "%3B": "Semicolon", "%25": "Percent", "%3F": "QuestionMark", "%23": "Hash",
}

// TestTraefikEncodedCharacters: what Traefik refuses reaches neither the cache nor Odoo; of what
// it lets through, nothing is stored that servers read differently, and the rest has a key of
// its own.
func TestTraefikEncodedCharacters(t *testing.T) {
	server := stack.StartRedis(t)
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) { odooPage("path "+r.RequestURI)(rw, r) })
	dynamic := stack.Routed(origin.URL, map[string]site.Options{"shop.example": shopOf("encoded", server)})
	t.Run("let through", func(t *testing.T) {
		var flags []string
		for _, name := range encodedNames {
			flags = append(flags, "--entryPoints.web.http.encodedCharacters.allowEncoded"+name+"=true")
		}
		p := stack.StartTraefik(t, dynamic, flags...)
		for code, name := range encodedNames {
			path := "/about" + code + "b"
			first, next := p.Get(path), p.Get(path)
			require.Equal(t, http.StatusOK, first.Status, name)
			require.Equal(t, plainText(t, first), plainText(t, next))
			require.Contains(t, first.Body, "path "+path+" ")
			switch code {
			case "%25", "%3F", "%23":
				assert.Contains(t, next.CacheStatus(), "; hit", name)
				plain := strings.ReplaceAll(path, code, map[string]string{"%25": "%2525", "%3F": "?", "%23": ""}[code])
				assert.NotEqual(t, first.Body, p.Get(plain).Body, "another page")
			default:
				assert.Regexp(t, "detail=(target|rule)$", first.CacheStatus(), name)
				assert.Regexp(t, "detail=(target|rule)$", next.CacheStatus(), name)
			}
		}
	})
	refused := func(t *testing.T, p *stack.Traefik) {
		t.Helper()
		p.Until("the shop is there", func() bool { return p.Get("/blog/a").Status == http.StatusOK })
		before := origin.Renders()
		for code, name := range encodedNames {
			for i := 0; i < 2; i++ {
				got := p.Get("/blog/a" + code + "b")
				assert.Equal(t, http.StatusBadRequest, got.Status, name)
				assert.Empty(t, got.CacheStatus(), name)
			}
		}
		assert.Contains(t, p.Get("/blog/a?b=%2F%25").CacheStatus(), "odoocache", "a query is not looked at")
		assert.LessOrEqual(t, origin.Renders()-before, 1)
	}
	t.Run("refused by the entry point", func(t *testing.T) {
		var flags []string
		for _, name := range encodedNames {
			flags = append(flags, "--entryPoints.web.http.encodedCharacters.allowEncoded"+name+"=false")
		}
		refused(t, stack.StartTraefik(t, dynamic, flags...))
	})
	t.Run("refused by the middleware", func(t *testing.T) {
		refused(t, stack.StartTraefik(t, edited(t, dynamic, func(parts map[string]interface{}) {
			parts["middlewares"].(map[string]interface{})["strict"] = site.Options{"encodedCharacters": site.Options{"allowEncodedSlash": false}}
			for _, router := range parts["routers"].(map[string]interface{}) {
				router.(map[string]interface{})["middlewares"] = []string{"strict", "shop-example"}
			}
		})))
	})
}
