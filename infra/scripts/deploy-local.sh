#!/usr/bin/env bash
# deploy-local.sh TOPOLOGY: the global and data stacks of a topology file, on the emulator that AWS_ENDPOINT_URL names. Unprotected: they go
# with the emulator.
source "$(dirname "$0")/env.sh"
[ -n "${AWS_ENDPOINT_URL:-}" ] || { echo "infra: AWS_ENDPOINT_URL is not set: this is for an emulator on this machine" >&2; exit 1; }
out=$CACHE/local
synth "$out" -c "domicile:topology=$1" -c domicile:account=000000000000 -c domicile:protect=false
mapfile -t environments < <(grep -o '"environment": "aws://[^"]*"' "$out/manifest.json" | cut -d'"' -f4 | sort -u)
cdk bootstrap --app "$out" "${environments[@]}"
cdk deploy --app "$out" --all --require-approval never --concurrency 7 --progress events
