#!/bin/bash
# Checks lease.pml with spin, exhaustively: with all rules nothing is found; with
# each rule removed a counter-example is, which is kept here beside the model.
set -euo pipefail
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
model=$PWD/lease.pml

# check NAME holds|fails [DEFINITION…]
check() {
	local name=$1 want=$2 found=holds
	shift 2
	mkdir "$build/$name"
	cd "$build/$name"
	spin -a "$@" "$model"
	gcc -O2 -w -DSAFETY -DREACH -DCOLLAPSE -o pan pan.c
	./pan -i -m1000000 -w24 >pan.out
	if ls lease.pml.trail >/dev/null 2>&1; then found=fails; fi
	if grep -q 'max search depth too small\|out of memory' pan.out; then found=incomplete; fi
	printf '%-28s %-6s %s\n' "${*:-all rules}" "$found" "$(grep -o '[0-9]* states, stored' pan.out)"
	if [ "$found" != "$want" ]; then
		cat pan.out >&2
		echo "$name: $found, want $want" >&2
		exit 1
	fi
	cd - >/dev/null
	if [ "$want" = fails ]; then
		(cd "$build/$name" && spin -p -t -k lease.pml.trail "$@" "$model") |
			sed "s|$model|lease.pml|; s|$build/$name/||" |
			grep -v '^ *[0-9]*:.*\[(1)\]$\|^spin: trail\|^Never' >"counterexamples/$name.txt"
	fi
}

mkdir -p counterexamples
check all-rules holds
check two-in-flight fails -DNO_SINGLE
check kept-after-timeout fails -DNO_CLOSE
check ids-begin-again fails -DNO_RANDOM
check any-service fails -DNO_SERVICE
check kept-unsent fails -DNO_IMMEDIATE
check reuse fails -DREUSE
check reuse-timely holds -DREUSE -DTIMELY
check reuse-timely-not-empty fails -DREUSE -DTIMELY -DNO_EMPTY
check late holds -DLATE
check late-reuse-timely holds -DLATE -DREUSE -DTIMELY
check late-not-leased fails -DLATE -DNO_LATE_LEASE
check late-kept-when-over fails -DLATE -DNO_LATE_CLOSE
