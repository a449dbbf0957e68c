//go:build ignore

package cache

import (
	"bytes"
	"net/http"

	"github.com/odoocache/odoocache/cache/fill"
	"github.com/odoocache/odoocache/cache/policy"
)

// publicBody returns what of a body may be given to others, with the tags that say what it
// depends on, or why nothing may. It reads it for signs that it belongs to one visitor: the
// last line of defence, after everything that headers and cookies tell. The rule's maxBody
// bounds the body as it was sent; decoded it may be inflation times that.
func publicBody(f *fetching, c *capture, header http.Header) (body []byte, tags []string, reason string) {
	h, kind := f.h, header.Get("Content-Type")
	body = c.body
	if !readable(kind) {
		return body, nil, ""
	}
	plain, ok := decoded(header["Content-Encoding"], body, inflation*f.v.rule.MaxBody)
	if !ok && !isPage(kind) {
		return body, nil, "" // a script or style sheet in another coding
	}
	if !ok {
		return nil, nil, policy.ReasonCoding
	}
	if personal(plain) {
		return nil, nil, policy.ReasonPersonal
	}
	if tags, reason = ownTags(f, c, plain); reason != "" {
		return nil, nil, reason
	}
	if h.s.CSRF.Tokens || !bytes.Contains(plain, []byte(csrfField)) {
		return body, tags, ""
	}
	if found := tokens(plain); len(found) > 0 {
		if !h.s.CSRF.Complete || len(header["Content-Encoding"]) > 0 {
			return nil, nil, policy.ReasonCSRF
		}
		return withPlaceholders(plain, found), tags, ""
	}
	return body, tags, ""
}

// ownTags returns the tags that say what a page depends on, and why it is not stored.
func ownTags(f *fetching, c *capture, plain []byte) (tags []string, reason string) {
	if !isPage(c.header.Get("Content-Type")) {
		return nil, ""
	}
	reason, located := foreignCountry(f, c, plain)
	if reason != "" {
		return nil, reason
	}
	if located {
		tags = append(tags, countryTag)
	}
	if f.filling == nil || f.v.consent {
		return tags, ""
	}
	for i := 0; i < len(consentSigns); i++ {
		if bytes.Contains(plain, consentSigns[i]) {
			return append(tags, consentTag), ""
		}
	}
	return tags, ""
}

// personal reports whether a page was rendered for one visitor.
func personal(plain []byte) bool {
	if ofUser(plain) || bytes.Contains(plain, chatSigns[0]) || bytes.Contains(plain, chatSigns[1]) {
		return true
	}
	carts := bytes.Count(plain, cartSign)
	return carts > 0 && carts > bytes.Count(plain, noCart)
}

// ofUser reports whether a text has one of userSigns.
func ofUser(plain []byte) bool {
	n := bytes.Count(plain, userStart)
	if n > fewStarts {
		for i := 0; i < len(userSigns); i++ {
			if bytes.Contains(plain, userSigns[i]) {
				return true
			}
		}
		return false
	}
	for ; n > 0; n-- {
		plain = plain[bytes.Index(plain, userStart):]
		for i := 0; i < len(userSigns); i++ {
			if bytes.HasPrefix(plain, userSigns[i]) {
				return true
			}
		}
		plain = plain[len(userStart):]
	}
	return false
}

// Signs of a page that was rendered for one visitor: a signed-in user in the
// session info of every page (addons/web/models/ir_http.py; Odoo 14 knows
// to 16 know is_website_user alone, addons/website/models/ir_http.py), a chat that an
// operator has begun with them (addons/website_livechat; another word as of Odoo 18).
var (
	userSigns = [][]byte{
		[]byte(`"is_public": false`), []byte(`"is_public":false`), []byte(`"is_website_user": false`), []byte(`"is_website_user":false`),
	}
	userStart = []byte(`"is_`) // what they begin with: a text is read for that alone
	chatSigns = [][]byte{[]byte(`"chat_request_session"`), []byte(`"force_thread"`)}
)

// fewStarts is how many of userStart are looked at one by one.
const fewStarts = 30

// The sign of a cart in a page's header (addons/website_sale/views/templates.xml).
// Without a cart Odoo 14 to 18 write it without a value, Odoo 19 leaves it out.
var (
	cartSign = []byte(` data-order-id="`)
	noCart   = []byte(` data-order-id=""`)
)

// consentSigns are in pages that differ for visitors who agree to optional cookies: the
// cookies bar, and what keeps scripts of others from running
// (addons/website/views/website_templates.xml, website/models/ir_qweb.py).
var consentSigns = [][]byte{
	[]byte(`id="` + fill.ConsentCookie + `"`), []byte("watch3rdPartyScripts("), []byte("data-need-cookies-approval"),
}
