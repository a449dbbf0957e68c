package tier

import (
	"fmt"
	"sync"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
)

// A tier keeps what it could not write to its storage. If the options of the storage
// change meanwhile (the password that was wrong, the timeout that was too short), another
// tier takes its place, with a state of its own. So the tiers of this process know of each
// other: what one of them keeps, all others that have the same tenant keep, too, and a
// tenant that is made later begins with it. What nobody could take over is a debt.
//
// A tier whose password is wrong keeps it until it is closed. The next one with the right
// password writes it. Those that come after must not write it again: that would purge what
// has been stored since. So what is kept has a note of where it was written, which all who
// keep it share. If two tiers of a place write at one time, it is written twice, which does
// no harm.
//
// tiersMu is locked before the locks of tiers and tenants.
var (
	tiersMu sync.Mutex
	tiers   []*Tier // that were joined, and are not closed
	debts   []debt
)

// debt is what a tier could not write until it was closed.
type debt struct {
	place  string
	tenant string
	load   purges.Load
}

// maxDebts bounds the debts. Beyond, all become one that every tenant has: everything is
// purged.
const maxDebts = 100

// Join makes a tier known to the others of this process, until it is closed. Its
// options name a place.
func Join(t *Tier) {
	tiersMu.Lock()
	defer tiersMu.Unlock()
	tiers = append(tiers, t)
}

// tenantOf returns what a tier has of a tenant, nil if that is nothing.
func tenantOf(t *Tier, tenant string) *Tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tenants[tenant]
}

// unseen returns a load without the purges that have been seen: several tiers keep the same.
func unseen(l purges.Load, seen map[*purges.Note]bool) purges.Load {
	var rest []purges.Waiting
	for i := 0; i < len(l.Purges); i++ {
		if n := l.Purges[i].Note; !seen[n] {
			seen[n] = true
			rest = append(rest, l.Purges[i])
		}
	}
	l.Purges = rest
	return l
}

// inherit hands what a tier keeps for a tenant to the other tiers that have it.
// The tier keeps it already: one that is made between the two takes it over.
func inherit(t *Tier, n *Tenant, l purges.Load) {
	if t.o.Place == "" {
		return
	}
	tiersMu.Lock()
	defer tiersMu.Unlock()
	open := false
	for i := 0; i < len(tiers); i++ {
		if tiers[i] == t {
			open = true
		} else if other := tenantOf(tiers[i], n.name); other != nil {
			hand(tiers[i], other, l)
		}
	}
	if !open && !keptAt(t.o.Place, n.name) { // a request that outlived its tier
		owe(t, n)
	}
}

// tell hands a purge that was written to one storage to the tiers of others: a request
// may still be answered with the options of before a change. It is written there before
// the tenant is used again.
func tell(t *Tier, tenant string, p storage.Purge) {
	if t.o.Place == "" {
		return
	}
	l := purges.Load{Purges: []purges.Waiting{{Purge: p, Note: &purges.Note{}}}}
	tiersMu.Lock()
	defer tiersMu.Unlock()
	for i := 0; i < len(tiers); i++ {
		if tiers[i] == t || tiers[i].o.Place == t.o.Place {
			continue
		}
		if n := tenantOf(tiers[i], tenant); n != nil {
			tiers[i].take(n, l)
		}
	}
}

// hand gives a tier what another one could not write, and says so once.
func hand(t *Tier, n *Tenant, l purges.Load) {
	l, none := purges.Unwritten(l, placeOf(t, n.name))
	if none {
		return
	}
	if n.purges.Pending() == 0 {
		t.o.Log(fmt.Sprintf("odoocache: tenant %s: purges or marks of sessions that were kept for a storage with other options are written to this one before it is used", n.name))
	}
	t.take(n, l)
}

// takeOver gives a new tenant what other tiers could not write, and what those that are
// closed have left. The debt to another place stays, for the case that it is used again.
func takeOver(t *Tier, n *Tenant) {
	if t.o.Place == "" {
		return
	}
	seen := map[*purges.Note]bool{}
	for i := 0; i < len(tiers); i++ {
		if tiers[i] == t {
			continue
		}
		if other := tenantOf(tiers[i], n.name); other != nil && other.purges.Pending() > 0 {
			hand(t, n, unseen(other.purges.Kept(), seen))
		}
	}
	rest := make([]debt, 0, len(debts))
	for i := 0; i < len(debts); i++ {
		d := debts[i]
		if d.tenant == n.name || d.tenant == "" {
			hand(t, n, unseen(d.load, seen))
		}
		if d.tenant != n.name || d.place != t.o.Place {
			rest = append(rest, d)
		}
	}
	debts = rest
}

// leave takes a tier that is closed from the others. What it could not write is a debt,
// unless another tier of the same storage keeps it.
func leave(t *Tier) {
	if t.o.Place == "" {
		return
	}
	tiersMu.Lock()
	defer tiersMu.Unlock()
	rest := make([]*Tier, 0, len(tiers))
	for i := 0; i < len(tiers); i++ {
		if tiers[i] != t {
			rest = append(rest, tiers[i])
		}
	}
	tiers = rest
	t.mu.Lock()
	tenants := make([]*Tenant, 0, len(t.tenants))
	for _, n := range t.tenants {
		tenants = append(tenants, n)
	}
	t.mu.Unlock()
	for i := 0; i < len(tenants); i++ {
		if tenants[i].Pending() > 0 && !keptAt(t.o.Place, tenants[i].name) {
			owe(t, tenants[i])
		}
	}
}

// keptAt reports whether a tier of a place has a tenant: then it keeps what another one
// of that place has kept.
func keptAt(place, tenant string) bool {
	for i := 0; i < len(tiers); i++ {
		if tiers[i].o.Place == place && tenantOf(tiers[i], tenant) != nil {
			return true
		}
	}
	return false
}

// owe notes what a tier that is closed could not write.
func owe(t *Tier, n *Tenant) {
	l, none := purges.Unwritten(n.purges.Kept(), placeOf(t, n.name))
	if none {
		return
	}
	d := debt{place: t.o.Place, tenant: n.name, load: l}
	t.o.Log(fmt.Sprintf("odoocache: tenant %s: its storage is not used any more, and purges or marks of sessions wait to be written; they are kept for the next one", n.name))
	for i := 0; i < len(debts); i++ {
		if debts[i].place == d.place && debts[i].tenant == d.tenant {
			debts[i] = d
			return
		}
	}
	if len(debts) >= maxDebts {
		debts = []debt{{load: purges.Load{Purges: []purges.Waiting{{Purge: storage.Purge{All: true}, Note: &purges.Note{}}}, Forget: &purges.Note{}}}}
	}
	debts = append(debts, d)
}

// placeOf names a tenant's part of the place of a tier, empty if nobody shares it.
func placeOf(t *Tier, tenant string) string {
	if t.o.Place == "" {
		return ""
	}
	return t.o.Place + "\n" + tenant
}
