#!/usr/bin/env bash
# Every test there is: the README's test command.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "All tests of the workspace, release build."
cargo test --release --workspace
