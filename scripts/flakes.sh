#!/bin/sh
# flakes.sh [--load N] [RUNS [PYTEST_ARGUMENT…]]: runs the tests RUNS times (10), without a second run for those that fail,
# and prints each test that failed at least once, with how often and with the folder of its reports. With --load, N busy
# processes run beside them.
#
# The virtualenv is $VENV (.venv); PYTEST_JOBS tests run at a time (3), as in `make test`.
set -eu

load=0
if [ "${1:-}" = --load ]; then
    load=$2
    shift 2
fi
runs=${1:-10}
[ $# = 0 ] || shift
[ $# != 0 ] || set -- tests
python=${VENV:-.venv}/bin/python
reports=$(mktemp -d)

# Each ends by itself if nobody ends it.
busy=
stop_load() {
    # shellcheck disable=SC2086
    [ -z "$busy" ] || kill $busy 2>/dev/null || true
}
trap stop_load EXIT
trap 'exit 1' INT TERM
for _ in $(seq "$load"); do
    timeout "$((runs * 1800))" sh -c 'while :; do :; done' &
    busy="$busy $!"
done

for run in $(seq "$runs"); do
    "$python" -m pytest "$@" -q -n "${PYTEST_JOBS:-3}" --dist worksteal -p no:cacheprovider \
        --junit-xml="$reports/$run.xml" >"$reports/$run.log" 2>&1 || true
    echo "run $run of $runs: $(tail -n 1 "$reports/$run.log")"
done
"$python" scripts/failed_tests.py "$reports"/*.xml
echo "Reports: $reports"
