# odoocache. "make" lists what there is.

# A failure on the left of a pipe counts.
SHELL    = bash
GO      ?= go
# Some packages start processes and look at the clock: they run one after the other.
TEST     = $(GO) test -p 1
# What prints a report, without go test's own lines.
REPORT   = sed '/^=== /d; /^ *--- /d; /^PASS/d; /^ok /d'
FUZZTIME ?= 10s
OUTAGE_SECONDS ?= 60
ROUNDS  ?= 5
# How long the checker of purges loads the cache.
DURATION ?= 60s
SECONDS ?= 2
TENANTS ?= 1000
# Seconds of each noise of a noisy tenant.
NOISE   ?= 60
SOAK_REQUESTS  ?= 1000000
# The tests against a real Odoo, and the sites they need (test/odoo/19/up).
RUN      ?= ^TestOdoo
SITES    ?= plain geoip tenants $(if $(wildcard odoo/addons/odoocache/__manifest__.py),addon)

.PHONY: help demo test unit race e2e test-purge test-faults soak bench bench-gzip bench-steps bench-cost bench-tenants bench-profile lint fuzz test-mutations test-conformance test-servers test-odoo test-odoo14 replay bench-odoo odoo odoo-down traefik clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## Traefik, Redis and replayed Odoo pages: miss, hit, purge (KEEP=1 leaves it running)
	@.ci/need go
	@.ci/need redis-server || true
	@TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && $(GO) run ./cmd/demo $(if $(KEEP),-keep)

test: lint race e2e ## everything that needs no real Odoo

unit: ## compiled and interpreted, without Traefik
	@.ci/need go
	$(TEST) -short ./...

race: ## compiled, with the race detector
	@.ci/need go
	@.ci/need redis-server
	CGO_ENABLED=1 $(TEST) -race -short -timeout 20m ./...

e2e: ## interpreted, with real Redis, and in a real Traefik
	@.ci/need go
	@.ci/need redis-server
	@.ci/need nginx
	@TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && $(TEST) -timeout 20m ./...

test-faults: ## everything that can fail, one after the other, and a minute without Redis
	@.ci/need go
	@.ci/need redis-server
	@TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && LONG=1 OUTAGE_SECONDS=$(OUTAGE_SECONDS) \
		$(TEST) -v -count=1 -timeout 20m ./test/stack ./test/faults

soak: ## a day in fast motion: SOAK_REQUESTS requests
	@.ci/need go
	@.ci/need redis-server
	@TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && SOAK_REQUESTS=$(SOAK_REQUESTS) \
		$(GO) test -v -count=1 -timeout 3h ./test/soak

bench: ## hits, misses and bypasses against Traefik alone, in ratios (ROUNDS=1 SECONDS=1 CASES='304|tags': quickly)
	@.ci/need go
	@.ci/need redis-server
	@.ci/need wrk
	@set -o pipefail; TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && LONG=1 BENCH_ROUNDS=$(ROUNDS) BENCH_SECONDS=$(SECONDS) BENCH_CASES='$(CASES)' \
		$(GO) test -v -count=1 -timeout 60m ./test/bench | $(REPORT)

bench-profile: ## where Traefik's processor time goes, into docs/performance.md (SECONDS=6: of each case; CASES=miss: shown only)
	@.ci/need go
	@.ci/need redis-server
	@.ci/need wrk
	@set -o pipefail; TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && LONG=1 BENCH_SECONDS=$(SECONDS) BENCH_CASES='$(CASES)' \
		$(GO) test -v -count=1 -timeout 20m ./test/bench/profile | $(REPORT)

bench-gzip: ## what each level of gzip takes, into docs/performance.md
	@.ci/need go
	@set -o pipefail; LONG=1 $(GO) test -v -count=1 ./test/bench/gzip | $(REPORT)

bench-steps: ## the steps of hits, misses and bypasses inside the interpreter, against their budgets
	@.ci/need go
	@.ci/need redis-server
	@set -o pipefail; LONG=1 $(GO) test -v -count=1 -timeout 10m ./test/bench/steps | $(REPORT)

bench-cost: ## processor time of requests that are as large as servers take, inside the interpreter and in Traefik
	@.ci/need go
	@set -o pipefail; TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && \
		LONG=1 $(GO) test -v -count=1 -timeout 20m ./test/bench/cost | $(REPORT)

bench-tenants: ## what a thousand tenants cost in one Traefik, and what a noisy one costs the others (TENANTS=300: fewer; NOISE=4000: seconds of each noise)
	@.ci/need go
	@.ci/need redis-server
	@set -o pipefail; TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && LONG=1 TENANTS='$(TENANTS)' NOISE='$(NOISE)' \
		$(GO) test -v -count=1 -timeout 24h -run '^Test(Tenants|NoisyTenant)$$' ./test/bench/tenants | $(REPORT)

lint: ## gofmt, go vet, and golangci-lint or staticcheck
	@.ci/need go
	@.ci/lint

