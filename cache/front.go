package cache

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/tenant"
)

// Front hands each request to the handler of its tenant, which is made when the first one comes.
// A request whose tenant cannot be told for certain is handed on, and nothing of it is stored.
type Front struct {
	ctx    context.Context
	s      *config.Settings
	next   http.Handler
	shared *Shared
	name   string   // of the middleware
	nobody *Handler // has no tenant: what is the same for all

	roll    atomic.Value // *roll
	due     *int64       // ms: when the list is to be looked at again, atomic
	reading sync.Mutex   // one looks at a time
}

// roll are the tenants that are known, and what was found out by them. Another list makes another
// one: so what was found out by one list is never used with another.
type roll struct {
	list *config.TenantList // nil: none was read, or there is none

	found *sync.Map // of *Handler, by what a request says of its tenant; at most limits.addresses
	count *int64    // about how many, atomic

	mu    sync.Mutex
	seats map[string]*seat // by name in lower case
}

// seat is a tenant's, with the handler that was made for it.
type seat struct {
	h     *Handler
	end   func() // the handler is not used any more
	print string // of the member that it was made for
}

// maxStranger bounds what is remembered of what requests say of their tenants, in bytes.
const maxStranger = 600

// NewFront returns a handler of many tenants in front of next. It dials nothing.
func NewFront(ctx context.Context, s *config.Settings, next http.Handler, shared *Shared, name string) *Front {
	f := &Front{ctx: ctx, s: s, next: next, shared: shared, name: name, nobody: bare(s, next, shared), due: new(int64)}
	if s.List != nil {
		atomic.StoreInt64(f.due, nowMS()+s.Tenants.Refresh)
	}
	f.roll.Store(newRoll(s.List))
	return f
}

func newRoll(list *config.TenantList) *roll {
	return &roll{list: list, found: &sync.Map{}, count: new(int64), seats: map[string]*seat{}}
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if f.s.Tenants.Listed() {
		if control := f.nobody.asksControl(r); control || due(f) {
			checkList(f, control)
		}
	}
	said := saidOf(f, r)
	now, _ := f.roll.Load().(*roll)
	if x, found := now.found.Load(said); found {
		h, _ := x.(*Handler)
		h.ServeHTTP(rw, r)
		return
	}
	h, reason := resolve(f, now, r)
	if h == nil {
		passStranger(f, rw, r, reason)
		return
	}
	if len(said) <= maxStranger {
		if _, known := now.found.LoadOrStore(strings.Clone(said), h); !known {
			bound(now.found, now.count, f.s.Limits.Addresses)
		}
	}
	h.ServeHTTP(rw, r)
}

// saidOf returns what a request says of its tenant.
func saidOf(f *Front, r *http.Request) string {
	if f.s.Tenants.Header != "" {
		return strings.Join(r.Header[f.s.Tenants.Header], "\n")
	}
	return r.Host + "\n" + strings.Join(r.Header["X-Forwarded-Host"], "\n")
}

// resolve returns the handler of a request's tenant, or why there is none.
func resolve(f *Front, now *roll, r *http.Request) (*Handler, string) {
	m, reason := memberOf(f.s.Tenants, now.list, r)
	if m == nil {
		return nil, reason
	}
	return handlerOf(f, now, m)
}

// memberOf returns the tenant of a request, or why that cannot be told.
func memberOf(s *config.TenantsSettings, list *config.TenantList, r *http.Request) (*config.Member, string) {
	if s.Listed() && list == nil {
		return nil, policy.ReasonTenantsUnread
	}
	if s.Header != "" {
		lines := r.Header[s.Header]
		if len(lines) != 1 || !tenant.IsName(lines[0]) {
			return nil, policy.ReasonTenant
		}
		return called(list, lines[0])
	}
	if strings.IndexByte(r.Host, ',') >= 0 { // no list: a server that takes it for one may take the first
		return nil, policy.ReasonTenant
	}
	m := atHost(s, list, r.Host)
	if forwarded := r.Header["X-Forwarded-Host"]; len(forwarded) > 1 || len(forwarded) == 1 && forwarded[0] != r.Host {
		other := atHost(s, list, strings.Join(forwarded, ",")) // Odoo believes it in proxy_mode alone
		if other != m && (other == nil || m == nil || other.Name != m.Name) {
			return nil, policy.ReasonTenantAmbiguous
		}
	}
	if m == nil {
		return nil, policy.ReasonTenant
	}
	return m, ""
}

// called returns the tenant of a name. Without a list each name is one.
func called(list *config.TenantList, name string) (*config.Member, string) {
	name = strings.ToLower(name)
	if list == nil {
		return &config.Member{Name: name}, ""
	}
	m := list.Names[name]
	if m == nil {
		return nil, policy.ReasonTenant
	}
	return m, ""
}

