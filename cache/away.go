package cache

import (
	"net/http"
	"strings"

	"github.com/odoocache/odoocache/cache/cookie"
	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/tier"
	"github.com/odoocache/odoocache/keys"
)

// While the breaker is open and what is in memory cannot be relied on, nothing can be
// answered and nothing stored. Then a request needs no key, and is handed on at once.

// passUnasked hands a GET on without a key while the storage is not to be asked. It goes on
// the long way for a request that another reason may keep from being a hit. The purges of
// the answer count, and what it says of the session. Whether a key would be too long is not
// found out.
func passUnasked(h *Handler, rw http.ResponseWriter, r *http.Request, ru *rule.Rule) outcome {
	lines := r.Header["Cookie"]
	if ru.ClientDirectives && r.Header["Cache-Control"] != nil || len(lines) > 0 && mayHaveContext(h, lines) {
		return outcomeGoOn
	}
	reason := tier.NotAsked(h.tenant)
	if reason == "" {
		return outcomeGoOn
	}
	if clean(h, r) {
		return outcomeGoOn
	}
	announce(h, r)
	v := &visit{r: r, rule: ru, fwd: "uri-miss", reason: reason}
	if len(lines) > 0 {
		v.cookie = cookie.Has(h.s.Session, r)
	}
	passUnstored(h, rw, v)
	return outcomeDone
}

// mayHaveContext reports whether the addon's cookie may be among those of a request: what
// it says goes first.
func mayHaveContext(h *Handler, lines []string) bool {
	return h.s.ContextCookie != "" && (len(lines) > 1 || strings.Contains(lines[0], h.s.ContextCookie))
}

// passUnaskedUnknown hands a request on that is in no table. It finds its rule first, and goes
// on the long way where the rule bypasses, or the request does.
func passUnaskedUnknown(h *Handler, rw http.ResponseWriter, r *http.Request) outcome {
	path := r.URL.Path
	if h.s.Debug || clean(h, r) || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, h.s.AdminPath) || acceptsEvents(r) {
		return outcomeGoOn
	}
	ru := ruleOf(h, r)
	if ru == nil || ru.Bypass {
		return outcomeGoOn
	}
	return passUnasked(h, rw, r, ru)
}

// ruleOf returns the rule that takes a request, nil if a mistake of ours keeps it from
// being found, or another limit is known to keep the cache from having a part in it.
func ruleOf(h *Handler, r *http.Request) (ru *rule.Rule) {
	if id := knownIdentity(h.identities, address(h, r)); id != nil {
		if id.tooMany || id.odd {
			return nil
		}
		return id.rule
	}
	defer func() {
		if p := recover(); p != nil {
			ru = nil // the long way will find the same, and say so
		}
	}()
	announce(h, r)
	target := keys.TargetOf(r)
	path, sure := keys.RoutedPath(r.URL)
	if !sure {
		return nil
	}
	ru, _ = firstRule(h, r, keys.FoldHost(purgeHost(&target)), path)
	return ru
}
