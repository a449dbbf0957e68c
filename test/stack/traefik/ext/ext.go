// Package ext stands in for the directory of Traefik's repository that its
// dynamic configuration embeds types from.
package ext

// HTTP adds no options to the HTTP configuration.
type HTTP struct{}

// Router adds no options to a router.
type Router struct{}
