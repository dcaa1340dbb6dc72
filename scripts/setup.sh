#!/usr/bin/env bash
# Installs what building, running and testing need beyond Go: libzmq with its
# headers, a C compiler, and for the tests Python with pyzmq. It looks for the
# things themselves, not for packages, so it is quick and silent when nothing is
# missing, and works wherever they came from. Further packages may be named, each
# of which brings a command of its name: scripts/setup.sh spin.
set -euo pipefail

missing=() # Debian's packages for what was not found
need() {   # need PACKAGE COMMAND…: the package is missing if the command fails
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}

# cc_links says whether a C program can be compiled and linked: a compiler
# without the C library's headers passes `gcc --version`.
cc_links() {
	echo 'int main(void) { return 0; }' | gcc -include stdlib.h -x c -o /dev/null -
}

need make command -v make
need gcc command -v gcc
need libc6-dev cc_links
need pkg-config command -v pkg-config
need libzmq3-dev pkg-config --exists 'libzmq >= 4.3.4'
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
need curl command -v curl
need iproute2 command -v ip
# The system's own Python: the one first in PATH may be another, without pyzmq.
need python3 test -x /usr/bin/python3
need python3-zmq /usr/bin/python3 -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("zmq") is None)'
for package; do
	need "$package" command -v "$package"
done

if ! command -v go >/dev/null; then
	echo "setup: go is not in PATH: install Go $(sed -n 's/^go //p' "$(dirname "$0")/../go.mod") or later from https://go.dev/dl/" >&2
	exit 1
fi
if ((${#missing[@]} == 0)); then
	exit 0
fi

install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null; then
	echo "setup: missing ${missing[*]} (Debian's names): install them with this system's package manager" >&2
	exit 1
fi
if ((EUID != 0)); then
	echo "setup: missing ${missing[*]}; as root: $install" >&2
	exit 1
fi
echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null >&2
apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
