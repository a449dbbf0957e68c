package poison

import (
	"fmt"
	"net/http"
	"strings"
)

// Oddity is one thing that somebody odd does.
type Oddity struct {
	Name string
	Do   func(q *Request, marker string)
	Core bool // also in pairs
	Open bool // its marker is part of an address or a name that the key holds
}

// oddFields are names of request fields that somebody may read. Their values are markers.
var oddFields = strings.Fields(`
	Accept-Charset Accept-Datetime Access-Control-Request-Headers Access-Control-Request-Method Alt-Used Available-Dictionary B3 Baggage
	Cdn-Loop Cf-Connecting-Ip Cf-Ipcity Cf-Ipcountry Cf-Ray Cf-Visitor Cf-Worker Client-Ip Cloudfront-Forwarded-Proto Cloudfront-Is-Mobile-Viewer
	Cloudfront-Viewer-Country Content-Disposition Content-Encoding Content-Language Content-Location Content-Md5 Content-Range Content-Type
	Cookie2 Correlation-Id Cross-Origin-Resource-Policy Date Depth Destination Device-Memory Digest Dnt Downlink Dpr Early-Data Ect Expect-Ct
	Fastly-Client-Ip Fastly-Ssl Forwarded Forwarded-For Forwarded-Host From Front-End-Https Host-Header Http2-Settings Idempotency-Key
	Keep-Alive Last-Event-Id Link Location Lock-Token Max-Forwards Nel Odoo-Database Origin Origin-Agent-Cluster Overwrite Ping-From Prefer Priority
	Proxy Proxy-Authenticate Proxy-Authorization Proxy-Connection Proxy-Host Purpose Referer Referrer Remote-Addr Remote-User Request-Id Rtt Save-Data
	Sec-Browsing-Topics Sec-Ch-Prefers-Color-Scheme Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform Sec-Ch-Viewport-Width Sec-Fetch-Dest Sec-Fetch-Mode
	Sec-Fetch-Site Sec-Fetch-User Sec-Gpc Sec-Purpose Sec-Websocket-Key Sec-Websocket-Protocol Server Service-Worker Service-Worker-Navigation-Preload
	Session Session-Id Set-Cookie Signature Soapaction Ssl-Client-Cert Ssl-Client-S-Dn Ssl-Client-Verify Status Surrogate-Capability Surrogate-Key
	Te Timeout Traceparent Tracestate Trailer Translate True-Client-Ip Uber-Trace-Id Upgrade-Insecure-Requests Uri User-Agent Vary Via Viewport-Width
	Want-Digest Warning Width Www-Authenticate X X-Accel-Buffering X-Accel-Mapping X-Accel-Redirect X-Akamai-Edgescape X-Amz-Cf-Id X-Amzn-Trace-Id
	X-Api-Key X-Appengine-Country X-Arr-Ssl X-Att-Deviceid X-Auth-Request-User X-Auth-Token X-Azure-Clientip X-Azure-Fdid X-B3-Traceid X-Cache
	X-Client-Geo-Location X-Client-Ip X-Cluster-Client-Ip X-Correlation-Id X-Country X-Country-Code X-Csrf-Token X-Csrftoken X-Device X-Device-Type
	X-Do-Not-Track X-Env-Https X-Firefox-Spdy X-Forward-For X-Forwarded X-Forwarded-Access-Token X-Forwarded-By X-Forwarded-Client-Cert X-Forwarded-Email
	X-Forwarded-For X-Forwarded-For-Original X-Forwarded-Groups X-Forwarded-Method X-Forwarded-Path X-Forwarded-Port X-Forwarded-Prefix
	X-Forwarded-Scheme X-Forwarded-Server X-Forwarded-Ssl X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info X-Forwarded-Uri X-Forwarded-User
	X-Geo X-Geoip-Country X-Hash X-Host X-Http-Destinationurl X-Http-Method X-Http-Method-Override X-Https X-Language X-Method-Override X-Modhash
	X-Odoo X-Odoo-Cache X-Odoo-Cache-Context X-Odoo-Cache-Edge X-Odoo-Fiscal-Position X-Odoo-Pricelist X-Odoo-Purge X-Odoo-Website X-Openerp
	X-Original-Host X-Original-Method X-Original-Uri X-Original-Url X-Originating-Ip X-Original-Forwarded-For X-Oss-Meta X-Prototype-Version X-Proxy-User
	X-Proxyuser-Ip X-Purpose X-Real-Ip X-Real-Ip-Original X-Remote-Addr X-Remote-Ip X-Remote-User X-Replaced-Path X-Replaced-Path-Regex X-Request-Id
	X-Request-Start X-Requested-With X-Rewrite-Url X-Role X-Sendfile X-Sendfile-Type X-Server-Name X-Ssl-Client-Cert X-Ssl-Client-Verify X-Tenant
	X-Timer X-Timezone X-Trace-Id X-True-Client-Ip X-Uidh X-Url-Scheme X-User X-User-Id X-Varnish X-Wap-Profile X-Wsgi-Script-Name X-Xsrf-Token
	X-Yahoo-Cached 0 A-A _ X--Double X-Trailing- -Leading X~Tilde`)

