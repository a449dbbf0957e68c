package odoocache_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documentPaths are the pages for readers. What tests look for, such as a table by its head, is
// in one of them.
func documentPaths(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	require.Greater(t, len(paths), 10)
	return append([]string{"README.md", "CONTRIBUTING.md"}, paths...)
}

// document reads a page.
func document(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// readme returns all pages, README.md and those that it leads to, one after the other.
func readme(t *testing.T) string {
	t.Helper()
	all := ""
	for _, path := range documentPaths(t) {
		all += document(t, path) + "\n"
	}
	return all
}

// documentWith returns the one page that has a text, and its path.
func documentWith(t *testing.T, text string) (path, page string) {
	t.Helper()
	for _, candidate := range documentPaths(t) {
		if found := document(t, candidate); strings.Contains(found, text) {
			require.Empty(t, path, "%q is in two pages", text)
			path, page = candidate, found
		}
	}
	require.NotEmpty(t, path, "no page has %q", text)
	return path, page
}
