package tier

import (
	"fmt"

	"github.com/odoocache/odoocache/cache/policy"
	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/storage"
)

// settle sees to it that the tenant's purge state is of the server that answers now,
// before it is relied on.
func (t *Tier) settle(n *Tenant) string {
	n.settling.Lock()
	defer n.settling.Unlock()
	for i := 0; i < 3; i++ { // the connection for the question may be a new one
		if !moved(t, n) {
			return ""
		}
		era := t.remote.Era(n.name)
		run, err := t.remote.Attach(n.name)
		t.tellOnce(run.Lost)
		if err != nil {
			return t.failed(n, "settle", err)
		}
		if run.Dropped && n.purges.Head().Epoch != 0 {
			t.o.Log(begunAnew(n, run))
		}
		n.run = run.ID
		if era != 0 && t.remote.Era(n.name) == era {
			n.guard.success()
			n.sessions.ForgetAll()
			n.purges.Settled(era)
			return ""
		}
	}
	t.o.Log("odoocache: settle: connections to the storage come and go; it is not relied on")
	return policy.ReasonStoreError
}

// begunAnew says why a tenant's cache begins anew. Where the server is the same as before, another process has
// found another one: they share their data, so that each of them takes it from the others.
func begunAnew(n *Tenant, run storage.Run) string {
	why := "another server, or another run of it, answers"
	if run.ID != "" && run.ID == n.run {
		why = fmt.Sprintf("another process reaches another server than this one (run %.8s), and both have the same data, as behind a balancer; expected one server for all", run.ID)
	}
	return fmt.Sprintf("odoocache: tenant %s: %s; its cache begins anew", n.name, why)
}

// moved reports whether another server may answer than the one that the view's state
// was read from.
func moved(t *Tier, n *Tenant) bool {
	if t.remote == nil {
		return false
	}
	era := t.remote.Era(n.name)
	return !n.purges.IsOf(era)
}

// settledAnew reports whether another server may have answered, and it is known by now which one
// answers: then the question is to be put again.
func settledAnew(t *Tier, n *Tenant) bool {
	return moved(t, n) && t.settle(n) == ""
}

// sync brings the view up to head, a position read at or after now.
func (t *Tier) sync(n *Tenant, head storage.Head, now int64) string {
	if head.Epoch == 0 {
		return t.begin(n, now)
	}
	if (*purges.View).At(n.purges, head, now) {
		return ""
	}
	return t.pull(n, now)
}

// pull reads the marks that the view lacks. now must be before the request.
func (t *Tier) pull(n *Tenant, now int64) string {
	local, ask := n.purges.NextDelta()
	d, err := t.store.Marks(n.name, local)
	if err != nil {
		return t.failed(n, "marks", err)
	}
	if d.Head.Epoch == 0 {
		return t.begin(n, now)
	}
	if d.Head.Epoch == local.Epoch && d.Head.Seq < local.Seq {
		return t.restart(n, local, d.Head, now)
	}
	n.purges.Apply(d, ask, now)
	return ""
}

// restart handles a storage whose number is lower than one that this view had
// from it before: it has lost purges (restored from a snapshot, failed over to a
// replica that lagged). Then everything of the tenant counts as purged.
func (t *Tier) restart(n *Tenant, local, head storage.Head, now int64) string {
	t.o.Log(fmt.Sprintf("odoocache: tenant %s: the storage went back from purge %d to %d; its cache begins anew", n.name, local.Seq, head.Seq))
	if err := t.store.Forget(n.name); err != nil { // marks of sessions may be lost, too
		return t.failed(n, "forget", err)
	}
	n.sessions.ForgetAll()
	if _, err := t.store.Reset(n.name); err != nil {
		return t.failed(n, "reset", err)
	}
	return t.begin(n, now)
}

// begin starts the purge state of a tenant that has none: a new tenant, or one
// whose state was evicted. Whatever is stored is invalid then. Another process may
// take the state away at once, to begin anew: that is no fault of the storage.
func (t *Tier) begin(n *Tenant, now int64) string {
	for i := 0; i < beginTries; i++ {
		if _, err := t.store.Head(n.name); err != nil {
			return t.failed(n, "head", err)
		}
		_, ask := n.purges.NextDelta()
		d, err := t.store.Marks(n.name, storage.Head{})
		if err != nil {
			return t.failed(n, "marks", err)
		}
		if d.Head.Epoch != 0 {
			n.purges.Apply(d, ask, now)
			return ""
		}
	}
	t.o.Log(fmt.Sprintf("odoocache: tenant %s: its purge state is gone each time it is begun", n.name))
	return policy.ReasonStoreError
}

// beginTries is how often one request begins the purge state of its tenant.
const beginTries = 3

// tellOnce says what has not been said yet. The texts are few.
func (t *Tier) tellOnce(lines []string) {
	for i := 0; i < len(lines); i++ {
		t.mu.Lock()
		told := t.told[lines[i]]
		t.told[lines[i]] = true
		t.mu.Unlock()
		if !told {
			t.o.Tell("odoocache: " + lines[i])
		}
	}
}
