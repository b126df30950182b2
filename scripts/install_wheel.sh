#!/bin/sh
# install_wheel.sh VENV [CARGO_TARGET_DIR [PROFILE]]: build the wheel for the Python of that virtualenv and install it
# there.
set -eu
venv=$1
export CARGO_TARGET_DIR="${2:-target}"

command -v cargo >/dev/null || {
    echo "cargo is missing: install Rust with rustup, see https://www.rust-lang.org/tools/install" >&2
    exit 1
}
rm -rf "$venv/wheel"
PATH="$PWD/.venv/bin:$PATH" maturin build --profile "${3:-release}" --quiet --compatibility linux \
    --interpreter "$venv/bin/python" --out "$venv/wheel"
"$venv/bin/python" -m pip install --quiet --force-reinstall --no-deps "$venv"/wheel/*.whl
