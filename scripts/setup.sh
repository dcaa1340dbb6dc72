#!/usr/bin/env bash
# Installs what this project needs beyond Go.
#
#   scripts/setup.sh run              to build and run: a C compiler and libzmq
#   scripts/setup.sh test [PACKAGE…]  to test as well: Python with pyzmq, curl, openssl and ip
#
# Each further Debian package brings a command of its name: scripts/setup.sh test spin.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/debian.sh"

# cc_links reports whether a C program can be compiled and linked. `gcc --version`
# also succeeds without the headers of the C library.
cc_links() {
	echo 'int main(void) { return 0; }' | gcc -include stdlib.h -x c -o /dev/null -
}

need_to_run() {
	need make command -v make
	need gcc command -v gcc
	need libc6-dev cc_links
	need pkg-config command -v pkg-config
	need libzmq3-dev pkg-config --exists 'libzmq >= 4.3.4'
	need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
}

need_to_test() {
	need_to_run
	need curl command -v curl
	need openssl command -v openssl
	need iproute2 command -v ip
	need python3 test -x /usr/bin/python3
	need python3-zmq have_python zmq
}

case ${1-} in
run) need_to_run ;;
test) need_to_test ;;
*)
	echo "usage: setup.sh run|test [PACKAGE…]" >&2
	exit 2
	;;
esac
shift
for package; do
	need "$package" command -v "$package"
done

if ! command -v go >/dev/null; then
	echo "setup: go is not in PATH: install Go $(sed -n 's/^go //p' "$here/../go.mod") or later from https://go.dev/dl/" >&2
	exit 1
fi
install_missing
