# Fuzzing: included by the Makefile.

.PHONY: fuzz fuzz-short

fuzz: setup ## fuzz every decoder for a minute, within bounded memory
	bash scripts/fuzz.sh 1m

fuzz-short: setup ## the same for 3 seconds each
	bash scripts/fuzz.sh 3s
