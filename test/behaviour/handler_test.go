package behaviour_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

func TestMissThenHit(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, site.Page("hello", "Cache-Control: max-age=60", "Content-Type: text/html", "X-A: 1", "X-A: 2"))
		first := s.Get("/shop")
		assert.Equal(t, "odoocache; fwd=uri-miss; stored; ttl=60", first.CacheStatus())
		assert.Empty(t, first.Header["Age"])
		second := s.Get("/shop")
		assert.Equal(t, "odoocache; hit; ttl=60", second.CacheStatus())
		assert.Equal(t, "hello", second.Body)
		assert.Equal(t, "0", second.Header.Get("Age"))
		assert.Equal(t, []string{"1", "2"}, second.Header["X-A"])
		assert.Equal(t, "5", second.Header.Get("Content-Length"))
		assert.Equal(t, 1, s.Renders())
	})
}

// TestReasons checks that each response that is not stored says why.
func TestReasons(t *testing.T) {
	const fresh = "Cache-Control: max-age=60"
	session := "Cookie: session_id=" + strings.Repeat("a", 84)
	token := strings.Repeat("0123456789", 4) + "o1234567890"
	for _, c := range []struct {
		name    string
		request []string
		answer  http.HandlerFunc
		options site.Options
		want    string
	}{
		{name: "nothing about freshness", answer: site.Page("x"), want: "fwd=uri-miss; detail=no-ttl"},
		{name: "no-store", answer: site.Page("x", "Cache-Control: no-store, max-age=60"), want: "fwd=uri-miss; detail=no-store"},
		{name: "private", answer: site.Page("x", "Cache-Control: private, max-age=60"), want: "fwd=uri-miss; detail=private"},
		{name: "set-cookie", answer: site.Page("x", fresh, "Set-Cookie: session_id=abc"), want: "fwd=uri-miss; detail=set-cookie"},
		{name: "vary star", answer: site.Page("x", fresh, "Vary: *"), want: "fwd=uri-miss; detail=vary-star"},
		{name: "vary cookie", answer: site.Page("x", fresh, "Vary: Cookie"), want: "fwd=uri-miss; detail=vary-cookie"},
		{name: "vary of too many", answer: site.Page("x", fresh, "Vary: a,b,c,d,e,f,g,h,i"), want: "fwd=uri-miss; detail=vary-limit"},
		{name: "sendfile", answer: site.Page("", fresh, "X-Accel-Redirect: /f"), want: "fwd=uri-miss; detail=sendfile"},
		{name: "authorization", request: []string{"Authorization: Basic eA=="}, answer: site.Page("x", fresh), want: "fwd=uri-miss; detail=authorization"},
		{name: "session", request: []string{session}, answer: site.Page("x", fresh), want: "fwd=uri-miss; detail=session"},
		{name: "session and public", request: []string{session}, answer: site.Page("x", "Cache-Control: public, max-age=60"), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "request no-store", request: []string{"Cache-Control: no-store"}, answer: site.Page("x", fresh), want: "fwd=uri-miss; detail=request-no-store"},
		{name: "app no-store", answer: site.Page("x", fresh, "X-Odoo-Cache: no-store"), want: "fwd=uri-miss; detail=app-no-store"},
		{name: "app header unreadable", answer: site.Page("x", fresh, "X-Odoo-Cache: publik"), want: "fwd=uri-miss; detail=app-header"},
		{name: "app public over private", answer: site.Page("x", "Cache-Control: private", "X-Odoo-Cache: public, ttl=10"), want: "fwd=uri-miss; stored; ttl=10"},
		{name: "csrf token", answer: site.Page(`csrf_token: "`+token+`"`, fresh, "Content-Type: text/html"), options: site.Options{"csrf": site.Options{"mode": "refuse"}}, want: "fwd=uri-miss; detail=csrf-token"},
		{name: "signed-in page", answer: site.Page(`{"is_public": false}`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=personal"},
		{name: "cart", answer: site.Page(`<sup data-order-id="38">`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=personal"},
		{name: "no cart in Odoo 14", answer: site.Page(`<sup data-order-id="">0`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "cart in Odoo 14", answer: site.Page(`<sup data-order-id=""><sup data-order-id="38">`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=personal"},
		{name: "signed-in page of Odoo 14", answer: site.Page(`{"is_website_user": false}`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=personal"},
		{name: "tag syntax", answer: site.Page("x", fresh, "Cache-Groups: unquoted"), want: "fwd=uri-miss; detail=tag-syntax"},
		{name: "tag limit", answer: site.Page("x", fresh, "Surrogate-Key: a b c"), options: site.Options{"limits": site.Options{"tags": "2"}}, want: "fwd=uri-miss; detail=tag-limit"},
		{name: "too large", answer: site.Page(strings.Repeat("x", 100), fresh), options: site.Options{"limits": site.Options{"maxBody": "99"}}, want: "fwd=uri-miss; detail=too-large"},
		{name: "header limit", answer: site.Page("x", fresh, "X-Big: "+strings.Repeat("x", 2000)), options: site.Options{"limits": site.Options{"headerBytes": "1024"}}, want: "fwd=uri-miss; detail=header-limit"},
		{name: "key limit", answer: site.Page("x", fresh), options: site.Options{"limits": site.Options{"keyBytes": "256"}, "rules": []site.Options{{"match": site.Everything, "vary": site.Options{"headers": []string{"X-Long"}}}}}, request: []string{"X-Long: " + strings.Repeat("x", 300)}, want: "fwd=bypass; detail=key-limit"},
		{name: "too many parameters", answer: site.Page("x", fresh), options: site.Options{"limits": site.Options{"queryParams": "1"}}, want: "fwd=bypass; detail=request-limit"},
		{name: "too many cookies", request: []string{"Cookie: " + strings.Repeat("a=1; ", 200)}, answer: site.Page("x", fresh), want: "fwd=bypass; detail=request-limit"},
		{name: "a field that is too long", request: []string{"X-A: " + strings.Repeat("x", 17<<10)}, answer: site.Page("x", fresh), want: "fwd=bypass; detail=request-limit"},
		{name: "a cookie that servers read differently", request: []string{"Cookie: tz=a; tz=b"}, answer: site.Page("x", fresh), options: site.Options{"rules": []site.Options{{"match": site.Everything, "vary": site.Options{"cookies": []string{"tz"}}}}}, want: "fwd=bypass; detail=cookie"},
		{name: "partial", request: []string{"Range: bytes=0-1"}, answer: func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.Header().Set("Content-Range", "bytes 0-1/4")
			rw.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(rw, "ab")
		}, want: "fwd=uri-miss; detail=partial"},
		{name: "context", answer: site.Page("x", fresh, "X-Odoo-Cache-Context: c1"), want: "fwd=uri-miss; detail=context"},
		{name: "session in a header", request: []string{"X-Openerp-Session-Id: abc"}, answer: site.Page("x", fresh), want: "fwd=bypass; detail=session-header"},
		{name: "database in a header", request: []string{"X-Odoo-Database: other"}, answer: site.Page("x", fresh), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "database in a header, and another is named", request: []string{"X-Odoo-Database: other"}, answer: site.Page("x", fresh), options: site.Options{"fill": site.Options{"headers": []string{"X-Tenant"}}}, want: "fwd=uri-miss; stored; ttl=60"},
		{name: "coded token", answer: site.Page(site.Zipped(`csrf_token: "`+token+`"`), fresh, "Content-Type: text/html", "Content-Encoding: gzip"), want: "fwd=uri-miss; detail=csrf-token"},
		{name: "coded page of somebody", answer: site.Page(site.Zipped(`{"is_public": false}`), fresh, "Content-Type: Text/HTML", "Content-Encoding: gzip"), want: "fwd=uri-miss; detail=personal"},
		{name: "harmless coded page", answer: site.Page(site.Zipped("x"), fresh, "Content-Type: text/html", "Content-Encoding: gzip"), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "coding that is not known", answer: site.Page("x", fresh, "Content-Type: text/html", "Content-Encoding: br"), want: "fwd=uri-miss; detail=content-coding"},
		{name: "broken coding", answer: site.Page("x", fresh, "Content-Type: text/html", "Content-Encoding: gzip"), want: "fwd=uri-miss; detail=content-coding"},
		{name: "coding that inflates", answer: site.Page(site.Zipped(strings.Repeat("x", 9000)), fresh, "Content-Type: text/html", "Content-Encoding: gzip"), options: site.Options{"limits": site.Options{"maxBody": "1KiB"}}, want: "fwd=uri-miss; detail=content-coding"},
		{name: "token in a page without a type", answer: func(rw http.ResponseWriter, r *http.Request) {
			rw.Header()["Content-Type"] = nil
			site.Page(`csrf_token: "`+token+`"`, fresh)(rw, r)
		}, options: site.Options{"csrf": site.Options{"mode": "refuse"}}, want: "fwd=uri-miss; detail=csrf-token"},
		{name: "precondition", request: []string{`If-Match: "a"`}, answer: site.Page("x", fresh), want: "fwd=bypass; detail=precondition"},
		{name: "event stream", request: []string{"Accept: text/event-stream"}, answer: site.Page("x", fresh), want: "fwd=bypass; detail=event-stream"},
		{name: "country", answer: site.Page(`{"geoip_country_code": "BE"}`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=country"},
		{name: "no country", answer: site.Page(`{"geoip_country_code": null}`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "another country in the key", request: []string{"X-Country: FR"}, answer: site.Page(`{"geoip_country_code": "BE"}`, fresh, "Content-Type: text/html"), options: site.Options{"rules": []site.Options{{"match": site.Everything, "vary": site.Options{"headers": []string{"X-Country"}}}}}, want: "fwd=uri-miss; detail=country"},
		{name: "country in the key", request: []string{"X-Country: BE"}, answer: site.Page(`{"geoip_country_code": "BE"}`, fresh, "Content-Type: text/html"), options: site.Options{"rules": []site.Options{{"match": site.Everything, "vary": site.Options{"headers": []string{"X-Country"}}}}}, want: "fwd=uri-miss; stored; ttl=60"},
		{name: "bypass", answer: site.Page("x", fresh), options: site.Options{"rules": []site.Options{{"match": site.Everything, "bypass": "true"}}}, want: "fwd=bypass; detail=rule"},
		{name: "required header missing", answer: site.Page("x", fresh), options: site.Options{"rules": []site.Options{{"match": site.Everything, "require": site.Options{"X-Shop": "^yes$"}}}}, want: "fwd=uri-miss; detail=require"},
		{name: "refused header", answer: site.Page("x", fresh, "X-Draft: 1"), options: site.Options{"rules": []site.Options{{"match": site.Everything, "refuse": site.Options{"X-Draft": ""}}}}, want: "fwd=uri-miss; detail=refuse"},
		{name: "status not in rule", answer: site.Page("x", fresh), options: site.Options{"rules": []site.Options{{"match": site.Everything, "status": []string{"404"}}}}, want: "fwd=uri-miss; detail=status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			site.Both(t, func(t *testing.T, load site.Loader) {
				s := site.New(t, load, c.options, c.answer)
				got := s.Get("/page?a=1&b=2", c.request...)
				assert.Equal(t, "odoocache; "+c.want, got.CacheStatus())
				assert.Empty(t, got.Header["X-Odoo-Cache-Context"])
				assert.Empty(t, got.Header["X-Odoo-Cache"])
				if !strings.Contains(c.want, "stored") {
					s.Get("/page?a=1&b=2", c.request...)
					assert.Equal(t, 2, s.Renders(), "it was stored all the same")
				}
			})
		})
	}
}

func TestAppHeadersAreStripped(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		lines := []string{
			"X-Odoo-Cache: public, ttl=60", "Surrogate-Key: a", "Cache-Tag: a", "Xkey: a",
			`Cache-Groups: "a"`, `Cache-Group-Invalidation: "z"`, "X-Odoo-Purge: z", "CDN-Cache-Control: max-age=5",
		}
		s := site.New(t, load, nil, site.Page("x", lines...))
		for _, path := range []string{"/a", "/a", "/b"} {
			got := s.Get(path)
			for _, name := range []string{"X-Odoo-Cache", "X-Odoo-Cache-Context", "Surrogate-Key", "Cache-Tag", "Xkey", "Cache-Groups", "Cache-Group-Invalidation", "X-Odoo-Purge"} {
				assert.Empty(t, got.Header[http.CanonicalHeaderKey(name)], name)
			}
			assert.Equal(t, "max-age=5", got.Header.Get("CDN-Cache-Control"))
		}
		post := s.Do(http.MethodPost, "/a", "body")
		assert.Empty(t, post.Header["X-Odoo-Purge"])
		assert.Equal(t, "odoocache; fwd=method; detail=method", post.CacheStatus())
	})
}

func TestPrecedenceOfLifetimes(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Options{"pathPrefixes": []string{"/rule"}}, "ttl": "300"}}}
		s := site.New(t, load, rules, site.Page("x", "Cache-Control: max-age=60"))
		assert.Contains(t, s.Get("/rule").CacheStatus(), "ttl=300")
		assert.Contains(t, s.Get("/other").CacheStatus(), "ttl=60")
		s.Answers(site.Page("x", "Cache-Control: max-age=60", "X-Odoo-Cache: public, ttl=900"))
		assert.Contains(t, s.Get("/rule/app").CacheStatus(), "ttl=900")
		s.Answers(site.Page("x", "Cache-Control: no-store"))
		assert.Contains(t, s.Get("/rule/refused").CacheStatus(), "detail=no-store")
	})
}

func TestQueryInKeyAndUpstream(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "query": site.Options{"ignore": []string{"utm_*", "gclid"}}}}}
		s := site.New(t, load, rules, site.Page("x"))
		s.Get("/shop?b=2&utm_source=news&a=1&gclid=x")
		assert.Equal(t, "b=2&a=1", s.Request().URL.RawQuery)
		assert.Equal(t, "/shop?b=2&a=1", s.Request().RequestURI, "Traefik's proxy goes by RequestURI")
		assert.Contains(t, s.Get("/shop?a=1&b=2").CacheStatus(), "hit")
		assert.Contains(t, s.Get("/shop?a=1&b=2&foo=1").CacheStatus(), "uri-miss")
		assert.Contains(t, s.Get("/shop?utm_source=x").CacheStatus(), "uri-miss")
		assert.Equal(t, "/shop", s.Request().RequestURI)
		assert.Contains(t, s.Get("/shop").CacheStatus(), "hit")
		assert.Contains(t, s.Get("/shop?").CacheStatus(), "uri-miss", "Odoo renders other links with an empty query")
	})
}

