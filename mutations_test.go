package odoocache_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mutation is a fault that is put into a copy of the source, and the test that has to
// find it. One without a file is a fault of code that is yet to be written.
type mutation struct {
	name     string
	file     string
	old, new string // old is there once
	test     string // for go test -run
}

// mutations are faults of the kinds that once were there: each of them lets something of
// one visitor reach another, or lets a client keep a processor busy.
var mutations = []mutation{
	{"nobody looks for signs of a visitor in a page", "cache/body.go", "if personal(plain) {", "if false {", "TestReasons"},
	{"nobody looks for the country in a page", "cache/body.go", "if len(ru.Headers) == 0 && bytes.Contains(plain, countrySign) {", "if false {", "TestReasons"},
	{"special sessions get what is stored", "cache/visit.go", "if v.session && v.context == \"\" && !e.Life.Public && !v.rule.Terms.AnySession {", "if false {", "TestSessionsOfUnknownBirth"},
	{"a page need not agree with its visitor's context", "cache/session.go", "return lines[0] == context", "return true", "TestContexts"},

	{"a fill has the visitor's header", "", "", "", "TestPoison/compiled/page$"},
	{"a fill has the visitor's cookies", "", "", "", "TestPoison/compiled/page$"},
	{"a fill has the visitor's address", "", "", "", "TestPoison/compiled/page$"},
	{"a fill has the visitor's context", "", "", "", "TestPoison/compiled/page$"},
	{"a fill has the visitor's TLS state", "", "", "", "TestPoison/compiled/page$"},
	{"a fill has the request target as it was sent", "", "", "", "TestPoison/compiled/page$"},
	{"a fill has the query as it was sent", "", "", "", "TestPoison/compiled/page$"},
	{"a fill has Range or conditions", "", "", "", "TestPoison/compiled/page$"},
	{"files are filled with the visitor's request", "", "", "", "TestPoison/compiled/static_file$"},
	{"own rules under a preset fill with the visitor's request", "", "", "", "TestPoison/compiled/own_rule$"},
	{"a refresh has the visitor's request", "", "", "", "TestPoisonFills/compiled/refresh_of_what_is_stale_memory$"},
	{"an early refresh has the visitor's request", "", "", "", "TestPoisonFills/compiled/refresh_ahead_of_time_memory$"},
	{"a confirmation has the visitor's request", "", "", "", "TestPoisonFills/compiled/confirmation_by_304_memory$"},
	{"rewarming has the visitor's request", "", "", "", "TestPoisonFills/compiled/rewarming_after_a_purge_memory$"},
	{"who leads a flight asks with their own request", "", "", "", "TestPoisonFills/compiled/coalesced_misses_memory$"},
	{"a Cookie field gets into the key", "", "", "", "TestPoisonRedis/compiled/page$"},
	{"a malformed Accept-Language gets into the key", "", "", "", "TestPoisonRedis/compiled/page$"},
	{"fields with _ in their names reach the origin", "", "", "", "TestFoldedFields/compiled$"},
	{"the fill is asked for as if it were HTTP/1.0", "", "", "", "TestPoison/compiled/page$"},
	{"encoded slashes are no bypass", "", "", "", "TestDeception/compiled/says_public$"},
	{"public lifts the session", "", "", "", "TestDeception/compiled/says_public$"},
	{"pages of context 0 are filled with a session", "", "", "", "TestDeception/compiled/addon,_misjudged$"},
	{"nobody looks at the number of parameters", "", "", "", "TestCost"},
	{"nobody looks at the length of cookies", "", "", "", "TestCost"},
	{"nobody looks at the length of If-None-Match", "", "", "", "TestCost"},
}

// TestMutations puts each fault into a copy of this repository, and runs the test that
// has to find it there. The same test passes without the fault.
func TestMutations(t *testing.T) {
	if os.Getenv("MUTATIONS") == "" {
		t.Skip("takes half a minute for each fault: make test-mutations")
	}
	passes := map[string]bool{}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			if m.file == "" {
				t.Skip("there is no code yet that this could be a fault of")
			}
			known, found := passes[m.test]
			if !found {
				out, failed := runCopy(t, nil, m.test)
				known = !failed
				passes[m.test] = known
				assert.False(t, failed, "without the fault:\n%s", tail(out, 20))
			}
			if !known {
				t.Skip("the test fails without the fault")
			}
			out, failed := runCopy(t, &m, m.test)
			assert.True(t, failed, "%s does not find it:\n%s", m.test, tail(out, 5))
		})
	}
}

// runCopy runs a test in a copy of this repository with a fault in it. It reports whether
// the test failed; one that cannot be run, or does not exist, ends this test.
func runCopy(t *testing.T, m *mutation, test string) (out string, failed bool) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, copyTree(dir))
	if m != nil {
		editSource(t, filepath.Join(dir, m.file), m.old, m.new)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	parts := strings.Split(test, "/")
	for i, part := range parts {
		parts[i] = "^" + strings.TrimSuffix(strings.ReplaceAll(part, ".", `\.`), "$") + "$"
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-v", "-short", "-count=1", "-run", strings.Join(parts, "/"), ".")
	cmd.Dir = dir
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	out = b.String()
	require.Contains(t, out, "=== RUN   "+parts[0][1:len(parts[0])-1], "the test was run: %s", out)
	require.NotContains(t, out, "[build failed]")
	return out, err != nil && strings.Contains(out, "--- FAIL: ")
}

// copyTree copies what tests of this folder need.
func copyTree(to string) error {
	return filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), b, info.Mode().Perm())
	})
}
