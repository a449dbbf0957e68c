package repo_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
)

// codeLink is a link to a function, method or type: [`name`](../file.go).
var codeLink = regexp.MustCompile("\\[`([^`]+)`\\]\\(([^)#]+\\.go)\\)")

// fiveWays are the headings of docs/architecture.md below which somebody who has not seen
// the code finds their way, by links.
var fiveWays = []string{
	"Where a hit is answered", "Why that answer cannot be from before a purge", "Where a purge arrives",
	"Where a form gets its token", "Where a new route of Odoo would be added",
}

// TestArchitecture: each function that a link names is in the file that it names, and
// mentions the next one if an arrow leads there.
func TestArchitecture(t *testing.T) {
	text := site.Document(t, "docs/architecture.md")
	links, wrong := codeLinks(text, "docs")
	assert.Empty(t, wrong, strings.Join(wrong, "\n"))
	assert.Greater(t, links, 50)
	assert.Contains(t, text, "[`New`](../plugin.go) → ", "the ways begin in plugin.go")
	for _, heading := range fiveWays {
		_, rest, found := strings.Cut(text, "\n### "+heading+"\n")
		require.True(t, found, heading)
		way, _, _ := strings.Cut(rest, "\n#")
		assert.Contains(t, way, ") → [`", heading)
	}
	for _, path := range site.Documents(t) {
		_, wrong := codeLinks(site.Document(t, path), filepath.Dir(path))
		assert.Empty(t, wrong, path)
	}
}

// TestPackagesImportDown: a package imports only those that stand further down the table of
// packages, and each package stands there.
func TestPackagesImportDown(t *testing.T) {
	_, table, found := strings.Cut(site.Document(t, "docs/architecture.md"), "| package |")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	place, folders := map[string]int{}, []string{}
	for i, row := range regexp.MustCompile(`(?m)^\| .*?\|`).FindAllString(table, -1) {
		for _, link := range regexp.MustCompile(`\]\(\.\./([^)]+)\)`).FindAllStringSubmatch(row, -1) {
			folder := filepath.Dir(link[1])
			place[folder] = i
			folders = append(folders, folder)
		}
	}
	require.Greater(t, len(folders), 10)
	for _, folder := range folders {
		for _, imported := range importsOf(t, folder) {
			at, stands := place[imported]
			assert.True(t, stands && at > place[folder], "%s imports %s", folder, imported)
		}
	}
}

// importsOf returns the folders of this repository's packages that the code of one imports.
func importsOf(t *testing.T, folder string) (folders []string) {
	for _, name := range codeOf(t, folder) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range file.Imports {
			if path, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "github.com/odoocache/odoocache/"); ours {
				folders = append(folders, path)
			}
		}
	}
	return folders
}

// TestArchitectureFindsWhatIsMissing: the check above can fail.
func TestArchitectureFindsWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	code := "package x\n\ntype T struct{}\n\nfunc (t *T) Do() { helper() }\n\nfunc helper() {}\n\nfunc alone() {}\n\nvar v, w = 1, 2\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.go"), []byte(code), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.go"), []byte("package"), 0o600))
	for _, c := range []struct {
		name, text string
		links      int
		want       string
	}{
		{"function", "[`helper`](x.go)", 1, ""},
		{"type", "[`T`](x.go)", 1, ""},
		{"method", "[`T.Do`](x.go)", 1, ""},
		{"variable", "[`w`](x.go)", 1, ""},
		{"a chain", "[`T.Do`](x.go) → [`helper`](x.go)", 2, ""},
		{"a chain with words between", "[`alone`](x.go), which [`helper`](x.go)", 2, ""},
		{"none", "nothing", 0, ""},
		{"a link to a file", "[x.go](x.go)", 0, ""},
		{"function that is not there", "[`gone`](x.go)", 1, "x.go has no gone"},
		{"method without its type", "[`Do`](x.go)", 1, "x.go has no Do"},
		{"method of another type", "[`U.Do`](x.go)", 1, "x.go has no U.Do"},
		{"file that is not there", "[`helper`](y.go)", 1, "y.go"},
		{"file that is no Go", "[`helper`](bad.go)", 1, "bad.go"},
		{"a chain that is broken", "[`alone`](x.go) → [`helper`](x.go)", 2, "alone does not mention helper"},
		{"a longer one that is broken", "[`T.Do`](x.go) → [`helper`](x.go) → [`alone`](x.go)", 3, "helper does not mention alone"},
		{"a chain from a type", "[`T`](x.go) → [`helper`](x.go)", 2, "T does not mention helper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			links, wrong := codeLinks(c.text, dir)
			assert.Equal(t, c.links, links)
			if c.want == "" {
				assert.Empty(t, wrong)
			} else {
				assert.Contains(t, strings.Join(wrong, "\n"), c.want)
			}
		})
	}
}

// codeLinks returns how many links to code a page in a folder has, and what is wrong with them.
func codeLinks(text, folder string) (links int, wrong []string) {
	files := map[string]map[string]ast.Node{}
	for _, line := range strings.Split(text, "\n") {
		var last ast.Node
		lastName, end := "", 0
		for _, m := range codeLink.FindAllStringSubmatchIndex(line, -1) {
			links++
			name, path := line[m[2]:m[3]], filepath.Join(folder, line[m[4]:m[5]])
			declared, known := files[path]
			if !known {
				var err error
				if declared, err = declarations(path); err != nil {
					wrong = append(wrong, err.Error())
				}
				files[path] = declared
			}
			node := declared[name]
			if node == nil {
				wrong = append(wrong, fmt.Sprintf("%s has no %s", path, name))
			}
			if end > 0 && line[end:m[0]] == " → " && !mentions(last, name) {
				wrong = append(wrong, fmt.Sprintf("%s does not mention %s: %s", lastName, name, line))
			}
			last, lastName, end = node, name, m[1]
		}
	}
	return links, wrong
}

// declarations returns what a file declares at its top, by name. That of a method has its
// type before it.
func declarations(path string) (map[string]ast.Node, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	declared := map[string]ast.Node{}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			declared[receiver(d)+d.Name.Name] = d
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					declared[spec.Name.Name] = spec
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						declared[name.Name] = spec
					}
				}
			}
		}
	}
	return declared, nil
}

// receiver returns the type of a method and a dot, "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	kind := d.Recv.List[0].Type
	if star, is := kind.(*ast.StarExpr); is {
		kind = star.X
	}
	name, is := kind.(*ast.Ident)
	if !is {
		return ""
	}
	return name.Name + "."
}

// mentions reports whether a declaration mentions a function or method by its name.
func mentions(node ast.Node, name string) bool {
	if node == nil {
		return false
	}
	name = name[strings.LastIndex(name, ".")+1:]
	found := false
	f, is := node.(*ast.FuncDecl)
	if is {
		node = f.Body
	}
	ast.Inspect(node, func(n ast.Node) bool {
		id, is := n.(*ast.Ident)
		found = found || is && id.Name == name
		return !found
	})
	return found
}
