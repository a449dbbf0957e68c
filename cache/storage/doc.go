// Package storage is the contract between what keeps responses and purges and what uses them:
// entries and how they are encoded, positions and marks of purges, what is known of sessions,
// and what a Storage has to do. Packages memory and redis below it are storages; package
// tier puts a memory tier, a breaker and a journal in front of one. storagetest, below
// testdata, is the suite that every storage has to pass.
//
// storage.go is the contract, entry.go what is stored, codec.go its form and sealed.go its encrypted one, page.go what is kept
// of an entry that is ready to be written, session.go what is known of a session, clock.go the
// times.
//
// All marks of a tenant stand or fall together: they live in one key, under an
// epoch that changes when they are lost, above a floor that rises when old
// ones are dropped. What is lost counts as purged, never as valid.
package storage
