#!/usr/bin/env bash
# Builds the gateway as one static program, with the libzmq that pkg-config finds
# (see libzmq-static.sh).
#
#   static-build.sh OUTPUT VERSION REVISION
#
# The linker warns of getaddrinfo, getpwuid and getgrgid, which need the C
# library's modules at run time. libzmq calls them for names and for filters on
# ipc:// peers: the gateway gives it addresses only and sets no filter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec env CGO_ENABLED=1 "${GO:-go}" build -trimpath -buildvcs=false -tags netgo,osusergo -o "$1" -ldflags \
	"-s -w -buildid= -X main.version=$2 -X main.revision=$3 -linkmode external -extldflags '-static -lsodium -lstdc++ -lm -lpthread'" ./cmd/gateway
