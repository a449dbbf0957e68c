package repo_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/source"
)

const module = "github.com/odoocache/odoocache"

// TestDialect reads the files that Traefik interprets and refuses what Yaegi
// v0.16.1 does not run as Go does, or does not run at all.
func TestDialect(t *testing.T) {
	var found []string
	fset := token.NewFileSet()
	for _, path := range runtimeFiles(t) {
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, what := range dialect(fset, file) {
			if !strings.HasPrefix(path, source.Path("cache/log.go")) || !strings.Contains(what, throughLog) {
				found = append(found, what)
			}
		}
	}
	assert.Empty(t, found, strings.Join(found, "\n"))
}

// TestDialectFindsEachConstruct shows that the check above can fail.
func TestDialectFindsEachConstruct(t *testing.T) {
	for _, c := range []struct{ name, code, want string }{
		{"select", "func f(c chan int) { select { case <-c: } }", "select"},
		{"return of a receive", "func f(c chan int) int { return <-c }", "return <-ch"},
		{"min", "var x = min(1, 2)", "builtin min"},
		{"max", "var x = max(1, 2)", "builtin max"},
		{"clear", "func f(m map[int]int) { clear(m) }", "builtin clear"},
		{"range over a number", "func f() { for i := range 10 { _ = i } }", "range over a number"},
		{"several conditions in a case", "func f(a, b bool) { switch { case a, b: } }", "several conditions in a case"},
		{"loop without a condition", "func f() { for i := 0; ; { i++ } }", "without a condition"},
		{"errors.As", "import \"errors\"\nfunc f(e error) bool { var x *E; return errors.As(e, &x) }\ntype E struct{ error }", "errors.As"},
		{"generic type", "import \"sync/atomic\"\nvar p atomic.Pointer[int]", "generic"},
		{"generic function", "func f[T any](x T) {}", "type parameters"},
		{"third party", "import _ \"github.com/redis/go-redis/v9\"", "import"},
		{"unsafe", "import _ \"unsafe\"", "import"},
		{"a package of tests", "import _ \"github.com/odoocache/odoocache/test/site\"", "import"},
		{"slices", "import _ \"slices\"", "import"},
		{"maps", "import _ \"maps\"", "import"},
		{"embed", "import _ \"embed\"", "import"},
		{"rand v2", "import _ \"math/rand/v2\"", "import"},
		{"nil in a tuple", "func f() { var a *int; var b int; a, b = nil, 0; _, _ = a, b }", "nil in an assignment of several"},
		{"a call and an element in a tuple", "func f(s []int) { var a, b int; a, b = len(s), s[0]; _, _ = a, b }", "a call and something else"},
		{"variadic function field", "type t struct { f func(...int) }", "variadic function in a struct"},
		{"type that points to itself", "type n struct { next *n }", "points to its own type"},
		{"goroutine that captures a loop variable", "func f(l []int) { for _, x := range l { go func() { println(x) }() } }", "captures the loop variable x"},
		{"closure that captures a loop variable", "func f() { for i := 0; i < 3; i++ { defer func() { println(i) }() } }", "captures the loop variable i"},
		{"goroutine that does not recover", "func f() { go func() {}() }", "does not recover"},
		{"deferred method", "func f(t *T) { defer t.end(1) }", "deferred call of a method"},
		{"standard error", "import \"os\"\nvar w = os.Stderr", "cache/log.go"},
		{"standard output", "import (\"fmt\"; \"os\")\nfunc f() { fmt.Fprintln(os.Stdout, 1) }", "cache/log.go"},
		{"fmt.Println", "import \"fmt\"\nfunc f() { fmt.Println(1) }", "cache/log.go"},
		{"log.Printf", "import \"log\"\nfunc f() { log.Printf(\"x\") }", "cache/log.go"},
		{"println", "func f() { println(1) }", "cache/log.go"},
		{"parameters without names", "type t struct{}\nfunc (t) f(string, *http.Request) {}", "parameters without names"},
		{"own Unwrap", "type e struct{}\nfunc (e) Unwrap() error { return nil }", "Unwrap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "x.go", "package x\n"+c.code, parser.SkipObjectResolution)
			require.NoError(t, err)
			assert.Contains(t, strings.Join(dialect(fset, file), "\n"), c.want)
		})
	}
}

