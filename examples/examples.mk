# The examples that need more than the gateway itself; `make test` runs the others.

.PHONY: test-web

test-web: build ## run examples/browser in Chromium (installs it, Node.js and npm packages)
	@bash examples/browser/test/setup.sh
	cd examples/browser/test && BINARY=$(CURDIR)/bin/gateway node --test browser.test.mjs
