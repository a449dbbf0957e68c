package cache

import (
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/config"
)

// tableKey returns the fields of a GET that decide on its answer, but for cookies and
// languages. It returns "" for a request that the table never answers.
func tableKey(h *Handler, r *http.Request) string {
	in := r.Header
	for _, name := range h.slowFields {
		if in[name] != nil {
			return ""
		}
	}
	if r.ContentLength != 0 || in["If-Modified-Since"] != nil && in["If-None-Match"] == nil || r.URL.Opaque != "" || untoldScheme(r) {
		return ""
	}
	kept := http.Header{}
	for _, name := range h.keyFields {
		if lines := in[name]; lines != nil {
			kept[name] = lines
		}
	}
	fields := &strings.Builder{}
	_ = kept.WriteSubset(fields, nil)
	return strings.Join([]string{h.prefix, r.Host, r.URL.RequestURI(), fields.String()}, "\n")
}

// untoldScheme reports whether a request's key would not tell that it came over TLS.
func untoldScheme(r *http.Request) bool {
	return r.TLS != nil && r.Header["X-Forwarded-Proto"] == nil
}

// neverFromTable are fields with which a request goes the long way.
var neverFromTable = []string{
	"Range", "Upgrade", "Authorization", "If-Match", "If-Unmodified-Since", "X-Openerp-Session-Id",
}

// keyFields are the fields of requests that are part of the table's key. Cookies and languages
// are looked at apart.
var keyFields = []string{"Accept", "Accept-Encoding", "X-Forwarded-Host", "X-Forwarded-Proto"}

// ignoredFields are fields of requests that do not change what the table answers, those that
// most requests have. ServeHTTP makes the key of all other fields, so that a request with one
// that is not here is not found at once. Then tableKey makes its key.
var ignoredFields = map[string]bool{
	"Accept-Language": true, "Alt-Used": true, "Baggage": true, "Cdn-Loop": true, "Cf-Connecting-Ip": true, "Cf-Ipcountry": true, "Cf-Ray": true, "Cf-Visitor": true,
	"Connection": true, "Cookie": true, "Dnt": true, "Forwarded": true, "From": true, "Keep-Alive": true, "Origin": true, "Priority": true,
	"Referer": true, "Save-Data": true, "Sec-Ch-Ua": true, "Sec-Ch-Ua-Arch": true, "Sec-Ch-Ua-Bitness": true, "Sec-Ch-Ua-Full-Version-List": true,
	"Sec-Ch-Ua-Mobile": true, "Sec-Ch-Ua-Model": true, "Sec-Ch-Ua-Platform": true, "Sec-Ch-Ua-Platform-Version": true, "Sec-Fetch-Dest": true,
	"Sec-Fetch-Mode": true, "Sec-Fetch-Site": true, "Sec-Fetch-Storage-Access": true, "Sec-Fetch-User": true, "Sec-Gpc": true, "Sec-Purpose": true, "Te": true, "Traceparent": true,
	"Tracestate": true, "True-Client-Ip": true, "Upgrade-Insecure-Requests": true, "User-Agent": true, "Via": true, "X-Amzn-Trace-Id": true,
	"X-Cloud-Trace-Context": true, "X-Correlation-Id": true, "X-Forwarded-For": true, "X-Forwarded-Port": true, "X-Forwarded-Prefix": true, "X-Forwarded-Server": true,
	"X-Odoo-Cache-Edge": true, "X-Real-Ip": true, "X-Request-Id": true, "X-Requested-With": true,
}

// slowFieldsOf returns those of neverFromTable that count for a handler.
func slowFieldsOf(s *config.Settings) []string {
	var fields []string
	for _, name := range neverFromTable {
		if name != "Authorization" || !s.DropsAuthorization {
			fields = append(fields, name)
		}
	}
	return fields
}

// ignoredFieldsOf returns the ignored fields of a handler. Those in its keys are none of them.
func ignoredFieldsOf(s *config.Settings, keyed []string) map[string]bool {
	fields := map[string]bool{"Authorization": s.DropsAuthorization} // WriteSubset leaves out what is true
	for name := range ignoredFields {
		if !hasName(keyed, name) {
			fields[name] = true
		}
	}
	return fields
}
