package keys

import (
	"net/http"
	"strconv"
	"strings"
)

// The two values of Accept-Encoding that keys know, and that an origin is sent.
const (
	Gzip     = "gzip"
	Identity = "identity"
)

// Coding is what is made of Accept-Encoding: browsers write what they take in a dozen ways, and
// what an origin would choose between more codings than these is not worth an entry each.
func Coding(h http.Header) string {
	if AcceptsGzip(h["Accept-Encoding"]) {
		return Gzip
	}
	return Identity
}

// AcceptsGzip reports whether a client would rather have a response in gzip than
// as it is (RFC 9110 §12.5.3). One that says nothing of codings gets none.
func AcceptsGzip(lines []string) bool {
	if len(lines) == 0 {
		return false
	}
	if len(lines) == 1 && strings.IndexByte(lines[0], ';') < 0 {
		return named(strings.ToLower(lines[0]))
	}
	gzip, other, identity := -1.0, -1.0, -1.0
	for _, member := range strings.Split(strings.ToLower(strings.Join(lines, ",")), ",") {
		name, parameters, _ := strings.Cut(member, ";")
		switch strings.TrimSpace(name) {
		case "gzip", "x-gzip":
			gzip = quality(parameters)
		case "*":
			other = quality(parameters)
		case "identity":
			identity = quality(parameters)
		}
	}
	if gzip < 0 {
		gzip = other
	}
	return gzip > 0 && gzip >= identity
}

// named reports whether a list without weights names gzip or everything.
func named(list string) bool {
	if !strings.Contains(list, "gzip") && !strings.Contains(list, "*") {
		return false
	}
	for list != "" {
		var name string
		name, list, _ = strings.Cut(list, ",")
		if name = strings.TrimSpace(name); name == "gzip" || name == "x-gzip" || name == "*" {
			return true
		}
	}
	return false
}

// quality reads a quality value (RFC 9110 §12.4.2). One that cannot be read is 0:
// what is not surely wanted is not sent.
func quality(parameters string) float64 {
	for _, parameter := range strings.Split(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if strings.TrimSpace(name) != "q" {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}
