// Package keys turns requests into cache keys and labels into tags.
//
// A primary key names one response resource of one tenant: tenant, rule,
// scheme, host, path, normalised query and the dimensions that the rule varies
// by. A variant key adds the request fields that the response's Vary names
// (RFC 9111 §4.1). Both are kept in full inside the entry, where they are
// compared when it is read; what stands in Redis is their SHA-256, so that no
// URL, host or cookie value can be read off a key listing.
//
// key.go builds keys, path.go reads a path as servers do, query.go sorts and filters
// parameters, language.go chooses a language as Odoo does, coding.go reads which codings a
// client takes, tag.go reads and hashes tags.
//
// Everything here is a pure function.
package keys
