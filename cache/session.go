package cache

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// A session cookie does not tell whether its session is special: signed in, a
// cart, another pricelist. But a session that Odoo was seen to begin, in an
// answer to a request that changes nothing, is a default one until a request of
// it passes that could change what pages show: then it is special if that is known to
// change pages, else in doubt. That is noted where all replicas see it, before the request is
// forwarded, and again before its answer is, since meanwhile a page may have shown how
// the session was before. Of all other sessions nothing is known. Doubt is settled by
// evidence, see evidence.go.
//
// With the Odoo addon a cookie says what the visitor's pages are rendered for,
// its context, and the response says so, too.

// readCookies finds out what the cookies say of the visitor.
func readCookies(h *Handler, v *visit) {
	if h.s.Session != "" && cookie.Has(h.s.Session, v.r) {
		v.cookie, v.session = true, true
		if value := cookie.Only(h.s.Session, v.r); odoo.SessionID.MatchString(value) {
			v.sid = keys.SessionID(value)
		}
	}
	if !v.rule.Nobody {
		return
	}
	v.agrees = odoo.Consents(v.r.Header["Cookie"])
	if h.s.ContextCookie == "" || !cookie.Has(h.s.ContextCookie, v.r) {
		return
	}
	switch value := cookie.Only(h.s.ContextCookie, v.r); {
	case value == odoo.DefaultContext || odoo.ContextValue.MatchString(value):
		v.context = value
	default:
		v.context = odoo.PrivateContext
	}
}

// inContext reports whether a response was rendered for the context that its key has.
// Without the addon there is one alone, and nobody says so.
func inContext(v *visit, header http.Header) bool {
	context := v.context
	if context == "" {
		context = odoo.DefaultContext
	}
	lines := header[odoo.ContextHeader]
	if len(lines) == 0 {
		return context == odoo.DefaultContext
	}
	return len(lines) == 1 && lines[0] == context
}

// changesSession reports whether a request may change what later pages of its
// session show.
func changesSession(v *visit) bool {
	if v.id != nil && v.id.odd {
		return true // it may lead anywhere
	}
	safe := !unsafeMethod(v.r.Method)
	if safe && v.r.ContentLength != 0 {
		return true // Odoo reads the form of a GET like that of a POST
	}
	if v.rule.KeepsSession || v.reads || v.rule.AnswerTells && safe {
		return false
	}
	return !safe || v.rule.Bypass || v.rule.MarksSession
}

// readCall finds out whether the body of a request says that it changes nothing. A body that is
// too long to be looked at, or of unknown length, says nothing.
func readCall(v *visit) {
	r := v.r
	if r.Method != http.MethodPost || r.ContentLength <= 0 || r.ContentLength > odoo.CallBytes || len(r.Header["Content-Encoding"]) > 0 {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
	out := r.Clone(r.Context())
	out.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body)) // an error comes again
	v.r = out
	v.reads = err == nil && odoo.OnlyReads(r.URL.Path, body)
}

// markSessions marks the sessions of a request that may change them. It reports whether it
// may. All that the request could mean are meant: cookies that are given twice, and where
// older versions of Odoo look, too (Odoo 14: odoo/http.py, Root.setup_session).
func markSessions(h *Handler, v *visit) bool {
	if !changesSession(v) {
		return false
	}
	markAll(h, v, v.rule.MarksSession)
	return true
}

// markAll marks all sessions that a request may mean, as special or in doubt.
func markAll(h *Handler, v *visit, special bool) {
	if h.s.Session == "" {
		return
	}
	most := h.s.Limits.RequestBytes
	var list []string
	field := around(strings.Join(v.r.Header["Cookie"], ";"), h.s.Session, most)
	if strings.Contains(field, h.s.Session) || strings.Contains(field, "\\") {
		list = addSessions(list, h.s.SessionPattern.FindAllStringSubmatch(field, -1))
		if strings.Contains(field, "\\") {
			list = addSessions(list, h.s.SessionPattern.FindAllStringSubmatch(cookie.Unescaped(field), -1))
		}
	}
	for _, value := range v.r.Header["X-Openerp-Session-Id"] {
		if len(list) > maxSessions {
			break
		}
		list = append(list, keys.SessionID(value))
	}
	query := v.r.URL.RawQuery
	if strings.Contains(query, "%") {
		if plain, err := url.QueryUnescape(query); err == nil {
			query = plain
		}
	}
	if strings.Contains(query, odoo.SessionParam) {
		list = addSessions(list, paramPattern.FindAllStringSubmatch(around(query, odoo.SessionParam, most), -1))
	}
	if len(list) > maxSessions { // nobody has so many: none of them reaches the origin
		v.r = v.r.Clone(v.r.Context())
		delete(v.r.Header, "Cookie")
		delete(v.r.Header, "X-Openerp-Session-Id")
		v.r.URL.RawQuery = ""
		v.r.RequestURI = v.r.URL.RequestURI()
		return
	}
	if len(list) == 0 {
		return
	}
	had, have := h.shared.tier.Mark(h.tenant, list, special)
	if len(had) != 1 || list[0] != v.sid {
		return
	}
	v.had = had[0]
	v.have = have[0]
	if v.had == 0 {
		v.have = h.shared.tier.MarkUnknown(h.tenant, v.sid, special)
	}
}

