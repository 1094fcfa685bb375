#!/usr/bin/env bash
# Makes gen/ from proto/. The contracts that ours import are copied from the module that go.mod names.
set -euo pipefail
cd "$(dirname "$0")"
domicile="$(go list -m -f '{{.Dir}}' github.com/domicile-api/domicile)"
rm -rf third_party
mkdir -p third_party/domicile/domicile
cp -r "$domicile/proto/domicile/policy" third_party/domicile/domicile/
cp -r "$domicile/third_party/protovalidate" "$domicile/third_party/googleapis" third_party/
chmod -R u+w third_party
buf lint
buf generate
