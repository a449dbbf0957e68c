package policy

import (
	"net/http"
	"strconv"
	"strings"
)

// Life is how long a stored response may be used. Ages count from Born, the
// instant at which its age was zero: the time it came less its corrected
// initial age (RFC 9111 §4.2.3).
type Life struct {
	Born         int64 // Unix ms
	TTL          int64 // ms during which it is fresh
	Grace        int64 // ms after TTL during which it may be served while it is refreshed (RFC 5861 §3)
	StaleIfError int64 // ms after TTL during which it may stand in for an error (RFC 5861 §4)
	Keep         int64 // ms after TTL during which its validators are of use
	NoCache      bool  // validate before each use (RFC 9111 §5.2.2.4)
	NeverStale   bool  // must-revalidate, proxy-revalidate, s-maxage (§5.2.2.2, §5.2.2.8, §5.2.2.10)
	Shared       bool  // may answer requests with Authorization (§3.5)
	Public       bool  // may answer requests of any session
}

// Age returns the current age in ms (RFC 9111 §4.2.3).
func (l Life) Age(now int64) int64 {
	if now < l.Born {
		return 0
	}
	return now - l.Born
}

// Retention returns for how many ms from now the response is of any use.
func (l Life) Retention(now int64) int64 {
	keep := l.Keep
	if l.Grace > keep {
		keep = l.Grace
	}
	if l.StaleIfError > keep {
		keep = l.StaleIfError
	}
	return l.TTL + keep - l.Age(now)
}

// Capped returns a life that ends most ms after its beginning, whatever the response says: nothing of
// it is kept for longer.
func Capped(l Life, most int64) Life {
	if l.TTL > most {
		l.TTL = most
	}
	left := most - l.TTL
	if l.Grace > left {
		l.Grace = left
	}
	if l.StaleIfError > left {
		l.StaleIfError = left
	}
	if l.Keep > left {
		l.Keep = left
	}
	return l
}

// age0 is the corrected initial age of a response in ms (RFC 9111 §4.2.3).
func age0(h http.Header, requested, received int64) int64 {
	corrected := ageValue(h["Age"])
	if received > requested { // the clock may have been set back meanwhile
		corrected += received - requested
	}
	date, ok := ParseDate(h["Date"])
	if ok && received-date > corrected {
		return received - date
	}
	return corrected
}

// ageValue reads Age: the first member of the first line, 0 if it is no
// non-negative integer (RFC 9111 §5.1).
func ageValue(lines []string) int64 {
	if len(lines) == 0 {
		return 0
	}
	first, _, _ := strings.Cut(lines[0], ",")
	first = strings.TrimSpace(first)
	if strings.HasPrefix(first, "\"") {
		return 0
	}
	return delta(first)
}

// lifetime is the freshness lifetime in ms that d and the fields of h give, or
// Unset (RFC 9111 §4.2.1). targeted means that d replaces Expires (RFC 9213 §2.2).
func lifetime(h http.Header, d Directives, targeted bool, received int64) int64 {
	if d.SharedMaxAge != Unset {
		return d.SharedMaxAge
	}
	if d.MaxAge != Unset {
		return d.MaxAge
	}
	lines, found := h["Expires"]
	if !found || targeted {
		return Unset
	}
	expires, ok := ParseDate(lines)
	if !ok {
		return 0 // §5.3: an invalid date is in the past
	}
	date, ok := ParseDate(h["Date"])
	if !ok {
		date = received
	}
	if expires < date {
		return 0
	}
	return expires - date
}

// heuristicLifetime is a tenth of the time since the last modification, a day
// at most (RFC 9111 §4.2.2).
func heuristicLifetime(h http.Header, received int64) int64 {
	modified, ok := ParseDate(h["Last-Modified"])
	if !ok {
		return Unset
	}
	date, ok := ParseDate(h["Date"])
	if !ok {
		date = received
	}
	ttl := (date - modified) / 10
	if ttl < 0 {
		return Unset
	}
	if ttl > Day {
		return Day
	}
	return ttl
}

// ParseDate reads the single line of a date field as Unix ms: an HTTP-date in
// any of its three forms (RFC 9110 §5.6.7), names in any case (RFC 9111 §4.2),
// nothing more lenient than that. A two-digit year from 69 on is one of the
// last century: "01-Jan-70" is how software writes "never fresh", and there is
// no clock here to say otherwise.
func ParseDate(lines []string) (ms int64, ok bool) {
	if len(lines) != 1 {
		return 0, false
	}
	s := lines[0]
	if len(s) > 4 && strings.EqualFold(s[len(s)-4:], " gmt") {
		s = s[:len(s)-3] + "GMT"
	} else if len(s) != 24 { // asctime has no zone
		return 0, false
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	// time.Parse takes one-digit hours and runs of spaces; the grammar does not.
	comma := strings.IndexByte(s, ',')
	if comma >= 0 && !(comma == 3 && len(s) == 29) && len(s)-comma != 24 {
		return 0, false
	}
	return t.Unix() * 1000, true
}

// FormatAge writes an age in whole seconds for the Age field: never negative,
// and not above what any recipient can represent (RFC 9111 §1.2.2).
func FormatAge(ms int64) string {
	if ms < 0 {
		ms = 0
	}
	if ms > maxDelta*Second {
		ms = maxDelta * Second
	}
	return strconv.FormatInt(ms/1000, 10)
}
