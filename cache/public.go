package cache

import (
	"bytes"
	"net/http"

	"github.com/odoocache/odoocache/cache/odoo"
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
	if odoo.Personal(plain) {
		return nil, nil, policy.ReasonPersonal
	}
	if tags, reason = ownTags(f, c, plain); reason != "" {
		return nil, nil, reason
	}
	if h.s.CSRF.Tokens || !bytes.Contains(plain, []byte(odoo.TokenField)) {
		return body, tags, ""
	}
	if found := odoo.Tokens(plain); len(found) > 0 {
		if !h.s.CSRF.Complete || len(header["Content-Encoding"]) > 0 {
			return nil, nil, policy.ReasonCSRF
		}
		return odoo.WithPlaceholders(plain, found), tags, ""
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
	for i := 0; i < len(odoo.ConsentSigns); i++ {
		if bytes.Contains(plain, odoo.ConsentSigns[i]) {
			return append(tags, consentTag), ""
		}
	}
	return tags, ""
}
