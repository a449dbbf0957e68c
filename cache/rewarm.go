package cache

import (
	"context"
	"net/http"
	"time"
)

// A purge leaves the next visitor of each page to wait for Odoo. With the option
// rewarm the pages that had most hits in this process are asked for at once, one
// after the other, so that visitors find them.

// warm asks for what was popular until it was purged.
func (h *Handler) warm() {
	list := h.shared.tier.Popular(h.tenant, h.s.Rewarm)
	for i := 0; i < len(list); i++ {
		list[i]()
	}
}

// askFor has a request served as that of a visitor who has nothing.
func (h *Handler) askFor(recipe *http.Request, serve func(http.ResponseWriter, *http.Request)) {
	ctx, cancel := context.WithTimeout(recipe.Context(), time.Duration(h.s.Limits.FetchTimeout)*time.Millisecond)
	defer cancel()
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { // which is how an origin's answer breaks off
			h.logf("rewarm of %s: %v", h.shownPath(recipe.URL.Path), p)
		}
	}()
	count(h, "rewarm")
	serve(&sink{header: http.Header{}}, recipe.Clone(ctx))
}

// recipe gets the page of a visit anew, from where this handler's requests go: another
// one of the tenant may lead elsewhere. It holds on to nothing of the configuration,
// which may be replaced before it is used, nor of the client's connection.
func recipe(h *Handler, v *visit) func() {
	if h.s.Rewarm == 0 {
		return nil
	}
	r := asNobody(ownContext(v.r.Context()), h, v)
	sh, serial := h.shared, h.serial
	return func() { sh.askOf(serial, r) }
}

// sink is a client that wants nothing.
type sink struct {
	header http.Header
}

// Header implements http.ResponseWriter.
func (s *sink) Header() http.Header { return s.header }

// WriteHeader implements http.ResponseWriter.
func (s *sink) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// enlist notes how a handler asks for pages, until ctx ends.
func (sh *Shared) enlist(ctx context.Context, ask func(*http.Request)) int64 {
	serial := sh.number()
	sh.mu.Lock()
	sh.askers[serial] = ask
	sh.mu.Unlock()
	context.AfterFunc(ctx, func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		delete(sh.askers, serial)
	})
	return serial
}

// askOf has a handler ask for a page, if it has not been replaced.
func (sh *Shared) askOf(serial int64, r *http.Request) {
	sh.mu.Lock()
	ask := sh.askers[serial]
	sh.mu.Unlock()
	if ask != nil {
		ask(r)
	}
}

// The states of a tenant's warming.
const (
	warming     = 1
	warmingMore = 2 // a purge has come meanwhile
)

func (sh *Shared) beginWarming(tenant string) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.warming[tenant] != 0 {
		sh.warming[tenant] = warmingMore
		return false
	}
	sh.warming[tenant] = warming
	return true
}

func (sh *Shared) warmAgain(tenant string) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	more := sh.warming[tenant] == warmingMore
	if more {
		sh.warming[tenant] = warming
	} else {
		delete(sh.warming, tenant)
	}
	return more
}

func (sh *Shared) endWarming(tenant string) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.warming, tenant)
}
