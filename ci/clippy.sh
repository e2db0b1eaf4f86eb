#!/usr/bin/env bash
# Lints of every target, with the testing feature that the tests ask for; a warning is an error. The peers of the benchmarks are left out.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "Clippy, all targets."
cargo clippy --workspace --all-targets -- -D warnings
