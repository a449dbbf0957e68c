package odoocache_test

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
)

func TestMissThenHit(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("hello", "Cache-Control: max-age=60", "Content-Type: text/html", "X-A: 1", "X-A: 2"))
		first := s.get("/shop")
		assert.Equal(t, "odoocache; fwd=uri-miss; stored; ttl=60", first.cacheStatus())
		assert.Empty(t, first.header["Age"])
		second := s.get("/shop")
		assert.Equal(t, "odoocache; hit; ttl=60", second.cacheStatus())
		assert.Equal(t, "hello", second.body)
		assert.Equal(t, "0", second.header.Get("Age"))
		assert.Equal(t, []string{"1", "2"}, second.header["X-A"])
		assert.Equal(t, "5", second.header.Get("Content-Length"))
		assert.Equal(t, 1, s.renders())
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
		options options
		want    string
	}{
		{name: "nothing about freshness", answer: page("x"), want: "fwd=uri-miss; detail=no-ttl"},
		{name: "no-store", answer: page("x", "Cache-Control: no-store, max-age=60"), want: "fwd=uri-miss; detail=no-store"},
		{name: "private", answer: page("x", "Cache-Control: private, max-age=60"), want: "fwd=uri-miss; detail=private"},
		{name: "set-cookie", answer: page("x", fresh, "Set-Cookie: session_id=abc"), want: "fwd=uri-miss; detail=set-cookie"},
		{name: "vary star", answer: page("x", fresh, "Vary: *"), want: "fwd=uri-miss; detail=vary-star"},
		{name: "vary cookie", answer: page("x", fresh, "Vary: Cookie"), want: "fwd=uri-miss; detail=vary-cookie"},
		{name: "vary of too many", answer: page("x", fresh, "Vary: a,b,c,d,e,f,g,h,i"), want: "fwd=uri-miss; detail=vary-limit"},
		{name: "sendfile", answer: page("", fresh, "X-Accel-Redirect: /f"), want: "fwd=uri-miss; detail=sendfile"},
		{name: "authorization", request: []string{"Authorization: Basic eA=="}, answer: page("x", fresh), want: "fwd=uri-miss; detail=authorization"},
		{name: "session", request: []string{session}, answer: page("x", fresh), want: "fwd=uri-miss; detail=session"},
		{name: "session and public", request: []string{session}, answer: page("x", "Cache-Control: public, max-age=60"), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "request no-store", request: []string{"Cache-Control: no-store"}, answer: page("x", fresh), want: "fwd=uri-miss; detail=request-no-store"},
		{name: "app no-store", answer: page("x", fresh, "X-Odoo-Cache: no-store"), want: "fwd=uri-miss; detail=app-no-store"},
		{name: "app header unreadable", answer: page("x", fresh, "X-Odoo-Cache: publik"), want: "fwd=uri-miss; detail=app-header"},
		{name: "app public over private", answer: page("x", "Cache-Control: private", "X-Odoo-Cache: public, ttl=10"), want: "fwd=uri-miss; stored; ttl=10"},
		{name: "csrf token", answer: page(`csrf_token: "`+token+`"`, fresh, "Content-Type: text/html"), options: options{"csrf": options{"mode": "refuse"}}, want: "fwd=uri-miss; detail=csrf-token"},
		{name: "signed-in page", answer: page(`{"is_public": false}`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=personal"},
		{name: "cart", answer: page(`<sup data-order-id="38">`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=personal"},
		{name: "no cart in Odoo 14", answer: page(`<sup data-order-id="">0`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "cart in Odoo 14", answer: page(`<sup data-order-id=""><sup data-order-id="38">`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=personal"},
		{name: "signed-in page of Odoo 14", answer: page(`{"is_website_user": false}`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=personal"},
		{name: "tag syntax", answer: page("x", fresh, "Cache-Groups: unquoted"), want: "fwd=uri-miss; detail=tag-syntax"},
		{name: "tag limit", answer: page("x", fresh, "Surrogate-Key: a b c"), options: options{"limits": options{"tags": "2"}}, want: "fwd=uri-miss; detail=tag-limit"},
		{name: "too large", answer: page(strings.Repeat("x", 100), fresh), options: options{"limits": options{"maxBody": "99"}}, want: "fwd=uri-miss; detail=too-large"},
		{name: "header limit", answer: page("x", fresh, "X-Big: "+strings.Repeat("x", 2000)), options: options{"limits": options{"headerBytes": "1024"}}, want: "fwd=uri-miss; detail=header-limit"},
		{name: "key limit", answer: page("x", fresh), options: options{"limits": options{"keyBytes": "256"}, "rules": []options{{"match": everything, "vary": options{"headers": []string{"X-Long"}}}}}, request: []string{"X-Long: " + strings.Repeat("x", 300)}, want: "fwd=bypass; detail=key-limit"},
		{name: "too many parameters", answer: page("x", fresh), options: options{"limits": options{"queryParams": "1"}}, want: "fwd=bypass; detail=request-limit"},
		{name: "too many cookies", request: []string{"Cookie: " + strings.Repeat("a=1; ", 200)}, answer: page("x", fresh), want: "fwd=bypass; detail=request-limit"},
		{name: "a field that is too long", request: []string{"X-A: " + strings.Repeat("x", 17<<10)}, answer: page("x", fresh), want: "fwd=bypass; detail=request-limit"},
		{name: "a cookie that servers read differently", request: []string{"Cookie: tz=a; tz=b"}, answer: page("x", fresh), options: options{"rules": []options{{"match": everything, "vary": options{"cookies": []string{"tz"}}}}}, want: "fwd=bypass; detail=cookie"},
		{name: "partial", request: []string{"Range: bytes=0-1"}, answer: func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.Header().Set("Content-Range", "bytes 0-1/4")
			rw.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(rw, "ab")
		}, want: "fwd=uri-miss; detail=partial"},
		{name: "context", answer: page("x", fresh, "X-Odoo-Cache-Context: c1"), want: "fwd=uri-miss; detail=context"},
		{name: "session in a header", request: []string{"X-Openerp-Session-Id: abc"}, answer: page("x", fresh), want: "fwd=bypass; detail=session-header"},
		{name: "database in a header", request: []string{"X-Odoo-Database: other"}, answer: page("x", fresh), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "database in a header, and another is named", request: []string{"X-Odoo-Database: other"}, answer: page("x", fresh), options: options{"fill": options{"headers": []string{"X-Tenant"}}}, want: "fwd=uri-miss; stored; ttl=60"},
		{name: "coded token", answer: page(zipped(`csrf_token: "`+token+`"`), fresh, "Content-Type: text/html", "Content-Encoding: gzip"), want: "fwd=uri-miss; detail=csrf-token"},
		{name: "coded page of somebody", answer: page(zipped(`{"is_public": false}`), fresh, "Content-Type: Text/HTML", "Content-Encoding: gzip"), want: "fwd=uri-miss; detail=personal"},
		{name: "harmless coded page", answer: page(zipped("x"), fresh, "Content-Type: text/html", "Content-Encoding: gzip"), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "coding that is not known", answer: page("x", fresh, "Content-Type: text/html", "Content-Encoding: br"), want: "fwd=uri-miss; detail=content-coding"},
		{name: "broken coding", answer: page("x", fresh, "Content-Type: text/html", "Content-Encoding: gzip"), want: "fwd=uri-miss; detail=content-coding"},
		{name: "coding that inflates", answer: page(zipped(strings.Repeat("x", 9000)), fresh, "Content-Type: text/html", "Content-Encoding: gzip"), options: options{"limits": options{"maxBody": "1KiB"}}, want: "fwd=uri-miss; detail=content-coding"},
		{name: "token in a page without a type", answer: func(rw http.ResponseWriter, r *http.Request) {
			rw.Header()["Content-Type"] = nil
			page(`csrf_token: "`+token+`"`, fresh)(rw, r)
		}, options: options{"csrf": options{"mode": "refuse"}}, want: "fwd=uri-miss; detail=csrf-token"},
		{name: "precondition", request: []string{`If-Match: "a"`}, answer: page("x", fresh), want: "fwd=bypass; detail=precondition"},
		{name: "event stream", request: []string{"Accept: text/event-stream"}, answer: page("x", fresh), want: "fwd=bypass; detail=event-stream"},
		{name: "country", answer: page(`{"geoip_country_code": "BE"}`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; detail=country"},
		{name: "no country", answer: page(`{"geoip_country_code": null}`, fresh, "Content-Type: text/html"), want: "fwd=uri-miss; stored; ttl=60"},
		{name: "another country in the key", request: []string{"X-Country: FR"}, answer: page(`{"geoip_country_code": "BE"}`, fresh, "Content-Type: text/html"), options: options{"rules": []options{{"match": everything, "vary": options{"headers": []string{"X-Country"}}}}}, want: "fwd=uri-miss; detail=country"},
		{name: "country in the key", request: []string{"X-Country: BE"}, answer: page(`{"geoip_country_code": "BE"}`, fresh, "Content-Type: text/html"), options: options{"rules": []options{{"match": everything, "vary": options{"headers": []string{"X-Country"}}}}}, want: "fwd=uri-miss; stored; ttl=60"},
		{name: "bypass", answer: page("x", fresh), options: options{"rules": []options{{"match": everything, "bypass": "true"}}}, want: "fwd=bypass; detail=rule"},
		{name: "required header missing", answer: page("x", fresh), options: options{"rules": []options{{"match": everything, "require": options{"X-Shop": "^yes$"}}}}, want: "fwd=uri-miss; detail=require"},
		{name: "refused header", answer: page("x", fresh, "X-Draft: 1"), options: options{"rules": []options{{"match": everything, "refuse": options{"X-Draft": ""}}}}, want: "fwd=uri-miss; detail=refuse"},
		{name: "status not in rule", answer: page("x", fresh), options: options{"rules": []options{{"match": everything, "status": []string{"404"}}}}, want: "fwd=uri-miss; detail=status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, load loader) {
				s := newSite(t, load, c.options, c.answer)
				got := s.get("/page?a=1&b=2", c.request...)
				assert.Equal(t, "odoocache; "+c.want, got.cacheStatus())
				assert.Empty(t, got.header["X-Odoo-Cache-Context"])
				assert.Empty(t, got.header["X-Odoo-Cache"])
				if !strings.Contains(c.want, "stored") {
					s.get("/page?a=1&b=2", c.request...)
					assert.Equal(t, 2, s.renders(), "it was stored all the same")
				}
			})
		})
	}
}

func TestAppHeadersAreStripped(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		lines := []string{
			"X-Odoo-Cache: public, ttl=60", "Surrogate-Key: a", "Cache-Tag: a", "Xkey: a",
			`Cache-Groups: "a"`, `Cache-Group-Invalidation: "z"`, "X-Odoo-Purge: z", "CDN-Cache-Control: max-age=5",
		}
		s := newSite(t, load, nil, page("x", lines...))
		for _, path := range []string{"/a", "/a", "/b"} {
			got := s.get(path)
			for _, name := range []string{"X-Odoo-Cache", "X-Odoo-Cache-Context", "Surrogate-Key", "Cache-Tag", "Xkey", "Cache-Groups", "Cache-Group-Invalidation", "X-Odoo-Purge"} {
				assert.Empty(t, got.header[http.CanonicalHeaderKey(name)], name)
			}
			assert.Equal(t, "max-age=5", got.header.Get("CDN-Cache-Control"))
		}
		post := s.do(http.MethodPost, "/a", "body")
		assert.Empty(t, post.header["X-Odoo-Purge"])
		assert.Equal(t, "odoocache; fwd=method; detail=method", post.cacheStatus())
	})
}

func TestPrecedenceOfLifetimes(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		rules := options{"rules": []options{{"match": options{"pathPrefixes": []string{"/rule"}}, "ttl": "300"}}}
		s := newSite(t, load, rules, page("x", "Cache-Control: max-age=60"))
		assert.Contains(t, s.get("/rule").cacheStatus(), "ttl=300")
		assert.Contains(t, s.get("/other").cacheStatus(), "ttl=60")
		s.answers(page("x", "Cache-Control: max-age=60", "X-Odoo-Cache: public, ttl=900"))
		assert.Contains(t, s.get("/rule/app").cacheStatus(), "ttl=900")
		s.answers(page("x", "Cache-Control: no-store"))
		assert.Contains(t, s.get("/rule/refused").cacheStatus(), "detail=no-store")
	})
}

func TestQueryInKeyAndUpstream(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		rules := options{"rules": []options{{"match": everything, "ttl": "60", "query": options{"ignore": []string{"utm_*", "gclid"}}}}}
		s := newSite(t, load, rules, page("x"))
		s.get("/shop?b=2&utm_source=news&a=1&gclid=x")
		assert.Equal(t, "b=2&a=1", s.request().URL.RawQuery)
		assert.Equal(t, "/shop?b=2&a=1", s.request().RequestURI, "Traefik's proxy goes by RequestURI")
		assert.Contains(t, s.get("/shop?a=1&b=2").cacheStatus(), "hit")
		assert.Contains(t, s.get("/shop?a=1&b=2&foo=1").cacheStatus(), "uri-miss")
		assert.Contains(t, s.get("/shop?utm_source=x").cacheStatus(), "uri-miss")
		assert.Equal(t, "/shop", s.request().RequestURI)
		assert.Contains(t, s.get("/shop").cacheStatus(), "hit")
		assert.Contains(t, s.get("/shop?").cacheStatus(), "uri-miss", "Odoo renders other links with an empty query")
	})
}

