package poison

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/source"
)

// Spelling is a way to write an address.
type Spelling struct {
	Name string
	Of   func(path string) string
	Head bool // a HEAD goes before the GET
}

// spelled makes spellings of patterns: %p is the address with its slash, %q without.
func spelled(patterns ...string) []Spelling {
	var list []Spelling
	for _, pattern := range patterns {
		pattern := pattern
		list = append(list, Spelling{Name: pattern, Of: func(path string) string {
			return strings.ReplaceAll(strings.ReplaceAll(pattern, "%p", path), "%q", strings.TrimPrefix(path, "/"))
		}})
	}
	return list
}

// Spellings are all ways to write an address.
var Spellings = append(spelled(
	"%p", "/%p", "//%p", "/%2f%q", "/%2F%q", "/.%p", "/x/..%p", "/%2e%p", "/x/%2e%2e%p", "/\\%q", "/%5c%q",
	"%p/", "%p//", "%p/.", "%p/x/..", "%p%2f", "%p.", "%p;", "%p;a=b", "%p;.css", "%p%3b.css", "%p%20", "%p%00", "%p%09",
	"%p.css", "%p.js", "%p/a.css", "%p/a.js", "%p/a.png", "%p/robots.txt", "%p%2fa.css", "%p%00.css", "%p%0a.css", "%p%23.css", "%p%3f.css", "%p/..%2fa.css",
	"/fr%p", "/en%p", "/fr_FR%p", "/en_US/%q", "//fr%p", "/fr/%2f%q",
	"/web/static/..%p", "/web/static/../..%p", "/web/static/%2e%2e/%2e%2e%p", "/web/static%2f..%2f..%p", "/web/static/..%2f..%2f%q", "/static%p", "/web/static%p",
	"/web/assets/1/abcdef0/..%p", "/web/assets/1/abcdef0/../../../..%p", "/web/image/1-abcdef0/%2e%2e/%2e%2e/%2e%2e%p", "/robots.txt/..%p", "/robots.txt%2f..%p", "/favicon.ico;%q", "/%252e%252e%p", "/%252f%q",
),
	Spelling{Name: "in capitals", Of: strings.ToUpper},
	Spelling{Name: "one letter encoded", Of: func(p string) string {
		if len(p) < 2 {
			return "/%2e"
		}
		return "/" + fmt.Sprintf("%%%02x", p[1]) + p[2:]
	}},
	Spelling{Name: "all letters encoded", Of: func(p string) string {
		var b strings.Builder
		for _, c := range []byte(p) {
			if c == '/' {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		return b.String()
	}},
	Spelling{Name: "HEAD first", Of: func(p string) string { return p }, Head: true},
)

// OdooExamples are paths for the routes of a snapshot: those that the preset is checked
// with.
func OdooExamples(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(source.Path(file))
	require.NoError(t, err)
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^\t(/.*)$`).FindAllStringSubmatch(string(b), -1) {
		list = append(list, m[1])
	}
	require.Greater(t, len(list), 100)
	return list
}
