#!/usr/bin/env bash
# diff.sh [-c domicile:name=value …]: what a deployment would change, in every stack. Asks AWS (or what AWS_ENDPOINT_URL names).
source "$(dirname "$0")/env.sh"
synth "$INFRA/cdk.out" "$@"
cdk diff --app "$INFRA/cdk.out" --method=template
