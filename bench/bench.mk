# The benchmarks: see docs/benchmarks.md. Included by the Makefile.

BENCH_BIN = bin/bench bin/bench-zmq

.PHONY: bench bench-jobs bench-micro bench-setup

bench: build $(BENCH_BIN) ## measure against peers and targets, 11 minutes (BENCH_ROUNDS, BENCH_SECONDS, BENCH_ONLY)
	bin/bench run

bench-jobs: build nats-server ## measure asynchronous calls, in memory, in a file and in NATS, 5 minutes on a quiet machine
	$(GO) run -buildvcs=false ./bench/jobs -gateway bin/gateway

bench-micro: setup ## micro-benchmarks, ready for benchstat (BENCH_COUNT)
	$(GO) test -run '^$$' -bench . -benchmem -count $${BENCH_COUNT:-6} ./internal/... ./cmd/gateway

bench-setup: setup ## install the load generator and the peers (Debian; needs root)
	apt-get update -qq
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		wrk python3-zmq python3-aiohttp python3-flask gunicorn pushpin nginx

bin/bench: FORCE
	$(GO) build -buildvcs=false -o $@ ./bench

bin/bench-zmq: bench/zmq/*.c bench/zmq/*.h
	mkdir -p bin
	gcc -O2 -Wall -Wextra -o $@ bench/zmq/*.c -lzmq

FORCE:
