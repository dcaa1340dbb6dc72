#!/usr/bin/env bash
# Every kind of call with curl. The script shows each call and checks its answer.
#
#   examples/curl.sh [URL]
#
# URL is a gateway with the demo worker, as `make run` starts it (default
# http://127.0.0.1:8080). The script needs curl 7.82 or later, for --json. If KEY is
# set, it is sent as the key. The script ends with 1 at the first wrong answer.
set -euo pipefail

url=${1:-http://127.0.0.1:8080}
auth=()
if [[ -n ${KEY:-} ]]; then
	auth=(-H "Authorization: Bearer $KEY")
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" # the samples and what comes back

# call STATUS ARGUMENT… runs curl on a path of the gateway, its last argument,
# and leaves the answer in $body and its headers in $head.
call() {
	local want=$1 path=${*: -1} status
	local -a arguments=("${@:2:$#-2}")
	show curl "${arguments[@]}" "$url$path"
	status=$(curl -sS --max-time 30 -D head -o body -w '%{http_code}' "${auth[@]}" "${arguments[@]}" "$url$path")
	head=$(tr -d '\r' <head)
	body=$(tr -d '\0' <body)
	if LC_ALL=C grep -q '[^[:print:][:space:]]' body; then
		printf '%s, %s bytes\n' "$status" "$(wc -c <body)"
	else
		printf '%s %s\n' "$status" "${body:0:400}"
	fi
	[[ $status == "$want" ]] || wrong "status $want"
}

# show prints a command as one would type it.
show() {
	local word
	printf '\n$'
	for word; do
		[[ $word =~ ^[A-Za-z0-9@%_./:=-]+$ ]] || word=${word@Q}
		printf ' %s' "$word"
	done
	echo
}

# has TEXT… checks that the answer's body contains each text.
has() {
	local text
	for text; do
		[[ $body == *"$text"* ]] || wrong "$text"
	done
}

# location prints where the answer says that the job is.
location() { sed -n 's/^[Ll]ocation: //p' <<<"$head"; }

wrong() {
	printf 'this is not as it should be, want: %s\n%s\n\n%s\n' "$1" "$head" "$body" >&2
	exit 1
}

echo '# JSON: the body is text, the vars reach the worker as a Python literal.'
call 200 --json '{"body":"hello","vars":{"sf":7,"has_crc":false}}' /services/echo
has '"data":"hello","encoding":"text"' "{'sf': 7, 'has_crc': False}"

echo
echo '# Bytes in JSON are base64.'
call 200 --json '{"body":"AP+AQQ==","encoding":"base64"}' /services/echo
has '"data":"AP+AQQ==","encoding":"base64"'

echo
echo '# Several frames of mixed encodings.'
call 200 --json '{"frames":["first",{"data":"AAEC","encoding":"base64"},{"data":{"x":1},"encoding":"json"}]}' /services/echo
has '"first"' '"AAEC"' '{\"x\":1}'

echo
echo '# Samples go in and out untouched; the vars are in a header, or in ?vars=.'
head -c 65536 /dev/urandom >samples.bin
call 200 --data-binary @samples.bin -H 'Content-Type: application/octet-stream' -H 'Flowgraph-Vars: {"sf":7}' '/services/echo?frame=0'
cmp samples.bin body || wrong 'the samples as they were sent'

echo
echo '# A form: a part per frame, and the part vars.'
call 200 -F 'frame=@samples.bin' -F 'frame=two' -F 'vars={"sf":7}' /services/echo
has '"data":"two","encoding":"text"' "{'sf': 7}"

echo
echo '# Answered with a form, which has bytes in several frames.'
call 200 -F 'frame=one' -F 'frame=two' -H 'Accept: multipart/form-data' /services/echo
has 'name="frame"; filename="frame-0"' 'name="frame"; filename="frame-1"'

echo
echo '# A reply in parts, as lines of JSON while the worker runs.'
call 200 -N --json '{"body":"3"}' -H 'Accept: application/x-ndjson' /services/stream
has '{"event":"partial","seq":0,' '{"event":"final","seq":3,'

echo
echo '# And as server-sent events.'
call 200 -N --json '{"body":"3"}' -H 'Accept: text/event-stream' /services/stream
has 'event: partial' 'event: final'

echo
echo '# A timeout: 504 says that the request was sent, and which limit was reached.'
call 504 --json '{"body":"1s"}' '/services/sleep?timeout=200ms'
has '"code":"timeout"' '"executed":"maybe"' '"limit_by":"?timeout"' '"limit_ms":200'

echo
echo '# Prefer: wait is the same in whole seconds. The granted time comes back as a header.'
call 200 --json '{"body":"10ms"}' -H 'Prefer: wait=10' /services/sleep
[[ ${head,,} == *'preference-applied: wait=10'* ]] || wrong 'Preference-Applied: wait=10'

echo
echo '# A service without workers: 404 says that nothing was sent.'
call 404 --json '{"body":"x"}' /services/nobody-is-here
has '"code":"service_not_found"' '"executed":"no"'

echo
echo '# The problem points to a fault in the envelope.'
call 400 --json '{"payload":"x"}' /services/echo
has '"code":"bad_request"' '"pointer":"#/payload"'

echo
echo '# curl -d sends another kind of form, which is refused with a hint.'
call 415 -d 'x=1' /services/echo
has '"code":"unsupported_media_type"' 'curl -d'

echo
echo '# Your request id is in the answer and in the log.'
call 200 -H 'X-Request-Id: from-curl-1' --json '{"body":"x"}' /services/echo
has '"request_id":"from-curl-1"'

echo
echo '# The message that would be sent: every frame, in hex and as text. It helps to write a worker.'
call 200 --json '{"body":"x","vars":{"sf":7}}' /services/echo/dry-run
has '"service":"echo"' "{'sf': 7}" '"hex":"78"'

echo
echo '# All services, and one of them.'
call 200 /services
has '"name":"echo"'
call 200 /services/echo
has '"name":"echo"' '"availability":"up"'

echo
echo '# A job: the call is sent when it can be, and its reply is read later. A repeated submission is the same job.'
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
call 202 --json '{"body":"300ms"}' -H 'Prefer: respond-async' -H "Idempotency-Key: $key" /services/sleep
job=$(location)
call 202 --json '{"body":"300ms"}' -H 'Prefer: respond-async' -H "Idempotency-Key: $key" /services/sleep
[[ $(location) == "$job" && ${head,,} == *'idempotent-replayed: true'* ]] || wrong "Idempotent-Replayed: true and Location: $job"
call 200 "$job?wait=30s"
has '"state":"done"' '"executed":"yes"'
call 200 "$job/reply"
has '"data":"300ms"'

echo
echo '# Its states and the parts of its reply as they come.'
call 202 --json '{"body":"3"}' -H 'Prefer: respond-async' /services/stream
job=$(location)
call 200 -N "$job/events"
has 'event: state' 'event: partial' 'event: final'

echo
echo '# All jobs; one that is canceled; one that is removed.'
call 200 '/jobs?service=stream&limit=10'
has "\"id\":\"${job#/jobs/}\""
call 202 --json '{"body":"5m"}' -H 'Prefer: respond-async' /services/sleep
job=$(location)
call 200 -X POST "$job/cancel"
has '"state":"canceled"'
call 204 -X DELETE "$job"
call 404 "$job"
has '"code":"job_not_found"'

echo
echo '# The contract, and what each code of a problem means. /docs is for browsers.'
call 200 /openapi.yaml
has 'openapi: 3.1'
call 200 /openapi.json
has '"openapi":"3.1'
call 200 /problems
has 'id="timeout"'
call 200 /docs
has '<elements-api'

echo
echo '# The other routes.'
call 200 /livez
call 200 /readyz
call 200 /version
call 200 /metrics
has 'mdp_gateway_requests_total{outcome="ok",service="echo"}'

printf '\nall as it should be\n'
