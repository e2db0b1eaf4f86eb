#!/usr/bin/env bash
# Lints of every target with every feature; a warning is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "Clippy, all targets and features."
cargo clippy --workspace --all-targets --all-features -- -D warnings