func TestHostAndSchemeAreInTheKey(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			page(r.Host+r.Header.Get("X-Forwarded-Host")+r.Header.Get("X-Forwarded-Proto"), "Cache-Control: max-age=60")(rw, r)
		})
		for _, lines := range [][]string{{"Host: a.example"}, {"Host: b.example"}, {"Host: a.example", "X-Forwarded-Host: evil"}, {"Host: a.example", "X-Forwarded-Proto: https"}} {
			want := s.get("/", lines...)
			assert.Contains(t, want.cacheStatus(), "uri-miss")
			assert.Equal(t, want.body, s.get("/", lines...).body)
		}
		assert.Equal(t, 4, s.renders())
	})
}

func TestVary(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, options{"limits": options{"variants": "2"}}, func(rw http.ResponseWriter, r *http.Request) {
			page(r.Header.Get("Foo"), "Cache-Control: max-age=60", "Vary: Foo")(rw, r)
		})
		assert.Contains(t, s.get("/", "Foo: 1").cacheStatus(), "fwd=uri-miss; stored")
		assert.Contains(t, s.get("/", "Foo: 2").cacheStatus(), "fwd=vary-miss; stored")
		assert.Contains(t, s.get("/", "Foo: 1").cacheStatus(), "hit")
		assert.Equal(t, "2", s.get("/", "Foo: 2").body)
		assert.Contains(t, s.get("/").cacheStatus(), "vary-miss", "an absent field is not one with another value")
		assert.Contains(t, s.get("/", "Foo: 1").cacheStatus(), "hit", "no variant has to go for one that is asked for once")
		assert.Contains(t, s.get("/").cacheStatus(), "vary-miss; stored")
		assert.Contains(t, s.get("/", "Foo: 1").cacheStatus(), "hit")
		assert.Contains(t, s.get("/", "Foo: 2").cacheStatus(), "vary-miss", "the one of three variants that was not hit for longest had to go")
	})
}

