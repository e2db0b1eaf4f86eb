#!/usr/bin/env bash
# Instructions for each send and receive, under callgrind, beside the committed table benches/instructions.json; fails when one
# has grown by more than 3 % for the same compiler and architecture. ci/instructions.sh --bless writes the table anew.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    # Debian 12's; its programs look for their parts where this says.
    folder=${CARGO_TARGET_DIR:-$PWD/target}/debian/valgrind
    ci/debian.sh "$folder" valgrind=1:3.19.0-1
    export PATH=$folder/usr/bin:$PATH VALGRIND_LIB=$folder/usr/libexec/valgrind
fi
cargo build --release -p shmq-benches --bin instructions
"${CARGO_TARGET_DIR:-target}/release/instructions" "$@" benches/instructions.json
