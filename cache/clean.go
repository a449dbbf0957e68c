package cache

import (
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/policy"
)

// Some servers take X_Openerp_Session_Id for X-Openerp-Session-Id: WSGI and CGI write both
// as one name (RFC 3875 §4.1.18), and Werkzeug before 2.3 hands both on. To Traefik, to rules
// and to keys they are two. So a field whose name is only so that of one that counts is
// removed, before anything is decided, and whatever becomes of the request.

// countingNames are fields that decide on what an answer is, or on who has asked. Those
// that begin with one of countingPrefixes are, too.
var (
	countingNames = []string{
		"accept", "accept-encoding", "accept-language", "authorization", "connection", "content-encoding", "content-length", "content-type", "cookie",
		"expect", "forwarded", "host", "keep-alive", "origin", "proxy", "proxy-authorization", "range", "referer", "te", "trailer", "transfer-encoding",
		"true-client-ip", "cf-connecting-ip", "cf-ipcountry", "upgrade", "user-agent", "via", "x-client-ip", "x-cluster-client-ip", "x-disable-tracking",
		"x-http-method-override", "x-openerp-session-id", "x-original-url", "x-real-ip", "x-requested-with", "x-rewrite-url", "remote-addr", "remote-user",
	}
	countingPrefixes = []string{"x-forwarded-", "x-odoo", "if-", "sec-", "access-control-"}
)

// countingFields are the names that count, with those that the options name.
func countingFields(s *config.Settings) map[string]bool {
	counts := map[string]bool{}
	add := func(list []string) {
		for i := 0; i < len(list); i++ {
			counts[strings.ToLower(list[i])] = true
		}
	}
	add(countingNames)
	add(s.Fill.Headers)
	add([]string{s.EdgeHeader, s.CacheHeader, s.PurgeHeader, s.Country.Header})
	if s.Tenants != nil {
		add([]string{s.Tenants.Header})
	}
	for i := 0; i < len(s.Rules); i++ {
		add(s.Rules[i].Headers)
		for j := 0; j < len(s.Rules[i].Match.Headers); j++ {
			counts[strings.ToLower(s.Rules[i].Match.Headers[j].Name)] = true
		}
	}
	delete(counts, "")
	return counts
}

// oddInName are the bytes of a field's name (RFC 9110 §5.6.2, token) that are no letter,
// digit or dash. folding makes dashes of them.
const oddInName = "_.!#$%&'*+^`|~"

var folding = strings.NewReplacer("_", "-", ".", "-", "!", "-", "#", "-", "$", "-", "%", "-", "&", "-", "'", "-", "*", "-", "+", "-", "^", "-", "`", "-", "|", "-", "~", "-")

// mostFields is how many fields of a request are looked at one by one. Odoo takes 100
// (Python's http.client, _MAXHEADERS), and refuses more with the same status.
const mostFields = 2000

// refuseFields answers a request that has more.
func refuseFields(h *Handler, rw http.ResponseWriter) {
	count(h, policy.ReasonRequestLimit)
	tellFields(h, rw)
}

// tellFields answers that a request has too many fields.
func tellFields(h *Handler, rw http.ResponseWriter) {
	setCacheStatus(h, rw.Header(), h.statusOf(policy.ReasonRequestLimit))
	rw.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
}

// clean removes the fields of a request that a server may take for others, and reports
// whether the request is larger than what is looked at. Each length, and each number of
// members, is asked for by one call: a loop of ours over what a client sends costs a
// hundred times as much. So no field is split, or searched again and again, before this
// has been asked, or before crowded has.
//
// Of a request with too many fields all those with odd names go, whatever they may be
// taken for.
func clean(h *Handler, r *http.Request) (over bool) {
	in := r.Header
	fields, most := h.s.Limits.RequestFields, h.s.Limits.RequestBytes
	u := r.URL
	many := len(in) > fields
	over = many || len(u.RawQuery) > most || len(u.Path) > most || len(r.Host) > most || strings.Count(u.RawQuery, "&") >= h.s.Limits.QueryParams
	short := most // bytes that cannot be too many, nor too many members
	if fields <= short {
		short = fields - 1
	}
	for name, lines := range in {
		if strings.ContainsAny(name, oddInName) && (many || alias(h, name)) {
			delete(in, name)
			continue
		}
		if len(lines) == 1 && len(lines[0]) <= short {
			continue
		}
		over = over || tooMuch(name, lines, fields, most)
	}
	return over
}

// alias reports whether a field's name is that of another one to some servers.
func alias(h *Handler, name string) bool {
	folded := strings.ToLower(folding.Replace(name))
	if h.counting[folded] {
		return folded != strings.ToLower(name) // the options may name an odd one
	}
	for i := 0; i < len(countingPrefixes); i++ {
		if strings.HasPrefix(folded, countingPrefixes[i]) {
			return true
		}
	}
	return false
}

// tooMuch reports whether a field of several lines, or a long one, is larger than what is
// looked at.
func tooMuch(name string, lines []string, fields, limit int) bool {
	if len(lines) == 1 {
		return len(lines[0]) > limit || crowded(name, lines[0], fields)
	}
	if len(lines) > fields {
		return true
	}
	all := strings.Join(lines, ",")
	if name == "Cookie" {
		all = strings.Join(lines, ";")
	}
	return len(all) > limit || crowded(name, all, fields)
}

// crowded reports whether a field has more members than are looked at one by one. Those of
// Cookie stand between semicolons. Those of the others stand between commas, and have
// parameters after semicolons.
func crowded(name, field string, fields int) bool {
	n := strings.Count(field, ";")
	if name != "Cookie" {
		n += strings.Count(field, ",")
	}
	return n >= fields
}
