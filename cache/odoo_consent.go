//go:build ignore

package cache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/fill"
	"github.com/odoocache/odoocache/cache/storage"
)

// Odoo notes by which campaign a visitor came in three cookies, which it sets
// from parameters of the URL (addons/utm/models/ir_http.py). A rule that leaves
// these parameters out of the request leaves that to the cache.

// campaigns are Odoo's parameters; the cookies have odoo_ before them.
var campaigns = []string{"utm_campaign", "utm_source", "utm_medium"}

// maxCampaign bounds a value.
const maxCampaign = 256

// campaignCookies returns the Set-Cookie lines that Odoo would have sent with a
// page, nil if its body is not known yet. With a cookies bar on it they take the visitor's consent.
func campaignCookies(h *Handler, v *visit, e *storage.Entry) []string {
	if !h.s.Campaigns || v.forward == v.r.URL.RawQuery || !strings.Contains(v.r.URL.RawQuery, "utm_") {
		return nil
	}
	if !consents(v.r.Header["Cookie"]) && asksForConsent(e) {
		return nil
	}
	if e != nil && !isPage(e.Header.Get("Content-Type")) {
		return nil // Odoo sets them with pages alone
	}
	domain := purgeHost(v.target)
	if u, err := url.Parse("//" + domain); err == nil {
		domain = u.Hostname()
	}
	query, _ := url.ParseQuery(v.r.URL.RawQuery) // what can be read of it
	var lines []string
	for i := 0; i < len(campaigns); i++ {
		value := query.Get(campaigns[i])
		name := "odoo_" + campaigns[i]
		if before, _ := cookie.Value(name, v.r); value == "" || value == before || len(value) > maxCampaign {
			continue
		}
		lines = append(lines, name+"="+quoted(value)+"; Domain="+domain+"; Max-Age=2678400; Path=/")
	}
	return lines
}

// asksForConsent reports whether there may be a cookies bar on a page.
func asksForConsent(e *storage.Entry) bool {
	if e == nil || len(e.Body) == 0 {
		return true
	}
	body, err := e.Decoded()
	return err != nil || bytes.Contains(body, consentSigns[0])
}

// consents reads the cookie of the cookies bar, {"required": true, "optional": true},
// which its script writes as it is or escaped, and other clients in quotes. One that is given twice counts for none.
func consents(cookies []string) bool {
	if len(cookies) == 0 || !strings.Contains(cookies[0], fill.ConsentCookie) && len(cookies) == 1 {
		return false
	}
	if strings.Count(strings.Join(cookies, ";"), fill.ConsentCookie) != 1 {
		return false
	}
	for _, pair := range strings.Split(strings.Join(cookies, ";"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if name != fill.ConsentCookie {
			continue
		}
		return agrees(value)
	}
	return false
}

// maxConsent bounds a value of the cookie that is read.
const maxConsent = 200

// agrees reads a value of that cookie as Odoo does (addons/website/models/ir_http.py,
// _is_allowed_cookie): it is a JSON object, of which the last member "optional" is true as
// Python sees it. Whatever cannot be read is no consent.
func agrees(value string) bool {
	if value == fill.Consented || value == `{"required":true,"optional":true}` {
		return true
	}
	if len(value) > maxConsent {
		return false
	}
	if len(value) > 1 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
		value = cookie.Unescaped(value[1 : len(value)-1])
	}
	if strings.HasPrefix(value, "%") { // else it is no escape, but part of a text in it
		value, _ = url.QueryUnescape(value)
	}
	var members map[string]interface{}
	if json.Unmarshal([]byte(value), &members) != nil {
		return false
	}
	switch optional := members["optional"].(type) {
	case bool:
		return optional
	case float64:
		return optional != 0
	case string:
		return optional != ""
	case []interface{}:
		return len(optional) > 0
	case map[string]interface{}:
		return len(optional) > 0
	}
	return false
}

// quoted writes a value as Odoo's HTTP library does, and reads it: in quotes,
// with octal escapes, if there is anything that a cookie cannot hold.
func quoted(value string) string {
	plain := true
	escaped := ""
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '"' || c == '\\':
			plain = false
			escaped += "\\" + string(rune(c))
		case c < 0x20 || c >= 0x7f || c == ';' || c == ',':
			plain = false
			escaped += fmt.Sprintf("\\%03o", c)
		default:
			plain = plain && c != ' '
			escaped += string(rune(c))
		}
	}
	if plain {
		return value
	}
	return `"` + escaped + `"`
}
