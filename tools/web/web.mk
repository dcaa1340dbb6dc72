# What needs npm: the page of GET /docs, and what judges the gateway from a browser
# and the contract. `make build` and `make test` need none of it. Included by the
# Makefile.

# The version of Stoplight Elements.
ELEMENTS  = 9.0.25
# A test that hangs is ended, and what it started with it.
NODE_TEST = BINARY=bin/gateway PROVIDER=bin/provider timeout 15m node --test --test-reporter=spec

.PHONY: docs-assets web-setup test-web api-lint test-typescript test-clients web-check console console-check

docs-assets: ## take the files of GET /docs that are not ours from npm
	@bash scripts/docs-assets.sh $(ELEMENTS)

console: web-setup ## build the page of GET /console from console/ (the built files are committed)
	@npm run --silent --prefix console build

console-check: console # the committed files are those of a fresh build
	@git diff --exit-code --stat -- internal/httpapi/console || { echo 'run make console and commit internal/httpapi/console'; exit 1; }

web-setup: # Chromium, Node.js and npm packages (Debian; needs root only then)
	@bash scripts/web-setup.sh tools/web tools/clients examples/typescript console

test-web: build provider web-setup ## run examples/browser and GET /docs in Chromium (installs it, Node.js and npm packages)
	$(NODE_TEST) tools/web/*.test.mjs

api-lint: build web-setup ## hold the contract, as written and as served, to Spectral's rules (half a minute)
	$(NODE_TEST) tools/web/lint.mjs

test-typescript: build web-setup ## generate examples/typescript's types from a gateway at work, compile and run it
	$(NODE_TEST) tools/web/typescript.mjs

test-clients: build web-setup ## generate clients with openapi-typescript, @hey-api/openapi-ts and oapi-codegen, compile and run them
	$(NODE_TEST) tools/web/clients.mjs

web-check: console-check test-web api-lint test-typescript test-clients ## all of them (3 minutes)
