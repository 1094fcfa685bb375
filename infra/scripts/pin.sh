#!/usr/bin/env bash
# pin.sh: writes requirements.txt from requirements.in, and package-lock.json from package.json, without the name of a registry in it.
source "$(dirname "$0")/env.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$(find_python)" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$INFRA/requirements.in"
{
  echo "# Written by scripts/pin.sh from requirements.in."
  "$work/venv/bin/pip" freeze
} > "$INFRA/requirements.txt"
cp "$INFRA/package.json" "$work"
(cd "$work" && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error)
cp "$work/package-lock.json" "$INFRA"
