# Tests that take minutes or hours. Included by the Makefile.

CHAOS ?= 10m
SOAK  ?= 1h
RATE  ?= 100
JOBS  ?= 2m
.PHONY: chaos chaos-jobs overload hostile soak model

chaos: setup ## kill, stop, cut and cancel for ten minutes and account for every call (CHAOS=1h for longer)
	$(GO) test -v -count=1 -timeout 0 -run TestChaos ./chaos -chaos $(CHAOS)

chaos-jobs: setup nats-server ## kill gateways and NATS servers, and cut a server's power, for two minutes while they have jobs, and account for every job (JOBS=10m for longer)
	MDP_NATS_REQUIRED=1 $(GO) test -v -count=1 -timeout 0 -run 'TestJobs(InNATS)?Survive(Kills|PowerCuts)' ./chaos -jobs $(JOBS)

overload: setup ## three times the load that can be done, and 10,000 timeouts and leavers in a minute; judges times
	$(GO) test -v -count=1 -run 'TestThreeTimesTheLoad|TestAStorm' ./chaos -timed

hostile: setup ## what strangers send, with 10,000 connections, at a gateway of 1 GiB; prints memory and times, 10 minutes
	@$(GO) test -v -count=1 -timeout 30m -run 'TestStrangers|TestACallerIsAnsweredAmong' ./chaos -hostile -timed 2>&1 | awk '\
	{ print } /^FAIL/ { failed = 1 } /figure: / { sub(/.*figure: /, ""); figures = figures "\n  " $$0 } \
	END { print "\nthe figures of docs/security.md:" figures; exit failed }'

soak: setup ## an hour of steady load: memory, files and goroutines at start, middle and end (SOAK=10m, RATE=100 calls a second)
	$(GO) test -v -count=1 -timeout 0 -run TestSoak ./chaos -soak $(SOAK) -rate $(RATE)

model: ## check the model of the lease protocol, and that each rule is needed (with spin, which it installs)
	@bash scripts/setup.sh test spin
	@bash docs/model/check.sh
