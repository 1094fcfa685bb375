# What the other scripts share; they source it. Tools are installed below DOMICILE_CACHE, never into the repository.
set -euo pipefail
INFRA=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${DOMICILE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/domicile}/infra
GO=${GO:-go}
# CDK's library for Go runs in Node beside the app and says of Node 20 that its days are over; 22 and 24 serve as well.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1 NODE_NO_WARNINGS=1 JSII_RUNTIME_PACKAGE_CACHE=${JSII_RUNTIME_PACKAGE_CACHE:-enabled}
export CDK_DISABLE_CLI_TELEMETRY=true

need() { # need COMMAND WHAT-FOR
  command -v "$1" >/dev/null 2>&1 || { echo "infra: $1 is missing: $2" >&2; exit 1; }
}

# cdk puts the CDK command of package-lock.json into the cache, once for each lock file, and runs it.
cdk() {
  need node "Node 20, 22 or 24 runs the CDK command"
  need npm "npm installs the CDK command"
  local stamp dir
  stamp=$(cksum < "$INFRA/package-lock.json" | cut -d' ' -f1)
  dir=$CACHE/npm-$stamp
  if [ ! -x "$dir/node_modules/.bin/cdk" ]; then
    mkdir -p "$dir"
    cp "$INFRA/package.json" "$INFRA/package-lock.json" "$dir"
    (cd "$dir" && npm ci --no-audit --no-fund --loglevel=error >&2)
  fi
  "$dir/node_modules/.bin/cdk" "$@"
}

# app builds the app once; Go's own cache makes the next build cheap.
app() {
  need "$GO" "Go builds the app"
  mkdir -p "$CACHE"
  (cd "$INFRA" && "$GO" build -o "$CACHE/app" .)
}

# synth writes the templates to a folder: synth FOLDER [-c name=value …]
synth() {
  local out=$1
  shift
  app
  # CDK reads cdk.json, and with it the context, in the folder where it runs.
  (cd "$INFRA" && cdk synth --quiet --app "$CACHE/app" --output "$out" "$@")
}

# tools puts the Python linters into the cache, once for each list of versions.
tools() {
  local stamp python
  stamp=$(cksum < "$INFRA/requirements.txt" | cut -d' ' -f1)
  TOOLS=$CACHE/python-$stamp
  if [ ! -e "$TOOLS/.done" ]; then
    python=$(find_python)
    rm -rf "$TOOLS"
    "$python" -m venv "$TOOLS"
    "$TOOLS/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$INFRA/requirements.txt" >&2
    touch "$TOOLS/.done"
  fi
}

find_python() {
  local p
  for p in ${PYTHON:-} python3.13 python3.12 "$HOME"/.pyenv/versions/3.13.*/bin/python3 "$HOME"/.pyenv/versions/3.12.*/bin/python3 python3; do
    "$p" -c 'import sys,venv,ensurepip;sys.exit(not (3,12)<=sys.version_info[:2]<=(3,13))' 2>/dev/null && { echo "$p"; return; }
  done
  echo "infra: Python 3.12 or 3.13 is missing: cfn-lint and checkov run on it (set PYTHON=…)" >&2
  return 1
}
