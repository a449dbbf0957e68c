package config_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache"
)

// TestManifest builds the middleware from .traefik.yml's testData, as the plugin
// catalogue does, without a Redis.
func TestManifest(t *testing.T) {
	b, err := os.ReadFile("../../.traefik.yml")
	require.NoError(t, err)
	var manifest map[string]interface{}
	require.NoError(t, yaml.Unmarshal(b, &manifest))
	assert.Equal(t, "middleware", manifest["type"])
	assert.Equal(t, "github.com/odoocache/odoocache", manifest["import"])
	assert.NotEmpty(t, manifest["displayName"])
	assert.NotEmpty(t, manifest["summary"])

	data, err := json.Marshal(manifest["testData"])
	require.NoError(t, err)
	c := odoocache.CreateConfig()
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(c))
	assert.Equal(t, "odoo", c.Preset)
	assert.NotEmpty(t, c.Languages)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	next := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) })
	h, err := odoocache.New(ctx, next, c, "manifest")
	require.NoError(t, err)
	rw := httptest.NewRecorder()
	h.ServeHTTP(rw, httptest.NewRequest(http.MethodGet, "/shop", nil))
	assert.Equal(t, http.StatusTeapot, rw.Code)
	assert.Contains(t, rw.Header().Get("Cache-Status"), "odoocache;")
}
