package config

import (
	"net"
	"regexp"
	"strconv"
	"strings"
)

// Addresses of servers. Other clients of Redis take URLs; what such a URL says is several options here.

// anAddress is what redis.address has to be, aHostPort what addresses in lists have to be.
const (
	anAddress = "host:port or unix:///path"
	aHostPort = "host:port"
)

// socketOf returns the path of an address that is a Unix socket's, "" if it is no such address.
func socketOf(address string) string {
	path := strings.TrimPrefix(address, "unix://")
	if strings.HasPrefix(path, "/") {
		return path
	}
	return ""
}

func isHostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || strings.ContainsAny(host, "/@ ") {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 1<<16
}

// addresses checks a list. options is the path of the options that go with it.
func (p *problems) addresses(path, options string, list []string) {
	seen := map[string]bool{}
	for i := 0; i < len(list); i++ {
		address := strings.TrimSpace(list[i])
		if !isHostPort(address) {
			p.refuseAddress(at(path, i), options, list[i], aHostPort)
		} else if seen[address] {
			p.add(at(path, i), "%q is listed twice", address)
		}
		seen[address] = true
	}
}

func trimmed(list []string) []string {
	var out []string
	for i := 0; i < len(list); i++ {
		out = append(out, strings.TrimSpace(list[i]))
	}
	return out
}

var (
	urlScheme   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	serverURL   = regexp.MustCompile(`^(?:redis|valkey)(s?)://`) // the s is for TLS
	socketURL   = regexp.MustCompile(`^(?:redis|valkey)s?[+-](?:socket|unix)://`)
	withSecret  = regexp.MustCompile(`(?i)(?:user|pass)[a-z]*=`)
	afterServer = regexp.MustCompile(`^([^/]*?)(?:/([0-9]*))?$`) // host, with or without a port, and database
)

// refuseAddress says what to write in place of an address that cannot be used. It shows no part
// of one that may hold a password.
func (p *problems) refuseAddress(path, options, text, expected string) {
	scheme := strings.ToLower(urlScheme.FindString(text))
	rest, query, _ := strings.Cut(text[len(scheme):], "?")
	server := rest[strings.LastIndex(rest, "@")+1:]
	secret := server != rest || withSecret.MatchString(query)
	if !secret && (scheme == "" || scheme == "unix://") {
		if strings.Count(text, ":") > 1 && !strings.Contains(text, "[") && scheme == "" {
			expected += ", an IPv6 address in brackets"
		}
		p.add(path, "%q; expected %s", text, expected)
		return
	}
	var is, others []string
	if scheme != "" {
		is = append(is, "is a URL with "+scheme)
	}
	if secret {
		is = append(is, "holds a user or a password")
		others = append(others, options+"username and "+options+"password (or passwordFile)")
	}
	kind := serverURL.FindStringSubmatch(scheme)
	parts := afterServer.FindStringSubmatch(server)
	if parts != nil && (kind != nil || scheme == "") {
		if address := withPort(parts[1]); address != "" {
			expected = strconv.Quote(address)
		}
		if kind != nil && kind[1] != "" {
			others = append(others, options+"tls.enabled: true")
		}
		if parts[2] != "" && path == "redis.address" {
			others = append(others, "redis.database: "+parts[2])
		}
	} else if socketURL.MatchString(scheme) && strings.HasPrefix(server, "/") && path == "redis.address" {
		expected = strconv.Quote(server)
	}
	what := strings.Join(is, ", and ") + "; expected " + expected
	if len(others) > 0 {
		what += ", and " + strings.Join(others, ", ")
	}
	p.add(path, "%s", what)
}

// withPort returns host:port of what may lack the port of Redis, "" if it is no such thing.
func withPort(server string) string {
	if isHostPort(server) {
		return server
	}
	if isHostPort(server+":6379") && !strings.ContainsAny(server, "?#") {
		return server + ":6379"
	}
	return ""
}
