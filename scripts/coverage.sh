#!/bin/sh
# coverage.sh [PYTEST_ARGUMENT…]: how much of the Rust and of the Python code the tests reach, as a table of modules and the
# largest functions that no test enters. It is looked at now and then; nothing passes or fails by it.
#
# Wants the program `cov` (cargo install llvm_profparser) and, in .venv, the tests' packages and coverage. What it builds is
# in target/coverage.
set -eu
cd "$(dirname "$0")/.."
[ $# != 0 ] || set -- tests
command -v cov >/dev/null || {
    echo "cov is missing: cargo install llvm_profparser --features __llvm_22 (the number is rustc's LLVM)" >&2
    exit 1
}
target=$PWD/target/coverage
profiles=$target/profiles
export CARGO_TARGET_DIR="$target" PYO3_PYTHON="$PWD/.venv/bin/python"
# Counters live in the file itself (%c), so that a worker that is killed has counted, too; all processes share it (%m).
export RUSTFLAGS="-Cinstrument-coverage -Cllvm-args=-runtime-counter-relocation"
export LLVM_PROFILE_FILE="$profiles/%m%c.profraw"
rm -rf "$profiles" "$target/package" "$target"/.coverage*
mkdir -p "$profiles" "$target/package"
# Programs of an earlier state would count as well.
[ ! -d "$target/debug/deps" ] || find "$target/debug/deps" -type f -perm -u+x ! -name '*.*' -delete

cargo test --quiet --no-default-features --lib --tests
cargo rustc --quiet --lib --crate-type cdylib
cp -r python/rwsgi "$target/package/"
cp "$target/debug/librwsgi.so" "$target/package/rwsgi/_rwsgi.so"

cat >"$target/coveragerc" <<END
[run]
source_pkgs = rwsgi
parallel = true
patch = subprocess
omit = */site-packages/*
data_file = $target/.coverage
END
# Tests that measure memory or time fail with so slow a build; what they reach counts all the same.
PYTHONPATH="$target/package" .venv/bin/python -m coverage run --rcfile="$target/coveragerc" -m pytest "$@" -q \
    -n "${PYTEST_JOBS:-3}" --dist worksteal -p no:cacheprovider || true

objects=$(find "$target/debug/deps" -type f -perm -u+x ! -name '*.*' -exec echo --object {} \;)
profiles_as_arguments=$(find "$profiles" -name '*.profraw' -exec echo --instr-profile {} \;)
# shellcheck disable=SC2086
cov show --object "$target/debug/librwsgi.so" $objects $profiles_as_arguments |
    .venv/bin/python scripts/coverage_table.py "$PWD/src"
.venv/bin/python -m coverage combine --quiet --rcfile="$target/coveragerc"
.venv/bin/python -m coverage report --rcfile="$target/coveragerc"
