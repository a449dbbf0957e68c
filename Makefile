# odoocache. "make" lists what there is.

GO      ?= go
# Packages below testdata are not part of ./... and are named.
ALL      = ./... ./testdata/origin
FUZZTIME ?= 10s

.PHONY: help demo test unit race e2e lint fuzz traefik clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## Traefik, Redis and replayed Odoo pages: miss, hit, purge (KEEP=1 leaves it running)
	@.ci/need go
	@.ci/need redis-server || true
	@TRAEFIK="$$(testdata/traefik/build)" && export TRAEFIK && $(GO) run ./cmd/demo $(if $(KEEP),-keep)

test: lint race e2e ## everything that needs no real Odoo

unit: ## compiled and interpreted, without Traefik
	@.ci/need go
	$(GO) test -short $(ALL)

race: ## compiled, with the race detector
	@.ci/need go
	@.ci/need redis-server
	CGO_ENABLED=1 $(GO) test -race -short $(ALL)

e2e: ## interpreted, with real Redis, and in a real Traefik
	@.ci/need go
	@.ci/need redis-server
	@TRAEFIK="$$(testdata/traefik/build)" && export TRAEFIK && $(GO) test -timeout 20m $(ALL)

lint: ## gofmt, go vet, and golangci-lint or staticcheck
	@.ci/need go
	@.ci/lint

fuzz: ## each fuzz target for FUZZTIME
	@.ci/fuzz $(FUZZTIME)

traefik: ## build the Traefik that the tests use, once, and print its path
	@testdata/traefik/build

clean: ## remove what tests have left behind
	$(GO) clean -testcache
