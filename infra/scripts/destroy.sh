#!/usr/bin/env bash
# destroy.sh [-c domicile:name=value …]: removes all stacks, or STACKS="…". Of a protected deployment AWS refuses it; see
# docs/guides/deploy-aws.md, "Tearing down".
source "$(dirname "$0")/env.sh"
synth "$INFRA/cdk.out" "$@"
set -f # patterns of stacks are CDK's, not the shell's
# shellcheck disable=SC2086 # a list of patterns
cdk destroy --app "$INFRA/cdk.out" ${STACKS:---all} --force --concurrency "${CONCURRENCY:-7}"
