package cache

import (
	"net/http"
	"sort"
	"strings"
	"sync"

	"github.com/odoocache/odoocache/cache/rule"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// identity is what the address of a request says of it: the rule that takes it,
// where it goes, and its key but for what the rule varies by.
type identity struct {
	rule    *rule.Rule
	target  keys.Target
	host    string      // by which a page is purged, folded
	path    string      // as Odoo routes it
	odd     bool        // servers may read the path in another way
	passed  http.Header // fields that middlewares in front have set for Odoo, nil: none
	forward string      // the query for the origin
	key     string
	tooMany bool // parameters

	campaign bool // it may set cookies

	found int32 // atomic: 1 if it has been found stored

	zipped int32 // atomic: 1 if it is asked for in gzip, which tells its end

	varied int32         // atomic: 1 if there is a list
	list   *storage.List // of its variants, as last seen

	varies bool // by cookies, language or header: there are several pages

	byConsent int32 // atomic: 1 if its page differs for those who agree to optional cookies

	byHeader bool // another header could have another rule
}

// identities remembers the identities of addresses, since finding them out
// costs more than the rest of a hit. Where a rule for an address looks at header fields,
// the address does not tell the rule, and is not remembered.
type identities struct {
	max int // most that is remembered of each kind; when it is full, all of it is forgotten. What is empty may be nil

	mu        sync.Mutex
	byAddress map[string]*identity
	alone     map[string]lone    // by key
	streaks   map[string]*streak // by form, see keyForm
	values    map[string]string  // what rules vary by, of requests with the same fields
	senders   map[string]*sender // by Cookie field
	used      map[string]int64   // when variants, hashed, were last hit, as counted by uses
	uses      int64
}

// maxAddress bounds what is remembered, in bytes of each.
const maxAddress = 2048

func newIdentities(limit int) *identities {
	return &identities{max: limit}
}

// knownIdentity returns the identity of an address, nil if it is not known.
func knownIdentity(m *identities, address string) *identity {
	m.mu.Lock()
	id := m.byAddress[address]
	m.mu.Unlock()
	return id
}

// putIdentity remembers the identity of an address and returns the one to use: that of
// another request if it was quicker, since what is learned is noted there.
func putIdentity(m *identities, address string, id *identity) *identity {
	if id.byHeader || len(address) > maxAddress {
		return id
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.byAddress[address]; known != nil {
		return known
	}
	if m.byAddress == nil || len(m.byAddress) >= m.max {
		m.byAddress = map[string]*identity{}
	}
	m.byAddress[address] = id
	return id
}

// setValues remembers what a request with these fields varies by. It reports false if
// they are too long for that.
func setValues(m *identities, fields, values string) bool {
	if len(fields) > maxAddress {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil || len(m.values) >= m.max {
		m.values = map[string]string{}
	}
	m.values[fields] = values
	return true
}

// varyFields are all that rule.Dimensions looks at, where the session is not among the
// cookies that are named. cookies are those but the session.
func varyFields(ru *rule.Rule, r *http.Request, cookies string) string {
	h := r.Header
	name := ru.Name
	for i := 0; i < len(ru.Headers); i++ {
		name += "\n" + keys.FieldValue(ru.Headers[i], h)
	}
	language, agent := h["Accept-Language"], h["User-Agent"]
	if len(language) == 1 && len(agent) == 1 {
		return name + "\n" + cookies + "\n" + language[0] + "\n" + agent[0]
	}
	return name + "\n" + cookies + "\n" + strings.Join(language, ",") + "\n" + strings.Join(agent, ",")
}

// address is what of a request its identity depends on, beside the header fields
// that rules look at. The path comes last: it is the only part in which a line break can
// be.
func address(h *Handler, r *http.Request) string {
	if passed := passedFields(h, r); passed != nil {
		fields := &strings.Builder{}
		_ = passed.WriteSubset(fields, nil)
		return fields.String() + addressOf(r) // a method has no colon
	}
	return addressOf(r)
}

// passedFields returns the fields of a request that middlewares in front have set for Odoo,
// nil if there are none.
func passedFields(h *Handler, r *http.Request) http.Header {
	var passed http.Header
	for _, name := range h.passing {
		if lines := r.Header[name]; lines != nil {
			if passed == nil {
				passed = http.Header{}
			}
			passed[name] = lines
		}
	}
	return passed
}

// addressOf returns what a request's address says, without what middlewares in front have set.
func addressOf(r *http.Request) string {
	proto := r.Header["X-Forwarded-Proto"]
	host := r.Header["X-Forwarded-Host"]
	u := r.URL
	if len(proto) != 1 || len(host) != 1 || u.ForceQuery || u.Opaque != "" {
		return unusualAddress(r, strings.Join(proto, ","), strings.Join(host, ","))
	}
	return strings.Join([]string{r.Method, proto[0], host[0], r.Host, u.RawQuery, u.RawPath, u.Path}, "\n")
}

// unusualAddress returns the address of a request that has not one of each of these fields, or
// whose target has another form.
func unusualAddress(r *http.Request, proto, host string) string {
	if proto == "" && r.TLS != nil {
		proto = "https"
	}
	u := r.URL
	form := ""
	if u.ForceQuery {
		form = "?"
	}
	if u.Opaque != "" {
		form += ":" + u.Opaque
	}
	return strings.Join([]string{form + " " + r.Method, proto, host, r.Host, u.RawQuery, u.RawPath, u.Path}, "\n")
}

// identify finds the identity of a request of an address.
func identify(h *Handler, r *http.Request, at string) *identity {
	if id := knownIdentity(h.identities, at); id != nil {
		return id
	}
	return identifyNew(h, r, at)
}

// firstRule finds the rule that takes a request to a folded host and a path, and whether its
// header decides on that.
func firstRule(h *Handler, r *http.Request, host, path string) (first *rule.Rule, byHeader bool) {
	return rule.First(h.s.Plan, h.s.Default, r.Method, host, path, r)
}

// withPassed adds to the key of an address what middlewares in front have set.
func withPassed(key string, passed http.Header) string {
	names := make([]string, 0, len(passed))
	for name := range passed {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		names[i] = keys.Extend("f "+name+" ", passed[name])
	}
	return keys.Extend(key, names)
}

// identifyNew finds out the identity of an address that is not known. It is apart since most are,
// and an interpreter pays for all of a function that it calls.
func identifyNew(h *Handler, r *http.Request, at string) *identity {
	id := &identity{target: keys.TargetOf(r)}
	if !strings.HasPrefix(at, r.Method) { // then there may be some, see address
		id.passed = passedFields(h, r)
	}
	sure := true
	id.path, sure = keys.RoutedPath(r.URL)
	id.odd = !sure
	id.host = keys.FoldHost(purgeHost(&id.target))
	id.rule, id.byHeader = firstRule(h, r, id.host, id.path)
	if id.rule.Nobody && (id.target.Path != id.path || r.URL.RawPath != "") {
		id.target.Path = keys.EscapePath(id.path)
	}
	id.target.Query, id.forward, id.tooMany = keys.Query(r.URL.RawQuery, r.URL.ForceQuery, id.rule.Keep, id.rule.Ignore, h.s.Limits.QueryParams)
	id.varies = len(id.rule.Cookies) > 0 || id.rule.Language != nil || len(id.rule.Headers) > 0
	id.campaign = id.forward != r.URL.RawQuery && strings.Contains(r.URL.RawQuery, "utm_")
	id.key = keys.Primary(h.s.Tenant, id.rule.Name, id.target, nil)
	if id.passed != nil {
		id.key = withPassed(id.key, id.passed)
	}
	if id.path != "" && id.path[0] == '/' { // else another target has the same address
		return putIdentity(h.identities, at, id)
	}
	return id
}

// purgeHost is the host by which a page is purged: the one the origin sees.
func purgeHost(t *keys.Target) string {
	if t.Forwarded != "" {
		return t.Forwarded
	}
	return t.Host
}

// cacheableRule is the rule of a GET to the same address.
func (h *Handler) cacheableRule(v *visit) *rule.Rule {
	path, _ := keys.RoutedPath(v.r.URL)
	ru, _ := rule.First(h.s.Plan, h.s.Default, http.MethodGet, keys.FoldHost(purgeHost(v.target)), path, v.r)
	return ru
}
