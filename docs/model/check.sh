#!/bin/bash
# Checks lease.pml, mux.pml and adopt.pml with spin, exhaustively: with all rules nothing is found;
# with each rule removed a counter-example is, which is kept here beside the models.
set -euo pipefail
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
here=$PWD

# check MODEL NAME holds|fails [DEFINITION…]
check() {
	local model=$here/$1 file=$1 name=$2 want=$3 found=holds
	shift 3
	mkdir "$build/$name"
	cd "$build/$name"
	spin -a "$@" "$model"
	gcc -O2 -w -DSAFETY -DREACH -DCOLLAPSE -o pan pan.c
	./pan "${search[@]}" -m1000000 -w24 >pan.out
	if ls "$file.trail" >/dev/null 2>&1; then found=fails; fi
	if grep -q 'max search depth too small\|out of memory' pan.out; then found=incomplete; fi
	printf '%-10s %-28s %-6s %s\n' "$file" "${*:-all rules}" "$found" "$(grep -o '[0-9]* states, stored' pan.out)"
	if [ "$found" != "$want" ]; then
		cat pan.out >&2
		echo "$name: $found, want $want" >&2
		exit 1
	fi
	cd - >/dev/null
	if [ "$want" = fails ]; then
		(cd "$build/$name" && spin -p -t -k "$file.trail" "$@" "$model") |
			sed "s|$model|$file|; s|$build/$name/||" |
			grep -v '^ *[0-9]*:.*\[(1)\]$\|^spin: trail\|^Never' >"counterexamples/$name.txt"
	fi
}

mkdir -p counterexamples
search=(-i) # the shortest counter-example
check lease.pml all-rules holds
check lease.pml two-in-flight fails -DNO_SINGLE
check lease.pml kept-after-timeout fails -DNO_CLOSE
check lease.pml ids-begin-again fails -DNO_RANDOM
check lease.pml any-service fails -DNO_SERVICE
check lease.pml kept-unsent fails -DNO_IMMEDIATE
check lease.pml reuse fails -DREUSE
check lease.pml reuse-timely holds -DREUSE -DTIMELY
check lease.pml reuse-timely-not-empty fails -DREUSE -DTIMELY -DNO_EMPTY
check lease.pml late holds -DLATE
check lease.pml late-reuse-timely holds -DLATE -DREUSE -DTIMELY
check lease.pml late-not-leased fails -DLATE -DNO_LATE_LEASE
check lease.pml late-kept-when-over fails -DLATE -DNO_LATE_CLOSE
search=() # the first one, which is short enough
check mux.pml mux holds
check mux.pml mux-alone holds -DALONE -DMISHAPS=2
check mux.pml mux-same-ids fails -DNO_NEW_ID
check mux.pml mux-same-routing-id fails -DNO_RANDOM
check mux.pml mux-no-word-is-no fails -DNO_MAYBE
check mux.pml mux-no-token fails -DNO_TOKEN
check mux.pml mux-refused-at-work fails -DNO_LOOK
check mux.pml mux-refused-between-workers fails -DNO_GIVEN
check mux.pml mux-late-reply fails -DNO_DROP
check mux.pml mux-canceled-in-queue fails -DNO_REMOVE
check mux.pml mux-after-ttl fails -DNO_DEADLINE
check mux.pml mux-worker-lost-unsaid fails -DNO_GONE
search=(-i)
check adopt.pml adopt holds
check adopt.pml adopt-shared-id fails -DNO_OWN
check adopt.pml adopt-parts fails -DNO_WHOLE
check adopt.pml adopt-changed-record fails -DNO_CAS
check adopt.pml adopt-former-owner fails -DNO_FORMER
check adopt.pml adopt-hard-end fails -DNO_SOFT
