package traefik_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// TestTraefikSessionsOfReplicas: hits of visitors with a session ask Redis nothing of their own.
// A session that is marked as special through one Traefik gets no more hits there at once, and
// within memory.maxStaleness, which is a second, through another.
func TestTraefikSessionsOfReplicas(t *testing.T) {
	server := stack.StartRedis(t)
	begun := 0
	changed := ""
	origin := stack.NewBackend(t, func(rw http.ResponseWriter, r *http.Request) {
		lines := []string{"Content-Type: text/html"}
		session := ""
		if cookie, err := r.Cookie("session_id"); err == nil {
			session = cookie.Value
		}
		text := "page " + r.URL.Path
		switch {
		case r.URL.Path == "/begin":
			begun++
			lines = append(lines, "Cache-Control: no-store", fmt.Sprintf("Set-Cookie: session_id=%s; Path=/", site.SessionID(begun)))
		case r.URL.Path == "/change":
			changed = session
		case session != "" && session == changed:
			text += " of " + session // else it would be evidence that nothing has changed
		}
		site.Page(site.HTMLPage(text), lines...)(rw, r)
	})
	replica := stack.Replicas(t, stack.Routed(origin.URL, map[string]site.Options{"": {
		"redis": site.Options{"address": server.Address, "timeout": "5s", "dialTimeout": "5s"},
		"rules": []site.Options{{"match": site.Options{"methods": []string{"GET"}}, "ttl": "10m", "fill": "nobody", "vary": site.Options{"languages": []string{"en_US", "fr_FR"}}}},
	}}))
	visitors := make([]string, 2)
	for i := range visitors {
		id := replica[0].Get("/begin").Session()
		require.NotEmpty(t, id)
		visitors[i] = "Cookie: frontend_lang=en_US; session_id=" + id
	}
	hit := func(p *stack.Traefik, visitor string) bool {
		return strings.Contains(p.Get("/page", visitor, "Accept-Language: en").CacheStatus(), "; hit;")
	}
	for i := 0; i < 4; i++ { // asked for, stored, in memory, ready
		for _, p := range replica {
			hit(p, visitors[0])
			hit(p, visitors[1])
		}
	}
	before, start, hits := server.Calls("echo"), time.Now(), 0
	for time.Since(start) < 2*time.Second {
		for _, p := range replica {
			require.True(t, hit(p, visitors[hits%2]))
			hits++
		}
	}
	seconds := int(time.Since(start).Seconds()) + 1
	asked := server.Calls("echo") - before
	assert.LessOrEqual(t, asked, 2*len(replica)*seconds, "two exchanges a second of each at most")
	assert.Greater(t, hits, 10*asked)

	replica[0].Do(http.MethodPost, "/change", "x=1", visitors[0])
	sent := time.Now()
	assert.False(t, hit(replica[0], visitors[0]), "the replica that marked it knows at once")
	for known := false; !known; known = !hit(replica[1], visitors[0]) {
		require.Less(t, time.Since(sent), 5*time.Second, "maxStaleness is 1 s; the rest is for a slow machine")
	}
	for _, p := range replica {
		assert.False(t, hit(p, visitors[0]))
		assert.True(t, hit(p, visitors[1]), "another session is what it was")
	}
}
