package traefik_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/stack"
)

// logLine is a line of Traefik's log in JSON.
type logLine struct {
	Level   string `json:"level"`
	Plugin  string `json:"plugin"`
	Time    string `json:"time"`
	Message string `json:"message"`
}

// linesOf returns the lines of Traefik's log file that have a text. Each line has to be JSON.
func linesOf(t *testing.T, file, text string) (found []logLine) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(string(b), "\n")
	for _, line := range lines[:len(lines)-1] { // the last is being written
		var l logLine
		require.NoError(t, json.Unmarshal([]byte(line), &l), line)
		if strings.Contains(l.Message, text) {
			found = append(found, l)
		}
	}
	return found
}

// TestTraefikLog: what the plugin says is in Traefik's log, in its format and file, with its
// level and the plugin's name, and nowhere else; a client cannot write a line of its own.
func TestTraefikLog(t *testing.T) {
	stack.NeedTraefik(t)
	origin := stack.NewBackend(t, site.Page("x", "X-Odoo-Purge: /bad%"))
	file := filepath.Join(t.TempDir(), "traefik.log")
	configuration := stack.Routed(origin.URL, map[string]site.Options{
		"shop.example": {"tenant": "shop", "logLevel": "debug", "redis": site.Options{"address": "127.0.0.1:1"}, "purge": site.Options{"secret": site.TraefikSecret}},
		"also.example": {"tenant": "shop", "redis": site.Options{"address": "127.0.0.1:2"}},
	})
	flags := []string{"--log.format=json", "--log.filePath=" + file}
	p := stack.StartTraefik(t, configuration, append(flags, "--log.level=DEBUG")...)
	p.Until("the plugin answers", func() bool { return p.Get("/").CacheStatus() != "" })
	for _, path := range []string{"/li%0aFAKE", "/li%0d%0aFAKE%1b[31m", "/li%e2%80%a8FAKE"} {
		assert.Equal(t, http.StatusOK, p.Get(path).Status)
		assert.NotEmpty(t, p.Do(http.MethodPost, path, "x").CacheStatus())
	}
	assert.Equal(t, http.StatusServiceUnavailable, p.Do("PURGE", "/li%0aFAKE?mail=jane", "", site.WithKey).Status)
	assert.Equal(t, http.StatusForbidden, p.Do("PURGE", "/li%0aFAKE", "", "X-Odoocache-Secret: guessed", "X-Forwarded-For: 203.0.113.7").Status)
	check := func(level, text string) {
		t.Helper()
		var found []logLine
		p.Until(text+" is in the log", func() bool { found = linesOf(t, file, text); return len(found) > 0 })
		for _, l := range found {
			assert.Equal(t, level, l.Level, l.Message)
			assert.Equal(t, "plugin-odoocache", l.Plugin, l.Message)
			assert.NotEmpty(t, l.Time)
			assert.NotContains(t, l.Message, "\n")
			assert.Regexp(t, "^odoocache: ", l.Message, "without another time")
		}
	}
	check("debug", "odoocache: tenant shop: GET shop.example/li%0AFAKE: odoocache; fwd=")
	check("error", "odoocache: settle: ")
	check("error", "its pages are in two places: middleware ")
	const from = " from=127.0.0.1" // a proxy that is not trusted does not say for whom it asks
	check("error", "purge queued reason=storage key=current by=secret method=PURGE"+from+" mode=hard all=false tags=0 paths=1://shop.example/li%0AFAKE… prefixes=0")
	check("error", "purge refused reason=secret status=403 at=address key=none by=secret method=PURGE"+from)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.NotContains(t, string(b), "\nFAKE")
	for _, l := range linesOf(t, file, "odoocache: tenant ") { // at debug Traefik itself writes all options
		for _, text := range []string{site.TraefikSecret, "guessed", "203.0.113.7", "mail", "jane"} {
			assert.NotContains(t, l.Message, text)
		}
	}
	assert.NotContains(t, p.Log(), "tenant shop", "past Traefik's log")

	t.Run("at the level error", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "traefik.log")
		p := stack.StartTraefik(t, configuration, "--log.format=json", "--log.filePath="+file, "--log.level=ERROR")
		p.Until("the plugin answers", func() bool { return p.Get("/shop").CacheStatus() != "" })
		p.Until("its errors are in the log", func() bool { return len(linesOf(t, file, "two places")) > 0 })
		assert.Empty(t, linesOf(t, file, "GET shop.example/shop"), "the level of Traefik holds")
		assert.NotContains(t, p.Log(), "GET shop.example/shop")
	})
}
