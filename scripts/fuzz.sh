#!/bin/sh
# fuzz.sh SECONDS [TARGET...]: builds fuzz targets (all that parse what clients send, unless some are named) and runs each
# for so long, from the corpus. What breaks one lies in tests/fuzz/artifacts.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
[ $# -gt 0 ] || set -- http_head chunked uwsgi_packet proxy forwarded

# libFuzzer's view of the code, with the stable toolchain and without cargo-fuzz.
coverage="-C passes=sancov-module --cfg fuzzing -C codegen-units=1"
for argument in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage="$coverage -C llvm-args=-sanitizer-coverage-$argument"
done
# Named, so that the flags are for the targets and not for build scripts.
triple=$(rustc -vV | sed -n 's/^host: //p')
corpus=tests/corpus

for target; do
    case $target in
        http_head) seeds="$corpus/http/valid $corpus/http/invalid" ;;
        chunked) seeds=$corpus/http/valid ;;
        uwsgi_packet) seeds="$corpus/uwsgi/valid $corpus/uwsgi/invalid" ;;
        proxy | forwarded) seeds=$corpus/$target ;;
        *) seeds="tests/fixtures/config tests/fixtures/seeds" ;;
    esac
    mkdir -p "tests/fuzz/corpus/$target" tests/fuzz/artifacts
    # New inputs land in the first folder.
    # shellcheck disable=SC2086
    RUSTFLAGS=$coverage cargo run --quiet --release --manifest-path tests/fuzz/Cargo.toml --target "$triple" \
        --bin "$target" -- -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
        ${CI:+-verbosity=0} -artifact_prefix=tests/fuzz/artifacts/ "tests/fuzz/corpus/$target" $seeds
done
