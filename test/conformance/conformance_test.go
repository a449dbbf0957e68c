package conformance_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
	"github.com/odoocache/odoocache/test/stack"
)

// suiteKinds prints what kind of case each one of the HTTP cache suite is.
const suiteKinds = `
import suites from './tests/index.mjs'
const kinds = {}
for (const s of suites) for (const t of s.tests) if (!t.browser_only) kinds[t.id] = t.kind || 'required'
console.log(JSON.stringify(kinds))
`

// TestConformance runs the public suite for HTTP caches (http-tests/cache-tests, a checkout of
// which CACHE_TESTS names) against the plugin in a real Traefik, with a real Redis and without
// rules: RFC 9111 alone. The cases that do not pass are those of testdata/conformance.txt,
// each with its reason, and no others.
func TestConformance(t *testing.T) {
	from := os.Getenv("CACHE_TESTS")
	if from == "" {
		t.Skip("CACHE_TESTS names no checkout of http-tests/cache-tests")
	}
	stack.NeedTraefik(t)
	suite := t.TempDir()
	node := func(environment []string, arguments ...string) *exec.Cmd {
		cmd := exec.Command(arguments[0], arguments[1:]...)
		cmd.Dir, cmd.Stderr = suite, os.Stderr
		cmd.Env = append(os.Environ(), environment...)
		return cmd
	}
	require.NoError(t, exec.Command("cp", "-R", from+"/.", suite).Run())
	if _, err := os.Stat(filepath.Join(suite, "node_modules", "undici")); err != nil {
		require.NoError(t, node(nil, "npm", "install", "--silent", "--no-audit", "--no-save", "undici", "liquidjs", "marked").Run())
	}

	address := stack.FreeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	server := node([]string{"npm_config_protocol=http", "npm_config_port=" + port, "npm_config_pidfile=" + filepath.Join(suite, "pid")},
		"node", "test-engine/server/server.mjs")
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	edge := stack.StartTraefik(t, stack.Routed("http://localhost:"+port, map[string]site.Options{"": {"redis": site.Options{"address": stack.StartRedis(t).Address}}}))
	edge.Until("the suite's server answers", func() bool { return edge.Get("/").Status == 200 })

	var kinds map[string]string
	script := filepath.Join(suite, "kinds.mjs")
	require.NoError(t, os.WriteFile(script, []byte(suiteKinds), 0o600))
	out, err := node(nil, "node", script).Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &kinds))

	begun := time.Now()
	out, err = node([]string{"npm_config_base=" + edge.URL, "npm_package_config_id="}, "node", "--no-warnings", "test-engine/cli.mjs").Output()
	require.NoError(t, err)
	var results map[string]interface{}
	require.NoError(t, json.Unmarshal(out[bytes.IndexByte(out, '{'):], &results), "%.500s", out)

	known := conformance(t)
	count, passed, failed := map[string]int{}, map[string]int{}, []string{}
	for id, kind := range kinds {
		result := results[id]
		count[kind]++
		if result == true {
			passed[kind]++
			continue
		}
		if kind == "check" { // it tells what a cache does, and has no right outcome
			continue
		}
		failed = append(failed, kind+" "+id)
		if known[id] == "" {
			assert.Fail(t, "a case does not pass", "%s (%s): %v", id, kind, result)
		}
		delete(known, id)
	}
	for id := range known {
		assert.Fail(t, "a case passes, or is no more", "%s stands in testdata/conformance.txt", id)
	}
	sort.Strings(failed)
	t.Logf("required: %d of %d; optimal: %d of %d; %.0f s\nnot passed:\n%s", passed["required"], count["required"],
		passed["optimal"], count["optimal"], time.Since(begun).Seconds(), strings.Join(failed, "\n"))
}

// conformance returns the cases of testdata/conformance.txt that do not pass, and why.
func conformance(t *testing.T) map[string]string {
	text, err := os.ReadFile(source.Path("testdata", "conformance.txt"))
	require.NoError(t, err)
	list := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, why, found := strings.Cut(line, " ")
		require.True(t, found && strings.TrimSpace(why) != "", "%s has no reason", line)
		list[id] = strings.TrimSpace(why)
	}
	return list
}