func TestRuleVary(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		rules := options{"rules": []options{{"match": everything, "ttl": "60", "vary": options{
			"cookies": []string{"pricelist"}, "headers": []string{"X-Country"}, "languages": []string{"en_US", "fr_FR"}}}}}
		s := newSite(t, load, rules, page("x"))
		assert.Contains(t, s.get("/").cacheStatus(), "miss")
		assert.Contains(t, s.get("/", "Accept-Language: en-GB").cacheStatus(), "hit", "who asks for none asks for English")
		assert.Contains(t, s.get("/", "Accept-Language: de").cacheStatus(), "miss", "who gets the website's own language")
		assert.Contains(t, s.get("/", "Accept-Language: es").cacheStatus(), "hit", "a language that the shop has not is none")
		for _, lines := range [][]string{
			{"Cookie: pricelist=1"}, {"Cookie: pricelist=2"}, {"X-Country: BE"}, {"Cookie: frontend_lang=fr_FR"},
		} {
			assert.Contains(t, s.get("/", lines...).cacheStatus(), "miss", lines)
			assert.Contains(t, s.get("/", lines...).cacheStatus(), "hit", lines)
		}
		assert.Contains(t, s.get("/", "Accept-Language: fr-BE, en;q=0.5").cacheStatus(), "hit", "the same as the cookie fr_FR")
	})
}

