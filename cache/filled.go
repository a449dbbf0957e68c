package cache

import (
	"net/http"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// finishFilling stores and answers when the origin is done. See fillPage.
func finishFilling(f *fetching, rw http.ResponseWriter, c *capture) bool {
	h, v, g := f.h, f.v, f.filling
	if g.solo || g.given || g.passing || g.refused != "" || f.standIn || f.aborted || f.validated {
		return finishOther(f, rw, c)
	}
	reason := storeFetched(f, c, c.status, storedHeader(f, c.header))
	if reason != "" {
		return finishUnstored(f, rw, reason)
	}
	endStreak(h.identities, v)
	count(h, "stored")
	return deliverFilled(f, rw)
}

// finishOther answers with what is not to be stored, or was confirmed, or has failed.
func finishOther(f *fetching, rw http.ResponseWriter, c *capture) bool {
	h, v, g := f.h, f.v, f.filling
	switch {
	case g.solo:
		if f.aborted {
			panic(http.ErrAbortHandler) // the client sees it break off, as it did
		}
		return true
	case g.refused != "": // it may have been cut off for that
		count(h, g.refused)
		return false
	case f.standIn || (f.aborted || g.passing) && mayStandIn(f):
		f.deliverStale(rw, c)
		return true
	case (f.aborted || g.passing) && atomic.LoadInt32(&g.late) != 0:
		return giveTimeout(f, rw)
	case (f.aborted || g.passing) && g.visitor != nil && g.visitor.Err() != nil: // it was ended with its visitor
		rw.WriteHeader(statusClientClosedRequest)
		return true
	case f.aborted || g.passing:
		if v.own = f.admission.Reason; v.own == "" {
			v.own = policy.ReasonPanic
		}
		unsharedOnce(h, v, v.own)
		return false
	case f.validated:
		return f.deliverValidated(rw, c)
	}
	return finishGiven(f, rw, c)
}

// finishGiven answers all who wait with what is not stored.
func finishGiven(f *fetching, rw http.ResponseWriter, c *capture) bool {
	v := f.v
	if c.status < 500 {
		dropStored(f)
	}
	e := givenEntry(f, c)
	if e == nil {
		return refuseGiven(f, c)
	}
	if reason := withheld(v, e); rw != nil && (reason != "" || !meant(f)) {
		if v.own = reason; reason == "" {
			v.own = reasonOf(f)
		}
		tell(f, e, reasonOf(f))
		return false
	}
	return give(f, rw, e, reasonOf(f))
}

// finishUnstored goes on where a whole answer was not stored.
func finishUnstored(f *fetching, rw http.ResponseWriter, reason string) bool {
	h, v, g := f.h, f.v, f.filling
	count(h, reason)
	switch {
	case reason == reasonLocate:
		v.locates = true
		return false // asked again with the visitor's address
	case reason == policy.ReasonNoEnd && f.end == endUntold && atomic.CompareAndSwapInt32(&v.id.zipped, 0, 1):
		return false // asked again in gzip
	case f.stored != nil && isTransient(reason): // it could not be written, or a purge has passed
		if !meant(f) {
			v.own = reason
			return false
		}
		return give(f, rw, f.stored, reason)
	case reason == policy.ReasonCountry && g.located: // of this visitor's address
		v.own = reason
		return false
	case reason == policy.ReasonPanic || reason == policy.ReasonTruncated || f.end == endBroken: // of this answer
		v.own = reason
		unsharedOnce(h, v, reason)
		return false
	case reason == policy.ReasonPersonal:
		h.logf("%s: a page that was asked for as nobody has a sign of a visitor; it was not stored, and this should not be possible", h.shownPath(v.id.path))
	}
	refuse(f, reason)
	return false
}

// deliverFilled answers with what has just been stored. It reports false if that is not what
// the visitor gets: what the answer depends on has been learned from it.
func deliverFilled(f *fetching, rw http.ResponseWriter) bool {
	h, v := f.h, f.v
	if rw == nil {
		return true
	}
	e := f.stored
	if !forConsent(h, v, e) || e.Key != flightKey(v) {
		v.entry = nil
		v.list = listIn(v, e)
		v.state = 0
		return false
	}
	sendFilled(h, rw, v, e, f.plain, storedStatus(h, v.fwd, 0, e.Life, v.reason))
	return true
}

// listIn returns the visit's variant list if an entry is one of its variants.
func listIn(v *visit, e *storage.Entry) *storage.Entry {
	if v.list != nil && e.Key != v.primary {
		return v.list
	}
	return nil
}

// sendFilled answers with a page that has just come from the origin. plain is its decoded
// body if that is at hand.
func sendFilled(h *Handler, rw http.ResponseWriter, v *visit, e *storage.Entry, plain []byte, status string) {
	header := rw.Header()
	copyHeader(header, e.Header)
	if lines := campaignCookies(h, v, e); len(lines) > 0 {
		cookie.Add(header, lines)
	}
	setCacheStatus(h, header, status)
	body, _ := represent(header, v.r, e, plain)
	sendBody(rw, v.r, e.Status, header, body, e.Life.Born)
}

// tell gives those who wait what is not stored, and says by which fields it differs. What
// was asked for with the visitor's address is for the visitor alone: it may show that.
func tell(f *fetching, e *storage.Entry, reason string) {
	if v := f.v; v.flight != nil && !f.filling.located {
		l := flight.Landing{Given: e, Reason: reason, Vary: f.admission.Vary}
		if len(l.Vary) > 0 {
			l.Variant = keys.Variant("", l.Vary, v.sent)
		}
		flight.Land(f.h.shared.flights, v.flight, l)
	}
}

// give answers all who wait with what is not stored.
func give(f *fetching, rw http.ResponseWriter, e *storage.Entry, reason string) bool {
	h, v := f.h, f.v
	tell(f, e, reason)
	if rw != nil {
		sendFilled(h, rw, v, e, f.plain, statusForwarded(h, v.fwd, 0, reason))
	}
	return true
}

// refuseGiven refuses an answer whose tokens are of a session that no visitor has.
func refuseGiven(f *fetching, c *capture) bool {
	if f.v.own = policy.ReasonCSRF; c.status < 500 { // else nothing is remembered
		refuse(f, policy.ReasonCSRF)
	}
	count(f.h, policy.ReasonCSRF)
	return false
}

// givenEntry is what all who wait for an answer get that is not stored. It is nil if nobody
// could use the tokens in it.
func givenEntry(f *fetching, c *capture) *storage.Entry {
	v := f.v
	header := storedHeader(f, c.header)
	body := c.body
	if plainly(f, c, header) {
		body = c.body
		if found := odoo.Tokens(body); len(found) > 0 && !f.h.s.CSRF.Tokens {
			if !f.h.s.CSRF.Complete {
				return nil
			}
			body = odoo.WithPlaceholders(body, found)
		}
	}
	f.plain = body
	return &storage.Entry{
		Tenant: f.h.s.Tenant, Key: flightKey(v), Host: v.id.host, Path: v.id.path,
		Epoch: v.head.Epoch, Seq: v.head.Seq, Tags: givenTags(f, c.header), Life: policy.Life{Born: f.requested},
		Status: c.status, Header: header, Body: body,
	}
}

// givenTags are by what a purge tells that an answer is not to be given any more.
func givenTags(f *fetching, header http.Header) []string {
	tags, _ := keys.ParseTags(header, f.h.s.Limits.Tags) // what can be read of them
	return hashTags(f.v, tags)
}

// giveTimeout answers all who wait for a page that takes too long.
func giveTimeout(f *fetching, rw http.ResponseWriter) bool {
	v := f.v
	count(f.h, policy.ReasonTimeout)
	f.plain = []byte("Gateway Timeout")
	return give(f, rw, &storage.Entry{
		Tenant: f.h.s.Tenant, Key: flightKey(v), Host: v.id.host, Path: v.id.path,
		Epoch: v.head.Epoch, Seq: v.head.Seq, Tags: hashTags(v, nil), Life: policy.Life{Born: f.requested},
		Status: http.StatusGatewayTimeout, Header: http.Header{"Content-Type": []string{"text/plain; charset=utf-8"}, "Cache-Control": []string{"no-store"}}, Body: f.plain,
	}, policy.ReasonTimeout)
}
