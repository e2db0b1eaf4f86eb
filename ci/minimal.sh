#!/usr/bin/env bash
# The libraries alone, without any feature and without what other packages of the workspace ask of it.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "The libraries without default features."
cargo check -p shmq --no-default-features
cargo check -p shmq-raw --no-default-features
