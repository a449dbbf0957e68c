package traefik_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// browsersAccept are what browsers and other clients say that they take.
var browsersAccept = []string{
	"gzip, deflate, br, zstd", "gzip, deflate, br", "gzip, deflate", "gzip,deflate", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip", "deflate, gzip;q=1.0, *;q=0.5", "*", "identity", "",
}

// shopOf are the options of a shop with all that is usual.
func shopOf(tenant string, server *stack.RedisServer) site.Options {
	return site.Options{
		"tenant": tenant, "preset": "odoo", "languages": []string{"en_US"},
		"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
	}
}

// edited is a dynamic configuration with changes.
func edited(t *testing.T, dynamic string, edit func(parts map[string]interface{})) string {
	t.Helper()
	var all map[string]interface{}
	require.NoError(t, json.Unmarshal([]byte(dynamic), &all))
	edit(all["http"].(map[string]interface{}))
	b, err := json.Marshal(all)
	require.NoError(t, err)
	return string(b)
}

// withService puts another service in the place of the origin.
func withService(t *testing.T, dynamic string, loadBalancer site.Options) string {
	t.Helper()
	return edited(t, dynamic, func(parts map[string]interface{}) {
		parts["services"] = site.Options{"origin": site.Options{"loadBalancer": loadBalancer}}
	})
}

// serversOf are the servers of a service.
func serversOf(urls ...string) (list []site.Options) {
	for _, url := range urls {
		list = append(list, site.Options{"url": url})
	}
	return list
}

// odooPage answers as Odoo does to anybody: with a page of some size that begins a session.
func odooPage(text string, lines ...string) http.HandlerFunc {
	return site.Page(site.HTMLPage(strings.Repeat(text+" ", 2000)), append(lines, "Content-Type: text/html; charset=utf-8", "Set-Cookie: session_id="+site.SessionID(1)+"; Path=/")...)
}

// plainText undoes the coding of a reply.
func plainText(t *testing.T, r site.Reply) string {
	t.Helper()
	if r.Header.Get("Content-Encoding") == "" {
		return r.Body
	}
	require.Equal(t, []string{"gzip"}, r.Header["Content-Encoding"])
	return site.Unzip(t, r.Body)
}

// TestTraefikNginxBetween: an nginx that codes between Traefik and Odoo, as people have it, is
// no obstacle, and Cache-Status tells what has become of each page.
func TestTraefikNginxBetween(t *testing.T) {
	server := stack.StartRedis(t)
	const types = "gzip_types text/css application/javascript application/json; gzip_min_length 20; gzip_proxied any;"
	for name, lines := range map[string]string{
		"gzip":                       "gzip on; " + types,
		"gzip with Vary":             "gzip on; gzip_vary on; " + types,
		"gzip that changes the page": "gzip on; gzip_vary on; sub_filter_types text/css; sub_filter_once off; sub_filter 'colour' 'color'; " + types,
		"gzip of what was coded":     "gzip on; gunzip on; " + types,
	} {
		for _, proxy := range [][]string{nil, {"--experimental.fastProxy=true"}} {
			t.Run(name+" "+strings.Join(proxy, " "), func(t *testing.T) {
				tenant := strings.ReplaceAll(fmt.Sprint(name, len(proxy)), " ", "-")
				origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, ".css") {
						site.Page(strings.Repeat("a{colour:red}\n", 2000), "Content-Type: text/css", "Cache-Control: public, max-age=31536000, immutable")(rw, r)
						return
					}
					odooPage("a product of some colour")(rw, r)
				})
				nginx := stack.StartNginx(t, origin.URL, lines)
				p := stack.StartTraefik(t, stack.Routed(nginx, map[string]site.Options{"shop.example": shopOf(tenant, server)}), proxy...)
				for _, path := range []string{"/shop", "/web/assets/1/0a1b2c3/web.assets_frontend.min.css"} {
					before := origin.Renders()
					stored := len(server.Entries(tenant))
					want := ""
					for i, accepts := range browsersAccept {
						got := p.Get(path, "Accept-Encoding: "+accepts)
						require.Equal(t, http.StatusOK, got.Status)
						if i == 0 {
							require.Contains(t, got.CacheStatus(), "stored", path)
							assert.Equal(t, stored+1, len(server.Entries(tenant)), "it says stored, and it is")
							want = plainText(t, got)
						} else {
							require.Contains(t, got.CacheStatus(), "; hit", "%s for %q", path, accepts)
						}
						require.Equal(t, want, plainText(t, got))
						require.Equal(t, strings.Contains(lines, "sub_filter"), !strings.Contains(plainText(t, got), "colour"), "nginx changes it")
						assert.Empty(t, got.Header["Set-Cookie"])
					}
					renders := 1
					if proxy != nil && strings.Contains(lines, "sub_filter") && path != "/shop" {
						renders = 2 // the second in gzip, which tells its end
					}
					assert.Equal(t, renders, origin.Renders()-before)
				}
			})
		}
	}
}

