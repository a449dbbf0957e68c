package behaviour_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestMovingATenant runs the lines of docs/tenants.md: the tenant's pages are hits on the new server, its
// purges hold there, and nobody else has moved.
func TestMovingATenant(t *testing.T) {
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Skip("redis-cli is not installed")
	}
	_, chapter, found := strings.Cut(site.Document(t, "docs/tenants.md"), "\n## Moving a tenant\n")
	require.True(t, found)
	lines := regexp.MustCompile("(?ms)^```sh\nOLD=.*?\n(.*?)^```$").FindStringSubmatch(chapter)
	require.NotNil(t, lines)
	before, after := stack.StartServer(t), stack.StartServer(t)
	port := func(s *stack.RedisServer) string { return s.Address[strings.LastIndex(s.Address, ":")+1:] }
	of := func(server *stack.RedisServer, tenant string) site.Options {
		o := site.Options{"redis": site.Options{"address": server.Address, "timeout": "5s"}, "memory": site.Options{"bytes": "0"}, "purge": site.Options{"secret": currentSecret}}
		if tenant != "" {
			o["tenant"] = tenant
		}
		return o
	}
	answers := site.Page("x", "Cache-Control: max-age=600", "Surrogate-Key: a")
	purge := func(s *site.Site, body string) {
		require.Equal(t, 200, s.Do("POST", "/.odoocache/purge", body, "Authorization: Bearer "+currentSecret).Status)
	}
	s, other := site.New(t, site.Compiled, of(before, ""), answers), site.New(t, site.Compiled, of(before, ""), answers)
	tenant, _ := s.Options["tenant"].(string)
	for i := 0; i < 3; i++ {
		s.Get("/kept")
		s.Get("/purged")
		other.Get("/kept")
	}
	purge(s, `{"paths":["/purged"]}`) // stored, and wrong

	cmd := exec.Command("bash", "-euc", lines[1])
	cmd.Env = append(os.Environ(), "OLD=redis-cli -p "+port(before), "NEW=redis-cli -p "+port(after), "TO=127.0.0.1 "+port(after), "TENANT="+tenant)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)

	moved := site.New(t, site.Compiled, of(after, tenant), answers)
	host := "Host: " + strings.TrimPrefix(s.URL, "http://") // pages are stored by it
	assert.Contains(t, moved.Get("/kept", host).CacheStatus(), "; hit", "no cold start")
	assert.NotContains(t, moved.Get("/purged", host).CacheStatus(), "; hit", "what was purged before stays so")
	purge(moved, `{"tags":["a"]}`)
	assert.NotContains(t, moved.Get("/kept", host).CacheStatus(), "; hit")
	assert.Empty(t, after.Entries(other.Options["tenant"].(string)))
	assert.Contains(t, other.Get("/kept").CacheStatus(), "; hit", "nobody else has moved")
}
