#!/usr/bin/env bash
# Every test there is: the README's test command.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "All tests of the workspace, release build."
cargo test --release --workspace
echo "The suites that attack, once more with overflow checks and debug assertions."
# They need neither loom nor proptest.
cargo test --profile checked -p shmq-tests --no-default-features --test hostile --test fuzz_corpus --test pool_calls
cargo test --profile checked -p shmq-cli --test hostile
