#!/usr/bin/env bash
# A deployment on this machine: LocalStack with the global and data stacks of infra/, the functions' real binaries and the regions' services.
#   aws-local.sh start     installs what is missing, starts all of it in the background, returns when it answers
#   aws-local.sh stop      ends it, LocalStack too; what was written is gone then
#   aws-local.sh status
# Data (demo.json) is in DATA (.domicile), logs in DATA/aws/logs. Tools are installed below DOMICILE_CACHE, never into the repository.
set -euo pipefail
cd "$(dirname "$0")/../.."
DATA=${DATA:-.domicile}
CACHE=${DOMICILE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/domicile}
HERE=$PWD/$DATA/aws
TOPOLOGY=$PWD/infra/local/topology.yaml
GO=${GO:-go}
export AWS_ENDPOINT_URL=http://127.0.0.1:${LS_PORT:-4566} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_DEFAULT_REGION

alive() { [ -s "$HERE/pid" ] && kill -0 "$(cat "$HERE/pid")" 2>/dev/null; }

build() {
  CGO_ENABLED=0 "$GO" build -trimpath -o bin/domicile ./cmd/domicile
  CGO_ENABLED=0 "$GO" build -trimpath -o bin/awslocal ./internal/awslocal
  for f in edge relay apply sweep; do
    CGO_ENABLED=0 "$GO" build -tags lambda.norpc -trimpath -ldflags '-s -w' -o "bin/functions/$f/bootstrap" "./functions/$f"
  done
}

start() {
  source infra/local/needs.sh
  mkdir -p "$HERE/logs"
  if alive; then echo "It runs already. make aws-local-stop ends it."; cat "$HERE/table" 2>/dev/null || true; return; fi
  rm -f "$HERE/table"
  echo "LocalStack …"
  infra/local/localstack.sh start "$CACHE/localstack" > "$HERE/logs/localstack-start.log"
  echo "building …"
  build
  echo "deploying the global and data stacks …"
  infra/scripts/deploy-local.sh "$TOPOLOGY" > "$HERE/logs/deploy.log" 2>&1 || { tail -40 "$HERE/logs/deploy.log" >&2; exit 1; }
  echo "starting services and functions …"
  setsid bin/awslocal -bin "$PWD/bin" -data "$PWD/$DATA" -logs "$HERE/logs" -topology "$TOPOLOGY" -table "$HERE/table" \
    > "$HERE/logs/awslocal.log" 2>&1 < /dev/null &
  echo $! > "$HERE/pid"
  for _ in $(seq 1 600); do
    [ -e "$HERE/table" ] && { cat "$HERE/table"; return; }
    alive || { echo "aws-local: it ended; see $DATA/aws/logs" >&2; tail -20 "$HERE/logs/awslocal.log" >&2; exit 1; }
    sleep 0.5
  done
  echo "aws-local: it is not ready after five minutes; see $DATA/aws/logs" >&2
  exit 1
}

stop() {
  if alive; then
    kill -TERM "$(cat "$HERE/pid")"
    for _ in $(seq 1 150); do alive || break; sleep 0.2; done
    alive && kill -KILL -- "-$(cat "$HERE/pid")"
  fi
  rm -f "$HERE/pid" "$HERE/table"
  infra/local/localstack.sh stop "$CACHE/localstack"
}

case ${1:-} in
  start | stop) "$1" ;;
  status) alive && echo "pid $(cat "$HERE/pid"), logs in $DATA/aws/logs" || { echo "not running"; exit 1; } ;;
  *) echo "usage: aws-local.sh start|stop|status" >&2; exit 2 ;;
esac
