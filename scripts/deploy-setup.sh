#!/usr/bin/env bash
# Installs the tools that check deploy/: systemd-analyze, promtool and Prometheus,
# strace; given the word etcd, also the store of a Kubernetes API server. kustomize,
# kubeconform and what assembles the image are Go programs, built from tools/deploy
# when they are needed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

need systemd command -v systemd-analyze
need prometheus command -v promtool
need strace command -v strace
if [[ ${1-} == etcd ]]; then
	need etcd-server command -v etcd
fi
install_missing
