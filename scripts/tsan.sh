#!/bin/sh
# tsan.sh [ROUNDS]: a server under ThreadSanitizer, which sees what its Rust does: kept and new connections, uploads,
# slow and large answers, a log.
# tsan.sh suite [ARGUMENT…]: pytest, whose servers run so; they are several times slower and larger, so that a test of
# time or memory may fail.
#
# Wants a nightly Rust with rust-src, and libtsan, which comes with gcc. What is found is in target/tsan/reports; CPython
# is not instrumented, but its lock is understood.
set -eu
cd "$(dirname "$0")/.."
triple=$(rustc -vV | sed -n 's/^host: //p')
package=$PWD/target/tsan/package
reports=$PWD/target/tsan/reports

CARGO_TARGET_DIR=target/tsan PYO3_PYTHON="$PWD/.venv/bin/python" \
    RUSTFLAGS="-Zsanitizer=thread -Zexternal-clangrt -Clink-arg=-ltsan -Copt-level=1" \
    cargo +nightly rustc --quiet --lib --crate-type cdylib -Zbuild-std --target "$triple"
rm -rf "$package" "$reports"
mkdir -p "$package"
# Workers that have given up root report, too.
mkdir -m 1777 "$reports"
cp -r python/rwsgi "$package/"
cp "target/tsan/$triple/debug/librwsgi.so" "$package/rwsgi/_rwsgi.so"
sed -i '/^from __future__/r scripts/tsan_preload.py' "$package/rwsgi/__init__.py"
gcc -fno-builtin -shared -fPIC -o target/tsan/first.so scripts/tsan.c -ltsan

TSAN_LIBRARIES="$PWD/target/tsan/first.so $(readlink -f "$(gcc -print-file-name=libtsan.so)")"
# A worker that dies of SIGSEGV dies as it would without the sanitizer.
TSAN_OPTIONS="log_path=$reports/report exitcode=0 die_after_fork=0 handle_segv=0 suppressions=$PWD/scripts/tsan.supp"
export TSAN_LIBRARIES TSAN_OPTIONS
status=0
if [ "${1:-}" = suite ]; then
    shift
    SERVERS_PYTHONPATH=$package SLOWNESS=6 .venv/bin/python -m pytest --timeout=300 "$@" || status=$?
else
    PYTHONPATH=$package .venv/bin/python scripts/tsan.py "${1:-50}"
fi
if grep -hs '^SUMMARY' "$reports"/* | sed 's/ in / /' | sort | uniq -c | grep .; then
    status=1
fi
exit $status
