# signet: `make run` serves a certificate authority, `make test` proves it.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X github.com/signet-ca/signet/internal/cli.release=$(VERSION)
export CGO_ENABLED ?= 0

.PHONY: build run test setup check vet generate bench chaos growth acme fuzz vuln packages clean

build: ## bin/signet, one static binary
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/signet ./cmd/signet

run: build ## create a CA if there is none, show a certificate of it, serve
	./scripts/run bin/signet

setup: ## the Debian packages the tests need
	./scripts/setup

test: setup build check ## everything, with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 15m $$($(GO) list ./... | grep -v /internal/cli$$)
	CGO_ENABLED=1 $(GO) test -race -timeout 15m -skip '^TestScripts$$' ./internal/cli
	$(GO) test -timeout 15m -run '^TestScripts$$' ./internal/cli # the stories, on the binary as it ships

check: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...

generate: ## rewrite the generated reference pages
	$(GO) test ./internal/cli ./internal/config -run 'TestReference' -update

BENCH ?= -operations all
bench: build ## measure; prints the tables of docs/performance.md
	$(GO) run ./cmd/signet-bench $(BENCH)

CHAOSTIME ?= 5m
chaos: ## kill servers and databases under load, each for CHAOSTIME, and SQLite 500 times
	SIGNET_CHAOS=$(CHAOSTIME) $(GO) test ./internal/store -run 'Killed' -count=1 -v -timeout 60m

GROWTH ?= 1000000
growth: ## what an operation costs with GROWTH certificates in the database; docs/explanation/storage.md
	SIGNET_GROWTH=$(GROWTH) $(GO) test ./internal/store -run TestGrowth -count=1 -v -timeout 60m

ACMEORDERS ?= 2000
ACMESWEEP ?= 1000000
acme: ## ACMEORDERS orders of one account on three servers, then ACMESWEEP ended ones swept under load
	SIGNET_ACME_ORDERS=$(ACMEORDERS) SIGNET_ACME_SWEEP=$(ACMESWEEP) $(GO) test ./internal/store -run 'TestACMEOnThreeServers|TestACMESweep' -count=1 -v -timeout 60m

FUZZTIME ?= 30s
fuzz: ## each fuzz target for FUZZTIME
	./scripts/fuzz $(FUZZTIME)

vuln: ## known vulnerabilities of dependencies; needs the internet
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.2.0 ./...

packages: build ## deb and rpm in dist/, checked against lists of their files
	./scripts/packages '$(VERSION)'

clean:
	rm -rf bin dist