func TestHostAndSchemeAreInTheKey(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			site.Page(r.Host+r.Header.Get("X-Forwarded-Host")+r.Header.Get("X-Forwarded-Proto"), "Cache-Control: max-age=60")(rw, r)
		})
		for _, lines := range [][]string{{"Host: a.example"}, {"Host: b.example"}, {"Host: a.example", "X-Forwarded-Host: evil"}, {"Host: a.example", "X-Forwarded-Proto: https"}} {
			want := s.Get("/", lines...)
			assert.Contains(t, want.CacheStatus(), "uri-miss")
			assert.Equal(t, want.Body, s.Get("/", lines...).Body)
		}
		assert.Equal(t, 4, s.Renders())
	})
}

func TestVary(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"limits": site.Options{"variants": "2"}}, func(rw http.ResponseWriter, r *http.Request) {
			site.Page(r.Header.Get("Foo"), "Cache-Control: max-age=60", "Vary: Foo")(rw, r)
		})
		assert.Contains(t, s.Get("/", "Foo: 1").CacheStatus(), "fwd=uri-miss; stored")
		assert.Contains(t, s.Get("/", "Foo: 2").CacheStatus(), "fwd=vary-miss; stored")
		assert.Contains(t, s.Get("/", "Foo: 1").CacheStatus(), "hit")
		assert.Equal(t, "2", s.Get("/", "Foo: 2").Body)
		assert.Contains(t, s.Get("/").CacheStatus(), "vary-miss", "an absent field is not one with another value")
		assert.Contains(t, s.Get("/", "Foo: 1").CacheStatus(), "hit", "no variant has to go for one that is asked for once")
		assert.Contains(t, s.Get("/").CacheStatus(), "vary-miss; stored")
		assert.Contains(t, s.Get("/", "Foo: 1").CacheStatus(), "hit")
		assert.Contains(t, s.Get("/", "Foo: 2").CacheStatus(), "vary-miss", "the one of three variants that was not hit for longest had to go")
	})
}

