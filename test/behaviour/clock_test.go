package behaviour_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestTheClockDoesNotRuleWhatIsKnownOfPurges: after a step of the clock in either direction,
// a hit from memory learns of a purge of another replica within memory.maxStaleness, and
// asks Redis no more often than that takes.
func TestTheClockDoesNotRuleWhatIsKnownOfPurges(t *testing.T) {
	if site.RaceEnabled {
		t.Skip("the race detector sees the interpreter, not what it interprets")
	}
	const staleness = 500 * time.Millisecond
	for _, c := range []struct{ name, start string }{
		{"as it is", "Started.UnixMilli()"},
		{"set back by ten minutes", "Started.UnixMilli() + 600000"},
		{"set forward by ten minutes", "Started.UnixMilli() - 600000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := site.NewInterpreter(func(dir string) error {
				file := filepath.Join(dir, "cache", "storage", "clock.go")
				b, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				changed := bytes.Replace(b, []byte("var StartedMS = Started.UnixMilli()"), []byte("var StartedMS = "+c.start), 1)
				if c.name != "as it is" && bytes.Equal(changed, b) {
					return fmt.Errorf("%s has no StartedMS", file)
				}
				return os.WriteFile(file, changed, 0o600)
			})
			require.NoError(t, err)
			reader, err := site.MakerOf(i)
			require.NoError(t, err)
			server := stack.StartServer(t)
			o := site.Options{
				"tenant": fmt.Sprint("clock", site.Tenants.Add(1)), "memory": site.Options{"maxStaleness": staleness.String()},
				"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
			}
			origin := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					rw.Header().Set("X-Odoo-Purge", "product-1")
				}
				site.Page("x", "Cache-Control: public, max-age=600", "Surrogate-Key: product-1")(rw, r)
			})
			near, err := reader(context.Background(), origin, o)
			require.NoError(t, err)
			far, err := site.Compiled(context.Background(), origin, o)
			require.NoError(t, err)
			status := func() string {
				w := httptest.NewRecorder()
				near.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/desk", nil))
				return w.Header().Get("Cache-Status")
			}
			for j := 0; j < 5; j++ {
				status()
			}
			before, begin, hits := server.Calls("echo"), time.Now(), 0
			for ; time.Since(begin) < 2*time.Second; time.Sleep(time.Millisecond) {
				require.Contains(t, status(), "; hit")
				hits++
			}
			asked := server.Calls("echo") - before
			require.Positive(t, asked)
			require.LessOrEqual(t, asked, 2+2*int(time.Since(begin)/staleness), "of %d hits", hits)

			far.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/write", nil))
			for purged := time.Now(); ; {
				asked := time.Now()
				if !strings.Contains(status(), "; hit") {
					break // what is stored now was rendered after the purge
				}
				require.LessOrEqual(t, asked.Sub(purged), staleness, "a hit since the purge")
			}
		})
	}
}
