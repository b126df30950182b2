#!/bin/sh
# boot_wheels.sh DIRECTORY: install each wheel under the Python that it was built for, and boot it there. Needs uv.
set -eu

for wheel in "$1"/*.whl; do
    # rwsgi-1.2.3-cp314-cp314t-manylinux_2_28_x86_64.whl → 3.14t
    python=$(basename "$wheel" | cut -d- -f4 | sed 's/^cp3/3./')
    echo "== $(basename "$wheel") on Python $python"
    venv=$(mktemp -d)
    uv venv --quiet --managed-python --python "$python" --clear "$venv"
    uv pip install --quiet --python "$venv/bin/python" "$wheel"
    "$venv/bin/rwsgi" --version
    "$venv/bin/python" scripts/smoke.py
    rm -rf "$venv"
done
