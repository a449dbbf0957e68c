package odoocache_test

// secret allows purges where a test sets it.
const secret = "correct horse"

// bearer is a line of a request that brings secret.
var bearer = "Authorization: Bearer " + secret

// e2eSecret allows purges in a Traefik process.
const e2eSecret = "e2e-secret-1"

// withKey is a line of a request that brings e2eSecret.
const withKey = "Authorization: Bearer " + e2eSecret
