#!/usr/bin/env bash
# Fetches the reference UI anew from npm into this folder, compressed. With --check it fetches into a temporary folder instead, and fails
# when that differs from what is here. Needs npm.
set -euo pipefail
cd "$(dirname "$0")"

PACKAGE=swagger-ui-dist
VERSION=5.35.0
FILES="swagger-ui-bundle.js swagger-ui.css"
TEXTS="LICENSE NOTICE swagger-ui-bundle.js.LICENSE.txt"

command -v npm > /dev/null || { echo "fetch.sh: npm is needed (Node 20 or newer)" >&2; exit 1; }
into=swagger-ui
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ "${1:-}" != --check ] || into=$work/fetched
mkdir -p "$into"
(cd "$work" && npm pack --silent "$PACKAGE@$VERSION" > /dev/null && tar -xzf "$PACKAGE-$VERSION.tgz")
for f in $TEXTS; do cp "$work/package/$f" "$into/$f"; done
for f in $FILES; do gzip -9 -n -c "$work/package/$f" > "$into/$f.gz"; done
(cd "$work/package" && sha256sum $FILES) > "$into/SHA256SUMS"
echo "$PACKAGE $VERSION" > "$into/VERSION"
if [ "$into" != swagger-ui ]; then
  # Two programs may compress differently; what is inside is what counts.
  for f in $FILES; do
    cmp <(gzip -dc "$into/$f.gz") <(gzip -dc "swagger-ui/$f.gz") || { echo "fetch.sh: swagger-ui/$f.gz is not that of $PACKAGE $VERSION; run: make portal-assets" >&2; exit 1; }
  done
  for f in $TEXTS SHA256SUMS VERSION; do
    cmp "$into/$f" "swagger-ui/$f" || { echo "fetch.sh: swagger-ui/$f is not that of $PACKAGE $VERSION; run: make portal-assets" >&2; exit 1; }
  done
fi
