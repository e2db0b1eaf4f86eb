#!/usr/bin/env bash
# Plants one small bug after the other in the library and looks whether the quick tests notice: ci/mutants.sh [FILE...]
# Takes hours for all of it, so this is run by hand; what is known of the survivors is in docs/CORRECTNESS.md. Stopped and
# started again, it goes on where it was (target/mutants holds the state; remove it to begin anew).
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-mutants >/dev/null || cargo install --locked cargo-mutants

src=crates/shmq/src
files=("$@")
if [ ${#files[@]} = 0 ]; then
    files=("$src"/ring/*.rs "$src"/memory/window.rs "$src"/{layout,geometry,segment,role,bell,wait}.rs)
fi
only=()
for file in "${files[@]}"; do only+=(--file "$file"); done

# Quick to build, and overflows and debug assertions count as noticed.
export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=false
mkdir -p target/mutants
export CARGO_TARGET_DIR=$PWD/target/mutants/build
# The tests that notice most in a second. Null controls cannot notice a mutant; the larger searches take too long.
tests=(--test fuzz_corpus --test slots --test crash_states --test model --test attach --test attach_slots --test channel)
slow=(--skip null_control --skip 64_byte --skip depth_limit --skip larger_ring --skip is_a_queue)
exec cargo mutants --package shmq "${only[@]}" --iterate --output target/mutants --jobs 1 --colors never \
    --test-package shmq,shmq-tests --timeout 90 --build-timeout 300 -- --lib "${tests[@]}" -- "${slow[@]}"
