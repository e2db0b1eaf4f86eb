#!/usr/bin/env bash
# On other systems and processors the engine, and with it everything else, does not compile, and a sentence says why. No other
# standard library is here, so the condition and its sentence are compiled by themselves, for targets that the compiler knows.
set -euo pipefail
cd "$(dirname "$0")/.."
condition=$(sed -n '/^#\[cfg(not(all($/,/^);$/p' crates/shmq-core/src/lib.rs)
alone="#![feature(no_core, rustc_attrs)]
#![no_core]
#[rustc_builtin_macro]
macro_rules! compile_error { (\$text:expr \$(,)?) => {{}}; }
$condition"

# What the compiler makes goes into a folder of its own: it replaces the file it is told to write, so /dev/null must not be that file.
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

# What the compiler says for a target.
said() {
    RUSTC_BOOTSTRAP=1 rustc --edition 2024 --crate-type lib --crate-name alone --emit metadata --out-dir "$made" --target "$1" - <<<"$alone" 2>&1 || true
}
for target in {x86_64,aarch64}-unknown-linux-{gnu,musl}; do
    ! said "$target" | grep "shmq works on" || { echo "$target is refused" >&2; exit 1; }
done
for target in x86_64-apple-darwin aarch64-apple-darwin x86_64-pc-windows-msvc x86_64-unknown-freebsd aarch64-linux-android \
    i686-unknown-linux-gnu x86_64-unknown-linux-gnux32 aarch64_be-unknown-linux-gnu riscv64gc-unknown-linux-gnu; do
    said "$target" | grep -q "error: shmq works on Linux on x86-64 and aarch64 only" || { echo "$target is not refused" >&2; exit 1; }
    echo "$target: refused, with a sentence"
done
