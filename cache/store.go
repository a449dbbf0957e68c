package cache

import (
	"net/http"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/flight"
	"github.com/odoocache/odoocache/cache/odoo"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

// finish stores and answers when the origin is done. It reports false if the origin has to
// be asked again, see deliverValidated.
func finish(f *fetching, rw http.ResponseWriter, c *capture) bool {
	switch {
	case f.standIn:
		f.deliverStale(rw, c)
	case f.validated:
		return f.deliverValidated(rw, c)
	case c.mode == teeing:
		if reason := keepFetched(f, c); reason != "" {
			count(f.h, reason)
		}
	case c.mode == keeping:
		deliverKept(f, rw, c)
	}
	return true
}

// deliverStale answers with the stored copy in place of an error (RFC 5861 §4).
func (f *fetching) deliverStale(rw http.ResponseWriter, c *capture) {
	h, v := f.h, f.v
	count(h, "stale-if-error")
	if v.flight != nil {
		flight.Land(h.shared.flights, v.flight, flight.Landing{Errored: true})
	}
	if rw == nil {
		return
	}
	sendEntry(h, rw, v.r, v.entry, statusForwarded(h, "stale", c.status, "stale-if-error"), nowMS())
}

// deliverValidated freshens the stored response with a 304 and answers with it
// (RFC 9111 §4.3.4). A 304 that speaks of another response means that the
// stored one is wrong. Then it reports false: the origin has to be asked again, without
// conditions.
func (f *fetching) deliverValidated(rw http.ResponseWriter, c *capture) bool {
	h, v := f.h, f.v
	if !policy.Validates(v.entry.Header, c.header) {
		v.entry = nil
		v.state = 0
		return false
	}
	now := nowMS()
	merged := policy.Freshen(v.entry.Header, c.header)
	f.admission = admit(f, v.entry.Status, merged, now)
	old := v.entry
	e := *old
	status := statusForwarded(h, "stale", c.status, f.admission.Reason)
	e.Header = storedHeader(f, merged)
	own := c.header["Set-Cookie"]
	switch {
	case f.filling != nil:
		own = nil
	case f.admission.Store:
		own = withoutDropped(f, own)
	case rw != nil:
		noteNewSession(h, v, c.status, c.header)
	}
	if !f.admission.Store {
		unshared(h, v, f.admission.Reason)
	}
	if kept := old.Header["Set-Cookie"]; len(e.Header["Set-Cookie"]) == 0 && len(kept) > 0 {
		e.Header["Set-Cookie"] = kept
	}
	e.Life = f.admission.Life
	e.Render = f.rendered
	if e.Life.Born == 0 { // not admitted any more: as fresh as it can be, once
		e.Life.Born = now
	}
	if f.admission.Store {
		e.Epoch, e.Seq = v.head.Epoch, v.head.Seq
		if len(f.tags) == 0 || !carriesTags(c.header) {
			f.tags = old.Tags
		}
		e.Tags = withOwnTags(f.tags, old.Tags)
		if reason := keepEntry(h, v, &e, f.admission.Vary); reason != "" {
			status = statusForwarded(h, "stale", c.status, reason)
			if !isTransient(reason) {
				unshared(h, v, reason)
			}
		} else {
			status = storedStatus(h, "stale", c.status, e.Life, "")
		}
	}
	count(h, "revalidated")
	if rw != nil {
		sendEntry(h, rw, v.r, withOwnCookies(h, v, &e, own), status, now)
	}
	return true
}

// withOwnTags returns tags with those of the tags before that say what a page depends on.
func withOwnTags(tags, before []string) []string {
	for _, own := range []string{consentTag, countryTag} {
		if hasName(before, own) && !hasName(tags, own) {
			tags = append(tags[:len(tags):len(tags)], own)
		}
	}
	return tags
}

// deliverKept stores a whole response and answers with it as the origin sent
// it: what is stored may lack cookies that belong to this visitor alone.
func deliverKept(f *fetching, rw http.ResponseWriter, c *capture) {
	h, v := f.h, f.v
	if reason := keepFetched(f, c); reason != "" {
		count(h, reason)
		if rw != nil {
			deliverUnstored(f, rw, c, statusForwarded(h, v.fwd, 0, reason), reason)
		}
		return
	}
	count(h, "stored")
	if rw == nil {
		return
	}
	status := storedStatus(h, v.fwd, 0, f.admission.Life, v.reason)
	if v.cookie {
		deliverUnstored(f, rw, c, status, "")
		return
	}
	// The visitor gets what is stored, and with it no session that is not needed
	// yet. A token of that session would be of no use.
	if c.header["Set-Cookie"] != nil {
		c.header["Set-Cookie"] = withoutDropped(f, c.header["Set-Cookie"])
	}
	if h.s.Campaigns {
		cookie.Add(c.header, campaignCookies(h, v, &storage.Entry{Header: c.header, Body: f.plain}))
	}
	setCacheStatus(h, c.header, status)
	header := rw.Header()
	copyHeader(header, c.header)
	body, _ := represent(header, v.r, f.stored, f.plain)
	sendBody(rw, v.r, c.status, header, body, f.requested)
}

// deliverUnstored answers with what the origin sent, and not with what is stored of it.
func deliverUnstored(f *fetching, rw http.ResponseWriter, c *capture, status, reason string) {
	h, v := f.h, f.v
	noteNewSession(h, v, c.status, c.header)
	cookie.Add(c.header, campaignCookies(h, v, &storage.Entry{Header: c.header, Body: c.body}))
	setCacheStatus(h, c.header, status)
	header := rw.Header()
	copyHeader(header, c.header)
	if c.over {
		return // cannot be: the length was known and within the limit
	}
	if reason == policy.ReasonTruncated {
		// The origin promised another length. So do we, as it did: the client
		// sees the same broken response.
		rw.WriteHeader(c.status)
		_, _ = rw.Write(c.body)
		return
	}
	sendBody(rw, v.r, c.status, header, c.body, f.requested)
}

// keepFetched stores a whole response, and returns why it did not.
func keepFetched(f *fetching, c *capture) string {
	reason := storeFetched(f, c, c.status, storedHeader(f, c.header))
	if reason != "" && !isTransient(reason) {
		f.refused = true
		unshared(f.h, f.v, reason)
	}
	return reason
}

// isTransient reports whether what kept a response from being stored may be over with
// the next one.
func isTransient(reason string) bool {
	switch reason {
	case policy.ReasonPurged, policy.ReasonStoreError, policy.ReasonBreakerOpen, policy.ReasonPurgePending,
		policy.ReasonPanic, policy.ReasonTruncated, policy.ReasonVariantFailed, policy.ReasonAdmission,
		policy.ReasonQuota:
		return true
	}
	return false
}

// withoutDropped returns Set-Cookie lines without those that the rule drops, for a
// visitor who has no session.
func withoutDropped(f *fetching, lines []string) []string {
	if f.v.cookie {
		return lines
	}
	var rest []string
	for i := 0; i < len(lines); i++ {
		if !hasName(f.v.rule.Terms.DropCookies, cookie.SetName(lines[i])) {
			rest = append(rest, lines[i])
		}
	}
	return rest
}

// storedHeader returns what of a header is stored.
func storedHeader(f *fetching, header http.Header) http.Header {
	out := policy.StoredHeader(header, f.admission.Fields, f.v.rule.Terms.KeepCookies)
	removeEdgeHeaders(f.h, out)
	keepLanguage(f, out)
	return out
}

// keepLanguage sets the language cookie where the origin did not because the
// visitor had it already: Odoo sets it whenever it is not the page's language
// (addons/http_routing/models/ir_http.py). Others may not have it, and answers to
// scripts go by it.
func keepLanguage(f *fetching, header http.Header) {
	if !hasName(f.v.rule.Terms.KeepCookies, odoo.LanguageCookie) || cookie.Sets(header, odoo.LanguageCookie) {
		return
	}
	sure := true
	value := ""
	if f.filling != nil {
		value = rule.PickedLanguage(f.v.rule, f.v.values)
	} else {
		value, sure = cookie.Value(odoo.LanguageCookie, f.v.r)
	}
	if sure && odoo.LanguageCode.MatchString(value) {
		cookie.Add(header, []string{odoo.LanguageCookie + "=" + value + "; Max-Age=31536000; Path=/"})
	}
}

// storeFetched keeps a captured response. It returns a reason if it did not.
func storeFetched(f *fetching, c *capture, status int, header http.Header) string {
	h, v := f.h, f.v
	if f.aborted || c.broken {
		return policy.ReasonPanic
	}
	if c.over {
		return policy.ReasonTooLarge
	}
	if n := contentLength(c.header); n >= 0 && n != int64(len(c.body)) {
		return policy.ReasonTruncated
	}
	if len(c.Header()["Trailer"]) > 0 {
		return policy.ReasonTrailer
	}
	if f.filling != nil && !plainly(f, c, header) {
		return policy.ReasonCoding
	}
	if contentLength(c.header) < 0 {
		if f.end = endOf(f, header.Get("Content-Type"), c.body); f.end != endWhole {
			return policy.ReasonNoEnd
		}
	}
	body, tags, reason := publicBody(f, c, header)
	if reason != "" {
		return reason
	}
	e := &storage.Entry{
		Tenant: h.s.Tenant, Key: v.primary,
		Host: v.id.host, Path: v.id.path,
		Epoch: v.head.Epoch, Seq: v.head.Seq, Tags: f.tags, Life: f.admission.Life,
		Status: status, Render: f.rendered, Header: header, Body: trimmed(body),
	}
	f.plain = e.Body
	finishEntry(h, e, f.filling != nil)
	f.stored = e
	e.Tags = append(e.Tags[:len(e.Tags):len(e.Tags)], tags...)
	return keepEntry(h, v, e, f.admission.Vary)
}

// keepEntry stores an entry, as one of several variants if its response has Vary.
func keepEntry(h *Handler, v *visit, e *storage.Entry, vary []string) string {
	if h.shared.dropped.count.Load() > v.drops && droppedSince(h.shared, v.primary, v.drops) {
		return policy.ReasonPurged
	}
	reason := ""
	if len(vary) > 0 {
		reason = storeVariant(h, v, e, vary)
	} else {
		reason = h.shared.tier.StoreAndUnlock(h.tenant, e, v.lock)
	}
	if reason == "" || reason == policy.ReasonAdmission { // it is for those who wait all the same
		landed(h, v, e)
	}
	return reason
}

// storeVariant keeps a response that has Vary, and the list by which it is
// found (RFC 9111 §4.1). A resource whose responses name different fields is
// looked up by all of them: that can miss, and never answers wrongly.
func storeVariant(h *Handler, v *visit, e *storage.Entry, vary []string) string {
	names := vary
	var before []string
	known := newestList(h, v)
	if known != nil {
		names = union(known.Vary, vary)
		if len(names) > v.rule.Terms.VaryNames {
			return policy.ReasonVaryLimit
		}
		if len(names) == len(known.Vary) {
			before = known.Variants
		} else {
			h.shared.tier.RemoveIDs(h.tenant, known.Variants)
		}
	}
	e.Key = keys.Variant(v.primary, names, v.sent)
	id := keys.ID(e.Key)
	if len(before) >= h.s.Limits.Variants && !known.Has(id) { // another would have to go for it
		if !h.shared.tier.NoteAsked(h.tenant, e.Key) {
			return policy.ReasonAdmission
		}
		before = spare(h.identities, before)
	}
	variants, dropped := pushVariant(before, id, h.s.Limits.Variants)
	if reason := h.shared.tier.Store(h.tenant, e); reason != "" {
		return reason
	}
	list := &storage.Entry{
		Tenant: e.Tenant, Key: v.primary, Host: e.Host, Path: e.Path, Epoch: e.Epoch, Seq: e.Seq,
		Life: e.Life, Header: http.Header{}, Vary: names, Variants: variants,
	}
	if known != nil && known.Life.Retention(v.now) > list.Life.Retention(v.now) {
		list.Life = known.Life // it must outlive the variants it leads to
	}
	if reason := h.shared.tier.StoreAndUnlock(h.tenant, list, v.lock); reason != "" {
		return policy.ReasonVariantFailed
	}
	h.shared.tier.RemoveIDs(h.tenant, dropped)
	v.list = list
	return ""
}

// newestList is the list of a page's variants as it is now: while the origin was asked, others
// may have been stored, which a list without them would lose.
func newestList(h *Handler, v *visit) *storage.Entry {
	f := h.shared.tier.Find(h.tenant, &tier.Wanted{Key: v.primary, Newer: true})
	if f.Reason != "" && f.Reason != policy.ReasonPurged {
		return v.list
	}
	if f.Entry == nil || !f.Entry.IsList() {
		return nil
	}
	return f.Entry
}

// union merges two sorted lists of names.
func union(a, b []string) []string {
	out := append([]string{}, a...)
	for i := 0; i < len(b); i++ {
		at := 0
		for at < len(out) && out[at] < b[i] {
			at++
		}
		if at < len(out) && out[at] == b[i] {
			continue
		}
		out = append(out, "")
		copy(out[at+1:], out[at:])
		out[at] = b[i]
	}
	return out
}

// pushVariant puts id first in a list of variants and returns those that are
// beyond limit.
func pushVariant(list []string, id string, limit int) (kept, dropped []string) {
	kept = append(kept, id)
	for i := 0; i < len(list); i++ {
		if list[i] == id {
			continue
		}
		if len(kept) < limit {
			kept = append(kept, list[i])
		} else {
			dropped = append(dropped, list[i])
		}
	}
	return kept, dropped
}