// coreFields are those of oddFields that also come in pairs.
var coreFields = " Forwarded From Origin Prefer Priority Proxy-Authorization Purpose Referer Sec-Fetch-Dest Sec-Fetch-Site Te Traceparent User-Agent Via" +
	" X-Country X-Csrf-Token X-Forwarded-For X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-User X-Http-Method-Override X-Odoo-Cache-Context" +
	" X-Odoo-Cache-Edge X-Original-Url X-Real-Ip X-Requested-With X-Rewrite-Url X "

// foldedFields are written with _ and . for -: a server that folds names as WSGI does
// takes them for the fields that count.
var foldedFields = strings.Fields(`
	Accept-Language Authorization-Basic Content-Length Content-Type If-Modified-Since If-None-Match Transfer-Encoding User-Agent
	X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Odoo-Cache-Edge X-Odoo-Cache-Context X-Odoo-Database X-Odoo-Dbfilter
	X-Openerp-Session-Id X-Real-Ip X-Requested-With Cf-Ipcountry`)

// oddLines are whole fields; %s is the marker.
var oddLines = []string{
	"Accept: %s", "Accept: image/webp,*/*;v=%s", "Accept: application/json", "Accept: text/event-stream;%s", "Accept:",
	"Accept-Encoding: br", "Accept-Encoding: zstd, br, gzip", "Accept-Encoding: gzip", "Accept-Encoding: identity;q=0", "Accept-Encoding: *;q=0, %s", "Accept-Encoding: gzip;q=0, identity;q=0", "Accept-Encoding:",
	"Accept-Language: fr", "Accept-Language: fr-FR,fr;q=0.9", "Accept-Language: en-AU", "Accept-Language: en;q=0.5, de;q=0.9", "Accept-Language: *", "Accept-Language:",
	"Accept-Language: %s", "Accept-Language: en-US,%s;q=0.1", "Accept-Language: en_US", "Accept-Language: en;q=%s", "Accept-Language: ,;q=,%s,,", "Accept-Language: qaa-ZZ",
	"Accept-Language: en-US\r\nAccept-Language: fr-%s", "Accept-Language: \xe9%s",
	"Authorization: Basic %s", "Authorization: Bearer %s", "Authorization: %s", "Authorization:",
	"Cache-Control: no-cache", "Cache-Control: no-store", "Cache-Control: max-age=0", "Cache-Control: max-stale", "Cache-Control: min-fresh=1", "Cache-Control: %s", "Pragma: no-cache", "Pragma: %s",
	"Connection: close", "Connection: keep-alive, %s", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %s", "Connection: X-Forwarded-Host, Host, Accept-Language, Cookie", "Upgrade: %s", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s",
	"Content-Length: 0", "Content-Length: 0\r\nContent-Type: application/x-www-form-urlencoded; %s",
	"Cookie: %s", "Cookie: \"%s", "Cookie: ;;=%s;", "Cookie: a=b\r\nCookie: session_id=%s",
	"Expect: 100-continue", "Expect: %s",
	"Forwarded: for=192.0.2.7;host=%s.example;proto=https", "X-Forwarded-Host: %s.example", "X-Forwarded-Host: shop.example, %s.example", "X-Forwarded-Host: shop.example:8%s", "X-Forwarded-Proto: %s", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http,%s", "X-Forwarded-Proto: HTTP", "X-Forwarded-Port: 443", "X-Forwarded-Ssl: on", "X-Forwarded-For: 127.0.0.1, 203.0.113.7", "X-Forwarded-For: 2001:db8::7", "X-Forwarded-For:",
	"If-Match: \"%s\"", "If-Match: *", "If-Modified-Since: %s", "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT", "If-None-Match: \"%s\"", "If-None-Match: *", "If-None-Match: W/\"%s\", \"a\"", "If-Range: \"%s\"", "If-Unmodified-Since: %s", "If: (<%s>)",
	"Origin: null", "Origin: http://%s.example", "Range: bytes=0-1", "Range: bytes=0-1,3-4", "Range: %s=0-1", "Range: bytes=-1\r\nIf-Range: \"%s\"",
	"Referer: http://shop.example/%s", "Referer: http://shop.example/web/login?redirect=%s", "Save-Data: on", "Sec-Fetch-Dest: iframe", "Sec-Fetch-Dest: image", "Sec-Purpose: prefetch;prerender",
	"TE: trailers", "TE: trailers, deflate;q=%s", "Trailer: %s",
	"User-Agent:", "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1; %s)", "User-Agent: curl/8 %s", "User-Agent: Mozilla/5.0 (iPhone; %s) Mobile Safari", "User-Agent: \xff%s", "User-Agent: bingbot", "User-Agent: x\r\nUser-Agent: %s",
	"X-Http-Method-Override: POST", "X-Method-Override: PURGE", "X-Odoo-Database: %s", "X-Odoo-Dbfilter: %s", "X-Openerp-Session-Id: %s", "X-Openerp-Session-Id:", "X-Odoo-Cache: no-store", "X-Odoo-Cache: public, ttl=%s", "X-Odoo-Purge: *", "X-Odoo-Cache-Edge: odoocache", "X-Odoo-Cache-Context: 0", "X-Odoo-Cache-Context: 0123456789abcdef", "X-Requested-With: XMLHttpRequest", "X-Bare: 1",
}

