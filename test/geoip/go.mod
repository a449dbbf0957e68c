// A program that writes a database of countries for the tests. A module of its own: it
// needs what the plugin, which uses the standard library alone, must not require.
module github.com/odoocache/odoocache/test/geoip

go 1.25

require github.com/maxmind/mmdbwriter v1.2.0

require (
	github.com/oschwald/maxminddb-golang/v2 v2.1.1 // indirect
	go4.org/netipx v0.0.0-20231129151722-fdeea329fbba // indirect
	golang.org/x/sys v0.38.0 // indirect
)
