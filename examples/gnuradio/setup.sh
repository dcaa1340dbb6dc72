#!/usr/bin/env bash
# Installs what this example needs: GNU Radio for the worker, numpy and matplotlib
# for the client, all Debian's.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/debian.sh"

need gnuradio have_python gnuradio
need python3-numpy have_python numpy
need python3-matplotlib have_python matplotlib
need python3-zmq have_python zmq
install_missing