func TestHeadConditionalsAndRanges(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("0123456789", "Cache-Control: max-age=60", `ETag: "v1"`, "Last-Modified: Mon, 02 Nov 2026 10:00:00 GMT", "Content-Type: image/png"))
		s.get("/i")
		head := s.do(http.MethodHead, "/i", "")
		assert.Contains(t, head.cacheStatus(), "hit")
		assert.Equal(t, "10", head.header.Get("Content-Length"))
		for _, line := range []string{`If-None-Match: "v1"`, `If-None-Match: W/"v1", "x"`, "If-None-Match: *", "If-Modified-Since: Mon, 02 Nov 2026 10:00:00 GMT"} {
			got := s.get("/i", line)
			assert.Equal(t, 304, got.status, line)
			assert.Empty(t, got.body)
			assert.Equal(t, `"v1"`, got.header.Get("Etag"))
			assert.Contains(t, got.cacheStatus(), "hit")
		}
		assert.Equal(t, 200, s.get("/i", `If-None-Match: "v2"`, "If-Modified-Since: Mon, 02 Nov 2026 10:00:00 GMT").status)
		part := s.get("/i", "Range: bytes=2-4")
		assert.Equal(t, 206, part.status)
		assert.Equal(t, "234", part.body)
		assert.Equal(t, "bytes 2-4/10", part.header.Get("Content-Range"))
		assert.Equal(t, "0123456789", s.get("/i", "Range: bytes=2-4", `If-Range: "v2"`).body)
		assert.Equal(t, "234", s.get("/i", "Range: bytes=2-4", `If-Range: "v1"`).body)
		assert.Equal(t, "234", s.get("/i", "Range: bytes=2-4", "If-Range: Mon, 02 Nov 2026 10:00:00 GMT").body)
		for _, date := range []string{"Mon, 02 Nov 2026 10:00:01 GMT", "Mon, 02 Nov 2026 09:59:59 GMT", "some day"} {
			assert.Equal(t, "0123456789", s.get("/i", "Range: bytes=2-4", "If-Range: "+date).body, date)
		}
		assert.Equal(t, 416, s.get("/i", "Range: bytes=20-").status)
		assert.Equal(t, 1, s.renders())
	})
}

