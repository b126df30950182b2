#!/bin/sh
# tsan.sh [ROUNDS]: a server of one process under ThreadSanitizer, which sees what its Rust does: kept and new connections,
# uploads, slow and large answers, a log. Wants a nightly Rust with rust-src, and libtsan, which comes with gcc. What is found
# is in target/tsan/report.*; CPython is not instrumented, but its lock is understood.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-50}
triple=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=target/tsan PYO3_PYTHON="$PWD/.venv/bin/python"

RUSTFLAGS="-Zsanitizer=thread -Zexternal-clangrt -Clink-arg=-ltsan -Copt-level=1" \
    cargo +nightly rustc --quiet --lib --crate-type cdylib -Zbuild-std --target "$triple"
rm -rf target/tsan/package target/tsan/report.*
mkdir -p target/tsan/package
cp -r python/rwsgi target/tsan/package/
cp "target/tsan/$triple/debug/librwsgi.so" target/tsan/package/rwsgi/_rwsgi.so
gcc -fno-builtin -shared -fPIC -o target/tsan/names.so scripts/tsan.c
PYTHONPATH="$PWD/target/tsan/package" TSAN_LIBRARY="$(readlink -f "$(gcc -print-file-name=libtsan.so)") $PWD/target/tsan/names.so" \
    TSAN_OPTIONS="log_path=$PWD/target/tsan/report exitcode=0 die_after_fork=0" \
    .venv/bin/python scripts/tsan.py "$rounds"
! ls target/tsan/report.* 2>/dev/null
