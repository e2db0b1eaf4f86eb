#!/usr/bin/env bash
# Runs what tests do not: every benchmark once, every example, the demo. Each must end by itself and well.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "Every case of the benchmarks under criterion, once; what it measures then means nothing."
cargo bench -p shmq-benches -- --test

echo "Every benchmark, briefly; its figures mean nothing either."
cargo build --release -p shmq-benches --bin bench
page="${CARGO_TARGET_DIR:-target}/bench-quick.html"
kept="${CARGO_TARGET_DIR:-target}/bench-quick.json"
timeout 300 "${CARGO_TARGET_DIR:-target}/release/bench" --quick --save "$kept"
"${CARGO_TARGET_DIR:-target}/release/bench" --from "$kept" --html "$page" | head -1
grep -q "</html>" "$page"

echo "Block copies of raw memory beside memcpy, briefly; its figures mean nothing either."
cargo build --release -p shmq-benches --bin raw-copies
timeout 120 "${CARGO_TARGET_DIR:-target}/release/raw-copies" --rounds 1

echo "Memory and scale, briefly."
cargo build --release -p shmq-benches --bin scale
timeout 120 "${CARGO_TARGET_DIR:-target}/release/scale" --quick

echo "Every example, and the command, as ci/test.sh has built them."
cargo build --release --workspace --examples --bin shmq
for source in crates/*/examples/*.rs; do
    example=$(basename "$source" .rs)
    # Services: they want their queues named, and go on until they are stopped.
    if [ "$example" = echo ] || [ "$example" = tokio_gateway ]; then
        echo "-- $example: run by tests/tests/async_services.rs"
        continue
    fi
    echo "-- $example"
    timeout 60 "${CARGO_TARGET_DIR:-target}/release/examples/$example"
done

echo "The demo."
timeout 300 "${CARGO_TARGET_DIR:-target}/release/shmq" demo --json
timeout 300 "${CARGO_TARGET_DIR:-target}/release/shmq" demo --slots --json
