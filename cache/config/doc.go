// Package config turns the plugin's options into settings that the handler uses, or into a
// list of all their mistakes.
//
// Each option is a string, see package option, and is parsed here, where a mistake can be
// reported with its path and what is expected, together with all the others. An option that
// nobody knows is a mistake, too: a misspelt bypass must not go unnoticed.
//
// settings.go is all of it but for rules.go, extend.go, fill.go, redis.go, quota.go, encryption.go
// and tenants.go, which are parts of the options. lists.go keeps lists of tenants. secrets.go reads
// secrets of purges, parse.go numbers, times and lists, pattern.go expressions, fields.go names of
// header fields and cookies, address.go addresses of Redis. kept.go keeps what options have made for
// the next middleware that has the same, made.go expressions and sets of names.
package config
