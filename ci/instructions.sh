#!/usr/bin/env bash
# Instructions for each send and receive, under callgrind, beside the committed table benches/instructions.json; fails when one
# has grown by more than 3 % for the same compiler and architecture. ci/instructions.sh --bless writes the table anew.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get install -y -qq --no-install-recommends valgrind ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends valgrind; }; } >/dev/null 2>&1 || true
fi
if ! command -v valgrind >/dev/null; then
    echo "Skipped: counting instructions needs valgrind, which is not installed and could not be."
    exit 0
fi
cargo build --release -p shmq-benches --bin instructions
"${CARGO_TARGET_DIR:-target}/release/instructions" "$@" benches/instructions.json
