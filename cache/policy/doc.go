// Package policy decides what a shared cache may store and what it may reuse.
//
// It is RFC 9111 as pure functions over headers and times, with RFC 5861
// (stale content), RFC 9110 (preconditions), RFC 9213 (targeted Cache-Control)
// and the rules of Odoo beside it. Nothing here reads a clock, opens a
// connection or logs: the time is an argument, the answer a value, and every
// "no" carries a named reason.
//
// admit.go says what may be stored, reuse.go and freshness.go for how long it may be used,
// revalidate.go how it is confirmed, and vary.go for whom it is. directive.go and targeted.go
// read Cache-Control and its kin, odoo.go the field of Odoo's addon, coding.go
// Accept-Encoding. reason.go names each reason.
//
// All instants are Unix times in milliseconds and all durations are
// milliseconds, as int64: arithmetic on plain numbers is what the interpreter
// does cheapest.
package policy

// Second and Day are durations in milliseconds.
const (
	Second = int64(1000)
	Day    = 24 * 3600 * Second
)

// Unset marks a duration that nobody has given.
const Unset = int64(-1)
