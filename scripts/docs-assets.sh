#!/usr/bin/env bash
# Takes what GET /docs shows the contract with, Stoplight Elements and its
# licenses, from npm into internal/httpapi/docs, changes one line of it, checks its sums and
# compresses it. For another version: look at what is new, and write SHA256SUMS anew with
# sha256sum.
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

# Elements writes headers that have no value into its samples of requests; the gateway refuses
# some of them. Its licence wants changed files to say so.
all='map(e=>{var t;return{name:e.name,value:null!==(t=n[e.name])&&void 0!==t?t:""}})'
some='flatMap(e=>n[e.name]?{name:e.name,value:n[e.name]}:[])'
[[ $(grep -oF "$all" web-components.min.js | wc -l) == 1 ]] || { echo "Elements $1 makes its samples in another way" >&2; exit 1; }
script=$(<web-components.min.js)
printf '/* Changed for mdp-gateway: samples of requests leave out headers without a value. */\n%s' "${script/"$all"/"$some"}" >web-components.min.js
sha256sum --check --quiet SHA256SUMS
gzip -9nf web-components.min.js styles.min.css
