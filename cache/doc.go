// Package cache is the HTTP handler between Traefik's router and the origin.
//
// # Life of a request
//
//  0. A GET that was answered before to a client that sent the same is answered from a
//     table (table.go), as long as what is known of purges licenses it.
//  1. serve (serve.go) takes requests to the control endpoint out (control.go), and hands
//     upgrades on with the writer untouched. What a rule bypasses is only looked at on
//     its way to the client (tap.go).
//  2. examine (visit.go) finds the rule, the normalised query and the primary
//     key, or the reason why this request cannot be answered from the cache.
//  3. lookup (visit.go) asks the storage; a variant list leads to a second key.
//  4. policy.Reuse says Fresh, Stale or Expired.
//  5. Fresh and Stale are delivered (deliver.go); Stale starts one background
//     refresh (refresh.go).
//  6. Of those who want anything else one asks the origin, the others wait (coalesce.go):
//     as nobody (nobody.go) or with the visitor's own request (fetch.go). The answer
//     passes through the one ResponseWriter of ours (capture.go), which decides once, when
//     status and headers are known, whether to pass, keep or hold it.
//  7. What policy.Admit lets in is stored (store.go) before its last byte is
//     delivered, so that whoever asks next finds it.
//
// On the way of every response, purge headers are applied before the first
// byte reaches the client, and removed (purge.go). docs/architecture.md shows these ways
// by links from function to function.
//
// # Decisions
//
// The response writer that a plugin hands on loses Flush and ReadFrom on its way
// through the interpreter. So what can be seen from the request to be a stream
// is handed on with Traefik's own writer, and the writer of ours flushes after
// each write of a response whose length is not known.
//
// A response with a known length is kept back until it is whole: then its
// Cache-Status tells the truth, and a broken one can still be replaced by a
// stale copy. A response of unknown length is passed on as it comes and
// stored when it has ended well.
//
// Most of what is internal are functions where methods would be usual. The interpreter
// makes room for all expressions of a function each time that it is called, taken or
// not, and takes three times as long for the call of a method. So on the way of a hit,
// and of a miss, functions are short, what is rare has functions of its own, and none
// is a method. make bench-steps counts what they allocate, and a test holds that.
//
// Nothing about a request is kept in its context, and no function waits in a
// select statement (the interpreter shares its cases between goroutines).
package cache