// cookieOf returns the value of a cookie that a reply sets, "" if there is none.
func cookieOf(r site.Reply, name string) string {
	for _, line := range r.Header["Set-Cookie"] {
		if value, found := strings.CutPrefix(line, name+"="); found {
			value, _, _ = strings.Cut(value, ";")
			return value
		}
	}
	return ""
}

// TestTraefikStickyCookies: a page is stored without the cookies of a balancer, whoever sets
// them, and a visitor who needs Odoo keeps to the server that their own cookie names.
func TestTraefikStickyCookies(t *testing.T) {
	server := stack.StartRedis(t)
	clouds := []string{
		"AWSALB=x", "AWSALBCORS=x; SameSite=None; Secure", "AWSALBTG=x", "AWSALBTGCORS=x", "AWSELB=x", "AWSELBCORS=x", "GCLB=x", "GCILB=x",
		"ARRAffinity=x", "ARRAffinitySameSite=x", "ApplicationGatewayAffinity=x", "ApplicationGatewayAffinityCORS=x", "SERVERID=x", "INGRESSCOOKIE=x",
	}
	for name, c := range map[string]struct {
		sticky  site.Options // of Traefik's service
		cookies []string     // of each answer
		own     string       // name of the sticky cookie, "": Traefik makes one
	}{
		"Traefik's own":        {sticky: site.Options{"cookie": site.Options{}}},
		"of AWS, GCP, Azure":   {cookies: clouds},
		"all of them":          {sticky: site.Options{"cookie": site.Options{"secure": false, "httpOnly": true}}, cookies: clouds},
		"a name in the recipe": {own: "backend"},
	} {
		t.Run(name, func(t *testing.T) {
			var urls []string
			var renders [2]*stack.Backend
			for i := range renders {
				i := i
				renders[i] = stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
					for _, line := range c.cookies {
						rw.Header().Add("Set-Cookie", line+"; Path=/")
					}
					rw.Header().Set("X-Server", fmt.Sprint(i))
					rw.Header().Set("X-Cookie", r.Header.Get("Cookie"))
					rw.Header().Set("Content-Type", "text/html; charset=utf-8")
					text := "the same page"
					if strings.Contains(r.Header.Get("Cookie"), "session_id=") {
						text = "a page of one's own"
					}
					_, _ = rw.Write([]byte(site.HTMLPage(text)))
				})
				urls = append(urls, renders[i].URL)
			}
			tenant := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", ""), "'", "")
			dynamic := ""
			if c.own != "" {
				dynamic = recipe(t, "Balancers, and several Odoos", "http://127.0.0.1:8069", urls[0], "http://127.0.0.1:8169", urls[1], "127.0.0.1:6379", server.Address)
			} else {
				lb := site.Options{"servers": serversOf(urls...)}
				if c.sticky != nil {
					lb["sticky"] = c.sticky
				}
				dynamic = withService(t, stack.Routed(urls[0], map[string]site.Options{"shop.example": shopOf(tenant, server)}), lb)
			}
			p := stack.StartTraefik(t, dynamic)
			p.Until("the shop is there", func() bool { return p.Get("/web/login").Status == http.StatusOK })
			p.Until("pages are stored", func() bool { return strings.Contains(p.Get("/shop").CacheStatus(), "; hit") })
			asked := func() int { return renders[0].Renders() + renders[1].Renders() }
			before := asked()
			for i := 0; i < 6; i++ {
				path := fmt.Sprintf("/shop/product-%d", i)
				first := p.Get(path)
				require.Contains(t, first.CacheStatus(), "stored")
				assert.Empty(t, first.Header["Set-Cookie"], "it is everybody's")
				for j := 0; j < 3; j++ {
					hit := p.Get(path, fmt.Sprintf("Cookie: AWSALB=%d; backend=%d; _0a1b2=%d", j, j, j))
					assert.Contains(t, hit.CacheStatus(), "; hit")
					assert.Empty(t, hit.Header["Set-Cookie"])
				}
			}
			assert.Equal(t, 6, asked()-before)

			// A visitor who needs Odoo gets all cookies, sends them, and stays where they are.
			mine := p.Get("/web/login")
			for _, line := range c.cookies {
				cookie, _, _ := strings.Cut(line, "=")
				assert.Equal(t, "x", cookieOf(mine, cookie))
			}
			if c.sticky == nil && c.own == "" {
				return
			}
			var own []string
			for _, line := range mine.Header["Set-Cookie"] {
				line, _, _ = strings.Cut(line, ";")
				own = append(own, line)
			}
			require.NotEmpty(t, own)
			field := "Cookie: " + strings.Join(own, "; ") + "; session_id=" + site.SessionID(4)
			for i := 0; i < 6; i++ {
				for _, path := range []string{"/web/login", "/shop/cart", "/shop/product-0"} {
					got := p.Get(path, field)
					assert.Equal(t, mine.Header.Get("X-Server"), got.Header.Get("X-Server"), "%s: the same server", path)
					for _, cookie := range own {
						assert.Contains(t, got.Header.Get("X-Cookie"), cookie, "Odoo gets what the visitor has")
					}
				}
			}
		})
	}
}

