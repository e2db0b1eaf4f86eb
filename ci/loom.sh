#!/usr/bin/env bash
# The loom models alone; ci/test.sh runs them, too.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "Loom models of the protocol."
cargo test --release -p shmq-tests --test 'loom_*'
