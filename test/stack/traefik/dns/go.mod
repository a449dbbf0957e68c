// Pins the lego module that build copies, and holds the package that takes
// the place of its providers/dns.
module github.com/odoocache/odoocache/test/stack/traefik/dns

go 1.26.0

require github.com/go-acme/lego/v5 v5.4.1
