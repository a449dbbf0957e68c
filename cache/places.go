package cache

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/odoocache/odoocache/cache/config"
)

// A tenant's pages are in one place. Where two middlewares of one tenant keep them in
// different ones, a purge that one gets does not reach the other, and both look well.
// Nothing can be done about that here, so it is said.

// place is where a middleware keeps the pages of a tenant.
type place struct {
	ctx        context.Context // ends with the middleware
	middleware string
	storage    string // its name, without secrets
	identity   string
}

// maxPlaces bounds what is known of middlewares in use. Beyond, nothing is compared.
const maxPlaces = 10000

var (
	placesMu    sync.Mutex
	placesInUse = map[string][]place{} // by tenant
	told        = map[string]string{}  // what was said of a tenant
)

// Declare notes where a middleware keeps its tenant's pages, until ctx ends, and writes an
// error to the log if another one of the tenant keeps them elsewhere: once, as long as it
// stays so.
func Declare(ctx context.Context, s *config.Settings, middleware string) {
	if problem := declare(ctx, s, middleware); problem != "" {
		writeError(problem)
	}
}

func declare(ctx context.Context, s *config.Settings, middleware string) string {
	own := place{ctx: ctx, middleware: middleware, storage: placeOf(s.Storage)}
	own.identity = own.storage
	if s.Storage.Redis == nil {
		own.identity = s.Storage.Fingerprint
	}
	placesMu.Lock()
	defer placesMu.Unlock()
	var live []place
	problem := ""
	known := false
	for _, other := range placesInUse[s.Tenant] {
		if other.ctx.Err() != nil { // of a configuration that was replaced
			continue
		}
		live = append(live, other)
		if other.identity == own.identity {
			known = known || other.middleware == own.middleware && other.ctx == own.ctx
			continue
		}
		problem = "odoocache: tenant " + s.Tenant + ": its pages are in two places: middleware " + other.middleware + " keeps them in " + other.storage +
			", middleware " + own.middleware + " in " + own.storage + "; a purge by one of them does not reach the other. Give both the same storage, or tenants of their own"
	}
	if !known && len(live) < maxPlaces {
		live = append(live, own)
	}
	placesInUse[s.Tenant] = live
	if problem == "" {
		delete(told, s.Tenant)
		return ""
	}
	if told[s.Tenant] == problem {
		return ""
	}
	told[s.Tenant] = problem
	return problem
}

// placeOf names a storage by what decides on where the pages are.
func placeOf(s config.StorageSettings) string {
	o := s.Redis
	switch {
	case o == nil:
		return "this process's memory (" + strconv.FormatInt(s.MemoryBytes, 10) + " bytes)"
	case len(s.Cluster) > 0:
		return "the Redis Cluster of " + strings.Join(s.Cluster, ", ")
	case o.Sentinels != nil:
		return "the Redis that sentinels call " + o.Sentinels.Master + " (" + strings.Join(o.Sentinels.Addresses, ", ") + "), database " + strconv.Itoa(o.DB)
	}
	return "Redis at " + o.Address + ", database " + strconv.Itoa(o.DB)
}
