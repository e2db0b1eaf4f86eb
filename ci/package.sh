#!/usr/bin/env bash
# What would be published: every crate is packaged and built from its package alone, then tested there beside the others,
# with the versions of Cargo.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
work=$target/packaging
export CARGO_TARGET_DIR=$work/target CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
# Cargo keeps what it unpacked and built of a version, also of one that is not published yet. So it gets a home without
# anything unpacked, and what it built of these crates goes.
home=$work/home
rm -rf "$home" "$work/unpacked"
mkdir -p "$home/registry" "$work/unpacked" "$CARGO_TARGET_DIR"
real=${CARGO_HOME:-$HOME/.cargo}
find "$real" -mindepth 1 -maxdepth 1 ! -name registry -exec ln -s -t "$home" {} +
find "$real/registry" -mindepth 1 -maxdepth 1 ! -name src -exec ln -s -t "$home/registry" {} +
find "$CARGO_TARGET_DIR" \( -name '*shmq*' -o -name package \) -prune -exec rm -rf {} +

excluded=()
for manifest in $(grep -l '^publish = false' crates/*/Cargo.toml benches/Cargo.toml tests/Cargo.toml tests/*/Cargo.toml); do
    excluded+=(--exclude "$(sed -n 's/^name = "\(.*\)"/\1/p;T;q' "$manifest")")
done
cargo fetch --locked --quiet
CARGO_HOME=$home cargo package --workspace "${excluded[@]}" --locked --offline --allow-dirty

# The packages as a workspace, so that each takes the others from the folders beside it.
{
    printf '[workspace]\nresolver = "3"\nmembers = ["*"]\n[patch.crates-io]\n'
    for package in "$CARGO_TARGET_DIR"/package/*.crate; do
        folder=$(basename "$package" .crate)
        tar -xf "$package" -C "$work/unpacked"
        for file in README.md LICENSE-MIT LICENSE-APACHE; do
            [ -f "$work/unpacked/$folder/$file" ] || { echo "$folder has no $file" >&2; exit 1; }
        done
        echo "${folder%-*} = { path = \"$folder\" }"
    done
} >"$work/manifest"
cp Cargo.lock "$work/unpacked"
mv "$work/manifest" "$work/unpacked/Cargo.toml"
cd "$work/unpacked"
for folder in */; do
    name=${folder%-*}
    echo "== $name from its package"
    cargo test -p "$name" --offline --all-features
done
