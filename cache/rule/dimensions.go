package rule

import (
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/keys"
)

// Dimensions returns what the rule varies by, as parts of the primary key, each in one
// form for all requests that mean the same. It is not sure where servers may disagree on
// what the request says: then the key takes it for absent.
func (r *Rule) Dimensions(req *http.Request) (parts []string, sure bool) {
	if len(r.Headers) > 0 || len(r.Cookies) > 0 {
		return dimensions(r, req)
	}
	if r.Language == nil {
		return nil, true
	}
	picked, sure := language(r.Language, req)
	return []string{"l " + picked}, sure
}

// dimensions returns what a rule varies by, where that is more than the language.
func dimensions(r *Rule, req *http.Request) (parts []string, sure bool) {
	sure = true
	parts = make([]string, 0, len(r.Headers)+len(r.Cookies)+1)
	for i := 0; i < len(r.Headers); i++ {
		parts = append(parts, "h "+r.Headers[i]+keys.FieldValue(r.Headers[i], req.Header))
	}
	for i := 0; i < len(r.Cookies); i++ {
		value, plain := cookie.Marked(r.Cookies[i], req)
		sure = sure && plain
		parts = append(parts, "c "+r.Cookies[i]+value)
	}
	if r.Language != nil {
		picked, plain := language(r.Language, req)
		sure = sure && plain
		parts = append(parts, "l "+picked)
	}
	return parts, sure
}

// Alternatives returns what Dimensions returns for a request, and for others that differ
// from it in their language alone. One list of no parts stands for a rule that varies by
// nothing.
func (r *Rule) Alternatives(req *http.Request) [][]string {
	own, _ := r.Dimensions(req)
	all := [][]string{own}
	if r.Language == nil {
		return all
	}
	last := len(own) - 1
	others := []string{""}
	codes := r.Language.Codes()
	for i := 0; i < len(codes); i++ {
		language, _, _ := strings.Cut(codes[i], "_")
		others = append(others, codes[i], codes[i]+robotMark, "~"+language, "~"+language+robotMark)
	}
	for i := 0; i < len(others); i++ {
		if part := "l " + others[i]; part != own[last] {
			all = append(all, append(own[:last:last], part))
		}
	}
	return all
}

// Asking returns the fields, the cookies and the kind of client by which a request has
// the given parts of a key as its Dimensions.
func Asking(r *Rule, parts []string) (header http.Header, cookies []string, robot bool) {
	header = http.Header{}
	at := 0
	if len(r.Headers)+len(r.Cookies) > 0 {
		at, cookies = askingBy(r, parts, header)
	}
	if r.Language == nil || at >= len(parts) {
		return header, cookies, false
	}
	picked := strings.TrimPrefix(parts[at], "l ")
	robot = strings.HasSuffix(picked, robotMark)
	value, accept := keys.Asking(strings.TrimSuffix(picked, robotMark))
	header["Accept-Language"] = []string{accept}
	if value != "" {
		cookies = append(cookies, odoo.LanguageCookie+"="+value)
	}
	return header, cookies, robot
}

// askingBy sets the fields, and returns the cookies, that the rule names. at is how many parts
// of the key these are.
func askingBy(r *Rule, parts []string, header http.Header) (at int, cookies []string) {
	for i := 0; i < len(r.Headers) && at < len(parts); i++ {
		if value := strings.TrimPrefix(parts[at], "h "+r.Headers[i]); strings.HasPrefix(value, "=") {
			header[http.CanonicalHeaderKey(r.Headers[i])] = []string{value[1:]}
		}
		at++
	}
	for i := 0; i < len(r.Cookies) && at < len(parts); i++ {
		if value := strings.TrimPrefix(parts[at], "c "+r.Cookies[i]); strings.HasPrefix(value, "=") {
			cookies = append(cookies, r.Cookies[i]+value)
		}
		at++
	}
	return at, cookies
}

// PickedLanguage returns the language among the parts of a key of the rule, "" if it is
// none that the language cookie could have.
func PickedLanguage(r *Rule, parts []string) string {
	if r.Language == nil || len(parts) == 0 {
		return ""
	}
	picked := strings.TrimSuffix(strings.TrimPrefix(parts[len(parts)-1], "l "), robotMark)
	if strings.HasPrefix(picked, "~") {
		return ""
	}
	return picked
}

// robotMark follows the language of a robot.
const robotMark = " bot"

// language returns the language that Odoo gives an unprefixed URL. It sends
// nobody but robots to a page that is not in the visitor's language.
func language(l *keys.Languages, req *http.Request) (picked string, sure bool) {
	h := req.Header
	kept := ""
	plain := true
	if lines := h["Cookie"]; lines != nil && strings.Contains(strings.Join(lines, ";"), odoo.LanguageCookie) {
		kept, plain = cookie.Value(odoo.LanguageCookie, req)
	}
	picked, sure = keys.Pick(l, kept, strings.Join(h["Accept-Language"], ","))
	if lines := h["User-Agent"]; picked != "" && len(lines) > 0 && odoo.Robots.MatchString(lines[0]) {
		picked += robotMark
	}
	return picked, sure && plain
}
