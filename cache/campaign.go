package cache

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/storage"
)

// Odoo notes by which campaign a visitor came in three cookies, which it sets
// from parameters of the URL (addons/utm/models/ir_http.py). A rule that leaves
// these parameters out of the request leaves that to the cache.

// campaignCookies returns the Set-Cookie lines that Odoo would have sent with a
// page, nil if its body is not known yet. With a cookies bar on it they take the visitor's consent.
func campaignCookies(h *Handler, v *visit, e *storage.Entry) []string {
	if !h.s.Campaigns || v.forward == v.r.URL.RawQuery || !strings.Contains(v.r.URL.RawQuery, "utm_") {
		return nil
	}
	return campaignLines(v, e)
}

// campaignLines returns the Set-Cookie lines for a visitor who comes by a campaign.
func campaignLines(v *visit, e *storage.Entry) []string {
	if !odoo.Consents(v.r.Header["Cookie"]) && asksForConsent(e) {
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
	for i := 0; i < len(odoo.Campaigns); i++ {
		value := query.Get(odoo.Campaigns[i])
		name := "odoo_" + odoo.Campaigns[i]
		if before, _ := cookie.Value(name, v.r); value == "" || value == before || len(value) > odoo.MaxCampaign {
			continue
		}
		lines = append(lines, name+"="+odoo.QuotedValue(value)+"; Domain="+domain+"; Max-Age=2678400; Path=/")
	}
	return lines
}

// asksForConsent reports whether there may be a cookies bar on a page.
func asksForConsent(e *storage.Entry) bool {
	if e == nil || len(e.Body) == 0 {
		return true
	}
	body, err := e.Decoded()
	return err != nil || bytes.Contains(body, odoo.ConsentSigns[0])
}

// withOwnCookies returns an entry as this visitor gets it: with the cookies of their campaign,
// and those given, which the origin has set for them. The entry is stored, and stays as it is.
func withOwnCookies(h *Handler, v *visit, e *storage.Entry, own []string) *storage.Entry {
	lines := campaignCookies(h, v, e)
	if len(own) > 0 {
		lines = append(own[:len(own):len(own)], lines...)
	}
	if len(lines) == 0 {
		return e
	}
	mine := *e
	mine.Header = cookie.With(e.Header, lines)
	return &mine
}
