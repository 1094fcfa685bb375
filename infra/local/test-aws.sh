#!/usr/bin/env bash
# The suites that need AWS, on LocalStack: every adapter through its port's suite, the platform on the AWS backend, the tests and linters of
# infra/. LocalStack is installed below DOMICILE_CACHE, started for the run unless one is there (KEEP=1 leaves it running), and stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
CACHE=${DOMICILE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/domicile}
GO=${GO:-go}
source infra/local/needs.sh
export AWS_ENDPOINT_URL=http://127.0.0.1:${LS_PORT:-4566} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_DEFAULT_REGION

step() {
  echo "== $*"
  local began=$SECONDS
  "$@"
  echo "== $* passed after $((SECONDS - began)) s"
}

started=
if ! infra/local/localstack.sh status "$CACHE/localstack" > /dev/null 2>&1; then
  step infra/local/localstack.sh start "$CACHE/localstack"
  started=1
fi
finish() { [ -z "$started" ] || [ -n "${KEEP:-}" ] || infra/local/localstack.sh stop "$CACHE/localstack"; }
trap finish EXIT

step "$GO" test -tags aws -count=1 -timeout 20m ./internal/store/dynamostore/... ./internal/store/s3snapshot/... ./internal/seal/kms/... ./internal/lambdahost/...
step "$GO" test -tags aws -count=1 -timeout 20m -parallel 8 ./internal/queue/sqsqueue/...
step "$GO" test -tags aws -count=1 -timeout 20m -parallel 3 ./test/aws/...
step infra/scripts/test.sh
step make lint-infra
