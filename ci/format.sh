#!/usr/bin/env bash
# Formatting as rustfmt.toml has it; changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "Formatting of every package."
cargo fmt --all --check
