package cache

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
)

func at(t *testing.T, change func(c *option.Config)) *config.Settings {
	t.Helper()
	c := option.Default()
	c.Tenant = "places"
	password := "hunter2hunter2"
	c.Redis.Address, c.Redis.Password = "a:1", &password
	change(c)
	s, err := config.Build(c)
	require.NoError(t, err)
	return s
}

// TestPlaces: two middlewares of one tenant that do not see each other's purges are named.
func TestPlaces(t *testing.T) {
	first, replaced := context.WithCancel(context.Background())
	a := at(t, func(*option.Config) {})
	elsewhere := at(t, func(c *option.Config) { c.Redis.Address = "b:2" })
	assert.Empty(t, declare(first, a, "one@file"))
	assert.Empty(t, declare(first, a, "one@file"), "for another router")
	assert.Empty(t, declare(first, at(t, func(c *option.Config) { c.Redis.Timeout = "1s"; c.Memory.Bytes = "0" }), "two@file"), "purges meet in Redis")
	assert.Empty(t, declare(first, at(t, func(c *option.Config) { c.Tenant = "places2"; c.Redis.Address = "b:2" }), "three@file"), "another tenant")
	problem := declare(first, elsewhere, "four@file")
	for _, want := range []string{"tenant places:", "one@file", "Redis at a:1, database 0", "four@file", "Redis at b:2, database 0"} {
		assert.Contains(t, problem, want)
	}
	assert.NotContains(t, problem, "hunter2")
	assert.Empty(t, declare(first, elsewhere, "four@file"), "it was said")

	second, cancel := context.WithCancel(context.Background())
	defer cancel()
	replaced()
	assert.Empty(t, declare(second, elsewhere, "one@file"), "what was replaced does not count")
	assert.NotEmpty(t, declare(second, a, "two@file"), "it is said again")
	cancel()
	assert.Empty(t, declare(context.Background(), a, "one@file"))

	for name, change := range map[string]func(c *option.Config){
		"database": func(c *option.Config) { c.Redis.Database = "1" },
		"memory":   func(c *option.Config) { c.Redis = option.Default().Redis },
		"cluster":  func(c *option.Config) { c.Redis.Address, c.Redis.Cluster.Addresses = "", []string{"a:1"} },
		"sentinel": func(c *option.Config) {
			c.Redis.Address, c.Redis.Sentinel = "", option.Sentinel{Master: "m", Addresses: []string{"a:1"}}
		},
	} {
		ctx, done := context.WithCancel(context.Background())
		assert.Contains(t, declare(ctx, at(t, change), "other@file"), "two places", name)
		done()
		assert.Empty(t, declare(ctx, a, "one@file"), name)
	}
}
