package storage

import (
	"fmt"
	"sync"
)

// A tier keeps what it could not write to its storage. If the options of the storage
// change meanwhile (the password that was wrong, the timeout that was too short), another
// tier takes its place, with a view of its own. So the tiers of this process know of each
// other: what one of them keeps, all others that have the same tenant keep, too, and a
// view that is made later begins with it. What nobody could take over is a debt.
//
// It is written once for each tier, which does no harm: a purge is one whether it is
// written once or twice, and so is the mark of a session.
//
// tiersMu is locked before the locks of tiers and views.
var (
	tiersMu sync.Mutex
	tiers   []*Tier // that were joined, and are not closed
	debts   []debt
)

// debt is what a tier could not write until it was closed.
type debt struct {
	place    string
	tenant   string
	purges   []Purge
	sessions []string
	forget   bool
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

// viewOf returns the view of a tenant, nil if a tier has none.
func viewOf(t *Tier, tenant string) *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.views[tenant]
}

// inherit hands what the tier of a view keeps to the others that have the same tenant.
// The view keeps it already: a view that is made between the two takes it over.
func inherit(t *Tier, v *View, purges []Purge, sessions []string) {
	if t.o.Place == "" {
		return
	}
	tiersMu.Lock()
	defer tiersMu.Unlock()
	open := false
	for i := 0; i < len(tiers); i++ {
		if tiers[i] == t {
			open = true
		} else if other := viewOf(tiers[i], v.tenant); other != nil {
			hand(tiers[i], other, purges, sessions, false)
		}
	}
	if !open && !keptAt(t.o.Place, v.tenant) { // a request that outlived its tier
		owe(t, v)
	}
}

// tell hands a purge that was written to one storage to the tiers of others: a request
// may still be answered with the options of before a change. It is written there before
// the tenant is used again.
func tell(t *Tier, tenant string, p Purge) {
	if t.o.Place == "" {
		return
	}
	tiersMu.Lock()
	defer tiersMu.Unlock()
	for i := 0; i < len(tiers); i++ {
		if tiers[i] == t || tiers[i].o.Place == t.o.Place {
			continue
		}
		if v := viewOf(tiers[i], tenant); v != nil {
			tiers[i].journal(v, []Purge{p}, nil, false)
		}
	}
}

// hand gives a tier what another one could not write, and says so once.
func hand(t *Tier, v *View, purges []Purge, sessions []string, forget bool) {
	if v.Pending() == 0 {
		t.o.Log(fmt.Sprintf("odoocache: tenant %s: purges or marks of sessions that were kept for a storage with other options are written to this one before it is used", v.tenant))
	}
	t.journal(v, purges, sessions, forget)
}

// takeOver gives a new view what other tiers could not write, and what those that are
// closed have left. The debt to another place stays, for the case that it is used again.
func takeOver(t *Tier, v *View) {
	if t.o.Place == "" {
		return
	}
	for i := 0; i < len(tiers); i++ {
		if tiers[i] == t {
			continue
		}
		if other := viewOf(tiers[i], v.tenant); other != nil && other.Pending() > 0 {
			purges, sessions, forget := other.kept()
			hand(t, v, purges, sessions, forget)
		}
	}
	rest := make([]debt, 0, len(debts))
	for i := 0; i < len(debts); i++ {
		d := debts[i]
		if d.tenant == v.tenant || d.tenant == "" {
			hand(t, v, d.purges, d.sessions, d.forget)
		}
		if d.tenant != v.tenant || d.place != t.o.Place {
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
	views := make([]*View, 0, len(t.views))
	for _, v := range t.views {
		views = append(views, v)
	}
	t.mu.Unlock()
	for i := 0; i < len(views); i++ {
		if views[i].Pending() > 0 && !keptAt(t.o.Place, views[i].tenant) {
			owe(t, views[i])
		}
	}
}

// keptAt reports whether a tier of a place has a tenant: then it keeps what another one
// of that place has kept.
func keptAt(place, tenant string) bool {
	for i := 0; i < len(tiers); i++ {
		if tiers[i].o.Place == place && viewOf(tiers[i], tenant) != nil {
			return true
		}
	}
	return false
}

// owe notes what a tier that is closed could not write.
func owe(t *Tier, v *View) {
	purges, sessions, forget := v.kept()
	d := debt{place: t.o.Place, tenant: v.tenant, purges: purges, sessions: sessions, forget: forget}
	t.o.Log(fmt.Sprintf("odoocache: tenant %s: its storage is not used any more, and purges or marks of sessions wait to be written; they are kept for the next one", v.tenant))
	for i := 0; i < len(debts); i++ {
		if debts[i].place == d.place && debts[i].tenant == d.tenant {
			debts[i] = d
			return
		}
	}
	if len(debts) >= maxDebts {
		debts = []debt{{purges: []Purge{{All: true}}, forget: true}}
	}
	debts = append(debts, d)
}
