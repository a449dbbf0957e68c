package odoo

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
)

// TestOdooPages: whoever comes through the cache gets the page that Odoo gives
// directly, the first time and the second, on both websites and in both languages.
func TestOdooPages(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	paths := odoo.Pages(t)
	for _, site := range []struct{ name, host, prefix string }{
		{"English", ShopHost, ""}, {"French", ShopHost, "/fr"}, {"second website", secondHost, ""},
	} {
		for _, p := range odooPages {
			t.Run(site.name+"/"+p.kind, func(t *testing.T) {
				path := site.prefix + paths[p.kind]
				// Odoo's second answer is the one to compare with: after the first some pages
				// come from its own page cache.
				odoo.Visitor(t, site.host).Get(path)
				want := odoo.Visitor(t, site.host).Get(path)
				for i := 0; i < 2; i++ {
					got := e.Visitor(site.host).Get(path)
					assert.Equal(t, want.Status, got.Status)
					assert.Equal(t, ownHeaders(want), ownHeaders(got))
					requireSame(t, viewCount.ReplaceAllString(want.Body, "$1"), viewCount.ReplaceAllString(got.Body, "$1"), path+" is not as Odoo answers: "+got.CacheStatus())
				}
			})
		}
	}
}

// viewCount is where a question of the forum shows how often it was opened
// (website_forum, forum.post.views), which each view raises.
var viewCount = regexp.MustCompile(`<span class="small">\d+</span>(\s*<span class="text-muted small">\s*(Views|Vues))`)

// ownHeaders are the headers by which a response is understood, without those
// that each connection, visitor and moment has of its own, and those that the cache
// adds since it can give text in gzip. The length is checked with the body.
func ownHeaders(r site.Reply) http.Header {
	h := r.Header.Clone()
	for _, name := range []string{"Date", "Server", "Connection", "Set-Cookie", "Cache-Status", "Age", "Expires", "Content-Length"} {
		h.Del(name)
	}
	if h.Get("Vary") == "Accept-Encoding" { // Odoo sends none
		h.Del("Vary")
	}
	if strings.HasPrefix(h.Get("ETag"), `"oc-`) {
		h.Del("ETag")
	}
	return h
}

// TestOdooAssets: what a page loads from bundles and modules' files comes from the
// cache, and no session with it.
func TestOdooAssets(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	home := odoo.Visitor(t, ShopHost).Get("/")
	paths := append(addresses(home.Body, `/web/assets/.+\.(css|js)`), addresses(home.Body, `/[a-z_]+/static/.+`)...)
	require.NotEmpty(t, addresses(home.Body, `/web/assets/.+\.css`))
	require.NotEmpty(t, addresses(home.Body, `/web/assets/.+\.js`))
	paths = append(paths, "/website/static/src/img/snippets_demo/s_banner.jpg")
	e.givesFiles(t, paths)
}

// givesFiles checks that files are stored for one visitor and given to the next as
// Odoo has them.
func (e *Edge) givesFiles(t *testing.T, paths []string) {
	t.Helper()
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			want := e.odoo.Visitor(t, ShopHost).Get(path)
			require.Equal(t, http.StatusOK, want.Status)
			assert.Contains(t, e.Visitor(ShopHost).Get(path).CacheStatus(), "; stored")
			hit := e.Visitor(ShopHost).Get(path)
			assert.Contains(t, hit.CacheStatus(), "; hit;")
			assert.Empty(t, hit.Header["Set-Cookie"])
			assert.Equal(t, ownHeaders(want), ownHeaders(hit))
			assert.True(t, want.Body == hit.Body, "the bytes are Odoo's")
		})
	}
}

// TestOdooNeverStored: what belongs to one visitor is neither stored nor answered
// from the cache, whoever asks.
func TestOdooNeverStored(t *testing.T) {
	eachVersion(t, func(t *testing.T, v *version, odoo *Site) {
		e := odoo.Behind(t, nil)
		product := v.product(t, odoo)
		people := map[string]*Visitor{"new": e.Visitor(ShopHost)}
		for _, user := range []string{"portal", "admin"} {
			people[user] = e.Visitor(ShopHost)
			people[user].SignIn(user)
		}
		before := e.stored()
		for _, path := range v.private {
			path = strings.Replace(path, "PRODUCT", product, 1)
			t.Run(path, func(t *testing.T) {
				for name, v := range people {
					for i := 0; i < 2; i++ {
						r := v.Get(path)
						assert.NotContains(t, r.CacheStatus(), "; hit", name)
						assert.NotContains(t, r.CacheStatus(), "; stored", name)
						assert.NotEmpty(t, r.CacheStatus(), name)
					}
				}
			})
		}
		assert.Equal(t, before, e.stored(), "entries in Redis")

		t.Run("signed in", func(t *testing.T) {
			for _, user := range []string{"portal", "admin"} {
				for _, path := range []string{"/", "/shop", product, "/blog", "/contactus"} {
					r := people[user].Get(path)
					assert.Regexp(t, v.signedIn, r.Body, "%s sees %s as the user that they are", user, path)
					assert.NotContains(t, r.CacheStatus(), "; hit")
					assert.NotContains(t, r.CacheStatus(), "; stored")
					fresh := e.Visitor(ShopHost).Get(path)
					assert.Regexp(t, v.nobody, fresh.Body, "a new visitor sees %s as nobody: %s", path, fresh.CacheStatus())
				}
			}
		})
	})
}

