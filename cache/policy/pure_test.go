package policy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPure checks that the packages that decide do nothing else: no
// connection, no file, no lock, no log, no clock, and nothing of ours below.
func TestPure(t *testing.T) {
	for _, dir := range []string{".", "../../keys", "../cookie"} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
			require.NoError(t, err)
			runtime := 0
			for _, path := range paths {
				if strings.HasSuffix(path, "_test.go") {
					continue
				}
				runtime++
				code, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.Empty(t, impurities(t, string(code)), path)
			}
			assert.GreaterOrEqual(t, runtime, 2)
		})
	}
}

// TestPureFindsEach shows that the check above can fail.
func TestPureFindsEach(t *testing.T) {
	for _, c := range []struct{ name, code, want string }{
		{"net", `import "net"`, "import of net"},
		{"os", `import "os"`, "import of os"},
		{"below os", `import "os/exec"`, "import of os/exec"},
		{"sync", `import "sync"`, "import of sync"},
		{"atomic", `import a "sync/atomic"`, "import of sync/atomic"},
		{"log", `import "log"`, "import of log"},
		{"slog", `import "log/slog"`, "import of log/slog"},
		{"randomness", `import "math/rand"`, "import of math/rand"},
		{"our own", `import "github.com/odoocache/odoocache/cache/storage"`, "import of github.com/odoocache/odoocache/cache/storage"},
		{"without a name", `import . "time"`, "time without its name"},
		{"Now", "import \"time\"\nvar x = time.Now()", "time.Now"},
		{"Now as a value", "import \"time\"\nvar x = time.Now", "time.Now"},
		{"Now by another name", "import clock \"time\"\nvar x = clock.Now()", "time.Now"},
		{"Since", "import \"time\"\nvar t0 time.Time\nvar x = time.Since(t0)", "time.Since"},
		{"timer", "import \"time\"\nvar x = time.NewTimer(1)", "time.NewTimer"},
		{"goroutine", "func f() { go f() }", "goroutine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, []string{c.want}, impurities(t, "package x\n"+c.code))
		})
	}
	assert.Empty(t, impurities(t, "package x\nimport (\n\"net/http\"\n\"net/url\"\n\"time\"\n)\nvar _ = http.StatusOK\nvar _ url.URL\nvar _ = time.UTC"))
}

// clocks are the functions of package time that read or wait for the clock.
var clocks = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
	"Tick": true, "NewTicker": true, "NewTimer": true,
}

func impurities(t *testing.T, code string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", code, parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	clock := "time"
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if refused(path) {
			found = append(found, "import of "+path)
		}
		if path == "time" && spec.Name != nil {
			if clock = spec.Name.Name; clock == "." {
				found = append(found, "time without its name")
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "goroutine")
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == clock && clocks[n.Sel.Name] {
				found = append(found, "time."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// refused reports whether a pure package must not import path. net/http and
// net/url are there for their types and parsers. Package cookie is a pure one itself.
func refused(path string) bool {
	if path == "github.com/odoocache/odoocache/cache/cookie" {
		return false
	}
	if path == "net" || path == "math/rand" || path == "crypto/rand" {
		return true
	}
	top, _, _ := strings.Cut(path, "/")
	return top == "os" || top == "sync" || top == "log" || strings.Contains(top, ".")
}