func TestClientConditionsOnAMiss(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("body", "Cache-Control: max-age=60", `ETag: "v1"`))
		got := s.get("/", `If-None-Match: "v1"`)
		assert.Equal(t, 304, got.status)
		assert.Empty(t, s.request().Header["If-None-Match"], "the origin was asked for a whole response")
		assert.Equal(t, "body", s.get("/").body)
		assert.Equal(t, 1, s.renders())
	})
}

func TestRevalidation(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `"v1"` {
				rw.Header().Set("Cache-Control", "no-cache")
				rw.Header().Set("X-New", "1")
				rw.Header().Set("Etag", `"v1"`)
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			page("body", "Cache-Control: no-cache", `ETag: "v1"`, "X-Old: 1")(rw, r)
		})
		assert.Contains(t, s.get("/").cacheStatus(), "fwd=uri-miss; stored")
		got := s.get("/")
		assert.Equal(t, "odoocache; fwd=stale; fwd-status=304; stored; ttl=0", got.cacheStatus())
		assert.Equal(t, 200, got.status)
		assert.Equal(t, "body", got.body)
		assert.Equal(t, "1", got.header.Get("X-New"))
		assert.Equal(t, "1", got.header.Get("X-Old"))
		s.answers(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				rw.Header().Set("Etag", `"v2"`)
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			page("other", "Cache-Control: no-cache", `ETag: "v2"`)(rw, r)
		})
		assert.Equal(t, "other", s.get("/").body, "a 304 for another entity tag must not confirm the stored one")
	})
}

