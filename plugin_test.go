package odoocache_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache"
	"github.com/odoocache/odoocache/test/site"
)

// manifest is .traefik.yml, by which Traefik and its catalogue know the plugin.
type manifest struct {
	DisplayName string       `yaml:"displayName"`
	Type        string       `yaml:"type"`
	Import      string       `yaml:"import"`
	Summary     string       `yaml:"summary"`
	TestData    site.Options `yaml:"testData"`
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	b, err := os.ReadFile(".traefik.yml")
	require.NoError(t, err)
	var m manifest
	require.NoError(t, yaml.Unmarshal(b, &m))
	return m
}

// TestManifest: the manifest names this module, and New takes the options in it.
func TestManifest(t *testing.T) {
	m := readManifest(t)
	b, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	module, _, _ := strings.Cut(string(b), "\n")
	assert.Equal(t, "module "+m.Import, module)
	assert.Equal(t, "middleware", m.Type)
	assert.NotEmpty(t, m.DisplayName)
	assert.NotEmpty(t, m.Summary)
	assert.NotEmpty(t, m.TestData)
}

// TestNew: compiled and interpreted, New makes a middleware of the manifest's options
// that answers a request.
func TestNew(t *testing.T) {
	m := readManifest(t)
	site.Both(t, func(t *testing.T, load site.Loader) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		o := site.Merge(m.TestData, site.Options{"redis": site.Options{"address": ""}}) // nobody is to be asked
		handler, err := load(ctx, site.Page("a page", "Content-Type: text/html"), o)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/shop", nil))
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, "a page", w.Body.String())
		assert.Contains(t, w.Header().Get("Cache-Status"), "odoocache; fwd=")
	})
}

// TestNewNamesMistakes: New makes no middleware of options that are wrong.
func TestNewNamesMistakes(t *testing.T) {
	c := odoocache.CreateConfig()
	c.Redis.Timeout = "soon"
	_, err := odoocache.New(context.Background(), http.NotFoundHandler(), c, "test")
	require.Error(t, err)
	assert.Contains(t, err.Error(), "redis.timeout")
}
