#!/usr/bin/env bash
# lint.sh: hadolint over the Dockerfile, cfn-lint and checkov over the templates of the whole built-in topology, which has a stack of every
# kind. Reports stay in $DOMICILE_CACHE/infra/lint.
source "$(dirname "$0")/env.sh"
tools
"$TOOLS/bin/hadolint" "$INFRA/../Dockerfile"
echo "hadolint: clean"
out=$CACHE/lint
rm -rf "$out"
mkdir -p "$out/functions"
for name in edge relay apply sweep; do # packages that only stand for the functions
  mkdir -p "$out/functions/$name"
  echo "stands for $name" > "$out/functions/$name/bootstrap"
done
# The built-in topology, with the names that regions have under a domain.
sed -E 's#^  - id: (.*)$#&\n    endpoint: https://\1.api.example.com\n    services_endpoint: https://services.\1.api.example.com#' \
  "$INFRA/../internal/topology/topologyfile/default.yaml" > "$out/topology.yaml"
DOMICILE_TOPOLOGY="$out/topology.yaml" synth "$out/templates" -c domicile:account=111122223333 -c domicile:domain=api.example.com -c domicile:zone=Z0123456789ABCDEFGHIJ \
  -c "domicile:functions=$out/functions" -c 'domicile:image=111122223333.dkr.ecr.{region}.amazonaws.com/domicile:1.0.0' \
  -c domicile:operators=192.0.2.0/24 -c domicile:alarmEmail=operations@example.com > "$out/synth.log" 2>&1 || { cat "$out/synth.log" >&2; exit 1; }
"$TOOLS/bin/cfn-lint" "$out"/templates/*.template.json
echo "cfn-lint: clean, $(find "$out/templates" -name '*.template.json' | wc -l) templates"
"$TOOLS/bin/python" "$INFRA/scripts/checkov.py" "$TOOLS/bin/checkov" "$out"
