#!/usr/bin/env bash
# Installs the tools that check deploy/: systemd-analyze, promtool and Prometheus,
# strace. Like setup.sh it looks for the tools themselves and is silent when
# nothing is missing. kustomize, kubeconform and what assembles the image are Go
# programs, built from tools/deploy when they are needed.
set -euo pipefail

missing=()
need() { # need PACKAGE COMMAND
	command -v "$2" >/dev/null || missing+=("$1")
}
need systemd systemd-analyze
need prometheus promtool
need strace strace

if ((${#missing[@]} == 0)); then
	exit 0
fi
install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null; then
	echo "deploy-setup: missing ${missing[*]} (Debian's names): install them with this system's package manager" >&2
	exit 1
fi
if ((EUID != 0)); then
	echo "deploy-setup: missing ${missing[*]}; as root: $install" >&2
	exit 1
fi
echo "deploy-setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null >&2
apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