// TestTraefikTwoOdoos: of two Odoos of one database each fills pages for all, and each purges
// what the other has filled.
func TestTraefikTwoOdoos(t *testing.T) {
	server := stack.StartRedis(t)
	odoo := func() *stack.Backend {
		return stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				rw.Header().Set("X-Odoo-Purge", "product.template-1")
			}
			odooPage("page "+r.URL.Path, "Surrogate-Key: product.template-1")(rw, r)
		})
	}
	a, b := odoo(), odoo()
	p := stack.StartTraefik(t, withService(t, stack.Routed(a.URL, map[string]site.Options{"shop.example": shopOf("two", server)}), site.Options{"servers": serversOf(a.URL, b.URL)}))
	for i := 0; i < 4; i++ {
		for j := 0; j < 8; j++ {
			path := fmt.Sprintf("/shop/product-%d", j)
			assert.Contains(t, p.Get(path).CacheStatus(), "stored")
			assert.Contains(t, p.Get(path).CacheStatus(), "; hit")
		}
		p.Do(http.MethodPost, "/web/dataset/call_kw", "{}")
	}
	assert.Equal(t, 36, a.Renders()+b.Renders())
	assert.Equal(t, 18, a.Renders(), "they take turns")
}

// TestTraefikFirewallBehind: what a firewall or a rate limit behind the cache answers says
// nothing of the page. What is stored stays; who asks for a page that is not stored gets the
// firewall's answer.
func TestTraefikFirewallBehind(t *testing.T) {
	server := stack.StartRedis(t)
	for name, line := range map[string]string{
		"429": "429", "429 with a page": "429 Retry-After: 1", "503": "503 Retry-After: 1",
		"a challenge of Cloudflare": "403 Cf-Mitigated: challenge", "a challenge of AWS": "202 X-Amzn-Waf-Action: challenge", "a challenge of the operator's": "403 X-Waf: 1",
	} {
		t.Run(name, func(t *testing.T) {
			code, field, _ := strings.Cut(line, " ")
			var angry atomic.Bool
			origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
				if !angry.Load() {
					odooPage("the page")(rw, r)
					return
				}
				for name, values := range site.Fields(field) {
					if field != "" {
						rw.Header()[name] = values
					}
				}
				rw.Header().Set("Content-Type", "text/html")
				status, _ := strconv.Atoi(code)
				rw.WriteHeader(status)
				_, _ = rw.Write([]byte(site.HTMLPage("Just a moment")))
			})
			o := shopOf("waf-"+strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", ""), server)
			o["rules"] = []site.Options{{"match": site.Options{"pathPrefixes": []string{"/shop"}}, "ttl": "1s", "grace": "1h", "status": []string{"200"}, "cookies": site.Options{"drop": []string{"session_id"}}}}
			o["fill"] = site.Options{"firewall": []string{"X-Waf"}}
			p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": o}))
			want := plainText(t, p.Get("/shop"))
			angry.Store(true)
			time.Sleep(1200 * time.Millisecond)
			for i := 0; i < 2; i++ { // the second waits for the pause after the first
				before := origin.Renders()
				got := p.Get("/shop")
				assert.Equal(t, want, plainText(t, got))
				assert.Contains(t, got.CacheStatus(), "; hit", "a stale copy")
				require.Eventually(t, func() bool { p.Get("/shop"); return origin.Renders() > before }, stack.Patience, 10*time.Millisecond, "it is refreshed")
			}
			fresh := p.Get("/shop/other")
			assert.Equal(t, code, fmt.Sprint(fresh.Status))
			assert.NotContains(t, fresh.CacheStatus(), "stored")
			angry.Store(false)
			require.Eventually(t, func() bool { return strings.Contains(plainText(t, p.Get("/shop/other")), "the page") }, stack.Patience, site.Tick)
		})
	}
}

