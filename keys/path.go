package keys

import (
	"net/url"
	"regexp"
	"strings"
)

// RoutedPath returns a path as Odoo routes it: decoded once, with runs of slashes joined
// (odoo/addons/http_routing/models/ir_http.py, _match, redirects to that). It reports false
// for a path that servers read differently, such as one with an encoded slash, a dot
// segment or a path parameter, and for a query with a semicolon.
func RoutedPath(u *url.URL) (path string, sure bool) {
	path = u.Path
	if u.RawPath == "" && plainPath.MatchString(path) && strings.IndexByte(u.RawQuery, ';') < 0 {
		return path, true
	}
	if strings.Contains(path, "//") {
		path = slashes.ReplaceAllString(path, "/")
	}
	odd := strings.ContainsAny(path, oddInPath) ||
		strings.IndexByte(u.RawQuery, ';') >= 0 || // Traefik sends it on as &
		u.RawPath != "" && encodedSlash.MatchString(u.RawPath) ||
		strings.Contains(path, "/.") && dotSegment.MatchString(path) ||
		strings.Contains(path, "%") && codedTwice.MatchString(path)
	return path, !odd
}

// oddInPath are bytes that no page's path has: servers cut a path at them, take them for a
// slash, or refuse them.
const oddInPath = "\\;" + controls

var (
	plainPath    = regexp.MustCompile(`^(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+$`) // most are
	slashes      = regexp.MustCompile(`/{2,}`)
	dotSegment   = regexp.MustCompile(`/\.{1,2}(?:/|$)`)
	encodedSlash = regexp.MustCompile(`(?i)%2f`)
	codedTwice   = regexp.MustCompile(`(?i)%(?:2f|5c|2e|3b|00|25)`)
)

// EscapePath writes a decoded path in the one way that the cache sends it in.
func EscapePath(path string) string {
	return (&url.URL{Path: path}).EscapedPath()
}
