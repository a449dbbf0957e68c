// Package odoocache is a cache middleware for Traefik that sits in front of
// Odoo: it answers anonymous traffic from Redis, and drops what Odoo says in a
// response header to have changed. Traefik interprets it.
//
// docs/architecture.md leads from here to where a hit is answered, why that cannot be from
// before a purge, where a purge arrives, where a form gets its token, and where a new route
// of Odoo would be added.
package odoocache

import (
	"context"
	"net/http"

	"github.com/odoocache/odoocache/cache"
	"github.com/odoocache/odoocache/cache/config"
	"github.com/odoocache/odoocache/cache/option"
)

// Config are the plugin's options. docs/options.md explains each.
type Config = option.Config

// CreateConfig returns the options with their defaults.
func CreateConfig() *Config {
	return option.Default()
}

// New returns the middleware in front of next, or an error that names every
// mistake in the options. It opens no connection. When ctx ends, which Traefik
// sees to when it replaces the configuration, the middleware gives back what it
// shares with others.
func New(ctx context.Context, next http.Handler, c *Config, name string) (http.Handler, error) {
	settings, err := config.Build(c)
	if err != nil {
		return nil, err
	}
	if settings.Tenants != nil {
		return cache.NewFront(ctx, settings, next, cache.Acquire(ctx, settings.Storage), name), nil
	}
	cache.Declare(ctx, settings, name)
	return cache.New(ctx, settings, next, cache.Acquire(ctx, settings.Storage)), nil
}
