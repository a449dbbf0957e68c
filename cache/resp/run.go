package resp

import (
	"fmt"
	"regexp"
	"sync"
	"time"
)

// runs is what a client knows of the servers that its address has led to. A server tells of
// itself by its run, which is another one after each start.
//
// All connections have to lead to one server: a purge that one server knows says nothing of
// what another has stored. When a connection leads to another server than before, as after a
// restart or a failover, that one counts, and connections to the other are closed. Behind a
// balancer that would go on for ever, so after a while no connection is made at all.
type runs struct {
	mu      sync.Mutex
	current string
	left    map[string]time.Time // runs before it, and when they were left
	changes []time.Time          // of the last minutes, the oldest first
	returns int                  // those of changes that led to a run that had been left
	until   time.Time            // no connection is made until then
	pause   time.Duration        // the last one of these
	problem string               // what is said meanwhile
}

const (
	runsKept     = 10 * time.Minute // how long a run is known after it was left
	mostReturns  = 2                // within that time: one may be a failover there and back
	mostChanges  = 5                // within a minute
	firstRunRest = 5 * time.Second  // in which no connection is made; it doubles
	longRunRest  = 10 * time.Minute
)

var runID = regexp.MustCompile(`(?m)^run_id:(\w+)`)

// RunID returns the run in a reply to INFO, "" if it does not tell one.
func RunID(r Reply) string {
	found := runID.FindSubmatch(r.Body)
	if found == nil {
		return ""
	}
	return string(found[1])
}

// rests returns why no connection may be made now, "" if it may.
func (r *runs) rests(now time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.until) {
		return r.problem
	}
	return ""
}

// meet notes the run that a new connection leads to. It reports whether it is another one than
// before, and what is wrong with that.
func (r *runs) meet(run string, now time.Time) (changed bool, problem string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.until) {
		return true, r.problem
	}
	if r.current == "" || r.current == run {
		r.current = run
		return false, ""
	}
	former := r.current
	r.forget(now)
	if _, known := r.left[run]; known {
		r.returns++
	}
	r.left[former] = now
	r.changes = append(r.changes, now)
	r.current = run
	n := len(r.changes)
	if r.returns < mostReturns && (n < mostChanges || now.Sub(r.changes[n-mostChanges]) > time.Minute) {
		return true, ""
	}
	r.pause *= 2
	if r.pause < firstRunRest || now.Sub(r.until) > time.Hour {
		r.pause = firstRunRest
	}
	if r.pause > longRunRest {
		r.pause = longRunRest
	}
	r.until = now.Add(r.pause)
	r.problem = fmt.Sprintf("connections lead to several servers in turn (runs %.8s and %.8s, and so on), as behind a balancer, or to one that starts "+
		"over and over; expected the address of one server, or sentinels or a cluster; none is made for %s", former, run, r.pause)
	r.current = ""
	r.changes = nil
	r.left = nil
	r.returns = 0
	return true, r.problem
}

// forget drops what is too long ago. It bounds what is kept: there are mostChanges a minute.
func (r *runs) forget(now time.Time) {
	left := map[string]time.Time{}
	for run, at := range r.left {
		if now.Sub(at) < runsKept {
			left[run] = at
		}
	}
	r.left = left
	n := 0
	for n < len(r.changes) && now.Sub(r.changes[n]) >= runsKept {
		n++
	}
	r.changes = append([]time.Time{}, r.changes[n:]...)
	if len(r.changes) == 0 {
		r.returns = 0
	}
}

// arrive takes over what a new connection has told of its server. After an error it has to be
// closed.
func arrive(c *Client, k *conn) error {
	if k.run == "" {
		return nil
	}
	changed, problem := c.runs.meet(k.run, time.Now())
	if changed {
		c.era.Add(1) // before anything of the other server is read
		run := k.run
		closeAll(sift(c.pool, func(s *slot) bool { return problem != "" || s.conn.run != run }))
		disown(c.pool, func(other *conn) bool { return problem != "" || other.run != run })
	}
	if problem != "" {
		return fmt.Errorf("%w: %w: %s: %s", ErrConnect, ErrSeveral, c.o.Address, problem)
	}
	return nil
}
