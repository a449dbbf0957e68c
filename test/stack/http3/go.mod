// A client for HTTP/3, in a module of its own: the plugin needs none of what it needs.
module github.com/odoocache/odoocache/test/stack/http3

go 1.26.0

require github.com/quic-go/quic-go v0.62.0

require (
	github.com/quic-go/qpack v0.6.0 // indirect
	golang.org/x/crypto v0.54.0 // indirect
	golang.org/x/net v0.56.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.40.0 // indirect
)