func TestRuleVary(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "vary": site.Options{
			"cookies": []string{"pricelist"}, "headers": []string{"X-Country"}, "languages": []string{"en_US", "fr_FR"}}}}}
		s := site.New(t, load, rules, site.Page("x"))
		assert.Contains(t, s.Get("/").CacheStatus(), "miss")
		assert.Contains(t, s.Get("/", "Accept-Language: en-GB").CacheStatus(), "hit", "who asks for none asks for English")
		assert.Contains(t, s.Get("/", "Accept-Language: de").CacheStatus(), "miss", "who gets the website's own language")
		assert.Contains(t, s.Get("/", "Accept-Language: es").CacheStatus(), "hit", "a language that the shop has not is none")
		for _, lines := range [][]string{
			{"Cookie: pricelist=1"}, {"Cookie: pricelist=2"}, {"X-Country: BE"}, {"Cookie: frontend_lang=fr_FR"},
		} {
			assert.Contains(t, s.Get("/", lines...).CacheStatus(), "miss", lines)
			assert.Contains(t, s.Get("/", lines...).CacheStatus(), "hit", lines)
		}
		assert.Contains(t, s.Get("/", "Accept-Language: fr-BE, en;q=0.5").CacheStatus(), "hit", "the same as the cookie fr_FR")
	})
}

