#!/usr/bin/env bash
# test.sh [-update]: the tests of this module. -update writes the golden templates and policies anew.
source "$(dirname "$0")/env.sh"
need node "CDK's library for Go runs in Node 20, 22 or 24"
cd "$INFRA"
"$GO" vet ./...
if [ "${1:-}" = -update ]; then
  "$GO" test ./guardrail -update
  "$GO" test ./domicile -update
fi
exec "$GO" test ./...
