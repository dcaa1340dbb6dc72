#!/usr/bin/env bash
# Installs what runs a browser and JavaScript: Debian's Chromium and Node.js, and
# in each given folder the npm packages of its package-lock.json.
#
#   scripts/web-setup.sh FOLDER…
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

need chromium test -x /usr/bin/chromium
need nodejs command -v node
need npm command -v npm
install_missing

for folder; do
	# npm writes its own copy of the lock file last: if that is newer, all is there.
	if [[ ! $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ]]; then
		npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error </dev/null >&2
	fi
done
