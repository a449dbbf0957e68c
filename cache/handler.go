package cache

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/cache/tier"
)

// Handler answers requests from the cache of one tenant.
type Handler struct {
	s      *config.Settings
	next   http.Handler
	shared *Shared
	tenant *tier.Tenant

	openUntil  *atomic.Int64 // 0: the storage may be asked; else tier.NotAsked tells
	identities *identities
	doubts     *doubts
	trails     *trails
	serial     int64 // by which Shared finds it, 0: it does not

	table  *sync.Map // of *readyPage, by tableKey
	prefix string    // of its keys: other tenants, and other settings, have pages of their own

	glances  *sync.Map // of *glance, by glanceKey, at most limits.addresses
	glanced  *int64    // about how many, atomic
	bypassed *sync.Map // keys of requests that the cache has no part in, at most limits.addresses
	bypasses *int64    // about how many, atomic
	byRule   []string  // Cache-Status of their answers
	hit      string    // what that of a hit begins with
	hits     []string  // the same, by the seconds that are left
	ages     []string  // Age by seconds

	addressed     []string        // header fields of responses that are meant for the cache
	passing       []string        // fields of requests that middlewares in front set for the origin
	keyFields     []string        // fields of requests that decide on what the table answers with
	ignoredFields map[string]bool // fields of requests that have no part in it
	slowFields    []string        // fields of requests with which they go the long way
	counting      map[string]bool // folded names of fields that count, see clean
}

// common is what handlers have in common whose settings are shared: it is made once. It is
// never changed.
type common struct {
	number    string // no other settings have it
	hit       string
	hits      []string
	ages      []string
	byRule    string
	addressed []string

	keyFields     []string
	ignoredFields map[string]bool
	slowFields    []string
	counting      map[string]bool
}

// commons counts what was made.
var commons int64

// commonOf returns what follows from shared settings.
func commonOf(s *config.Settings) *common {
	c, _ := s.Prepared.Get(func() interface{} { return prepareCommon(s) }).(*common)
	return c
}

func prepareCommon(s *config.Settings) *common {
	c := &common{
		number:    strconv.FormatInt(atomic.AddInt64(&commons, 1), 36),
		hit:       s.Name + "; hit; ttl=",
		byRule:    statusForwarded(&Handler{s: s}, "bypass", 0, policy.ReasonRule),
		addressed: append([]string{s.CacheHeader, s.PurgeHeader}, edgeHeaders...),
		keyFields: append(append([]string{}, keyFields...), s.Fill.Headers...),
	}
	c.ages = numbered("") // first: there may be no room after the others
	c.hits = numbered(c.hit)
	c.ignoredFields = ignoredFieldsOf(s, c.keyFields)
	c.slowFields = slowFieldsOf(s)
	c.counting = countingFields(s)
	return c
}

// New returns a handler in front of next. It dials nothing. When ctx ends, it is
// taken for replaced: requests are still answered, nothing else is done.
func New(ctx context.Context, s *config.Settings, next http.Handler, shared *Shared) *Handler {
	h := bare(s, next, shared)
	h.tenant = shared.tier.Tenant(s.Tenant)
	if s.Quota.Bounded || h.tenant.Limited.Load() {
		limit(h)
	}
	if s.Key != nil {
		ownKey(shared, h.tenant, s)
	}
	h.identities = newIdentities(s.Limits.Addresses)
	h.doubts = &doubts{max: s.Limits.Addresses}
	h.trails = &trails{max: s.Limits.Addresses}
	h.glances = &sync.Map{}
	h.glanced = new(int64)
	h.bypassed = &sync.Map{}
	h.bypasses = new(int64)
	h.openUntil = h.tenant.OpenUntil()
	h.table = shared.tier.Table()
	if s.Rewarm > 0 {
		enlist(ctx, h)
	}
	return h
}

// bare returns a handler with what follows from its settings alone.
func bare(s *config.Settings, next http.Handler, shared *Shared) *Handler {
	c := commonOf(s)
	h := &Handler{s: s, next: next, shared: shared}
	h.hit = c.hit // copies: a hit reads them
	h.hits = c.hits
	h.ages = c.ages
	h.byRule = []string{c.byRule}
	h.addressed = c.addressed
	h.passing = s.Fill.Headers
	h.keyFields = c.keyFields
	h.ignoredFields = c.ignoredFields
	h.slowFields = c.slowFields
	h.counting = c.counting
	h.prefix = c.number + " " + s.Tenant
	return h
}

// enlist lets pages be asked for from where a handler's requests go, until ctx ends.
func enlist(ctx context.Context, h *Handler) {
	h.serial = h.shared.enlist(ctx, func(r *http.Request) {
		h.askFor(r, func(rw http.ResponseWriter, r *http.Request) { serve(h, rw, r, false) })
	})
}

// limit tells what a tenant's pages may take. Of several middlewares of a tenant the last one counts.
func limit(h *Handler) {
	q := &h.s.Quota
	h.shared.tier.Limit(h.tenant, storage.Quota{Bytes: q.MemoryBytes, Entries: q.MemoryEntries}, storage.Quota{Bytes: q.RedisBytes, Entries: q.RedisEntries})
}
