#!/usr/bin/env bash
# Installs what the browser test needs: Debian's Chromium and Node.js, and the
# npm packages of package-lock.json. It is quick and silent when nothing is
# missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

missing=() # Debian's packages for what was not found
[[ -x /usr/bin/chromium ]] || missing+=(chromium)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
if ((${#missing[@]})); then
	install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
	if ! command -v apt-get >/dev/null || ((EUID != 0)); then
		echo "setup: missing ${missing[*]}; as root on Debian: $install" >&2
		exit 1
	fi
	echo "setup: installing ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq </dev/null >&2
	apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
fi

# npm writes its own copy of the lock file last: if that is newer, all is there.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
	npm ci --no-audit --no-fund --loglevel=error >&2
fi
