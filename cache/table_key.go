package cache

import (
	"net/http"
	"strings"
)

// hotKey is what of a GET decides on its answer, but for cookies and languages; "" if it
// has anything that takes thought.
func hotKey(h *Handler, r *http.Request) string {
	in := r.Header
	for _, name := range awkward {
		if in[name] != nil {
			return ""
		}
	}
	if r.ContentLength != 0 || in["If-Modified-Since"] != nil && in["If-None-Match"] == nil || r.URL.Opaque != "" || withoutScheme(r) {
		return ""
	}
	kept := http.Header{}
	for _, name := range h.telling {
		if lines := in[name]; lines != nil {
			kept[name] = lines
		}
	}
	fields := &strings.Builder{}
	_ = kept.WriteSubset(fields, nil)
	return strings.Join([]string{h.prefix, r.Host, r.URL.RequestURI(), fields.String()}, "\n")
}

// withoutScheme reports whether a request's key would not tell that it came over TLS.
func withoutScheme(r *http.Request) bool {
	return r.TLS != nil && r.Header["X-Forwarded-Proto"] == nil
}

// awkward are the fields of requests that take thought. An If-None-Match does not.
var awkward = []string{
	"Range", "Upgrade", "Authorization", "If-Match", "If-Unmodified-Since", "X-Openerp-Session-Id",
}

// telling are the fields of requests that decide on the answer of the table, beside
// cookies and languages.
var telling = []string{"Accept", "Accept-Encoding", "X-Forwarded-Host", "X-Forwarded-Proto"}

// usual are fields of requests that have no part in what the table answers with, those
// that most requests have. ServeHTTP makes the key of all others, so that fields that take
// thought make one that is in no table; whatever else is not here does, too, and costs hotKey.
var usual = map[string]bool{
	"Accept-Language": true, "Alt-Used": true, "Baggage": true, "Cdn-Loop": true, "Cf-Connecting-Ip": true, "Cf-Ipcountry": true, "Cf-Ray": true, "Cf-Visitor": true,
	"Connection": true, "Cookie": true, "Dnt": true, "Forwarded": true, "From": true, "Keep-Alive": true, "Origin": true, "Priority": true,
	"Referer": true, "Save-Data": true, "Sec-Ch-Ua": true, "Sec-Ch-Ua-Arch": true, "Sec-Ch-Ua-Bitness": true, "Sec-Ch-Ua-Full-Version-List": true,
	"Sec-Ch-Ua-Mobile": true, "Sec-Ch-Ua-Model": true, "Sec-Ch-Ua-Platform": true, "Sec-Ch-Ua-Platform-Version": true, "Sec-Fetch-Dest": true,
	"Sec-Fetch-Mode": true, "Sec-Fetch-Site": true, "Sec-Fetch-Storage-Access": true, "Sec-Fetch-User": true, "Sec-Gpc": true, "Sec-Purpose": true, "Te": true, "Traceparent": true,
	"Tracestate": true, "True-Client-Ip": true, "Upgrade-Insecure-Requests": true, "User-Agent": true, "Via": true, "X-Amzn-Trace-Id": true,
	"X-Cloud-Trace-Context": true, "X-Correlation-Id": true, "X-Forwarded-For": true, "X-Forwarded-Port": true, "X-Forwarded-Prefix": true, "X-Forwarded-Server": true,
	"X-Odoo-Cache-Edge": true, "X-Real-Ip": true, "X-Request-Id": true, "X-Requested-With": true,
}

// usualFor returns the usual fields of a handler: those that it has in its keys are none.
func usualFor(telling []string) map[string]bool {
	fields := map[string]bool{}
	for name := range usual {
		if !hasName(telling, name) {
			fields[name] = true
		}
	}
	return fields
}
