# What LocalStack and CDK need of the machine; other scripts source it. Each thing that is missing is said in a line, and ends the script:
# a suite that skips itself would look like one that passed.
missing=
need() { command -v "$1" > /dev/null 2>&1 || { echo "missing: $1. $2" >&2; missing=1; }; }
need "${GO:-go}" "Go builds everything"
need java "Java 17 or newer runs DynamoDB Local"
need mvn "Maven installs DynamoDB Local"
need node "Node 20, 22 or 24 runs CDK"
need npm "npm installs the CDK command"
java_version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
[ "${java_version:-0}" -ge 17 ] || { echo "missing: Java 17 or newer, this is ${java_version:-none}" >&2; missing=1; }
found_python=
for python in ${PYTHON:-} python3.13 python3.12 "$HOME"/.pyenv/versions/3.13.*/bin/python3 "$HOME"/.pyenv/versions/3.12.*/bin/python3 python3; do
  "$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null && { found_python=$python; break; }
done
[ -n "$found_python" ] || { echo "missing: Python 3.12 or 3.13 with venv (or name it in PYTHON)" >&2; missing=1; }
[ -z "$missing" ] || exit 1
