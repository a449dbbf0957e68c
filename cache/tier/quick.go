package tier

import (
	"time"

	"github.com/odoocache/odoocache/cache/purges"
	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
)

// The quick ways ask a server with bytes that are ready to be sent, and expect that the
// tenant's position is the one that the view has. Where that does not hold, Find finds out.

// Confirm asks for the position of a tenant, and reports whether it is the one that is
// known. late is true if the storage did not answer in time: then it should not be asked
// again for the same request.
func (t *Tier) Confirm(n *Tenant) (known, late bool) {
	if t.remote == nil {
		return false, false
	}
	_, q, late := compare(t, n, nil)
	return q != nil, late
}

// compare asks whether the position is as it was, and for a page with it, see Remote.Compare. The
// question that it returns has the view's position, as it was before and is afterwards, and as
// the server of its era says. It is nil if that does not hold.
func compare(t *Tier, n *Tenant, page *storage.Page) (answer []byte, q *storage.Question, late bool) {
	now := time.Now()
	if q = purges.MadeQuestion(n.purges); q == nil {
		if q = purges.QuestionOf(n.purges); q == nil {
			return nil, nil, false
		}
	}
	if n.guard.failures.Load() > 0 { // it has just failed: Find can tell what is wrong
		return nil, nil, false
	}
	answer, outcome := t.remote.Compare(q, page, now)
	if outcome != resp.Matches {
		return nil, nil, NotFetched(t, n, outcome)
	}
	if !purges.ConfirmBy(n.purges, q, storage.StartedMS+now.Sub(storage.Started).Milliseconds()) { // as ticks
		return nil, nil, false
	}
	return answer, q, false
}

// NotFetched notes that a page was not got. It reports whether the storage did not answer in
// time.
func NotFetched(t *Tier, n *Tenant, outcome resp.Outcome) (late bool) {
	if outcome != resp.TimedOut {
		return false
	}
	t.failed(n, "lookup", resp.ErrTimeout)
	return true
}

// Quick asks for an entry that is on a server alone: it returns what was prepared, without
// bodies, and the stored body, as redis.Body does. For late see Confirm.
func (t *Tier) Quick(n *Tenant, key string, now int64) (r *storage.Ready, body []byte, late bool) {
	if !t.bare {
		return nil, nil, false
	}
	r = t.pages.Ready(key)
	if r == nil || now >= r.Until || now < r.Entry.Life.Born {
		return nil, nil, false
	}
	value, q, late := compare(t, n, r.Page)
	if q == nil || q.Head.Seq != r.Seq || q.Head.Epoch != r.Entry.Epoch || !r.Page.Holds(value) {
		return nil, nil, late
	}
	return r, value[len(r.Page.Head):], false
}

// Exchange returns what gets the body of a page that is ready, at the position that is
// licensed. It is nil where there is none: in a cluster, for an entry in memory, and where
// what is known cannot be relied on. kept is what is to be returned in place of the stored
// body, nil if that.
func (t *Tier) Exchange(n *Tenant, r *storage.Ready, l *purges.License, kept []byte) *storage.Exchange {
	if r.Page == nil || t.remote == nil {
		return nil
	}
	q := purges.QuestionOf(n.purges)
	if q == nil || q.Head.Seq != r.Seq || q.Head.Epoch != r.Entry.Epoch {
		return nil
	}
	x := t.remote.Exchange(q, r, kept)
	if x != nil {
		x.Failures = &n.guard.failures
		x.Licensed = &l.Until
	}
	return x
}
