#!/usr/bin/env bash
# fuzz.sh TIME: fuzzes every fuzz target of the module for TIME, such as 1m.
#
# Each runs with GOMEMLIMIT, and under a hard bound: an input that makes a decoder allocate
# without measure ends it with "out of memory", and is kept in testdata as any other fault.
set -euo pipefail

each=${1:?"how long for each target, such as 1m"}
export GOMEMLIMIT=${GOMEMLIMIT:-256MiB}
bound=$((1 << 20)) # KiB of data of one process

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0
for dir in $(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do
	go test -c -fuzz Fuzz -o "$out/fuzz.test" "./$dir"
	for target in $(go test -list '^Fuzz' "./$dir" | grep '^Fuzz'); do
		echo "== $dir $target"
		if ! (cd "$dir" && ulimit -d "$bound" && "$out/fuzz.test" -test.run '^$' -test.fuzz "^$target\$" \
			-test.fuzztime "$each" -test.fuzzcachedir "$(go env GOCACHE)/fuzz/$dir") >"$out/log" 2>&1; then
			failed=1
			cat "$out/log"
		else
			tail -n 2 "$out/log" | head -n 1
		fi
	done
done
exit $failed
