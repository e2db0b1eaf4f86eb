#!/usr/bin/env bash
# The public API of the libraries beside the committed lists ci/api/*.txt; fails and shows what differs when an item has come, gone
# or changed. ci/api.sh --bless writes the lists anew. Needs a nightly toolchain whose rustdoc the tool can read, such as that of May 2026.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
# Found by cargo as its subcommand.
PATH=$(dirname "$(ci/tool.sh cargo-public-api 0.52.0)"):$PATH
# What another nightly has left there would be read as well.
export CARGO_TARGET_DIR=$target/api CARGO_INCREMENTAL=0
mkdir -p "$CARGO_TARGET_DIR" ci/api
changed=()
for manifest in $(grep -l '^rust-version.workspace' crates/*/Cargo.toml); do
    name=$(basename "$(dirname "$manifest")")
    features=()
    for feature in tracing metrics tokio async-io pool; do
        grep -q "^$feature = " "$manifest" && features+=(--features "$feature")
    done
    cargo +nightly public-api -sss --color never -p "$name" "${features[@]}" >"$CARGO_TARGET_DIR/$name.txt"
    if [ "${1:-}" = --bless ]; then
        cp "$CARGO_TARGET_DIR/$name.txt" "ci/api/$name.txt"
    elif ! diff -U0 "ci/api/$name.txt" "$CARGO_TARGET_DIR/$name.txt"; then
        changed+=("$name")
    else
        echo "$name: as committed, $(wc -l <"ci/api/$name.txt") items"
    fi
done
if [ ${#changed[@]} != 0 ]; then
    echo "The public API of ${changed[*]} has changed. If that is meant: ci/api.sh --bless, and commit ci/api." >&2
    exit 1
fi
