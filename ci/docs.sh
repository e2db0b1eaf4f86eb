#!/usr/bin/env bash
# The API documentation, as users see it and with the testing feature; a broken link is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTDOCFLAGS="-D warnings"
echo "API documentation, default features."
cargo doc --workspace --lib --no-deps
echo "API documentation of the libraries, all features."
cargo doc -p shmq -p shmq-raw --lib --no-deps --all-features