// FortyHex and the like are shapes of session ids of Odoo 14 and later.
const (
	FortyHex = "0123456789abcdef0123456789abcdef01234567"
	LongID   = "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQrStUvWxYz012345"
)

// oddCookies are single cookies.
var oddCookies = []string{
	"session_id=%s", "session_id=" + FortyHex, "session_id=" + LongID, "session_id=", "session_id", "session_id=\"%s\"", "session_id=\"" + FortyHex + "\"", "session_id=\"a\\054%s\"",
	"\"session_id\"=%s", " session_id = %s", "SESSION_ID=%s", "Session_Id=%s", "session_id%%3D%s", "session%%5fid=%s", "session_id=a; session_id=%s", "x=\"; session_id=%s\"", "x=\"y; session_id=" + FortyHex + "; frontend_lang=fr_FR", "session_id=%s,frontend_lang=fr_FR",
	"x=y,session_id=%s", "x=y\tsession_id=%s", "\xa0session_id=%s", "session_id\x85=%s",
	"visitor_uuid=%s", "visitor_uuid=0123456789abcdef0123456789abcdef", "visitor_uuid=\"%s\"", "Visitor_Uuid=%s",
	"tz=%s", "tz=Europe/Paris", "tz=\"%s\"", "tz=Europe/Paris; tz=%s", "cids=1-2", "cids=%s", "color_scheme=dark", "color_scheme=%s",
	"website_cookies_bar=%s", "website_cookies_bar={\"required\": true, \"optional\": true}", "website_cookies_bar={\"required\": true, \"optional\": false}", "website_cookies_bar=%%7B%%22required%%22%%3A%%20true%%2C%%20%%22optional%%22%%3A%%20true%%7D",
	"website_cookies_bar=\"true\"", "website_cookies_bar=true", "website_cookies_bar=\"{\\\"required\\\": true\\054 \\\"optional\\\": true}\"", "website_cookies_bar={\"required\": true, \"optional\": true, \"x\": \"%s\"}", "website_cookies_bar={\"optional\": %s}", "website_cookies_bar=a; website_cookies_bar=%s",
	"frontend_lang=fr_FR", "frontend_lang=en_US", "frontend_lang=%s", "frontend_lang=", "frontend_lang=\"fr_FR\"", "frontend_lang=fr", "frontend_lang=fr_%s", "frontend_lang=fr_FR; frontend_lang=%s", "frontend_lang=%s; frontend_lang=fr_FR", "frontend_lang=<%s>", "frontend_lang=fr_FR%%0d%s", "Frontend_Lang=fr_FR", "prefs=\"{\\\"a\\\":1}\"; session_id=%s; frontend_lang=fr_FR",
	"odoocache_context=0", "odoocache_context=private", "odoocache_context=%s", "odoocache_context=0123456789abcdef", "odoocache_context=0; odoocache_context=%s", "odoocache_context=\"0\"; x=%s", "odoocache_cart=%s", "odoocache_wishlist=%s",
	"unknown=%s", "%s=1", "%s", "=%s", "a={\"json\": [\"%s\", {\"b\": 1}]}", "a=\"quoted; %s\"", "__Host-x=%s", "__Secure-session=%s", "$Version=1; $Path=%s", "_ga=GA1.1.%s", "_fbp=fb.1.%s", "odoo_utm_source=%s", "im_livechat_history=[\"/%s\"]", "livechat_session=%s", "forum_welcome_message=%s", "fileToken=%s", "dgid=%s", "td_id=%s",
	"a=\xe9%s", "a=\"\\303\\251%s\"", "a=b c %s", "a=" + "%s" + strings.Repeat("x", 5000),
}

