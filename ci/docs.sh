#!/usr/bin/env bash
# The API documentation, as users see it and with the testing feature; a broken link is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTDOCFLAGS="-D warnings"
echo "API documentation, default features."
cargo doc --workspace --exclude shmq-engine-examples --lib --no-deps
echo "API documentation of the libraries, all features."
cargo doc -p shmq -p shmq-raw --lib --no-deps --all-features

# A guide is read as a file and as a page; as a page it must not lead to files.
if grep -rnoE 'href="[^":]*\.md[^"]*"' "${CARGO_TARGET_DIR:-target}"/doc/shmq*/guide --include=*.html; then
    echo "Guides lead to these files: write [text][FILE.md], define that at the end, and in the module guide of the crate." >&2
    exit 1
fi