// throughLog is what dialect says of what writes to a log without the one function that
// makes one line of it.
const throughLog = "past cache/log.go"

// writes are functions and variables that write to a log, by package; "" for all of it.
var writes = map[string]string{"os": "Stdout Stderr", "fmt": "Print Printf Println", "log": ""}

func runtimeFiles(t *testing.T) []string {
	t.Helper()
	files := []string{source.Path("plugin.go")}
	for _, dir := range []string{"cache", "keys"} {
		require.NoError(t, filepath.WalkDir(source.Path(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return filepath.SkipDir
			}
			if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				files = append(files, path)
			}
			return nil
		}))
	}
	require.Greater(t, len(files), 20)
	return files
}

// refusedImports are packages of the standard library whose symbols Traefik
// does not give to a plugin, or not in a form that works.
var refusedImports = map[string]bool{
	"unsafe": true, "syscall": true, "C": true, "embed": true, "plugin": true,
	"slices": true, "maps": true, "cmp": true, "iter": true, "unique": true, "math/rand/v2": true,
	"os/exec": true, "runtime/cgo": true,
}

func dialect(fset *token.FileSet, file *ast.File) []string {
	d := &dialectWalker{fset: fset}
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		own := path == module || strings.HasPrefix(path, module+"/")
		if refusedImports[path] || (!own && strings.Contains(strings.Split(path, "/")[0], ".")) || strings.HasPrefix(path, module+"/test/") {
			d.report(spec, "import of "+path)
		}
	}
	ast.Inspect(file, d.visit)
	return d.found
}

type dialectWalker struct {
	fset  *token.FileSet
	found []string
}

func (d *dialectWalker) report(n ast.Node, what string) {
	d.found = append(d.found, fmt.Sprintf("%s: %s", d.fset.Position(n.Pos()), what))
}

func (d *dialectWalker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.SelectStmt:
		d.report(n, "select: its cases are shared between goroutines")
	case *ast.ReturnStmt:
		for _, result := range n.Results {
			if u, ok := result.(*ast.UnaryExpr); ok && u.Op == token.ARROW {
				d.report(n, "return <-ch panics")
			}
		}
	case *ast.CallExpr:
		d.call(n)
	case *ast.SelectorExpr:
		for pkg, names := range writes {
			if isPackage(n, pkg) && (names == "" || strings.Contains(" "+names+" ", " "+n.Sel.Name+" ")) {
				d.report(n, pkg+"."+n.Sel.Name+" writes to the log "+throughLog)
			}
		}
	case *ast.IndexExpr:
		if s, ok := n.X.(*ast.SelectorExpr); ok && isPackage(s, "atomic") {
			d.report(n, "generic type of sync/atomic")
		}
	case *ast.FuncDecl:
		if n.Type.TypeParams != nil {
			d.report(n, "type parameters")
		}
		if list := n.Type.Params.List; len(list) > 1 && len(list[0].Names) == 0 {
			d.report(n, "parameters without names are mixed up; name them _")
		}
		if n.Recv != nil && n.Name.Name == "Unwrap" {
			d.report(n, "Unwrap of our own is not seen by errors.Is")
		}
	case *ast.TypeSpec:
		d.typeSpec(n)
	case *ast.AssignStmt:
		d.assign(n)
	case *ast.GoStmt:
		if f, ok := n.Call.Fun.(*ast.FuncLit); !ok || !recovers(f.Body) {
			d.report(n, "a goroutine that does not recover ends Traefik when it panics")
		}
	case *ast.DeferStmt:
		if s, ok := n.Call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name != "Unlock" && s.Sel.Name != "RUnlock" {
			d.report(n, "a deferred call of a method may be dropped; defer a closure")
		}
	case *ast.SwitchStmt:
		d.conditions(n)
	case *ast.RangeStmt:
		if lit, ok := n.X.(*ast.BasicLit); ok && lit.Kind == token.INT {
			d.report(n, "range over a number")
		}
		d.captured(n.Body, names(n.Key, n.Value))
	case *ast.ForStmt:
		if n.Init != nil && n.Cond == nil {
			d.report(n, "a loop variable without a condition keeps its first value; declare it before the loop")
		}
		if init, ok := n.Init.(*ast.AssignStmt); ok && init.Tok == token.DEFINE {
			d.captured(n.Body, names(init.Lhs...))
		}
	}
	return true
}

