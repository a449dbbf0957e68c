// Package purges is what this process knows of the purges of a tenant, and how long that can be
// relied on. It needs no Redis, and asks nobody.
//
// A purge does not look for pages. Each tenant has one sequence of purges; a
// purge takes the next number and notes it as the mark of every tag that it
// names (addresses and the tenant itself are tags too). A response remembers
// the number that was current before its origin was asked, and the tags that
// came with it; it is usable while none of its tags has a higher mark. So a
// purge costs the same however many pages it makes wrong, and a page that was
// being rendered while the purge passed is caught although its tags were not
// known then.
//
// A View holds the marks. What it says counts as long as its storage was heard of lately: a
// License is given for what is ready to be written, is prolonged by each answer that says
// that there is no new purge (confirm, ConfirmBy), and ends with anything new (revoke).
//
// What could not be written to the storage waits in the journal of the view. While anything
// waits, nothing of the tenant is used.
//
// Sessions remembers which sessions are default ones, in the same way: it is licensed by each
// reading of what has changed of them. view.go has the View, journal.go its journal,
// sessions.go the Sessions.
package purges
