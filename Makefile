# The commands of the project; `make` alone lists them.
#
# run, test and lint first install what the machine lacks (scripts/setup.sh,
# which returns at once when nothing is missing).

GO         ?= go
PKG        ?= ./...
ARGS       ?=
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
REVISION   ?= $(shell git rev-parse HEAD 2>/dev/null)
# Go's own stamp of the revision fails in a checkout that somebody else owns.
BUILDFLAGS  = -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION) -X main.revision=$(REVISION)'
# Its module is apart, so that who uses ours does not meet what only lint needs.
STATICCHECK = $(GO) tool -modfile=tools/go.mod staticcheck

.DEFAULT_GOAL := help
.PHONY: help setup build run test lint fmt clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install libzmq and what else is missing (Debian; needs root only then)
	@bash scripts/setup.sh

build: setup ## build bin/gateway
	$(GO) build $(BUILDFLAGS) -o bin/gateway ./cmd/gateway

run: build ## build and start the gateway with its embedded broker (ARGS="--listen :8080 …")
	@exec bin/gateway serve --log-format console $(ARGS)

test: setup ## run the tests under the race detector (PKG=./internal/… for some of them)
	@# The race detector makes sync.Pool forget, so what counts allocations runs without it too.
	$(GO) test -run Allocat ./internal/httpapi/codec
	$(GO) test -race $(PKG)

lint: setup ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then printf 'gofmt -w is needed on:\n%s\n' "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(STATICCHECK) ./...

fmt: ## gofmt all files
	gofmt -w .

include bench/bench.mk

clean: ## remove what build made
	rm -rf bin

include deploy/deploy.mk

include examples/examples.mk

include tools/web/web.mk

include chaos/chaos.mk