// TestTraefikLargeSitemap: a sitemap of 50,000 addresses is larger than what is usually kept.
func TestTraefikLargeSitemap(t *testing.T) {
	server := stack.StartRedis(t)
	part := "<url><loc>https://shop.example/shop/a-product-with-a-long-name-%05d</loc><lastmod>2026-01-01</lastmod></url>\n"
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">`)
	for i := 0; i < 50000; i++ {
		fmt.Fprintf(&b, part, i)
	}
	b.WriteString("</urlset>\n")
	require.Greater(t, b.Len(), 5<<20)
	for name, length := range map[string]bool{"its length told": true, "chunked": false} {
		t.Run(name, func(t *testing.T) {
			g := site.NewGate(t)
			origin := stack.NewBackend(t, g.Behind(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "application/xml;charset=utf-8")
				if length {
					rw.Header().Set("Content-Length", fmt.Sprint(b.Len()))
				}
				_, _ = rw.Write([]byte(b.String()))
			}))
			p := stack.StartTraefik(t, stack.Routed(origin.URL, map[string]site.Options{"shop.example": shopOf("sitemap-"+name[:3], server)}))
			c := site.NewCrowd(t, g)
			c.Ask(10, p.URL+"/sitemap.xml", "Host: shop.example")
			time.Sleep(300 * time.Millisecond)
			g.Open()
			for _, r := range c.All() {
				assert.Equal(t, http.StatusOK, r.Status)
				assert.Equal(t, b.Len(), len(r.Body))
			}
			assert.Contains(t, p.Get("/sitemap.xml", "Accept-Encoding: gzip").CacheStatus(), "; hit")
			assert.Equal(t, 1, origin.Renders())
		})
	}
}