func TestStaleWhileRevalidate(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("old", "X-Odoo-Cache: public, ttl=50ms, grace=60"))
		s.get("/")
		gate := make(chan bool)
		s.answers(func(rw http.ResponseWriter, r *http.Request) {
			<-gate
			page("new", "X-Odoo-Cache: public, ttl=60, grace=60")(rw, r)
		})
		time.Sleep(60 * time.Millisecond)
		for i := 0; i < 3; i++ {
			got := s.get("/")
			assert.Equal(t, "old", got.body)
			assert.Regexp(t, "hit; ttl=-?[01]; detail=stale-while-revalidate", got.cacheStatus())
		}
		close(gate)
		require.Eventually(t, func() bool { return s.get("/").body == "new" }, waitFor, tick)
	})
}

func TestRefreshIsAnonymousAndAlone(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("old", "X-Odoo-Cache: public, ttl=50ms, grace=60"))
		s.get("/")
		before := s.renders()
		gate := make(chan bool)
		arrived := make(chan http.Header, 10)
		s.answers(func(rw http.ResponseWriter, r *http.Request) {
			arrived <- r.Header
			<-gate
			page("new", "X-Odoo-Cache: public, ttl=60")(rw, r)
		})
		time.Sleep(60 * time.Millisecond)
		for i := 0; i < 5; i++ {
			assert.Equal(t, "old", s.get("/", "Cookie: visitor=1", "Referer: http://x/", "If-None-Match: \"z\"").body)
		}
		header := <-arrived
		for _, name := range []string{"Cookie", "Referer", "If-None-Match", "Authorization"} {
			assert.Empty(t, header[name], name)
		}
		assert.Equal(t, before+1, s.renders(), "one refresh for each key")
		close(gate)
		require.Eventually(t, func() bool { return s.get("/").body == "new" }, waitFor, tick)
	})
}

func TestStaleIfError(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("good", "X-Odoo-Cache: public, ttl=50ms, sie=60"))
		s.get("/")
		time.Sleep(60 * time.Millisecond)
		s.answers(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X-Trace", "1")
			rw.WriteHeader(http.StatusBadGateway)
		})
		got := s.get("/")
		assert.Equal(t, 200, got.status)
		assert.Equal(t, "good", got.body)
		assert.Empty(t, got.header["X-Trace"], "nothing of the error reaches the client")
		assert.Equal(t, "odoocache; fwd=stale; fwd-status=502; detail=stale-if-error", got.cacheStatus())
		s.answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		assert.Equal(t, "good", s.get("/").body)
		s.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) })
		assert.Equal(t, 404, s.get("/").status, "a 404 is an answer, not an error")
	})
}

