// Package cache is the HTTP handler between Traefik's router and the origin.
//
// # Life of a request, and where to read it
//
// Each step is one file. A file is understood with those that it calls: none calls back up.
// docs/architecture.md has the same as links from function to function.
//
//  1. handler.go     what a middleware holds, and New
//     Where one middleware serves many tenants, front.go finds that of a request, and
//     stranger.go hands on what is nobody's
//  2. serve.go       the door: the order of all that follows
//  3. table.go       a hit that is ready is written. table_key.go says for which requests,
//     table_fill.go enters pages, glance.go knows visitors again, sender.go reads who sends a
//     Cookie field
//  4. bypassed.go    a request that is known to bypass is handed on. away.go does the same
//     for all while Redis is not asked
//  5. clean.go       fields that a server may take for others go; oversized requests bypass
//  6. control.go     purges by request, the status. authority.go says by what
//     they are allowed, signature.go checks signed ones, order.go reads what they ask for, erase.go removes what is purged,
//     audit.go writes who has purged what, quota.go says what a tenant may take, and takes
//  7. upgrade.go     WebSockets are handed on with a writer that gives the connection away
//  8. visit.go       examine: rule, key and what is stored for a request. identity.go
//     remembers what addresses say, variants.go which variants a page has, refused.go what
//     is not worth asking as nobody; session.go reads what cookies say
//  9. deliver.go     what is stored is the answer. represent.go codes it as the client takes it
//  10. refresh.go     one refresh in the background. early.go says when before the end
//  11. coalesce.go    one of those who miss a page asks for it, the others wait. landing.go
//     tells them how it ended
//  12. nobody.go      the page is asked for as nobody. judge.go decides on the answer when its
//     header is known, filled.go when it is whole, country.go for whom it is. Who is not
//     given nobody's page asks with their own request: own.go; evidence.go says what its
//     answer shows of their session, trail.go what that shows of others
//  13. fetch.go       where no preset says so: the visitor's own request. request.go builds
//     what Odoo is sent, capture.go is the writer that it answers to
//  14. admit.go       may it be stored? public.go reads its body for signs of a visitor
//     (body.go decodes it)
//  15. store.go       it is stored, before its last byte is delivered, if ended.go finds it whole
//  16. pass.go        what is handed on is watched. csrf.go completes forms (late.go while they
//     pass), campaign.go sets the cookies of campaigns, prefetch.go refuses what is asked for
//     before a visitor goes there
//  17. purge.go       purge headers of every answer, before the first byte reaches the client.
//     rate.go counts them, rewarm.go asks for popular pages after a purge
//
// shared.go is what middlewares of one storage share, places.go names their storages; status.go
// and header.go write fields, log.go lines, of which shown.go keeps away what is personal.
//
// # Decisions
//
// The response writer that a plugin hands on loses Flush and ReadFrom on its way
// through the interpreter; Hijack alone is found. So the writers of ours flush after
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
