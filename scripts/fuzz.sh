#!/usr/bin/env bash
# fuzz.sh TIME [plain]: fuzzes every fuzz target of the module for TIME, such as 1m, with as many of them at
# once as there are cores.
#
# Each runs with GOMEMLIMIT, and under a hard bound: an input that makes a decoder allocate without measure
# ends it with "out of memory", and is kept in testdata as any other fault.
#
# With plain the tests are compiled as usual, not instrumented for coverage: the packages are compiled already,
# and new inputs are found by chance alone.
set -euo pipefail

export EACH=${1:?"how long for each target, such as 1m"}
export GOMEMLIMIT=${GOMEMLIMIT:-256MiB}
export BOUND=$((1 << 20)) # KiB of data of one process
export OUT CACHE
CACHE=$(go env GOCACHE)/fuzz
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT

instrument=(-fuzz Fuzz)
[ "${2-}" = plain ] && instrument=()
targets=()
while read -r dir; do
	binary=$OUT/${dir//\//-}.test
	go test -c "${instrument[@]}" -o "$binary" "./$dir"
	while read -r target; do
		targets+=("$dir $binary $target")
	done < <(git grep -h "^func Fuzz" -- ":(glob)$dir/*_test.go" | sed 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/')
done < <(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u)

# fuzz DIR BINARY TARGET: prints one line, or all of the output if an input failed. Go's fuzzer sometimes takes the end of
# its time for a fault of the target ("context deadline exceeded", golang/go#75804); no input is kept then.
fuzz() {
	local log=$OUT/$3.$$
	if (cd "$1" && ulimit -d "$BOUND" && "$2" -test.run '^$' -test.fuzz "^$3\$" -test.fuzztime "$EACH" -test.parallel 1 \
		-test.fuzzcachedir "$CACHE/$1") >"$log" 2>&1 ||
		{ grep -q '^ *context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic|_test\.go:|out of memory' "$log"; }; then
		echo "$1 $3: $(grep -o 'execs: [0-9]*' "$log" | tail -n 1)"
	else
		echo "$1 $3: FAILED"
		cat "$log"
		return 1
	fi
}
export -f fuzz

printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -L 1 bash -c 'fuzz "$@"' fuzz
echo "${#targets[@]} targets for $EACH each, without a fault"