func TestHeadConditionalsAndRanges(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, site.Page("0123456789", "Cache-Control: max-age=60", `ETag: "v1"`, "Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT", "Content-Type: image/png"))
		s.Get("/i")
		head := s.Do(http.MethodHead, "/i", "")
		assert.Contains(t, head.CacheStatus(), "hit")
		assert.Equal(t, "10", head.Header.Get("Content-Length"))
		for _, line := range []string{`If-None-Match: "v1"`, `If-None-Match: W/"v1", "x"`, "If-None-Match: *", "If-Modified-Since: Mon, 02 Nov 2026 10:00:00 GMT"} {
			got := s.Get("/i", line)
			assert.Equal(t, 304, got.Status, line)
			assert.Empty(t, got.Body)
			assert.Equal(t, `"v1"`, got.Header.Get("Etag"))
			assert.Contains(t, got.CacheStatus(), "hit")
		}
		assert.Equal(t, 200, s.Get("/i", `If-None-Match: "v2"`, "If-Modified-Since: Mon, 02 Nov 2026 10:00:00 GMT").Status)
		part := s.Get("/i", "Range: bytes=2-4")
		assert.Equal(t, 206, part.Status)
		assert.Equal(t, "234", part.Body)
		assert.Equal(t, "bytes 2-4/10", part.Header.Get("Content-Range"))
		assert.Equal(t, "0123456789", s.Get("/i", "Range: bytes=2-4", `If-Range: "v2"`).Body)
		assert.Equal(t, "234", s.Get("/i", "Range: bytes=2-4", `If-Range: "v1"`).Body)
		assert.Equal(t, "234", s.Get("/i", "Range: bytes=2-4", "If-Range: Mon, 02 Nov 2026 10:00:00 GMT").Body)
		for _, date := range []string{"Mon, 02 Nov 2026 10:00:01 GMT", "Mon, 02 Nov 2026 09:59:59 GMT", "some day"} {
			assert.Equal(t, "0123456789", s.Get("/i", "Range: bytes=2-4", "If-Range: "+date).Body, date)
		}
		assert.Equal(t, 416, s.Get("/i", "Range: bytes=20-").Status)
		assert.Equal(t, 1, s.Renders())
	})
}

