#!/usr/bin/env bash
# The tests of what developers see that need more than Go: the documents with linters, a fuzzer and clients of other languages, and the portal in
# a browser. What they need is installed below DOMICILE_CACHE, but for Chromium, Node and Python, which are the system's. Pictures of all
# pages go to SHOTS (default: bin/docs).
set -euo pipefail
cd "$(dirname "$0")/../.."
CACHE=${DOMICILE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/domicile}
GO=${GO:-go}
PLAYWRIGHT=1.64.1
AXE=4.14.1

need() { # need COMMAND PACKAGE WHAT-FOR
  command -v "$1" > /dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "== installing $2"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" > /dev/null && return
  fi
  echo "test-docs.sh: $1 is needed ($3). Install it, e.g. with: sudo apt-get install $2" >&2
  exit 1
}

if [ -z "${CHROMIUM:-}" ]; then
  CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
  if [ -z "$CHROMIUM" ]; then
    need chromium chromium "the portal is looked at with it; or name a browser in CHROMIUM"
    CHROMIUM=$(command -v chromium)
  fi
fi
need node nodejs "it drives the browser, version 20 or newer"
need npm npm "it fetches the browser's driver"
need curl curl "the portal's samples are run"
need python3 python3 "the portal's samples are run"

modules=$CACHE/docs
if [ "$(cat "$modules/versions" 2> /dev/null)" != "playwright-core $PLAYWRIGHT axe-core $AXE" ]; then
  echo "== fetching playwright-core $PLAYWRIGHT and axe-core $AXE"
  rm -rf "$modules"
  mkdir -p "$modules"
  echo '{"private":true}' > "$modules/package.json"
  npm install --prefix "$modules" --silent --no-audit --no-fund --ignore-scripts "playwright-core@$PLAYWRIGHT" "axe-core@$AXE"
  echo "playwright-core $PLAYWRIGHT axe-core $AXE" > "$modules/versions"
fi

export CHROMIUM DOMICILE_DOCS_MODULES=$modules DOMICILE_DOCS_SHOTS=${SHOTS:-$PWD/bin/docs}

test/docs/documents/tools.sh > /dev/null
"$GO" test -tags docs -count=1 -timeout 20m -v ./test/docs/...
