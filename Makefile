# The commands of the project; `make` alone lists them.
#
# build and run install what they lack by `scripts/setup.sh run`, and the tests by
# `scripts/setup.sh test`. Both return at once if nothing is missing.

GO         ?= go
PKG        ?= ./...
ARGS       ?=
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
REVISION   ?= $(shell git rev-parse HEAD 2>/dev/null)
# Go's own stamp of the revision fails in a checkout that belongs to another user.
BUILDFLAGS  = -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION) -X main.revision=$(REVISION)'
# The packages whose tests start whole systems.
SLOW        = /(chaos|deploy|examples)(/|$$)
# Tests that take many seconds of CPU each: make check leaves them out, make test runs them.
HEAVY       = ^(TestSixtyFourMebibytesGoRound|TestAScannerOfManyNamesReachesTheBrokerTwentyTimesASecondAndHarmsNobody|$\
              TestAPairThatChangesUnderLoadFailsNoCall|TestStreamsWhoseAnswersAreNotTakenHoldLittle|TestThreeServers|$\
              TestEveryAnswerIsTheCallersOwn|TestAStormOfTimeOutsAndCancellationsLeavesNothingBehind)$$
# The linters have a module of their own, which keeps them out of the root go.mod.
TOOL        = $(GO) tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help setup setup-run build run check test provider nats-server lint vuln fmt clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what building and testing need (Debian; needs root only if something is missing)
	@bash scripts/setup.sh test

setup-run:
	@bash scripts/setup.sh run

build: setup-run ## build bin/gateway
	@[ -e bin/gateway ] || echo 'compiling bin/gateway: 2 to 3 minutes the first time, then seconds' >&2
	$(GO) build $(BUILDFLAGS) -o bin/gateway ./cmd/gateway

# The demo's catalogue is for the demo worker: not with a file or a broker of your own.
DEMO        = $(if $(filter --config% --broker%,$(ARGS))$(GATEWAY_CONFIG)$(GATEWAY_BROKER),,--config examples/demo/gateway.yaml)

run: build ## build and start the gateway with its embedded broker and demo services (ARGS="--listen :8080 …")
	@exec bin/gateway serve --log-format console $(DEMO) $(ARGS)

# An OpenID provider for tests. It has a module of its own, which keeps it out of the root go.mod.
provider:
	@mkdir -p bin
	@$(GO) -C tools/provider build -trimpath -o $(CURDIR)/bin/provider .

# The server of the tests of jobs over NATS. Its module is its own, too.
nats-server: # a minute the first time
	@mkdir -p bin
	@CGO_ENABLED=0 $(GO) -C tools/nats build -trimpath -ldflags '-s -w' -o $(CURDIR)/bin/ github.com/nats-io/nats-server/v2

check test: export MDP_PROVIDER_REQUIRED = 1
check test: export MDP_NATS_REQUIRED = 1

check: setup provider nats-server ## run the quick tests: all but chaos, deploy, examples, browser and what takes most CPU, without the race detector (2 to 3 minutes)
	@# Most of them wait for other processes, so there may be more at a time than processors. make lint vets.
	$(GO) test -short -skip '$(HEAVY)' -vet=off -p 4 $$($(GO) list ./... | grep -vE '$(SLOW)')

test: setup provider nats-server ## run all Go tests under the race detector (PKG=./internal/… for some of them)
	@# The race detector makes sync.Pool forget, so what counts allocations runs without it too.
	$(GO) test -run Allocat ./internal/httpapi/codec
	@# make lint vets, and more than go test would.
	$(GO) test -race -vet=off -timeout 30m $(PKG)

lint: setup-run ## gofmt, go vet, staticcheck and gosec; type-check for linux/arm64 and darwin/arm64
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then printf 'gofmt -w is needed on:\n%s\n' "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(GO) -C tools vet ./...
	$(GO) -C tools run ./security cmd internal
	$(GO) -C tools run ./portable .. ./api/... ./cmd/... ./internal/...

vuln: ## look for known vulnerabilities in what the gateway uses (needs vuln.go.dev, the database)
	$(TOOL) govulncheck ./cmd/...

fmt: ## gofmt all files
	gofmt -w .

include bench/bench.mk

clean: ## remove what build made
	rm -rf bin

include deploy/deploy.mk

include examples/examples.mk

include tools/web/web.mk

include chaos/chaos.mk

include fuzz.mk