func TestClientConditionsOnAMiss(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, site.Page("body", "Cache-Control: max-age=60", `ETag: "v1"`))
		got := s.Get("/", `If-None-Match: "v1"`)
		assert.Equal(t, 304, got.Status)
		assert.Empty(t, s.Request().Header["If-None-Match"], "the origin was asked for a whole response")
		assert.Equal(t, "body", s.Get("/").Body)
		assert.Equal(t, 1, s.Renders())
	})
}

func TestRevalidation(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `"v1"` {
				rw.Header().Set("Cache-Control", "no-cache")
				rw.Header().Set("X-New", "1")
				rw.Header().Set("Etag", `"v1"`)
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			site.Page("body", "Cache-Control: no-cache", `ETag: "v1"`, "X-Old: 1")(rw, r)
		})
		assert.Contains(t, s.Get("/").CacheStatus(), "fwd=uri-miss; stored")
		got := s.Get("/")
		assert.Equal(t, "odoocache; fwd=stale; fwd-status=304; stored; ttl=0", got.CacheStatus())
		assert.Equal(t, 200, got.Status)
		assert.Equal(t, "body", got.Body)
		assert.Equal(t, "1", got.Header.Get("X-New"))
		assert.Equal(t, "1", got.Header.Get("X-Old"))
		s.Answers(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				rw.Header().Set("Etag", `"v2"`)
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			site.Page("other", "Cache-Control: no-cache", `ETag: "v2"`)(rw, r)
		})
		assert.Equal(t, "other", s.Get("/").Body, "a 304 for another entity tag must not confirm the stored one")
	})
}