var (
	websiteOf  = regexp.MustCompile(`data-website-id="(\d+)"`)
	languageOf = regexp.MustCompile(`<html lang="([A-Za-z-]+)"`)
)

// TestOdooWebsitesAndLanguages: a page is that of the website and the language
// that were asked for, in whatever order visitors come; robots.txt and the
// sitemap, which a rule lets in, name the host that was asked for.
func TestOdooWebsitesAndLanguages(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, site.Options{"rules": []site.Options{textRule}})
	website := map[string]string{}
	for _, host := range []string{ShopHost, secondHost} {
		m := websiteOf.FindStringSubmatch(odoo.Visitor(t, host).Get("/shop").Body)
		require.NotNil(t, m)
		website[host] = m[1]
	}
	require.NotEqual(t, website[ShopHost], website[secondHost])
	for round := 0; round < 2; round++ {
		for _, path := range []string{"/", "/shop", "/contactus"} {
			for _, c := range []struct{ host, prefix, lang string }{
				{ShopHost, "", "en-US"}, {secondHost, "/fr", "fr-FR"}, {secondHost, "", "en-US"}, {ShopHost, "/fr", "fr-FR"},
			} {
				v := e.Visitor(c.host)
				r := v.follow(c.prefix + path)
				require.Equal(t, http.StatusOK, r.Status)
				assert.Equal(t, website[c.host], websiteOf.FindStringSubmatch(r.Body)[1], "%s%s of %s: %s", c.prefix, path, c.host, r.CacheStatus())
				assert.Equal(t, c.lang, languageOf.FindStringSubmatch(r.Body)[1], "%s%s of %s: %s", c.prefix, path, c.host, r.CacheStatus())
				assert.Contains(t, r.Body, "http://"+c.host+"/", "its links name its host")
				assert.Equal(t, strings.ReplaceAll(c.lang, "-", "_"), v.cookie("frontend_lang"))
			}
		}
		for _, host := range []string{ShopHost, secondHost} {
			for _, path := range []string{"/robots.txt", "/sitemap.xml"} {
				r := e.Visitor(host).Get(path)
				assert.Contains(t, r.Body, "http://"+host+"/")
				if round == 1 {
					assert.Contains(t, r.CacheStatus(), "; hit;")
				}
			}
		}
	}
	t.Run("language by Accept-Language and cookie", func(t *testing.T) {
		for i := 0; i < 2; i++ {
			for _, c := range []struct {
				name, cookie, accept, agent, want string
			}{
				{"no wish", "", "", "", "en-US"},
				{"French browser", "", "fr-BE,fr;q=0.9", "", "fr-FR"},
				{"French cookie", "fr_FR", "en", "", "fr-FR"},
				{"English cookie", "en_US", "fr", "", "en-US"},
				{"unknown language", "", "de", "", "en-US"},
				{"bot", "", "fr", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "en-US"},
			} {
				v := e.Visitor(ShopHost)
				if c.accept != "" {
					v.Header.Set("Accept-Language", c.accept)
				}
				if c.agent != "" {
					v.Header.Set("User-Agent", c.agent)
				}
				if c.cookie != "" {
					v.setCookie("frontend_lang", c.cookie)
				}
				r := v.follow("/shop")
				assert.Equal(t, c.want, languageOf.FindStringSubmatch(r.Body)[1], c.name)
			}
		}
	})
}

// textRule stores what holds neither a token nor a visitor.
var textRule = site.Options{
	"name": "text", "match": site.Options{"pathRegexp": `^/(robots\.txt|sitemap\.xml)$`}, "ttl": "1h",
	"cookies": site.Options{"drop": []string{"session_id", "frontend_lang"}},
}

// TestOdooPurgeByRequest: a page stays as it was stored until it is purged, and is
// as Odoo has it afterwards; another website's page stays.
func TestOdooPurgeByRequest(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, site.Options{"rules": []site.Options{textRule}})
	get := func(host string) site.Reply { return e.Visitor(host).Get("/robots.txt") }
	for _, host := range []string{ShopHost, secondHost} {
		assert.Contains(t, get(host).CacheStatus(), "; stored")
		assert.Contains(t, get(host).CacheStatus(), "; hit;")
	}
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	websites := admin.read("website", []interface{}{[]interface{}{"domain", "=", "http://" + ShopHost}}, "id")
	require.Len(t, websites, 1)
	line := "# changed at " + time.Now().Format(time.RFC3339Nano)
	admin.change("website", int(websites[0]["id"].(float64)), "robots_txt", line)

	old := get(ShopHost)
	assert.Contains(t, old.CacheStatus(), "; hit;")
	assert.NotContains(t, old.Body, line)
	e.purge(ShopHost, "/robots.txt")
	assert.Contains(t, get(secondHost).CacheStatus(), "; hit;", "that of the other website")
	fresh := get(ShopHost)
	assert.Contains(t, fresh.CacheStatus(), "; stored")
	assert.Contains(t, fresh.Body, line)
	assert.Contains(t, get(ShopHost).CacheStatus(), "; hit;")
}

