package odoocache_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// editSource replaces a text that is there once in the files of a package.
func editSource(t *testing.T, folder, old, with string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	count := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		if n := strings.Count(string(b), old); n > 0 && !strings.HasSuffix(file, "_test.go") {
			count += n
			require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(b), old, with, 1)), 0o600))
		}
	}
	require.Equal(t, 1, count, "%q in %s", old, folder)
}

// copySource copies what Traefik needs of this repository.
func copySource(to string) error {
	for _, part := range []string{"plugin.go", ".traefik.yml", "go.mod", "cache", "keys"} {
		err := filepath.WalkDir(part, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Join(to, filepath.Dir(path)), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, path), b, 0o600)
		})
		if err != nil {
			return err
		}
	}
	return nil
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
