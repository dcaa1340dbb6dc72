# The example that needs more than the gateway itself; `make test` runs the others,
# and make test-web those for the browser.

.PHONY: test-gnuradio

test-gnuradio: setup ## run examples/gnuradio, a real flowgraph behind the gateway (installs GNU Radio)
	@bash examples/gnuradio/setup.sh
	@mkdir -p bin
	PLOT=$(CURDIR)/bin/tone.png $(GO) test -race -tags gnuradio -run 'Flowgraph|Tone' -v ./examples
