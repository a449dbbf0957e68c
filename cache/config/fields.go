package config

import (
	"strings"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/option"
)

// Names of header fields and cookies that options may not take: they mean something
// already, or tell one visitor or one request from all others.

// standardFields mean something to HTTP, to browsers, to what stands in front, to Odoo or
// to the cache. An option that names one of them would take it away, or change it.
var standardFields = []string{
	"Accept", "Age", "Allow", "Alt-Svc", "Alt-Used", "Authorization", "Baggage", "Cache-Control", "Cache-Group-Invalidation", "Cache-Groups", "Cache-Status",
	"Cache-Tag", "Cdn-Cache-Control", "Cdn-Loop", "Clear-Site-Data", "Connection", "Cookie", "Date", "Dnt", "Etag", "Expect", "Expires", "Forwarded", "From",
	"Host", "Keep-Alive", "Last-Modified", "Link", "Location", "Max-Forwards", "Nel", "Origin", "Permissions-Policy", "Pragma", "Priority", "Range", "Referer",
	"Referrer-Policy", "Refresh", "Remote-Addr", "Remote-User", "Report-To", "Reporting-Endpoints", "Retry-After", "Save-Data", "Server", "Server-Timing",
	"Set-Cookie", "Strict-Transport-Security", "Surrogate-Control", "Surrogate-Key", "Te", "Timing-Allow-Origin", "Trailer", "Transfer-Encoding",
	"Upgrade", "Upgrade-Insecure-Requests", "User-Agent", "Vary", "Via", "Warning", "Www-Authenticate", "X-Accel-Redirect", "X-Content-Type-Options",
	"X-Frame-Options", "X-Http-Method-Override", "X-Odoo-Cache-Context", "X-Odoo-Database", "X-Odoo-Dbfilter", "X-Original-Url", "X-Requested-With",
	"X-Rewrite-Url", "X-Robots-Tag", "X-Sendfile", "X-Xss-Protection", "Xkey",
}

// standardPrefixes begin the names of more of them.
var standardPrefixes = []string{"Accept-", "Access-Control-", "Cf-", "Content-", "Cross-Origin-", "If-", "Proxy-", "Sec-", "X-Forwarded-"}

// singleFields differ from visitor to visitor, or from request to request. What varies by
// one of them is an entry for each.
var singleFields = []string{
	"Baggage", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "Cf-Ray", "Fastly-Client-Ip", "Forwarded", "Remote-Addr", "Traceparent",
	"Tracestate", "True-Client-Ip", "X-Amzn-Trace-Id", "X-Azure-Clientip", "X-Azure-Socketip", "X-Client-Ip", "X-Cloud-Trace-Context", "X-Cluster-Client-Ip",
	"X-Correlation-Id", "X-Forwarded-For", "X-Openerp-Session-Id", "X-Real-Ip", "X-Request-Id",
}

// hopFields are for caches and connections, not for what a page is.
var hopFields = []string{
	"Cache-Control", "Cdn-Loop", "Connection", "Content-Length", "Date", "Expect", "Keep-Alive", "Max-Forwards", "Pragma", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Range", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via",
}

// keyFields are part of every key.
var keyFields = []string{"Host", "X-Forwarded-Host", "X-Forwarded-Proto"}

func isStandard(name string) bool {
	if hasString(standardFields, name) || hasString(singleFields, name) {
		return true
	}
	for i := 0; i < len(standardPrefixes); i++ {
		if strings.HasPrefix(name, standardPrefixes[i]) {
			return true
		}
	}
	return false
}

// ownHeader reads the name of a header that only the cache and the application use.
func (p *problems) ownHeader(path, s string) string {
	name := p.header(path, s)
	if isStandard(name) {
		p.add(path, "%q has a meaning of its own; expected a name that nothing else uses, such as X-Shop-Cache", s)
	}
	return name
}

// sessionCookies are the cookies that belong to one visitor's session.
func sessionCookies(c option.Session) []string {
	list := []string{odoo.SessionCookie, odoo.ContextCookie}
	if c.Cookie != "" {
		list = append(list, c.Cookie)
	}
	if c.ContextCookie != "" {
		list = append(list, c.ContextCookie)
	}
	return list
}

// sessionsOf is sessionCookies for rules. A cookie that the preset's pages depend on is no
// session's: that is named under its option, once.
func (p *problems) sessionsOf(c *option.Config) []string {
	list := sessionCookies(c.Session)
	if c.Preset == "" {
		return list
	}
	names, options := []string{c.Session.Cookie, c.Session.ContextCookie}, []string{"session.cookie", "session.contextCookie"}
	for i := 0; i < len(names); i++ {
		if hasString(odoo.PageCookies(), names[i]) {
			p.add(options[i], "%q is a cookie that pages of Odoo depend on; expected one that only names a visitor", names[i])
			list = without(list, names[i])
		}
	}
	return list
}

func without(list []string, s string) []string {
	var out []string
	for i := 0; i < len(list); i++ {
		if list[i] != s {
			out = append(out, list[i])
		}
	}
	return out
}
