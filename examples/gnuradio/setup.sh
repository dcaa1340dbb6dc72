#!/usr/bin/env bash
# Installs what this example needs: GNU Radio for the worker, numpy and matplotlib
# for the client, all Debian's. It is quick and silent when nothing is missing.
set -euo pipefail

missing=() # Debian's packages for what was not found
for module in gnuradio numpy matplotlib zmq; do
	if ! /usr/bin/python3 -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$module') is None)" 2>/dev/null; then
		case $module in
		gnuradio) missing+=(gnuradio) ;;
		*) missing+=("python3-$module") ;;
		esac
	fi
done
if ((${#missing[@]} == 0)); then
	exit 0
fi
install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null || ((EUID != 0)); then
	echo "setup: missing ${missing[*]}; as root on Debian: $install" >&2
	exit 1
fi
echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null >&2
apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
