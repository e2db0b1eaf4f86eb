#!/usr/bin/env bash
# Builds one version of a tool from crates.io, once, under target/tools, and prints where its program is: ci/tool.sh NAME VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
root=${CARGO_TARGET_DIR:-$PWD/target}/tools/$1-$2
[ -x "$root/bin/$1" ] || cargo install --quiet --locked --root "$root" --version "=$2" "$1" >&2
echo "$root/bin/$1"
