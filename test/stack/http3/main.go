// Command http3 sends one GET by HTTP/3, of which no other client is at hand on every machine:
//
//	http3 https://shop.example:8443/shop 'Accept-Encoding: gzip'
//
// It prints the answer as HTTP/1.1 would have it. Whose certificate it is does not count. A
// line "Host: x" sets the host.
package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/quic-go/quic-go/http3"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "http3:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no address; usage: http3 URL [FIELD: VALUE]...")
	}
	r, err := http.NewRequest(http.MethodGet, args[0], nil)
	if err != nil {
		return err
	}
	for _, line := range args[1:] {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
			r.Host = value
		} else {
			r.Header.Add(name, value)
		}
	}
	transport := &http3.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // Traefik's own certificate
	defer transport.Close()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return answer.Write(os.Stdout)
}
