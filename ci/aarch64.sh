#!/usr/bin/env bash
# The other processor: the unit tests of the libraries and every file of tests/tests, but for those listed below with the reason.
# Cross-compiled with Debian's rustc-web and gcc, run by qemu-user. Says nothing of memory order, which qemu on x86-64 cannot show;
# the loom models and the litmus texts are for that.
# ci/aarch64.sh [TEST...]: of the files of tests/tests these alone.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(uname -m)" = aarch64 ]; then
    echo "This is aarch64: ci/test.sh runs these tests, and all others."
    exit 0
fi
# Files of tests that are left out whole, and why.
elsewhere="crash_marks: a search of all states, which knows no processor
crash_orders: likewise
crash_slots: likewise
crash_states: likewise
pool_crash_states: likewise
loom_models: models, which know no processor
loom_pool: likewise
model: random plays in memory of the test's own, which know no processor
hostile: likewise
fuzz_corpus: likewise
async_services: runs services in programs of its own, but the kernel starts no programs of another processor
pipeline: kills at random moments hit the translation of the program instead
docs: reads documents
pool_docs: likewise
house: reads the source
litmus: reads the litmus texts
errno: ptrace, which qemu does not emulate; registers of x86-64 besides
single_step: likewise"
tests=()
for file in tests/tests/*; do
    test=$(basename "$file" .rs)
    grep -q "^$test:" <<<"$elsewhere" || tests+=("$test")
done
while IFS=: read -r test _; do
    [ -e "tests/tests/$test" ] || [ -e "tests/tests/$test.rs" ] || { echo "There is no file of tests called $test any more." >&2; exit 1; }
done <<<"$elsewhere"
[ $# = 0 ] || tests=("$@")
# What qemu cannot do, and why.
cannot="p4_a_role_is_freed_by_kill_by_exec_and_by_drop: exec, since the kernel starts no programs of another processor
p4_a_fork_of_the_holder_neither_keeps_the_role_nor_disturbs_it: qemu ignores MADV_DONTFORK
p3_a_fork_of_the_dead_holder_does_not_keep_the_waiter_waiting: qemu ignores MADV_DONTFORK
p3_the_states_hold_across_pid_namespaces: qemu ignores MADV_DONTFORK
p5_a_forked_child_: qemu ignores MADV_DONTFORK
p5_a_child_of_: qemu ignores MADV_DONTFORK
p5_a_child_without_handlers_that_drops_an_end_loses_nothing: qemu ignores MADV_WIPEONFORK
p8_a_container_with_a_boot_id_of_its_own_is_no_other_boot: qemu ignores MADV_DONTFORK
p8_a_file_of_another_boot_is_accepted_only_if_it_was_closed_cleanly: qemu ignores MADV_DONTFORK, and other tests fork meanwhile
p9_a_trigger_in_a_forked_child_is_the_childs_alone: qemu ignores MADV_DONTFORK
p11_a_set_is_its_process_s_own: qemu ignores MADV_DONTFORK
p8_huge_pages_are_had_or_told_and_a_strangers_are_refused: qemu has no huge pages
p8_a_limit_on_address_space: qemu keeps to no such limit
p1_p2_p4_kills_with_copying_receives_lose_and_tear_nothing: kills at random moments hit the translation of the program instead
p1_p2_p4_kills_with_guards_repeat_at_most_one_message: so they do here
p1_p2_p4_kills_with_batches_and_drains_take_all_or_nothing: and here
p1_p2_p4_kills_of_slots_lose_and_tear_nothing: and here
p1_p2_p4_kills_of_slots_read_in_place_repeat_at_most_one_message: and here
p1_p4_kills_of_batches_of_slots_take_all_or_nothing: and here
p1_control_a_batch_that_is_none_is_caught: and here
p4_kills_of_either_end_leak_no_block_and_tear_none: and here
p4_control_a_successor_that_reclaims_nothing_leaks: and here
p3_nothing_comes_after_lost: and here
p4_a_successor_revives_a_deep_sleeper_at_once: its bound on time leaves none for translating the successor
a_blocked_end_costs_next_to_nothing: the processor time of translating counts"

target=${CARGO_TARGET_DIR:-$PWD/target}
folder=$target/debian/aarch64
ci/debian.sh "$folder" {rustc-web,libstd-rust-web-1.96,libstd-rust-web-dev,libstd-rust-web-dev:arm64}=1.96.0+dfsg1-1~deb12u2 \
    libllvm22=1:22.1.8-1~deb12u1 {gcc-12-aarch64-linux-gnu,libgcc-12-dev-arm64-cross,libgcc-s1-arm64-cross}=12.2.0-14cross1 \
    {binutils-aarch64-linux-gnu,libbinutils,binutils-common}=2.40-2 libjansson4=2.14-2 \
    {libc6-dev-arm64-cross,libc6-arm64-cross}=2.36-8cross1 qemu-user-static=1:7.2+dfsg-7+deb12u18+b3 || {
    echo "Skipped: the tests for aarch64 need a compiler and an emulator, which could not be had." >&2
    [ -z "${SHMQ_NO_SKIPS:-}" ]
    exit
}

usr=$folder/usr
qemu=("$usr/bin/qemu-aarch64-static" -L "$usr/aarch64-linux-gnu")
gcc_options=(--sysroot="$folder" -B"$usr/bin/aarch64-linux-gnu-" -B"$usr/aarch64-linux-gnu/lib")
export CARGO_TARGET_DIR=$target/aarch64 CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu RUSTC=$usr/bin/rustc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$usr/bin/aarch64-linux-gnu-gcc-12
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="${gcc_options[*]/#/-Clink-arg=}"
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_INCREMENTAL=0
# Prints the programs that it builds.
build() {
    LD_LIBRARY_PATH=$usr/lib/x86_64-linux-gnu cargo test --no-run --message-format=json-render-diagnostics "$@" |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}
libraries=$(build -p shmq-core -p shmq -p shmq-raw -p shmq-pool -p shmq-async --lib --features shmq-core/testing)
programs=$(build -p shmq-tests --no-default-features "${tests[@]/#/--test=}")

# The kernel cannot start the helper of the tests: in its place is a script that starts it with qemu.
helper=$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/debug/shmq-test-child
mv "$helper" "$helper.aarch64"
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${qemu[*]}" "$helper.aarch64" >"$helper"
chmod +x "$helper"

skips=()
while read -r line; do
    skips+=(--skip "${line%%:*}")
done <<<"$cannot"
# A process that is forked while other threads run may hang before it runs the helper: qemu forks with locks of its own that those
# threads hold. So what fails runs once more, one test at a time.
run() { timeout "$1" "${qemu[@]}" "$2" --quiet "${skips[@]}" "${@:3}"; }
found=""
failed=()
cd tests
for program in $libraries $programs; do
    [ "$program" = "$helper" ] && continue
    begin=$SECONDS
    found+=$("${qemu[@]}" "$program" --list)
    run 120 "$program" || {
        echo "$(basename "$program") failed; once more, one test at a time"
        run 300 "$program" --test-threads=1 || failed+=("$(basename "$program")")
    }
    echo "== $(basename "$program"): $((SECONDS - begin)) s"
done
echo "Left out, because of qemu:"
while read -r line; do
    echo "  $line"
    [ $# != 0 ] || grep -q "${line%%:*}" <<<"$found" || { echo "There is no such test any more." >&2; exit 1; }
done <<<"$cannot"
[ ${#failed[@]} = 0 ] || { echo "Failed: ${failed[*]}" >&2; exit 1; }
