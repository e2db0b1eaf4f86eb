#!/usr/bin/env bash
# Plants one small bug after the other in the library and looks whether the quick tests notice: ci/mutants.sh [FILE...]
# ONLY=REGEX: of these functions. Takes hours for all of it, so this is run by hand; docs/CORRECTNESS.md says what is known of the survivors. Stopped and
# started again, it goes on where it was (target/mutants holds the state; remove it to begin anew).
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$(dirname "$(ci/tool.sh cargo-mutants 27.1.0)"):$PATH

src=crates/shmq-core/src
[ $# = 0 ] && set -- "$src"/ring/*.rs "$src"/memory/{window,checked}.rs "$src"/{layout,geometry,segment,role,wake/mod,wait}.rs

# Quick to build, and overflows and debug assertions count as noticed.
export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=false
export CARGO_TARGET_DIR=$PWD/target/mutants/build
# The tests that notice most in a few seconds, by what is mutated. Null controls cannot notice a mutant; the larger searches
# take too long.
tests_of() {
    case $1 in
    */ring/* | */window.rs | */checked.rs) echo fuzz_corpus slots crash_states lines room refusals values limits lib ;;
    */geometry.rs | */layout.rs) echo limits attach attach_slots lib ;;
    */segment.rs) echo attach attach_slots files pool_attach process_memfd resources ;;
    */role.rs) echo attach role_states role_guards process_role sigbus pairs ;;
    */wake/mod.rs) echo pairs waiting_wakes waiting_last waiting_deep process_pair ;;
    */wait.rs) echo limits role_guards pairs waiting_wakes waiting_cost waiting_last waiting_death waiting_deep lib ;;
    esac
}
slow=(--skip null_control --skip 64_byte --skip depth_limit --skip larger_ring --skip is_a_queue --skip other_ways)
for file in "$@"; do
    out=target/mutants/$(echo "${file#"$src"/}" | tr / -)
    mkdir -p "$out"
    tests=(--package=shmq-tests)
    for test in $(tests_of "$file"); do
        if [ "$test" = lib ]; then tests+=(--package=shmq-core --lib); else tests+=("--test=$test"); fi
    done
    # Fails if there are survivors; all of them are listed below.
    cargo mutants --package shmq-core --file "$file" --iterate --output "$out" --jobs 1 --colors never \
        ${ONLY:+--re "$ONLY"} --timeout 30 --build-timeout 300 $(printf -- '--cargo-arg=%s ' "${tests[@]}") -- -- "${slow[@]}" || true
done
echo "== mutants, and survivors"
for out in target/mutants/*.rs/mutants.out; do
    count() { cat "$out/$1.txt" | wc -l; }
    echo "$(basename "$(dirname "$out")"): $(count caught) + $(count previously_caught) noticed," \
        "$(count timeout) never end, $(count unviable) do not compile, $(count missed) survive"
    sed 's/^/    /' "$out/missed.txt"
done
