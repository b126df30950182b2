#!/bin/sh
# pytest.sh PYTHON ARGUMENT…: runs the tests; those that fail get a second run by themselves.
#
# Many tests have deadlines, and a busy machine misses one now and then. What fails alone, too, is broken; the report of
# the first run stays above that of the second.
set -eu
python=$1
shift
"$python" -m pytest "$@" && exit 0
echo "Once more, only what has failed:"
exec "$python" -m pytest "$@" --last-failed --last-failed-no-failures none