var paramPattern = regexp.MustCompile(odoo.SessionParam + `=([^&;]{1,128})`)

// around returns a text, or if it is longer than limit bytes, what of it stands around the
// places where a word is, as many as one request can mean sessions.
func around(text, word string, limit int) string {
	if len(text) <= limit || word == "" {
		return text
	}
	parts := ""
	for i := 0; i <= maxSessions; i++ {
		at := strings.Index(text, word)
		if at < 0 {
			break
		}
		from, to := at-1, at+len(word)+sessionRoom
		if from < 0 {
			from = 0
		}
		if to > len(text) {
			to = len(text)
		}
		parts += text[from:to] + ";"
		text = text[at+len(word):]
	}
	return parts
}

// sessionRoom is the longest that a session's value is written in, in bytes.
const sessionRoom = 600

// maxSessions bounds the sessions that one request can mean.
const maxSessions = 8

// markBlindly marks the sessions of a request of which nothing else could be found out.
func (h *Handler) markBlindly(v *visit) {
	defer func() {
		if p := recover(); p != nil {
			h.logf("%s %s: %v", v.r.Method, h.shownPath(v.r.URL.Path), p)
		}
	}()
	markAll(h, v, false)
}

func addSessions(list []string, found [][]string) []string {
	for i := 0; i < len(found) && len(list) <= maxSessions; i++ {
		if id := keys.SessionID(found[i][1]); !hasName(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// noteNewSession notes the session that a response begins, before the visitor knows it.
func noteNewSession(h *Handler, v *visit, status int, header http.Header) {
	if lines := header["Set-Cookie"]; lines != nil {
		noteSessionOf(h, v, status, header, lines)
	}
}

// noteSessionOf notes the session that one of a response's Set-Cookie lines begins, if the
// request could not have made it a special one.
func noteSessionOf(h *Handler, v *visit, status int, header http.Header, lines []string) {
	out := signsOut(v)
	if !out && !beginsDefault(h, v, status, header) || h.s.Session == "" || len(v.r.Header["Authorization"]) > 0 ||
		len(v.r.Header["X-Openerp-Session-Id"]) > 0 || strings.Contains(v.r.URL.RawQuery, "session_id") {
		return
	}
	id := ""
	for i := 0; i < len(lines); i++ {
		if cookie.SetName(lines[i]) != h.s.Session {
			continue
		}
		value := cookie.SetValue(lines[i])
		if id != "" && id != value {
			return // two sessions: neither is known
		}
		id = value // Odoo 16 and 17 write it twice into pages that no route has
	}
	if v.cookie && !out && !odoo.EarlySessionID.MatchString(id) {
		return
	}
	if odoo.SessionID.MatchString(id) && keys.SessionID(id) != v.sid {
		h.shared.tier.NoteNewSession(h.tenant, keys.SessionID(id))
	}
}

// beginsDefault reports whether a session that begins in answer to a visit is a default one.
func beginsDefault(h *Handler, v *visit, status int, header http.Header) bool {
	switch {
	case changesSession(v) || v.cookie && !isForgotten(h, v):
		return false
	case v.rule.AnswerTells && status != http.StatusOK: // whoever is signed in by a link is often sent to the same page
		return false
	}
	return !odoo.RedirectsElsewhere(v.r, status, header) || v.rule.KeepsSession && !signsIn(v)
}

// isForgotten reports whether Odoo may have begun another session in place of that of a visit,
// since it did not know it any more: nothing is noted of it here either but this request, and
// its id is one of those that change for no other reason while a visitor looks at pages.
func isForgotten(h *Handler, v *visit) bool {
	return v.looked && storage.KindOfScore(v.score, v.now) == storage.SessionBegins && odoo.EarlySessionID.MatchString(cookie.Only(h.s.Session, v.r))
}

// signsIn reports whether a visit is one of a page to sign in: where that sends its visitor on, a
// module may have signed them in.
func signsIn(v *visit) bool {
	return v.id != nil && odoo.SignsIn(v.id.path)
}

// signsOut reports whether a visit ends its session, so that the one that its answer begins is a
// default one.
func signsOut(v *visit) bool {
	return v.id != nil && !v.id.odd && odoo.SignsOut(v.id.path) && v.r.Method == http.MethodGet && v.r.ContentLength == 0
}
