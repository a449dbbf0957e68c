package tier_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/odoocache/odoocache/cache/storage/testdata/flows"
	"github.com/odoocache/odoocache/cache/storage/testdata/storagetest"
)

// program is package flows, compiled or interpreted.
type program struct {
	storage, purges, journal func(address, tenant string) string
	load                     func(address, tenant string, rounds int) string
	sieve, codec, sealed     func() string
}

var interpreted struct {
	once sync.Once
	program
}

// load interprets the packages the way Traefik does: from source, with the
// symbols of the standard library.
func load(t *testing.T) program {
	interpreted.once.Do(func() {
		path := t.TempDir()
		root := filepath.Join(path, "src", "github.com", "odoocache", "odoocache")
		for _, dir := range []string{"keys", "cache/cookie", "cache/policy", "cache/resp", "cache/seal", "cache/storage", "cache/storage/memory", "cache/storage/redis", "cache/purges", "cache/tier", "cache/storage/testdata/flows"} {
			copySource(t, filepath.Join("..", "..", dir), filepath.Join(root, dir))
		}
		i := interp.New(interp.Options{GoPath: path, Env: os.Environ()})
		require.NoError(t, i.Use(stdlib.Symbols))
		_, err := i.Eval(`import "github.com/odoocache/odoocache/cache/storage/testdata/flows"`)
		require.NoError(t, err)
		symbol := func(name string) interface{} {
			v, err := i.Eval("flows." + name)
			require.NoError(t, err)
			return v.Interface()
		}
		interpreted.program = program{
			storage: symbol("Storage").(func(string, string) string),
			purges:  symbol("Purges").(func(string, string) string),
			journal: symbol("Journal").(func(string, string) string),
			load:    symbol("Load").(func(string, string, int) string),
			sieve:   symbol("Sieve").(func() string),
			codec:   symbol("Codec").(func() string),
			sealed:  symbol("Sealed").(func() string),
		}
	})
	require.NotNil(t, interpreted.storage, "it was not loaded")
	return interpreted.program
}

func copySource(t *testing.T, from, to string) {
	require.NoError(t, os.MkdirAll(to, 0o755))
	files, err := filepath.Glob(filepath.Join(from, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, filepath.Base(file)), b, 0o600))
	}
}

func TestFlows(t *testing.T) {
	both := func(name string, run func(t *testing.T, p program) string) {
		t.Run(name, func(t *testing.T) {
			t.Run("compiled", func(t *testing.T) {
				require.Empty(t, run(t, program{flows.Storage, flows.Purges, flows.Journal, flows.Load, flows.Sieve, flows.Codec, flows.Sealed}))
			})
			t.Run("interpreted", func(t *testing.T) {
				if raceEnabled {
					t.Skip("the race detector sees the interpreter, not what it interprets")
				}
				require.Empty(t, run(t, load(t)))
			})
		})
	}
	both("sieve", func(_ *testing.T, p program) string { return p.sieve() })
	both("codec", func(_ *testing.T, p program) string { return p.codec() })
	both("sealed", func(_ *testing.T, p program) string { return p.sealed() })
	for _, where := range []string{"memory", "redis"} {
		where := where
		address := func(t *testing.T) string {
			if where == "memory" {
				return ""
			}
			return "127.0.0.1:" + storagetest.StartRedis(t)
		}
		both(where+" storage", func(t *testing.T, p program) string { return p.storage(address(t), storagetest.Tenant()) })
		both(where+" purges", func(t *testing.T, p program) string { return p.purges(address(t), storagetest.Tenant()) })
		both(where+" journal", func(t *testing.T, p program) string { return p.journal(address(t), storagetest.Tenant()) })
		both(where+" load", func(t *testing.T, p program) string { return p.load(address(t), storagetest.Tenant(), 300) })
	}
}