// atHost returns the tenant of a host, nil if there is none: the one that a list names it for,
// else the one whose name a pattern captures.
func atHost(s *config.TenantsSettings, list *config.TenantList, host string) *config.Member {
	host = tenant.Host(host)
	if host == "" {
		return nil
	}
	if list != nil && list.Hosts[host] != nil {
		return list.Hosts[host]
	}
	for i := 0; i < len(s.Patterns); i++ {
		if name := tenant.Match(s.Patterns[i], host); name != "" {
			m, _ := called(list, name)
			return m
		}
	}
	return nil
}

// handlerOf returns the handler of a tenant, a new one if there is none, or why there can be
// none.
func handlerOf(f *Front, now *roll, m *config.Member) (*Handler, string) {
	name := strings.ToLower(m.Name)
	now.mu.Lock()
	defer now.mu.Unlock()
	if at := now.seats[name]; at != nil {
		return at.h, ""
	}
	if len(now.seats) >= f.s.Tenants.Max {
		f.shared.log("odoocache: more than " + strconv.Itoa(f.s.Tenants.Max) + " tenants (tenants.max): what others ask for is not cached")
		return nil, policy.ReasonTenantLimit
	}
	s, err := f.s.For(m)
	if err != nil {
		f.shared.log("odoocache: tenant " + m.Name + ": " + err.Error() + "; what is asked for is not cached")
		return nil, policy.ReasonStoreKey
	}
	ctx, end := context.WithCancel(f.ctx)
	Declare(f.ctx, s, f.name)
	h := New(ctx, s, f.next, f.shared)
	now.seats[name] = &seat{h: h, end: end, print: m.Print}
	return h, ""
}

// checkList reads the list again, if it is time to. One request at a time does so; the others
// go by what is known. A control request waits: a secret that was taken away counts no more. So does
// the first request of all.
func checkList(f *Front, control bool) {
	now, _ := f.roll.Load().(*roll)
	if control || now.list == nil && atomic.LoadInt64(f.due) == 0 {
		f.reading.Lock()
		defer f.reading.Unlock()
		if control || due(f) {
			readAgain(f, fresh(f))
		}
		return
	}
	if f.reading.TryLock() {
		go func() {
			defer f.reading.Unlock()
			defer func() {
				if p := recover(); p != nil {
					f.shared.log(fmt.Sprintf("odoocache: reading the list of tenants: %v", p))
				}
			}()
			if due(f) {
				readAgain(f, f.s.Tenants.Refresh/2)
			}
		}()
	}
}

// fresh is how old, in ms, what was read of a list may be for a control request.
func fresh(f *Front) int64 {
	if f.s.Tenants.Refresh < controlRefresh {
		return f.s.Tenants.Refresh
	}
	return controlRefresh
}

// controlRefresh is the same, where tenants.refresh is longer.
const controlRefresh = 1000

func due(f *Front) bool {
	return nowMS() >= atomic.LoadInt64(f.due)
}

// readAgain reads the list, unless another middleware has just done so. The caller holds reading.
func readAgain(f *Front, fresh int64) {
	load := config.ReadTenants
	if f.s.Tenants.Redis != "" {
		load = func(s *config.Settings) ([]string, error) { return f.shared.tier.Remote().Hash(s.Tenants.Redis) }
	}
	list, news := config.ReadList(f.s, time.Duration(fresh)*time.Millisecond, load, func(names []string) { beginAnew(f, names) })
	now, _ := f.roll.Load().(*roll)
	wait := f.s.Tenants.Refresh
	if list == nil && wait > firstRefresh {
		wait = firstRefresh
	}
	atomic.StoreInt64(f.due, nowMS()+wait)
	if news.Line != "" {
		writeError("odoocache: " + news.Line)
	}
	if list != nil && (now.list == nil || now.list.Print != list.Print) {
		f.roll.Store(succeed(now, list))
	}
}

// firstRefresh is how soon a list is looked for again that could not be read yet, in ms.
const firstRefresh = 1000

// beginAnew purges everything of tenants that come back, or get other hosts. What Redis does not take
// is kept, and applied before the tenant is used.
func beginAnew(f *Front, names []string) {
	for i := 0; i < len(names); i++ {
		_, _ = f.shared.tier.Purge(f.shared.tier.Tenant(names[i]), storage.Purge{All: true})
	}
}

// succeed returns what takes the place of a roll with another list. Tenants of which nothing has
// changed keep their handlers, and what these have learned.
func succeed(now *roll, list *config.TenantList) *roll {
	next := newRoll(list)
	now.mu.Lock()
	defer now.mu.Unlock()
	for name, at := range now.seats {
		if m := list.Names[name]; m != nil && m.Print == at.print {
			next.seats[name] = at
		} else {
			at.end()
		}
	}
	return next
}
