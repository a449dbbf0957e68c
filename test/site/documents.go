package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/source"
)

// Documents are the pages for readers, as paths from the root of the repository. What tests
// look for, such as a table by its head, is in one of them.
func Documents(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob(source.Path("docs", "*.md"))
	require.NoError(t, err)
	require.Greater(t, len(paths), 10)
	all := []string{"README.md", "CONTRIBUTING.md"}
	for _, path := range paths {
		all = append(all, "docs/"+filepath.Base(path))
	}
	return all
}

// Document reads a page.
func Document(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(source.Path(path))
	require.NoError(t, err)
	return string(b)
}

// Readme returns all pages, README.md and those that it leads to, one after the other.
func Readme(t testing.TB) string {
	t.Helper()
	all := ""
	for _, path := range Documents(t) {
		all += Document(t, path) + "\n"
	}
	return all
}

// DocumentWith returns the one page that has a text, and its path.
func DocumentWith(t testing.TB, text string) (path, page string) {
	t.Helper()
	for _, candidate := range Documents(t) {
		if found := Document(t, candidate); strings.Contains(found, text) {
			require.Empty(t, path, "%q is in two pages", text)
			path, page = candidate, found
		}
	}
	require.NotEmpty(t, path, "no page has %q", text)
	return path, page
}