// conditions refuses `case a, b:` in a switch without a value: of its conditions Yaegi looks at the
// first alone.
func (d *dialectWalker) conditions(n *ast.SwitchStmt) {
	if n.Tag != nil {
		return
	}
	for _, clause := range n.Body.List {
		if clause, ok := clause.(*ast.CaseClause); ok && len(clause.List) > 1 {
			d.report(clause, "several conditions in a case: only the first is looked at; join them with ||")
		}
	}
}

// recovers reports whether a function calls recover.
func recovers(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "recover" {
				found = true
			}
		}
		return true
	})
	return found
}

func isPackage(s *ast.SelectorExpr, name string) bool {
	id, ok := s.X.(*ast.Ident)
	return ok && id.Name == name
}

func (d *dialectWalker) call(n *ast.CallExpr) {
	switch f := n.Fun.(type) {
	case *ast.Ident:
		if f.Name == "print" || f.Name == "println" {
			d.report(n, f.Name+" writes to the log "+throughLog)
		}
		if f.Name == "min" || f.Name == "max" || f.Name == "clear" {
			d.report(n, "builtin "+f.Name)
		}
	case *ast.SelectorExpr:
		if isPackage(f, "errors") && f.Sel.Name == "As" {
			d.report(n, "errors.As panics on types of ours")
		}
	}
}

// assign refuses `a, b = nil, x`: in Yaegi that panics with reflect: New(nil). And
// `a, b = f(), s[i]`: there b keeps its old value.
func (d *dialectWalker) assign(n *ast.AssignStmt) {
	if len(n.Rhs) < 2 {
		return
	}
	for _, value := range n.Rhs {
		if id, ok := value.(*ast.Ident); ok && id.Name == "nil" {
			d.report(n, "nil in an assignment of several values")
		}
	}
	if calls := countCalls(n.Rhs); n.Tok == token.ASSIGN && calls > 0 && calls < len(n.Rhs) {
		d.report(n, "a call and something else in an assignment of several values")
	}
}

func countCalls(list []ast.Expr) int {
	n := 0
	for _, value := range list {
		if _, ok := value.(*ast.CallExpr); ok {
			n++
		}
	}
	return n
}

func (d *dialectWalker) typeSpec(n *ast.TypeSpec) {
	if n.TypeParams != nil {
		d.report(n, "type parameters")
	}
	s, ok := n.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range s.Fields.List {
		if p, ok := field.Type.(*ast.StarExpr); ok {
			if id, ok := p.X.(*ast.Ident); ok && id.Name == n.Name.Name {
				d.report(field, "a structure that points to its own type")
			}
		}
		if f, ok := field.Type.(*ast.FuncType); ok && f.Params != nil {
			for _, param := range f.Params.List {
				if _, ok := param.Type.(*ast.Ellipsis); ok {
					d.report(field, "a variadic function in a structure")
				}
			}
		}
	}
}

func names(list ...ast.Expr) map[string]bool {
	out := map[string]bool{}
	for _, e := range list {
		if id, ok := e.(*ast.Ident); ok && id.Name != "_" {
			out[id.Name] = true
		}
	}
	return out
}

// captured refuses closures that use a variable of the loop around them: they
// all see its last value.
func (d *dialectWalker) captured(body *ast.BlockStmt, vars map[string]bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncLit)
		if !ok {
			return true
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && vars[id.Name] {
				d.report(id, "a closure captures the loop variable "+id.Name)
			}
			return true
		})
		return false
	})
}
