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

# The machine's sources, asked for source packages: its own lists are left as they
# are. apt checks the archive's signature and with it every file.
mkdir -p "$work"/{sources,lists/partial,cache/archives/partial}
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
	[[ -e $file ]] && sed -E 's/^deb( |$)/deb-src\1/; s/^(Types:).*/\1 deb-src/' "$file" >"$work/sources/$(basename "$file")"
done
apt=(apt-get -q -o Dir::Etc::sourcelist=- -o "Dir::Etc::sourceparts=$work/sources" -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache")
cd "$work"
"${apt[@]}" update </dev/null >&2
"${apt[@]}" source zeromq3 </dev/null >&2
source=$(echo "$work"/zeromq3-"$version"*)

# CURVE of libsodium is the one thing that is needed beside the sockets. Assertions
# name their file: where that lies for a moment must not be part of the program.
map=-ffile-prefix-map=$work=.
cmake -S "$source" -B "$work/build" -DCMAKE_C_FLAGS="$map" -DCMAKE_CXX_FLAGS="$map" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib \
	-DBUILD_SHARED=OFF -DBUILD_STATIC=ON -DBUILD_TESTS=OFF -DWITH_PERF_TOOL=OFF -DWITH_DOCS=OFF \
	-DWITH_LIBSODIUM=ON -DENABLE_CURVE=ON -DWITH_NORM=OFF -DWITH_OPENPGM=OFF -DWITH_LIBBSD=OFF \
	-DENABLE_WS=OFF -DWITH_TLS=OFF -DENABLE_DRAFTS=OFF >&2
cmake --build "$work/build" --parallel "$(nproc)" --target install >&2
