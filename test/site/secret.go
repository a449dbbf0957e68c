package site

// Secret allows purges where a test sets it.
const Secret = "correct horse"

// Bearer is a line of a request that brings Secret.
var Bearer = "Authorization: Bearer " + Secret

// TraefikSecret allows purges in a Traefik process.
const TraefikSecret = "e2e-secret-1"

// WithKey is a line of a request that brings TraefikSecret.
const WithKey = "Authorization: Bearer " + TraefikSecret
