package cache

import (
	"sync"

	"github.com/odoocache/odoocache/cache/storage"
)

// A tenant's purges have a rate (quota.purges), since each of them costs Redis and all Traefiks
// something. A purge by request that is over it is refused, and its sender told when to send it again.
// One in an answer of the application is nobody's to send again: those that are over the rate are
// written together, and their answers wait for that.

// rates are those of a tenant's purges in this process.
type rates struct {
	mu    sync.Mutex
	asked allowed // by request
	told  allowed // by the application's answers
	next  *batch  // what is to be written together, nil: nothing is
}

// allowed is how many purges may be made now: as many as in a minute, less those that were made, and
// more as time passes.
type allowed struct {
	made  float64
	since int64 // ticks at which made was that
}

// wait takes one of so many a minute, and returns 0, or how many ms there are until the next. 0 a
// minute: there is no bound.
func (a *allowed) wait(minute int, now int64) int64 {
	if minute == 0 {
		return 0
	}
	each := 60000 / float64(minute) // ms
	a.made -= float64(now-a.since) / each
	if a.made < 0 {
		a.made = 0
	}
	a.since = now
	if over := a.made + 1 - float64(minute); over > 0 {
		return int64(over*each) + 1
	}
	a.made++
	return 0
}

// rateOf returns the rates of a tenant's purges.
func (sh *Shared) rateOf(tenant string) *rates {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := sh.rates[tenant]
	if r == nil {
		r = &rates{}
		sh.rates[tenant] = r
	}
	return r
}

// batch are purges that are written together.
type batch struct {
	purge   storage.Purge
	has     map[string]bool
	done    chan struct{}
	written bool // it has been tried, and err is what became of it
	err     error
}

// add adds a purge to those that are written together. The most marks that one purge has are those
// that limits.purgeItems allows: more become a purge of everything.
func (b *batch) add(p storage.Purge, most int) {
	if b.purge.All {
		return
	}
	b.purge.Soft = b.purge.Soft && p.Soft
	for i := 0; i < len(p.Members); i++ {
		if !b.has[p.Members[i]] {
			b.has[p.Members[i]] = true
			b.purge.Members = append(b.purge.Members, p.Members[i])
		}
	}
	if p.All && !p.Soft || len(b.purge.Members) > most {
		b.purge = storage.Purge{All: true}
	}
}
