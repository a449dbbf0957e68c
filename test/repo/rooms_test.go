package repo_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/source"
)

// rooms are the packages of several files.
var rooms = []string{
	"cache", "cache/tier", "cache/purges", "cache/storage/redis", "cache/storage/memory", "cache/config", "cache/resp", "cache/policy", "cache/odoo", "cache/rule", "cache/storage", "cache/seal", "cache/cookie", "keys",
}

// apart are those whose files call nothing of each other.
var apart = map[string]bool{"cache/storage": true, "cache/cookie": true}

// TestRooms sees that no file of a package calls, by way of others, a file that calls it: each
// can be read from the top of the way of a request down, and be understood with what is below
// it. What is handed down as a func or an interface is no such call.
func TestRooms(t *testing.T) {
	for _, dir := range rooms {
		files, calls := callsBetweenFiles(t, dir)
		if !apart[dir] {
			require.NotEmpty(t, calls, "calls between the files of %s", dir)
		}
		for _, circle := range circles(files, calls) {
			var lines []string
			for _, from := range circle {
				for _, to := range circle {
					if names := calls[from][to]; len(names) > 0 {
						lines = append(lines, from+" calls "+to+": "+strings.Join(names, ", "))
					}
				}
			}
			assert.Fail(t, "files that call each other", "in %s:\n%s", dir, strings.Join(lines, "\n"))
		}
	}
}

// TestRoomsFindsCircles gives circles a set of calls that has two.
func TestRoomsFindsCircles(t *testing.T) {
	calls := map[string]map[string][]string{
		"a": {"b": {"x"}}, "b": {"c": {"x"}, "d": {"x"}}, "c": {"a": {"x"}}, "d": {"e": {"x"}}, "e": {"d": {"x"}}, "f": {"a": {"x"}},
	}
	assert.Equal(t, [][]string{{"a", "b", "c"}, {"d", "e"}}, circles([]string{"a", "b", "c", "d", "e", "f"}, calls))
}

// callsBetweenFiles returns the files of a package, and for two of them what one uses of the
// functions and methods that the other declares. A call by an interface counts as one to the
// file of the interface.
func callsBetweenFiles(t *testing.T, dir string) (files []string, calls map[string]map[string][]string) {
	set := token.NewFileSet()
	packages, err := parser.ParseDir(set, source.Path(dir), func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0)
	require.NoError(t, err)
	require.Len(t, packages, 1)
	calls = map[string]map[string][]string{}
	for name, p := range packages {
		var parsed []*ast.File
		for file := range p.Files {
			files = append(files, filepath.Base(file))
			parsed = append(parsed, p.Files[file])
		}
		// Of other packages nothing has to be known: their functions are no edges.
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		checked, _ := (&types.Config{Importer: emptyPackages{}, Error: func(error) {}}).Check(name, set, parsed, info)
		for used, object := range info.Uses {
			f, is := object.(*types.Func)
			if !is || f.Pkg() != checked {
				continue
			}
			from, to := filepath.Base(set.Position(used.Pos()).Filename), filepath.Base(set.Position(f.Pos()).Filename)
			if from == to {
				continue
			}
			if calls[from] == nil {
				calls[from] = map[string][]string{}
			}
			if list := calls[from][to]; !hasText(list, f.Name()) {
				calls[from][to] = append(list, f.Name())
			}
		}
	}
	sort.Strings(files)
	return files, calls
}

func hasText(list []string, s string) bool {
	for _, member := range list {
		if member == s {
			return true
		}
	}
	return false
}

type emptyPackages struct{}

// Import implements types.Importer.
func (emptyPackages) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

// circles returns the sets of more than one file of which each calls all others, directly or by
// way of others.
func circles(files []string, calls map[string]map[string][]string) (found [][]string) {
	reaches := map[string]map[string]bool{}
	for _, from := range files {
		reaches[from] = map[string]bool{}
		open := []string{from}
		for len(open) > 0 {
			at := open[0]
			open = open[1:]
			for to := range calls[at] {
				if !reaches[from][to] {
					reaches[from][to] = true
					open = append(open, to)
				}
			}
		}
	}
	done := map[string]bool{}
	for _, a := range files {
		if done[a] || !reaches[a][a] {
			continue
		}
		circle := []string{}
		for _, b := range files {
			if reaches[a][b] && reaches[b][a] {
				circle = append(circle, b)
				done[b] = true
			}
		}
		found = append(found, circle)
	}
	return found
}

// TestContents: what describes a package of several files names each of them.
func TestContents(t *testing.T) {
	for _, dir := range rooms {
		files := codeOf(t, dir)
		set := token.NewFileSet()
		contents := ""
		for _, file := range files {
			parsed, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.PackageClauseOnly)
			require.NoError(t, err)
			if parsed.Doc != nil {
				assert.Empty(t, contents, "%s is described twice", dir)
				contents = parsed.Doc.Text()
			}
		}
		for _, file := range files {
			if name := filepath.Base(file); name != "doc.go" {
				assert.Contains(t, contents, name, dir)
			}
		}
	}
}