// keyCookies are those of oddCookies that keys may hold: a rule names the cookie, it is
// there once, and its value is plain.
var keyCookies = map[string]bool{"tz=%s": true, "frontend_lang=%s": true, "frontend_lang=fr_%s": true, "frontend_lang=fr_FR%%0d%s": true}

// oddPaths are other spellings of a page's address; %p is the address, %s the marker.
var oddPaths = []string{
	"/%p", "//%p", "/.%p", "/./.%p", "/%s/..%p", "/%s/../%s/../.%p", "%p/.", "%p/%s/..", "%p//", "%p/./", "/%2f%p", "/%2F%p", "%p%2f", "/%2e%p", "/%2e%2e%p", "/%2E%2e%p", "/%s/%2e%2e%p", "%p/%2e", "%p/%s/%2e%2e",
	"/%5c%p", "%p%5c", "/%5C..%p", "/\\%p", "%p;x=%s", "%p;%s", "/;%s%p", "%p%3bx=%s", "%p%00", "%p%00%s", "%p%0a", "%p%0d%0aX-Odd:%20%s", "%p%09", "%p%20", "%p%20%20", "%p.", "%p%2e",
	"/%252f%p", "%p%252e", "/%25%32%66%p", "%p%ff", "%p%c0%af", "%p%e9", "%p\xe9", "%p%", "%p%zz", "%p%u002f", "%p#%s", "%p%23%s", "%p%3f%s=1", "http://shop.example%p", "http://SHOP.example%p", "http://shop.example:80%p", "http://%s.example%p", "http://%s@shop.example%p",
}

// oddQueries are put behind an address. ; same says that Odoo routes it like the address.
var oddQueries = []string{
	"?", "?&", "?&&&", "?=", "?=%s", "?%s", "?%s=", "?a=1&a=2&a=%s", "?b=2&a=%s", "?a=%s;b=2", "?;%s", "?%61=%s", "?%41=%s&A=1", "?a[]=%s", "?a%00=%s", "?a=%00%s", "?a=+%s", "?a=%2B%s", "?a=%zz%s", "?a=%", "?%s=%E9", "?a=\xe9%s", "?a=%2526%s", "??%s", "?a=1#%s", "?a=%0d%0a%s",
	"?utm_source=%s", "?utm_source=%s&utm_medium=%s", "?UTM_SOURCE=%s", "?gclid=%s", "?%67clid=%s", "?fbclid=%s&a=1", "?a=1&gclid=%s&b=2", "?_ga=%s", "?utm_source", "?gclid=%s&gclid=%s", "?gclid=%s;a=1",
	"?debug=%s", "?debug=1", "?Debug=%s", "?%64ebug=%s", "?session_id=%s", "?session%5fid=%s", "?session_id=" + FortyHex, "?db=%s", "?pricelist=%s", "?access_token=%s", "?access_token[]=%s", "?token=%s", "?email=%s", "?Email=%s", "?x_name=%s", "?lang=fr_FR&x=%s", "?lang=%s", "?page=1&%s", "?redirect=http://%s.example", "?fw=%s", "?enable_editor=%s",
}

