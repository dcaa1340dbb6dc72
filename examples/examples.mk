# The examples that need more than the gateway itself; `make test` runs the others.

.PHONY: test-web test-gnuradio

test-web: build ## run examples/browser in Chromium (installs it, Node.js and npm packages)
	@bash examples/browser/test/setup.sh
	cd examples/browser/test && BINARY=$(CURDIR)/bin/gateway node --test browser.test.mjs

test-gnuradio: setup ## run examples/gnuradio, a real flowgraph behind the gateway (installs GNU Radio)
	@bash examples/gnuradio/setup.sh
	@mkdir -p bin
	PLOT=$(CURDIR)/bin/tone.png $(GO) test -race -tags gnuradio -run 'Flowgraph|Tone' -v ./examples
