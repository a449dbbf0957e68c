package cache

import (
	"net/http"
	"sync"

	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/keys"
)

// identity is what the address of a request says of it: the rule that takes it,
// where it goes, and its key but for what the rule varies by.
type identity struct {
	rule    *rule.Rule
	target  keys.Target
	forward string // the query for the origin
	key     string
	tooMany bool // parameters
}

// identities remembers the identities of addresses, since finding them out
// costs more than the rest of a hit. Where a rule looks at header fields, an
// address does not tell the rule and nothing is remembered.
type identities struct {
	off bool

	mu        sync.Mutex
	byAddress map[string]*identity
}

// maxIdentities and maxAddress bound what is remembered; when it is full,
// everything is forgotten.
const (
	maxIdentities = 4096
	maxAddress    = 1024
)

func newIdentities(rules []*rule.Rule) *identities {
	m := &identities{byAddress: map[string]*identity{}}
	for i := 0; i < len(rules); i++ {
		if len(rules[i].Match.Headers) > 0 {
			m.off = true
		}
	}
	return m
}

// get returns the identity of an address, nil if it is not known.
func (m *identities) get(address string) *identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byAddress[address]
}

func (m *identities) put(address string, id *identity) {
	if m.off || len(address) > maxAddress {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.byAddress) >= maxIdentities {
		m.byAddress = map[string]*identity{}
	}
	m.byAddress[address] = id
}

// identify finds the identity of a request. The parts of an address have no
// line break: they come from a request line and from header fields.
func (h *Handler) identify(r *http.Request) *identity {
	t := keys.TargetOf(r)
	address := r.Method + "\n" + t.Scheme + "\n" + t.Host + "\n" + t.Forwarded + "\n" + t.Path + "\n" + r.URL.RawQuery
	if r.URL.ForceQuery {
		address += "\n?"
	}
	if id := h.identities.get(address); id != nil {
		return id
	}
	id := &identity{target: t}
	id.rule = rule.First(h.s.Rules, h.s.Default, r.Method, keys.FoldHost(purgeHost(&t)), r)
	id.target.Query, id.forward, id.tooMany = keys.Query(r.URL.RawQuery, r.URL.ForceQuery, id.rule.Keep, id.rule.Ignore, h.s.Limits.QueryParams)
	id.key = keys.Primary(h.s.Tenant, id.rule.Name, id.target, nil)
	h.identities.put(address, id)
	return id
}
