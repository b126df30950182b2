#!/bin/sh
# pytest.sh PYTHON ARGUMENT…: runs the tests, several at a time (PYTEST_JOBS, 3), since most of the time they wait; those that fail get a second
# run, one at a time.
#
# Many tests have deadlines, and a busy machine misses one now and then. What fails alone, too, is broken. A test that has
# needed its second run is named at the end: it is to be mended.
set -eu
python=$1
shift
report=$(mktemp)
trap 'rm -f "$report"' EXIT
"$python" -m pytest "$@" -n "${PYTEST_JOBS:-3}" --dist worksteal --junit-xml="$report" && exit 0
failed=$("$python" scripts/failed_tests.py "$report")
echo "Once more, only what has failed:"
"$python" -m pytest "$@" --last-failed --last-failed-no-failures none
echo "These passed only at their second run:"
echo "$failed"
