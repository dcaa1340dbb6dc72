#!/usr/bin/env bash
# Installs what building, running and testing need beyond Go: libzmq with its
# headers, a C compiler, and for the tests Python with pyzmq. Further packages may
# be named, each of which brings a command of its name: scripts/setup.sh spin.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/debian.sh"

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
need python3 test -x /usr/bin/python3
need python3-zmq have_python zmq
for package; do
	need "$package" command -v "$package"
done

if ! command -v go >/dev/null; then
	echo "setup: go is not in PATH: install Go $(sed -n 's/^go //p' "$here/../go.mod") or later from https://go.dev/dl/" >&2
	exit 1
fi
install_missing
