package odoo

import (
	"net/http"
	"regexp"
	"strings"
)

// SessionID is the shape of Odoo's session ids: 40 hex digits until Odoo 17, 84 to
// 86 characters later (odoo/http.py).
var SessionID = regexp.MustCompile(`^[A-Za-z0-9_-]{32,128}$`)

// EarlySessionID is the shape of ids of Odoo 14 to 17. A session with such an id gets another
// one when somebody signs in or out, and in 14 and 15 if Odoo does not know it any more
// (odoo/http.py, Root.setup_session). Later ids also change with age, and their sessions
// stay as they are.
var EarlySessionID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// ContextValue is the shape of the addon's contexts, which it has signed.
var ContextValue = regexp.MustCompile(`^[A-Za-z0-9._-]{16,512}$`)

// SessionParam is the parameter by which older versions of Odoo know a session.
const SessionParam = "session_id"

// RedirectsElsewhere reports whether a response to a page sends its visitor elsewhere for
// more than the page's proper address or language: a route that notes something
// in the session and goes back to a page looks like that.
func RedirectsElsewhere(r *http.Request, status int, header http.Header) bool {
	if status != http.StatusFound && status != http.StatusSeeOther && status != http.StatusTemporaryRedirect {
		return false
	}
	to, err := r.URL.Parse(header.Get("Location"))
	return err != nil || BarePath(to.Path) != BarePath(r.URL.Path)
}

// BarePath is a path without its language and a slash at its end. What Odoo has below /web and
// /my is no language (Burmese is /my_MM).
func BarePath(path string) string {
	if first := Module(path); first == "web" || first == "my" {
		return strings.TrimSuffix(path, "/")
	}
	path = languagePrefix.ReplaceAllString(path, "/")
	return strings.TrimSuffix(path, "/")
}

// languagePrefix is the code of a language before a path.
var languagePrefix = regexp.MustCompile(`^/[a-z]{2,3}(?:_[A-Za-z0-9]{2,4})?(?:@[a-z]+)?(?:/|$)`)

// Module is the first segment of a bare path.
func Module(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// LanguageCode is the shape of Odoo's language codes.
var LanguageCode = regexp.MustCompile(`^[a-z]{2,3}(_[A-Za-z0-9]{2,4})?(@[A-Za-z]+)?$`)
