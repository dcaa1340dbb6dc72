# Fuzzing: included by the Makefile.

.PHONY: fuzz fuzz-short

fuzz: setup ## fuzz every decoder for a minute, within bounded memory
	bash scripts/fuzz.sh 1m

fuzz-short: setup ## the same for 5 seconds each, without the long compilation
	bash scripts/fuzz.sh 5s plain
