#!/usr/bin/env bash
# The library alone, without any feature and without what other packages of the workspace ask of it.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "The library without default features."
cargo check -p shmq --no-default-features
