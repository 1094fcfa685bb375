#!/usr/bin/env bash
# deploy.sh [-c domicile:name=value …]: deploys all stacks, those that do not depend on each other at once. STACKS="…" deploys some (CDK's
# patterns); APPROVAL=broadening asks before IAM is widened, which needs one at a time: CONCURRENCY=1.
source "$(dirname "$0")/env.sh"
synth "$INFRA/cdk.out" "$@"
set -f # patterns of stacks are CDK's, not the shell's
# shellcheck disable=SC2086 # a list of patterns
cdk deploy --app "$INFRA/cdk.out" ${STACKS:---all} --require-approval "${APPROVAL:-never}" --concurrency "${CONCURRENCY:-7}" --progress events