// Oddities are all of them.
func Oddities() []Oddity {
	var list []Oddity
	fill := func(pattern, marker string) string {
		return strings.ReplaceAll(strings.ReplaceAll(pattern, "%s", marker), "%%", "%")
	}
	line := func(name, pattern string, core bool) {
		open := strings.HasPrefix(pattern, "X-Forwarded-Host:") || strings.HasPrefix(pattern, "X-Forwarded-Proto:") || name == "X-Country"
		list = append(list, Oddity{Name: name, Core: core, Open: open, Do: func(q *Request, marker string) {
			q.Lines = append(q.Lines, strings.Split(fill(pattern, marker), "\r\n")...)
		}})
	}
	for _, name := range oddFields {
		line(name, name+": %s", strings.Contains(coreFields, " "+name+" "))
	}
	for _, name := range foldedFields {
		for _, with := range []string{"_", "."} {
			for _, value := range []string{"%s", "fr-FR", FortyHex} {
				other := strings.ReplaceAll(name, "-", with)
				line(other+": "+value, other+": "+value, value == "%s" && with == "_")
			}
		}
	}
	for i, pattern := range oddLines {
		line(fmt.Sprintf("%q", pattern), pattern, i%3 == 0)
	}
	for i, pattern := range oddCookies {
		pattern := pattern
		list = append(list, Oddity{Name: fmt.Sprintf("cookie %.60q", pattern), Core: i%2 == 0, Open: keyCookies[pattern], Do: func(q *Request, marker string) {
			q.Cookies = append(q.Cookies, fill(pattern, marker))
		}})
	}
	for i, pattern := range oddPaths {
		pattern := pattern
		list = append(list, Oddity{Name: fmt.Sprintf("path %q", pattern), Core: i%4 == 0, Open: true, Do: func(q *Request, marker string) {
			q.Target = strings.ReplaceAll(strings.ReplaceAll(pattern, "%s", marker), "%p", q.Target)
		}})
	}
	for i, pattern := range oddQueries {
		pattern := pattern
		list = append(list, Oddity{Name: fmt.Sprintf("query %q", pattern), Core: i%4 == 0, Open: true, Do: func(q *Request, marker string) {
			query := strings.ReplaceAll(pattern, "%s", marker)
			if strings.Contains(q.Target, "?") {
				query = "&" + query[1:]
			}
			q.Target += query
		}})
	}
	for name, do := range map[string]func(q *Request, marker string){
		"HEAD":             func(q *Request, _ string) { q.Method = http.MethodHead },
		"OPTIONS":          func(q *Request, _ string) { q.Method = http.MethodOptions },
		"a method":         func(q *Request, marker string) { q.Method = strings.ToUpper(marker) },
		"get":              func(q *Request, _ string) { q.Method = "get" },
		"HTTP/1.0":         func(q *Request, _ string) { q.proto = "HTTP/1.0" },
		"a body":           func(q *Request, marker string) { q.Body = marker },
		"an address":       func(q *Request, _ string) { q.remote = "203.0.113.99:1" },
		"a certificate":    func(q *Request, marker string) { q.certificate = marker },
		"a context":        func(q *Request, marker string) { q.value = marker },
		"another host":     func(q *Request, marker string) { q.Host = marker + ".example" },
		"host and port":    func(q *Request, _ string) { q.Host = Host + ":8080" },
		"host in capitals": func(q *Request, _ string) { q.Host = strings.ToUpper(Host) },
		"host and dot":     func(q *Request, _ string) { q.Host = Host + "." },
	} {
		list = append(list, Oddity{Name: name, Do: do, Core: name == "an address" || name == "HEAD", Open: name == "another host"})
	}
	return list
}
