#!/bin/sh
# test_other_pythons.sh 3.10 3.13 …: the quick tests that Python has to do with, on each of these versions that this
# machine has, side by side: most of the time of a test is waiting.
set -eu

# A pyenv shim stands on PATH for versions that are not switched on: only one that runs counts.
find_python() {
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

prepare() {
    version=$1 python=$2 venv=.venv-$1
    if [ ! -e "$venv/done" ] || [ pyproject.toml -nt "$venv/done" ]; then
        scripts/make_venv.sh "$python" "$venv"
        "$venv/bin/python" -m pip install --quiet --group test
        touch "$venv/done"
    fi
    if [ ! -e "$venv/wheel/installed" ] || [ .venv/done/wheel -nt "$venv/wheel/installed" ]; then
        PYO3_PYTHON="$PWD/$venv/bin/python" scripts/install_wheel.sh "$venv" target quick
        touch "$venv/wheel/installed"
    fi
}

main=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
versions=
for version in "$@"; do
    if [ "$version" = "$main" ]; then
        echo "Python $version: tested above"
        continue
    fi
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "Python $version: not on this machine, NOT TESTED"
        continue
    fi
    echo "Python $version: $python"
    prepare "$version" "$python"
    versions="$versions $version"
done

[ -n "$versions" ] || exit 0

# Each remembers its own failures, and tells what it has seen when it is through. xargs, since what a shell runs in the
# background ignores Ctrl-C.
# shellcheck disable=SC2016
printf '%s\n' $versions | xargs -n 1 -P 2 sh -c '
    venv=.venv-$0
    PYTEST_JOBS=2 scripts/pytest.sh "$venv/bin/python" tests -m "not slow and not core" -o cache_dir="$venv/cache" >"$venv/log" 2>&1
    status=$?
    cat "$venv/log"
    exit $status'
