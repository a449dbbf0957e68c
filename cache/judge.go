package cache

import (
	"context"
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/keys"
)

// judge is called when status and header of the origin's answer to nobody are known.
func judge(f *fetching, c *capture) {
	h, g := f.h, f.filling
	f.rendered = nowMS() - f.requested
	applyPurgeHeaders(h, c.header)
	c.mode = holding
	if g.ctx.Err() != nil { // this is the proxy's word for that
		g.passing = true
		return
	}
	if firewalled(h, c.header) {
		g.passing = true
		f.admission.Reason = policy.ReasonFirewall
		return
	}
	if c.status != http.StatusOK && judgeStatus(f, c) {
		return
	}
	f.admission = admit(f, c.status, c.header, nowMS())
	length := contentLength(c.header)
	if !f.admission.Store && !judgeUnstored(f, c, length) {
		return
	}
	if length > c.limit {
		outgrow(f, c)
		return
	}
	c.mode = keeping
	if length > 0 {
		c.body = make([]byte, 0, length)
	}
}

// judgeStatus reports whether a status decides alone on an answer.
func judgeStatus(f *fetching, c *capture) bool {
	switch {
	case c.status == http.StatusNotModified && f.v.entry != nil:
		f.validated = true
	case (policy.IsError(c.status) || passingStatus(c.status)) && mayStandIn(f):
		f.standIn = true
	case passingStatus(c.status):
		f.filling.passing = true
		f.admission.Reason = policy.ReasonStatus
	default:
		return false
	}
	return true
}

// judgeUnstored reports whether an answer that is not stored may be given to all who wait for
// it. If not, it is refused.
func judgeUnstored(f *fetching, c *capture, length int64) bool {
	if !givable(f.h, f.v, c.status, c.header) {
		refuse(f, refusalOf(f, c))
		if length < 0 || length > drained {
			c.mode = cutting
		}
		return false
	}
	f.filling.given = true
	names, reason := policy.Varies(c.header, f.v.rule.Terms)
	if reason != "" {
		refuse(f, reason)
		return false
	}
	f.admission.Vary = notOurs(names, f.v.rule)
	return true
}

// drained is the longest body, in bytes, of an answer for nobody that is read to its end,
// which spares its connection.
const drained = 64 << 10

// passingStatus reports whether a status says nothing of a page: the origin was too slow or
// had too much to do, or a proxy in between gave up.
func passingStatus(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status == statusClientClosedRequest
}

// statusClientClosedRequest is what nginx and Traefik log of a request whose client has gone.
const statusClientClosedRequest = 499

// refusalOf says why an answer is for nobody.
func refusalOf(f *fetching, c *capture) string {
	if c.status >= 300 && c.status < 400 && f.admission.Reason == policy.ReasonStatus {
		return policy.ReasonRedirect
	}
	return reasonOf(f)
}

// refuse notes that nobody's answer is not for others, before anybody who waits is told.
func refuse(f *fetching, reason string) {
	f.filling.refused = reason
	f.v.own = reason
	dropStored(f)
	unshared(f.h, f.v, reason)
}

// dropStored drops what is stored of a page whose new answer is not to be stored: that is what the
// origin has now.
func dropStored(f *fetching) {
	if f.v.entry != nil {
		f.h.shared.tier.Remove(f.h.tenant, []string{f.v.entry.Key})
	}
}

// givable reports whether an answer that is not stored may be given to all who wait for it:
// it is nobody's, and says that there is no page, that the origin fails, or where the page is.
func givable(h *Handler, v *visit, status int, header http.Header) bool {
	if policy.CookieLeft(header["Set-Cookie"], v.rule.Terms) || headerBytes(header) > h.s.Limits.HeaderBytes || len(header["Trailer"]) > 0 {
		return false
	}
	switch {
	case status == http.StatusNotFound || status == http.StatusGone || status >= 500:
		return true
	case status == http.StatusMovedPermanently || status == http.StatusFound || status == http.StatusSeeOther ||
		status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect:
		return leadsHome(v, status, header.Get("Location"))
	}
	return false
}

// leadsHome reports whether a redirect is for all: it stays on the site, and is one of a route
// that is known to change nothing, is said to be permanent, or leads to the page's own address,
// to it in another language, or to another page of its module that is no higher up. Another one
// that goes up, or follows on parameters, may be of an address that changes something for
// its visitor.
func leadsHome(v *visit, status int, location string) bool {
	to, err := v.r.URL.Parse(location)
	if err != nil || location == "" || to.User != nil || to.Opaque != "" {
		return false
	}
	if to.Host != "" && keys.FoldHost(to.Host) != keys.FoldHost(purgeHost(v.target)) {
		return false
	}
	if v.rule.KeepsSession || status == http.StatusMovedPermanently || status == http.StatusPermanentRedirect {
		return true
	}
	from, there := odoo.BarePath(v.id.path), odoo.BarePath(to.Path)
	return from == there || odoo.Module(from) != "" && odoo.Module(from) == odoo.Module(there) &&
		v.target.Query == "" && strings.Count(there, "/") >= strings.Count(from, "/")
}

// outgrow lets an answer that is larger than what is kept go to its visitor alone, as it
// comes, with the session that its tokens are of. A visitor who has a session keeps it: they
// ask for themselves, unless the answer does not depend on sessions. Others are told at once.
func outgrow(f *fetching, c *capture) {
	h, v, g := f.h, f.v, f.filling
	unshared(h, v, policy.ReasonTooLarge)
	f.admission.Store, f.admission.Reason = false, policy.ReasonTooLarge
	v.own = policy.ReasonTooLarge
	if c.status < 500 {
		dropStored(f)
	}
	if g.rw == nil || !meant(f) || knownByCountry(h) && !g.located ||
		v.cookie && !v.rule.Terms.AnySession { // else the tokens are of another session than the visitor's
		g.refused = policy.ReasonTooLarge
		c.mode = cutting
		return
	}
	if v.cookie { // which stays the visitor's
		delete(c.header, "Set-Cookie")
	}
	g.solo = true
	g.timer.Stop()
	context.AfterFunc(g.visitor, g.cancel)
	count(h, policy.ReasonTooLarge)
	noteNewSession(h, v, c.status, c.header)
	setCacheStatus(h, c.header, statusForwarded(h, v.fwd, 0, policy.ReasonTooLarge))
	c.mode = passing
}

// outgrowBegun lets an answer go to its visitor alone of which a part has been kept.
func outgrowBegun(f *fetching, c *capture) {
	outgrow(f, c)
	if c.mode != passing {
		return
	}
	c.out = c.rw.Header()
	copyHeader(c.out, c.header)
	c.flush = true
	c.rw.WriteHeader(c.status)
	_, c.failed = c.rw.Write(c.body)
}

// meant reports whether an answer that is not stored is for the visitor who has asked, by
// the fields that it differs by.
func meant(f *fetching) bool {
	v, names := f.v, f.admission.Vary
	return len(names) == 0 || keys.Variant("", names, v.r.Header) == keys.Variant("", names, v.sent)
}
