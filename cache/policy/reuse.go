package policy

// State is what may be done with a stored response; 0: there is none.
type State int

const (
	Fresh   State = 1 // may be served
	Stale   State = 2 // may be served while it is refreshed
	Expired State = 3 // must be validated or fetched anew
)

// Reuse decides whether a stored response may answer a request now
// (RFC 9111 §4). d are the request's directives, the zero value with Present
// false if it has none or they are to be ignored. softPurged means that a soft
// purge has ended its freshness. The reason says why it is not Fresh.
func Reuse(l Life, d Directives, softPurged bool, now int64) (state State, reason string) {
	age := l.Age(now)
	left := l.TTL - age
	if d.Present {
		switch {
		case d.NoCache: // §5.2.1.4
			return Expired, ReasonRequestNoCache
		case d.MaxAge != Unset && (age > d.MaxAge || d.MaxAge == 0): // §5.2.1.1
			return Expired, ReasonRequestMaxAge
		case d.MinFresh != Unset && left < d.MinFresh: // §5.2.1.3
			return Expired, ReasonRequestMinFresh
		}
	}
	if l.NoCache {
		return Expired, ReasonNoCache
	}
	// §5.2.1.1: max-age without max-stale asks for nothing stale.
	refusesStale := d.Present && d.MaxAge != Unset && d.MaxStale == Unset
	if softPurged {
		if l.Grace > 0 && age < l.TTL+l.Grace && !refusesStale {
			return Stale, ReasonPurged
		}
		return Expired, ReasonPurged
	}
	if left > 0 {
		return Fresh, ""
	}
	if left+l.Grace > 0 { // RFC 5861 §3
		if refusesStale {
			return Expired, ReasonRequestMaxAge
		}
		return Stale, ReasonExpired
	}
	if d.MaxStale != Unset && d.Present && !l.NeverStale && left+d.MaxStale >= 0 { // §5.2.1.2
		return Fresh, ""
	}
	return Expired, ReasonExpired
}

// StandsIn reports whether a stored response may be served in place of an
// error (RFC 5861 §4, RFC 9111 §4.2.4). Admit has left StaleIfError at 0 where
// the origin forbids that and nobody above it says otherwise.
func StandsIn(l Life, now int64) bool {
	return !l.NoCache && l.StaleIfError > 0 && l.Age(now) < l.TTL+l.StaleIfError
}

// IsError reports whether a status counts as an error for stale-if-error
// (RFC 5861 §4).
func IsError(status int) bool {
	return status == 500 || status == 502 || status == 503 || status == 504
}
