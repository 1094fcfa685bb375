#!/usr/bin/env bash
# bootstrap.sh [-c domicile:name=value …]: what CDK needs in every account and region of the deployment; once, before the first deploy.
source "$(dirname "$0")/env.sh"
synth "$INFRA/cdk.out" "$@"
mapfile -t environments < <(grep -o '"environment": "aws://[^"]*"' "$INFRA/cdk.out/manifest.json" | cut -d'"' -f4 | sort -u)
cdk bootstrap --app "$INFRA/cdk.out" "${environments[@]}"
