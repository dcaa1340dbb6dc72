#!/usr/bin/env bash
# Builds a libzmq that can be linked statically, from the source package of the
# Debian it runs on, into the directory given. Debian's own libzmq.a will not do:
# it wants GSSAPI, of which there is no static library.
#
#   libzmq-static.sh PREFIX
set -euo pipefail
prefix=${1:?want the directory to install to}
version=4.3.4
[[ -e $prefix/lib/libzmq.a ]] && exit 0

. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"
need cmake command -v cmake
need g++ command -v g++
need make command -v make
need pkg-config command -v pkg-config
need dpkg-dev command -v dpkg-source
need libsodium-dev pkg-config --exists libsodium
install_missing

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt drops its privileges

# A list of sources of its own: the machine's is left as it is. apt checks the
# archive's signature and with it every file.
. /etc/os-release
mkdir -p "$work"/{lists/partial,cache/archives/partial}
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $VERSION_CODENAME main" >"$work/sources.list"
apt=(apt-get -q -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache")
cd "$work"
"${apt[@]}" update </dev/null >&2
"${apt[@]}" source zeromq3 </dev/null >&2
source=$(echo "$work"/zeromq3-"$version"*)

# CURVE of libsodium is the one thing that is needed beside the sockets.
cmake -S "$source" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib \
	-DBUILD_SHARED=OFF -DBUILD_STATIC=ON -DBUILD_TESTS=OFF -DWITH_PERF_TOOL=OFF -DWITH_DOCS=OFF \
	-DWITH_LIBSODIUM=ON -DENABLE_CURVE=ON -DWITH_NORM=OFF -DWITH_OPENPGM=OFF -DWITH_LIBBSD=OFF \
	-DENABLE_WS=OFF -DWITH_TLS=OFF -DENABLE_DRAFTS=OFF >&2
cmake --build "$work/build" --parallel "$(nproc)" --target install >&2
