package cache

import (
	"context"

	"github.com/odoocache/odoocache/cache/config"
)

// A tenant's pages are in one place. Where two middlewares of one tenant keep them in
// different ones, a purge that one gets does not reach the other, and both look well.
// Nothing can be done about that here, so it is said.

// place is where a middleware keeps the pages of a tenant.
type place struct {
	middleware string
	storage    string // its name, without secrets
	identity   string
}

// maxPlaces bounds the middlewares of a configuration that are compared.
const maxPlaces = 100000

// told is what was said of a tenant. The registry's lock guards it.
var told = map[string]string{}

// Declare notes where a middleware keeps its tenant's pages, until ctx ends, and writes an
// error to the log if another one of the tenant keeps them elsewhere: once, as long as it
// stays so.
func Declare(ctx context.Context, s *config.Settings, middleware string) {
	if problem := declare(ctx, s, middleware); problem != "" {
		writeError(problem)
	}
}

func declare(ctx context.Context, s *config.Settings, middleware string) string {
	own := place{middleware: middleware, storage: s.Storage.Called, identity: s.Storage.Called}
	if s.Storage.Redis == nil {
		own.identity = s.Storage.Fingerprint
	}
	registryMu.Lock()
	defer registryMu.Unlock()
	c := configurationOf(ctx)
	if known := c.places[s.Tenant]; len(known) == 1 && known[0].identity == own.identity { // another router
		return ""
	}
	return compare(c, s.Tenant, own)
}

// compare notes a place and returns what is wrong with it, "" if that is nothing or was said. The
// caller holds the lock.
func compare(c *configuration, tenant string, own place) string {
	problem := ""
	for i := 0; i < len(configurations); i++ {
		if configurations[i].ctx.Err() != nil { // it was replaced
			continue
		}
		others := configurations[i].places[tenant]
		for j := 0; j < len(others); j++ {
			if others[j].identity != own.identity {
				problem = twoPlaces(tenant, others[j], own)
			}
		}
	}
	notePlace(c, tenant, own)
	if problem == "" {
		delete(told, tenant)
		return ""
	}
	if told[tenant] == problem {
		return ""
	}
	told[tenant] = problem
	return problem
}

// notePlace notes a place of a tenant, for each storage once. The caller holds the lock.
func notePlace(c *configuration, tenant string, own place) {
	list := c.places[tenant]
	for i := 0; i < len(list); i++ {
		if list[i].identity == own.identity {
			return
		}
	}
	if c.noted < maxPlaces {
		c.noted++
		c.places[tenant] = append(list, own)
	}
}

func twoPlaces(tenant string, other, own place) string {
	return "odoocache: tenant " + tenant + ": its pages are in two places: middleware " + other.middleware + " keeps them in " + other.storage +
		", middleware " + own.middleware + " in " + own.storage + "; a purge by one of them does not reach the other. Give both the same storage, or tenants of their own"
}
