package odoo

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
)

// Consents reads the cookie of the cookies bar, {"required": true, "optional": true},
// which its script writes as it is or escaped, and other clients in quotes. One that is given twice counts for none.
func Consents(cookies []string) bool {
	if len(cookies) == 0 || !strings.Contains(cookies[0], ConsentCookie) && len(cookies) == 1 {
		return false
	}
	if strings.Count(strings.Join(cookies, ";"), ConsentCookie) != 1 {
		return false
	}
	for _, pair := range strings.Split(strings.Join(cookies, ";"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if name != ConsentCookie {
			continue
		}
		return agrees(value)
	}
	return false
}

// agrees reads a value of that cookie as Odoo does (addons/website/models/ir_http.py,
// _is_allowed_cookie): it is a JSON object, of which the last member "optional" is true as
// Python sees it. Whatever cannot be read is no consent.
func agrees(value string) bool {
	if value == Consented || value == `{"required":true,"optional":true}` {
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

// maxConsent bounds a value of the cookie that is read.
const maxConsent = 200
