// Package tenant says by which name a tenant is looked up: host.go makes one name of all
// spellings of a host, punycode.go writes it as DNS does, pattern.go captures a name out of a
// host.
package tenant
