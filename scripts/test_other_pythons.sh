#!/bin/sh
# test_other_pythons.sh 3.10 3.13 …: the quick tests that Python has to do with, on each of these versions that this machine has.
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

main=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
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
    venv=.venv-$version
    if [ ! -e "$venv/done" ] || [ pyproject.toml -nt "$venv/done" ]; then
        scripts/make_venv.sh "$python" "$venv"
        "$venv/bin/python" -m pip install --quiet --group test
        touch "$venv/done"
    fi
    if [ ! -e "$venv/wheel/installed" ] || [ .venv/done/wheel -nt "$venv/wheel/installed" ]; then
        PYO3_PYTHON="$PWD/$venv/bin/python" scripts/install_wheel.sh "$venv" "target/python$version"
        touch "$venv/wheel/installed"
    fi
    scripts/pytest.sh "$venv/bin/python" tests -m 'not slow and not core'
done
