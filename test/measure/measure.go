// Package measure is what benchmarks share: pages, statistics, and places for figures.
package measure

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
)

// Captured returns the body of a page of testdata/odoo.
func Captured(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(source.Path("testdata", "odoo", name+".http"))
	require.NoError(t, err)
	at := bytes.Index(b, []byte("<!DOCTYPE"))
	require.Positive(t, at)
	return string(b[at:])
}

// benchFields are those of the origin's pages.
var benchFields = []string{"Content-Type: text/html; charset=utf-8", "X-Odoo-Cache: public, ttl=86400", "X-Frame-Options: SAMEORIGIN", "X-Content-Type-Options: nosniff"}

// Answer is an answer of the origin, ready to be written: what the origin does is
// missing to Traefik, which is on the same cores.
type Answer struct {
	header http.Header
	body   []byte
}

// NewAnswer makes an answer of a body and header lines.
func NewAnswer(body string, lines ...string) *Answer {
	a := &Answer{header: site.Fields(benchFields...), body: []byte(body)}
	for name, values := range site.Fields(lines...) {
		a.header[name] = values
	}
	a.header["Content-Length"] = []string{strconv.Itoa(len(body))}
	return a
}

// Write writes the answer.
func (a *Answer) Write(rw http.ResponseWriter) {
	header := rw.Header()
	for name, lines := range a.header {
		header[name] = lines
	}
	_, _ = rw.Write(a.body)
}

// Counting is a script for wrk that never asks for the same page twice. The thread's
// number is a global of its own: a local of that name would hide it from request.
const Counting = `local n = %d
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function request() n = n + 1; return wrk.format(nil, "/product?n=" .. id .. "-" .. n .. "-%d") end`

// WrkRequests finds in the output of wrk how many requests there were.
var WrkRequests = regexp.MustCompile(`(\d+) requests in`)

// WrkErrors finds in the output of wrk that some failed.
var WrkErrors = regexp.MustCompile(`Non-2xx or 3xx responses|Socket errors`)

// Median returns the middle of a list, 0 if it is empty.
func Median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := append([]float64{}, list...)
	sort.Float64s(sorted)
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// Spread returns the least and the most of a list.
func Spread(list []float64) (least, most float64) {
	for i, x := range list {
		if i == 0 || x < least {
			least = x
		}
		if i == 0 || x > most {
			most = x
		}
	}
	return least, most
}

// Into puts text between two marks of a page.
func Into(page, begin, end, text string) (string, error) {
	before, rest, found := strings.Cut(page, begin)
	if !found {
		return "", fmt.Errorf("the page lacks %q", begin)
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("the page lacks %q", end)
	}
	return before + begin + text + end + after, nil
}

// ProfileFile is the page in Folder that measurements are written to.
const ProfileFile = "performance.md"

// ProcessorTime is what this process has used, its garbage collection included.
func ProcessorTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// Folder is where figures are shown.
const Folder = "docs"