func TestStaleWhileRevalidate(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, site.Page("old", "X-Odoo-Cache: public, ttl=50ms, grace=60"))
		s.Get("/")
		gate := make(chan bool)
		s.Answers(func(rw http.ResponseWriter, r *http.Request) {
			<-gate
			site.Page("new", "X-Odoo-Cache: public, ttl=60, grace=60")(rw, r)
		})
		time.Sleep(60 * time.Millisecond)
		for i := 0; i < 3; i++ {
			got := s.Get("/")
			assert.Equal(t, "old", got.Body)
			assert.Regexp(t, "hit; ttl=-?[01]; detail=stale-while-revalidate", got.CacheStatus())
		}
		close(gate)
		require.Eventually(t, func() bool { return s.Get("/").Body == "new" }, site.WaitFor, site.Tick)
	})
}

func TestRefreshIsAnonymousAndAlone(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, site.Page("old", "X-Odoo-Cache: public, ttl=50ms, grace=60"))
		s.Get("/")
		before := s.Renders()
		gate := make(chan bool)
		arrived := make(chan http.Header, 10)
		s.Answers(func(rw http.ResponseWriter, r *http.Request) {
			arrived <- r.Header
			<-gate
			site.Page("new", "X-Odoo-Cache: public, ttl=60")(rw, r)
		})
		time.Sleep(60 * time.Millisecond)
		for i := 0; i < 5; i++ {
			assert.Equal(t, "old", s.Get("/", "Cookie: visitor=1", "Referer: http://x/", "If-None-Match: \"z\"").Body)
		}
		header := <-arrived
		for _, name := range []string{"Cookie", "Referer", "If-None-Match", "Authorization"} {
			assert.Empty(t, header[name], name)
		}
		assert.Equal(t, before+1, s.Renders(), "one refresh for each key")
		close(gate)
		require.Eventually(t, func() bool { return s.Get("/").Body == "new" }, site.WaitFor, site.Tick)
	})
}

func TestStaleIfError(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, site.Page("good", "X-Odoo-Cache: public, ttl=50ms, sie=60"))
		s.Get("/")
		time.Sleep(60 * time.Millisecond)
		s.Answers(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X-Trace", "1")
			rw.WriteHeader(http.StatusBadGateway)
		})
		got := s.Get("/")
		assert.Equal(t, 200, got.Status)
		assert.Equal(t, "good", got.Body)
		assert.Empty(t, got.Header["X-Trace"], "nothing of the error reaches the client")
		assert.Equal(t, "odoocache; fwd=stale; fwd-status=502; detail=stale-if-error", got.CacheStatus())
		s.Answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		assert.Equal(t, "good", s.Get("/").Body)
		s.Answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) })
		assert.Equal(t, 404, s.Get("/").Status, "a 404 is an answer, not an error")
	})
}

func TestRequestDirectives(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, site.Page("x", "Cache-Control: max-age=60"))
		oic := s.Get("/", "Cache-Control: only-if-cached")
		assert.Equal(t, 504, oic.Status)
		assert.Equal(t, 0, s.Renders())
		s.Get("/")
		assert.Equal(t, "odoocache; fwd=request; stored; ttl=60; detail=request-no-cache", s.Get("/", "Cache-Control: no-cache").CacheStatus())
		assert.Contains(t, s.Get("/", "Cache-Control: min-fresh=100").CacheStatus(), "fwd=request")
		assert.Contains(t, s.Get("/", "Cache-Control: only-if-cached").CacheStatus(), "hit")
		ignoring := site.New(t, load, site.Options{"requestDirectives": "ignore"}, site.Page("x", "Cache-Control: max-age=60"))
		ignoring.Get("/")
		assert.Contains(t, ignoring.Get("/", "Cache-Control: no-cache").CacheStatus(), "hit")
	})
}

