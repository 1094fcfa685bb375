#!/usr/bin/env bash
# Runs the Connect conformance suite: once against its reference server, once against the reference server behind an edge. What
# passes directly must pass through the edge; known-failing.txt says the one exception and why. Arguments go to the suite, e.g.
# --run '**/bidi-stream/**'.
set -euo pipefail
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" . connectrpc.com/conformance/cmd/connectconformance connectrpc.com/conformance/cmd/referenceserver
echo "direct:"
"$bin/connectconformance" --mode server --conf config.yaml "$@" -- "$bin/referenceserver"
echo "through the edge:"
"$bin/connectconformance" --mode server --conf config.yaml --known-failing @known-failing.txt "$@" \
  -- "$bin/conformance" -reference "$bin/referenceserver"
