#!/usr/bin/env bash
# Measures what a gateway with the settings of deploy/kubernetes takes of CPU and
# memory under stated loads, for docs/operations.md. It takes a minute and a half.
#
#   deploy/measure.sh GATEWAY [SECONDS]
#
# Broker, workers, gateway and wrk share the machine. CPU is the gateway's alone, by
# /proc; memory its resident set, the most during a load and what is left after it.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
gateway=$(realpath "$1") seconds=${2:-10}
work=$(mktemp -d) pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT

start() { # start NAME COMMAND…, which logs to $work/NAME
	local name=$1
	shift
	"$@" 2>"$work/$name" &
	pids+=($!)
}

logged() { # logged NAME TEXT FIELD: waits for a line of the log, prints its field
	local line
	for ((i = 0; i < 200; i++)); do
		if line=$(grep -m1 -- "$2" "$work/$1" 2>/dev/null); then
			sed -E "s/.*\"$3\":\"([^\"]*)\".*/\1/" <<<"$line"
			return
		fi
		sleep 0.1
	done
	cat "$work/$1" >&2
	return 1
}

start broker "$gateway" broker --bind 'tcp://127.0.0.1:*'
broker=$(logged broker 'broker listens' endpoint)
start worker "$gateway" worker --broker "$broker" --concurrency 16
sed "s|tcp://mdp-broker:5555|$broker|; s|:8080|127.0.0.1:0|; s|:8081|127.0.0.1:0|; s|^drain-delay.*||; s|^drain:.*|drain: 1s|" \
	"$here/kubernetes/base/gateway.yaml" >"$work/gateway.yaml"
limit=705MiB # what the gateway sets in the Deployment's 1 GiB
start gateway env GOMEMLIMIT="$limit" "$gateway" serve --config "$work/gateway.yaml" --broker "$broker"
pid=${pids[-1]}
api=http://$(logged gateway '"server":"api"' address)
admin=http://$(logged gateway '"server":"admin"' address)
until curl -sf "$api/services/echo" --json '{}' -o /dev/null; do sleep 0.2; done

ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
kib() { awk -v k="$1:" '$1 == k { print $2 }' "/proc/$pid/status"; }
calls() { curl -s "$admin/metrics" | awk '/^mdp_gateway_requests_total/ { n += $2 } END { print n + 0 }'; }
rejected() { curl -s "$admin/metrics" | awk '/^mdp_gateway_rejected_total/ { n += $2 } END { print n + 0 }'; }

row() { # row NAME COMMAND…: the load is the command
	local name=$1 before calls0 rejected0 used n
	shift
	echo 5 >"/proc/$pid/clear_refs" # the peak begins anew
	before=$(ticks) calls0=$(calls) rejected0=$(rejected)
	SECONDS=0
	"$@" >/dev/null
	used=$(($(ticks) - before)) n=$(($(calls) - calls0))
	awk -v name="$name" -v used="$used" -v n="$n" -v s="$seconds" -v hz="$(getconf CLK_TCK)" -v peak="$(kib VmHWM)" -v rest="$(kib VmRSS)" \
		-v refused="$(($(rejected) - rejected0))" 'BEGIN {
		printf "| %s | %d | %s | %.2f | %d | %d | %d |\n", name, n / s, n ? int(used / hz / n * 1e6) : "", used / hz / s, peak / 1024, rest / 1024, refused }'
}

load() { # load CONNECTIONS SIZE TYPE
	cat >"$work/post.lua" <<-LUA
		wrk.method = "POST"
		wrk.headers["Content-Type"] = "$3"
		local payload = string.rep("x", $2)
		wrk.body = "$3" == "application/json" and '{"body":"' .. payload .. '"}' or payload
	LUA
	wrk -t1 -c"$1" -d"${seconds}s" --timeout 30s -s "$work/post.lua" "$api/services/echo"
}

stuck() { # as many calls as the pool has connections, which all wait
	seq 230 | xargs -P 230 -I{} curl -s -m 60 -o /dev/null "$api/services/sleep?timeout=${seconds}s" --json '{"body":"1m"}'
}

echo "$(nproc) cores, $("$gateway" version); GOMEMLIMIT=$limit, $(grep -o 'max-buffered:.*' "$work/gateway.yaml")"
echo '| load | calls/s | CPU, µs a call | cores | most MiB | MiB after it | refused |'
echo '|---|---|---|---|---|---|---|'
row 'none' sleep "$seconds"
row '64 B of JSON, 64 connections' load 64 64 application/json
row '230 calls that wait until they time out' stuck
row '64 KiB raw, 32 connections' load 32 65536 application/octet-stream
row '1 MiB raw, 32 connections' load 32 1048576 application/octet-stream
row '8 MiB raw, 32 connections' load 32 8388608 application/octet-stream