fuzz: ## each fuzz target for FUZZTIME
	@.ci/fuzz $(FUZZTIME)

test-purge: ## purges under load and faults, in two replicas (DURATION=10m: the long form)
	@.ci/need go
	@.ci/need redis-server
	@TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && \
		PURGE_DURATION=$(DURATION) $(GO) test -v -count=1 -timeout 24h ./test/purges

test-mutations: ## puts each fault of a list into a copy of the source, and runs the test that has to find it
	@.ci/need go
	@.ci/need redis-server
	@TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && LONG=1 $(GO) test -v -count=1 -timeout 90m ./test/mutations

test-conformance: ## the public suite for HTTP caches (CACHE_TESTS=folder: a checkout of http-tests/cache-tests)
	@.ci/need go
	@.ci/need redis-server
	@.ci/need node
	@[ -d '$(CACHE_TESTS)' ] || { echo "CACHE_TESTS names no checkout of https://github.com/http-tests/cache-tests" >&2; exit 1; }
	@set -o pipefail; TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && CACHE_TESTS='$(CACHE_TESTS)' \
		$(GO) test -v -count=1 -timeout 20m ./test/conformance | $(REPORT)

test-servers: ## what depends on the server, with Redis 6.0, Redis 8 and Valkey 8, on Debian
	@.ci/need go
	@TRAEFIK="$$(test/stack/traefik/build)" && export TRAEFIK && servers="$$(test/stack/servers/get)" && \
		echo "$$servers" | while read -r name folder; do \
			echo "with $$name" && export PATH="$$folder:$$PATH" && \
			$(TEST) -count=1 ./cache/resp ./cache/storage/... ./cache/tier && \
			PURGE_DURATION=20s $(TEST) -count=1 -timeout 20m ./test/traefik ./test/purges && \
			$(TEST) -count=1 -timeout 20m -run '^Test(ReadmeACL|TheShortWay|Session|Purge)' ./test/repo ./test/behaviour || exit 1; \
		done

test-odoo: ## against a real Odoo 19, on Linux as root (RUN=TestOdooAssets: one test)
	@.ci/need go
	@.ci/need redis-server
	@.ci/need debootstrap
	@.ci/need chromium || true
	@TRAEFIK="$$(test/stack/traefik/build)" && lines="$$(test/odoo/19/up $(SITES))" && \
		set -a && export TRAEFIK && eval "$$lines" && \
		test/odoo/table $(GO) test -v -count=1 -timeout 40m -run '$(RUN)' ./test/odoo
	@[ '$(RUN)' != '^TestOdoo' ] || [ '$(SITES)' = plain ] || test/odoo/19/selftest

test-odoo14: ## against a real Odoo 14, the same way (RUN=TestOdoo14Files: one test)
	@.ci/need go
	@.ci/need redis-server
	@.ci/need debootstrap
	@TRAEFIK="$$(test/stack/traefik/build)" && lines="$$(test/odoo/14/up)" && \
		set -a && export TRAEFIK && eval "$$lines" && \
		test/odoo/table $(GO) test -v -count=1 -timeout 20m -run '$(RUN)' ./test/odoo

replay: ## visits of a browser in a shop of Odoo 19: how many documents are hits, and why the others are none
	@.ci/need go
	@.ci/need redis-server
	@.ci/need debootstrap
	@.ci/need chromium
	@set -o pipefail; TRAEFIK="$$(test/stack/traefik/build)" && lines="$$(ODOO_TARGET="$$PWD/test/odoo/replay" test/odoo/19/up $(filter-out geoip tenants,$(SITES)))" && \
		set -a && export TRAEFIK && eval "$$lines" && \
		$(GO) test -v -count=1 -timeout 60m -run '^TestReplay' ./test/odoo | $(REPORT)

bench-odoo: ## Odoo directly against the same pages from the cache
	@.ci/need go
	@.ci/need redis-server
	@.ci/need debootstrap
	@set -o pipefail; TRAEFIK="$$(test/stack/traefik/build)" && lines="$$(test/odoo/19/up plain)" && \
		set -a && export TRAEFIK && eval "$$lines" && \
		LONG=1 $(GO) test -v -count=1 -timeout 30m ./test/odoo/bench | sed -n '/milliseconds/I,/^---/p'

odoo: ## start that Odoo and print where it is (FRESH=1: with its first data again)
	@.ci/need debootstrap
	@test/odoo/19/up $(if $(FRESH),--fresh) $(SITES)

odoo-down: ## stop it, and Odoo 14
	@test/odoo/19/down
	@[ ! -d "$${ODOO14_ROOT:-$${XDG_CACHE_HOME:-$$HOME/.cache}/odoocache/odoo14}" ] || test/odoo/14/down

traefik: ## build the Traefik that the tests use, once, and print its path
	@test/stack/traefik/build

clean: ## remove what tests have left behind
	$(GO) clean -testcache
