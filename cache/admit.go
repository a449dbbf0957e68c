package cache

import (
	"errors"
	"net/http"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// admit asks the policy, the rule and the limits whether a response may be
// stored.
func admit(f *fetching, status int, header http.Header, received int64) policy.Admission {
	v := f.v
	if v.head.Epoch == 0 && v.reason != "" { // nothing can be stored: the rest is not worth the time
		return policy.Admission{Reason: v.reason}
	}
	r := policy.Request{Method: http.MethodGet, Requested: f.requested, Received: received, Most: f.h.s.Retention}
	if f.filling == nil {
		r.Method = v.r.Method
		r.Authorization = len(v.r.Header["Authorization"]) > 0
		r.Session = v.session
		r.NoStore = v.cc.NoStore
	}
	a := policy.Admit(r, status, header, v.rule.Terms)
	if f.filling != nil {
		a.Vary = notOurs(a.Vary, v.rule)
	}
	if a.Store {
		a.Reason = condition(f, header)
		a.Store = a.Reason == ""
	}
	if a.Store && v.head.Epoch == 0 {
		a.Store, a.Reason = false, v.reason
	}
	return a
}

// reasonOf says why the answer was not stored. What kept the storage from being
// asked goes first: it explains more.
func reasonOf(f *fetching) string {
	if f.v.reason != "" && f.v.head.Epoch == 0 {
		return f.v.reason
	}
	if f.admission.Reason != "" {
		return f.admission.Reason
	}
	return f.v.reason
}

// condition checks what the rule and the limits ask of the headers, and reads
// the tags.
func condition(f *fetching, header http.Header) string {
	h, v := f.h, f.v
	if firewalled(h, header) {
		return policy.ReasonFirewall
	}
	if len(v.rule.Require) > 0 && !rule.All(v.rule.Require, header) {
		return policy.ReasonRequire
	}
	if !v.rule.Terms.AnySession && !inContext(v, header) {
		return policy.ReasonContext
	}
	if len(v.rule.Refuse) > 0 && rule.Any(v.rule.Refuse, header) {
		return policy.ReasonRefuse
	}
	if headerBytes(header) > h.s.Limits.HeaderBytes {
		return policy.ReasonHeaderLimit
	}
	tags, err := keys.ParseTags(header, h.s.Limits.Tags)
	if err != nil {
		h.logf("%s %s: %v; the response was not stored", v.r.Method, h.shownPath(v.r.URL.Path), err)
		return tagReason(err)
	}
	f.tags = hashTags(v, tags)
	return ""
}

// firewalled reports whether an answer is one of a firewall in between.
func firewalled(h *Handler, header http.Header) bool {
	for _, name := range h.s.Fill.Firewall {
		if header[name] != nil {
			return true
		}
	}
	return false
}

// notOurs returns of the fields that answers differ by those that are not the filling
// request's own, or part of the key already.
func notOurs(names []string, ru *rule.Rule) []string {
	var rest []string
	for i := 0; i < len(names); i++ {
		switch names[i] {
		case "accept", "accept-encoding", "user-agent", "x-forwarded-host", "x-forwarded-proto", "host":
		case "accept-language":
			if ru.Language == nil {
				rest = append(rest, names[i])
			}
		default:
			if !hasName(ru.Headers, names[i]) {
				rest = append(rest, names[i])
			}
		}
	}
	return rest
}

// tagReason names an error of keys.ParseTags.
func tagReason(err error) string {
	if errors.Is(err, keys.ErrTagLimit) {
		return policy.ReasonTagLimit
	}
	return policy.ReasonTagSyntax
}

// hashTags returns everything by which a page can be purged: the tenant, its
// addresses, the application's tags and the rule's.
func hashTags(v *visit, tags []string) []string {
	hashed := keys.URLTags(v.id.host, v.id.path, v.target.Query)
	hashed = append(hashed, tenantTag)
	for i := 0; i < len(v.rule.Tags); i++ {
		hashed = append(hashed, keys.HashTag("t", v.rule.Tags[i]))
	}
	for i := 0; i < len(tags); i++ {
		hashed = append(hashed, keys.HashTag("t", tags[i]))
	}
	return hashed
}

// tenantTag is carried by every entry: a soft purge of everything marks it.
var tenantTag = keys.HashTag(keys.Tenant, "")

func mayStandIn(f *fetching) bool {
	v := f.v
	return v.entry != nil && policy.StandsIn(v.entry.Life, v.now)
}
