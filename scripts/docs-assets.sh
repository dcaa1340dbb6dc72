#!/usr/bin/env bash
# Takes what GET /docs shows the contract with, Stoplight Elements and its
# licenses, from npm into internal/httpapi/docs, checks its sums and compresses it. For another
# version: look at what is new, and write SHA256SUMS anew with sha256sum.
#
#   scripts/docs-assets.sh VERSION
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../internal/httpapi/docs"

package=$(mktemp -d)
trap 'rm -rf "$package"' EXIT
npm pack --silent --pack-destination "$package" "@stoplight/elements@$1" >/dev/null
tar -xzf "$package"/*.tgz -C "$package" --strip-components 1
cp "$package"/{web-components.min.js,web-components.min.js.LICENSE.txt,styles.min.css} .
cp "$package/LICENSE" LICENSE.txt
chmod 644 -- *
sha256sum --check --quiet SHA256SUMS
gzip -9nf web-components.min.js styles.min.css
