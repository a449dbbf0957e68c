// Package storage keeps stored responses and purge marks.
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
// All marks of a tenant stand or fall together: they live in one key, under an
// epoch that changes when they are lost, above a floor that rises when old
// ones are dropped. What is lost counts as purged, never as valid.
//
// Memory and Redis implement Storage; a Tier combines one of them with a
// memory tier, the process's view of the marks, a journal of purges that could
// not be written, and a breaker.
package storage