func TestUnsafeMethodsInvalidate(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"rules": []site.Options{{"match": site.Options{"pathPrefixes": []string{"/web"}}, "bypass": "true"}}},
			site.Page("x", "Cache-Control: max-age=60", "Location: /location", "Content-Location: http://elsewhere.example/other"))
		for _, path := range []string{"/a", "/a?q=1", "/location", "/other"} {
			s.Get(path)
		}
		s.Do(http.MethodPost, "/a", "x")
		assert.Contains(t, s.Get("/a").CacheStatus(), "uri-miss")
		assert.Contains(t, s.Get("/a?q=1").CacheStatus(), "hit", "another address")
		s.Do(http.MethodPost, "/a?q=1", "x")
		assert.Contains(t, s.Get("/a?q=1").CacheStatus(), "uri-miss")
		assert.Contains(t, s.Get("/location").CacheStatus(), "uri-miss")
		assert.Contains(t, s.Get("/other").CacheStatus(), "hit", "another host is not ours to invalidate")
		s.Answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadRequest) })
		s.Do(http.MethodDelete, "/other", "")
		assert.Contains(t, s.Get("/other").CacheStatus(), "hit", "the origin refused")
	})
}

func TestTheSessionOfTheFirstVisitorIsNotForOthers(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		rules := site.Options{"rules": []site.Options{{"match": site.Everything, "ttl": "60", "cookies": site.Options{"drop": []string{"session_id"}, "keep": []string{"frontend_lang"}}}}}
		s := site.New(t, load, rules, site.Page("x", "Set-Cookie: session_id=s3cret; Path=/", "Set-Cookie: frontend_lang=fr_FR; Path=/"))
		first := s.Get("/")
		assert.Equal(t, []string{"frontend_lang=fr_FR; Path=/"}, first.Header["Set-Cookie"], "a session that is not needed yet")
		second := s.Get("/")
		assert.Contains(t, second.CacheStatus(), "hit")
		assert.Equal(t, []string{"frontend_lang=fr_FR; Path=/"}, second.Header["Set-Cookie"])
	})
}

func TestAStoredPageIsNotForSessionsOrCredentials(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, site.Options{"rules": []site.Options{{"match": site.Options{"pathPrefixes": []string{"/static"}}, "session": "ignore"}}},
			site.Page("x", "Cache-Control: max-age=60"))
		s.Get("/")
		s.Get("/static/x")
		assert.Equal(t, "odoocache; fwd=request; detail=session", s.Get("/", "Cookie: session_id=abc").CacheStatus())
		assert.Equal(t, "odoocache; fwd=request; detail=authorization", s.Get("/", "Authorization: Basic eA==").CacheStatus())
		assert.Contains(t, s.Get("/static/x", "Cookie: session_id=abc").CacheStatus(), "hit")
		assert.Contains(t, s.Get("/").CacheStatus(), "hit")
	})
}

func TestTenantsShareNothing(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		a := site.New(t, load, nil, site.Page("a", "Cache-Control: max-age=60"))
		b := site.New(t, load, nil, site.Page("b", "Cache-Control: max-age=60"))
		for i := 0; i < 2; i++ {
			assert.Equal(t, "a", a.Get("/", "Host: shop.example").Body)
			assert.Equal(t, "b", b.Get("/", "Host: shop.example").Body)
		}
	})
}

func TestChunkedResponsesAreStreamedAndStored(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		next := make(chan bool)
		s := site.New(t, load, nil, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			_, _ = io.WriteString(rw, "first;")
			<-next
			_, _ = io.WriteString(rw, "second")
		})
		resp, err := site.PlainClient.Get(s.URL + "/")
		require.NoError(t, err)
		defer resp.Body.Close()
		head := make([]byte, 6)
		_, err = io.ReadFull(resp.Body, head)
		require.NoError(t, err)
		assert.Equal(t, "first;", string(head), "the first part came before the second was written")
		close(next)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "first;second", s.Get("/").Body)
		assert.Equal(t, 1, s.Renders())
	})
}