// TestOdooCron: a change by a scheduled action passes no proxy. It is seen after a
// purge.
func TestOdooCron(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, site.Options{"rules": []site.Options{textRule}})
	e.Visitor(ShopHost).Get("/robots.txt")
	admin := odoo.Visitor(t, ShopHost)
	admin.SignIn("admin")
	websites := admin.read("website", []interface{}{[]interface{}{"domain", "=", "http://" + ShopHost}}, "id")
	id := int(websites[0]["id"].(float64))
	admin.change("website", id, "robots_txt", "")
	line := "# by a scheduled action"
	admin.cron(`env["website"].browse(` + strconv.Itoa(id) + `).write({"robots_txt": "` + line + `"})`)
	assert.Contains(t, odoo.Visitor(t, ShopHost).Get("/robots.txt").Body, line, "Odoo has it")
	assert.NotContains(t, e.Visitor(ShopHost).Get("/robots.txt").Body, line, "the cache does not know")
	e.purge(ShopHost, "/robots.txt")
	assert.Contains(t, e.Visitor(ShopHost).Get("/robots.txt").Body, line)
}

// TestOdooRoutes: the snapshot of the routes, which the preset is checked against,
// is what this Odoo declares.
func TestOdooRoutes(t *testing.T) {
	eachVersion(t, func(t *testing.T, v *version, _ *Site) {
		checkSnapshot(t, os.Getenv(v.shell), v.folder+"/routes.json")
	})
}

// checkSnapshot compares a snapshot with what routes.py says in the shell of an Odoo.
func checkSnapshot(t *testing.T, shell, file string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("19", "routes.py"))
	require.NoError(t, err)
	want, err := os.ReadFile(source.Path(file))
	require.NoError(t, err)
	cmd := exec.Command(shell, "plain")
	cmd.Stdin = strings.NewReader("SNAPSHOT=1\n" + string(script))
	got, err := cmd.Output()
	require.NoError(t, err)
	if string(want) != string(got) {
		requireSame(t, string(want), string(got), file+" is old; test/odoo/19/routes.py says how to make it")
	}
}

// TestOdooAddon: with the addon the pages are those of any Odoo, and what it says to
// the cache in headers stays there.
func TestOdooAddon(t *testing.T) {
	odoo := needOdooAddon(t)
	e := odoo.Behind(t, nil)
	const announced = "X-Odoo-Cache-Edge: odoocache"
	said := odoo.Visitor(t, ShopHost).Get("/shop", announced)
	require.NotEmpty(t, said.Header["Surrogate-Key"], "the addon names what a page shows")
	for _, path := range []string{"/", "/shop", "/contactus"} {
		want := odoo.Visitor(t, ShopHost).Get(path)
		assert.Empty(t, want.Header["Surrogate-Key"], "nobody is told who is no cache")
		for i := 0; i < 2; i++ {
			got := e.Visitor(ShopHost).Get(path)
			require.Equal(t, http.StatusOK, got.Status)
			requireSame(t, want.Body, got.Body, path+" is not as Odoo answers: "+got.CacheStatus())
			for name := range got.Header {
				assert.False(t, name == "Surrogate-Key" || strings.HasPrefix(name, "X-Odoo"), "%s reaches a visitor of %s", name, path)
			}
		}
	}
}

// TestOdooWebSocket: the bus's handshake passes to its own process, and frames pass
// both ways.
func TestOdooWebSocket(t *testing.T) {
	odoo := NeedOdoo(t)
	e := odoo.Behind(t, nil)
	page := odoo.Visitor(t, ShopHost).Get("/")
	version := regexp.MustCompile(`"websocket_worker_version":\s*"([^"]+)"`).FindStringSubmatch(page.Body)
	path := "/websocket"
	if version != nil {
		path += "?version=" + version[1]
	}
	c, buffered, resp := upgrade(t, e.URL, ShopHost, path)
	defer resp.Body.Close()
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	assert.Equal(t, "odoocache; fwd=bypass; detail=upgrade", resp.Header.Get("Cache-Status"))
	// A ping with the payload "hi", masked with zeros, and its pong (RFC 6455 §5.5).
	_, err := c.Write([]byte{0x89, 0x82, 0, 0, 0, 0, 'h', 'i'})
	require.NoError(t, err)
	pong := make([]byte, 4)
	_, err = io.ReadFull(buffered, pong)
	require.NoError(t, err)
	assert.Equal(t, []byte{0x8a, 0x02, 'h', 'i'}, pong)
}
