#!/usr/bin/env bash
# synth.sh [-c domicile:name=value …]: writes the templates to infra/cdk.out.
source "$(dirname "$0")/env.sh"
synth "$INFRA/cdk.out" "$@"