func TestBrokenResponsesAreNotStored(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			_, _ = io.WriteString(rw, "half")
			panic(http.ErrAbortHandler)
		})
		_, err := site.Send(http.MethodGet, s.URL+"/", "", http.Header{})
		require.Error(t, err)
		s.Answers(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(rw, "half")
		})
		_, err = site.Send(http.MethodGet, s.URL+"/", "", http.Header{})
		require.Error(t, err)
		s.Answers(site.Page("whole", "Cache-Control: max-age=60"))
		assert.Equal(t, "whole", s.Get("/").Body)
	})
}

// TestInterimResponses checks that 103 reaches the client and leaves nothing in
// the stored response (RFC 8297).
func TestInterimResponses(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Link", "</a.css>; rel=preload")
			rw.WriteHeader(http.StatusEarlyHints)
			rw.Header().Del("Link")
			site.Page("x", "Cache-Control: max-age=60")(rw, r)
		})
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		reader := bufio.NewReader(conn)
		hints, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusEarlyHints, hints.StatusCode)
		assert.NotEmpty(t, hints.Header["Link"])
		final, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		_, err = io.ReadAll(final.Body)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, final.StatusCode)
		assert.Empty(t, final.Header["Link"])
		got := s.Get("/", "Host: x")
		assert.Contains(t, got.CacheStatus(), "hit")
		assert.Empty(t, got.Header["Link"])
	})
}

func TestEveryBodyIsTheRightOne(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			site.Page(strings.Repeat(r.URL.Path+";", 200), "Cache-Control: max-age=60")(rw, r)
		})
		var wg sync.WaitGroup
		wrong := make(chan string, 1000)
		for w := 0; w < 16; w++ {
			wg.Add(1)
			go func(w int) {
				defer wg.Done()
				for i := 0; i < 60; i++ {
					path := fmt.Sprintf("/page-%d", (w*7+i)%10)
					got, err := site.Send(http.MethodGet, s.URL+path, "", http.Header{})
					if err != nil || got.Body != strings.Repeat(path+";", 200) {
						wrong <- path
					}
				}
			}(w)
		}
		wg.Wait()
		assert.Empty(t, wrong)
	})
}

// TestHeadShowsThatAStoredResponseIsOld checks RFC 9111 §4.3.5.
func TestHeadShowsThatAStoredResponseIsOld(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, site.Page("old", "Cache-Control: max-age=60", `ETag: "1"`))
		s.Get("/")
		s.Answers(site.Page("old", "Cache-Control: max-age=60", `ETag: "1"`))
		s.Do(http.MethodHead, "/", "", "Cache-Control: no-cache")
		assert.Contains(t, s.Get("/").CacheStatus(), "; hit", "the same entity tag")
		s.Answers(site.Page("new", "Cache-Control: max-age=60", `ETag: "2"`))
		s.Do(http.MethodHead, "/", "", "Cache-Control: no-cache")
		assert.Equal(t, "new", s.Get("/").Body)
	})
}

// TestCodedResponsesAreForThoseWhoAskedForThem checks that a gzip body without
// Vary is not given to a client that does not accept it.
func TestCodedResponsesAreForThoseWhoAskedForThem(t *testing.T) {
	site.Both(t, func(t *testing.T, load site.Loader) {
		s := site.New(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") == "gzip" {
				site.Page("coded", "Cache-Control: max-age=60", "Content-Type: text/css", "Content-Encoding: gzip")(rw, r)
				return
			}
			site.Page("plain", "Cache-Control: max-age=60", "Vary: Accept-Encoding")(rw, r)
		})
		assert.Equal(t, "coded", s.Get("/", "Accept-Encoding: gzip").Body)
		assert.Equal(t, "plain", s.Get("/").Body)
		assert.Contains(t, s.Get("/", "Accept-Encoding: gzip").CacheStatus(), "; hit")
		assert.Contains(t, s.Get("/").CacheStatus(), "; hit")
	})
}