func TestRequestDirectives(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("x", "Cache-Control: max-age=60"))
		oic := s.get("/", "Cache-Control: only-if-cached")
		assert.Equal(t, 504, oic.status)
		assert.Equal(t, 0, s.renders())
		s.get("/")
		assert.Equal(t, "odoocache; fwd=request; stored; ttl=60; detail=request-no-cache", s.get("/", "Cache-Control: no-cache").cacheStatus())
		assert.Contains(t, s.get("/", "Cache-Control: min-fresh=100").cacheStatus(), "fwd=request")
		assert.Contains(t, s.get("/", "Cache-Control: only-if-cached").cacheStatus(), "hit")
		ignoring := newSite(t, load, options{"requestDirectives": "ignore"}, page("x", "Cache-Control: max-age=60"))
		ignoring.get("/")
		assert.Contains(t, ignoring.get("/", "Cache-Control: no-cache").cacheStatus(), "hit")
	})
}

func TestUnsafeMethodsInvalidate(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, options{"rules": []options{{"match": options{"pathPrefixes": []string{"/web"}}, "bypass": "true"}}},
			page("x", "Cache-Control: max-age=60", "Location: /location", "Content-Location: http://elsewhere.example/other"))
		for _, path := range []string{"/a", "/a?q=1", "/location", "/other"} {
			s.get(path)
		}
		s.do(http.MethodPost, "/a", "x")
		assert.Contains(t, s.get("/a").cacheStatus(), "uri-miss")
		assert.Contains(t, s.get("/a?q=1").cacheStatus(), "hit", "another address")
		s.do(http.MethodPost, "/a?q=1", "x")
		assert.Contains(t, s.get("/a?q=1").cacheStatus(), "uri-miss")
		assert.Contains(t, s.get("/location").cacheStatus(), "uri-miss")
		assert.Contains(t, s.get("/other").cacheStatus(), "hit", "another host is not ours to invalidate")
		s.answers(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadRequest) })
		s.do(http.MethodDelete, "/other", "")
		assert.Contains(t, s.get("/other").cacheStatus(), "hit", "the origin refused")
	})
}

func TestTheSessionOfTheFirstVisitorIsNotForOthers(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		rules := options{"rules": []options{{"match": everything, "ttl": "60", "cookies": options{"drop": []string{"session_id"}, "keep": []string{"frontend_lang"}}}}}
		s := newSite(t, load, rules, page("x", "Set-Cookie: session_id=s3cret; Path=/", "Set-Cookie: frontend_lang=fr_FR; Path=/"))
		first := s.get("/")
		assert.Equal(t, []string{"frontend_lang=fr_FR; Path=/"}, first.header["Set-Cookie"], "a session that is not needed yet")
		second := s.get("/")
		assert.Contains(t, second.cacheStatus(), "hit")
		assert.Equal(t, []string{"frontend_lang=fr_FR; Path=/"}, second.header["Set-Cookie"])
	})
}

func TestAStoredPageIsNotForSessionsOrCredentials(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, options{"rules": []options{{"match": options{"pathPrefixes": []string{"/static"}}, "session": "ignore"}}},
			page("x", "Cache-Control: max-age=60"))
		s.get("/")
		s.get("/static/x")
		assert.Equal(t, "odoocache; fwd=request; detail=session", s.get("/", "Cookie: session_id=abc").cacheStatus())
		assert.Equal(t, "odoocache; fwd=request; detail=authorization", s.get("/", "Authorization: Basic eA==").cacheStatus())
		assert.Contains(t, s.get("/static/x", "Cookie: session_id=abc").cacheStatus(), "hit")
		assert.Contains(t, s.get("/").cacheStatus(), "hit")
	})
}

func TestTenantsShareNothing(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		a := newSite(t, load, nil, page("a", "Cache-Control: max-age=60"))
		b := newSite(t, load, nil, page("b", "Cache-Control: max-age=60"))
		for i := 0; i < 2; i++ {
			assert.Equal(t, "a", a.get("/", "Host: shop.example").body)
			assert.Equal(t, "b", b.get("/", "Host: shop.example").body)
		}
	})
}

