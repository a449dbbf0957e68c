// Package source knows where the repository is, and copies what Traefik interprets of it.
package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// moduleLine is the line that go.mod of this repository begins with.
const moduleLine = "module github.com/odoocache/odoocache\n"

// Root returns the folder of the repository that the working directory is in.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(b), moduleLine) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the working directory is not in the repository of the plugin")
		}
	}
}

// Path returns where a file of the repository is, whatever folder a test runs in.
func Path(parts ...string) string {
	root, err := Root()
	if err != nil {
		panic(err)
	}
	return filepath.Join(append([]string{root}, parts...)...)
}

// Copy copies what Traefik needs of this repository.
func Copy(to string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	for _, part := range []string{"plugin.go", ".traefik.yml", "go.mod", "cache", "keys"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if d.Name() == "testdata" {
					return filepath.SkipDir
				}
				return nil
			}
			if strings.HasSuffix(path, "_test.go") {
				return nil
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Join(to, filepath.Dir(relative)), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, relative), b, 0o600)
		})
		if err != nil {
			return fmt.Errorf("the plugin's source: %w", err)
		}
	}
	return nil
}

// CopyAll copies what tests of this repository need.
func CopyAll(to string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), b, info.Mode().Perm())
	})
}

// Edit replaces a text that is there once in the files of a package.
func Edit(folder, old, with string) error {
	file, err := FileWith(folder, old)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strings.Replace(string(b), old, with, 1)), 0o600)
}

// FileWith returns the file of a package that has a text once. It is an error if another has it
// too, or none has.
func FileWith(folder, text string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return "", err
	}
	count, with := 0, ""
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(b), text); n > 0 && !strings.HasSuffix(file, "_test.go") {
			count += n
			with = file
		}
	}
	if count != 1 {
		return "", fmt.Errorf("%q is there %d times in %s", text, count, folder)
	}
	return with, nil
}
