#!/usr/bin/env bash
# Installs the linters, the fuzzer and the client generators of this folder below DOMICILE_CACHE, as package-lock.json and requirements.txt
# pin them, and prints the folder. It does nothing when they are there.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOOLS=${DOMICILE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/domicile}/documents

missing=
lacks() { echo "missing: $1" >&2; missing=1; }
node=$(node -p 'process.versions.node.split(".")[0]' 2> /dev/null || echo 0)
[ "$node" -ge 20 ] || lacks "Node 20 or newer: Redocly, Spectral and TypeScript run in it"
command -v npm > /dev/null || lacks "npm: it installs them"
python=
for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 "$HOME"/.pyenv/versions/3.1[123].*/bin/python3; do
  "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null && { python=$candidate; break; }
done
[ -n "$python" ] || lacks "Python 3.11, 3.12 or 3.13 with venv (or name it in PYTHON): schemathesis runs in it"
[ -z "$missing" ] || exit 1

stamp=$(cat "$HERE/package-lock.json" "$HERE/requirements.txt" | sha256sum | cut -c1-16)
if [ "$(cat "$TOOLS/stamp" 2> /dev/null)" != "$stamp" ]; then
  echo "installing linters, fuzzer and generators into $TOOLS" >&2
  rm -rf "$TOOLS"
  mkdir -p "$TOOLS/node"
  cp "$HERE/package.json" "$HERE/package-lock.json" "$TOOLS/node"
  npm ci --prefix "$TOOLS/node" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  "$python" -m venv "$TOOLS/python"
  "$TOOLS/python/bin/pip" install --quiet --disable-pip-version-check -r "$HERE/requirements.txt" >&2
  echo "$stamp" > "$TOOLS/stamp"
fi
echo "$TOOLS"