func TestChunkedResponsesAreStreamedAndStored(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		next := make(chan bool)
		s := newSite(t, load, nil, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			_, _ = io.WriteString(rw, "first;")
			<-next
			_, _ = io.WriteString(rw, "second")
		})
		resp, err := plainClient.Get(s.url + "/")
		require.NoError(t, err)
		defer resp.Body.Close()
		head := make([]byte, 6)
		_, err = io.ReadFull(resp.Body, head)
		require.NoError(t, err)
		assert.Equal(t, "first;", string(head), "the first part came before the second was written")
		close(next)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "first;second", s.get("/").body)
		assert.Equal(t, 1, s.renders())
	})
}

func TestBrokenResponsesAreNotStored(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			_, _ = io.WriteString(rw, "half")
			panic(http.ErrAbortHandler)
		})
		_, err := send(http.MethodGet, s.url+"/", "", http.Header{})
		require.Error(t, err)
		s.answers(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(rw, "half")
		})
		_, err = send(http.MethodGet, s.url+"/", "", http.Header{})
		require.Error(t, err)
		s.answers(page("whole", "Cache-Control: max-age=60"))
		assert.Equal(t, "whole", s.get("/").body)
	})
}

// TestInterimResponses checks that 103 reaches the client and leaves nothing in
// the stored response (RFC 8297).
func TestInterimResponses(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Link", "</a.css>; rel=preload")
			rw.WriteHeader(http.StatusEarlyHints)
			rw.Header().Del("Link")
			page("x", "Cache-Control: max-age=60")(rw, r)
		})
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
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
		got := s.get("/", "Host: x")
		assert.Contains(t, got.cacheStatus(), "hit")
		assert.Empty(t, got.header["Link"])
	})
}

func TestEveryBodyIsTheRightOne(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			page(strings.Repeat(r.URL.Path+";", 200), "Cache-Control: max-age=60")(rw, r)
		})
		var wg sync.WaitGroup
		wrong := make(chan string, 1000)
		for w := 0; w < 16; w++ {
			wg.Add(1)
			go func(w int) {
				defer wg.Done()
				for i := 0; i < 60; i++ {
					path := fmt.Sprintf("/page-%d", (w*7+i)%10)
					got, err := send(http.MethodGet, s.url+path, "", http.Header{})
					if err != nil || got.body != strings.Repeat(path+";", 200) {
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
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, page("old", "Cache-Control: max-age=60", `ETag: "1"`))
		s.get("/")
		s.answers(page("old", "Cache-Control: max-age=60", `ETag: "1"`))
		s.do(http.MethodHead, "/", "", "Cache-Control: no-cache")
		assert.Contains(t, s.get("/").cacheStatus(), "; hit", "the same entity tag")
		s.answers(page("new", "Cache-Control: max-age=60", `ETag: "2"`))
		s.do(http.MethodHead, "/", "", "Cache-Control: no-cache")
		assert.Equal(t, "new", s.get("/").body)
	})
}

// TestCodedResponsesAreForThoseWhoAskedForThem checks that a gzip body without
// Vary is not given to a client that does not accept it.
func TestCodedResponsesAreForThoseWhoAskedForThem(t *testing.T) {
	both(t, func(t *testing.T, load loader) {
		s := newSite(t, load, nil, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") == "gzip" {
				page("coded", "Cache-Control: max-age=60", "Content-Type: text/css", "Content-Encoding: gzip")(rw, r)
				return
			}
			page("plain", "Cache-Control: max-age=60", "Vary: Accept-Encoding")(rw, r)
		})
		assert.Equal(t, "coded", s.get("/", "Accept-Encoding: gzip").body)
		assert.Equal(t, "plain", s.get("/").body)
		assert.Contains(t, s.get("/", "Accept-Encoding: gzip").cacheStatus(), "; hit")
		assert.Contains(t, s.get("/").cacheStatus(), "; hit")
	})
}
